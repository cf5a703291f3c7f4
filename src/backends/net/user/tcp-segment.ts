// TCP segments (RFC 9293, section 3.1) with the options that are used here: maximum segment size, and window scale (RFC 7323, section 2).

import { get16, get32, set16, set32 } from './bytes.ts';

export const FIN = 0x01;
export const SYN = 0x02;
export const RST = 0x04;
export const PSH = 0x08;
export const ACK = 0x10;

export const TCP_HEADER = 20;
const OPTION_END = 0;
const OPTION_NOP = 1;
const OPTION_MSS = 2;
const OPTION_WINDOW_SCALE = 3;
/** RFC 7323, 2.3: larger shifts count as this one. */
const MAX_SHIFT = 14;

export interface Segment {
  sourcePort: number;
  destinationPort: number;
  seq: number;
  ack: number;
  flags: number;
  /** As it stands in the header, not scaled. */
  window: number;
  mss?: number;
  windowShift?: number;
  data: Uint8Array;
}

/** a - b as sequence numbers: negative if a is before b. */
export const seqDiff = (a: number, b: number): number => (a - b) | 0;
export const seqAdd = (a: number, n: number): number => (a + n) >>> 0;

/** @returns undefined if the header does not fit. The checksum is the caller's. */
export function parseSegment(b: Uint8Array): Segment | undefined {
  if (b.length < TCP_HEADER) return undefined;
  const header = (b[12] >> 4) * 4;
  if (header < TCP_HEADER || header > b.length) return undefined;
  const segment: Segment = {
    sourcePort: get16(b, 0),
    destinationPort: get16(b, 2),
    seq: get32(b, 4),
    ack: get32(b, 8),
    flags: b[13],
    window: get16(b, 14),
    data: b.subarray(header),
  };
  // Only a SYN carries these two options.
  if (segment.flags & SYN) parseOptions(b, header, segment);
  return segment;
}

function parseOptions(b: Uint8Array, end: number, segment: Segment): void {
  for (let at = TCP_HEADER; at < end; ) {
    const kind = b[at];
    if (kind === OPTION_END) return;
    if (kind === OPTION_NOP) {
      at++;
      continue;
    }
    const length = b[at + 1];
    if (at + 1 >= end || length < 2 || at + length > end) return;
    if (kind === OPTION_MSS && length === 4) segment.mss = get16(b, at + 2);
    if (kind === OPTION_WINDOW_SCALE && length === 3) segment.windowShift = Math.min(MAX_SHIFT, b[at + 2]);
    at += length;
  }
}

/** Writes a header. @returns its length; the checksum field is 0 */
export function writeSegmentHeader(b: Uint8Array, at: number, segment: Omit<Segment, 'data'>): number {
  set16(b, at, segment.sourcePort);
  set16(b, at + 2, segment.destinationPort);
  set32(b, at + 4, segment.seq);
  set32(b, at + 8, segment.ack);
  b[at + 13] = segment.flags;
  set16(b, at + 14, segment.window);
  set16(b, at + 16, 0);
  set16(b, at + 18, 0);
  let length = TCP_HEADER;
  if (segment.mss !== undefined) {
    b[at + length] = OPTION_MSS;
    b[at + length + 1] = 4;
    set16(b, at + length + 2, segment.mss);
    length += 4;
  }
  if (segment.windowShift !== undefined) {
    b[at + length] = OPTION_NOP;
    b[at + length + 1] = OPTION_WINDOW_SCALE;
    b[at + length + 2] = 3;
    b[at + length + 3] = segment.windowShift;
    length += 4;
  }
  b[at + 12] = (length / 4) << 4;
  return length;
}

/** Length of the header that writeSegmentHeader() writes. */
export function segmentHeaderLength(segment: { mss?: number; windowShift?: number }): number {
  return TCP_HEADER + (segment.mss === undefined ? 0 : 4) + (segment.windowShift === undefined ? 0 : 4);
}
