// The host's side of the user-mode network, with Node's own sockets as the peers.

import { createHash } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { ChannelEnd, hostBell, watchBell } from './channel.ts';
import { NodeSockets, type SocketOptions } from './sockets-node.ts';
import { RemoteSockets, SocketServer } from './remote-sockets.ts';
import { type Forward, type HostStream, type HostStreamEvents, STREAM_CREDIT } from './user/host.ts';

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

/** A machine's end over a channel to real sockets; polled as a machine does when its doorbell rings. */
async function rig(options: SocketOptions = {}, forwards: Forward[] = []): Promise<{ remote: RemoteSockets; sockets: NodeSockets; server: SocketServer }> {
  const channel = ChannelEnd.allocate();
  const sockets = new NodeSockets(options);
  await sockets.listen(forwards);
  const remote = new RemoteSockets(new ChannelEnd(channel, 'machine', hostBell(channel)));
  const server = new SocketServer(new ChannelEnd(channel, 'host', () => void setImmediate(() => remote.poll())), sockets);
  const stop = watchBell(channel, () => server.look());
  cleanups.push(stop, () => sockets.close());
  return { remote, sockets, server };
}

async function listen(serve: (socket: Socket) => void): Promise<number> {
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    serve(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** A stream whose events are kept, and waited for. */
class Client implements HostStreamEvents {
  stream!: HostStream;
  log: string[] = [];
  readonly chunks: Uint8Array[] = [];
  takes = true;
  private waiting: (() => void)[] = [];

  opened(): void { this.note('opened'); }
  data(bytes: Uint8Array): void {
    this.chunks.push(bytes.slice());
    if (this.takes) this.stream.taken(bytes.length);
    this.note('data');
  }
  ended(): void { this.note('ended'); }
  failed(error: string): void { this.note(error); }
  writable(): void { this.note('writable'); }
  private note(what: string): void {
    this.log.push(what);
    for (const go of this.waiting.splice(0)) go();
  }
  async until(what: string): Promise<void> {
    while (!this.log.includes(what)) await this.next();
  }
  next(): Promise<void> {
    return new Promise((resolve) => this.waiting.push(resolve));
  }
  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }
}

const open = (remote: RemoteSockets, port: number, address = 'host'): Client => {
  const client = new Client();
  client.stream = remote.connect(address, port, client);
  return client;
};
const blob = Buffer.from(Uint8Array.from({ length: 3_000_000 }, (_, n) => n * 31 + (n >> 9)));
const md5 = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('hex');

describe('TCP', () => {
  it('carries megabytes both ways and ends in order', async () => {
    const port = await listen((socket) => {
      const chunks: Buffer[] = [];
      socket.on('data', (data) => void chunks.push(data as Buffer));
      socket.on('end', () => socket.end(Buffer.concat(chunks)));
    });
    const { remote, server } = await rig();
    const client = open(remote, port);
    await client.until('opened');
    for (let at = 0; at < blob.length; ) {
      const n = Math.min(client.stream.room, 50_000, blob.length - at);
      if (n > 0) client.stream.write(blob.subarray(at, at + n));
      else await client.next();
      at += n;
    }
    client.stream.end();
    await client.until('ended');
    expect(md5(client.bytes)).toBe(md5(blob));
    expect(server.open).toBe(0);
  });

  it('brings no more than its credit to a guest that takes nothing', async () => {
    let sent = 0;
    const port = await listen((socket) => {
      socket.write(blob);
      sent = socket.bytesWritten;
    });
    const { remote } = await rig();
    const client = open(remote, port);
    client.takes = false;
    await client.until('data');
    // Whatever is on its way has come when an echo behind it is back.
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(client.bytes.length).toBeLessThanOrEqual(STREAM_CREDIT);
    client.takes = true;
    client.stream.taken(client.bytes.length);
    while (client.bytes.length < blob.length) await client.next();
    expect(sent).toBeGreaterThan(0);
    client.stream.abort();
  });

  it('has no room for a far end that reads nothing', async () => {
    let reader!: Socket;
    const port = await listen((socket) => {
      reader = socket;
      socket.pause();
    });
    const { remote } = await rig();
    const client = open(remote, port);
    await client.until('opened');
    let written = 0;
    while (written < 50_000_000) {
      const { room } = client.stream;
      if (room === 0) {
        const before = client.log.length;
        await Promise.race([client.next(), new Promise((resolve) => setTimeout(resolve, 300))]);
        if (client.log.length === before) break;
        continue;
      }
      client.stream.write(new Uint8Array(room));
      written += room;
    }
    expect(written).toBeLessThan(50_000_000);
    expect(client.stream.room).toBe(0);
    reader.resume();
    await client.until('writable');
    client.stream.abort();
  });

  it('tells why it fails', async () => {
    const port = await listen((socket) => void socket.on('data', () => socket.resetAndDestroy()));
    const { remote, server } = await rig({ allow: (address) => address !== '10.1.2.3' });
    const closed = await listen(() => {});
    cleanups.splice(cleanups.length - 1, 1)[0]();
    const refused = open(remote, closed);
    await refused.until('refused');
    const forbidden = open(remote, 80, '10.1.2.3');
    await forbidden.until('forbidden');
    const client = open(remote, port);
    await client.until('opened');
    client.stream.write(Uint8Array.of(1));
    await client.until('reset');
    expect(server.open).toBe(0);
  });

  it('resets the far end when the guest does', async () => {
    const gone = new Promise<string>((resolve) => void listen((socket) => void socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''))).then(async (port) => {
      const { remote } = await rig();
      const client = open(remote, port);
      await client.until('opened');
      client.stream.abort();
    }));
    expect(await gone).toBe('ECONNRESET');
  });

  it('leads from a port of the host to the guest', async () => {
    const { remote, sockets } = await rig({}, [{ protocol: 'tcp', hostAddress: '127.0.0.1', hostPort: 0, guestAddress: '10.0.2.15', guestPort: 22 }]);
    const accepted = new Promise<Client>((resolve) => {
      remote.onAccept = ({ guestAddress, guestPort, address, stream }) => {
        expect([guestAddress, guestPort, address]).toEqual(['10.0.2.15', 22, 'host']);
        const client = new Client();
        client.stream = stream;
        resolve(client);
        return client;
      };
    });
    const socket = connect(sockets.ports[0], '127.0.0.1');
    socket.write('hello');
    const client = await accepted;
    await client.until('data');
    expect(client.bytes.toString()).toBe('hello');
    client.stream.write(Buffer.from('world'));
    client.stream.end();
    const text = await new Promise<string>((resolve) => void socket.once('data', (data) => resolve(String(data))));
    expect(text).toBe('world');
    socket.destroy();
  });

  it('says which port could not be opened', async () => {
    const port = await listen(() => {});
    await expect(rig({}, [{ protocol: 'tcp', hostAddress: '127.0.0.1', hostPort: port, guestAddress: '10.0.2.15', guestPort: 22 }])).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });
});

