// Transmission and reception of the RTL8139C+: four buffers and a ring buffer (C mode), or rings of descriptors (C+ mode).
// Realtek, "RTL8139C(L)+ Datasheet": 6.7 (Transmit Status), 7 (EEPROM aside) and 9 (C+ mode of operation).

import { type Clock, type FrameOffload, MAX_FRAME, type Timer } from '../interfaces.ts';
import { crc32, frameCheckSequence } from './crc.ts';
import {
  checksumRight, ETHERTYPE_VLAN, frameLayout, finish, internetSum, IP_TCP, IP_UDP, NO_OFFLOADS, pseudoHeaderSum, setIpv4Checksum,
} from './offload.ts';
import type { Rtl8139 } from './rtl8139.ts';
import * as R from './rtl8139-registers.ts';

const FCS = 4;
const MIN_LENGTH = 60;
/** The largest that a descriptor's length has room for. */
const MAX_LENGTH = 8191 - FCS;
/** Work that may be done at once, and what a descriptor and a frame cost, in bytes; one outside memory takes longer. */
const BUDGET = 8 << 20;
const DESCRIPTOR_COST = 256;
const MISS_COST = 1 << 16;
const FRAME_COST = 512;
/** Nobody says that receive descriptors are there again: look after this many ns. */
const RETRY = 200_000;

interface State {
  /** Which of the four buffers is next. */
  current: number;
  txNext: number;
  rxNext: number;
  bytes: Uint8Array;
  bad: boolean;
  later: number;
  retry: number;
}

export class Rtl8139Rings {
  private current = 0;
  private txNext = 0;
  private rxNext = 0;
  /** A frame of several descriptors, up to here. */
  private length = 0;
  private bad = false;
  private readonly buffer = new Uint8Array(MAX_FRAME);
  private readonly later: Timer;
  private readonly retry: Timer;
  private running = false;

  constructor(
    private readonly card: Rtl8139,
    clock: Clock,
  ) {
    this.later = clock.timer('rtl8139 transmit', () => this.transmit());
    this.retry = clock.timer('rtl8139 receive', () => card.port.ready());
  }

  reset(): void {
    this.current = this.txNext = this.rxNext = this.length = 0;
    this.bad = false;
    this.later.disarm();
    this.retry.disarm();
  }

  /** The driver has begun with a new ring. */
  restartReceive(): void {
    this.rxNext = 0;
  }

  restartTransmit(): void {
    this.txNext = this.length = 0;
    this.bad = false;
  }

  // Transmission

  transmit(): void {
    const { card } = this;
    if (this.running || !(card.reg.get8(R.CR) & R.CR_TE)) return;
    this.running = true;
    if (card.reg.get16(R.CPCR) & R.CPCR_TXENB) this.transmitRing();
    else this.transmitBuffers();
    this.running = false;
  }

  /** C mode: the driver clears OWN of the next of four. */
  private transmitBuffers(): void {
    const { card } = this;
    for (let left = 4; left > 0 && card.canSend; left--) {
      const status = card.reg.get32(R.TSD0 + 4 * this.current);
      if (status & R.TSD_OWN) return;
      const frame = new Uint8Array(status & R.TSD_SIZE);
      card.dma.read(card.reg.get32(R.TSAD0 + 4 * this.current), frame);
      this.send(frame);
      card.reg.set32(R.TSD0 + 4 * this.current, status | R.TSD_OWN | R.TSD_TOK);
      this.current = (this.current + 1) & 3;
      card.interrupt(R.INT_TOK);
    }
  }

  /** C+ mode. There is a ring of high priority, too, which no driver uses: QEMU's does not look at it either. */
  private transmitRing(): void {
    const { card } = this;
    let budget = BUDGET;
    let sent = false;
    while (budget > 0) {
      if (this.length === 0 && !card.canSend) break;
      const place = card.reg.get32(R.TNPDS) + card.reg.get32(R.TNPDS + 4) * 2 ** 32 + R.DESCRIPTOR * this.txNext;
      const descriptor = card.dma.read32(place);
      const reachable = card.dma.read32(place + 4);
      if (!(descriptor & R.D_OWN)) {
        card.interrupt(R.INT_TDU | (sent ? R.INT_TOK : 0));
        card.reg.set8(R.TPPOLL, 0);
        return;
      }
      budget -= DESCRIPTOR_COST + this.descriptor(descriptor, reachable, card.dma.read32(place + 8) + card.dma.read32(place + 12) * 2 ** 32);
      sent = true;
      // Written back before the next is looked at: a ring of one must end. Where the MSS stood stand errors then, and collisions.
      if (!card.dma.write32(place, (descriptor & (R.D_EOR | R.D_FS | R.D_LS | 0xffff)) >>> 0)) {
        this.restartTransmit();
        return;
      }
      this.txNext = descriptor & R.D_EOR ? 0 : this.txNext + 1;
      // 64 descriptors are what the chip has.
      if (this.txNext >= 64) this.txNext = 0;
    }
    if (sent) card.interrupt(R.INT_TOK);
    if (budget <= 0) this.later.arm(card.clockNow() + 1);
  }

