import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FrameOffload } from '../interfaces.ts';
import { ALL_OFFLOADS, checksumRight, finish, finishChecksum, internetSum, IP_TCP, IP_UDP, NO_OFFLOADS, pseudoHeaderSum, segment } from './offload.ts';

const hex = (text: string): Uint8Array => Uint8Array.from(text.replace(/\s/g, '').match(/../g)!.map((byte) => parseInt(byte, 16)));

/** A frame of TCP or UDP with its lengths right, the pseudo header's sum in place of the checksum. */
function packet({ version = 4, protocol = IP_TCP, payload = new Uint8Array(0), vlan = false, flags = 0x18 }: Partial<{
  version: 4 | 6; protocol: number; payload: Uint8Array; vlan: boolean; flags: number;
}> = {}): { frame: Uint8Array; start: number; offset: number } {
  const network = vlan ? 18 : 14;
  const ip = version === 4 ? 20 : 40;
  const start = network + ip;
  const header = protocol === IP_TCP ? 20 : 8;
  const frame = new Uint8Array(start + header + payload.length);
  const view = new DataView(frame.buffer);
  frame.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);
  if (vlan) view.setUint32(12, 0x8100_0007);
  view.setUint16(network - 2, version === 4 ? 0x0800 : 0x86dd);
  const length = frame.length - start;
  if (version === 4) {
    frame.set([0x45, 0, 0, 0, 0x12, 0x34, 0, 0, 64, protocol, 0, 0, 10, 0, 2, 15, 10, 0, 2, 2], network);
    view.setUint16(network + 2, frame.length - network);
  } else {
    frame.set([0x60, 0, 0, 0, 0, 0, protocol, 64], network);
    view.setUint16(network + 4, length);
    for (let i = 8; i < 40; i++) frame[network + i] = i * 7;
  }
  view.setUint32(start, 0x1234_0050);
  if (protocol === IP_TCP) {
    view.setUint32(start + 4, 0xfffffff0);
    frame[start + 12] = 0x50;
    frame[start + 13] = flags;
  } else {
    view.setUint16(start + 4, length);
  }
  frame.set(payload, start + header);
  const offset = protocol === IP_TCP ? 16 : 6;
  view.setUint16(start + offset, pseudoHeaderSum(frame, { network, version }, protocol, length));
  return { frame, start, offset };
}

const numbers = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i * 31 + (i >> 8));

describe('Internet checksum', () => {
  it('is that of RFC 1071, section 3', () => {
    expect(internetSum(hex('0001 f203 f4f5 f6f7'))).toBe(0xddf2);
  });

  it('is FFFFh over an IP header with its checksum in place', () => {
    // The example that textbooks use: 192.168.0.1 to 192.168.0.199, UDP, checksum B861h.
    expect(internetSum(hex('4500 0073 0000 4000 4011 b861 c0a80001 c0a800c7'))).toBe(0xffff);
  });

  it('equals the sum of words one by one, wherever it begins', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(20), fc.integer({ min: 0, max: 0xffff }), (bytes, from, initial) => {
      let sum = initial;
      for (let at = Math.min(from, bytes.length); at < bytes.length; at += 2) sum += bytes[at] * 256 + (bytes[at + 1] ?? 0);
      while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
      expect(internetSum(bytes, Math.min(from, bytes.length), bytes.length, initial)).toBe(sum);
    }));
  });

  it('is finished from the pseudo header\'s sum', () => {
    for (const version of [4, 6] as const) {
      for (const protocol of [IP_TCP, IP_UDP]) {
        const { frame, start, offset } = packet({ version, protocol, payload: numbers(333), vlan: protocol === IP_UDP });
        expect(checksumRight(frame)).toBe(false);
        expect(finishChecksum(frame, { start, offset })).toBe(true);
        expect(checksumRight(frame)).toBe(true);
        frame[start + 25] ^= 4;
        expect(checksumRight(frame)).toBe(false);
      }
    }
  });

  it('is never 0 in UDP, where that says that there is none', () => {
    const { frame, start, offset } = packet({ protocol: IP_UDP, payload: new Uint8Array(2) });
    const view = new DataView(frame.buffer);
    // A payload that makes the sum FFFFh.
    view.setUint16(start + 8, ~internetSum(frame, start) & 0xffff);
    finishChecksum(frame, { start, offset });
    expect(view.getUint16(start + 6)).toBe(0xffff);
    expect(checksumRight(frame)).toBe(true);
    view.setUint16(start + 6, 0);
    expect(checksumRight(frame)).toBeUndefined();
  });

  it('refuses a place outside the frame', () => {
    const { frame } = packet();
    const before = frame.slice();
    expect(finishChecksum(frame, { start: frame.length, offset: 0 })).toBe(false);
    expect(finishChecksum(frame, { start: 0, offset: frame.length - 1 })).toBe(false);
    expect(frame).toEqual(before);
  });
});

