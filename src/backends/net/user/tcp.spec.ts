import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../../machine/clock.ts';
import { ALL_OFFLOADS } from '../../../devices/net/offload.ts';
import type { HostStream } from './host.ts';
import { OutOfOrder, SendBuffer } from './tcp-buffers.ts';
import { type SegmentHeader, TcpConnection, type TcpLink } from './tcp-connection.ts';
import { ACK, FIN, PSH, RST, type Segment, SYN } from './tcp-segment.ts';
import { bytes, TestGuest, type TestStream } from './testing.ts';

/** On a busy machine. */
const PATIENCE_MS = 60_000;
const FAR = '192.0.2.80';

/** A guest with an open connection to FAR:80; its own sequence numbers begin at 1001. */
function opened(options: Partial<Segment> = {}): { guest: TestGuest; stream: TestStream; iss: number; send(segment: Partial<Segment>): void } {
  const guest = new TestGuest();
  guest.sendTcp(FAR, { destinationPort: 80, seq: 1000, flags: SYN, mss: 1460, windowShift: 7, ...options });
  guest.take();
  const stream = guest.host.streams[0];
  stream.events.opened();
  const [answer] = guest.takeTcp();
  const send = (segment: Partial<Segment>): void => guest.sendTcp(FAR, { destinationPort: 80, seq: 1001, ack: answer.seq + 1, flags: ACK, window: 512, ...segment });
  send({});
  return { guest, stream, iss: answer.seq + 1, send };
}

describe('opening', () => {
  it('is answered when the host has connected, with MSS and window scale', () => {
    const guest = new TestGuest();
    guest.sendTcp(FAR, { destinationPort: 80, seq: 1000, flags: SYN, mss: 1460, windowShift: 7 });
    expect(guest.takeTcp()).toEqual([]);
    expect(guest.host.streams).toMatchObject([{ address: FAR, port: 80 }]);
    guest.host.streams[0].events.opened();
    const [answer] = guest.takeTcp();
    expect(answer).toMatchObject({ flags: SYN | ACK, ack: 1001, mss: 1460, windowShift: 5, window: 65535, sourcePort: 80, destinationPort: 50000 });
    // Lost: sent again, later and later.
    guest.settle(1.1e9);
    guest.settle(2.1e9);
    expect(guest.takeTcp().map(({ flags }) => flags)).toEqual([SYN | ACK, SYN | ACK]);
  });

  it('offers no scale to a guest that does not', () => {
    const guest = new TestGuest();
    guest.sendTcp(FAR, { destinationPort: 80, seq: 1000, flags: SYN });
    guest.host.streams[0].events.opened();
    expect(guest.takeTcp()[0].windowShift).toBeUndefined();
  });

  it('is refused with RST, or left unanswered where the far end does not answer', () => {
    const guest = new TestGuest();
    guest.sendTcp(FAR, { destinationPort: 80, seq: 1000, flags: SYN });
    guest.host.streams[0].events.failed('refused');
    expect(guest.takeTcp()).toMatchObject([{ flags: RST | ACK, ack: 1001 }]);
    guest.sendTcp(FAR, { destinationPort: 81, seq: 1000, flags: SYN });
    guest.host.streams[1].events.failed('timeout');
    expect(guest.takeTcp()).toEqual([]);
  });

  it('answers what belongs to no connection (RFC 9293, 3.10.7.1)', () => {
    const guest = new TestGuest();
    guest.sendTcp(FAR, { destinationPort: 80, seq: 5, ack: 99, flags: ACK });
    guest.sendTcp(FAR, { destinationPort: 80, seq: 5, flags: FIN, data: bytes('abc') });
    guest.sendTcp(FAR, { destinationPort: 80, seq: 5, flags: RST });
    expect(guest.takeTcp()).toMatchObject([{ flags: RST, seq: 99 }, { flags: RST | ACK, seq: 0, ack: 9 }]);
  });

  it('has a bounded number of connections', () => {
    const guest = new TestGuest();
    for (let n = 0; n < 600; n++) guest.sendTcp(FAR, { sourcePort: 1000 + n, destinationPort: 80, seq: 1, flags: SYN });
    expect(guest.host.streams.length).toBe(512);
    expect(guest.takeTcp().length).toBe(600 - 512);
  });

  it('gives the place of a connection that was silent for long to a new one, if there is no other', () => {
    const { guest, stream, send } = opened();
    const others = (from: number, to: number): void => {
      for (let n = from; n < to; n++) {
        guest.sendTcp(FAR, { sourcePort: 1000 + n, destinationPort: 80, seq: 1, flags: SYN, mss: 1460 });
        guest.take();
        guest.host.streams.at(-1)!.events.opened();
        const [answer] = guest.takeTcp();
        guest.sendTcp(FAR, { sourcePort: 1000 + n, destinationPort: 80, seq: 2, ack: answer.seq + 1, flags: ACK });
      }
    };
    others(0, 511);
    guest.settle(200e9);
    send({ data: bytes('a') });
    guest.settle(100e9);
    others(511, 512);
    expect([stream.log, guest.host.streams[1].log, guest.host.streams[2].log]).toEqual([[], ['abort'], []]);
    send({ seq: 1002, data: bytes('b') });
    expect(stream.text).toBe('ab');
  });

  it('comes from the host to a forwarded port', () => {
    const guest = new TestGuest();
    guest.arp('10.0.2.2');
    guest.take();
    const log: string[] = [];
    const stream: HostStream = { room: 1000, write: (data) => void log.push(String(data)), end: () => void log.push('end'), abort: () => void log.push('abort'), taken() {} };
    const events = guest.host.onAccept({ guestAddress: '10.0.2.15', guestPort: 22, address: 'host', port: 4444, stream })!;
    events.data(bytes('early'));
    const [syn] = guest.takeTcp();
    expect(syn).toMatchObject({ flags: SYN, sourcePort: 4444, destinationPort: 22, mss: 1460, windowShift: 5 });
    expect(syn.from.join('.')).toBe('10.0.2.2');
    guest.sendTcp('10.0.2.2', { sourcePort: 22, destinationPort: 4444, seq: 7, ack: syn.seq + 1, flags: SYN | ACK, window: 1000 });
    const [data] = guest.takeTcp().filter((segment) => segment.data.length > 0);
    expect(new TextDecoder().decode(data.data)).toBe('early');
    guest.sendTcp('10.0.2.2', { sourcePort: 22, destinationPort: 4444, seq: 8, ack: syn.seq + 6, flags: RST | ACK });
    expect(log).toEqual(['abort']);
  });
});

