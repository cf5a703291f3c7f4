// Two Debian guests in bin/tabvisor: their own drivers and TCP/IP against the user-mode network, whose far ends are Node's sockets; and
// each other over a relay, which is ended and started again under them.

import { createHash } from 'node:crypto';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, connect, createServer } from 'node:net';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Relay } from '../../relay/server.ts';
import { guest, killAll, PATIENCE_MS, Shell } from '../headless/runner.ts';

const folder = mkdtempSync(join(tmpdir(), 'tabvisor-network-'));
const md5 = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('hex');
const blob = Buffer.from(Uint8Array.from({ length: 4_000_000 }, (_, n) => Math.imul(n ^ (n >> 9), 0x9e3779b1) >>> 24));

/** Gives the blob. */
const web = createHttpServer((_request, response) => response.end(blob));
/** Takes what is sent, and answers with its hash. */
const sink = createServer({ allowHalfOpen: true }, (socket) => {
  const hash = createHash('md5');
  socket.on('data', (data) => void hash.update(data));
  socket.on('end', () => socket.end(hash.digest('hex')));
});
let webPort: number;
let sinkPort: number;
let forwarded: number;
let relay: Relay;
let relayPort: number;
let a: Shell;
let b: Shell;

/** A port that is free at this moment. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}

beforeAll(async () => {
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
  webPort = (web.address() as AddressInfo).port;
  await new Promise<void>((resolve) => sink.listen(0, '127.0.0.1', resolve));
  sinkPort = (sink.address() as AddressInfo).port;
  forwarded = await freePort();
  writeFileSync(join(folder, 'file'), blob.subarray(0, 300_001));
  relay = new Relay({ port: 0 });
  relayPort = await relay.listen();
  const lan = ['-netdev', `relay,id=lan,url=ws://127.0.0.1:${relayPort}/test`];
  a = await Shell.boot(guest('amd64'), [
    '-netdev', `user,id=net,tftp=${folder},hostname=alice,hostfwd=tcp:127.0.0.1:${forwarded}-:8000`, '-device', 'virtio-net-pci,netdev=net',
    ...lan, '-device', 'virtio-net-pci,netdev=lan,mac=52:54:00:00:00:0a',
  ]);
  b = await Shell.boot(guest('amd64'), [...lan, '-device', 'virtio-net-pci,netdev=lan,mac=52:54:00:00:00:0b']);
  for (const shell of [a, b]) await shell.command('dmesg -n 1; modprobe -a virtio_pci virtio_net; sleep 1');
}, 2 * PATIENCE_MS);

afterAll(async () => {
  await killAll();
  await relay.close();
  web.close();
  sink.close();
  rmSync(folder, { recursive: true });
});

it('a guest gets its address by DHCP, and an IPv6 address by itself', async () => {
  expect(await a.command('udhcpc -i eth0 -n -q 2>&1 | grep obtained')).toContain('lease of 10.0.2.15 obtained from 10.0.2.2');
  expect(await a.command('ip route')).toContain('default via 10.0.2.2');
  expect(await a.command('cat /etc/resolv.conf')).toBe('nameserver 10.0.2.3');
  expect(await a.command('ping -c 2 10.0.2.2')).toContain('2 packets received');
  await a.command('sleep 2');
  expect(await a.command('ip -6 addr show eth0')).toMatch(/fec0::5054:ff:fe12:3456\/64/);
  expect(await a.command('ping -c 1 fec0::2')).toContain('1 packets received');
}, PATIENCE_MS);

it('TCP carries megabytes both ways, whole', async () => {
  expect(await a.command(`wget -q -O - http://10.0.2.2:${webPort}/blob | md5sum`)).toBe(`${md5(blob)}  -`);
  await a.command(`wget -q -O /tmp/blob http://10.0.2.2:${webPort}/blob`);
  expect(await a.command(`nc 10.0.2.2 ${sinkPort} < /tmp/blob; echo`)).toBe(md5(blob));
}, PATIENCE_MS);

it('the two hand each other unfinished segments of 64 KiB', async () => {
  // 5.1.3: GUEST_CSUM, MAC, GUEST_TSO4, GUEST_TSO6, GUEST_ECN, GUEST_UFO, HOST_TSO4, HOST_TSO6, HOST_ECN, HOST_UFO, MRG_RXBUF.
  const bits = await a.command('cat /sys/class/net/eth0/device/features');
  expect([1, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15].map((bit) => bits[bit]).join('')).toBe('11111111111');
  const count = async (what: string): Promise<number> => Number(await a.command(`cat /sys/class/net/eth0/statistics/${what}`));
  const counts = async (): Promise<number[]> => [await count('rx_bytes'), await count('rx_packets'), await count('tx_bytes'), await count('tx_packets')];
  const before = await counts();
  await a.command(`wget -q -O /dev/null http://10.0.2.2:${webPort}/blob; nc 10.0.2.2 ${sinkPort} -e dd if=/tmp/blob bs=256k`);
  const [received, receivedIn, sent, sentIn] = (await counts()).map((value, n) => value - before[n]);
  // Acknowledgements, which are small, count too.
  expect(received).toBeGreaterThan(blob.length);
  expect(received / receivedIn).toBeGreaterThan(5000);
  expect(sent).toBeGreaterThan(blob.length);
  expect(sent / sentIn).toBeGreaterThan(5000);
}, PATIENCE_MS);

it('a port where nobody listens is refused, and TFTP gives the folder\'s files alone', async () => {
  expect(await a.command(`nc 10.0.2.2 ${await freePort()} </dev/null 2>&1`)).toContain('refused');
  expect(await a.command('tftp -g -r file -l /tmp/file 10.0.2.2 && md5sum < /tmp/file')).toBe(`${md5(blob.subarray(0, 300_001))}  -`);
  expect(await a.command('tftp -g -r ../../etc/passwd -l /tmp/x 10.0.2.2 2>&1')).toContain('File not found');
}, PATIENCE_MS);

it('a port of the host leads to the guest\'s server', async () => {
  await a.command('echo page from the guest > /tmp/page; (nc -l -p 8000 < /tmp/page > /tmp/got; touch /tmp/done) &');
  await a.command('sleep 1');
  const socket = connect(forwarded, '127.0.0.1');
  socket.end('question\n');
  let text = '';
  for await (const data of socket) text += String(data);
  expect(text).toBe('page from the guest\n');
  // The shell tells of its job behind that.
  expect(await a.command('cat /tmp/got')).toMatch(/^question\n/);
}, PATIENCE_MS);

it('two machines ping one another over a relay, also after it was gone', async () => {
  await a.command('ip addr add 10.9.0.1/24 dev eth1; ip link set eth1 up');
  await b.command('ip addr add 10.9.0.2/24 dev eth0; ip link set eth0 up');
  expect(await b.command('cat /sys/class/net/eth0/carrier')).toBe('1');
  expect(await a.command('ping -c 3 10.9.0.2')).toContain('3 packets received');
  expect(await b.command('ping -c 3 10.9.0.1')).toContain('3 packets received');
  // A relay takes frames of 1522 bytes and disconnects who sends longer ones: what the guests leave to their cards is cut for it. With ECN.
  for (const shell of [a, b]) await shell.command('echo 1 > /proc/sys/net/ipv4/tcp_ecn');
  await b.command('(nc -l -p 77 | md5sum > /tmp/sum; nc -l -p 78 -e cat /tmp/back) & head -c 700000 /dev/urandom > /tmp/back; sleep 1');
  await a.command('nc 10.9.0.2 77 < /tmp/blob; sleep 1');
  expect(await b.command('cat /tmp/sum')).toMatch(new RegExp(`${md5(blob)}  -`));
  const back = await b.command('md5sum < /tmp/back');
  expect(await a.command('nc 10.9.0.2 78 < /dev/null | md5sum')).toContain(/[0-9a-f]{32} {2}-/.exec(back)![0]);
  // The shell tells of its job.
  await b.command('wait');
  expect(await a.command('cat /sys/class/net/eth1/carrier')).toBe('1');
  expect(relay.metrics.get('malformed_total')).toBe(0);
  await relay.close();
  // The guests see that the cable is out, and go on.
  expect(await b.command('until [ "$(cat /sys/class/net/eth0/carrier)" = 0 ]; do sleep 0.1; done; echo out')).toBe('out');
  expect(await a.command('ping -c 1 10.0.2.2')).toContain('1 packets received');
  relay = new Relay({ port: relayPort });
  await relay.listen();
  expect(await b.command('until [ "$(cat /sys/class/net/eth0/carrier)" = 1 ]; do sleep 0.1; done; until ping -c 1 -W 1 10.9.0.1 >/dev/null; do :; done; echo back')).toBe('back');
}, PATIENCE_MS);
