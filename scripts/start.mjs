// Builds the page and serves it on this machine, with the headers that shared memory needs (vite.config.ts).
// Usage: node scripts/start.mjs [--port N] [--dev]     --dev: without a build, reloading when a source changes

import { parseArgs } from 'node:util';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, createServer, preview } from 'vite';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const HOST = '127.0.0.1';
const { values } = parseArgs({ options: { port: { type: 'string', default: process.env.PORT ?? '4173' }, dev: { type: 'boolean', default: false } } });
const port = Number(values.port);

let server;
if (values.dev) {
  server = await createServer({ root, server: { host: HOST, port } });
  await server.listen();
} else {
  console.log('start: building the page');
  await build({ root, logLevel: 'warn' });
  server = await preview({ root, preview: { host: HOST, port } });
}
const url = server.resolvedUrls?.local[0] ?? `http://${HOST}:${port}/`;
const guests = await fetch(new URL('guests/index.json', url)).then((response) => (response.ok ? response.json() : []));
const link = (line) => `${url}#${encodeURI(line).replace(/[#'()]/g, (c) => `%${c.charCodeAt(0).toString(16)}`)}`;
console.log(`\nTabvisor is at  ${url}\n`);
for (const { title, line } of guests) console.log(`${title} boots at\n  ${link(line)}\n`);
if (guests.length === 0) console.log('There are no bundled guests: drop a kernel and an initrd on the page, or make them with node guests/make.mjs.\n');
console.log('Ctrl-C ends it.');
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    // Open connections of a browser would hold close() up.
    void server.close();
    setTimeout(() => process.exit(0), 200).unref();
  });
}