describe('data from the guest', () => {
  it('arrives once and in order, whatever the order of segments', () => {
    const { guest, stream, send } = opened();
    send({ seq: 1004, data: bytes('def') });
    expect(guest.takeTcp()).toMatchObject([{ flags: ACK, ack: 1001 }]);
    send({ seq: 1007, data: bytes('ghi') });
    send({ seq: 1001, data: bytes('abcd') });
    expect(stream.text).toBe('abcdefghi');
    expect(guest.takeTcp().at(-1)).toMatchObject({ ack: 1010 });
    send({ seq: 1001, data: bytes('abcdef') });
    expect(stream.text).toBe('abcdefghi');
    expect(guest.takeTcp()).toMatchObject([{ ack: 1010 }]);
  });

  it('is acknowledged at every second segment, or after a while', () => {
    const { guest, send } = opened();
    send({ seq: 1001, data: bytes('a') });
    expect(guest.takeTcp()).toEqual([]);
    send({ seq: 1002, data: bytes('b') });
    expect(guest.takeTcp()).toEqual([]);
    guest.settle(1e6);
    expect(guest.takeTcp()).toMatchObject([{ ack: 1003 }]);
    send({ seq: 1003, data: bytes('c') });
    guest.settle(10e6);
    expect(guest.takeTcp()).toMatchObject([{ ack: 1004 }]);
  });

  it('is acknowledged once for much that comes at once: at the latest when the guest idles, or a quarter of its window is used', () => {
    const { guest, send } = opened();
    let seq = 1001;
    const burst = (segments: number): void => {
      for (let n = 0; n < segments; n++, seq += 1460) send({ seq, data: new Uint8Array(1460) });
    };
    burst(5);
    expect(guest.takeTcp()).toEqual([]);
    guest.clock.runIdle();
    expect(guest.takeTcp()).toMatchObject([{ ack: seq }]);
    burst(60);
    expect(guest.takeTcp().length).toBeGreaterThan(0);
    guest.settle(1e6);
    expect(guest.takeTcp().at(-1)).toMatchObject({ ack: seq });
  });

  it('is never more than the window promised', () => {
    const { guest, stream, send } = opened();
    stream.room = 65535;
    let seq = 1001;
    for (let n = 0; n < 100; n++) {
      send({ seq, data: new Uint8Array(1460) });
      const last = guest.takeTcp().at(-1);
      if (last) seq = last.ack;
      else seq += 1460;
      if (last?.window === 0) break;
    }
    expect(stream.written.length).toBe(65535);
    expect(stream.room).toBe(0);
    // A probe is answered, its data not taken.
    send({ seq: seq, data: bytes('p') });
    expect(guest.takeTcp()).toMatchObject([{ ack: seq, window: 0 }]);
    stream.room = 100_000;
    stream.events.writable();
    expect(guest.takeTcp()).toMatchObject([{ ack: seq, window: 100_000 >> 5 }]);
  });
});

