// Linear to physical addresses: no paging, 32-bit, PAE and 4-level paging.
// Intel SDM volume 3, chapter 4; accessed and dirty bits 4.8, error codes 4.7.

import { Cpu, Feature } from '../layout';
import { readEntry, updateEntry } from './physical';
import { Cr0, Cr4, Efer, cr0, cr4, longMode, raiseGp0 } from './state';

export const enum Access {
  READ = 0,
  WRITE = 1,
  EXECUTE = 2,
  /** No rights are checked and no bits set: for debuggers. */
  DEBUG = 3,
}

const enum Pte {
  P = 0x1,
  RW = 0x2,
  US = 0x4,
  A = 0x20,
  D = 0x40,
  PS = 0x80,
  G = 0x100,
}

const enum PageFault {
  P = 1,
  WR = 2,
  US = 4,
  RSVD = 8,
  ID = 16,
}

const enum Walk {
  FAULT = 0,
  DONE = 1,
  /** An entry changed under our hands. */
  AGAIN = 2,
}

// What the last walk found. Globals of one instance, read by its caller at once: WebAssembly functions
// of AssemblyScript return one value.
/** Physical address of the 4 KiB page. */
export let walkPhys: u64 = 0;
/** The translation survives CR3 writes. */
export let walkGlobal: bool = false;
/** 0: from a 4 KiB page, 1: 2 MiB, 2: 4 MiB, 3: 1 GiB. */
export let walkLarge: u32 = 0;
/** Writes need no further walk: allowed for this privilege, and the page is marked dirty. */
export let walkWritable: bool = false;
/** Error code of the page fault when the walk failed. */
export let walkError: u32 = 0;

/**
 * Translate a linear address for an access of a privilege. False: page fault with walkError.
 * @param user the access is made with CPL 3's rights
 */
export function walk(cpu: u32, va: u64, access: u32, user: bool): bool {
  walkGlobal = false;
  walkWritable = true;
  const control0 = cr0(cpu);
  if (!(control0 & Cr0.PG)) {
    walkLarge = 0;
    walkPhys = va & 0xffff_f000;
    return true;
  }
  const control4 = cr4(cpu);
  while (true) {
    walkLarge = 0;
    const done = control4 & Cr4.PAE ? walkWide(cpu, va, access, user, control0, control4) : walk32(cpu, <u32>va, access, user, control0, control4);
    if (done != Walk.AGAIN) return done == Walk.DONE;
  }
}

function fail(cpu: u32, access: u32, user: bool, bits: u32): i32 {
  let error = bits;
  if (access == Access.WRITE) error |= PageFault.WR;
  if (user) error |= PageFault.US;
  if (access == Access.EXECUTE) {
    const control4 = cr4(cpu);
    const nx = (control4 & Cr4.PAE) != 0 && (load<u32>(cpu, Cpu.EFER) & Efer.NXE) != 0;
    if (nx || control4 & Cr4.SMEP) error |= PageFault.ID;
  }
  walkError = error;
  return Walk.FAULT;
}

/** Do the ANDed rights of all levels allow the access? Supervisor-mode access prevention would be asked here. */
// @ts-ignore: decorator
@inline function allowed(rights: u32, noExecute: bool, access: u32, user: bool, control0: u32, control4: u32): bool {
  if (access == Access.DEBUG) return true;
  if (user) {
    if (!(rights & Pte.US)) return false;
    if (access == Access.WRITE && !(rights & Pte.RW)) return false;
  } else {
    if (access == Access.WRITE && !(rights & Pte.RW) && control0 & Cr0.WP) return false;
    if (access == Access.EXECUTE && rights & Pte.US && control4 & Cr4.SMEP) return false;
  }
  return !(access == Access.EXECUTE && noExecute);
}

/** Accessed and dirty bits that this access sets in a leaf. */
// @ts-ignore: decorator
@inline function leafBits(access: u32): u32 {
  return access == Access.DEBUG ? 0 : access == Access.WRITE ? Pte.A | Pte.D : Pte.A;
}

