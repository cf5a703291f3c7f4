// A web server that guests in the page's tests reach by fetch: as open.test it allows all pages to read it (CORS), as closed.test none.
// It has the files of a site for the guest's own web server.

import { createServer } from 'node:http';
import { WEB_PORT } from '../playwright.config.ts';

/** A ustar archive (POSIX.1-1988, "ustar interchange format") of these files. */
function tar(files: Record<string, string>): Buffer {
  const blocks: Buffer[] = [];
  for (const [name, text] of Object.entries(files)) {
    const bytes = Buffer.from(text);
    const head = Buffer.alloc(512);
    const put = (value: string, at: number) => head.write(value, at, 'latin1');
    put(name, 0);
    put(name.includes('cgi-bin/') ? '0000755\0' : '0000644\0', 100);
    put('0000000\0', 108);
    put('0000000\0', 116);
    put(`${bytes.length.toString(8).padStart(11, '0')}\0`, 124);
    put('00000000000\0', 136);
    put('        0', 148);
    put('ustar\x0000', 257);
    put(`${head.reduce((sum, byte) => sum + byte, 0).toString(8).padStart(6, '0')}\0 `, 148);
    blocks.push(head, bytes, Buffer.alloc(-bytes.length & 511));
  }
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

export async function serveWeb(files: Record<string, string>): Promise<{ close(): void; seen: string[] }> {
  const archive = tar(files);
  const seen: string[] = [];
  const server = createServer((request, response) => {
    const host = request.headers.host ?? '';
    seen.push(`${request.method} ${host}${request.url}`);
    if (host === 'open.test') response.setHeader('access-control-allow-origin', '*');
    if (request.url === '/site.tar') return void response.end(archive);
    response.setHeader('content-type', 'text/plain');
    response.end(`hello from ${host}\n`);
  });
  await new Promise<void>((done) => server.listen(WEB_PORT, '127.0.0.1', done));
  return { seen, close() { server.closeAllConnections(); server.close(); } };
}
