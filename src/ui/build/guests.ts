// Vite plugin: the bundled guests (guests/out, made by guests/make.mjs) as a part of the page, in the build and while developing,
// with guests/index.json, by which the page knows them. Where a file has a compressed twin, only that travels.

import { createReadStream, existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join, normalize } from 'node:path';
import type { Connect, Plugin } from 'vite';
import type { Guest, GuestFile } from '../guests.ts';
import { joinLine } from '../../machine/words.ts';

/** What guests/make.mjs writes into guest.json, as far as the page needs it. */
interface Description {
  name: string;
  title: string;
  description?: string;
  release: string;
  memory: number;
  kernel: { file: string; bytes: number };
  initrd: { file: string; bytes: number };
  initrdCompressed?: { file: string; bytes: number };
  args: string[];
}

const FOLDER = 'guests';
/** A visitor's guest is on the network: the card that all bundled kernels have a driver for, and what has their start-up script ask for an address. */
const NETWORK = ['-nic', 'user,model=virtio-net-pci'];
const NETWORK_APPEND = 'ip=dhcp';

/** The guests found in `root` (guests/out), in the order 64-bit first. */
export function readGuests(root: string): Guest[] {
  if (!existsSync(root)) return [];
  const names = readdirSync(root).filter((name) => existsSync(join(root, name, 'guest.json'))).sort();
  return names.map((name) => {
    const it = JSON.parse(readFileSync(join(root, name, 'guest.json'), 'utf8')) as Description;
    const path = (file: string) => `${FOLDER}/${name}/${file}`;
    const initrd = it.initrdCompressed ?? it.initrd;
    const files: GuestFile[] = [
      { name: path(it.kernel.file), url: path(it.kernel.file), bytes: it.kernel.bytes, transfer: it.kernel.bytes },
      { name: path(it.initrd.file), url: path(initrd.file), bytes: it.initrd.bytes, transfer: initrd.bytes },
    ];
    const words = it.args.map((word, i) => (['-kernel', '-initrd'].includes(it.args[i - 1]) ? path(word) : it.args[i - 1] === '-append' ? `${word} ${NETWORK_APPEND}` : word));
    words.push(...NETWORK);
    return {
      name, title: it.title, files, line: joinLine(words),
      description: it.description ?? `Linux ${it.release} with a BusyBox shell, ${it.memory} MiB of memory`,
    };
  });
}

export function guestsPlugin(root: string): Plugin {
  const index = () => `${JSON.stringify(readGuests(root), null, 1)}\n`;

  /** Sends the files as they are: Vite's own server would declare .gz files as encoded, and their sizes would be lost. */
  const middleware: Connect.NextHandleFunction = (request: IncomingMessage, response: ServerResponse, next) => {
    const path = decodeURIComponent((request.url ?? '').split('?')[0]);
    const inside = /(?:^|\/)guests\/(.+)$/.exec(path)?.[1];
    if (!inside || !['GET', 'HEAD'].includes(request.method ?? '')) return next();
    if (inside === 'index.json') {
      response.setHeader('content-type', 'application/json');
      return void response.end(index());
    }
    const file = normalize(join(root, inside));
    if (!file.startsWith(normalize(root)) || !existsSync(file) || !statSync(file).isFile()) return next();
    const { size, mtimeMs } = statSync(file);
    const etag = `"${size.toString(16)}-${Math.round(mtimeMs).toString(16)}"`;
    response.setHeader('etag', etag);
    response.setHeader('cache-control', 'no-cache');
    response.setHeader('content-type', 'application/octet-stream');
    if (request.headers['if-none-match'] === etag) {
      response.statusCode = 304;
      return void response.end();
    }
    response.setHeader('content-length', size);
    if (request.method === 'HEAD') return void response.end();
    createReadStream(file).pipe(response);
  };

  return {
    name: 'tabvisor-guests',
    configureServer(server) { server.middlewares.use(middleware); },
    configurePreviewServer(server) { server.middlewares.use(middleware); },
    generateBundle() {
      const guests = readGuests(root);
      if (!guests.length) this.warn('guests/out is empty: the page is built without guests');
      for (const file of guests.flatMap((guest) => guest.files)) {
        this.emitFile({ type: 'asset', fileName: file.url, source: readFileSync(join(root, file.url.slice(FOLDER.length + 1))) });
      }
      const firmware = join(root, 'firmware');
      if (!existsSync(firmware)) this.warn('guests/out/firmware is missing: the page is built without firmware');
      else {
        for (const file of readdirSync(firmware).filter((name) => /\.(?:bin|rom)$/.test(name))) {
          this.emitFile({ type: 'asset', fileName: `${FOLDER}/firmware/${file}`, source: readFileSync(join(firmware, file)) });
        }
      }
      this.emitFile({ type: 'asset', fileName: `${FOLDER}/index.json`, source: index() });
    },
  };
}
