import { beforeEach, describe, expect, it } from 'vitest';
import { E1000 } from './e1000.ts';
import * as R from './e1000-registers.ts';
import { ALL_OFFLOADS, checksumRight, finishChecksum, internetSum, NO_OFFLOADS, setIpv4Checksum } from './offload.ts';
import { BROADCAST, NicSlot, TEST_MAC, testFrame, testTcp } from './testing.ts';

const TX_RING = 0x1000;
const RX_RING = 0x2000;
const TX_DATA = 0x10000;
const RX_DATA = 0x20000;
const ENTRIES = 8;

let slot: NicSlot<E1000>;

function build(accepts = NO_OFFLOADS): void {
  slot = new NicSlot((parts) => new E1000(parts), accepts);
  slot.write(R.TDBAL, TX_RING);
  slot.write(R.TDLEN, ENTRIES * 16);
  slot.write(R.TCTL, R.TCTL_EN | R.TCTL_PSP);
  slot.write(R.RDBAL, RX_RING);
  slot.write(R.RDLEN, ENTRIES * 16);
  for (let n = 0; n < ENTRIES; n++) slot.memory.write64(RX_RING + 16 * n, BigInt(RX_DATA + 2048 * n));
  slot.write(R.RDT, ENTRIES - 1);
  slot.write(R.RCTL, R.RCTL_EN | R.RCTL_BAM | R.RCTL_SECRC);
  slot.write(R.IMS, R.INT_ALL);
  slot.read(R.ICR);
}

/** Put a descriptor at the tail, and move it. */
function send(address: number, lower: number, upper = 0, kick = true): void {
  const tail = slot.read(R.TDT);
  const at = TX_RING + 16 * tail;
  slot.memory.write64(at, BigInt(address));
  slot.memory.write32(at + 8, lower >>> 0);
  slot.memory.write32(at + 12, upper >>> 0);
  if (kick) slot.write(R.TDT, (tail + 1) % ENTRIES);
}

/** Context descriptor for a TCP segment over IPv4. */
function context(more: number, length = 0, mss = 0): void {
  const tail = slot.read(R.TDT);
  const at = TX_RING + 16 * tail;
  slot.memory.write(at, Uint8Array.of(14, 24, 33, 0, 34, 50, 0, 0));
  slot.memory.write32(at + 8, (more | R.TX_DEXT | R.TUCMD_TCP | R.TUCMD_IP | length) >>> 0);
  slot.memory.write32(at + 12, (mss << 16) | (54 << 8));
  slot.write(R.TDT, (tail + 1) % ENTRIES);
}

const frames = (): Uint8Array[] => slot.net.sent.map(({ frame }) => frame);
const status = (n: number): number => slot.memory.read8(RX_RING + 16 * n + 12);
const errors = (n: number): number => slot.memory.read8(RX_RING + 16 * n + 13);
const length = (n: number): number => slot.memory.read16(RX_RING + 16 * n + 8);

