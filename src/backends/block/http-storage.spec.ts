// Against servers of all kinds, over real HTTP.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { openBlob } from './blob-storage.ts';
import { CHUNK } from './chunked-storage.ts';
import { DiskFailure } from './failure.ts';
import { openDisk } from './browser-disks.ts';
import { openHttp } from './http-storage.ts';
import type { Storage } from './io.ts';
import { later } from './testing.ts';

const contents = Buffer.alloc(5 * CHUNK + 1000);
for (let n = 0; n < contents.length; n++) contents[n] = (n * 7 + (n >> 9)) & 0xff;

let server: Server | undefined;
afterEach(() => server?.closeAllConnections());

async function serve(handle: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  server = createServer(handle);
  await new Promise<void>((done) => server!.listen(0, '127.0.0.1', done));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/disk.img`;
}

/** A server as it should be. */
function ranges(log: string[], headers: () => Record<string, string> = () => ({ etag: '"1"' }), data = () => contents): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    const match = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '');
    const whole = data();
    log.push(request.headers.range ?? request.method!);
    const from = Number(match?.[1] ?? 0);
    if (from >= whole.length) return void response.writeHead(416).end();
    const to = Math.min(Number(match?.[2] ?? whole.length - 1), whole.length - 1);
    response.writeHead(match ? 206 : 200, { 'content-length': to - from + 1, ...(match ? { 'content-range': `bytes ${from}-${to}/${whole.length}` } : {}), ...headers() });
    response.end(request.method === 'HEAD' ? undefined : whole.subarray(from, to + 1));
  };
}

const readPart = async (storage: Storage, offset: number, length: number) => {
  const into = new Uint8Array(length);
  await later((done) => storage.read(offset, into, done));
  expect(Buffer.compare(into, contents.subarray(offset, offset + length))).toBe(0);
};
const failure = (url: string) => openHttp(url, 'disk.img').then(() => expect.fail('it was opened'), (error: DiskFailure) => {
  expect(error).toBeInstanceOf(DiskFailure);
  return `${error.failure.what}: ${error.failure.why}. ${error.failure.advice}`;
});

describe('a disk behind a URL', { timeout: 30_000 }, () => {
  it('is read where it is touched, once, and ahead when read in sequence', async () => {
    const log: string[] = [];
    const { storage, fingerprint } = await openHttp(await serve(ranges(log)), 'disk.img');
    expect(fingerprint).toEqual({ size: contents.length, version: '"1"' });
    await readPart(storage, 3 * CHUNK + 5, 100);
    await readPart(storage, 3 * CHUNK + 5000, 100);
    await readPart(storage, 10, 100);
    expect(log).toEqual([`bytes=0-${CHUNK - 1}`, `bytes=${3 * CHUNK}-${4 * CHUNK - 1}`]);
    await Promise.all([readPart(storage, 4 * CHUNK - 10, 20), readPart(storage, 4 * CHUNK, 20)]);
    await readPart(storage, contents.length - 100, 100);
    for (let at = 0; at < contents.length; at += 65536) await readPart(storage, at, Math.min(65536, contents.length - at));
    expect(new Set(log).size).toBe(log.length);
    expect(log.length).toBeLessThanOrEqual(6);
    await expect(later((done) => storage.write(0, new Uint8Array(1), done))).rejects.toThrow('only be read');
  });

  it('of a server that hides the size or the version', async () => {
    const log: string[] = [];
    const plain = ranges(log, () => ({}));
    const url = await serve((request, response) => {
      const write = response.writeHead.bind(response);
      response.writeHead = ((status: number, headers: Record<string, string>) => {
        delete headers['content-range'];
        return write(status, headers);
      }) as never;
      plain(request, response);
    });
    const { storage, fingerprint } = await openHttp(url, 'disk.img');
    expect(fingerprint).toEqual({ size: contents.length, version: '' });
    expect(log).toContain('HEAD');
    await readPart(storage, 2 * CHUNK, 1000);
  });

  it('of a server without ranges: small files only, and a clear word for others', async () => {
    // Without a length it may be anything.
    expect(await failure(await serve((_, response) => { response.write(contents); response.end(); }))).toContain('HTTP ranges');
    const { storage } = await openHttp(await serve((_, response) => void response.writeHead(200, { 'content-length': contents.length }).end(contents)), 'disk.img');
    await readPart(storage, CHUNK + 1, 3 * CHUNK);
    expect(await failure(await serve((_, response) => void response.writeHead(200, { 'content-length': 1 << 30 }).write('x')))).toContain('does not send parts of files (HTTP ranges)');
  });

  it('that changes while it is in use is not mixed', async () => {
    let version = 1;
    const { storage } = await openHttp(await serve(ranges([], () => ({ etag: `"${version}"` }))), 'disk.img');
    await readPart(storage, 0, 100);
    version = 2;
    await expect(readPart(storage, 3 * CHUNK, 100)).rejects.toThrow('changed while it was in use');
    let whole = contents;
    const other = (await openHttp(await serve(ranges([], () => ({}), () => whole)), 'disk.img')).storage;
    whole = contents.subarray(0, 2 * CHUNK);
    await expect(readPart(other, 3 * CHUNK, 100)).rejects.toThrow('changed while it was in use');
  });

  it('is told of to the user when it cannot be read any more, and not again and again', async () => {
    let version = 1;
    const warnings: string[] = [];
    const url = await serve(ranges([], () => ({ etag: `"${version}"` })));
    const { disk } = await openDisk({ file: 'disk.img', source: { url }, format: 'raw', readOnly: true, snapshot: true }, (failure) => warnings.push(`${failure?.what}: ${failure?.why}`));
    const read = () => new Promise((resolve) => disk.read(3 * CHUNK, new Uint8Array(512), resolve));
    expect(await read()).toBe(null);
    version = 2;
    const readOther = () => new Promise((resolve) => disk.read(5 * CHUNK, new Uint8Array(512), resolve));
    for (let n = 0; n < 3; n++) expect(String(await readOther())).toContain('changed while it was in use');
    expect(warnings).toEqual(['The disk disk.img cannot be read: The file on the server was changed while it was in use']);
  });

  it('says what is wrong', async () => {
    expect(await failure(await serve((_, response) => void response.writeHead(404).end()))).toContain('no such file on the server');
    expect(await failure(await serve((_, response) => void response.writeHead(403).end()))).toContain('permission');
    expect(await failure(await serve(ranges([], () => ({ 'content-encoding': 'br' }))))).toContain('sends it compressed');
    expect(await failure('http://127.0.0.1:9/nothing')).toContain('could not be reached');
  });

  it('does not wait for ever for a server that never answers, and goes on when one does after all', async () => {
    let asked = 0;
    await expect(openHttp(await serve(() => void asked++), 'disk.img', undefined, 250)).rejects.toThrow('does not answer');
    expect(asked).toBeGreaterThan(0);
    const good = ranges([]);
    let n = 0;
    const { storage } = await openHttp(await serve((request, response) => { if (n++ !== 1) good(request, response); }), 'disk.img', undefined, 1000);
    await readPart(storage, 3 * CHUNK, 100);
    expect(n).toBeGreaterThanOrEqual(3);
  });

  it('survives a server that fails now and then', async () => {
    let n = 0;
    const good = ranges([]);
    const { storage } = await openHttp(await serve((request, response) => {
      if (n++ % 3 === 0) return void response.writeHead(503).end();
      if (n % 3 === 0) return void response.destroy();
      good(request, response);
    }), 'disk.img');
    for (let chunk = 0; chunk < 5; chunk++) await readPart(storage, chunk * CHUNK, 100);
  });
});

describe('a file that was given to the page', () => {
  it('is read where it is touched; one that changed says so', async () => {
    const slices: string[] = [];
    const blob = new Blob([contents]);
    const slice = blob.slice.bind(blob);
    blob.slice = (from, to) => {
      slices.push(`${from}-${to}`);
      return slice(from, to);
    };
    await readPart(openBlob(blob, 'disk.img'), 2 * CHUNK + 7, 100);
    expect(slices).toEqual([`${2 * CHUNK}-${3 * CHUNK}`]);
    const gone = { size: 1000, slice: () => ({ arrayBuffer: () => Promise.reject(new DOMException('no', 'NotReadableError')) }) } as unknown as Blob;
    await expect(readPart(openBlob(gone, 'disk.img'), 0, 10)).rejects.toThrow('It was changed after it was given to the page');
  });
});
