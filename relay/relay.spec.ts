import { readFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { ChannelEnd, hostBell } from '../src/backends/net/channel.ts';
import { FrameCarrier, LinkBackend } from '../src/backends/net/link.ts';
import { RelayClient, type SocketLike } from '../src/backends/net/relay-client.ts';
import { buildArp, parseArp } from '../src/backends/net/user/arp.ts';
import { NodeSockets, SocketBudget } from '../src/backends/net/sockets-node.ts';
import type { HostStream } from '../src/backends/net/user/host.ts';
import { NO_OFFLOADS } from '../src/devices/net/offload.ts';
import { attachTap, listenForStreams } from './attachments.ts';
import { FrameDecoder } from './framing.ts';
import { attachNat } from './nat.ts';
import { helpText, parseCommandLine, UsageError } from './options.ts';
import { isAllowed, parseNetwork } from './policy.ts';
import { Switch } from './switch.ts';
import { ALL, cleanups, Client, frame, mac, relay } from './testing.ts';

describe('a room', () => {
  it('is a switch that learns, apart from other rooms', async () => {
    const { port } = await relay();
    const [a, b, c, other] = await Promise.all([Client.open(port, '/x'), Client.open(port, '/x'), Client.open(port, '/x'), Client.open(port, '/y')]);
    a.socket.send(frame(ALL, mac(1), 'to all'));
    await b.until(() => b.got.length === 1);
    await c.until(() => c.got.length === 1);
    expect(b.got[0]).toEqual(frame(ALL, mac(1), 'to all'));
    b.socket.send(frame(mac(1), mac(2), 'to one'));
    await a.until(() => a.got.length === 1);
    b.socket.send(frame(ALL, mac(2), 'end'));
    await c.until(() => c.got.length === 2);
    expect(String(c.got[1])).toContain('end');
    expect(other.got).toEqual([]);
  });

  it('forgets addresses of ports that are gone, and bounds what it knows', () => {
    const got: string[] = [];
    const ports = ['a', 'b', 'c'].map((name) => ({ deliver: () => void got.push(name) }));
    const segment = new Switch(() => 0);
    for (const port of ports) segment.add(port);
    segment.forward(ports[0], frame(ALL, mac(1)));
    got.length = 0;
    segment.forward(ports[1], frame(mac(1), mac(2)));
    expect(got).toEqual(['a']);
    segment.remove(ports[0]);
    segment.forward(ports[1], frame(mac(1), mac(2)));
    expect(got).toEqual(['a', 'c']);
    for (let n = 0; n < 10_000; n++) segment.forward(ports[1], frame(ALL, [2, 0, 0, 9, n >> 8, n & 255]));
    got.length = 0;
    segment.forward(ports[2], frame(mac(2), mac(3)));
    // Address 2 was pushed out: all ports get it.
    expect(got).toEqual(['b']);
  });
});

describe('a switch', () => {
  it('does not forget others\' addresses for those that one port makes up', () => {
    const segment = new Switch(() => 0);
    const got: string[] = [];
    const ports = ['a', 'b', 'c'].map((name) => ({ deliver: () => void got.push(name) }));
    for (const port of ports) segment.add(port);
    segment.forward(ports[0], frame(ALL, mac(1)));
    for (let n = 0; n < 20_000; n++) segment.forward(ports[1], frame(ALL, [2, 0, 0, 9, n >> 8, n & 255]));
    got.length = 0;
    segment.forward(ports[2], frame(mac(1), mac(3)));
    expect(got).toEqual(['a']);
    // An address that has moved is the new port's, also when the old one goes.
    segment.forward(ports[1], frame(ALL, mac(1)));
    segment.remove(ports[0]);
    got.length = 0;
    segment.forward(ports[2], frame(mac(1), mac(3)));
    expect(got).toEqual(['b']);
  });

  it('keeps to itself what is for one end of a cable', () => {
    const segment = new Switch(() => 0);
    const got: number[] = [];
    const from = { deliver() {} };
    segment.add(from);
    segment.add({ deliver: (f) => void got.push(f[5]) });
    // Spanning tree, PAUSE, LLDP; and the first group address behind them.
    for (const last of [0, 1, 0x0e, 0x0f, 0x10]) segment.forward(from, frame([1, 0x80, 0xc2, 0, 0, last], mac(1)));
    expect(got).toEqual([0x10]);
  });
});

describe('who may come in', () => {
  it('is who has the token', async () => {
    const { port, relay: it } = await relay({ tokens: new Map([['x', 'secret'], ['', 'other']]) });
    const good = await Client.open(port, '/x?token=secret');
    await Client.open(port, '/y', { headers: { authorization: 'Bearer other' } });
    for (const path of ['/x', '/x?token=other', '/y?token=secret']) {
      const bad = await Client.open(port, path);
      await bad.until(() => bad.closed !== undefined);
      expect(bad.closed).toEqual({ code: 1008, reason: 'wrong token' });
    }
    expect(good.closed).toBeUndefined();
    expect([it.metrics.get('clients'), it.metrics.get('refused_total')]).toEqual([2, 3]);
  });

  it('is a page of an origin that is allowed, and any program', async () => {
    const { port } = await relay();
    await Client.open(port, '/', { origin: 'http://localhost:5173' });
    await expect(Client.open(port, '/', { origin: 'https://evil.example' })).rejects.toThrow('403');
    await expect(Client.open(port, '/', { origin: 'null' })).rejects.toThrow('403');
    const listed = await relay({ origins: ['https://vm.example'] });
    await Client.open(listed.port, '/', { origin: 'https://vm.example' });
    await expect(Client.open(listed.port, '/', { origin: 'http://localhost' })).rejects.toThrow('403');
  });

  it('finds rooms that are there, while there is room', async () => {
    const { port } = await relay({ rooms: new Set(['x']), maxRoomClients: 1 });
    await expect(Client.open(port, '/z')).rejects.toThrow('404');
    await expect(Client.open(port, '/x%2f..')).rejects.toThrow('404');
    await Client.open(port, '/x');
    await expect(Client.open(port, '/x')).rejects.toThrow('503');
  });
});

describe('a client that breaks the rules is disconnected, and it alone:', () => {
  const bystanders = async (port: number): Promise<[Client, Client]> => [await Client.open(port), await Client.open(port)];
  const stillTalk = async ([a, b]: [Client, Client]): Promise<void> => {
    const before = b.got.length;
    a.socket.send(frame(ALL, mac(1), 'hello'));
    await b.until(() => b.got.length > before);
    expect([a.closed, b.closed]).toEqual([undefined, undefined]);
  };

  it.each([
    ['text', (c: Client) => c.socket.send('hello'), 1003],
    ['a frame without a header', (c: Client) => c.socket.send(Buffer.alloc(13)), 1003],
    ['a frame that is too long', (c: Client) => c.socket.send(Buffer.alloc(1523)), 1009],
    ['what is no WebSocket frame', (c: Client) => (c.socket as unknown as { _socket: Socket })._socket.write(Buffer.alloc(64, 0xff)), 1002],
  ])('%s', async (_name, send, code) => {
    const { port } = await relay();
    const others = await bystanders(port);
    const bad = await Client.open(port);
    send(bad);
    bad.socket.send(frame(ALL, mac(9), 'behind it'));
    await bad.until(() => bad.closed !== undefined);
    expect([code, 1006]).toContain(bad.closed!.code);
    await stillTalk(others);
    expect(others[1].got.some((data) => String(data).includes('behind it'))).toBe(false);
  });

  it('one that does not read', async () => {
    const { port, relay: it } = await relay({ slowMs: 100, buffered: 100_000 });
    const others = await bystanders(port);
    const slow = await Client.open(port);
    (slow.socket as unknown as { _socket: Socket })._socket.pause();
    const data = Buffer.concat([frame(ALL, mac(1)), Buffer.alloc(1400)]);
    while (it.metrics.get('slow_total') === 0) {
      for (let n = 0; n < 500; n++) others[0].socket.send(data);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(it.metrics.get('frames_dropped_total')).toBeGreaterThan(0);
    (slow.socket as unknown as { _socket: Socket })._socket.resume();
    await slow.until(() => slow.closed !== undefined);
    await stillTalk(others);
  }, 60_000);

  it('one that is silent', async () => {
    const { port, relay: it } = await relay({ idleMs: 1 });
    const silent = await Client.open(port);
    await silent.until(() => silent.closed !== undefined);
    expect(silent.closed).toEqual({ code: 1001, reason: 'idle' });
    expect(it.metrics.get('idle_total')).toBe(1);
  });

  it('one that is too fast is held up, and loses nothing', async () => {
    const { port, relay: it } = await relay({ rate: 200_000, burst: 20_000 });
    const fast = await Client.open(port);
    const reader = await Client.open(port);
    for (let n = 0; n < 100; n++) fast.socket.send(Buffer.concat([frame(ALL, mac(1)), Buffer.alloc(940)]));
    await reader.until(() => reader.got.length === 100);
    expect(it.metrics.get('throttled_total')).toBeGreaterThan(0);
  });

  it('not one whose answers to pings wait behind what it sends', async () => {
    const { port } = await relay({ pingMs: 40 });
    const busy = await Client.open(port, '/', { autoPong: false });
    let pings = 0;
    busy.socket.on('ping', () => { pings++; });
    while (pings < 4 && !busy.closed) {
      busy.socket.send(frame(ALL, mac(1)));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(busy.closed).toBeUndefined();
    await busy.until(() => busy.closed !== undefined);
    expect(busy.closed!.code).toBe(1006);
  });
});

describe('a hostile connection does not end the relay, nor stay:', () => {
  /** Bytes to the relay, from a side that never closes by itself. */
  function raw(port: number, text: string): { socket: Socket; got: () => string } {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    let got = '';
    socket.on('data', (data) => { got += String(data); });
    socket.on('error', () => {});
    cleanups.push(() => socket.destroy());
    socket.write(text);
    return { socket, got: () => got };
  }
  const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
  const handshake = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ${KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n`;

  it.each(['//', 'http://[', 'http://a:b'])('a request for %s', async (target) => {
    const { port } = await relay();
    const { socket, got } = raw(port, `GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    await new Promise((resolve) => socket.once('end', resolve));
    expect(got()).toMatch(/^HTTP\/1\.1 426 /);
    expect(await (await fetch(`http://127.0.0.1:${port}/healthz`)).text()).toBe('ok\n');
  });

  it('a wrong token, and then no WebSocket frames', async () => {
    const { port } = await relay({ tokens: new Map([['', 'secret']]) });
    const { socket } = raw(port, handshake('/x'));
    await new Promise((resolve) => socket.once('data', resolve));
    const ended = new Promise((resolve) => socket.once('end', resolve));
    socket.write(Buffer.alloc(64, 0xff));
    await ended;
    expect(await (await fetch(`http://127.0.0.1:${port}/healthz`)).text()).toBe('ok\n');
  });

  it('a refused one that never closes its side', async () => {
    const { port, relay: it } = await relay({ rooms: new Set(['x']) });
    const { socket, got } = raw(port, handshake('/none'));
    await new Promise<void>((resolve) => socket.once('end', resolve));
    expect(got()).toMatch(/^HTTP\/1\.1 404 /);
    // What it sends now is answered by a reset, and an end of the relay does not wait for it.
    const gone = new Promise((resolve) => socket.on('close', resolve));
    const timer = setInterval(() => socket.write('more'), 5);
    await gone;
    clearInterval(timer);
    expect(it.metrics.get('refused_total')).toBe(1);
  });

  it('one that answers neither close nor an end of the relay', async () => {
    const { port, relay: it } = await relay({ tokens: new Map([['', 'secret']]) });
    const { socket } = raw(port, handshake('/x'));
    await new Promise((resolve) => socket.once('data', resolve));
    await it.close();
  });
});

describe('metrics', () => {
  it('are Prometheus\'s text', async () => {
    const { port } = await relay();
    const client = await Client.open(port);
    client.socket.send(frame(ALL, mac(1)));
    client.socket.ping();
    await new Promise((resolve) => client.socket.once('pong', resolve));
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    expect(text).toMatch(/^# TYPE tabvisor_relay_clients gauge\ntabvisor_relay_clients 1$/m);
    expect(text).toMatch(/^tabvisor_relay_frames_received_total 1$/m);
    for (const line of text.trim().split('\n')) expect(line).toMatch(/^# (HELP|TYPE) \w+ .+$|^\w+ \d+$/);
  });
});

describe('an end', () => {
  it('is told to clients', async () => {
    const { port, relay: it } = await relay();
    const client = await Client.open(port);
    await it.close();
    await client.until(() => client.closed !== undefined);
    expect(client.closed).toEqual({ code: 1001, reason: 'the relay ends' });
  });
});

describe('the way out', () => {
  it('is there for each room, and refuses private destinations', async () => {
    const refused: string[] = [];
    const { port } = await relay({ furnish: (_room, segment) => [attachNat(segment, { allow: [], allowHost: false, refused: (address) => refused.push(address) })] });
    const guest = await Client.open(port, '/x');
    const own = Uint8Array.from(mac(5));
    guest.socket.send(buildArp(1, own, Uint8Array.of(10, 0, 2, 20), Uint8Array.of(10, 0, 2, 2)));
    await guest.until(() => guest.got.length === 1);
    expect(parseArp(guest.got[0])?.senderIp.join('.')).toBe('10.0.2.2');
    // SYNs to the relay's own machine and to its network: RST.
    for (const to of [[10, 0, 2, 2], [192, 168, 0, 1], [169, 254, 169, 254]]) {
      const before = guest.got.length;
      guest.socket.send(syn(own, to));
      await guest.until(() => guest.got.length > before);
      expect(guest.got.at(-1)![14 + 20 + 13] & 4).toBe(4);
    }
    expect(refused).toEqual(['127.0.0.1', '192.168.0.1', '169.254.169.254']);
  });

  it('does not lead to the relay\'s machine by a public address of its own', async () => {
    const refused: string[] = [];
    const { port } = await relay({ furnish: (_room, segment) => [attachNat(segment, { allow: [parseNetwork('8.0.0.0/8')!], allowHost: false, own: () => ['8.1.2.3'], refused: (address) => refused.push(address) })] });
    const guest = await Client.open(port, '/x');
    guest.socket.send(syn(Uint8Array.from(mac(5)), [8, 1, 2, 3]));
    // Its answer waits for the guest's address.
    await guest.until(() => guest.got.length > 0);
    expect(refused).toEqual(['8.1.2.3']);
  });

  it('has so many sockets for all rooms, and gives them back', async () => {
    const budget = new SocketBudget(2);
    let [used, refused] = [0, 0];
    budget.changed = (now) => { used = now; };
    budget.refused = () => { refused++; };
    const server = createServer((socket) => socket.on('error', () => {}));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    cleanups.push(() => server.close());
    const target = (server.address() as { port: number }).port;
    const open = (sockets: NodeSockets): Promise<{ result: string; stream: HostStream }> => new Promise((resolve) => {
      const stream: HostStream = sockets.connect('127.0.0.1', target, {
        opened: () => resolve({ result: 'opened', stream }), failed: (error) => resolve({ result: error, stream }), data() {}, ended() {}, writable() {},
      });
    });
    const [a, b] = [new NodeSockets({ budget }), new NodeSockets({ budget })];
    const first = await open(a);
    const udp = b.udp(() => {});
    udp.send('127.0.0.1', target, Buffer.from('x'));
    expect([first.result, used, (await open(b)).result, refused]).toEqual(['opened', 2, 'refused', 1]);
    udp.close();
    first.stream.abort();
    while (used > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    expect((await open(b)).result).toBe('opened');
  });

  it('goes nowhere private by any name', () => {
    for (const address of ['127.0.0.1', '10.1.2.3', '172.31.255.255', '192.168.1.1', '169.254.169.254', '100.64.0.1', '0.0.0.0', '224.0.0.1', '255.255.255.255', '::1', '::', 'fe80::1', 'fd00::1', '::ffff:127.0.0.1', '::ffff:8.8.8.8', '64:ff9b::7f00:1', '2002:7f00:1::', '::ffff:0:127.0.0.1', '64:ff9b:1::a00:1', 'fec0::1', 'ff02::1', '2001:db8::1', '4000::1', '203.0.113.1', 'no address']) {
      expect(isAllowed(address, []), address).toBe(false);
    }
    for (const address of ['8.8.8.8', '172.32.0.1', '100.128.0.1', '2606:4700::1']) expect(isAllowed(address, []), address).toBe(true);
    const allowed = [parseNetwork('192.168.1.0/24')!];
    expect([isAllowed('192.168.1.7', allowed), isAllowed('192.168.2.7', allowed)]).toEqual([true, false]);
    expect([parseNetwork('1.2.3.4/33'), parseNetwork('x'), parseNetwork('1.2.3.4/a')]).toEqual([undefined, undefined, undefined]);
  });
});

/** A frame with a SYN from 10.0.2.20:1000 to port 80. */
function syn(from: Uint8Array, to: number[]): Buffer {
  const b = Buffer.alloc(54);
  b.set([0x52, 0x55, 10, 0, 2, 2, ...from, 8, 0, 0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 2, 20, ...to]);
  const sum = (at: number, end: number, initial: number): number => {
    let s = initial;
    for (let n = at; n < end; n += 2) s += b.readUInt16BE(n);
    while (s > 0xffff) s = (s & 0xffff) + (s >>> 16);
    return ~s & 0xffff;
  };
  b.writeUInt16BE(sum(14, 34, 0), 24);
  b.set([3, 232, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 255, 255], 34);
  b.writeUInt16BE(sum(34, 54, b.readUInt16BE(26) + b.readUInt16BE(28) + b.readUInt16BE(30) + b.readUInt16BE(32) + 6 + 20), 50);
  return b;
}

describe('QEMU\'s framing on a stream', () => {
  it('joins a room with what speaks it', async () => {
    const { port, relay: it } = await relay();
    const path = join(tmpdir(), `tabvisor-relay-${process.pid}.socket`);
    cleanups.push(await listenForStreams(it.segment('x'), path));
    const client = await Client.open(port, '/x');
    const stream = connect(path);
    cleanups.push(() => stream.destroy());
    const hello = frame(ALL, mac(7), 'from QEMU');
    // In pieces, as streams are.
    const message = Buffer.concat([Buffer.from([0, 0, 0, hello.length]), hello]);
    stream.write(message.subarray(0, 2));
    await new Promise((resolve) => setTimeout(resolve, 10));
    stream.write(message.subarray(2));
    await client.until(() => client.got.length === 1);
    expect(client.got[0]).toEqual(hello);
    const back = new Promise<Buffer>((resolve) => stream.once('data', (data) => resolve(data as Buffer)));
    client.socket.send(frame(mac(7), mac(8), 'back'));
    expect(await back).toEqual(Buffer.concat([Buffer.from([0, 0, 0, 60]), frame(mac(7), mac(8), 'back')]));
    stream.write(Buffer.from([0xff, 0xff, 0xff, 0xff]));
    await new Promise((resolve) => stream.once('close', resolve));
  });

  it('comes apart the same however it is cut', () => {
    fc.assert(fc.property(fc.array(fc.uint8Array({ minLength: 14, maxLength: 300 }), { maxLength: 10 }), fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1 }), (frames, cuts) => {
      const bytes = Buffer.concat(frames.flatMap((f) => [Buffer.from([0, 0, f.length >> 8, f.length & 255]), f]));
      const decoder = new FrameDecoder();
      const got: Uint8Array[] = [];
      for (let at = 0, n = 0; at < bytes.length; at += cuts[n++ % cuts.length]) decoder.push(bytes.subarray(at, at + cuts[n % cuts.length]), (f) => got.push(Uint8Array.from(f)));
      expect(got).toEqual(frames);
    }));
  });
});

describe('a machine\'s cable to a relay', () => {
  /** A machine's end, polled whenever its doorbell rings. */
  function cable(url: string): { link: LinkBackend; got: Uint8Array[]; states: string[]; changes: boolean[] } {
    const channel = ChannelEnd.allocate();
    const link = new LinkBackend(new ChannelEnd(channel, 'machine', hostBell(channel)), `relay,url=${url}`);
    const [got, states, changes]: [Uint8Array[], string[], boolean[]] = [[], [], []];
    link.attach({ accepts: NO_OFFLOADS, receive: (f) => got.push(f.slice()) > 0, drained() {}, linkChanged: (up) => void changes.push(up) });
    const carrier = new FrameCarrier(new ChannelEnd(channel, 'host', () => setImmediate(() => {
      link.poll();
      states.push(link.describe());
    })));
    const client = new RelayClient({ connect: () => new WebSocket(url) as unknown as SocketLike, carrier, now: () => performance.now(), later: (call, ms) => void setTimeout(call, ms / 20), random: () => 0.5 });
    cleanups.push(() => client.close());
    const timer = setInterval(() => carrier.look(), 5);
    cleanups.push(() => clearInterval(timer));
    return { link, got, states, changes };
  }
  const until = async (isThere: () => boolean): Promise<void> => {
    while (!isThere()) await new Promise((resolve) => setTimeout(resolve, 5));
  };

  it('carries frames, and comes back when the relay does', async () => {
    const first = await relay();
    const a = cable(`ws://127.0.0.1:${first.port}/lan`);
    const b = cable(`ws://127.0.0.1:${first.port}/lan`);
    await until(() => a.link.linkUp && b.link.linkUp);
    a.link.send(frame(ALL, mac(1), 'one'));
    await until(() => b.got.length === 1);
    expect(Buffer.from(b.got[0])).toEqual(frame(ALL, mac(1), 'one'));
    await first.relay.close();
    await until(() => !a.link.linkUp && !b.link.linkUp);
    // A cable that is out takes frames and loses them: the guest goes on.
    for (let n = 0; n < 10_000; n++) a.link.send(frame(ALL, mac(1)));
    expect(a.link.canSend).toBe(true);
    await relay({ port: first.port });
    await until(() => a.link.linkUp && b.link.linkUp);
    a.link.send(frame(ALL, mac(1), 'two'));
    await until(() => b.got.length === 2);
    expect(a.changes).toEqual([true, false, true]);
    expect(a.states.some((state) => /state=disconnected \(code 10\d\d.*next try in/.test(state))).toBe(true);
  }, 30_000);

  it('gives up on a relay that refuses its token', async () => {
    const { port } = await relay({ tokens: new Map([['', 'secret']]) });
    const a = cable(`ws://127.0.0.1:${port}/`);
    await until(() => a.states.some((state) => state.includes('refused (wrong token)')));
    expect(a.link.linkUp).toBe(false);
  });
});

describe('the command line', () => {
  it('is understood', () => {
    const line = parseCommandLine(['--port', '9000', '--room', 'x:secret', '--room', 'y', '--origin', '*', '--allow', '10.0.0.0/8', '--stream', 'x=/tmp/s', '--stream', 'localhost:99', '--tap', 'tap7', '--rate', '10M', '--idle', '60', '--max-pending', '9', '--max-address-pending', '8']);
    expect(line.relay).toMatchObject({ port: 9000, rooms: new Set(['x', 'y']), tokens: new Map([['x', 'secret']]), origins: ['*'], rate: 10 << 20, idleMs: 60_000, maxPending: 9, maxAddressPending: 8 });
    expect(line).toMatchObject({ nat: true, passt: false, streams: [{ room: 'x', where: '/tmp/s' }, { room: '', where: 'localhost:99' }], taps: [{ room: '', name: 'tap7' }] });
  });

  it('is refused by name', () => {
    for (const args of [['--bogus'], ['--port', '99999'], ['--port', 'x'], ['--room', 'a b'], ['--allow', 'x'], ['--passt', '--no-nat'], ['--max-pending', '0'], ['--max-address-pending', '0'], ['file']]) expect(() => parseCommandLine(args)).toThrow(UsageError);
    expect(helpText()).toContain('--room NAME[:TOKEN]');
  });
});

describe('a TAP interface', () => {
  it('has no name that a shell or the kernel would mind', async () => {
    await expect(attachTap(new Switch(), '../x')).rejects.toThrow(/name|root|socat/);
    expect(readFileSync('/proc/net/dev', 'utf8')).not.toContain('../x');
  });
});
