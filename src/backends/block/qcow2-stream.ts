// A qcow2 image written from its first byte to its last, for a download: all tables first, then the clusters that hold data. Layout:
// QEMU's docs/interop/qcow2.txt; version 3, clusters of 64 KiB, refcounts of 16 bits.

import { EXTENSION_END, HEADER_V3, QCOW2_MAGIC } from './qcow2-header.ts';

export const CLUSTER = 65536;
const PER_TABLE = CLUSTER / 8;
const PER_BLOCK = CLUSTER / 2;

export interface Qcow2Layout {
  /** Bytes of the file. */
  length: number;
  /** What stands before the data, cluster by cluster. */
  tables(): Generator<Uint8Array>;
}

/**
 * @param size bytes of the disk
 * @param present one byte for each cluster of the disk: whether it holds data. These follow the tables, in order
 */
export function layoutQcow2(size: number, present: Uint8Array): Qcow2Layout {
  const clusters = present.length;
  const l1Size = Math.ceil(clusters / PER_TABLE);
  const l1Clusters = Math.max(1, Math.ceil(l1Size / PER_TABLE));
  let data = 0;
  const used: boolean[] = [];
  for (let n = 0; n < clusters; n++) {
    if (!present[n]) continue;
    data++;
    used[Math.floor(n / PER_TABLE)] = true;
  }
  const l2Tables = used.filter(Boolean).length;
  let blocks = 1;
  let tableClusters = 1;
  let total = 0;
  for (let again = true; again; ) {
    total = 1 + tableClusters + blocks + l1Clusters + l2Tables + data;
    const needed = Math.ceil(total / PER_BLOCK);
    const tableNeeded = Math.ceil((8 * needed) / CLUSTER);
    again = needed !== blocks || tableNeeded !== tableClusters;
    blocks = needed;
    tableClusters = tableNeeded;
  }
  const tableAt = 1;
  const blocksAt = tableAt + tableClusters;
  const l1At = blocksAt + blocks;
  const l2At = l1At + l1Clusters;
  const dataAt = l2At + l2Tables;
  const u64 = (view: DataView, at: number, value: number): void => view.setBigUint64(at, BigInt(value));
  const copied = (cluster: number): bigint => (1n << 63n) | BigInt(cluster * CLUSTER);

  function* tables(): Generator<Uint8Array> {
    const fresh = (): DataView => new DataView(new ArrayBuffer(CLUSTER));
    const bytes = (view: DataView): Uint8Array => new Uint8Array(view.buffer);
    const header = fresh();
    header.setUint32(0, QCOW2_MAGIC);
    header.setUint32(4, 3);
    header.setUint32(20, Math.log2(CLUSTER));
    u64(header, 24, size);
    header.setUint32(36, l1Size);
    u64(header, 40, l1At * CLUSTER);
    u64(header, 48, tableAt * CLUSTER);
    header.setUint32(56, tableClusters);
    header.setUint32(96, 4);
    header.setUint32(100, HEADER_V3 + 8);
    header.setUint32(HEADER_V3 + 8, EXTENSION_END);
    yield bytes(header);
    for (let n = 0; n < tableClusters; n++) {
      const table = fresh();
      for (let k = 0; k < PER_TABLE && n * PER_TABLE + k < blocks; k++) u64(table, 8 * k, (blocksAt + n * PER_TABLE + k) * CLUSTER);
      yield bytes(table);
    }
    for (let n = 0; n < blocks; n++) {
      const block = fresh();
      for (let k = 0; k < PER_BLOCK && n * PER_BLOCK + k < total; k++) block.setUint16(2 * k, 1);
      yield bytes(block);
    }
    for (let n = 0, table = l2At; n < l1Clusters; n++) {
      const l1 = fresh();
      for (let k = 0; k < PER_TABLE; k++) if (used[n * PER_TABLE + k]) l1.setBigUint64(8 * k, copied(table++));
      yield bytes(l1);
    }
    let at = dataAt;
    for (let n = 0; n < l1Size; n++) {
      if (!used[n]) continue;
      const l2 = fresh();
      for (let k = 0; k < PER_TABLE && n * PER_TABLE + k < clusters; k++) if (present[n * PER_TABLE + k]) l2.setBigUint64(8 * k, copied(at++));
      yield bytes(l2);
    }
  }
  return { length: total * CLUSTER, tables };
}
