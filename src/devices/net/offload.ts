// Checksums and segmentation of frames in software, for an end of a cable that does not take them unfinished.
// RFC 1071 (Internet checksum), RFC 9293 (TCP), RFC 791 and 8200 (IP, fragments); what has to be done per segment: virtio 1.2,
// 5.1.6.2, and Intel's "PCI/PCI-X Family of Gigabit Ethernet Controllers" manual, 3.5 (TCP Segmentation).
//
// Frames come from guests: nothing in them is believed, and one that makes no sense is dropped.

import type { FrameOffload, NetBackend, NetOffloads } from '../interfaces.ts';

export const NO_OFFLOADS: NetOffloads = { csum: false, tso4: false, tso6: false, ecn: false, ufo: false };
export const ALL_OFFLOADS: NetOffloads = { csum: true, tso4: true, tso6: true, ecn: true, ufo: true };

export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_IPV6 = 0x86dd;
export const ETHERTYPE_VLAN = 0x8100;
const ETHERTYPE_QINQ = 0x88a8;
export const IP_TCP = 6;
export const IP_UDP = 17;
const IPV6_FRAGMENT = 44;

/** Payload of one segment at least: Linux's TCP_MIN_SND_MSS. Less would only let a guest make many frames of one. */
const MIN_SEGMENT = 48;

const TCP_FIN_PSH = 0x09;
const TCP_CWR = 0x80;

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Sum of 16-bit words in the machine's order of bytes, not folded; an odd byte at the end counts as if a zero followed. */
function sumWords(view: DataView, from: number, to: number): number {
  let sum = 0;
  let at = from;
  // Words of 32 bits add up to the same after folding; a frame has too few of them to leave the integers of a double.
  for (const end = to - 3; at < end; at += 4) sum += view.getUint32(at, true);
  if (at + 1 < to) {
    sum += view.getUint16(at, true);
    at += 2;
  }
  if (at < to) sum += view.getUint8(at);
  return sum;
}

/** Fold a sum of sumWords to 16 bits, in network order. */
function fold(sum: number): number {
  let high = Math.floor(sum / 2 ** 32) + (sum % 2 ** 32);
  high = Math.floor(high / 65536) + (high % 65536);
  while (high > 0xffff) high = (high >>> 16) + (high & 0xffff);
  return ((high & 0xff) << 8) | (high >>> 8);
}

/** Up to here a sum byte by byte takes less time than a view for it: headers, addresses. */
const SHORT_SUM = 96;

function shortSum(bytes: Uint8Array, from: number, to: number, initial: number): number {
  let sum = initial;
  for (; from + 1 < to; from += 2) sum += (bytes[from] << 8) | bytes[from + 1];
  if (from < to) sum += bytes[from] << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}

/** One's complement sum of the 16-bit words of a range, folded, not inverted: 0xffff where a correct checksum is among them. `initial` is such a sum. */
export function internetSum(bytes: Uint8Array, from = 0, to = bytes.length, initial = 0): number {
  if (to - from <= SHORT_SUM) return shortSum(bytes, from, to, initial);
  const first = ((initial & 0xff) << 8) | (initial >>> 8);
  return fold(first + sumWords(viewOf(bytes), from, to));
}

/** Where the parts of a frame are. */
export interface FrameLayout {
  /** IPv4 or IPv6 header, in bytes from the start. */
  network: number;
  version: 4 | 6;
  /** Protocol behind the IP header and IPv6's extension headers, or -1 where that is a fragment's middle. */
  protocol: number;
  transport: number;
  /** End of the IP packet; the frame may go on with padding. */
  end: number;
}

/** Take the headers of an IP packet apart; undefined if it is none, or cut off. */
export function frameLayout(frame: Uint8Array): FrameLayout | undefined {
  const view = viewOf(frame);
  let network = 14;
  if (frame.length < network) return undefined;
  let type = view.getUint16(12);
  for (let tags = 0; tags < 2 && (type === ETHERTYPE_VLAN || type === ETHERTYPE_QINQ); tags++) {
    network += 4;
    if (frame.length < network) return undefined;
    type = view.getUint16(network - 2);
  }
  if (type === ETHERTYPE_IPV4) {
    if (frame.length < network + 20 || frame[network] >> 4 !== 4) return undefined;
    const header = 4 * (frame[network] & 15);
    const end = network + view.getUint16(network + 2);
    const transport = network + header;
    if (header < 20 || end < transport || end > frame.length) return undefined;
    const fragment = view.getUint16(network + 6) & 0x3fff;
    return { network, version: 4, protocol: fragment ? -1 : frame[network + 9], transport, end };
  }
  if (type !== ETHERTYPE_IPV6 || frame.length < network + 40 || frame[network] >> 4 !== 6) return undefined;
  const end = network + 40 + view.getUint16(network + 4);
  if (end > frame.length) return undefined;
  let protocol = frame[network + 6];
  let transport = network + 40;
  // Hop-by-hop, routing and destination options, each with its length; a fragment header ends the search.
  while (protocol === 0 || protocol === 43 || protocol === 60) {
    if (transport + 8 > end) return undefined;
    protocol = frame[transport];
    transport += 8 * (frame[transport + 1] + 1);
  }
  if (transport > end) return undefined;
  return { network, version: 6, protocol: protocol === IPV6_FRAGMENT ? -1 : protocol, transport, end };
}

