// The header of a qcow2 image, its extensions and its snapshot table: QEMU's docs/interop/qcow2.txt.

import type { SnapshotInfo } from './image.ts';
import { exact, ImageError, type Io, readBytes, readView, type Storage } from './io.ts';

export const QCOW2_MAGIC = 0x514649fb;
/** Header extensions. */
export const EXTENSION_END = 0;
export const EXTENSION_BACKING_FORMAT = 0xe2792aca;
const EXTENSION_BITMAPS = 0x23852875;

/** Incompatible features. */
export const INCOMPATIBLE_DIRTY = 1n << 0n;
export const INCOMPATIBLE_CORRUPT = 1n << 1n;
export const INCOMPATIBLE_DATA_FILE = 1n << 2n;
export const INCOMPATIBLE_COMPRESSION = 1n << 3n;
export const INCOMPATIBLE_EXTENDED_L2 = 1n << 4n;
export const COMPATIBLE_LAZY_REFCOUNTS = 1n << 0n;
const AUTOCLEAR_BITMAPS = 1n << 0n;

export const HEADER_V2 = 72;
export const HEADER_V3 = 104;
/** Offsets of fields that change. */
export const AT_L1_TABLE_OFFSET = 40;
export const AT_REFCOUNT_TABLE_OFFSET = 48;
export const AT_REFCOUNT_TABLE_CLUSTERS = 56;

/** QEMU's limits: an image beyond them is refused. */
const MAX_L1_BYTES = 32 << 20;
const MAX_REFCOUNT_TABLE_BYTES = 8 << 20;
const MAX_SNAPSHOTS = 65536;
const MAX_SNAPSHOT_TABLE = 64 << 20;
const MAX_BACKING_NAME = 1023;

export interface Qcow2Header {
  version: 2 | 3;
  clusterBits: number;
  clusterSize: number;
  /** Bytes of the disk. */
  size: number;
  l1Size: number;
  l1Offset: number;
  refcountTableOffset: number;
  refcountTableClusters: number;
  /** Refcounts have 2^order bits. */
  refcountOrder: number;
  snapshotCount: number;
  snapshotsOffset: number;
  incompatible: bigint;
  compatible: bigint;
  compression: 'zlib' | 'zstd';
  backingFile: string | undefined;
  backingFormat: string | undefined;
  /** It holds dirty bitmaps, which whoever writes has to keep true. */
  bitmaps: boolean;
}

