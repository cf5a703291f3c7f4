// Drivers that keep to no rule against the emulated cards: registers, rings, descriptors and frames at random. What must hold: no exception,
// an end to every step, and a card that sends a frame after a reset. For cards.spec.ts and scripts/fuzz.ts.

import fc from 'fast-check';
import type { NetOffloads } from '../../../src/devices/interfaces.ts';
import type { PciFunction } from '../../../src/devices/pci.ts';
import { E1000 } from '../../../src/devices/net/e1000.ts';
import * as E from '../../../src/devices/net/e1000-registers.ts';
import { Ne2kPci } from '../../../src/devices/net/ne2k-pci.ts';
import { ALL_OFFLOADS, NO_OFFLOADS } from '../../../src/devices/net/offload.ts';
import type { Nic } from '../../../src/devices/net/port.ts';
import { Rtl8139 } from '../../../src/devices/net/rtl8139.ts';
import * as L from '../../../src/devices/net/rtl8139-registers.ts';
import { NicSlot, testFrame, testTcp } from '../../../src/devices/net/testing.ts';

/** A card, the registers that matter most, values that mean something there, and how to send a frame that stands at 8000h. */
interface Target {
  make(accepts: NetOffloads): NicSlot<PciFunction & Nic>;
  /** Ports or memory. */
  io: boolean;
  registers: readonly number[];
  space: number;
  values: readonly number[];
  descriptor: readonly number[];
  send(slot: NicSlot<PciFunction & Nic>, length: number): void;
  /** Set rings up as a driver would, so that what follows gets somewhere. */
  prepare?(slot: NicSlot<PciFunction & Nic>): void;
}

export const NIC_TARGETS: Readonly<Record<string, Target>> = {
  e1000: {
    make: (accepts) => new NicSlot((parts) => new E1000(parts), accepts),
    io: false,
    registers: [
      E.CTRL, E.EECD, E.EERD, E.MDIC, E.ICR, E.ITR, E.ICS, E.IMS, E.RCTL, E.TCTL, E.RDBAL, E.RDBAH, E.RDLEN, E.RDH, E.RDT, E.RDTR, E.RADV, E.TDBAL, E.TDBAH, E.TDLEN, E.TDH, E.TDT, E.TIDV,
      E.RXCSUM, E.TDT, E.RDT, E.TDT, E.RDT,
    ],
    space: 0x20000,
    values: [0x80, 0xfff80, E.RCTL_EN | E.RCTL_UPE | E.RCTL_MPE, E.RCTL_EN | E.RCTL_UPE | (3 << 16), E.TCTL_EN, E.CTRL_VME | 1, 0x40000000, 3 << 6],
    descriptor: [
      E.TX_EOP | E.TX_RS | 60, E.TX_EOP | E.TX_IC | 1514, E.TX_DEXT | E.TX_TSE | E.TUCMD_TCP | E.TUCMD_IP, E.TX_DEXT | E.TX_DTYP_DATA | E.TX_TSE | E.TX_EOP | 3054,
      E.TX_DEXT | E.TX_DTYP_DATA | 0xfffff, E.TX_EOP | E.TX_VLE | E.TX_IDE | 100, 0x0e_21_0e_18, 0x00_32_22_0e, 0x03e8_3600,
    ],
    prepare(slot) {
      for (const [at, value] of [[E.TDBAL, 0x1000], [E.TDBAH, 0], [E.TDLEN, 128], [E.TCTL, E.TCTL_EN], [E.RDBAL, 0x2000], [E.RDBAH, 0], [E.RDLEN, 128], [E.RCTL, E.RCTL_EN | E.RCTL_UPE], [E.RDT, 7]]) slot.write(at, value);
      // A context and a long segment, where the head stands.
      const head = slot.read(E.TDH) & 7;
      slot.memory.write(0x8000, testTcp(3000));
      [0x0021180e, 0x00003222, E.TX_DEXT | E.TX_TSE | E.TUCMD_TCP | E.TUCMD_IP, (500 << 16) | (54 << 8)].forEach((word, n) => slot.memory.write32(0x1000 + 16 * head + 4 * n, word >>> 0));
      [0x8000, 0, E.TX_DEXT | E.TX_DTYP_DATA | E.TX_TSE | E.TX_EOP | 3054, 0x300].forEach((word, n) => slot.memory.write32(0x1000 + 16 * ((head + 1) & 7) + 4 * n, word >>> 0));
    },
    send(slot, length) {
      slot.write(E.TDBAL, 0x1000);
      slot.write(E.TDBAH, 0);
      slot.write(E.TDLEN, 128);
      slot.write(E.TDH, 0);
      slot.write(E.TDT, 0);
      slot.write(E.TCTL, E.TCTL_EN);
      slot.memory.write64(0x1000, 0x8000n);
      slot.memory.write32(0x1008, E.TX_EOP | length);
      slot.memory.write32(0x100c, 0);
      slot.write(E.TDT, 1);
    },
  },
  rtl8139: {
    make: (accepts) => new NicSlot((parts) => new Rtl8139(parts), accepts),
    io: true,
    registers: [L.TSD0, L.TSD0 + 4, L.TSAD0, L.TNPDS, L.TNPDS + 4, L.RBSTART, L.CR, L.CAPR, L.IMR, L.ISR, L.TCR, L.RCR, L.TCTR, L.TIMERINT, L.EECR, L.BMCR, L.TPPOLL, L.CPCR, L.RDSAR, L.RDSAR + 4],
    space: 0x100,
    values: [L.CR_TE | L.CR_RE, L.CPCR_TXENB | L.CPCR_RXENB | L.CPCR_RXCHKSUM | L.CPCR_RXVLAN, L.TPPOLL_NPQ, L.RCR_AAP, L.RCR_AAP | L.RCR_WRAP, L.RCR_AAP | (3 << 11), L.TCR_LBK, 60, 8191],
    descriptor: [
      L.D_OWN | L.D_FS | L.D_LS | 60, L.D_OWN | L.D_EOR | 1536, L.D_OWN | L.D_FS | L.D_LS | L.TX_LGSEN | (500 << 16) | 3054, L.D_OWN | L.D_FS | 0xffff, L.D_OWN | L.D_LS | L.TX_TCPCS | L.TX_IPCS | 154,
      L.TX_TAGC | 0x123,
    ],
    send(slot, length) {
      slot.out(L.TSAD0, 0x8000, 4);
      slot.out(L.CR, L.CR_TE);
      slot.out(L.TSD0, length, 4);
    },
  },
  ne2k_pci: {
    make: (accepts) => new NicSlot((parts) => new Ne2kPci(parts), accepts),
    io: true,
    registers: Array.from({ length: 0x20 }, (_, n) => n),
    space: 0x100,
    values: [0x21, 0x22, 0x26, 0x0a, 0x12, 0x1a, 0x62, 0x46, 0x80, 0x40, 0x14, 0x1f, 0x49],
    descriptor: [0],
    send(slot, length) {
      slot.out(0, 0x22);
      slot.out(0x0e, 0x48);
      for (const [at, value] of [[0x0a, length], [0x0b, 0], [0x08, 0], [0x09, 0x40], [0x00, 0x12]]) slot.out(at, value);
      for (let i = 0; i < length; i++) slot.out(0x10, slot.memory.read8(0x8000 + i));
      for (const [at, value] of [[0x04, 0x40], [0x05, length], [0x06, 0], [0x00, 0x26]]) slot.out(at, value);
    },
  },
};

