// The virtio devices that are fuzzed: how each is made, what its driver would send it, and how to see that it still works.

import fc from 'fast-check';
import { RawMemory } from '../../../src/backends/block/raw-memory.ts';
import { MemoryFolder } from '../../../src/backends/fs/memory.ts';
import type { CharBackend, NetBackend, NetReceiver } from '../../../src/devices/interfaces.ts';
import { RepeatableEntropy } from '../../../src/machine/entropy.ts';
import { Virtio9p } from '../../../src/virtio/9p/device.ts';
import { Message, Writer } from '../../../src/virtio/9p/wire.ts';
import { VirtioBalloon } from '../../../src/virtio/balloon.ts';
import { VirtioBlk } from '../../../src/virtio/blk.ts';
import { VirtioConsole } from '../../../src/virtio/console.ts';
import type { VirtioDevice } from '../../../src/virtio/device.ts';
import { NET_FEATURES, type NetFeature, VirtioNet } from '../../../src/virtio/net.ts';
import { VirtioRng } from '../../../src/virtio/rng.ts';

/** One of these; the first in the first form of a device. */
export type Choose = <T>(...values: T[]) => T;

/** What the n-th form of a device chooses: form 0 is as a line without properties makes it, the others are random, but the same ones in each run. */
export function chooser(form: number): Choose {
  let state = Math.imul(form, 0x9e3779b1) >>> 0;
  return (...values) => {
    if (form === 0) return values[0];
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return values[(state >>> 16) % values.length];
  };
}

export interface Target {
  name: string;
  /** As its properties may make it. */
  make(choose: Choose): { device: VirtioDevice; /** The host does something, which the number chooses. */ host(what: number): void };
  /** Queues that are set up. */
  queues: number;
  /** What the readable part of a buffer would hold. */
  payload: fc.Arbitrary<Uint8Array>;
  /** Messages that come first on queue 0, so that the others find something. */
  prelude?: readonly Uint8Array[];
  /** A request that any device of this kind answers. */
  probe: { queue: number; readable: Uint8Array; writable: number };
}

const bytes = (...values: number[]) => Uint8Array.from(values);
const random = fc.uint8Array({ maxLength: 64 });

/** A number of so many bytes: near what means something, or anything. */
function number(size: 1 | 2 | 4 | 8, ...likely: number[]): fc.Arbitrary<number[]> {
  const value = fc.oneof(fc.constantFrom(0, 1, 2, ...likely).map(BigInt), fc.bigInt({ min: 0n, max: 2n ** BigInt(8 * size) - 1n }));
  return value.map((it) => Array.from({ length: size }, (_, n) => Number((it >> BigInt(8 * n)) & 0xffn)));
}

/** Fields one behind the other, and something at the end. */
const struct = (...fields: fc.Arbitrary<number[]>[]) => fc.tuple(fc.tuple(...fields), random).map(([parts, rest]) => Uint8Array.from([...parts.flat(), ...rest]));

/** A disk that answers at once, or when the host gets to it, in any order. */
class Disk extends RawMemory {
  private readonly open: (() => void)[] = [];

  constructor(
    bytes: Uint8Array,
    readOnly: boolean,
    private readonly isSlow: boolean,
  ) {
    super(bytes, readOnly);
  }

  private put(action: () => void): void {
    if (this.isSlow) this.open.push(action);
    else action();
  }
  override read(...how: Parameters<RawMemory['read']>): void {
    this.put(() => super.read(...how));
  }
  override write(...how: Parameters<RawMemory['write']>): void {
    this.put(() => super.write(...how));
  }
  override flush(...how: Parameters<RawMemory['flush']>): void {
    this.put(() => super.flush(...how));
  }
  override writeZeroes(...how: Parameters<RawMemory['writeZeroes']>): void {
    this.put(() => super.writeZeroes(...how));
  }
  act(what: number): void {
    // What one brings about may be another: it waits for the next time.
    const count = what === 0 ? this.open.length : Math.min(this.open.length, what & 3);
    for (let n = 0; n < count; n++) this.open.splice(what % this.open.length, 1)[0]();
  }
}