describe('e1000', () => {
  beforeEach(() => build());

  it('is an 82540EM with its address in EEPROM and registers', () => {
    expect([slot.card.get16(0), slot.card.get16(2), slot.card.config[8]]).toEqual([0x8086, 0x100e, 3]);
    const words = Array.from({ length: 64 }, (_, n) => {
      slot.write(R.EERD, (n << 8) | R.EERD_START);
      const value = slot.read(R.EERD);
      expect(value & R.EERD_DONE).not.toBe(0);
      return value >>> 16;
    });
    expect(words.slice(0, 3)).toEqual([0x5452, 0x1200, 0x5634]);
    expect(words.reduce((sum, word) => sum + word, 0) & 0xffff).toBe(0xbaba);
    expect([slot.read(R.RAL0), slot.read(R.RAL0 + 4)]).toEqual([0x12005452, 0x80005634]);
  });

  it('reads the EEPROM by its wires, after asking for it', () => {
    slot.write(R.EECD, R.EECD_REQ);
    expect(slot.read(R.EECD) & (R.EECD_GNT | R.EECD_PRES)).toBe(R.EECD_GNT | R.EECD_PRES);
    const clock = (bit: number): number => {
      const pins = R.EECD_REQ | R.EECD_CS | (bit ? R.EECD_DI : 0);
      slot.write(R.EECD, pins);
      slot.write(R.EECD, pins | R.EECD_SK);
      const out = slot.read(R.EECD) & R.EECD_DO ? 1 : 0;
      slot.write(R.EECD, pins);
      return out;
    };
    for (const bit of [1, 1, 0, 0, 0, 0, 0, 0, 2]) clock(bit);
    let word = 0;
    for (let n = 0; n < 16; n++) word = word * 2 + clock(0);
    expect(word).toBe(0x1200);
  });

  it('has a PHY, at address 1 only', () => {
    const phy = (register: number, address = 1): number => {
      slot.write(R.MDIC, (2 << 26) | (address << 21) | (register << 16));
      return slot.read(R.MDIC);
    };
    expect([phy(2) & 0xffff, phy(3) & 0xffff]).toEqual([0x0141, 0x0c20]);
    expect(phy(1) & 0x24).toBe(0x24);
    expect(phy(2, 2) & R.MDIC_E).not.toBe(0);
    slot.write(R.MDIC, (1 << 26) | (1 << 21) | (4 << 16) | 0x01e1);
    expect(phy(4) & 0xffff).toBe(0x01e1);
    slot.net.plug(false);
    expect(phy(1) & 0x24).toBe(0);
    expect(slot.read(R.STATUS) & R.STATUS_LU).toBe(0);
    expect(slot.read(R.ICR)).toBe(R.INT_LSC);
  });

  it('sends by legacy descriptors, in parts, and reports what was asked for', () => {
    slot.memory.write(TX_DATA, testFrame(200));
    send(TX_DATA, 50);
    expect(slot.net.sent).toEqual([]);
    send(TX_DATA + 50, 150 | R.TX_EOP | R.TX_IFCS | R.TX_RS);
    expect(frames()).toEqual([testFrame(200)]);
    expect([0, 1].map((n) => slot.memory.read8(TX_RING + 16 * n + 12))).toEqual([0, R.TX_DD]);
    expect(slot.intx).toBe(true);
    expect(slot.read(R.ICR)).toBe(R.INT_TXDW | R.INT_TXQE);
    expect(slot.intx).toBe(false);
    expect([slot.read(R.GPTC), slot.read(R.GPTC), slot.read(R.GOTCL)]).toEqual([1, 0, 204]);
  });

  it('makes a legacy descriptor\'s checksum', () => {
    const frame = testTcp(100);
    setIpv4Checksum(frame, 14);
    slot.memory.write(TX_DATA, frame);
    send(TX_DATA, 154 | (50 << 16) | R.TX_EOP | R.TX_IC, 34 << 8);
    expect(checksumRight(frames()[0])).toBe(true);
  });

  it('makes the checksums that a context asks for', () => {
    const frame = testTcp(100);
    slot.memory.write(TX_DATA, frame);
    context(0);
    send(TX_DATA, 154 | R.TX_DEXT | R.TX_DTYP_DATA | R.TX_EOP | R.TX_RS, (R.POPTS_IXSM | R.POPTS_TXSM) << 8);
    expect(checksumRight(frames()[0])).toBe(true);
    expect(internetSum(frames()[0], 14, 34)).toBe(0xffff);
  });

  it.each([['cuts', NO_OFFLOADS, [1054, 1054, 554]], ['leaves cutting to the backend', ALL_OFFLOADS, [2554]]] as const)('TCP segmentation: %s', (_what, accepts, lengths) => {
    build(accepts);
    const frame = testTcp(2500);
    // As Linux hands it over: no lengths, and the sum without them.
    frame.set([0, 0], 16);
    const pseudo = testTcp(2500);
    slot.memory.write(TX_DATA, frame);
    context(R.TX_TSE, 2500, 1000);
    send(TX_DATA, 54 | R.TX_DEXT | R.TX_DTYP_DATA | R.TX_TSE, (R.POPTS_IXSM | R.POPTS_TXSM) << 8);
    send(TX_DATA + 54, 2500 | R.TX_DEXT | R.TX_DTYP_DATA | R.TX_TSE | R.TX_EOP | R.TX_RS);
    expect(frames().map((one) => one.length)).toEqual(lengths);
    const { offload } = slot.net.sent[0];
    if (accepts === NO_OFFLOADS) {
      expect(frames().every(checksumRight)).toBe(true);
      expect(frames().flatMap((one) => [...one.subarray(54)])).toEqual([...pseudo.subarray(54)]);
      expect(frames().map((one) => one[47])).toEqual([0x10, 0x10, 0x18]);
    } else {
      expect(offload).toEqual({ csum: { start: 34, offset: 16 }, gso: { type: 'tcp4', size: 1000, ecn: false } });
      finishChecksum(slot.net.sent[0].frame, offload!.csum!);
      expect(checksumRight(slot.net.sent[0].frame)).toBe(true);
    }
  });

  it('puts a VLAN tag in', () => {
    slot.write(R.CTRL, slot.read(R.CTRL) | R.CTRL_VME);
    slot.memory.write(TX_DATA, testFrame(100));
    send(TX_DATA, 100 | R.TX_EOP | R.TX_VLE, 0x2123 << 16);
    const [frame] = frames();
    expect([...frame.subarray(12, 18)]).toEqual([0x81, 0, 0x21, 0x23, 8, 0]);
    expect(frame.subarray(18)).toEqual(testFrame(100).subarray(14));
  });

  it('waits while the backend has no room', () => {
    slot.net.canSend = false;
    slot.memory.write(TX_DATA, testFrame(100));
    send(TX_DATA, 100 | R.TX_EOP);
    expect([slot.read(R.TDH), slot.net.sent.length]).toEqual([0, 0]);
    slot.net.drain();
    expect([slot.read(R.TDH), slot.net.sent.length]).toEqual([1, 1]);
  });

  it('receives, and interrupts', () => {
    expect(slot.net.give(testFrame(100))).toBe(true);
    expect([length(0), status(0) & 3, slot.read(R.RDH)]).toEqual([100, R.RX_DD | R.RX_EOP, 1]);
    expect(slot.memory.bytes(RX_DATA, 100)).toEqual(testFrame(100));
    expect(slot.intx).toBe(true);
    expect(slot.read(R.ICR)).toBe(R.INT_RXT0);
    // A short one is padded; with FCS it counts four more.
    slot.write(R.RCTL, R.RCTL_EN | R.RCTL_BAM);
    slot.net.give(testFrame(20, BROADCAST));
    expect([length(1), slot.read(R.BPRC), slot.read(R.GPRC)]).toEqual([64, 1, 2]);
  });

  it('spreads a long frame over buffers, if there are enough', () => {
    slot.write(R.RCTL, R.RCTL_EN | R.RCTL_LPE | R.RCTL_SECRC | (3 << 16)); // 256 bytes
    slot.write(R.RDT, 3);
    expect(slot.net.give(testFrame(900))).toBe(false);
    expect(slot.read(R.RNBC)).toBe(1);
    expect(slot.net.give(testFrame(700))).toBe(true);
    expect([0, 1, 2].map(length)).toEqual([256, 256, 188]);
    expect([0, 1, 2].map((n) => status(n) & 3)).toEqual([1, 1, 3]);
    expect(slot.net.give(testFrame(60))).toBe(false);
    const before = slot.net.readies;
    slot.write(R.RDT, 7);
    expect(slot.net.readies).toBe(before + 1);
    expect(slot.net.give(testFrame(60))).toBe(true);
  });

  it('tells when descriptors run low', () => {
    slot.write(R.RCTL, slot.read(R.RCTL) | (1 << 8)); // a quarter
    const causes = Array.from({ length: 5 }, () => {
      slot.net.give(testFrame());
      return slot.read(R.ICR) & R.INT_RXDMT0;
    });
    expect(causes.map(Boolean)).toEqual([false, false, false, false, true]);
  });

  it('filters addresses', () => {
    const passes = (to: ArrayLike<number>, vlan?: number): boolean => {
      const head = slot.read(R.RDH);
      expect(slot.net.give(testFrame(64, to, vlan))).toBe(true);
      slot.write(R.RDT, (head + ENTRIES - 1) % ENTRIES);
      return slot.read(R.RDH) !== head;
    };
    const other = [0x52, 0x54, 0, 0, 0, 1];
    const group = [0x01, 0, 0x5e, 0, 0x12, 0x34];
    expect([TEST_MAC, other, group, BROADCAST].map((to) => passes(to))).toEqual([true, false, false, true]);
    // Multicast hash with MO 0: bits 47:36, that is 34 12h >> 4.
    const hash = (0x3412 >> 4) & 0xfff;
    slot.write(R.MTA + 4 * (hash >> 5), 1 << (hash & 31));
    expect([passes(group), passes([1, 0, 0x5e, 0, 0, 1])]).toEqual([true, false]);
    slot.write(R.RAL0 + 8 * 5, 0x00005452);
    slot.write(R.RAL0 + 8 * 5 + 4, R.RAH_AV | 0x0100);
    expect(passes(other)).toBe(true);
    slot.write(R.RCTL, R.RCTL_EN | R.RCTL_UPE);
    expect([passes([2, 3, 4, 5, 6, 7]), passes(BROADCAST)]).toEqual([true, false]);
    slot.write(R.RCTL, R.RCTL_EN | R.RCTL_VFE);
    expect(passes(TEST_MAC, 0x123)).toBe(false);
    slot.write(R.VFTA + 4 * (0x123 >> 5), 1 << (0x123 & 31));
    expect([passes(TEST_MAC, 0x123), passes(TEST_MAC)]).toEqual([true, true]);
  });

  it('takes a VLAN tag out', () => {
    slot.write(R.CTRL, slot.read(R.CTRL) | R.CTRL_VME);
    slot.net.give(testFrame(104, TEST_MAC, 0x3123));
    expect([length(0), status(0) & R.RX_VP, slot.memory.read16(RX_RING + 14)]).toEqual([100, R.RX_VP, 0x3123]);
    expect(slot.memory.bytes(RX_DATA + 12, 88)).toEqual(testFrame(104, TEST_MAC, 0x3123).subarray(16));
  });

  it('looks at checksums', () => {
    slot.write(R.RXCSUM, R.RXCSUM_IPOFL | R.RXCSUM_TUOFL);
    const good = testTcp(100);
    setIpv4Checksum(good, 14);
    finishChecksum(good, { start: 34, offset: 16 });
    const bad = good.slice();
    bad[60] ^= 1;
    for (const frame of [good, bad, testFrame(60)]) slot.net.give(frame);
    expect(status(0)).toBe(R.RX_DD | R.RX_EOP | R.RX_IPCS | R.RX_TCPCS);
    expect([errors(0), errors(1)]).toEqual([0, R.RX_ERROR_TCPE]);
    expect(status(2) & R.RX_IXSM).toBe(R.RX_IXSM);
    slot.net.give(bad, { verified: true });
    expect(errors(3)).toBe(0);
  });

  it('holds interrupts back by ITR', () => {
    slot.write(R.ITR, 1000); // 256 µs
    slot.net.give(testFrame());
    expect(slot.interrupts).toBe(1);
    slot.read(R.ICR);
    slot.net.give(testFrame());
    expect(slot.intx).toBe(false);
    slot.clock.advance(255_000);
    expect(slot.intx).toBe(false);
    slot.clock.advance(2_000);
    expect([slot.intx, slot.interrupts]).toEqual([true, 2]);
  });

  it('waits for more frames by RDTR, but not longer than RADV', () => {
    slot.write(R.RCTL, slot.read(R.RCTL) | (2 << 8)); // so that descriptors do not run low
    slot.write(R.RDTR, 10);
    slot.write(R.RADV, 25);
    for (let n = 0; n < 3; n++) {
      slot.net.give(testFrame());
      expect(slot.intx).toBe(false);
      slot.clock.advance(9_000);
    }
    expect(slot.intx).toBe(true);
    slot.read(R.ICR);
    slot.net.give(testFrame());
    slot.write(R.RDTR, 0x8000_000a);
    expect(slot.intx).toBe(true);
  });

  it('sends to itself in loopback', () => {
    slot.write(R.RCTL, slot.read(R.RCTL) | (3 << 6));
    slot.memory.write(TX_DATA, testFrame(100));
    send(TX_DATA, 100 | R.TX_EOP);
    expect([slot.net.sent.length, length(0)]).toEqual([0, 100]);
  });

  it('is reset by software, and comes back from a snapshot in the middle of a frame', () => {
    slot.memory.write(TX_DATA, testFrame(200));
    send(TX_DATA, 50);
    slot.net.give(testFrame());
    const state = structuredClone(slot.card.save());
    const other = new NicSlot((parts) => new E1000(parts));
    other.card.load(state);
    other.memory.all.set(slot.memory.all);
    slot = other;
    expect(slot.intx).toBe(true);
    send(TX_DATA + 50, 150 | R.TX_EOP);
    expect(frames()).toEqual([testFrame(200)]);
    slot.write(R.CTRL, R.CTRL_RST);
    expect([slot.intx, slot.read(R.TDLEN), slot.read(R.RCTL), slot.read(R.RAL0)]).toEqual([false, 0, 0, 0x12005452]);
    expect(slot.net.give(testFrame())).toBe(false);
  });

  it('survives rings that lie outside memory or make no sense', () => {
    slot.write(R.TDBAL, 0xfffffff0);
    slot.write(R.TDBAH, 0xffffffff);
    slot.write(R.TDLEN, 0xfff80);
    slot.write(R.TDH, 0xffff);
    slot.write(R.TDT, 0xfffe);
    slot.write(R.TDT, 0xff0);
    slot.write(R.RDBAL, 0xfffff0);
    slot.write(R.RDT, 0xffff);
    for (let n = 0; n < 20; n++) slot.net.give(testFrame(1500));
    slot.clock.advance(1000);
    build();
    slot.net.give(testFrame());
    expect(length(0)).toBe(60);
  });
});
