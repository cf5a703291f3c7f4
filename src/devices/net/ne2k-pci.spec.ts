import { beforeEach, describe, expect, it } from 'vitest';
import { ISR_PRX, ISR_PTX, ISR_RDC, ISR_RST, Ne2kPci } from './ne2k-pci.ts';
import { BROADCAST, NicSlot, TEST_MAC, testFrame } from './testing.ts';

let slot: NicSlot<Ne2kPci>;
const frames = (): Uint8Array[] => slot.net.sent.map(({ frame }) => frame);

/** Remote DMA: set address and count, begin reading (0Ah) or writing (12h). */
function remote(address: number, count: number, command: number): void {
  slot.out(0x00, 0x22);
  slot.out(0x0a, count & 0xff);
  slot.out(0x0b, count >> 8);
  slot.out(0x08, address & 0xff);
  slot.out(0x09, address >> 8);
  slot.out(0x00, command);
}

function read(address: number, count: number): Uint8Array {
  remote(address, count, 0x0a);
  return Uint8Array.from({ length: count }, () => slot.in(0x10));
}

function write(address: number, bytes: Uint8Array): void {
  remote(address, bytes.length, 0x12);
  for (const byte of bytes) slot.out(0x10, byte);
}

/** As drivers set it up: transmit buffer at page 40h, ring from 46h to 80h. */
function start(rcr = 0x04): void {
  slot.out(0x00, 0x21);
  slot.out(0x0e, 0x48); // bytes
  slot.out(0x0c, rcr);
  slot.out(0x01, 0x46);
  slot.out(0x02, 0x80);
  slot.out(0x03, 0x46);
  slot.out(0x00, 0x61);
  TEST_MAC.forEach((byte, i) => slot.out(1 + i, byte));
  slot.out(0x07, 0x47);
  slot.out(0x00, 0x22);
  slot.out(0x07, 0xff);
  slot.out(0x0f, 0x7f);
}

const curr = (): number => {
  slot.out(0x00, 0x62);
  const page = slot.in(0x07);
  slot.out(0x00, 0x22);
  return page;
};