describe('data to the guest', () => {
  const text = Uint8Array.from({ length: 100_000 }, (_, n) => n * 13 + (n >> 8));

  it('goes in segments within the guest\'s window, and again when it is lost', () => {
    const { guest, stream, iss, send } = opened({ mss: 1000 });
    stream.events.data(text.slice());
    const first = guest.takeTcp();
    // Ten segments are the first burst (RFC 6928).
    expect(first.map(({ data }) => data.length)).toEqual(Array<number>(10).fill(1000));
    send({ ack: iss + 3000, window: 512 });
    guest.take();
    expect(stream.takenBytes).toBe(3000);
    for (let n = 0; n < 3; n++) send({ ack: iss + 3000, window: 512 });
    const [again] = guest.takeTcp();
    expect([again.seq, again.data.length]).toEqual([iss + 3000, 1000]);
    expect(again.data).toEqual(text.subarray(3000, 4000));
  });

  it('is sent again by the timer, and the connection given up in the end', () => {
    const { guest, stream, iss } = opened();
    stream.events.data(text.slice(0, 500));
    guest.take();
    guest.settle(1.1e9);
    expect(guest.takeTcp()).toMatchObject([{ seq: iss }]);
    guest.settle(1000e9);
    expect(guest.takeTcp().at(-1)?.flags).toBe(RST | ACK);
    expect(stream.log).toEqual(['abort']);
    expect(guest.clock.armed()).toEqual([]);
  });

  it('waits for a closed window, probing for as long as it is answered', () => {
    const { guest, stream, iss, send } = opened();
    send({ window: 0 });
    stream.events.data(text.slice(0, 5000));
    expect(guest.takeTcp()).toEqual([]);
    for (let n = 0; n < 40; n++) {
      guest.settle(61e9);
      const probes = guest.takeTcp();
      expect(probes.length).toBeGreaterThan(0);
      expect(probes.every(({ seq, data }) => seq === iss && data.length === 1)).toBe(true);
      send({ window: 0 });
      guest.take();
    }
    expect(stream.log).toEqual([]);
    send({ window: 512 });
    expect(guest.takeTcp().flatMap(({ data }) => [...data])).toEqual([...text.subarray(0, 5000)]);
  });

  it('is handed to a NIC that cuts segments up to 64 KiB at a time, without checksums', () => {
    const { guest, stream, iss, send } = opened();
    guest.accepts = ALL_OFFLOADS;
    stream.events.data(text.slice());
    let acked = 0;
    for (let n = 0; n < 8 && acked < text.length; n++) {
      guest.settle();
      for (const [at, frame] of guest.frames.entries()) {
        acked += frame.length - 54;
        if (frame.length > 1514) expect(guest.offloads[at]).toEqual({ csum: { start: 34, offset: 16 }, gso: { type: 'tcp4', size: 1460, ecn: false } });
      }
      guest.take();
      send({ ack: iss + acked, window: 4096 });
    }
    expect(acked).toBe(text.length);
  });

  it('fills the queue to a full NIC no further than its bound', () => {
    const { guest, stream, iss, send } = opened();
    guest.room = 0;
    for (let n = 0; n < 50; n++) {
      stream.events.data(new Uint8Array(60_000));
      send({ ack: iss, window: 65535 });
      guest.settle(1e9);
    }
    guest.room = Infinity;
    guest.network.ready();
    const sizes = guest.take().map(({ length }) => length);
    expect(sizes.reduce((a, b) => a + b, 0)).toBeLessThan(600_000);
  });
});