/** Sum of the pseudo header (RFC 9293, 3.1; RFC 8200, 8.1), folded. */
export function pseudoHeaderSum(frame: Uint8Array, { network, version }: Pick<FrameLayout, 'network' | 'version'>, protocol: number, length: number): number {
  const addresses = version === 4 ? network + 12 : network + 8;
  const sum = internetSum(frame, addresses, addresses + (version === 4 ? 8 : 32)) + protocol + (length & 0xffff) + (length >>> 16);
  return (sum & 0xffff) + (sum >>> 16);
}

/** Put IPv4's header checksum in place. */
export function setIpv4Checksum(frame: Uint8Array, network: number): void {
  const view = viewOf(frame);
  view.setUint16(network + 10, 0);
  view.setUint16(network + 10, ~internetSum(frame, network, network + 4 * (frame[network] & 15)));
}

/**
 * Finish a checksum in place: the sum from csum.start to the end of the frame goes to csum.start + csum.offset.
 * @returns false if the place is outside the frame, which is then as it was
 */
export function finishChecksum(frame: Uint8Array, csum: NonNullable<FrameOffload['csum']>): boolean {
  const { start, offset } = csum;
  if (!(start >= 0 && offset >= 0 && start + offset + 2 <= frame.length)) return false;
  // 0 means "no checksum" to UDP and is the same number as FFFFh (RFC 768).
  viewOf(frame).setUint16(start + offset, ~internetSum(frame, start) & 0xffff || 0xffff);
  return true;
}

/** Whether the TCP or UDP checksum of a frame is right; undefined where there is none, or it cannot be told (fragments, other protocols). */
export function checksumRight(frame: Uint8Array): boolean | undefined {
  const layout = frameLayout(frame);
  if (!layout) return undefined;
  const { protocol, transport, end, version } = layout;
  if (protocol !== IP_TCP && protocol !== IP_UDP) return undefined;
  const at = transport + (protocol === IP_TCP ? 16 : 6);
  if (at + 2 > end) return undefined;
  if (protocol === IP_UDP && frame[at] === 0 && frame[at + 1] === 0) return version === 4 ? undefined : false;
  return internetSum(frame, transport, end, pseudoHeaderSum(frame, layout, protocol, end - transport)) === 0xffff;
}

/**
 * Cut a TCP segment or UDP datagram that is too long for the wire, and finish the checksums.
 * @param emit gets each frame, in a buffer that the next one overwrites
 * @returns how many there were; 0 if the frame makes no sense
 */
export function segment(frame: Uint8Array, { csum, gso }: FrameOffload, emit: (frame: Uint8Array) => void): number {
  if (!csum || !gso || gso.size < MIN_SEGMENT) return 0;
  const layout = segmentLayout(frame, csum.start);
  if (!layout) return 0;
  return gso.type === 'udp' ? fragmentUdp(frame, layout, csum, gso.size, emit) : segmentTcp(frame, layout, gso.size, emit);
}

/** The frame's layout where it is long and its transport header where the sender says. IP's own length may be 0 or wrong in a frame that is still to be cut. */
function segmentLayout(frame: Uint8Array, transport: number): FrameLayout | undefined {
  const view = viewOf(frame);
  let network = 14;
  if (frame.length < network) return undefined;
  let type = view.getUint16(12);
  for (let tags = 0; tags < 2 && (type === ETHERTYPE_VLAN || type === ETHERTYPE_QINQ); tags++) {
    network += 4;
    if (frame.length < network) return undefined;
    type = view.getUint16(network - 2);
  }
  const version = type === ETHERTYPE_IPV4 ? 4 : type === ETHERTYPE_IPV6 ? 6 : undefined;
  if (!version || transport > frame.length) return undefined;
  if (version === 4) {
    // The header's length has to agree: it is written to, and its checksum made.
    if (frame.length < network + 20 || transport !== network + 4 * (frame[network] & 15) || transport < network + 20) return undefined;
  } else if (transport < network + 40) {
    return undefined;
  }
  return { network, version, protocol: -1, transport, end: frame.length };
}

/** IP's length, and for IPv4 its checksum, of a piece. */
function setIpLength(piece: Uint8Array, { network, version }: FrameLayout): void {
  const view = viewOf(piece);
  if (version === 6) {
    view.setUint16(network + 4, piece.length - network - 40);
    return;
  }
  view.setUint16(network + 2, piece.length - network);
  setIpv4Checksum(piece, network);
}

