// A room with passt, and one with a TAP interface: the programs and the kernel themselves are at the other end. Where the machine cannot
// have one of them, the message that says so is looked at instead.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { ARP_REPLY, ARP_REQUEST, buildArp, parseArp } from '../src/backends/net/user/arp.ts';
import { set16, sum16 } from '../src/backends/net/user/bytes.ts';
import { BROADCAST, ETHERNET_HEADER, ETHERTYPE_IPV4, ethertypeOf, writeEthernet } from '../src/backends/net/user/ethernet.ts';
import { IPV4_HEADER, parseIpv4Packet, PROTOCOL_ICMP, PROTOCOL_UDP, writeIpv4 } from '../src/backends/net/user/ipv4.ts';
import { buildUdp, parseUdp } from '../src/backends/net/user/udp.ts';
import { attachPasst, attachTap } from './attachments.ts';
import { Switch, type SwitchPort } from './switch.ts';

const MAC = Uint8Array.of(0x52, 0x54, 0, 1, 2, 3);
const isRoot = process.getuid?.() === 0;

/** Whether the kernel lets us have such an interface: it may have no such driver, or this may be a container. */
function canMakeTap(name: string): boolean {
  try {
    execFileSync('ip', ['tuntap', 'add', 'dev', name, 'mode', 'tap'], { stdio: 'ignore' });
    execFileSync('ip', ['tuntap', 'del', 'dev', name, 'mode', 'tap'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

let endings: (() => void)[] = [];
afterEach(() => {
  for (const end of endings) end();
  endings = [];
});

/** A client of a room, without a relay around it. */
class Port implements SwitchPort {
  readonly segment = new Switch();
  private readonly frames: Uint8Array[] = [];
  private wake = (): void => {};

  constructor() {
    this.segment.add(this);
  }

  deliver(frame: Uint8Array): void {
    this.frames.push(Uint8Array.from(frame));
    this.wake();
  }

  send(frame: Uint8Array): void {
    this.segment.forward(this, frame);
  }

  sendIp(to: Uint8Array, from: Uint8Array, destination: Uint8Array, protocol: number, payload: Uint8Array): void {
    const frame = new Uint8Array(ETHERNET_HEADER + IPV4_HEADER + payload.length);
    writeEthernet(frame, to, MAC, ETHERTYPE_IPV4);
    writeIpv4(frame, ETHERNET_HEADER, from, destination, protocol, payload.length, 1);
    frame.set(payload, ETHERNET_HEADER + IPV4_HEADER);
    this.send(frame);
  }

  /** The first frame that is what is looked for; others are passed over. */
  async find<T>(look: (frame: Uint8Array) => T | undefined): Promise<T> {
    for (;;) {
      for (let frame = this.frames.shift(); frame; frame = this.frames.shift()) {
        const found = look(frame);
        if (found !== undefined) return found;
      }
      await new Promise<void>((resolve) => { this.wake = resolve; });
    }
  }
}

/** DHCPDISCOVER (RFC 2131). */
function discover(): Uint8Array {
  const message = new Uint8Array(300);
  message.set([1, 1, 6, 0, 0x12, 0x34, 0x56, 0x78]);
  message.set(MAC, 28);
  message.set([0x63, 0x82, 0x53, 0x63, 53, 1, 1, 55, 3, 1, 3, 6, 255], 236);
  return message;
}

const hasWayOut = (): boolean => readFileSync('/proc/net/route', 'utf8').split('\n').some((line) => line.split('\t')[1] === '00000000');

describe('passt', () => {
  /** A program of that name, instead of the real one. */
  function pretend(script: string, mode: number): void {
    const folder = mkdtempSync(join(tmpdir(), 'tabvisor-passt-'));
    const path = process.env.PATH;
    writeFileSync(join(folder, 'passt'), script, { mode });
    process.env.PATH = `${folder}:${path}`;
    endings.push(() => {
      process.env.PATH = path;
      rmSync(folder, { recursive: true });
    });
  }

  it('that cannot be run is told of', async () => {
    pretend('', 0o644);
    // A program that is no program at all, and not found further on in the path either.
    process.env.PATH = process.env.PATH!.split(':')[0];
    await expect(attachPasst(new Switch())).rejects.toThrow('passt could not be started');
  });

  it('that ends by itself is told of, but not when it was ended', async () => {
    // It ends at the first bytes.
    pretend(`#!${process.execPath}\nrequire('node:net').createServer((socket) => socket.on('data', () => process.exit())).listen(process.argv.at(-1));\n`, 0o755);
    const told: string[] = [];
    const port = new Port();
    endings.push(await attachPasst(port.segment, (why) => told.push(why)));
    expect(port.segment.ports.size).toBe(2);
    port.send(buildArp(ARP_REQUEST, MAC, new Uint8Array(4), new Uint8Array(4)));
    while (port.segment.ports.size > 1 || told.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    const other = await attachPasst(port.segment, (why) => told.push(why));
    other();
    while (port.segment.ports.size > 1) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(told).toEqual(['passt has ended']);
  });

  it('is waited for from the moment its socket has a name until it takes connections', async () => {
    // A name that was given to another socket, which is closed then, is a socket nobody listens at.
    pretend(`#!${process.execPath}
const { createServer } = require('node:net');
const { renameSync, unlinkSync } = require('node:fs');
const path = process.argv.at(-1);
const first = createServer().listen(path + '.first', () => {
  renameSync(path + '.first', path);
  first.close();
  setTimeout(() => {
    unlinkSync(path);
    createServer(() => {}).listen(path);
  }, 200);
});
`, 0o755);
    const port = new Port();
    endings.push(await attachPasst(port.segment));
    expect(port.segment.ports.size).toBe(2);
  });

  it('gives a guest of a room its address', async () => {
    const port = new Port();
    if (!hasWayOut()) return void await expect(attachPasst(port.segment)).rejects.toThrow(/passt ended with status/);
    endings.push(await attachPasst(port.segment));
    const zero = new Uint8Array(4);
    const all = new Uint8Array(4).fill(255);
    port.sendIp(BROADCAST, zero, all, PROTOCOL_UDP, buildUdp(zero, 68, all, 67, discover()));
    const offer = await port.find((frame) => {
      const packet = ethertypeOf(frame) === ETHERTYPE_IPV4 ? parseIpv4Packet(frame.subarray(ETHERNET_HEADER)) : undefined;
      const datagram = packet?.protocol === PROTOCOL_UDP ? parseUdp(packet, false) : undefined;
      return datagram?.destinationPort === 68 ? datagram.data : undefined;
    });
    // BOOTREPLY, our transaction, an address, and among the options DHCPOFFER.
    expect([...offer.subarray(0, 8)]).toEqual([2, 1, 6, 0, 0x12, 0x34, 0x56, 0x78]);
    expect([...offer.subarray(16, 20)]).not.toEqual([0, 0, 0, 0]);
    const options = new Map<number, number[]>();
    for (let at = 240; offer[at] !== 255; at += 2 + offer[at + 1]) options.set(offer[at], [...offer.subarray(at + 2, at + 2 + offer[at + 1])]);
    expect(options.get(53)).toEqual([2]);
  });
});

describe('a TAP interface', () => {
  const NAME = `tvtest${process.pid % 100_000}`;
  const KERNEL = Uint8Array.of(10, 213, 77, 1);
  const GUEST = Uint8Array.of(10, 213, 77, 2);

  it('is answered by the kernel', async () => {
    const port = new Port();
    if (!isRoot) return void await expect(attachTap(port.segment, NAME)).rejects.toThrow(/root only/);
    if (!canMakeTap(NAME)) return void await expect(attachTap(port.segment, NAME)).rejects.toThrow(/socat ended with status/);
    endings.push(await attachTap(port.segment, NAME));
    execFileSync('ip', ['address', 'add', '10.213.77.1/30', 'dev', NAME]);
    port.send(buildArp(ARP_REQUEST, MAC, GUEST, KERNEL));
    const mac = await port.find((frame) => {
      const answer = parseArp(frame);
      return answer?.operation === ARP_REPLY && answer.senderIp.every((byte, n) => byte === KERNEL[n]) ? answer.senderMac.slice() : undefined;
    });
    // An echo request (RFC 792) with 1000 bytes.
    const echo = Uint8Array.from({ length: 1008 }, (_, n) => (n < 8 ? [8, 0, 0, 0, 0x77, 0x66, 0, 1][n] : n & 0xff));
    set16(echo, 2, ~sum16(echo, 0, echo.length) & 0xffff);
    port.sendIp(mac, GUEST, KERNEL, PROTOCOL_ICMP, echo);
    const reply = await port.find((frame) => {
      const packet = ethertypeOf(frame) === ETHERTYPE_IPV4 ? parseIpv4Packet(frame.subarray(ETHERNET_HEADER)) : undefined;
      return packet?.protocol === PROTOCOL_ICMP && packet.payload[0] === 0 ? packet.payload.slice() : undefined;
    });
    expect([...reply.subarray(4)]).toEqual([...echo.subarray(4)]);
    for (const end of endings.splice(0)) end();
    // socat takes its interface along.
    while (existsSync(`/sys/class/net/${NAME}`)) await new Promise((resolve) => setTimeout(resolve, 20));
  });
});
