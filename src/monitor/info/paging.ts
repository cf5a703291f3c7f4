// The guest's page tables as a list of pages. Intel SDM volume 3, chapter 4. A guest may make its tables point at themselves, which is
// 2^36 entries: the walk ends after so many tables.

import { Cpu } from '../../core/layout.ts';
import type { Machine } from '../../machine/machine.ts';
import { readMemory } from '../memory.ts';

export const enum Pte {
  P = 0x1,
  RW = 0x2,
  US = 0x4,
  PWT = 0x8,
  PCD = 0x10,
  A = 0x20,
  D = 0x40,
  PS = 0x80,
  G = 0x100,
}
const CR0_PG = 1n << 31n;
const CR4_PSE = 0x10n;
const CR4_PAE = 0x20n;
const EFER_LMA = 0x400n;

/** Tables that are read at most, and pages that are shown. */
const MAX_TABLES = 1 << 13;
const MAX_PAGES = 1 << 16;
/** Bits of an entry that are an address, as QEMU takes them. */
const ADDRESS = 0x3ffff_ffff_f000n;

/** A page that is present. */
export interface Mapping {
  address: bigint;
  /** Bytes. */
  size: bigint;
  /** The entry that maps it. */
  entry: bigint;
  /** Of a large page. */
  isLarge: boolean;
  /** P, RW and US of all levels together. */
  rights: number;
}

export interface Paging {
  kind: '32-bit' | 'PAE' | '4-level';
  /** Largest address and one. */
  end: bigint;
  pages: Mapping[];
  /** There was more than is read. */
  isCut: boolean;
}

interface Level {
  /** Bits of the address below this level's index. */
  shift: bigint;
  bits: number;
  mayBeLarge: boolean;
  /** Its rights count, as QEMU has it: those of a page-directory-pointer entry of PAE do not exist. */
  hasRights: boolean;
}

/** All pages in ascending order; null while paging is off. */
export function walkPageTables(machine: Machine): Paging | null {
  const { vcpu } = machine;
  if (!(vcpu.get64(Cpu.CR0) & CR0_PG)) return null;
  const cr3 = vcpu.get64(Cpu.CR3);
  const cr4 = vcpu.get64(Cpu.CR4);
  const level = (shift: number, bits: number, mayBeLarge: boolean, hasRights = true): Level => ({ shift: BigInt(shift), bits, mayBeLarge, hasRights });
  if (!(cr4 & CR4_PAE)) {
    return walk(machine, '32-bit', 4, cr3 & 0xffff_f000n, [level(22, 10, (cr4 & CR4_PSE) !== 0n), level(12, 10, false)]);
  }
  if (!(vcpu.get64(Cpu.EFER) & EFER_LMA)) {
    return walk(machine, 'PAE', 8, cr3 & 0xffff_ffe0n, [level(30, 2, false, false), level(21, 9, true), level(12, 9, false)]);
  }
  return walk(machine, '4-level', 8, cr3 & ADDRESS, [level(39, 9, false), level(30, 9, true), level(21, 9, true), level(12, 9, false)]);
}

function walk(machine: Machine, kind: Paging['kind'], entrySize: 4 | 8, root: bigint, levels: readonly Level[]): Paging {
  const paging: Paging = { kind, end: 1n << (levels[0].shift + BigInt(levels[0].bits)), pages: [], isCut: false };
  let tables = 0;
  const visit = (table: bigint, depth: number, base: bigint, rights: number): void => {
    if (++tables > MAX_TABLES || paging.pages.length > MAX_PAGES) {
      paging.isCut = true;
      return;
    }
    const { shift, bits, mayBeLarge, hasRights } = levels[depth];
    const bytes = readMemory(machine, table, entrySize << bits, true);
    if (!bytes) return;
    const view = new DataView(bytes.buffer);
    for (let index = 0; index < 1 << bits; index++) {
      const entry = entrySize === 8 ? view.getBigUint64(index * 8, true) : BigInt(view.getUint32(index * 4, true));
      const low = Number(entry & 0xfffn);
      if (!(low & Pte.P)) continue;
      const address = base + (BigInt(index) << shift);
      const all = hasRights ? rights & low : rights;
      const isLarge = mayBeLarge && (low & Pte.PS) !== 0;
      if (isLarge || depth === levels.length - 1) paging.pages.push({ address, size: 1n << shift, entry, isLarge, rights: all });
      else visit(entry & (entrySize === 8 ? ADDRESS : 0xffff_f000n), depth + 1, address, all);
    }
  };
  visit(root, 0, 0n, Pte.P | Pte.RW | Pte.US);
  return paging;
}

/** A 48-bit address with its top bit in all above. */
export const canonical = (address: bigint): bigint => (address & (1n << 47n) ? BigInt.asUintN(64, address | (-1n << 48n)) : address);
