import { createServer, type AddressInfo } from 'node:net';
import { createServer as createHttpServer, request as httpRequest } from 'node:http';
import { createSocket } from 'node:dgram';
import { promises as dns } from 'node:dns';
import { connect } from 'node:net';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import type { HostStreamEvents } from '../user/host.ts';
import { PageNames, parseQuestion } from './dns.ts';
import { GatewayStream, type GatewayHost } from './gateway.ts';
import { framingOf, type Head, HttpError, HttpReader, toBytes } from './http.ts';
import { PageNetwork } from './page-network.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

describe('the page\'s name server', () => {
  it('answers Node\'s resolver with an address for each name', async () => {
    const names = new PageNames();
    const socket = createSocket('udp4');
    socket.on('message', (query, { port, address }) => {
      const answer = names.answer(query);
      if (answer) socket.send(answer, port, address);
    });
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
    cleanups.push(() => socket.close());
    const resolver = new dns.Resolver();
    resolver.setServers([`127.0.0.1:${socket.address().port}`]);
    const [a] = await resolver.resolve4('Example.org');
    const [b] = await resolver.resolve4('example.com');
    expect([a, b]).toEqual(['198.18.0.1', '198.18.0.2']);
    expect(await resolver.resolve4('example.org')).toEqual([a]);
    expect(names.nameOf(Uint8Array.of(198, 18, 0, 2))).toBe('example.com');
    await expect(resolver.resolve6('example.org')).rejects.toMatchObject({ code: 'ENODATA' });
    await expect(resolver.resolve4('printer')).rejects.toMatchObject({ code: 'ENOTFOUND' });
    await expect(resolver.reverse('198.18.0.1')).rejects.toMatchObject({ code: 'ENOTFOUND' });
  });

  it('takes any message', () => {
    const names = new PageNames();
    fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), (message) => {
      parseQuestion(message);
      const answer = names.answer(message);
      if (answer) expect(answer.length).toBeLessThan(message.length + 17);
    }));
  });
});

/** A fetch that any server allows. */
const open: GatewayHost = { fetch: (url, init) => fetch(url, init), isSecure: false };

/** Real clients reach a gateway stream over a real socket. @returns the port */
async function gateway(server: string | undefined, host: GatewayHost): Promise<number> {
  const listener = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    const events: HostStreamEvents = {
      opened() {},
      data: (bytes) => void socket.write(bytes, () => stream.taken(bytes.length)),
      ended: () => void socket.end(),
      failed: () => void socket.resetAndDestroy(),
      writable() {},
    };
    const stream = new GatewayStream(events, server, host);
    socket.on('data', (data) => stream.write(data as Buffer));
    socket.on('end', () => stream.end());
    socket.on('close', () => stream.abort());
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => listener.close());
  return (listener.address() as AddressInfo).port;
}

async function webServer(): Promise<number> {
  const server = createHttpServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (data: Buffer) => chunks.push(data));
    request.on('end', () => {
      if (request.url === '/big') {
        response.writeHead(200, { 'content-type': 'x/y' });
        for (let n = 0; n < 40; n++) response.write(Buffer.alloc(50_000, n));
        response.end();
      } else response.writeHead(request.url === '/none' ? 204 : 200, { 'x-method': request.method }).end(request.url === '/none' ? undefined : `${request.method} ${request.url} ${Buffer.concat(chunks)} ${request.headers['x-private'] ?? ''}`);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

interface Answer {
  status: number;
  headers: NodeJS.Dict<string | string[]>;
  body: Buffer;
}

function ask(port: number, path: string, options: { method?: string; headers?: Record<string, string>; body?: string } = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: '127.0.0.1', port, path, method: options.method ?? 'GET', headers: options.headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (data: Buffer) => chunks.push(data));
      response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(chunks) }));
    });
    request.on('error', reject);
    request.end(options.body);
  });
}