describe('closing', () => {
  it('by the guest, then by the host', () => {
    const { guest, stream, iss, send } = opened();
    send({ flags: FIN | ACK, data: bytes('bye') });
    expect(stream.text).toBe('bye');
    expect(stream.log).toEqual(['end']);
    expect(guest.takeTcp()).toMatchObject([{ flags: ACK, ack: 1005 }]);
    stream.events.data(bytes('late'));
    stream.events.ended();
    const sent = guest.takeTcp();
    expect(sent.map(({ flags }) => flags & ~PSH)).toEqual([ACK, FIN | ACK]);
    send({ seq: 1005, ack: iss + 5 });
    expect(guest.clock.armed()).toEqual([]);
    send({ seq: 1005, ack: iss + 5 });
    expect(guest.takeTcp()).toMatchObject([{ flags: RST }]);
  });

  it('by the host, then by the guest, with TIME-WAIT', () => {
    const { guest, stream, iss, send } = opened();
    stream.events.ended();
    expect(guest.takeTcp()).toMatchObject([{ flags: FIN | ACK, seq: iss }]);
    send({ ack: iss + 1 });
    send({ ack: iss + 1, data: bytes('more') });
    expect(stream.text).toBe('more');
    send({ seq: 1005, ack: iss + 1, flags: FIN | ACK });
    expect(guest.takeTcp().at(-1)).toMatchObject({ flags: ACK, ack: 1006 });
    // The last ACK was lost: the FIN comes again and is acknowledged again.
    send({ seq: 1005, ack: iss + 1, flags: FIN | ACK });
    expect(guest.takeTcp()).toMatchObject([{ flags: ACK, ack: 1006 }]);
    guest.settle(11e9);
    expect(guest.clock.armed()).toEqual([]);
  });

  it('by both at once', () => {
    const { guest, stream, iss, send } = opened();
    stream.events.ended();
    guest.take();
    send({ flags: FIN | ACK, ack: iss });
    send({ seq: 1002, ack: iss + 1 });
    guest.settle(11e9);
    expect(guest.clock.armed()).toEqual([]);
    expect(stream.log).toEqual(['end']);
  });

  it('reuses ports in TIME-WAIT for a newer SYN', () => {
    const { guest, stream, iss, send } = opened();
    stream.events.ended();
    guest.take();
    send({ flags: FIN | ACK, ack: iss + 1 });
    guest.take();
    send({ seq: 500, flags: SYN });
    expect(guest.host.streams.length).toBe(1);
    send({ seq: 200_000, flags: SYN });
    expect(guest.host.streams.length).toBe(2);
  });

  it('by a reset of either end', () => {
    const a = opened();
    a.stream.events.failed('reset');
    expect(a.guest.takeTcp()).toMatchObject([{ flags: RST | ACK, seq: a.iss }]);
    const b = opened();
    // Only the exact sequence number resets (RFC 5961, 3.2); another in the window is asked about.
    b.send({ seq: 1500, flags: RST });
    expect(b.guest.takeTcp()).toMatchObject([{ flags: ACK, ack: 1001 }]);
    expect(b.stream.log).toEqual([]);
    b.send({ seq: 1001, flags: RST });
    expect(b.stream.log).toEqual(['abort']);
  });

  it('is not brought about by a SYN in the window (RFC 5961, 4)', () => {
    const { guest, stream, send } = opened();
    send({ seq: 1100, flags: SYN });
    expect(guest.takeTcp()).toMatchObject([{ flags: ACK, ack: 1001 }]);
    for (let n = 0; n < 1000; n++) send({ seq: 1100, flags: SYN });
    expect(guest.takeTcp().length).toBeLessThan(11);
    expect(stream.log).toEqual([]);
  });
});

describe('buffers', () => {
  it('a send buffer gives any part of what was pushed', () => {
    fc.assert(fc.property(fc.array(fc.integer({ min: 1, max: 5000 }), { maxLength: 30 }), fc.array(fc.nat(3000)), (sizes, drops) => {
      const buffer = new SendBuffer();
      let all: number[] = [];
      let next = 0;
      for (const [n, size] of sizes.entries()) {
        const piece = Uint8Array.from({ length: size }, () => next++ * 7);
        buffer.push(piece);
        all.push(...piece);
        const drop = Math.min(drops[n] ?? 0, all.length);
        buffer.drop(drop);
        all = all.slice(drop);
        const from = all.length >> 2;
        const to = new Uint8Array(all.length >> 1);
        buffer.copy(from, to.length, to, 0);
        expect([...to]).toEqual(all.slice(from, from + to.length));
        expect(buffer.length).toBe(all.length);
      }
    }), { numRuns: 40 });
  }, PATIENCE_MS);

  it('data out of order come out in order, once', () => {
    const pieces = fc.array(fc.tuple(fc.nat(300), fc.integer({ min: 1, max: 60 })), { maxLength: 60 });
    fc.assert(fc.property(pieces, fc.nat(0xffffffff), (list, start) => {
      const queue = new OutOfOrder();
      const have = new Set<number>();
      for (const [at, length] of list) {
        queue.add((start + at) >>> 0, Uint8Array.from({ length }, (_, n) => (at + n) * 5));
        for (let n = 0; n < length; n++) have.add(at + n);
      }
      for (let at = 0; at < 400; ) {
        const data = queue.take((start + at) >>> 0);
        if (data) for (const byte of data) expect(byte).toBe((at++ * 5) & 0xff);
        else at++;
      }
      expect(queue.isEmpty).toBe(true);
    }));
  });
});

