// New qcow2 images: QEMU's docs/interop/qcow2.txt.

import { ImageError, type Io, type Storage } from './io.ts';
import { EXTENSION_BACKING_FORMAT, EXTENSION_END, HEADER_V2, HEADER_V3, QCOW2_MAGIC, readQcow2Header } from './qcow2-header.ts';
import { Refcounts, setRefcount } from './qcow2-refcounts.ts';

export interface Qcow2Options {
  /** 2 for compat=0.10, 3 for compat=1.1. */
  version?: 2 | 3;
  clusterSize?: number;
  refcountBits?: number;
  backingFile?: string;
  backingFormat?: string;
}

const powerOfTwo = (value: number): boolean => Number.isInteger(Math.log2(value));

/** Make an empty image in an empty storage. @param size bytes of its disk */
export function* createQcow2(storage: Storage, size: number, options: Qcow2Options = {}): Io<void> {
  const { version = 3, clusterSize = 65536, refcountBits = 16, backingFile, backingFormat } = options;
  if (clusterSize < 512 || clusterSize > 2 << 20 || !powerOfTwo(clusterSize)) throw new ImageError('the cluster size must be a power of two from 512 bytes to 2 MiB');
  if (refcountBits < 1 || refcountBits > 64 || !powerOfTwo(refcountBits)) throw new ImageError('the width of refcounts must be a power of two from 1 to 64 bits');
  if (version === 2 && refcountBits !== 16) throw new ImageError('refcounts of compat=0.10 have 16 bits');
  const l1Size = Math.ceil(size / (clusterSize * (clusterSize / 8)));
  if (l1Size * 8 > 32 << 20) throw new ImageError('the disk is too large for this cluster size');
  const name = new TextEncoder().encode(backingFile ?? '');
  if (name.length > 1023) throw new ImageError('the name of the backing file is too long');

  // Cluster 0: header. 1: refcount table. 2: the first refcount block.
  const bytes = new Uint8Array(3 * clusterSize);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, QCOW2_MAGIC);
  view.setUint32(4, version);
  view.setUint32(20, Math.log2(clusterSize));
  view.setBigUint64(24, 0n);
  view.setBigUint64(40, BigInt(3 * clusterSize));
  view.setBigUint64(48, BigInt(clusterSize));
  view.setUint32(56, 1);
  let at = version === 2 ? HEADER_V2 : HEADER_V3 + 8;
  if (version === 3) {
    view.setUint32(96, Math.log2(refcountBits));
    view.setUint32(100, at);
  }
  if (backingFile !== undefined && backingFormat !== undefined) {
    const format = new TextEncoder().encode(backingFormat);
    view.setUint32(at, EXTENSION_BACKING_FORMAT);
    view.setUint32(at + 4, format.length);
    bytes.set(format, at + 8);
    at += 8 + 8 * Math.ceil(format.length / 8);
  }
  view.setUint32(at, EXTENSION_END);
  at += 8;
  if (backingFile !== undefined) {
    if (at + name.length > clusterSize) throw new ImageError('the name of the backing file is too long');
    view.setBigUint64(8, BigInt(at));
    view.setUint32(16, name.length);
    bytes.set(name, at);
  }
  view.setBigUint64(clusterSize, BigInt(2 * clusterSize));
  const block = new DataView(bytes.buffer, 2 * clusterSize);
  for (let cluster = 0; cluster < 3; cluster++) setRefcount(block, cluster, Math.log2(refcountBits), 1);
  yield (done) => storage.write(0, bytes, done);

  // The L1 table, by the same means as everything later.
  const header = yield* readQcow2Header(storage);
  const refcounts = new Refcounts(storage, header);
  yield* refcounts.load();
  const clusters = Math.max(1, Math.ceil((8 * l1Size) / clusterSize));
  const l1Offset = yield* refcounts.allocate(clusters);
  yield* refcounts.writeBack();
  if (storage.size < l1Offset + clusters * clusterSize) yield (done) => storage.truncate(l1Offset + clusters * clusterSize, done);
  yield (done) => storage.flush(done);
  const fields = new DataView(new ArrayBuffer(24));
  fields.setBigUint64(0, BigInt(size));
  fields.setUint32(12, l1Size);
  fields.setBigUint64(16, BigInt(l1Offset));
  yield (done) => storage.write(24, new Uint8Array(fields.buffer), done);
  yield (done) => storage.flush(done);
}