  /** @returns work done, in bytes */
  private descriptor(first: number, second: number, address: number): number {
    if (first & R.D_FS) {
      this.length = 0;
      this.bad = false;
    }
    const length = first & 0xffff;
    if (this.length + length > MAX_FRAME) {
      this.bad = true;
    } else if (!this.card.dma.read(address, this.buffer.subarray(this.length, this.length + length))) {
      this.bad = true;
      return MISS_COST;
    } else {
      this.length += length;
    }
    if (!(first & R.D_LS)) return length;
    const frame = this.buffer.slice(0, this.length);
    this.length = 0;
    if (this.bad) {
      this.card.port.counters.dropped++;
      return length;
    }
    return length + FRAME_COST * this.finishFrame(frame, first, second);
  }

  private finishFrame(frame: Uint8Array, first: number, second: number): number {
    let offload: FrameOffload | undefined;
    const layout = frameLayout(frame);
    const large = (first & R.TX_LGSEN) !== 0;
    const transport = layout && (layout.protocol === IP_TCP || layout.protocol === IP_UDP) ? layout : undefined;
    if (layout?.version === 4 && (large || first & R.TX_IPCS)) setIpv4Checksum(frame, layout.network);
    if (transport && (large || first & (R.TX_TCPCS | R.TX_UDPCS))) {
      const tcp = transport.protocol === IP_TCP;
      const offset = tcp ? 16 : 6;
      const at = transport.transport + offset;
      if (at + 2 <= transport.end) {
        // The chip makes the pseudo header's sum by itself.
        new DataView(frame.buffer).setUint16(at, pseudoHeaderSum(frame, transport, transport.protocol, transport.end - transport.transport));
        frame = frame.subarray(0, transport.end);
        offload = { csum: { start: transport.transport, offset } };
        if (large && tcp) {
          offload = { ...offload, gso: { type: transport.version === 4 ? 'tcp4' : 'tcp6', size: (first >>> 16) & 0x7ff, ecn: (frame[transport.transport + 13] & 0x80) !== 0 } };
        }
      }
    }
    if (second & R.TX_TAGC && frame.length >= 14) {
      const tagged = new Uint8Array(frame.length + 4);
      tagged.set(frame.subarray(0, 12));
      // The tag stands in network order.
      tagged.set([ETHERTYPE_VLAN >> 8, ETHERTYPE_VLAN & 0xff, second & 0xff, (second >>> 8) & 0xff], 12);
      tagged.set(frame.subarray(12), 16);
      frame = tagged;
      if (offload?.csum) offload = { ...offload, csum: { ...offload.csum, start: offload.csum.start + 4 } };
    }
    return this.send(frame, offload);
  }

  private send(frame: Uint8Array, offload?: FrameOffload): number {
    const { card } = this;
    if ((card.reg.get32(R.TCR) & R.TCR_LBK) !== R.TCR_LBK) return card.port.send(frame, offload);
    return finish(NO_OFFLOADS, frame, offload, (piece) => void this.receive(piece, false));
  }

  // Reception

  /** @returns false if there is no room */
  receive(frame: Uint8Array, verified: boolean): boolean {
    const { card } = this;
    if (!(card.reg.get8(R.CR) & R.CR_RE)) return false;
    if (frame.length > MAX_LENGTH) return true;
    const where = this.filter(frame);
    if (where === 0) return true;
    return card.reg.get16(R.CPCR) & R.CPCR_RXENB ? this.receiveRing(frame, where, verified) : this.receiveBuffer(frame, where);
  }

  /** Which of RX_BAR, RX_PAM and RX_MAR, or 1 for a frame that only came through because all do; 0: not for us. */
  private filter(frame: Uint8Array): number {
    const { card } = this;
    const rcr = card.reg.get32(R.RCR);
    if (frame[0] & 1) {
      if (frame.subarray(0, 6).every((byte) => byte === 0xff)) return rcr & R.RCR_AB ? R.RX_BAR : rcr & R.RCR_AAP ? 1 : 0;
      const hash = crc32(frame.subarray(0, 6)) >>> 26;
      if (rcr & R.RCR_AM && card.reg.get8(R.MAR0 + (hash >> 3)) & (1 << (hash & 7))) return R.RX_MAR;
    } else if (rcr & R.RCR_APM && frame.subarray(0, 6).every((byte, i) => byte === card.reg.get8(R.IDR0 + i))) {
      return R.RX_PAM;
    }
    return rcr & R.RCR_AAP ? 1 : 0;
  }

  /** Bytes of C mode's ring. */
  private get size(): number {
    return 8192 << ((this.card.reg.get32(R.RCR) >>> 11) & 3);
  }

  get bufferEmpty(): boolean {
    return this.readPointer === this.card.reg.get16(R.CBR) % this.size;
  }