function segmentTcp(frame: Uint8Array, layout: FrameLayout, size: number, emit: (frame: Uint8Array) => void): number {
  const { network, version, transport, end } = layout;
  if (transport + 20 > end) return 0;
  const headers = transport + 4 * (frame[transport + 12] >> 4);
  if (headers < transport + 20 || headers > end) return 0;
  const view = viewOf(frame);
  const sequence = view.getUint32(transport + 4);
  const flags = frame[transport + 13];
  const id = version === 4 ? view.getUint16(network + 4) : 0;
  const buffer = new Uint8Array(Math.min(headers + size, end));
  buffer.set(frame.subarray(0, headers));
  const out = viewOf(buffer);
  let count = 0;
  let at = headers;
  do {
    const length = Math.min(size, end - at);
    const piece = buffer.subarray(0, headers + length);
    piece.set(frame.subarray(at, at + length), headers);
    if (version === 4) out.setUint16(network + 4, id + count);
    setIpLength(piece, layout);
    out.setUint32(transport + 4, sequence + at - headers);
    // The first segment says that the window was reduced (RFC 3168, 6.1.2), the last that the data is to be pushed, and the end.
    buffer[transport + 13] = flags & ~((count > 0 ? TCP_CWR : 0) | (at + length < end ? TCP_FIN_PSH : 0));
    out.setUint16(transport + 16, 0);
    const pseudo = pseudoHeaderSum(piece, layout, IP_TCP, piece.length - transport);
    out.setUint16(transport + 16, ~internetSum(piece, transport, piece.length, pseudo));
    emit(piece);
    count++;
    at += length;
  } while (at < end);
  return count;
}

/** A UDP datagram becomes IP fragments. */
function fragmentUdp(frame: Uint8Array, layout: FrameLayout, csum: NonNullable<FrameOffload['csum']>, size: number, emit: (frame: Uint8Array) => void): number {
  const { network, version, transport, end } = layout;
  // A fragment header stands behind IPv6's own; with extension headers before it we cannot tell where.
  if (transport + 8 > end || (version === 6 && transport !== network + 40)) return 0;
  if (!finishChecksum(frame, csum)) return 0;
  const headers = version === 4 ? transport : transport + 8;
  const step = size & ~7;
  const buffer = new Uint8Array(headers + step);
  buffer.set(frame.subarray(0, transport));
  const out = viewOf(buffer);
  if (version === 6) {
    buffer[network + 6] = IPV6_FRAGMENT;
    buffer[transport] = IP_UDP;
    // Any number that differs from the last datagram's will do: its checksum, and where it lies between its ports.
    out.setUint32(transport + 4, viewOf(frame).getUint32(transport) ^ (viewOf(frame).getUint16(transport + 6) << 16));
  }
  let count = 0;
  for (let at = transport; at < end; at += step) {
    const length = Math.min(step, end - at);
    const piece = buffer.subarray(0, headers + length);
    piece.set(frame.subarray(at, at + length), headers);
    const more = at + length < end;
    if (version === 4) out.setUint16(network + 6, (more ? 0x2000 : 0) | ((at - transport) >> 3));
    else out.setUint16(transport + 2, (at - transport) | (more ? 1 : 0));
    setIpLength(piece, layout);
    emit(piece);
    count++;
  }
  return count;
}

/** Whether an end takes a frame as it is. */
export function takes(accepts: NetOffloads, { csum, gso }: FrameOffload): boolean {
  if (csum && !accepts.csum) return false;
  if (!gso) return true;
  if (gso.ecn && !accepts.ecn) return false;
  return gso.type === 'tcp4' ? accepts.tso4 : gso.type === 'tcp6' ? accepts.tso6 : accepts.ufo;
}

/**
 * Finish what an end does not take.
 * @param frame may be written to
 * @param emit gets the frames, each valid until it returns
 * @returns how many there were; 0: the frame made no sense
 */
export function finish(accepts: NetOffloads, frame: Uint8Array, offload: FrameOffload | undefined, emit: (frame: Uint8Array, offload?: FrameOffload) => void): number {
  if (!offload || takes(accepts, offload)) {
    emit(frame, offload);
    return 1;
  }
  if (offload.gso) return segment(frame, offload, emit);
  if (offload.csum && !finishChecksum(frame, offload.csum)) return 0;
  emit(frame);
  return 1;
}

/** Send a frame, finished as far as the backend needs it. `frame` may be written to. @returns frames that were sent */
export function transmit(backend: NetBackend, frame: Uint8Array, offload?: FrameOffload): number {
  return finish(backend.accepts, frame, offload, (piece, rest) => backend.send(piece, rest));
}