const latin = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** @throws ImageError for what is wrong, too large or not supported, naming it */
export function* readQcow2Header(storage: Storage): Io<Qcow2Header> {
  const view = yield* readView(storage, 0, HEADER_V2, 'the header');
  if (view.getUint32(0) !== QCOW2_MAGIC) throw new ImageError('it is not a qcow2 image');
  const version = view.getUint32(4);
  if (version !== 2 && version !== 3) throw new ImageError(`qcow2 version ${version} is not supported`);
  const clusterBits = view.getUint32(20);
  if (clusterBits < 9 || clusterBits > 21) throw new ImageError(`clusters of 2^${clusterBits} bytes are not possible`);
  const clusterSize = 2 ** clusterBits;
  const field = (at: number, what: string): number => exact(view.getBigUint64(at), what);
  let incompatible = 0n;
  let compatible = 0n;
  let autoclear = 0n;
  let refcountOrder = 4;
  let headerLength = HEADER_V2;
  let compression: 'zlib' | 'zstd' = 'zlib';
  if (version === 3) {
    const more = yield* readView(storage, HEADER_V2, HEADER_V3 - HEADER_V2, 'the header');
    incompatible = more.getBigUint64(0);
    compatible = more.getBigUint64(8);
    autoclear = more.getBigUint64(16);
    refcountOrder = more.getUint32(24);
    headerLength = more.getUint32(28);
    if (refcountOrder > 6) throw new ImageError(`refcounts of 2^${refcountOrder} bits are not possible`);
    if (headerLength < HEADER_V3 || headerLength > clusterSize || headerLength % 8) throw new ImageError(`a header of ${headerLength} bytes is not possible`);
    if (incompatible & INCOMPATIBLE_DATA_FILE) throw new ImageError('an external data file is not supported');
    if (incompatible & INCOMPATIBLE_EXTENDED_L2) throw new ImageError('extended L2 entries (subclusters) are not supported');
    const known = INCOMPATIBLE_DIRTY | INCOMPATIBLE_CORRUPT | INCOMPATIBLE_COMPRESSION;
    if (incompatible & ~known) throw new ImageError(`it has features that are not known here (incompatible 0x${incompatible.toString(16)})`);
    if (headerLength > HEADER_V3) {
      const type = (yield* readBytes(storage, HEADER_V3, 1, 'the header'))[0];
      if (type > 1) throw new ImageError(`the compression type ${type} is not known`);
      if ((type !== 0) !== ((incompatible & INCOMPATIBLE_COMPRESSION) !== 0n)) throw new ImageError('compression type and feature bit do not agree');
      if (type === 1) compression = 'zstd';
    }
  }
  const crypt = view.getUint32(32);
  if (crypt !== 0) throw new ImageError(`encryption (${crypt === 1 ? 'AES' : crypt === 2 ? 'LUKS' : crypt}) is not supported`);

  const header: Qcow2Header = {
    version,
    clusterBits,
    clusterSize,
    size: field(24, 'the size of the disk'),
    l1Size: view.getUint32(36),
    l1Offset: field(40, 'the offset of the L1 table'),
    refcountTableOffset: field(48, 'the offset of the refcount table'),
    refcountTableClusters: view.getUint32(56),
    refcountOrder,
    snapshotCount: view.getUint32(60),
    snapshotsOffset: field(64, 'the offset of the snapshots'),
    incompatible,
    compatible,
    compression,
    backingFile: undefined,
    backingFormat: undefined,
    bitmaps: false,
  };
  const needed = Math.ceil(header.size / (clusterSize * (clusterSize / 8)));
  if (header.l1Size * 8 > MAX_L1_BYTES) throw new ImageError('the L1 table is too large');
  if (header.l1Size < needed) throw new ImageError('the L1 table is too small for the disk');
  if (header.l1Offset % clusterSize || header.refcountTableOffset % clusterSize) throw new ImageError('a table is not at the start of a cluster');
  if (header.refcountTableClusters * clusterSize > MAX_REFCOUNT_TABLE_BYTES) throw new ImageError('the refcount table is too large');
  if (header.refcountTableClusters === 0) throw new ImageError('there is no refcount table');
  if (header.snapshotCount > MAX_SNAPSHOTS) throw new ImageError('there are too many snapshots');

  const backingOffset = field(8, 'the offset of the backing file name');
  const backingLength = view.getUint32(16);
  if (backingOffset !== 0) {
    if (backingLength > MAX_BACKING_NAME || backingOffset + backingLength > clusterSize) throw new ImageError('the name of the backing file is too long');
    if (backingLength > 0) header.backingFile = latin(yield* readBytes(storage, backingOffset, backingLength, 'the name of the backing file'));
  }
  // Extensions, up to the backing file's name or the end of the first cluster.
  const end = Math.min(backingOffset || clusterSize, clusterSize, storage.size);
  for (let at = headerLength; at + 8 <= end; ) {
    const extension = yield* readView(storage, at, 8, 'a header extension');
    const type = extension.getUint32(0);
    const length = extension.getUint32(4);
    if (type === EXTENSION_END) break;
    if (at + 8 + length > end) throw new ImageError('a header extension is too long');
    if (type === EXTENSION_BACKING_FORMAT) header.backingFormat = latin(yield* readBytes(storage, at + 8, length, 'a header extension'));
    if (type === EXTENSION_BITMAPS) header.bitmaps = (autoclear & AUTOCLEAR_BITMAPS) !== 0n;
    at += 8 + 8 * Math.ceil(length / 8);
  }
  return header;
}

/** A snapshot and the table of what its disk holds. */
export interface Qcow2Snapshot extends SnapshotInfo {
  l1Offset: number;
  l1Size: number;
  /** Bytes of its disk. */
  diskSize: number;
}

export function* readSnapshots(storage: Storage, header: Qcow2Header): Io<Qcow2Snapshot[]> {
  const snapshots: Qcow2Snapshot[] = [];
  let at = header.snapshotsOffset;
  for (let n = 0; n < header.snapshotCount; n++) {
    const view = yield* readView(storage, at, 40, 'a snapshot');
    const idLength = view.getUint16(12);
    const nameLength = view.getUint16(14);
    const extraLength = view.getUint32(36);
    if (extraLength > 1024) throw new ImageError('a snapshot has too much extra data');
    const rest = yield* readBytes(storage, at + 40, extraLength + idLength + nameLength, 'a snapshot');
    const extra = new DataView(rest.buffer, 0, extraLength);
    const l1Offset = exact(view.getBigUint64(0), 'the offset of an L1 table');
    const l1Size = view.getUint32(8);
    if (l1Size * 8 > MAX_L1_BYTES || l1Offset % header.clusterSize) throw new ImageError('the L1 table of a snapshot is wrong');
    snapshots.push({
      id: latin(rest.subarray(extraLength, extraLength + idLength)),
      name: latin(rest.subarray(extraLength + idLength)),
      date: view.getUint32(16),
      dateNs: view.getUint32(20),
      vmClockNs: view.getBigUint64(24),
      vmStateSize: extraLength >= 8 ? exact(extra.getBigUint64(0), 'the size of a machine state') : view.getUint32(32),
      diskSize: extraLength >= 16 ? exact(extra.getBigUint64(8), 'the size of a disk') : header.size,
      l1Offset,
      l1Size,
    });
    at += 8 * Math.ceil((40 + rest.length) / 8);
    if (at - header.snapshotsOffset > MAX_SNAPSHOT_TABLE) throw new ImageError('the snapshot table is too large');
  }
  return snapshots;
}