  /** Where the driver reads: CAPR is 16 behind. */
  private get readPointer(): number {
    return (this.card.reg.get16(R.CAPR) + 16) % this.size;
  }

  private receiveBuffer(frame: Uint8Array, where: number): boolean {
    const { card, size } = this;
    const length = Math.max(MIN_LENGTH, frame.length) + FCS;
    const write = card.reg.get16(R.CBR) % size;
    const room = (this.readPointer - write + size) % size;
    // Header, frame, up to a dword; full must not look like empty.
    const needed = (4 + length + 3) & ~3;
    if (room !== 0 && needed + 4 > room) return false;
    const bytes = new Uint8Array(4 + length);
    const view = new DataView(bytes.buffer);
    view.setUint16(0, R.RX_ROK | (where & ~1), true);
    view.setUint16(2, length, true);
    bytes.set(frame, 4);
    view.setUint32(length, frameCheckSequence(bytes.subarray(4, length)), true);
    const base = card.reg.get32(R.RBSTART);
    const left = size - write;
    // WRAP: behind the ring's end there is room for one more frame.
    if (bytes.length <= left || (card.reg.get32(R.RCR) & R.RCR_WRAP && size !== 65536)) {
      card.dma.write(base + write, bytes);
    } else {
      card.dma.write(base + write, bytes.subarray(0, left));
      card.dma.write(base, bytes.subarray(left));
    }
    card.reg.set16(R.CBR, (write + needed) % size);
    card.interrupt(R.INT_ROK);
    return true;
  }

  private receiveRing(frame: Uint8Array, where: number, verified: boolean): boolean {
    const { card } = this;
    const cpcr = card.reg.get16(R.CPCR);
    const place = card.reg.get32(R.RDSAR) + card.reg.get32(R.RDSAR + 4) * 2 ** 32 + R.DESCRIPTOR * this.rxNext;
    const first = card.dma.read32(place);
    const address = card.dma.read32(place + 8) + card.dma.read32(place + 12) * 2 ** 32;
    const strip = (cpcr & R.CPCR_RXVLAN) !== 0 && frame.length >= 18 && ((frame[12] << 8) | frame[13]) === ETHERTYPE_VLAN;
    const bytes = new Uint8Array(Math.max(MIN_LENGTH, frame.length - (strip ? 4 : 0)) + FCS);
    if (strip) {
      bytes.set(frame.subarray(0, 12));
      bytes.set(frame.subarray(16), 12);
    } else {
      bytes.set(frame);
    }
    if (!(first & R.D_OWN)) {
      this.retry.arm(card.clockNow() + RETRY);
      return false;
    }
    if (bytes.length > (first & R.RX_SIZE)) {
      // It would need several buffers, and drivers give such as hold a frame.
      card.reg.set32(R.MPC, (card.reg.get32(R.MPC) + 1) & 0xffffff);
      card.interrupt(R.INT_RXOVW);
      return true;
    }
    card.dma.write(address, bytes);
    const status = (where & R.RX_MAR ? R.RX_D_MAR : 0) | (where & R.RX_PAM ? R.RX_D_PAM : 0) | (where & R.RX_BAR ? R.RX_D_BAR : 0);
    card.dma.write32(place + 4, strip ? R.RX_TAVA | frame[14] | (frame[15] << 8) : 0);
    const checks = cpcr & R.CPCR_RXCHKSUM ? this.checks(frame, verified) : 0;
    card.dma.write32(place, ((first & R.D_EOR) | R.D_FS | R.D_LS | status | checks | bytes.length) >>> 0);
    this.rxNext = first & R.D_EOR || this.rxNext >= 63 ? 0 : this.rxNext + 1;
    card.interrupt(R.INT_ROK);
    return true;
  }

  private checks(frame: Uint8Array, verified: boolean): number {
    const layout = frameLayout(frame);
    if (layout?.version !== 4) return 0;
    const ip = verified || internetSum(frame, layout.network, layout.network + 4 * (frame[layout.network] & 15)) === 0xffff ? 0 : R.RX_IPF;
    if (layout.protocol !== IP_TCP && layout.protocol !== IP_UDP) return R.RX_PID_IP | ip;
    const right = verified || checksumRight(frame) !== false;
    if (layout.protocol === IP_TCP) return R.RX_PID_TCP | ip | (right ? 0 : R.RX_TCPF);
    return R.RX_PID_UDP | ip | (right ? 0 : R.RX_UDPF);
  }

  save(): State {
    const { current, txNext, rxNext, bad } = this;
    return { current, txNext, rxNext, bad, bytes: this.buffer.slice(0, this.length), later: this.later.deadline, retry: this.retry.deadline };
  }

  load(state: unknown): void {
    const { current, txNext, rxNext, bad, bytes, later, retry } = state as State;
    Object.assign(this, { current, txNext, rxNext, bad, length: bytes.length });
    this.buffer.set(bytes);
    this.later.arm(later);
    this.retry.arm(retry);
  }
}
