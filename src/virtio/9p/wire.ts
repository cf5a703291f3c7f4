// Messages of 9P2000.L as bytes: size[4] type[1] tag[2] and a body, little endian.
// Plan 9 manual, section 5 (intro); the dialect in Linux, include/net/9p/9p.h, and diod, protocol.md.

import { Errno, FsError } from '../../devices/file-system.ts';

/** T-messages; the answer's type is one more. */
export const enum Message {
  Rlerror = 7,
  Tstatfs = 8,
  Tlopen = 12,
  Tlcreate = 14,
  Tsymlink = 16,
  Tmknod = 18,
  Trename = 20,
  Treadlink = 22,
  Tgetattr = 24,
  Tsetattr = 26,
  Txattrwalk = 30,
  Txattrcreate = 32,
  Treaddir = 40,
  Tfsync = 50,
  Tlock = 52,
  Tgetlock = 54,
  Tlink = 70,
  Tmkdir = 72,
  Trenameat = 74,
  Tunlinkat = 76,
  Tversion = 100,
  Tauth = 102,
  Tattach = 104,
  Tflush = 108,
  Twalk = 110,
  Tread = 116,
  Twrite = 118,
  Tclunk = 120,
  Tremove = 122,
}

/** size[4] type[1] tag[2]. */
export const HEADER = 7;
/** "No fid". */
export const NOFID = 0xffffffff;
/** Names of one Twalk. */
export const MAX_WALK = 16;

/** Types of a qid. */
export const QTDIR = 0x80;
export const QTSYMLINK = 0x02;
export const QTFILE = 0x00;

/** What a server calls a file by: the same path, the same file. */
export interface Qid {
  type: number;
  version: number;
  path: bigint;
}

/** Bytes of a qid. */
export const QID = 13;

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

/** Takes a body apart. What is too short or no text throws FsError EINVAL. */
export class Reader {
  private readonly view: DataView;
  private at = 0;

  constructor(private readonly bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  private take(length: number): number {
    if (this.at + length > this.bytes.length) throw new FsError(Errno.EINVAL, 'a message is too short');
    this.at += length;
    return this.at - length;
  }

  u8(): number {
    return this.view.getUint8(this.take(1));
  }
  u16(): number {
    return this.view.getUint16(this.take(2), true);
  }
  u32(): number {
    return this.view.getUint32(this.take(4), true);
  }
  u64(): bigint {
    return this.view.getBigUint64(this.take(8), true);
  }

  /** len[2] and so many bytes of UTF-8. */
  text(): string {
    const length = this.u16();
    const at = this.take(length);
    try {
      return decoder.decode(this.bytes.subarray(at, at + length));
    } catch {
      throw new FsError(Errno.EINVAL, 'a text is not UTF-8');
    }
  }

  data(length: number): Uint8Array {
    const at = this.take(length);
    return this.bytes.subarray(at, at + length);
  }
}

/** Puts a message together; its size is filled in at the end. */
export class Writer {
  private bytes = new Uint8Array(128);
  private view = new DataView(this.bytes.buffer);
  length = HEADER;

  private room(length: number): number {
    const at = this.length;
    this.length += length;
    if (this.length > this.bytes.length) {
      const larger = new Uint8Array(Math.max(this.length, 2 * this.bytes.length));
      larger.set(this.bytes);
      this.bytes = larger;
      this.view = new DataView(larger.buffer);
    }
    return at;
  }

  u8(value: number): this {
    const at = this.room(1);
    this.view.setUint8(at, value);
    return this;
  }
  u16(value: number): this {
    const at = this.room(2);
    this.view.setUint16(at, value, true);
    return this;
  }
  u32(value: number): this {
    const at = this.room(4);
    this.view.setUint32(at, value, true);
    return this;
  }
  u64(value: bigint | number): this {
    const at = this.room(8);
    this.view.setBigUint64(at, BigInt.asUintN(64, BigInt(value)), true);
    return this;
  }

  text(value: string): this {
    const bytes = encoder.encode(value);
    return this.u16(bytes.length).data(bytes);
  }

  data(bytes: Uint8Array): this {
    const at = this.room(bytes.length);
    this.bytes.set(bytes, at);
    return this;
  }

  qid({ type, version, path }: Qid): this {
    return this.u8(type).u32(version).u64(path);
  }

  finish(type: number, tag: number): Uint8Array {
    this.view.setUint32(0, this.length, true);
    this.view.setUint8(4, type);
    this.view.setUint16(5, tag, true);
    return this.bytes.subarray(0, this.length);
  }
}

/** Bytes of a text on the wire. */
export const textLength = (text: string): number => 2 + encoder.encode(text).length;