const blk: Target = {
  name: 'virtio-blk',
  make: (choose) => {
    const block = choose(512, 512, 4096, 2048);
    const disk = new Disk(new Uint8Array(64 * 512 + choose(0, 512)), choose(false, false, false, true), choose(false, true));
    const device = new VirtioBlk(disk, {
      serial: choose('', 'serial'), discard: choose(true, false), writeZeroes: choose(true, false), configWce: choose(true, false), queueSize: choose(256, 4, 8, 64, 1024),
      logicalBlockSize: block, physicalBlockSize: block * choose(1, 1, 4), minIoSize: block * choose(0, 8, 65535), optIoSize: block * choose(0, 256),
    });
    return { device, host: (what) => disk.act(what) };
  },
  queues: 1,
  payload: fc.oneof(
    struct(number(4, 0, 1, 4, 8, 11, 13), number(4), number(8, 8, 5, 63, 64), number(8, 3, 8, 64), number(4, 1, 8, 64), number(4)),
    // What a driver would send: whole sectors or blocks, whole ranges.
    fc.tuple(fc.constantFrom(1, 1, 0, 4), fc.constantFrom(0, 1, 8, 16, 56, 63), fc.constantFrom(0, 1, 4, 8, 16), fc.nat(255)).map(([type, sector, sectors, fill]) => {
      const request = new Uint8Array(16 + 512 * sectors).fill(fill, 16);
      request.set([type, 0, 0, 0, 0, 0, 0, 0, sector, 0, 0, 0, 0, 0, 0, 0]);
      return request;
    }),
    fc.tuple(fc.constantFrom(11, 13), fc.array(fc.tuple(fc.constantFrom(0, 8, 16, 3, 60), fc.constantFrom(0, 8, 16, 1, 64), fc.constantFrom(0, 0, 0, 1, 2)), { minLength: 1, maxLength: 17 })).map(([type, list]) =>
      Uint8Array.from([type, ...new Array<number>(15).fill(0), ...list.flatMap(([start, sectors, flags]) => [start, 0, 0, 0, 0, 0, 0, 0, sectors, 0, 0, 0, flags, 0, 0, 0])])),
    fc.tuple(fc.constantFrom(11, 13), fc.constantFrom(0, 8, 16), fc.constantFrom(8, 16), fc.constantFrom(0, 1)).map(([type, start, sectors, flags]) =>
      Uint8Array.from([type, ...new Array<number>(15).fill(0), start, 0, 0, 0, 0, 0, 0, 0, sectors, 0, 0, 0, flags, 0, 0, 0])),
  ),
  probe: { queue: 0, readable: bytes(8, ...new Array<number>(15).fill(0)), writable: 21 },
};

const rng: Target = {
  name: 'virtio-rng',
  make: (choose) => ({ device: new VirtioRng(new RepeatableEntropy(), { maxBytes: choose(100_000, 16, 1_000_000), period: 1 }), host: () => {} }),
  queues: 1,
  payload: random,
  probe: { queue: 0, readable: bytes(), writable: 16 },
};

const balloon: Target = {
  name: 'virtio-balloon',
  make: (choose) => {
    const device = new VirtioBalloon({ ramSize: 1 << 20, freePageReporting: choose(true, true, false), statsInterval: choose(1, 0), deflateOnOom: choose(false, true), pagePoison: choose(false, true) });
    return { device, host: (what) => device.setTarget(what * 4096) };
  },
  queues: 4,
  payload: fc.oneof(struct(number(4, 255, 256), number(4), number(4)), struct(number(2, 4, 9), number(8), number(2), number(8))),
  probe: { queue: 0, readable: bytes(1, 0, 0, 0), writable: 0 },
};

/** A terminal that is slow now and then. */
class End implements CharBackend {
  busy = false;
  private typed = 0;
  write(): boolean {
    return !this.busy;
  }
  read(): number {
    return this.typed > 0 ? this.typed-- & 0xff : -1;
  }
  size(): { cols: number; rows: number } {
    return { cols: 80 + (this.typed & 1), rows: 25 };
  }
  act(what: number): void {
    if (what & 1) this.busy = !this.busy;
    else this.typed += what;
  }
}

const console: Target = {
  name: 'virtio-serial',
  make: (choose) => {
    const ends = [new End(), new End()];
    const device = new VirtioConsole({ maxPorts: choose(3, 31), emergencyWrite: choose(true, false), ports: [{ nr: 0, console: true, backend: ends[0] }, { nr: 2, console: false, name: 'port', backend: ends[1] }] });
    return { device, host: (what) => ends[(what >> 4) & 1].act(what & 15) };
  },
  queues: 8,
  payload: struct(number(4, 2, 3), number(2, 3, 4, 6, 7), number(2)),
  probe: { queue: 3, readable: bytes(0, 0, 0, 0, 0, 0, 0, 0), writable: 0 },
};

