// The built page with more files beside it, by ranges, as a disk image's server sends them; takes what is uploaded. For browsers whose requests
// Playwright does not see: those of workers, and of a browser that is killed.

import { createReadStream, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';

const TYPES: Record<string, string> = {
  '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.json': 'application/json', '.svg': 'image/svg+xml', '.wasm': 'application/wasm',
};

export interface PageServer {
  url: string;
  /** Where uploads go, by the name that they are given. */
  uploads: string;
  close(): void;
}

/** @param files beside the page, by name: paths on this computer */
export async function servePage(files: Record<string, string>, uploads: string, page = 'dist'): Promise<PageServer> {
  const server = createServer((request, response) => {
    response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
    response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
    response.setHeader('Cross-Origin-Resource-Policy', 'same-origin');
    const name = decodeURIComponent(new URL(request.url!, 'http://host/').pathname).slice(1);
    if (request.method === 'POST') {
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      return void request.on('end', () => {
        // Pieces of a stream, one behind the other.
        writeFileSync(join(uploads, name.replace(/\W/g, '-')), Buffer.concat(parts), { flag: 'a' });
        response.end();
      });
    }
    const path = files[name] ?? normalize(join(page, name || 'index.html'));
    if ((!files[name] && !path.startsWith(page)) || !existsSync(path) || !statSync(path).isFile()) return void response.writeHead(404).end();
    const { size, mtimeMs } = statSync(path);
    response.setHeader('content-type', TYPES[extname(path)] ?? 'application/octet-stream');
    response.setHeader('etag', `"${size}-${mtimeMs}"`);
    const range = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '');
    if (!range) {
      response.setHeader('content-length', size);
      if (request.method === 'HEAD') return void response.end();
      return void createReadStream(path).pipe(response);
    }
    const [from, to] = [Number(range[1]), Math.min(Number(range[2]), size - 1)];
    response.writeHead(206, { 'content-range': `bytes ${from}-${to}/${size}`, 'content-length': to - from + 1 });
    response.end(readFileSync(path).subarray(from, to + 1));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    uploads,
    close() { server.closeAllConnections(); server.close(); },
  };
}
