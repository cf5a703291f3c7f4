// The receive side of the 82540EM: address and VLAN filters, checksums, descriptors.
// Intel 317453, 3.2 (Receive Data Structure and Processing), 13.4.22 (RCTL), 13.5 (Filter Registers).

import type { E1000 } from './e1000.ts';
import * as R from './e1000-registers.ts';
import { checksumRight, frameLayout, internetSum, IP_TCP, IP_UDP } from './offload.ts';

/** Bytes of FCS, which count as part of the frame unless RCTL.SECRC. */
const FCS = 4;
/** Frame without FCS: least, most without and with a VLAN tag, and most with RCTL.LPE. */
const MIN_LENGTH = 60;
const MAX_NORMAL = 1518;
const MAX_LONG = 16384 - FCS;
/** Bit of a multicast address where the hash begins, by RCTL.MO. */
const HASH_SHIFT = [4, 3, 2, 0];

export class E1000Receiver {
  constructor(private readonly card: E1000) {}

  /** @param verified the checksum is known to be right @returns false if there are not enough descriptors */
  receive(frame: Uint8Array, verified: boolean): boolean {
    const { card } = this;
    const rctl = card.get(R.RCTL);
    if (!(rctl & R.RCTL_EN)) return false;
    if (frame.length > (rctl & R.RCTL_LPE ? MAX_LONG : MAX_NORMAL)) {
      card.count(R.ROC);
      return true;
    }
    if (!this.passes(frame, rctl)) return true;
    return this.deliver(frame, rctl, verified);
  }

  private passes(frame: Uint8Array, rctl: number): boolean {
    const { card } = this;
    if (rctl & R.RCTL_VFE && this.isTagged(frame)) {
      const vlan = ((frame[14] & 15) << 8) | frame[15];
      if (!((card.get(R.VFTA + 4 * (vlan >> 5)) >>> (vlan & 31)) & 1)) return false;
    }
    const multicast = (frame[0] & 1) !== 0;
    if (rctl & (multicast ? R.RCTL_MPE : R.RCTL_UPE)) return true;
    if (rctl & R.RCTL_BAM && frame.subarray(0, 6).every((byte) => byte === 0xff)) return true;
    const low = (frame[0] | (frame[1] << 8) | (frame[2] << 16) | (frame[3] << 24)) >>> 0;
    const high = (R.RAH_AV | frame[4] | (frame[5] << 8)) >>> 0;
    // Bits 16 and 17 of RAH say whether source or destination is meant; nobody asks for the source.
    for (let at = R.RAL0; at < R.RAL0 + 0x80; at += 8) if (card.get(at) === low && (card.get(at + 4) & 0x8000ffff) >>> 0 === high) return true;
    if (!multicast) return false;
    const hash = (((frame[5] << 8) | frame[4]) >> HASH_SHIFT[(rctl >>> 12) & 3]) & 0xfff;
    return ((card.get(R.MTA + 4 * (hash >> 5)) >>> (hash & 31)) & 1) !== 0;
  }

  private isTagged(frame: Uint8Array): boolean {
    return frame.length >= 18 && ((frame[12] << 8) | frame[13]) === this.card.get(R.VET);
  }