describe('UDP', () => {
  it('goes out and comes back, from the name server under its name', async () => {
    const echo = createSocket('udp4');
    echo.on('message', (data, { port, address }) => echo.send(data, port, address));
    await new Promise<void>((resolve) => echo.bind(0, '127.0.0.1', resolve));
    cleanups.push(() => echo.close());
    const { port } = echo.address();
    const { remote, server } = await rig({ nameServer: { address: '127.0.0.1', port } });
    const answer = await new Promise((resolve) => {
      const socket = remote.udp((address, fromPort, data) => {
        socket.close();
        resolve([address, fromPort, [...data]]);
      });
      socket.send('nameserver', 53, Uint8Array.of(1, 2, 3));
    });
    expect(answer).toEqual(['nameserver', 53, [1, 2, 3]]);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(server.open).toBe(0);
  });

  it('says which forwarded port is taken', async () => {
    const taken = createSocket('udp4');
    await new Promise<void>((resolve) => taken.bind(0, '127.0.0.1', resolve));
    cleanups.push(() => taken.close());
    await expect(rig({}, [{ protocol: 'udp', hostAddress: '127.0.0.1', hostPort: taken.address().port, guestAddress: '10.0.2.15', guestPort: 53 }])).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });
});

describe('a full ring', () => {
  it('holds messages back in order, and wakes when there is room', () => {
    const buffer = ChannelEnd.allocate();
    let woken = 0;
    const writer = new ChannelEnd(buffer, 'machine', () => {});
    const reader = new ChannelEnd(buffer, 'host', () => void woken++);
    let sent = 0;
    while (writer.send(1, sent, sent * 2, new Uint8Array(60_001).fill(sent))) sent++;
    expect(sent).toBe(34);
    for (let n = 0; n < 100; n++) {
      const message = reader.receive()!;
      expect([message.id, message.argument, message.payload.length, message.payload[60_000]]).toEqual([n, n * 2, 60_001, n]);
      expect(woken).toBe(1);
      expect(writer.send(1, sent, sent * 2, new Uint8Array(60_001).fill(sent))).toBe(true);
      sent++;
    }
  });
});
