// Serves the harness page, its I/O worker and a disk image, by ranges; takes what is uploaded.

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('../', import.meta.url));

export interface DiskServer {
  url: string;
  /** The image; a test may change it. */
  disk: Buffer;
  uploaded: Buffer;
  close(): void;
}

export async function serveDisks(disk: Buffer): Promise<DiskServer> {
  const { outputFiles } = await build({
    absWorkingDir: root, entryPoints: { io: 'workers/io.ts', harness: 'e2e/disk-harness.ts' }, outdir: 'out', bundle: true, format: 'esm', target: 'es2022', write: false, logLevel: 'warning',
  });
  const scripts = new Map(outputFiles.map(({ path, text }) => [`/${path.split('/').pop()}`, text]));
  const state: DiskServer = { url: '', disk, uploaded: Buffer.alloc(0), close: () => { server.closeAllConnections(); server.close(); } };
  const server = createServer((request, response) => {
    response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
    response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
    response.setHeader('Cross-Origin-Resource-Policy', 'same-origin');
    const script = scripts.get(request.url!);
    if (request.url === '/') return void response.setHeader('content-type', 'text/html').end('<!doctype html><title>disks</title><script type="module" src="harness.js"></script>');
    if (script !== undefined) return void response.setHeader('content-type', 'text/javascript').end(script);
    if (request.url === '/upload') {
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      return void request.on('end', () => {
        state.uploaded = Buffer.concat(parts);
        response.end();
      });
    }
    const range = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '');
    if (request.url !== '/disk.img' || !range) return void response.writeHead(404).end();
    const from = Number(range[1]);
    const to = Math.min(Number(range[2]), state.disk.length - 1);
    response.writeHead(206, { 'content-range': `bytes ${from}-${to}/${state.disk.length}`, etag: `"${state.disk.length}"` });
    response.end(state.disk.subarray(from, to + 1));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  state.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  return state;
}