/** Two connections with a bad cable between them. */
class Pair {
  readonly clock = new VirtualClock(0);
  readonly received: [number[], number[]] = [[], []];
  readonly ended = [false, false];
  readonly ends: [TcpConnection, TcpConnection];

  /**
   * @param seed of what happens to segments: a fifth is lost, a tenth comes twice, a fifth late. (A pattern that repeats could lose the
   * same one each time.)
   */
  constructor(private seed: number, private readonly room: number) {
    this.ends = [this.make(0, 'active'), this.make(1, 'passive')];
    this.ends[0].sendSyn();
  }

  private make(side: 0 | 1, opening: 'active' | 'passive'): TcpConnection {
    const pair = this;
    const link: TcpLink = {
      clock: this.clock, mss: 100, maxBurst: 0, isHeld: () => false, canSend: () => true, closed() {},
      transmit(_connection, header, data, from, length) {
        const copy = new Uint8Array(length);
        if (length > 0) data.copy(from, length, copy, 0);
        pair.carry(side, header, copy);
      },
    };
    const connection = new TcpConnection(`${side}`, link, side ? 0xffffff80 : 0x7fffffe0, opening);
    let room = this.room;
    const timer = this.clock.timer(`reader ${side}`, () => {
      room = this.room;
      connection.hostWritable();
    });
    connection.stream = {
      get room() { return room; },
      write(data) {
        if (data.length > room) throw new Error('more than the window');
        room -= data.length;
        pair.received[side].push(...data);
        timer.arm(pair.clock.now() + 3e6);
      },
      end() { pair.ended[side] = true; },
      abort() { throw new Error(`side ${side} was aborted`); },
      taken() {},
    };
    return connection;
  }

  private carry(from: 0 | 1, header: SegmentHeader, data: Uint8Array): void {
    this.seed = (Math.imul(this.seed, 1664525) + 1013904223) >>> 0;
    const fate = this.seed >>> 24;
    if (fate < 51) return;
    const segment = { sourcePort: 1, destinationPort: 2, ...header, data };
    const to = this.ends?.[1 - from] ?? null;
    const arrive = (): void => {
      const peer = to ?? this.ends[1 - from];
      if (peer.state === 'CONNECTING' && segment.flags & SYN) {
        peer.acceptSyn(segment);
        peer.opened();
      } else peer.receive(segment);
    };
    const late = fate > 205 ? (fate - 205) * 3e5 : 0;
    this.clock.timer('segment', arrive).arm(this.clock.now() + 1e6 + late);
    if (fate >= 51 && fate < 77) this.clock.timer('segment', arrive).arm(this.clock.now() + 2e6);
  }
}

describe('a bad cable', () => {
  it('loses, doubles and disorders segments, and no byte is lost or out of place', () => {
    fc.assert(fc.property(fc.nat(), fc.integer({ min: 64, max: 4000 }), fc.nat(6000), fc.nat(6000), (seed, room, up, down) => {
      const pair = new Pair(seed, room);
      const texts = [up, down].map((length, side) => Uint8Array.from({ length }, (_, n) => n * 7 + side + (n >> 7)));
      for (const side of [0, 1] as const) {
        pair.ends[side].hostData(texts[side].slice(0, texts[side].length >> 1));
        pair.clock.advance(20e6);
        pair.ends[side].hostData(texts[side].slice(texts[side].length >> 1));
        pair.ends[side].hostEnd();
      }
      pair.clock.advance(3600e9);
      expect(pair.received[1]).toEqual([...texts[0]]);
      expect(pair.received[0]).toEqual([...texts[1]]);
      expect(pair.ended).toEqual([true, true]);
      expect(pair.ends.map(({ state }) => state)).toEqual(['CLOSED', 'CLOSED']);
    }), { numRuns: 60 });
  }, PATIENCE_MS);
});