  private deliver(frame: Uint8Array, rctl: number, verified: boolean): boolean {
    const { card } = this;
    const size = bufferSize(rctl);
    const strip = (card.get(R.CTRL) & R.CTRL_VME) !== 0 && this.isTagged(frame);
    const length = Math.max(MIN_LENGTH, frame.length - (strip ? 4 : 0)) + (rctl & R.RCTL_SECRC ? 0 : FCS);
    const needed = Math.ceil(length / size);
    const count = card.get(R.RDLEN) / R.DESCRIPTOR;
    const free = this.free(count);
    if (free < needed) {
      card.count(R.RNBC);
      return false;
    }
    // Padding and FCS are zeroes: nobody looks at an FCS that the card has checked.
    const bytes = new Uint8Array(length);
    if (strip) {
      bytes.set(frame.subarray(0, 12));
      bytes.set(frame.subarray(16), 12);
    } else {
      bytes.set(frame);
    }
    const tag = strip ? (frame[14] << 8) | frame[15] : 0;
    const flags = this.checks(frame, verified) | (strip ? R.RX_VP : 0);
    const sum = this.packetChecksum(bytes);
    const base = card.get(R.RDBAL) + card.get(R.RDBAH) * 2 ** 32;
    const descriptor = new Uint8Array(R.DESCRIPTOR);
    const view = new DataView(descriptor.buffer);
    let head = card.get(R.RDH);
    for (let at = 0; at < length; at += size) {
      const place = base + head * R.DESCRIPTOR;
      card.dma.read(place, descriptor);
      const address = view.getUint32(0, true) + view.getUint32(4, true) * 2 ** 32;
      const part = bytes.subarray(at, Math.min(length, at + size));
      // A null address has no buffer (3.2.3).
      if (address !== 0) card.dma.write(address, part);
      view.setUint16(8, part.length, true);
      view.setUint16(10, sum, true);
      const last = at + size >= length;
      view.setUint8(12, R.RX_DD | (last ? R.RX_EOP | (flags & 0xff) : flags & R.RX_VP));
      view.setUint8(13, last ? flags >> 8 : 0);
      view.setUint16(14, tag, true);
      card.dma.write(place, descriptor);
      head = (head + 1) % count;
    }
    card.set(R.RDH, head);
    this.count(frame);
    // RCTL.RDMTS: a half, a quarter or an eighth of the descriptors are left.
    const low = this.free(count) <= count >> (((rctl >>> 8) & 3) + 1);
    if (low) card.interrupt(R.INT_RXDMT0);
    card.interruptReceived();
    return true;
  }

  /** Descriptors that the driver has given. */
  private free(count: number): number {
    const { card } = this;
    if (count === 0) return 0;
    if (card.get(R.RDH) >= count) card.set(R.RDH, 0);
    const tail = card.get(R.RDT);
    // A tail outside the ring is never reached: the driver gave all there are.
    return tail >= count ? count : (tail - card.get(R.RDH) + count) % count;
  }

  /** What was found out about checksums: status bits, and error bits above them. */
  private checks(frame: Uint8Array, verified: boolean): number {
    const rxcsum = this.card.get(R.RXCSUM);
    const layout = rxcsum & (R.RXCSUM_IPOFL | R.RXCSUM_TUOFL) ? frameLayout(frame) : undefined;
    if (!layout) return R.RX_IXSM;
    let flags = 0;
    if (rxcsum & R.RXCSUM_IPOFL && layout.version === 4) {
      flags |= R.RX_IPCS;
      if (!verified && internetSum(frame, layout.network, layout.network + 4 * (frame[layout.network] & 15)) !== 0xffff) flags |= R.RX_ERROR_IPE << 8;
    }
    if (rxcsum & R.RXCSUM_TUOFL && (layout.protocol === IP_TCP || layout.protocol === IP_UDP)) {
      const right = verified || checksumRight(frame);
      if (right !== undefined) flags |= R.RX_TCPCS | (right ? 0 : R.RX_ERROR_TCPE << 8);
    }
    return flags === 0 ? R.RX_IXSM : flags;
  }

  /** Sum of everything from RXCSUM.PCSS on, as the descriptor has it. */
  private packetChecksum(bytes: Uint8Array): number {
    const start = this.card.get(R.RXCSUM) & 0xff;
    // A driver that lets the card look at TCP and UDP has no use for it, and it costs as much.
    if (this.card.get(R.RXCSUM) & R.RXCSUM_TUOFL || start >= bytes.length) return 0;
    const sum = internetSum(bytes, start);
    return ((sum & 0xff) << 8) | (sum >>> 8);
  }

  private count(frame: Uint8Array): void {
    const { card } = this;
    const length = Math.max(MIN_LENGTH, frame.length) + FCS;
    card.count(R.GPRC);
    card.count(R.TPR);
    card.count64(R.GORCL, length);
    card.count64(R.TORL, length);
    card.countSize(R.PRC64, length);
    if (frame[0] & 1) card.count(frame.subarray(0, 6).every((byte) => byte === 0xff) ? R.BPRC : R.MPRC);
  }
}

/** RCTL.BSIZE and BSEX: bytes of a receive buffer. */
function bufferSize(rctl: number): number {
  const bsize = (rctl >>> 16) & 3;
  if (!(rctl & R.RCTL_BSEX)) return 2048 >> bsize;
  return bsize === 0 ? 2048 : 32768 >> bsize;
}