describe('segmentation', () => {
  it.each([[4, 'tcp4', false], [6, 'tcp6', false], [4, 'tcp4', true]] as const)('cuts TCP over IPv%i', (version, type, vlan) => {
    const payload = numbers(5000);
    const { frame, start, offset } = packet({ version, payload, vlan, flags: 0x80 | 0x19 });
    const pieces: Uint8Array[] = [];
    const count = segment(frame, { csum: { start, offset }, gso: { type, size: 1448, ecn: true } }, (piece) => pieces.push(piece.slice()));
    expect(count).toBe(4);
    expect(pieces.map(({ length }) => length - start - 20)).toEqual([1448, 1448, 1448, 656]);
    expect(pieces.every(checksumRight)).toBe(true);
    const views = pieces.map((piece) => new DataView(piece.buffer));
    expect(views.map((view) => view.getUint32(start + 4))).toEqual([0xfffffff0, 0x598, 0xb40, 0x10e8]);
    // CWR in the first, FIN and PSH in the last.
    expect(pieces.map((piece) => piece[start + 13])).toEqual([0x90, 0x10, 0x10, 0x19]);
    expect(pieces.flatMap((piece) => [...piece.subarray(start + 20)])).toEqual([...payload]);
    if (version === 6) return;
    expect(views.map((view) => view.getUint16(start - 16))).toEqual([0x1234, 0x1235, 0x1236, 0x1237]);
    for (const piece of pieces) expect(internetSum(piece, start - 20, start)).toBe(0xffff);
  });

  it.each([4, 6] as const)('makes fragments of UDP over IPv%i', (version) => {
    const payload = numbers(4000);
    const { frame, start, offset } = packet({ version, protocol: IP_UDP, payload });
    const pieces: Uint8Array[] = [];
    segment(frame, { csum: { start, offset }, gso: { type: 'udp', size: 1480, ecn: false } }, (piece) => pieces.push(piece.slice()));
    const at = version === 4 ? start : start + 8;
    const views = pieces.map((piece) => new DataView(piece.buffer));
    expect(pieces.map(({ length }) => length - at)).toEqual([1480, 1480, 1048]);
    if (version === 4) expect(views.map((view) => view.getUint16(start - 14))).toEqual([0x2000, 0x2000 | 185, 370]);
    else expect(views.map((view) => view.getUint16(start + 2))).toEqual([1, 1480 | 1, 2960]);
    // What a receiver puts together has the right checksum.
    const whole = packet({ version, protocol: IP_UDP, payload }).frame;
    whole.set(pieces.flatMap((piece) => [...piece.subarray(at)]), start);
    expect(whole.subarray(start + 8)).toEqual(payload);
    expect(checksumRight(whole)).toBe(true);
  });

  it('leaves what the far end takes as it is, and does the rest', () => {
    const { frame, start, offset } = packet({ payload: numbers(3000) });
    const offload: FrameOffload = { csum: { start, offset }, gso: { type: 'tcp4', size: 1000, ecn: false } };
    const seen: [number, boolean][] = [];
    const note = (piece: Uint8Array, rest?: FrameOffload): void => void seen.push([piece.length, rest !== undefined]);
    expect(finish(ALL_OFFLOADS, frame, offload, note)).toBe(1);
    expect(finish(NO_OFFLOADS, frame, { csum: offload.csum }, note)).toBe(1);
    expect(finish({ ...NO_OFFLOADS, csum: true }, frame, offload, note)).toBe(3);
    expect(finish(NO_OFFLOADS, frame, undefined, note)).toBe(1);
    expect(seen).toEqual([[3054, true], [3054, false], [1054, false], [1054, false], [1054, false], [3054, false]]);
  });

  it('drops what makes no sense, and never writes outside', () => {
    const good = packet({ payload: numbers(200) });
    const kinds = fc.constantFrom('tcp4', 'tcp6', 'udp' as const);
    fc.assert(fc.property(
      fc.array(fc.tuple(fc.nat(90), fc.nat(255)), { maxLength: 6 }), fc.nat(260), fc.nat(300), fc.nat(80), kinds, fc.integer({ min: 0, max: 3000 }),
      (changes, length, start, offset, type, size) => {
        const frame = good.frame.slice(0, length);
        for (const [at, value] of changes) if (at < frame.length) frame[at] = value;
        let bytes = 0;
        segment(frame, { csum: { start: start % 2 ? good.start : start, offset }, gso: { type, size, ecn: false } }, (piece) => (bytes += piece.length));
        expect(bytes).toBeLessThan(300 * 10);
        checksumRight(frame);
      },
    ), { numRuns: 2000 });
  });
});
