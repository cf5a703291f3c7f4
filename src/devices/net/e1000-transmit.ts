// The transmit side of the 82540EM: descriptors, checksum offload, TCP segmentation, VLAN tags.
// Intel 317453, 3.3 (Packet Transmission), 3.4 (Transmit Descriptor Ring), 3.5 (TCP Segmentation).

import { type Clock, type FrameOffload, MAX_FRAME, type Timer } from '../interfaces.ts';
import type { E1000 } from './e1000.ts';
import * as R from './e1000-registers.ts';
import { ETHERTYPE_VLAN, finish, internetSum, IP_TCP, NO_OFFLOADS, pseudoHeaderSum, setIpv4Checksum } from './offload.ts';

/** Work that may be done at once, in bytes; and what a descriptor and a frame cost beside theirs. */
const BUDGET = 16 << 20;
const DESCRIPTOR_COST = 256;
const FRAME_COST = 512;
const MISS_COST = 1 << 16;

/** A context descriptor, 3.3.6: where checksums begin, go, and end. Offsets in the frame, bytes. */
interface Context {
  ipcss: number;
  ipcso: number;
  ipcse: number;
  tucss: number;
  tucso: number;
  tucse: number;
  /** TCP segmentation. */
  tcp: boolean;
  ipv4: boolean;
  hdrlen: number;
  mss: number;
}

const NO_CONTEXT: Context = { ipcss: 0, ipcso: 0, ipcse: 0, tucss: 0, tucso: 0, tucse: 0, tcp: false, ipv4: false, hdrlen: 0, mss: 0 };

/** The frame that is being put together from descriptors. */
interface Packet {
  length: number;
  /** Of its first descriptor (3.3.7): all but the last flags come from there. */
  first: boolean;
  segmented: boolean;
  popts: number;
  tag: number;
  /** It grew too long, and is dropped at its end. */
  bad: boolean;
}

const noPacket = (): Packet => ({ length: 0, first: true, segmented: false, popts: 0, tag: -1, bad: false });

export class E1000Transmitter {
  private readonly buffer = new Uint8Array(MAX_FRAME);
  private packet = noPacket();
  /** The controller keeps one for checksums and one for segmentation. */
  private plain = NO_CONTEXT;
  private segmentation = NO_CONTEXT;
  private running = false;
  private readonly later: Timer;

  constructor(
    private readonly card: E1000,
    clock: Clock,
  ) {
    this.later = clock.timer('e1000 transmit', () => this.run());
  }

  reset(): void {
    this.packet = noPacket();
    this.plain = this.segmentation = NO_CONTEXT;
    this.later.disarm();
  }

  /** Send what the driver has put into the ring, up to a limit; the rest a little later, when the guest has run again. */
  run(): void {
    const { card } = this;
    if (this.running || !(card.get(R.TCTL) & R.TCTL_EN)) return;
    const count = card.get(R.TDLEN) / R.DESCRIPTOR;
    // A tail outside the ring would be chased for ever.
    if (card.get(R.TDT) >= count) return;
    if (card.get(R.TDH) >= count) card.set(R.TDH, 0);
    this.running = true;
    const base = card.get(R.TDBAL) + card.get(R.TDBAH) * 2 ** 32;
    const descriptor = new Uint8Array(R.DESCRIPTOR);
    const view = new DataView(descriptor.buffer);
    const began = card.get(R.TDH);
    let reported = false;
    let delayed = true;
    let budget = BUDGET;
    while (card.get(R.TDH) !== card.get(R.TDT) && budget > 0) {
      if (this.packet.first && !card.loopback && !card.port.canSend) break;
      const head = card.get(R.TDH);
      const place = base + head * R.DESCRIPTOR;
      budget -= card.dma.read(place, descriptor) ? DESCRIPTOR_COST + this.descriptor(view) : MISS_COST;
      const command = view.getUint32(8, true);
      if (command & (R.TX_RS | R.TX_RPS)) {
        view.setUint8(12, view.getUint8(12) | R.TX_DD);
        card.dma.write(place + 12, descriptor.subarray(12));
        reported = true;
        if (!(command & R.TX_IDE)) delayed = false;
      }
      card.set(R.TDH, (head + 1) % count);
    }
    this.running = false;
    if (budget <= 0 && card.get(R.TDH) !== card.get(R.TDT)) this.later.arm(this.now() + 1);
    if (card.get(R.TDH) === card.get(R.TDT) && card.get(R.TDH) !== began) card.interrupt(R.INT_TXQE);
    if (reported) card.interruptSent(delayed);
  }

  private now(): number {
    return this.card.clockNow();
  }

  /** @returns work done, in bytes */
  private descriptor(view: DataView): number {
    const command = view.getUint32(8, true);
    const extended = (command & R.TX_DEXT) !== 0;
    if (extended && (command & R.TX_DTYP) !== R.TX_DTYP_DATA) {
      this.context(view, command);
      return 0;
    }
    const { packet } = this;
    const length = extended ? command & 0xfffff : command & 0xffff;
    if (packet.first) {
      packet.first = false;
      if (extended) {
        packet.segmented = (command & R.TX_TSE) !== 0;
        packet.popts = view.getUint8(13);
      }
    }
    // The tag is that of the descriptor with EOP.
    packet.tag = command & R.TX_VLE && this.card.get(R.CTRL) & R.CTRL_VME ? view.getUint16(14, true) : -1;
    if (packet.length + length > MAX_FRAME) {
      packet.bad = true;
    } else if (length > 0) {
      this.card.dma.read(view.getUint32(0, true) + view.getUint32(4, true) * 2 ** 32, this.buffer.subarray(packet.length, packet.length + length));
      packet.length += length;
    }
    if (!(command & R.TX_EOP)) return length;
    this.packet = noPacket();
    if (packet.bad) {
      this.card.port.counters.dropped++;
      return length;
    }
    const frame = this.buffer.slice(0, packet.length);
    // Legacy: a checksum from CSS goes to CSO (3.3.3.1).
    if (!extended && command & R.TX_IC) putChecksum(frame, view.getUint8(13), view.getUint8(10), frame.length);
    return length + FRAME_COST * this.send(frame, packet);
  }