describe('HTTP carried by fetch', () => {
  it('gives Node\'s client what the server says', async () => {
    const web = await webServer();
    const port = await gateway(`127.0.0.1:${web}`, open);
    const headers = { host: `127.0.0.1:${web}` };
    expect(String((await ask(port, '/a?b=c', { headers: { ...headers, 'x-private': 'not passed on' } })).body)).toBe('GET /a?b=c  ');
    expect(String((await ask(port, '/p', { method: 'POST', headers: { ...headers, 'transfer-encoding': 'chunked' }, body: 'data' })).body)).toBe('POST /p data ');
    expect(await ask(port, '/h', { method: 'HEAD', headers })).toMatchObject({ status: 200, body: Buffer.alloc(0), headers: { 'x-method': 'HEAD' } });
    expect((await ask(port, '/none', { headers })).status).toBe(204);
    const big = await ask(port, '/big', { headers });
    expect([big.body.length, big.body[1_999_999]]).toEqual([2_000_000, 39]);
  });

  it('is a proxy for requests that name their server', async () => {
    const web = await webServer();
    const port = await gateway(undefined, open);
    expect(String((await ask(port, `http://127.0.0.1:${web}/x`)).body)).toBe('GET /x  ');
  });

  it('keeps a connection for several requests, answered in order', async () => {
    const web = await webServer();
    const socket = connect(await gateway(`127.0.0.1:${web}`, open), '127.0.0.1');
    socket.end(`GET /1 HTTP/1.1\r\nHost: 127.0.0.1:${web}\r\n\r\nGET /2 HTTP/1.1\r\nHost: 127.0.0.1:${web}\r\n\r\nGET /3 HTTP/1.0\r\nHost: 127.0.0.1:${web}\r\n\r\n`);
    let text = '';
    for await (const data of socket) text += String(data);
    expect([...text.matchAll(/GET \/(\d) /g)].map(([, n]) => n)).toEqual(['1', '2', '3']);
  });

  it('explains what a browser does not allow', async () => {
    const tried: string[] = [];
    const host: GatewayHost = { isSecure: false, fetch: (url) => { tried.push(url); return Promise.reject(new TypeError('Failed to fetch')); } };
    const answer = await ask(await gateway('example.org', host), '/<x>', { headers: { host: 'example.org' } });
    expect(answer.status).toBe(502);
    expect(String(answer.body)).toMatch(/example\.org could not be reached.*CORS.*bin\/tabvisor/s);
    expect(tried).toEqual(['http://example.org/%3Cx%3E', 'https://example.org/%3Cx%3E']);
    tried.length = 0;
    await ask(await gateway('example.org', { ...host, isSecure: true }), '/', { headers: { host: 'example.org' } });
    expect(tried).toEqual(['https://example.org/']);
  });

  it('refuses what is no request, and tunnels', async () => {
    const port = await gateway('example.org', open);
    for (const [text, status] of [['NONSENSE\r\n\r\n', 400], ['CONNECT a:443 HTTP/1.1\r\n\r\n', 501], ['GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n', 400], ['GET / HTTP/1.1\r\nbad header\r\n\r\n', 400]] as const) {
      const socket = connect(port, '127.0.0.1');
      socket.write(text);
      let answer = '';
      for await (const data of socket) answer += String(data);
      expect(answer.slice(0, 12), text).toBe(`HTTP/1.1 ${status}`);
    }
  });

  it('is at port 80 of names, and at the host as a proxy; nothing else is answered', async () => {
    const network = new PageNetwork({ isSecure: true, fetch: () => Promise.reject(new Error()) });
    const outcome = (address: string, port: number): Promise<string> => new Promise((resolve) => {
      network.connect(address, port, { opened: () => resolve('opened'), data() {}, ended() {}, failed: resolve, writable() {} });
    });
    expect(await Promise.all([outcome('192.0.2.1', 80), outcome('192.0.2.1', 443), outcome('host', 3128), outcome('host', 22)])).toEqual(['opened', 'refused', 'opened', 'refused']);
  });
});

describe('HTTP messages', () => {
  const read = (parts: Uint8Array[]): string[] => {
    const log: string[] = [];
    const reader = new HttpReader((head: Head) => {
      log.push(`${head.start}|${head.headers.map(([k, v]) => `${k}=${v}`).join()}`);
      return framingOf(head, 'none');
    }, (data) => log.push(`+${new TextDecoder().decode(data)}`), () => log.push('.'));
    for (const part of parts) reader.push(part);
    // Bodies come in any pieces.
    return log.join('').replace(/\+/g, '').split('.');
  };

  it('are the same however they are cut', () => {
    const text = 'POST /a HTTP/1.1\r\nContent-Length: 5\r\nX:  y \r\n\r\nhello\r\nGET /b HTTP/1.1\nTransfer-Encoding: chunked\n\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\nGET /c HTTP/1.1\r\n\r\n';
    const whole = read([toBytes(text)]);
    expect(whole).toEqual(['POST /a HTTP/1', '1|content-length=5,x=yhello', 'GET /b HTTP/1', '1|transfer-encoding=chunkedabcde', 'GET /c HTTP/1', '1|', '']);
    fc.assert(fc.property(fc.array(fc.nat(text.length)), (cuts) => {
      const places = [0, ...cuts.sort((a, b) => a - b), text.length];
      expect(read(places.slice(1).map((end, n) => toBytes(text.slice(places[n], end))))).toEqual(whole);
    }));
  });

  it('may be anything, and throw nothing but HttpError', () => {
    fc.assert(fc.property(fc.array(fc.oneof(fc.uint8Array({ maxLength: 60 }), fc.constantFrom('GET / HTTP/1.1\r\n', 'Transfer-Encoding: chunked\r\n', 'Content-Length: 3\r\n', '\r\n', '5\r\n', 'ffffffff\r\n', '0\r\n').map(toBytes))), (parts) => {
      try {
        read(parts);
      } catch (error) {
        expect(error).toBeInstanceOf(HttpError);
      }
    }));
  });
});
