import { beforeEach, describe, expect, it } from 'vitest';
import { checksumRight, finishChecksum, internetSum, NO_OFFLOADS, setIpv4Checksum } from './offload.ts';
import { Rtl8139 } from './rtl8139.ts';
import * as R from './rtl8139-registers.ts';
import { BROADCAST, NicSlot, TEST_MAC, testFrame, testTcp } from './testing.ts';

const RX = 0x10000;
const DATA = 0x40000;
const TX_RING = 0x2000;
const RX_RING = 0x3000;

let slot: NicSlot<Rtl8139>;
const frames = (): Uint8Array[] => slot.net.sent.map(({ frame }) => frame);

function build(): void {
  slot = new NicSlot((parts) => new Rtl8139(parts), NO_OFFLOADS);
  slot.out(R.IMR, 0xffff, 2);
}

/** C mode as a driver sets it up: 8 KiB ring, own address and broadcast. */
function start(rcr = R.RCR_APM | R.RCR_AB): void {
  slot.out(R.RBSTART, RX, 4);
  slot.out(R.CR, R.CR_TE | R.CR_RE);
  slot.out(R.RCR, rcr, 4);
}

describe('rtl8139', () => {
  beforeEach(build);

  it('is an 8139C+, by ports and by memory', () => {
    expect([slot.card.config[0], slot.card.config[2], slot.card.config[8]]).toEqual([0xec, 0x39, 0x20]);
    expect(slot.in(R.TCR, 4) & 0x7cc00000).toBe(R.TCR_VERSION);
    expect(Array.from({ length: 6 }, (_, i) => slot.in(i))).toEqual([...TEST_MAC]);
    expect([slot.read(0) >>> 0, slot.in(R.BMSR, 2), slot.in(R.MSR) & R.MSR_LINKB]).toEqual([0x12005452, 0x782d, 0]);
  });

  it('has its address in the EEPROM, and lets it be changed when unlocked', () => {
    const clock = (bit: number): number => {
      const pins = R.EECR_PROGRAM | R.EECR_CS | (bit ? R.EECR_DI : 0);
      slot.out(R.EECR, pins);
      slot.out(R.EECR, pins | R.EECR_SK);
      return slot.in(R.EECR) & R.EECR_DO;
    };
    for (const bit of [1, 1, 0, 0, 0, 0, 1, 1, 1]) clock(bit);
    let word = 0;
    for (let n = 0; n < 16; n++) word = word * 2 + clock(0);
    expect(word).toBe(0x5452);
    slot.out(0, 0x02);
    expect(slot.in(0)).toBe(0x52);
    slot.out(R.EECR, R.EECR_CONFIG);
    slot.out(0, 0x02);
    slot.out(R.EECR, 0);
    expect(slot.in(0)).toBe(0x02);
    slot.out(R.EECR, 0x40);
    expect(slot.in(0)).toBe(0x52);
  });

  it('sends by four buffers in turn', () => {
    start();
    for (let n = 0; n < 5; n++) {
      slot.memory.write(DATA, testFrame(60 + n));
      slot.out(R.TSAD0 + 4 * (n % 4), DATA, 4);
      slot.out(R.TSD0 + 4 * (n % 4), 60 + n, 4);
    }
    expect(frames()).toEqual([0, 1, 2, 3, 4].map((n) => testFrame(60 + n)));
    expect(slot.in(R.TSD0, 4)).toBe(64 | R.TSD_OWN | R.TSD_TOK);
    expect([slot.in(R.ISR, 2), slot.intx, slot.in(R.TSAD, 2)]).toEqual([R.INT_TOK, true, 0xf00f]);
    slot.out(R.ISR, R.INT_TOK, 2);
    expect(slot.intx).toBe(false);
  });

  it('waits while the backend has no room', () => {
    start();
    slot.net.canSend = false;
    slot.out(R.TSD0, 60, 4);
    expect([slot.net.sent.length, slot.in(R.TSD0, 4)]).toEqual([0, 60]);
    slot.net.drain();
    expect([slot.net.sent.length, slot.in(R.TSD0, 4) & R.TSD_OWN]).toEqual([1, R.TSD_OWN]);
  });

  it('receives into the ring buffer', () => {
    start();
    expect(slot.in(R.CR) & R.CR_BUFE).toBe(R.CR_BUFE);
    slot.net.give(testFrame(101));
    slot.net.give(testFrame(20, BROADCAST));
    expect([slot.memory.read16(RX), slot.memory.read16(RX + 2)]).toEqual([R.RX_ROK | R.RX_PAM, 105]);
    expect(slot.memory.bytes(RX + 4, 101)).toEqual(testFrame(101));
    expect([slot.memory.read16(RX + 112), slot.memory.read16(RX + 114)]).toEqual([R.RX_ROK | R.RX_BAR, 64]);
    expect([slot.in(R.CBR, 2), slot.in(R.CR) & R.CR_BUFE, slot.in(R.ISR, 2), slot.intx]).toEqual([112 + 68, 0, R.INT_ROK, true]);
    slot.out(R.CAPR, 112 + 68 - 16, 2);
    expect(slot.in(R.CR) & R.CR_BUFE).toBe(R.CR_BUFE);
  });

  it('has the FCS behind a frame', () => {
    start();
    // CRC-32 of "123456789" is CBF43926h (every catalogue of CRCs); over frame and FCS the residue is DEBB20E3h before the inversion.
    slot.net.give(testFrame(60));
    let crc = 0xffffffff;
    for (const byte of slot.memory.bytes(RX + 4, 64)) {
      crc ^= byte;
      for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
    }
    expect(crc >>> 0).toBe(0xdebb20e3);
  });

  it('goes round the ring, and leaves frames outside while it is full', () => {
    start();
    let taken = 0;
    while (slot.net.give(testFrame(1000))) taken++;
    expect(taken).toBe(8);
    const first = 1008;
    const readies = slot.net.readies;
    slot.out(R.CAPR, first - 16, 2);
    expect(slot.net.readies).toBe(readies + 1);
    expect(slot.net.give(testFrame(900))).toBe(true);
    // Over the end, back to the beginning.
    const at = 8 * first;
    const bytes = Uint8Array.from({ length: 904 }, (_, i) => slot.memory.read8(RX + ((at + i) % 8192)));
    expect(bytes.subarray(4)).toEqual(testFrame(900));
    // With WRAP the end of the frame lies behind the ring.
    build();
    start(R.RCR_APM | R.RCR_WRAP);
    for (let n = 0; n < 8; n++) slot.net.give(testFrame(1000));
    slot.out(R.CAPR, 4000, 2);
    slot.net.give(testFrame(900));
    expect(slot.memory.bytes(RX + at + 4, 900)).toEqual(testFrame(900));
  });

  it('filters addresses', () => {
    start(R.RCR_APM);
    const passes = (to: ArrayLike<number>): boolean => {
      const before = slot.in(R.CBR, 2);
      slot.net.give(testFrame(60, to));
      return slot.in(R.CBR, 2) !== before;
    };
    const group = [0x01, 0, 0x5e, 0, 0, 1];
    expect([TEST_MAC, [2, 0, 0, 0, 0, 1], BROADCAST, group].map(passes)).toEqual([true, false, false, false]);
    slot.out(R.RCR, R.RCR_AM, 4);
    // ether_crc of 01:00:5e:00:00:01 begins with 011111b: bit 31 (Linux: ether_crc(6, addr) >> 26).
    slot.out(R.MAR0, 0x80000000, 4);
    expect([group, TEST_MAC].map(passes)).toEqual([true, false]);
    slot.out(R.RCR, R.RCR_AAP, 4);
    expect([TEST_MAC, [2, 0, 0, 0, 0, 1], BROADCAST, group].map(passes)).toEqual([true, true, true, true]);
  });

  it('sends to itself in loopback', () => {
    start();
    slot.out(R.TCR, R.TCR_LBK, 4);
    slot.memory.write(DATA, testFrame(80));
    slot.out(R.TSAD0, DATA, 4);
    slot.out(R.TSD0, 80, 4);
    expect([slot.net.sent.length, slot.memory.read16(RX + 2)]).toEqual([0, 84]);
  });

  it('counts time, and interrupts at TimerInt', () => {
    slot.out(R.TCTR, 0, 4);
    slot.out(R.TIMERINT, 3300, 4);
    slot.clock.advance(99_000);
    expect([slot.in(R.TCTR, 4), slot.intx]).toEqual([3267, false]);
    slot.clock.advance(1_100);
    expect([slot.in(R.ISR, 2), slot.intx]).toEqual([R.INT_TIMEOUT, true]);
  });

  it('tells of the link', () => {
    slot.net.plug(false);
    expect([slot.in(R.ISR, 2), slot.in(R.MSR) & R.MSR_LINKB, slot.in(R.BMSR, 2) & 0x24]).toEqual([R.INT_LINKCHG, R.MSR_LINKB, 0]);
  });

  it('is reset, and comes back from a snapshot', () => {
    start();
    slot.net.give(testFrame(100));
    const other = new NicSlot((parts) => new Rtl8139(parts));
    other.card.load(structuredClone(slot.card.save()));
    slot = other;
    expect([slot.in(R.CBR, 2), slot.intx]).toEqual([108, true]);
    slot.out(R.CR, R.CR_RST);
    expect([slot.in(R.CR), slot.in(R.ISR, 2), slot.intx, slot.in(R.CBR, 2)]).toEqual([R.CR_BUFE, 0, false, 0]);
  });
});

