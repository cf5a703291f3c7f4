// A static host that can send no headers of its own choice, and that has the page under a path: for tests of the service worker.

import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';

const TYPES: Record<string, string> = {
  '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.json': 'application/json', '.svg': 'image/svg+xml', '.wasm': 'application/wasm',
};

/** Serve `root` under /some/path/. */
export async function serveStatically(root: string): Promise<{ url: string; close(): void }> {
  const prefix = '/some/path/';
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url!, 'http://host/').pathname);
    const file = path.startsWith(prefix) ? normalize(join(root, path.slice(prefix.length) || 'index.html')) : '';
    if (!file.startsWith(normalize(root)) || !existsSync(file) || !statSync(file).isFile()) {
      response.statusCode = 404;
      return void response.end('not found');
    }
    response.setHeader('content-type', TYPES[extname(file)] ?? 'application/octet-stream');
    response.setHeader('content-length', statSync(file).size);
    createReadStream(file).pipe(response);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${prefix}`,
    close() { server.closeAllConnections(); server.close(); },
  };
}