const text = fc.oneof(fc.constantFrom('', 'a', 'b', 'a/b', '..', '.', '9P2000.L'), fc.string({ maxLength: 8 }));
type Field = (writer: Writer) => Writer;
const field: fc.Arbitrary<Field> = fc.oneof(
  number(4, 0, 3, 0xffffffff).map((n): Field => (w) => w.data(Uint8Array.from(n))),
  number(2).map((n): Field => (w) => w.data(Uint8Array.from(n))),
  number(8).map((n): Field => (w) => w.data(Uint8Array.from(n))),
  text.map((it): Field => (w) => w.text(it)),
);
const fid = fc.constantFrom(0, 0, 0, 1, 2, 3);
const message = fc.oneof(
  fid.map((n) => new Writer().u32(n).u32(0xffffffff).text('').text('').u32(0).finish(Message.Tattach, 1)),
  fc.tuple(fid, fid, fc.array(text, { maxLength: 3 })).map(([a, b, names]) => names.reduce((w, name) => w.text(name), new Writer().u32(a).u32(b).u16(names.length)).finish(Message.Twalk, 1)),
  fc.tuple(fid, text, fc.constantFrom(0, 1, 2, 0o1000)).map(([a, name, flags]) => new Writer().u32(a).text(name).u32(flags).u32(0o644).u32(0).finish(Message.Tlcreate, 1)),
  fc.tuple(fid, fc.constantFrom(0, 1, 2)).map(([a, flags]) => new Writer().u32(a).u32(flags).finish(Message.Tlopen, 1)),
  fc.tuple(fid, fc.nat(100), random).map(([a, at, data]) => new Writer().u32(a).u64(at).u32(data.length).data(data).finish(Message.Twrite, 1)),
  fc.tuple(fc.constantFrom(8, 12, 14, 16, 18, 20, 22, 24, 26, 30, 32, 40, 50, 52, 54, 70, 72, 74, 76, 100, 102, 104, 108, 110, 116, 118, 120, 122), fc.array(field, { maxLength: 8 }))
    .map(([type, fields]) => fields.reduce((w, it) => it(w), new Writer()).finish(type, 1)),
  random,
);

const p9: Target = {
  name: 'virtio-9p',
  make: () => ({ device: new Virtio9p(new MemoryFolder({ now: () => 0n, capacity: 1 << 20 }), 'share', () => 0n), host: () => {} }),
  queues: 1,
  payload: message,
  prelude: [
    new Writer().u32(8192).text('9P2000.L').finish(Message.Tversion, 1),
    new Writer().u32(0).u32(0xffffffff).text('').text('').u32(0).finish(Message.Tattach, 1),
    new Writer().u32(0).text('a').u32(0o755).u32(0).finish(Message.Tmkdir, 1),
    new Writer().u32(0).u32(1).u16(1).text('a').finish(Message.Twalk, 1),
    new Writer().u32(0).u32(2).u16(0).finish(Message.Twalk, 1),
    new Writer().u32(2).text('b').u32(2).u32(0o644).u32(0).finish(Message.Tlcreate, 1),
  ],
  probe: { queue: 0, readable: new Writer().u32(8192).text('9P2000.L').finish(Message.Tversion, 1), writable: 64 },
};

/** A cable to somebody who sends, and is busy now and then. */
class Cable implements NetBackend {
  readonly accepts;
  canSend = true;
  linkUp = true;
  private receiver: NetReceiver | undefined;
  constructor(all: boolean) {
    this.accepts = { csum: all, tso4: all, tso6: all, ecn: all, ufo: all };
  }
  attach(receiver: NetReceiver): void {
    this.receiver = receiver;
  }
  send(): void {}
  ready(): void {}
  describe(): string {
    return 'type=fuzz';
  }
  act(what: number): void {
    if (what % 4 === 0) {
      this.canSend = !this.canSend;
      if (this.canSend) this.receiver?.drained();
    } else if (what % 4 === 1) this.receiver?.linkChanged((this.linkUp = !this.linkUp));
    else this.receiver?.receive(new Uint8Array(14 + 37 * what).fill(what % 3 === 0 ? 0xff : 2));
  }
}

const net = (all: boolean): Target => ({
  name: `virtio-net, ${all ? 'offloads of the far end' : 'offloads in software'}`,
  make: (choose) => {
    const cable = new Cable(all);
    const without = (Object.keys(NET_FEATURES) as NetFeature[]).filter((name) => name !== 'ctrl_vq' && choose(false, false, false, true));
    const device = new VirtioNet({
      mac: bytes(0x52, 0x54, 0, 0x12, 0x34, 0x56), backend: cable, without, rxQueueSize: choose(256, 1024), txQueueSize: choose(256, 512), ...choose({}, { hostMtu: 9000 }, { speed: 1000, duplex: 'full' as const }),
    });
    return { device, host: (what) => cable.act(what) };
  },
  queues: 3,
  payload: fc.oneof(
    // struct virtio_net_hdr, then a frame with IPv4 or IPv6 and TCP or UDP.
    fc.tuple(struct(number(1, 1, 2), number(1, 3, 4, 0x81), number(2, 54, 66), number(2, 100, 1460), number(2, 34, 54), number(2, 6, 16), number(2)), fc.constantFrom(0x0800, 0x86dd, 0x8100), fc.constantFrom(6, 17), fc.nat(1500), fc.nat(255))
      .map(([header, type, protocol, length, fill]) => {
        const frame = new Uint8Array(length + 60).fill(fill);
        frame.set([type >> 8, type & 0xff, type === 0x86dd ? 0x60 : 0x45], 12);
        frame[23] = frame[20] = protocol;
        return Uint8Array.from([...header.subarray(0, 12), ...frame]);
      }),
    struct(number(1, 0, 1, 2, 4), number(1, 0, 1, 2), number(4), number(4, 6)),
  ),
  probe: { queue: 1, readable: new Uint8Array(12 + 60), writable: 0 },
});

export const TARGETS: readonly Target[] = [blk, rng, balloon, console, p9, net(false), net(true)];
