// Network cards in one guest, emulated ones and the paravirtual one, in Tabvisor, v86 and QEMU. guest/mix/net.c is what runs in the guest; the
// far end is here, on this computer's loopback, which the machines' user-mode networks show to the guest as 10.0.2.2.

import { createSocket } from 'node:dgram';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { deviceGuest } from './device-guest.ts';
import {
  benchDevices, type Column, type DeviceCase, type DeviceRatio, deviceRatios, type DeviceResult, type DeviceTest, deviceTables, exits, medianMicroseconds, megabytes,
  operations, p99Microseconds,
} from './device-tests.ts';
import type { LinuxGuest } from './guests.ts';
import type { Peer } from './peers/peer.ts';

/** Where v86 can take part. */
const ARCH = 'i386';
const PATTERN = 65536;

/** What net.c sends and expects: the bytes of every 64 KiB of a stream. */
const pattern = Buffer.alloc(2 * PATTERN);
for (let n = 0; n < pattern.length; n++) pattern[n] = (n * 7) ^ (n >> 8);

export interface FarEnd {
  port: number;
  /** What was wrong with what arrived. */
  complaints: string[];
  close(): Promise<void>;
}

/** A stream's first four bytes are an order: S (the guest sends, and is told how much arrived) or R (it receives, for so many ms). */
function serveStream(socket: Socket, complain: (text: string) => void): void {
  let order = Buffer.alloc(0);
  let received = 0;
  socket.setNoDelay(true);
  socket.on('error', () => {});
  const take = (data: Buffer) => {
    for (let at = 0; at < data.length;) {
      const from = received % PATTERN;
      const count = Math.min(data.length - at, PATTERN);
      if (data.compare(pattern, from, from + count, at, at + count) !== 0) complain(`a stream is wrong somewhere behind its byte ${received}`);
      received += count;
      at += count;
    }
  };
  socket.on('data', (data: Buffer) => {
    if (order.length === 4) return take(data);
    order = Buffer.concat([order, data]);
    if (order.length < 4) return;
    const rest = order.subarray(4);
    order = order.subarray(0, 4);
    if (order[0] === 0x53) return take(rest);
    const end = performance.now() + order.readUInt16LE(1);
    const block = pattern.subarray(0, PATTERN);
    const push = () => {
      while (performance.now() < end) if (!socket.write(block)) return void socket.once('drain', push);
      socket.end();
    };
    push();
  });
  socket.on('end', () => {
    if (order[0] !== 0x53) return;
    const count = Buffer.alloc(8);
    count.writeBigUInt64LE(BigInt(received));
    socket.end(count);
  });
}