describe('ne2k_pci', () => {
  beforeEach(() => {
    slot = new NicSlot((parts) => new Ne2kPci(parts));
    start();
  });

  it('is an RTL8029 with its address in the PROM, each byte twice', () => {
    expect([slot.card.config[0], slot.card.config[2]]).toEqual([0xec, 0x29]);
    const prom = read(0, 32);
    expect([...prom.filter((_, i) => i % 2 === 0)].slice(0, 6)).toEqual([...TEST_MAC]);
    expect([prom[1], prom[28], prom[30]]).toEqual([TEST_MAC[0], 0x57, 0x57]);
    expect([slot.in(0x0a), slot.in(0x0b)]).toEqual([0x50, 0x43]);
  });

  it('moves data through its port, in bytes, words and dwords, and says when it is done', () => {
    write(0x4000, testFrame(64));
    expect(slot.in(0x07) & ISR_RDC).toBe(ISR_RDC);
    expect(read(0x4000, 64)).toEqual(testFrame(64));
    slot.out(0x0e, 0x49);
    remote(0x4000, 8, 0x0a);
    const bytes = testFrame(64);
    expect([slot.in(0x10, 2), slot.in(0x10, 2), slot.in(0x10, 4)]).toEqual([bytes[0] | (bytes[1] << 8), bytes[2] | (bytes[3] << 8), new DataView(bytes.buffer).getUint32(4, true)]);
    // A byte's access moves a word then: that is how drivers read the PROM.
    remote(0, 32, 0x0a);
    expect(Array.from({ length: 6 }, () => slot.in(0x10))).toEqual([...TEST_MAC]);
    slot.out(0x0e, 0x48);
    // Beyond the RAM is nothing, and the PROM stays.
    write(0xd000, Uint8Array.of(1, 2));
    write(0, testFrame(20));
    expect([...read(0xd000, 2)]).toEqual([0xff, 0xff]);
    expect(read(0, 1)[0]).toBe(TEST_MAC[0]);
  });

  it('sends', () => {
    write(0x4000, testFrame(100));
    slot.out(0x04, 0x40);
    slot.out(0x05, 100);
    slot.out(0x06, 0);
    slot.out(0x00, 0x26);
    expect(frames()).toEqual([testFrame(100)]);
    expect([slot.in(0x00), slot.in(0x04), slot.in(0x07) & ISR_PTX, slot.intx]).toEqual([0x22, 1, ISR_PTX, true]);
  });

  it('waits while the backend has no room', () => {
    slot.net.canSend = false;
    slot.out(0x04, 0x40);
    slot.out(0x05, 60);
    slot.out(0x00, 0x26);
    expect([slot.in(0x00), slot.net.sent.length]).toEqual([0x26, 0]);
    slot.net.drain();
    expect([slot.in(0x00), slot.net.sent.length]).toEqual([0x22, 1]);
  });

  it('receives into its ring, round its end, and leaves frames outside while it is full', () => {
    expect(slot.net.give(testFrame(100))).toBe(true);
    expect([...read(0x4700, 4)]).toEqual([0x01, 0x48, 104, 0]);
    expect(read(0x4704, 100)).toEqual(testFrame(100));
    expect([slot.in(0x07) & ISR_PRX, slot.intx, curr()]).toEqual([ISR_PRX, true, 0x48]);
    let taken = 0;
    while (slot.net.give(testFrame(1400))) taken++;
    // 58 pages, one in use and one free: 6 pages a frame.
    expect(taken).toBe(9);
    const readies = slot.net.readies;
    slot.out(0x03, 0x5f);
    expect(slot.net.readies).toBeGreaterThan(readies);
    expect(slot.net.give(testFrame(1500, BROADCAST))).toBe(true);
    expect(curr()).toBe(0x46 + (0x48 + 9 * 6 + 6 - 0x80));
    // Read by the ring: the address goes round, too.
    const at = 0x48 + 9 * 6;
    expect([...read(at * 256, 4)]).toEqual([0x21, curr(), 1504 & 0xff, 1504 >> 8]);
    expect(read(at * 256 + 4, 1500)).toEqual(testFrame(1500, BROADCAST));
  });

  it('speaks up again for frames that the driver left in the ring, or that wait outside', () => {
    while (slot.net.give(testFrame(1400)));
    let waiting = true;
    slot.net.onReady = () => { if (waiting) waiting = !slot.net.give(testFrame(1400)); };
    slot.out(0x07, ISR_PRX);
    expect(slot.intx).toBe(true);
    slot.out(0x03, 0x52);
    expect(waiting).toBe(false);
    // What came in has interrupted, and with that also the driver's acknowledgement of what it has read came.
    slot.out(0x07, ISR_PRX);
    expect(slot.intx).toBe(true);
    // All read: BNRY a page behind CURR, or at it.
    for (const boundary of [curr() - 1, curr()]) {
      slot.out(0x03, boundary);
      slot.out(0x07, ISR_PRX);
      expect(slot.intx).toBe(false);
    }
    // Nothing of this while it is stopped.
    slot.out(0x03, curr() - 3);
    slot.out(0x00, 0x21);
    slot.out(0x07, ISR_PRX);
    expect(slot.intx).toBe(false);
  });

  it('filters addresses', () => {
    const passes = (to: ArrayLike<number>): boolean => {
      const before = curr();
      slot.net.give(testFrame(60, to));
      slot.out(0x03, curr() - 1);
      return curr() !== before;
    };
    const group = [0x01, 0, 0x5e, 0, 0, 1];
    expect([TEST_MAC, [2, 0, 0, 0, 0, 1], BROADCAST, group].map(passes)).toEqual([true, false, true, false]);
    slot.out(0x0c, 0x08);
    slot.out(0x00, 0x62);
    slot.out(0x0b, 0x80); // its CRC begins with 011111b: MAR3, bit 7
    slot.out(0x00, 0x22);
    expect([BROADCAST, group].map(passes)).toEqual([false, true]);
    slot.out(0x0c, 0x10);
    expect([[2, 0, 0, 0, 0, 1], group].map(passes)).toEqual([true, true]);
  });

  it('sends to itself in loopback, and is stopped and reset', () => {
    write(0x4000, testFrame(100));
    slot.out(0x0d, 0x02);
    slot.out(0x04, 0x40);
    slot.out(0x05, 100);
    slot.out(0x00, 0x26);
    expect([slot.net.sent.length, curr()]).toEqual([0, 0x48]);
    slot.out(0x00, 0x21);
    expect([slot.in(0x07) & ISR_RST, slot.net.give(testFrame())]).toEqual([ISR_RST, false]);
    slot.in(0x1f);
    expect([slot.in(0x00), slot.intx]).toEqual([0x21, false]);
  });

  it('comes back from a snapshot', () => {
    slot.net.give(testFrame(100));
    const other = new NicSlot((parts) => new Ne2kPci(parts));
    other.card.load(structuredClone(slot.card.save()));
    slot = other;
    expect([slot.intx, curr()]).toEqual([true, 0x48]);
    expect(read(0x4704, 100)).toEqual(testFrame(100));
  });
});
