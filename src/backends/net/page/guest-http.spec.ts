import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, createServer as createTcp } from 'node:net';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import type { HostStream, HostStreamEvents } from '../user/host.ts';
import { askGuest, type GuestRequest, type GuestResponse } from './guest-http.ts';
import { Body, HttpReader, toBytes } from './http.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

/** A guest's connection, made of a real one: as the user-mode network would carry it. */
const over = (port: number) => (stream: HostStream): HostStreamEvents => {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  socket.on('data', (data: Buffer) => stream.write(data));
  socket.on('end', () => stream.end());
  socket.on('error', () => stream.abort());
  return {
    opened() {},
    data: (bytes) => void socket.write(bytes, () => stream.taken(bytes.length)),
    ended: () => void socket.end(),
    failed: () => void socket.destroy(),
    writable() {},
  };
};

async function web(handler: Parameters<typeof createServer>[1]): Promise<number> {
  const server: Server = createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => { server.closeAllConnections(); server.close(); });
  return (server.address() as AddressInfo).port;
}

/** A server that says these bytes, and ends. */
async function says(text: string | Uint8Array): Promise<number> {
  const server = createTcp((socket) => { socket.on('error', () => {}); socket.end(text); });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

const get = (target = '/'): GuestRequest => ({ method: 'GET', target, headers: [['host', 'guest']] });
const text = (answer: unknown): string => new TextDecoder().decode((answer as GuestResponse).body);

describe('HTTP to a guest', () => {
  it('asks Node\'s server, and understands it', async () => {
    const port = await web((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (data: Buffer) => chunks.push(data));
      request.on('end', () => {
        const body = Buffer.concat(chunks);
        response.setHeader('x-length', String(body.length));
        if (request.url === '/none') response.writeHead(204).end();
        else response.end(`${request.method} ${request.url} ${request.headers.host} ${body.subarray(0, 5)}`);
      });
    });
    expect(text(await askGuest(get('/a?b'), over(port)))).toBe('GET /a?b guest ');
    const posted = await askGuest({ ...get('/p'), method: 'POST', body: new Uint8Array(3_000_000).fill(65) }, over(port));
    expect(posted).toMatchObject({ status: 200, reason: 'OK' });
    expect(text(posted)).toBe('POST /p guest AAAAA');
    expect((posted as GuestResponse).headers).toContainEqual(['x-length', '3000000']);
    expect(await askGuest({ ...get(), method: 'HEAD' }, over(port))).toMatchObject({ status: 200, body: new Uint8Array(0) });
    expect(await askGuest(get('/none'), over(port))).toMatchObject({ status: 204, body: new Uint8Array(0) });
  });

  it('takes bodies to the end of the connection, in chunks, and interim answers', async () => {
    expect(text(await askGuest(get(), over(await says('HTTP/1.0 200 OK\r\n\r\nto the end'))))).toBe('to the end');
    expect(text(await askGuest(get(), over(await says('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n'))))).toBe('abc');
  });

  it('tells who does not answer from who answers nonsense', async () => {
    const refused = await says('');
    for (const cleanup of cleanups.splice(0)) await cleanup();
    expect(await askGuest(get(), over(refused))).toMatchObject({ failed: 'silent' });
    expect(await askGuest(get(), over(await says('')))).toMatchObject({ failed: 'silent', why: 'it closed the connection without an answer' });
    expect(await askGuest(get(), over(await says('SSH-2.0-x\r\n\r\n')))).toMatchObject({ failed: 'broken', why: 'its answer is no HTTP' });
    expect(await askGuest(get(), over(await says('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc')))).toMatchObject({ failed: 'broken', why: 'its answer was cut off' });
    expect(await askGuest(get(), () => undefined)).toMatchObject({ failed: 'silent' });
    const server = createTcp(() => {});
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    cleanups.push(() => server.close());
    expect(await askGuest(get(), over((server.address() as AddressInfo).port), 50)).toMatchObject({ failed: 'silent', why: 'it said nothing for 0.05 s' });
  });

  it('sends one request, whatever it is told to ask', async () => {
    const heard: string[] = [];
    const port = await web((request, response) => { heard.push(`${request.method} ${request.url} ${JSON.stringify(request.headers)}`); response.end(); });
    for (const request of [{ ...get('/a b') }, { ...get(), method: 'GET / HTTP/1.1\r\nX: y\r\n\r\nGET' }, { ...get('/\r\nX: y') }, { ...get(''), target: 'http://other/' }]) {
      expect(await askGuest(request, over(port))).toMatchObject({ failed: 'broken' });
    }
    await askGuest({ ...get(), headers: [['host', 'guest'], ['x', 'y\r\nEvil: 1'], ['bad name', 'z'], ['good', 'z']] }, over(port));
    expect(heard).toEqual(['GET / {"host":"guest","good":"z","connection":"close"}']);
  });

  it('keeps a body of single bytes in little more memory than it has bytes', async () => {
    // Six bytes on the wire for each of the body: as objects by themselves they would take twenty times the wire's.
    const body = new Body();
    let [parts, most] = [0, 0];
    const reader = new HttpReader(() => ({ kind: 'chunked' }), (data) => {
      body.push(data);
      parts++;
      most = Math.max(most, body.capacity / body.length);
    }, () => {});
    reader.push(toBytes('HTTP/1.1 200 OK\r\n\r\n'));
    const chunks = toBytes('1\r\na\r\n'.repeat(1000));
    for (let n = 0; n < 50; n++) reader.push(chunks);
    expect([parts, body.length]).toEqual([50_000, 50_000]);
    expect(most).toBeLessThanOrEqual(2);
    expect(body.take()).toEqual(new Uint8Array(50_000).fill(97));
    expect([body.length, body.capacity]).toEqual([0, 0]);
    expect(text(await askGuest(get(), over(await says(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${'1\r\nx\r\n2\r\nyz\r\n'.repeat(500)}0\r\n\r\n`))))).toBe('xyz'.repeat(500));
  });

  it('survives any answer', async () => {
    const pieces = fc.oneof(fc.uint8Array({ maxLength: 60 }), fc.constantFrom('HTTP/1.1 200 OK\r\n', 'Transfer-Encoding: chunked\r\n', 'Content-Length: 3\r\n', '\r\n', '5\r\n', 'ffffffff\r\n', '0\r\n', 'HTTP/1.1 100 \r\n\r\n').map(toBytes));
    await fc.assert(fc.asyncProperty(fc.array(pieces, { maxLength: 12 }), async (parts) => {
      const answer = await askGuest(get(), (stream) => {
        queueMicrotask(() => {
          for (const part of parts) stream.write(part);
          stream.end();
        });
        return { opened() {}, data() {}, ended() {}, failed() {}, writable() {} };
      });
      expect('failed' in answer || answer.status >= 200).toBe(true);
    }), { numRuns: 300 });
  });
});