/** Datagrams begin with an order: E (send it back), S (count it), Z (count from zero), Q (tell the count, as the number of an answer). */
export async function openFarEnd(): Promise<FarEnd> {
  const complaints: string[] = [];
  const complain = (text: string) => void complaints.push(text);
  const server = createServer({ allowHalfOpen: true }, (socket) => serveStream(socket, complain));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const udp = createSocket({ type: 'udp4', recvBufferSize: 4 << 20 });
  let count = 0;
  udp.on('message', (data, from) => {
    const reply = (bytes: Buffer) => udp.send(bytes, from.port, from.address);
    switch (String.fromCharCode(data[0])) {
      case 'E': return reply(data);
      case 'Z': count = 0; return;
      case 'S': {
        if (data.length !== 64 || data[63] !== ((data.readUInt32LE(1) * 7 + 63) & 0xff)) complain('a datagram is wrong');
        count++;
        return;
      }
      case 'Q': {
        const answer = Buffer.from(data);
        answer.writeUInt32LE(count, 1);
        for (let n = 5; n < answer.length; n++) answer[n] = (Math.imul(count, 7) + n) & 0xff;
        return reply(answer);
      }
    }
  });
  await new Promise<void>((resolve) => udp.bind(port, '127.0.0.1', resolve));
  return {
    port, complaints,
    async close() {
      udp.close();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

type Card = 'ne2k_pci' | 'rtl8139' | 'e1000' | 'virtio-net';
const CARDS: readonly Card[] = ['ne2k_pci', 'rtl8139', 'e1000', 'virtio-net'];
const MODULES: Record<Card, readonly string[]> = { ne2k_pci: ['ne2k_pci'], rtl8139: ['8139cp'], e1000: ['e1000'], 'virtio-net': ['virtio_pci', 'virtio_net'] };
const MODEL: Record<Card, string> = { ne2k_pci: 'ne2k_pci', rtl8139: 'rtl8139', e1000: 'e1000', 'virtio-net': 'virtio-net-pci' };
/** v86's names of the cards that it has. */
const V86_MODEL: Partial<Record<Card, string>> = { ne2k_pci: 'ne2k', 'virtio-net': 'virtio' };

/** @param tests of net.c; without them all */
export function networkGuest(card: Card, port: number, ms: number, tests?: readonly string[]): LinuxGuest {
  const wait = (condition: string) => `n=0; while ! ${condition} && [ $n -lt 100 ]; do sleep 0.1; n=$((n + 1)); done`;
  const setup = ['ip link set lo up', wait('[ -e /sys/class/net/eth0 ]'), 'ip link set eth0 up', 'ip addr add 10.0.2.15/24 dev eth0', wait('grep -q 1 /sys/class/net/eth0/carrier')];
  return {
    ...deviceGuest(`net-${card}`, ARCH, MODULES[card], ['mount -t sysfs sysfs /sys', ...setup], 'net', ['host=10.0.2.2', `port=${port}`, `ms=${ms}`, ...(tests ? [`tests=${tests.join(',')}`] : [])]),
    more: ['-netdev', 'user,id=net0', '-device', `${MODEL[card]},netdev=net0,mac=52:54:00:12:34:56`],
    v86: { net_device: { type: V86_MODEL[card] } },
  };
}

export async function benchNetwork(peers: readonly Peer[], runs: number, timeS: number, say: (text: string) => void): Promise<DeviceResult[]> {
  const farEnd = await openFarEnd();
  try {
    const cases = CARDS.map((card): DeviceCase => ({
      device: card,
      guest: networkGuest(card, farEnd.port, Math.round(timeS * 1000)),
      refuses: (peer) => (peer.name.includes('chromium') ? 'a page has no sockets' : peer.name.startsWith('v86') && !V86_MODEL[card] ? `v86 has no ${card}` : undefined),
      prepare: () => void farEnd.complaints.splice(0),
      complaint: () => farEnd.complaints[0],
    }));
    return await benchDevices('net', cases, peers, runs, say);
  } finally {
    await farEnd.close();
  }
}

/** Exits for as many bytes as a packet of TCP has on Ethernet. */
const SEGMENT = 1448;
const exitsASegment = (test: DeviceTest) => (test.exits === undefined ? undefined : test.exits / (test.bytes / SEGMENT));

const COLUMNS: readonly Column[] = [
  { title: 'TCP out, MB/s', test: 'tcp-send', of: megabytes, decimals: 2 },
  { title: 'TCP in, MB/s', test: 'tcp-receive', of: megabytes, decimals: 2 },
  { title: 'datagrams out/s', test: 'udp-send', of: operations, decimals: 0 },
  { title: 'there and back/s, 32 under way', test: 'echo-32', of: operations, decimals: 0 },
  { title: 'ping, median µs', test: 'ping', of: medianMicroseconds, decimals: 0 },
  { title: 'p99', test: 'ping', of: p99Microseconds, decimals: 0 },
  { title: 'exits a datagram out', test: 'udp-send', of: exits, decimals: 2 },
  { title: 'a packet of TCP out', test: 'tcp-send', of: exitsASegment, decimals: 2 },
  { title: 'of TCP in', test: 'tcp-receive', of: exitsASegment, decimals: 2 },
  { title: 'a ping', test: 'ping', of: exits, decimals: 2 },
];
const SPEEDS = ['tcp-send', 'tcp-receive', 'udp-send', 'echo-32', 'ping'];

export const networkRatios = (results: readonly DeviceResult[]): DeviceRatio[] => deviceRatios(results, SPEEDS, 'virtio-net');
export const networkTables = (results: readonly DeviceResult[]): string => deviceTables(`network, ${ARCH}`, results, COLUMNS, SPEEDS, 'virtio-net');
