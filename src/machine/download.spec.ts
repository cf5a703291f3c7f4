import { afterAll, beforeAll, describe, it, expect } from 'vitest';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { download } from './download.ts';

const content = Buffer.from('guest bytes '.repeat(20000));
let server: Server;
let base = '';
const asked: string[] = [];

beforeAll(async () => {
  server = createServer((request, response) => {
    asked.push(request.url!);
    switch (request.url) {
      case '/plain': response.setHeader('content-length', content.length); return void response.end(content);
      case '/unsized': response.write(content.subarray(0, 1000)); return void response.end(content.subarray(1000));
      case '/packed.gz': return void response.end(gzipSync(content));
      case '/encoded.gz': response.setHeader('content-encoding', 'gzip'); return void response.end(gzipSync(content));
      case '/damaged.gz': return void response.end(gzipSync(content).subarray(0, 100));
      case '/fallback': response.setHeader('content-type', 'text/html'); return void response.end('<!doctype html>');
      case '/broken':
        response.setHeader('content-length', content.length);
        response.write(content.subarray(0, 1000), () => response.destroy());
        return;
      default: response.statusCode = 404; response.end();
    }
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(() => { server.close(); });

describe('download', () => {
  it('gives the bytes and tells how many came', async () => {
    const steps: [number, number][] = [];
    const bytes = await download(`${base}/plain`, 'kernel', (loaded, total) => steps.push([loaded, total]));
    expect(content.equals(bytes)).toBe(true);
    expect(steps[0]).toEqual([0, content.length]);
    expect(steps.at(-1)).toEqual([content.length, content.length]);
    expect(content.equals(await download(`${base}/unsized`, 'kernel'))).toBe(true);
  });

  it('decompresses what is packed for the way only, whoever unpacks it', async () => {
    expect(content.equals(await download(`${base}/packed.gz`, 'initrd.cpio'))).toBe(true);
    expect(content.equals(await download(`${base}/encoded.gz`, 'initrd.cpio'))).toBe(true);
    expect(gzipSync(content).equals(await download(`${base}/packed.gz`, 'initrd.cpio.gz'))).toBe(true);
    await expect(download(`${base}/damaged.gz`, 'initrd.cpio')).rejects.toMatchObject({ what: 'initrd.cpio could not be decompressed' });
  });

  it('takes a request that is under way, and asks for itself where that failed', async () => {
    asked.length = 0;
    const early = fetch(`${base}/plain`);
    expect(content.equals(await download(`${base}/plain`, 'kernel', () => {}, early))).toBe(true);
    expect(asked).toEqual(['/plain']);
    const failed = Promise.reject<Response>(new TypeError('Failed to fetch'));
    expect(content.equals(await download(`${base}/unsized`, 'kernel', () => {}, failed))).toBe(true);
    expect(asked).toEqual(['/plain', '/unsized']);
    await expect(download(`${base}/none`, 'vmlinuz', () => {}, fetch(`${base}/none`))).rejects.toMatchObject({ why: expect.stringMatching(/404 Not Found.*\/none/) });
  });

  it('names the URL, the status and the cause of a failure', async () => {
    await expect(download(`${base}/none`, 'vmlinuz')).rejects.toMatchObject({
      what: 'vmlinuz could not be downloaded', why: expect.stringMatching(/404 Not Found.*\/none/),
    });
    await expect(download(`${base}/fallback`, 'vmlinuz')).rejects.toMatchObject({ why: expect.stringContaining('a web page in place of the file') });
    await expect(download(`${base}/broken`, 'vmlinuz')).rejects.toMatchObject({ why: expect.stringMatching(/broke after \d+ of 240000 bytes/) });
    await expect(download('http://127.0.0.1:9/x', 'vmlinuz')).rejects.toMatchObject({ why: expect.stringContaining('http://127.0.0.1:9/x') });
  });
});