/** PAE (from the cached pointer entries) and 4-level paging: 8-byte entries. */
function walkWide(cpu: u32, va: u64, access: u32, user: bool, control0: u32, control4: u32): i32 {
  const fourLevel = longMode(cpu);
  const noExecuteActs = (load<u32>(cpu, Cpu.EFER) & Efer.NXE) != 0;
  let reserved: u64 = 0x000f_ffff_ffff_f000 & ~load<u64>(cpu, Cpu.PHYS_MASK);
  if (!noExecuteActs) reserved |= 0x8000_0000_0000_0000;
  let level: u32;
  let table: u64;
  if (fourLevel) {
    level = 4;
    table = load<u64>(cpu, Cpu.CR3) & 0x000f_ffff_ffff_f000;
  } else {
    reserved |= 0x7ff0_0000_0000_0000;
    const pointer = load<u64>(cpu + ((<u32>va >> 30) << 3), Cpu.PDPTE);
    if (!(pointer & Pte.P)) return fail(cpu, access, user, 0);
    level = 2;
    table = pointer & 0x000f_ffff_ffff_f000;
  }
  let rights: u32 = Pte.RW | Pte.US;
  let noExecute = false;
  let entry: u64;
  let address: u64;
  while (true) {
    address = table + (((va >> (12 + 9 * (level - 1))) & 511) << 3);
    entry = readEntry<u64>(cpu, address);
    if (!(entry & Pte.P)) return fail(cpu, access, user, 0);
    let bad = (entry & reserved) != 0;
    let leaf = level == 1;
    if (level > 1 && entry & Pte.PS) {
      if (level == 2) {
        leaf = true;
        walkLarge = 1;
        bad = bad || (entry & 0x1f_e000) != 0;
      } else if (level == 3 && load<u32>(cpu, Cpu.FEATURES) & Feature.PAGE1G) {
        leaf = true;
        walkLarge = 3;
        bad = bad || (entry & 0x3fff_e000) != 0;
      } else {
        bad = true;
      }
    }
    if (bad) return fail(cpu, access, user, PageFault.P | PageFault.RSVD);
    rights &= <u32>entry;
    noExecute = noExecute || <i64>entry < 0;
    if (leaf) break;
    if (!(entry & Pte.A) && access != Access.DEBUG && !updateEntry<u64>(cpu, address, entry, entry | Pte.A)) return Walk.AGAIN;
    table = entry & 0x000f_ffff_ffff_f000;
    level--;
  }
  if (!allowed(rights, noExecute, access, user, control0, control4)) return fail(cpu, access, user, PageFault.P);
  const wanted = entry | leafBits(access);
  if (wanted != entry && !updateEntry<u64>(cpu, address, entry, wanted)) return Walk.AGAIN;
  const offset: u64 = (<u64>1 << (12 + 9 * (level - 1))) - 1;
  walkPhys = ((entry & 0x000f_ffff_ffff_f000 & ~offset) | (va & offset)) & ~0xfff;
  finish(<u32>wanted, rights, user, control0, control4);
  return Walk.DONE;
}

/** 32-bit paging: 4-byte entries, 4 MiB pages with CR4.PSE, their addresses 40 bits wide (PSE-36). */
function walk32(cpu: u32, va: u32, access: u32, user: bool, control0: u32, control4: u32): i32 {
  let address: u64 = (load<u32>(cpu, Cpu.CR3) & 0xffff_f000) + ((va >> 22) << 2);
  let entry = readEntry<u32>(cpu, address);
  if (!(entry & Pte.P)) return fail(cpu, access, user, 0);
  let rights = entry;
  let phys: u64;
  if (entry & Pte.PS && control4 & Cr4.PSE) {
    walkLarge = 2;
    phys = (<u64>(entry & 0xffc0_0000)) | (<u64>((entry >> 13) & 0xff) << 32);
    if (entry & 0x20_0000 || phys & ~load<u64>(cpu, Cpu.PHYS_MASK)) return fail(cpu, access, user, PageFault.P | PageFault.RSVD);
    phys |= va & 0x3f_f000;
  } else {
    if (!(entry & Pte.A) && access != Access.DEBUG && !updateEntry<u32>(cpu, address, entry, entry | Pte.A)) return Walk.AGAIN;
    address = (entry & 0xffff_f000) + (((va >> 12) & 0x3ff) << 2);
    entry = readEntry<u32>(cpu, address);
    if (!(entry & Pte.P)) return fail(cpu, access, user, 0);
    rights &= entry;
    phys = entry & 0xffff_f000;
  }
  if (!allowed(rights, false, access, user, control0, control4)) return fail(cpu, access, user, PageFault.P);
  const wanted = entry | leafBits(access);
  if (wanted != entry && !updateEntry<u32>(cpu, address, entry, wanted)) return Walk.AGAIN;
  walkPhys = phys;
  finish(wanted, rights, user, control0, control4);
  return Walk.DONE;
}

// @ts-ignore: decorator
@inline function finish(leaf: u32, rights: u32, user: bool, control0: u32, control4: u32): void {
  walkGlobal = (leaf & Pte.G) != 0 && (control4 & Cr4.PGE) != 0;
  const mayWrite = user ? (rights & (Pte.US | Pte.RW)) == (Pte.US | Pte.RW) : (rights & Pte.RW) != 0 || !(control0 & Cr0.WP);
  walkWritable = mayWrite && (leaf & Pte.D) != 0;
}

/**
 * Load the four page-directory-pointer entries of PAE paging, SDM volume 3, section 4.4.1.
 * False: #GP(0) is pending, because reserved bits are set.
 */
export function loadPdptes(cpu: u32, cr3: u64): bool {
  const table: u64 = cr3 & 0xffff_ffe0;
  const reserved = 0x1e6 | ~(load<u64>(cpu, Cpu.PHYS_MASK) | 0xfff);
  for (let i: u32 = 0; i < 4; i++) {
    const entry = readEntry<u64>(cpu, table + (i << 3));
    if (entry & Pte.P && entry & reserved) {
      raiseGp0(cpu);
      return false;
    }
  }
  for (let i: u32 = 0; i < 4; i++) store<u64>(cpu + (i << 3), readEntry<u64>(cpu, table + (i << 3)), Cpu.PDPTE);
  return true;
}

/** The physical address that a linear address stands for, or all ones; changes nothing. */
export function translate_debug(cpu: u32, va: u64): u64 {
  if (!walk(cpu, va, Access.DEBUG, false)) return 0xffff_ffff_ffff_ffff;
  return (walkPhys | (va & 0xfff)) & load<u64>(cpu, Cpu.A20_MASK);
}