  private context(view: DataView, command: number): void {
    const context: Context = {
      ipcss: view.getUint8(0), ipcso: view.getUint8(1), ipcse: view.getUint16(2, true), tucss: view.getUint8(4), tucso: view.getUint8(5), tucse: view.getUint16(6, true),
      tcp: (command & R.TUCMD_TCP) !== 0, ipv4: (command & R.TUCMD_IP) !== 0, hdrlen: view.getUint8(13), mss: view.getUint16(14, true),
    };
    if (command & R.TX_TSE) this.segmentation = context;
    else this.plain = context;
  }

  /** Finish a frame as its descriptors say, and send it. @returns frames on the wire */
  private send(frame: Uint8Array, { segmented, popts, tag }: Packet): number {
    let offload: FrameOffload | undefined;
    if (segmented) {
      offload = this.segment(frame);
      if (!offload) {
        this.card.port.counters.dropped++;
        return 0;
      }
    } else {
      const { ipcss, ipcso, ipcse, tucss, tucso, tucse } = this.plain;
      if (popts & R.POPTS_IXSM) putChecksum(frame, ipcss, ipcso, ipcse === 0 ? frame.length : ipcse + 1);
      if (popts & R.POPTS_TXSM) {
        if (tucse === 0 && tucso >= tucss && tucso + 2 <= frame.length) offload = { csum: { start: tucss, offset: tucso - tucss } };
        else putChecksum(frame, tucss, tucso, tucse === 0 ? frame.length : tucse + 1);
      }
    }
    if (tag >= 0) {
      frame = withTag(frame, tag);
      if (offload?.csum) offload = { ...offload, csum: { ...offload.csum, start: offload.csum.start + 4 } };
    }
    return this.out(frame, offload);
  }

  private out(frame: Uint8Array, offload: FrameOffload | undefined): number {
    const { card } = this;
    let sent = 1;
    if (card.loopback) finish(NO_OFFLOADS, frame, offload, (piece) => card.loop(piece));
    else sent = card.port.send(frame, offload);
    if (sent === 0) return 0;
    const length = Math.max(60, frame.length) + 4;
    card.count(R.GPTC, sent);
    card.count(R.TPT, sent);
    card.count64(R.GOTCL, length);
    card.count64(R.TOTL, length);
    if (offload?.gso) card.count(R.TSCTC);
    else card.countSize(R.PTC64, length);
    if (frame[0] & 1) card.count(frame.subarray(0, 6).every((byte) => byte === 0xff) ? R.BPTC : R.MPTC);
    return sent;
  }

  /** What has to be done about a frame that is to be cut, its headers made those of one long segment; undefined if it makes no sense. */
  private segment(frame: Uint8Array): FrameOffload | undefined {
    const { ipcss, tucss, tucso, tcp, ipv4, hdrlen, mss } = this.segmentation;
    const version = ipv4 ? 4 : 6;
    const headers = ipcss + (ipv4 ? 20 : 40);
    if (!tcp || tucso !== tucss + 16 || frame.length <= hdrlen || hdrlen < tucss + 20 || tucss < headers || ipcss < 14) return undefined;
    // A whole packet's length has 16 bits.
    const length = frame.length - ipcss;
    if (length > 0xffff) return undefined;
    const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
    if (ipv4) {
      view.setUint16(ipcss + 2, length);
      if (ipcss + 4 * (frame[ipcss] & 15) <= frame.length) setIpv4Checksum(frame, ipcss);
    } else {
      view.setUint16(ipcss + 4, length - 40);
    }
    view.setUint16(tucso, pseudoHeaderSum(frame, { network: ipcss, version }, IP_TCP, frame.length - tucss));
    return { csum: { start: tucss, offset: 16 }, gso: { type: ipv4 ? 'tcp4' : 'tcp6', size: mss, ecn: (frame[tucss + 13] & 0x80) !== 0 } };
  }

  save(): unknown {
    return { packet: { ...this.packet }, bytes: this.buffer.slice(0, this.packet.length), plain: this.plain, segmentation: this.segmentation, later: this.later.deadline };
  }

  load(state: unknown): void {
    const { packet, bytes, plain, segmentation, later } = state as { packet: Packet; bytes: Uint8Array; plain: Context; segmentation: Context; later: number };
    this.packet = { ...packet };
    this.buffer.set(bytes);
    this.plain = plain;
    this.segmentation = segmentation;
    this.later.arm(later);
  }
}

/** The sum of [start, end) goes to `at`; what lies outside the frame is not there. */
function putChecksum(frame: Uint8Array, start: number, at: number, end: number): void {
  if (at + 2 > frame.length || start >= frame.length) return;
  new DataView(frame.buffer, frame.byteOffset).setUint16(at, ~internetSum(frame, start, Math.min(end, frame.length)));
}

/** A VLAN tag behind the addresses. */
function withTag(frame: Uint8Array, tag: number): Uint8Array {
  if (frame.length < 12) return frame;
  const tagged = new Uint8Array(frame.length + 4);
  tagged.set(frame.subarray(0, 12));
  tagged.set([ETHERTYPE_VLAN >> 8, ETHERTYPE_VLAN & 0xff, tag >> 8, tag & 0xff], 12);
  tagged.set(frame.subarray(12), 16);
  return tagged;
}