function steps(target: Target) {
  const address = fc.constantFrom(0, 0x1000, 0x2000, 0x8000, 0xfff00, 0xffffff0, 0xfffffff0);
  const value = fc.oneof(fc.constantFrom(...target.values), address, fc.nat(16), fc.nat(0xffff), fc.nat(0xffffffff));
  return fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        kind: fc.constant('write' as const), at: fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...target.registers) }, fc.nat(target.space - 1)),
        size: fc.constantFrom(1 as const, 2 as const, 4 as const, 4 as const), value,
      }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('read' as const), at: fc.oneof(fc.constantFrom(...target.registers), fc.nat(target.space - 1)), size: fc.constantFrom(1 as const, 2 as const, 4 as const) }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('ram' as const), at: fc.constantFrom(0x1000, 0x2000), words: fc.array(fc.oneof(fc.constantFrom(...target.descriptor), address, fc.nat(0xffffffff)), { minLength: 4, maxLength: 32 }) }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('frame' as const), length: fc.constantFrom(13, 14, 60, 1514, 9000, 65553), tcp: fc.boolean() }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('time' as const), ns: fc.nat(300_000) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('net' as const), up: fc.boolean(), room: fc.boolean() }) },
  );
}

type Step = ReturnType<typeof steps> extends fc.Arbitrary<infer T> ? T : never;
type Slot = NicSlot<PciFunction & Nic>;

function run(target: Target, slot: Slot, list: readonly Step[]): void {
  const { net, memory } = slot;
  for (const one of list) {
    switch (one.kind) {
      case 'write':
        if (target.io) slot.out(one.at, one.value, one.size);
        else slot.bus.mmioWrite(0xe0000000 + one.at, one.size, one.value);
        break;
      case 'read':
        if (target.io) slot.in(one.at, one.size);
        else slot.bus.mmioRead(0xe0000000 + one.at, one.size);
        break;
      case 'ram':
        one.words.forEach((word, n) => memory.write32(one.at + 4 * n, word >>> 0));
        break;
      case 'frame':
        net.give(one.tcp ? testTcp(one.length) : testFrame(Math.max(14, one.length)));
        break;
      case 'time':
        slot.clock.advance(one.ns);
        break;
      case 'net':
        net.canSend = one.room;
        net.plug(one.up);
        if (one.room) net.drain();
    }
  }
}

/** The machine is still usable, and a snapshot can be had. */
function prove(name: string, target: Target, slot: Slot): void {
  const { net, memory } = slot;
  structuredClone(slot.card.save());
  slot.card.reset();
  slot.place();
  net.canSend = true;
  net.plug(true);
  net.sent.length = 0;
  memory.write(0x8000, testFrame());
  target.send(slot, 60);
  const right = testFrame();
  if (net.sent.length !== 1 || net.sent[0].frame.length !== right.length || !right.every((byte, n) => net.sent[0].frame[n] === byte)) throw new Error(`${name} does not send any more`);
}

/** @param seed of the random cases  @throws what fast-check throws, with the steps that failed */
export function fuzzNic(name: string, runs: number, seed: number, progress: (done: number) => void = () => {}): void {
  const target = NIC_TARGETS[name];
  const make = (): Slot[] => [NO_OFFLOADS, ALL_OFFLOADS].map((accepts) => target.make(accepts));
  let slots = make();
  let done = 0;
  fc.assert(fc.property(fc.nat(1), fc.boolean(), fc.array(steps(target), { minLength: 5, maxLength: 40 }), (which, prepared, list) => {
    const slot = slots[which];
    slot.net.sent.length = 0;
    try {
      if (prepared) target.prepare?.(slot);
      run(target, slot, list);
      if (++done % 20 === 0) prove(name, target, slot);
    } catch (error) {
      // The next attempt, of a shorter case, shall not find what this one left.
      slots = make();
      throw error;
    }
    if (done % 10_000 === 0) progress(done);
  }), { numRuns: runs, seed });
  for (const slot of slots) prove(name, target, slot);
}