describe('rtl8139, C+ mode', () => {
  beforeEach(() => {
    build();
    slot.out(R.CPCR, R.CPCR_TXENB | R.CPCR_RXENB | R.CPCR_RXCHKSUM | R.CPCR_RXVLAN, 2);
    slot.out(R.TNPDS, TX_RING, 4);
    slot.out(R.RDSAR, RX_RING, 4);
    slot.out(R.CR, R.CR_TE | R.CR_RE);
    slot.out(R.RCR, R.RCR_APM | R.RCR_AB, 4);
    for (let n = 0; n < 4; n++) give(n);
  });

  /** Hand a receive descriptor of four to the chip. */
  function give(n: number): void {
    slot.memory.write64(RX_RING + 16 * n + 8, BigInt(RX + 2048 * n));
    slot.memory.write32(RX_RING + 16 * n, (R.D_OWN | (n === 3 ? R.D_EOR : 0) | 1536) >>> 0);
  }

  function send(n: number, address: number, first: number, second = 0): void {
    slot.memory.write32(TX_RING + 16 * n + 4, second);
    slot.memory.write64(TX_RING + 16 * n + 8, BigInt(address));
    slot.memory.write32(TX_RING + 16 * n, (R.D_OWN | (n === 3 ? R.D_EOR : 0) | first) >>> 0);
  }

  it('sends what the ring has, in parts, and gives descriptors back', () => {
    slot.memory.write(DATA, testFrame(200));
    send(0, DATA, R.D_FS | 50);
    send(1, DATA + 50, R.D_LS | 150);
    send(2, DATA, R.D_FS | R.D_LS | 60);
    slot.out(R.TPPOLL, R.TPPOLL_NPQ);
    expect(frames().map(({ length }) => length)).toEqual([200, 60]);
    expect(frames()[0]).toEqual(testFrame(200));
    expect(slot.memory.read32(TX_RING) & R.D_OWN).toBe(0);
    expect(slot.in(R.ISR, 2)).toBe(R.INT_TOK | R.INT_TDU);
    send(3, DATA, R.D_FS | R.D_LS | 61);
    send(0, DATA, R.D_FS | R.D_LS | 62);
    slot.out(R.TPPOLL, R.TPPOLL_NPQ);
    expect(frames().slice(2).map(({ length }) => length)).toEqual([61, 62]);
  });

  it('makes checksums, cuts TCP, and puts tags in', () => {
    const frame = testTcp(2500);
    frame.set([0, 0], 50);
    slot.memory.write(DATA, frame);
    send(0, DATA, R.D_FS | R.D_LS | R.TX_LGSEN | (1000 << 16) | 2554);
    const short = testTcp(100);
    slot.memory.write(DATA + 4096, short);
    send(1, DATA + 4096, R.D_FS | R.D_LS | R.TX_IPCS | R.TX_TCPCS | 154, R.TX_TAGC | 0x2301);
    slot.out(R.TPPOLL, R.TPPOLL_NPQ);
    expect(frames().map(({ length }) => length)).toEqual([1054, 1054, 554, 158]);
    expect(frames().every(checksumRight)).toBe(true);
    // No errors, no collisions: they stand where the MSS stood.
    expect(slot.memory.read32(TX_RING)).toBe(R.D_FS | R.D_LS | 2554);
    expect([...frames()[3].subarray(12, 18)]).toEqual([0x81, 0, 0x01, 0x23, 8, 0]);
    expect(internetSum(frames()[3], 18, 38)).toBe(0xffff);
  });

  it('receives, with checksums looked at and tags taken out', () => {
    const good = testTcp(100);
    setIpv4Checksum(good, 14);
    finishChecksum(good, { start: 34, offset: 16 });
    const bad = good.slice();
    bad[60] ^= 1;
    for (const frame of [good, bad, testFrame(104, TEST_MAC, 0x0123)]) expect(slot.net.give(frame)).toBe(true);
    const first = (n: number): number => slot.memory.read32(RX_RING + 16 * n);
    expect(first(0)).toBe(R.D_FS | R.D_LS | R.RX_D_PAM | R.RX_PID_TCP | 158);
    expect(first(1) & R.RX_TCPF).toBe(R.RX_TCPF);
    expect([slot.memory.read32(RX_RING + 36), first(2) & R.RX_SIZE]).toEqual([R.RX_TAVA | 0x2301, 104]);
    expect(slot.memory.bytes(RX, 154)).toEqual(good);
    expect(slot.in(R.ISR, 2)).toBe(R.INT_ROK);
  });

  it('looks again for descriptors that come without a word', () => {
    for (let n = 0; n < 4; n++) expect(slot.net.give(testFrame())).toBe(true);
    expect(slot.net.give(testFrame())).toBe(false);
    give(0);
    const before = slot.net.readies;
    slot.clock.advance(1e6);
    expect(slot.net.readies).toBe(before + 1);
    expect(slot.net.give(testFrame())).toBe(true);
  });

  it('dumps its counters', () => {
    slot.net.give(testFrame());
    slot.out(R.DTCCR + 4, 0, 4);
    slot.out(R.DTCCR, 0x5000 | R.DTCCR_CMD, 4);
    expect([slot.in(R.DTCCR, 4), slot.memory.read32(0x5008)]).toEqual([0x5000, 1]);
  });

  it('ends where a ring has no end', () => {
    slot.out(R.TNPDS, 0xfffffff0, 4);
    slot.out(R.TNPDS + 4, 0xffffffff, 4);
    slot.out(R.RDSAR, 0xfffffff0, 4);
    slot.out(R.TPPOLL, R.TPPOLL_NPQ);
    slot.net.give(testFrame());
    slot.clock.advance(1e6);
    expect(slot.net.sent).toEqual([]);
  });
});
