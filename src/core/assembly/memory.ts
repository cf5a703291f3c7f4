// Linear memory: the software TLB, and everything that the interpreter's inline look-up does not find there.
// Intel SDM volume 3, sections 4.10 (TLBs), 6.15 (#AC, #PF).
//
// A TLB entry's tags say what its page may be used for without another walk; the write tag is missing
// while the page is clean, read-only or holds decoded code.

import { CodeTlb, Cpu, Feature, Mem, Pmap, Rec, Tlb, Vector } from '../layout';
import { watch, watchedPage } from './debug';
import { hostInvalidateCode } from './host';
import { Access, walk, walkError, walkGlobal, walkLarge, walkPhys, walkWritable } from './paging';
import { hostAddress, loadHost, mmioRead, mmioWrite, pageMap, storeHost } from './physical';
import { canonical, cpl, faulted, raise, raiseGp0, raisePageFault, raiseSelector, systemMask } from './state';

const PAGE: u64 = ~0xfff;

/** How resolve() found a page. */
export const enum Found {
  FAULT = 0,
  /** resolvedHost is the byte's address in the shared memory. */
  PLAIN = 1,
  /** resolvedPhys is its physical address. */
  MMIO = 2,
  /** For writes: plain, but the page holds decoded code; both are set. */
  CODE = 3,
}

export let resolvedHost: u32 = 0;
export let resolvedPhys: u64 = 0;

// @ts-ignore: decorator
@inline function entryOf(tlb: u32, va: u64): u32 {
  return tlb + ((<u32>(va >> 12) & (Tlb.ENTRIES - 1)) << 5);
}

/** Number of an address' entry among those of both TLBs. */
// @ts-ignore: decorator
@inline function numberOf(va: u64, user: bool): u32 {
  return (<u32>(va >> 12) & (Tlb.ENTRIES - 1)) + (user ? Tlb.ENTRIES : 0);
}

// @ts-ignore: decorator
@inline function tlbOf(cpu: u32, user: bool): u32 {
  return user ? cpu + Cpu.TLB_USER : cpu + Cpu.TLB_SUPERVISOR;
}

// @ts-ignore: decorator
@inline function invalidate(entry: u32): void {
  store<u64>(entry, Tlb.INVALID, Tlb.TAG_READ);
  store<u64>(entry, Tlb.INVALID, Tlb.TAG_WRITE);
}

// @ts-ignore: decorator
@inline function codeEntryOf(cpu: u32, va: u64, user: bool): u32 {
  return cpu + (user ? Cpu.CODE_TLB_USER : Cpu.CODE_TLB_SUPERVISOR) + ((<u32>(va >> 12) & (CodeTlb.ENTRIES - 1)) << 4);
}

// @ts-ignore: decorator
@inline function invalidateCode(entry: u32): void {
  store<u64>(entry, Tlb.INVALID, CodeTlb.TAG);
}

/** Where TLB_LARGE_SEEN tells of large pages that contain an address. */
// @ts-ignore: decorator
@inline function largeSeen(cpu: u32, va: u64): u32 {
  return cpu + Cpu.TLB_LARGE_SEEN + (<u32>((va >> 22) ^ (va >> 34)) & 0xfff);
}

/** Where TLB_CODE_SEEN tells of pages that code was fetched from. */
// @ts-ignore: decorator
@inline function codeSeen(cpu: u32, va: u64): u32 {
  return cpu + Cpu.TLB_CODE_SEEN + (<u32>((va >> 12) ^ (va >> 24)) & 0xfff);
}

/** Note an entry that is being filled for a page found by walk(), and where its TLB_LARGE is. */
function filled(cpu: u32, va: u64, entry: u32, large: u32): void {
  store<u8>(large, walkLarge);
  if (walkLarge) store<u8>(largeSeen(cpu, va), 1);
  if (!walkGlobal) {
    const count = load<u32>(cpu, Cpu.TLB_JOURNAL);
    if (count < <u32>Cpu.TLB_JOURNAL_MAX) store<u32>(cpu + 4 + (count << 2), entry, Cpu.TLB_JOURNAL);
    if (count <= <u32>Cpu.TLB_JOURNAL_MAX) store<u32>(cpu, count + 1, Cpu.TLB_JOURNAL);
  }
  store<u32>(cpu, load<u32>(cpu, Cpu.STAT_TLB_FILLS) + 1, Cpu.STAT_TLB_FILLS);
}

/** Get an entry ready for a page found by walk(): tags of another page or another translation go. */
function claim(cpu: u32, va: u64, user: bool, addend: u32): u32 {
  const entry = entryOf(tlbOf(cpu, user), va);
  const page = va & PAGE;
  const same = load<u64>(entry, Tlb.TAG_READ) == page || load<u64>(entry, Tlb.TAG_WRITE) == page;
  if (!same || load<u32>(entry, Tlb.ADDEND) != addend) {
    invalidate(entry);
    store<u32>(entry, addend, Tlb.ADDEND);
  }
  filled(cpu, va, entry, cpu + Cpu.TLB_LARGE + numberOf(va, user));
  return entry;
}

/** Translate for a data access of one page, filling the TLB when the page is plain memory. */
export function resolve(cpu: u32, va: u64, access: u32, user: bool): u32 {
  const entry = entryOf(tlbOf(cpu, user), va);
  const page = va & PAGE;
  const tag = access == Access.WRITE ? load<u64>(entry, Tlb.TAG_WRITE) : load<u64>(entry, Tlb.TAG_READ);
  if (tag == page) {
    resolvedHost = <u32>va + load<u32>(entry, Tlb.ADDEND);
    return Found.PLAIN;
  }
  if (!walk(cpu, va, access, user)) {
    raisePageFault(cpu, va, walkError);
    return Found.FAULT;
  }
  const phys = (walkPhys | (va & 0xfff)) & load<u64>(cpu, Cpu.A20_MASK);
  const map = pageMap(phys);
  resolvedPhys = phys;
  if (!(map & Pmap.READ)) return Found.MMIO;
  resolvedHost = hostAddress(map, phys);
  const code = load<u64>(Mem.CODE_CHUNKS + ((<u32>phys >> 12) << 3)) != 0;
  if (!(user && load<u32>(cpu, Cpu.AC_ACTIVE)) && !watchedPage(cpu, va)) {
    const filled = claim(cpu, va, user, (map & 0xffff_f000) - <u32>page);
    store<u64>(filled, page, Tlb.TAG_READ);
    if (walkWritable && map & Pmap.WRITE && !code) {
      store<u64>(filled, page, Tlb.TAG_WRITE);
      store<u8>(cpu + numberOf(va, user), 1, Cpu.TLB_WRITES);
    }
  }
  if (access == Access.WRITE) {
    if (!(map & Pmap.WRITE)) return Found.MMIO;
    if (code) return Found.CODE;
  }
  return Found.PLAIN;
}

/** Alignment check, SDM volume 3, section 6.15 interrupt 17; only for accesses made with CPL 3's rights. */
// @ts-ignore: decorator
@inline function misaligned(cpu: u32, va: u64, size: u32, user: bool): bool {
  if (!user || !load<u32>(cpu, Cpu.AC_ACTIVE) || !(<u32>va & (size - 1))) return false;
  raise(cpu, Vector.AC);
  store<u32>(cpu, 1, Cpu.FAULT_HAS_ERROR);
  return true;
}

/** After a write to a page that holds decoded code. */
function codeWritten(cpu: u32, phys: u64, size: u32): void {
  const first = (<u32>phys & 0xfff) >> 6;
  const last = ((<u32>phys & 0xfff) + size - 1) >> 6;
  const touched = (<u64>1 << first) | (<u64>1 << last);
  if (load<u64>(Mem.CODE_CHUNKS + ((<u32>phys >> 12) << 3)) & touched) {
    hostInvalidateCode(cpu, <u32>phys >> 12, first, last);
  }
}

// @ts-ignore: decorator
@inline function crosses(va: u64, size: u32): bool {
  return (<u32>va & 0xfff) + size > 0x1000;
}

// @ts-ignore: decorator
@inline function canonicalRange(va: u64, size: u32): bool {
  return canonical(va) && canonical(va + (size - 1));
}

/** #GP(0) for a data address that is not canonical; stack_fault() makes it #SS(0) where the operand is in the stack segment. */
function raiseNotCanonical(cpu: u32): void {
  raiseGp0(cpu);
  store<u32>(cpu, NOT_CANONICAL, Cpu.FAULT_HAS_ERROR);
}

/** Value of Cpu.FAULT_HAS_ERROR that says why there is a #GP(0). */
const NOT_CANONICAL: u32 = 3;

/**
 * An instruction faulted on a non-canonical address: #SS(0) if its memory operand is addressed by RSP or RBP
 * and not overridden to FS or GS (SDM volume 3, section 3.3.7.1).
 */
export function stack_fault(cpu: u32, record: u32): void {
  let base: u32 = load<u16>(record, Rec.BASE);
  if (base == Cpu.EA) {
    const segment: u32 = load<u16>(record - Rec.SIZE, Rec.REG);
    if (segment == Cpu.FS || segment == Cpu.GS) return;
    base = load<u16>(record - Rec.SIZE, Rec.BASE);
  }
  if (base == Cpu.RSP || base == Cpu.RBP) raiseSelector(cpu, Vector.SS, 0);
}

/** Read with the rights of one privilege. 0 with a fault pending when it may not be. */
function readData(cpu: u32, va: u64, size: u32, user: bool, mask: u64): u64 {
  if (!canonicalRange(va, size)) {
    raiseNotCanonical(cpu);
    return 0;
  }
  if (misaligned(cpu, va, size, user)) return 0;
  const found = resolve(cpu, va, Access.READ, user);
  if (!found) return 0;
  if (load<u32>(cpu, Cpu.DEBUG_ARMED)) watch(cpu, va, size, false);
  if (!crosses(va, size)) {
    return found == Found.PLAIN ? loadHost(resolvedHost, size) : mmioRead(cpu, resolvedPhys, size);
  }
  const host1 = resolvedHost;
  const phys1 = resolvedPhys;
  const head: u32 = 0x1000 - (<u32>va & 0xfff);
  const found2 = resolve(cpu, (va + head) & mask, Access.READ, user);
  if (!found2) return 0;
  const host2 = resolvedHost;
  const phys2 = resolvedPhys;
  let value: u64 = 0;
  for (let i: u32 = 0; i < size; i++) {
    let byte: u64;
    if (i < head) byte = found == Found.PLAIN ? load<u8>(host1 + i) : mmioRead(cpu, phys1 + i, 1);
    else byte = found2 == Found.PLAIN ? load<u8>(host2 + (i - head)) : mmioRead(cpu, phys2 + (i - head), 1);
    value |= byte << (i << 3);
  }
  return value;
}

function writeByte(cpu: u32, found: u32, host: u32, phys: u64, value: u64): void {
  if (found == Found.MMIO) {
    mmioWrite(cpu, phys, 1, value & 0xff);
  } else {
    store<u8>(host, <u8>value);
    if (found == Found.CODE) codeWritten(cpu, phys, 1);
  }
}

/** Write with the rights of one privilege. False: a fault is pending and nothing was written. */
function writeData(cpu: u32, va: u64, size: u32, value: u64, user: bool, mask: u64): bool {
  if (!canonicalRange(va, size)) {
    raiseNotCanonical(cpu);
    return false;
  }
  if (misaligned(cpu, va, size, user)) return false;
  const found = resolve(cpu, va, Access.WRITE, user);
  if (!found) return false;
  if (load<u32>(cpu, Cpu.DEBUG_ARMED)) watch(cpu, va, size, true);
  if (!crosses(va, size)) {
    if (found == Found.MMIO) {
      mmioWrite(cpu, resolvedPhys, size, value);
    } else {
      storeHost(resolvedHost, size, value);
      if (found == Found.CODE) codeWritten(cpu, resolvedPhys, size);
    }
    return true;
  }
  const host1 = resolvedHost;
  const phys1 = resolvedPhys;
  const head: u32 = 0x1000 - (<u32>va & 0xfff);
  const found2 = resolve(cpu, (va + head) & mask, Access.WRITE, user);
  if (!found2) return false;
  const host2 = resolvedHost;
  const phys2 = resolvedPhys;
  for (let i: u32 = 0; i < size; i++) {
    const byte = value >> (i << 3);
    if (i < head) writeByte(cpu, found, host1 + i, phys1 + i, byte);
    else writeByte(cpu, found2, host2 + (i - head), phys2 + (i - head), byte);
  }
  return true;
}

/** Check every page of a range for an access. */
function probe(cpu: u32, va: u64, length: u32, access: u32, user: bool, mask: u64): bool {
  if (!canonicalRange(va, length)) {
    raiseNotCanonical(cpu);
    return false;
  }
  if (!resolve(cpu, va, access, user)) return false;
  const pages = ((<u32>va & 0xfff) + length - 1) >> 12;
  for (let i: u32 = 1; i <= pages; i++) {
    if (!resolve(cpu, ((va & PAGE) + (<u64>i << 12)) & mask, access, user)) return false;
  }
  return true;
}

// @ts-ignore: decorator
@inline function userNow(cpu: u32): bool {
  return cpl(cpu) == 3;
}

// @ts-ignore: decorator
@inline function guestMask(cpu: u32): u64 {
  return load<u64>(cpu, Cpu.ADDRESS_MASK);
}

// @ts-ignore: decorator
@inline function countSlow(cpu: u32): void {
  store<u32>(cpu, load<u32>(cpu, Cpu.STAT_SLOW) + 1, Cpu.STAT_SLOW);
}

/** Guest data read at the current privilege, 1, 2, 4 or 8 bytes. 0 with Cpu.FAULT set on a fault. */
export function read_slow(cpu: u32, va: u64, size: u32): u64 {
  countSlow(cpu);
  return readData(cpu, va, size, userNow(cpu), guestMask(cpu));
}

/** Guest data write at the current privilege. Cpu.FAULT is set on a fault, and then nothing was written. */
export function write_slow(cpu: u32, va: u64, size: u32, value: u64): void {
  countSlow(cpu);
  writeData(cpu, va, size, value, userNow(cpu), guestMask(cpu));
}

/** The read of a read-modify-write: checked as a write, so that the write after it cannot fault. */
export function rmw_slow(cpu: u32, va: u64, size: u32): u64 {
  countSlow(cpu);
  const user = userNow(cpu);
  const mask = guestMask(cpu);
  if (canonicalRange(va, size) && misaligned(cpu, va, size, user)) return 0;
  if (!probe(cpu, va, size, Access.WRITE, user, mask)) return 0;
  return readData(cpu, va, size, user, mask);
}

/** As read_slow for operands of the stack segment: non-canonical addresses give #SS(0). */
export function read_slow_ss(cpu: u32, va: u64, size: u32): u64 {
  if (!canonicalRange(va, size)) {
    raiseSelector(cpu, Vector.SS, 0);
    return 0;
  }
  return read_slow(cpu, va, size);
}

/** As write_slow for operands of the stack segment. */
export function write_slow_ss(cpu: u32, va: u64, size: u32, value: u64): void {
  if (!canonicalRange(va, size)) raiseSelector(cpu, Vector.SS, 0);
  else write_slow(cpu, va, size, value);
}

/** 16 bytes to Cpu.TMP128. */
export function read_slow128(cpu: u32, va: u64): void {
  const low = read_slow(cpu, va, 8);
  if (faulted(cpu)) return;
  const high = read_slow(cpu, (va + 8) & guestMask(cpu), 8);
  if (faulted(cpu)) return;
  store<u64>(cpu, low, Cpu.TMP128);
  store<u64>(cpu, high, Cpu.TMP128 + 8);
}

/** 16 bytes from Cpu.TMP128. */
export function write_slow128(cpu: u32, va: u64): void {
  if (!probe_write(cpu, va, 16)) return;
  write_slow(cpu, va, 8, load<u64>(cpu, Cpu.TMP128));
  if (faulted(cpu)) return;
  write_slow(cpu, (va + 8) & guestMask(cpu), 8, load<u64>(cpu, Cpu.TMP128 + 8));
}

/** 1 if a range of guest memory can be read at the current privilege; else a fault is pending. */
export function probe_read(cpu: u32, va: u64, length: u32): i32 {
  return probe(cpu, va, length, Access.READ, userNow(cpu), guestMask(cpu)) ? 1 : 0;
}

/** 1 if a range of guest memory can be written at the current privilege; else a fault is pending. */
export function probe_write(cpu: u32, va: u64, length: u32): i32 {
  return probe(cpu, va, length, Access.WRITE, userNow(cpu), guestMask(cpu)) ? 1 : 0;
}

/**
 * Where a locked access of 1, 2, 4 or 8 bytes can use WebAssembly's atomics: an address in the shared memory.
 * 0: a fault is pending. 1: not there (device memory, misaligned, page with decoded code or a breakpoint): use rmw_slow and write_slow.
 */
export function lock_address(cpu: u32, va: u64, size: u32): u32 {
  if (<u32>va & (size - 1)) {
    if (canonicalRange(va, size) && misaligned(cpu, va, size, userNow(cpu))) return 0;
    return probe_write(cpu, va, size) ? 1 : 0;
  }
  if (!canonical(va)) {
    raiseNotCanonical(cpu);
    return 0;
  }
  const found = resolve(cpu, va, Access.WRITE, userNow(cpu));
  if (!found) return 0;
  return found == Found.PLAIN && !watchedPage(cpu, va) ? resolvedHost : 1;
}

/** False: #AC is pending for an access at the current privilege. */
export function checkAlignment(cpu: u32, va: u64, size: u32): bool {
  return !misaligned(cpu, va, size, userNow(cpu));
}

/** Read by the CPU itself (descriptor tables, TSS): supervisor rights whatever the CPL. */
export function sysRead(cpu: u32, va: u64, size: u32): u64 {
  const address = va & systemMask(cpu);
  const entry = entryOf(cpu + Cpu.TLB_SUPERVISOR, address);
  if (((address + size - 1) & PAGE) == load<u64>(entry, Tlb.TAG_READ)) return loadHost(<u32>address + load<u32>(entry, Tlb.ADDEND), size);
  return readData(cpu, address, size, false, systemMask(cpu));
}

export function sysWrite(cpu: u32, va: u64, size: u32, value: u64): bool {
  return writeData(cpu, va & systemMask(cpu), size, value, false, systemMask(cpu));
}

/** Read with the rights of a CPL that need not be the current one: stacks during transfers. */
export function readAs(cpu: u32, va: u64, size: u32, user: bool, mask: u64): u64 {
  return readData(cpu, va, size, user, mask);
}

export function writeAs(cpu: u32, va: u64, size: u32, value: u64, user: bool, mask: u64): bool {
  return writeData(cpu, va, size, value, user, mask);
}

/**
 * Translate for instruction fetch at the current privilege and fill the entry for code (the caller sets CODE_MAP).
 * Returns the physical page number (A20 applied), or 0xffffffff with a fault pending.
 * No entry is made for pages that are not plain memory.
 */
export function fetch_page(cpu: u32, linear: u64): u32 {
  if (!canonical(linear)) {
    raiseGp0(cpu);
    return 0xffff_ffff;
  }
  const user = userNow(cpu);
  if (!walk(cpu, linear, Access.EXECUTE, user)) {
    raisePageFault(cpu, linear, walkError);
    return 0xffff_ffff;
  }
  const phys = walkPhys & load<u64>(cpu, Cpu.A20_MASK);
  const map = pageMap(phys);
  if (map & Pmap.READ) {
    const page = linear & PAGE;
    const entry = codeEntryOf(cpu, linear, user);
    store<u32>(entry, (map & 0xffff_f000) - <u32>page, CodeTlb.ADDEND);
    store<u64>(entry, page, CodeTlb.TAG);
    filled(cpu, linear, entry, cpu + Cpu.CODE_TLB_LARGE + (<u32>(linear >> 12) & (CodeTlb.ENTRIES - 1)) + (user ? CodeTlb.ENTRIES : 0));
    store<u8>(codeSeen(cpu, linear), 1);
    if (!user && !walkGlobal) store<u32>(cpu, 1, Cpu.CODE_NOT_GLOBAL);
  }
  return <u32>(phys >> 12);
}

/** fetch_page() of an address in halves, for TypeScript: a BigInt costs it more than the walk. */
export function fetch_page_at(cpu: u32, low: u32, high: u32): u32 {
  return fetch_page(cpu, (<u64>high << 32) | low);
}

/** Set bytes of the shared memory to 0. `TypedArray.fill` does that for shared memory element by element. */
export function clear_memory(at: u32, bytes: u32): void {
  memory.fill(at, 0, bytes);
}

/** The region that is executing must not rely on what it knew before. */
export function translationsChanged(cpu: u32): void {
  store<u32>(cpu, load<u32>(cpu, Cpu.TRANSLATIONS) + 1, Cpu.TRANSLATIONS);
}

/** Nor those that wait for a call to come back, in the address space of CPL 3 or of CPL 0-2. */
function forgotten(cpu: u32, counter: u32): void {
  store<u32>(cpu + counter, load<u32>(cpu + counter) + 1);
}

/** Whoever waits must not rely on what it asked when it was entered, such as CR0.TS (src/x86/assumptions.ts). */
export function allForgotten(cpu: u32): void {
  forgotten(cpu, Cpu.FORGOTTEN_USER);
  forgotten(cpu, Cpu.FORGOTTEN_SUPERVISOR);
}

/** Empty all TLBs; with keepGlobal only what a CR3 write drops. */
export function tlb_flush(cpu: u32, keepGlobal: i32): void {
  translationsChanged(cpu);
  forgotten(cpu, Cpu.FORGOTTEN_USER);
  if (load<u32>(cpu, Cpu.CODE_NOT_GLOBAL)) forgotten(cpu, Cpu.FORGOTTEN_SUPERVISOR);
  const count = load<u32>(cpu, Cpu.TLB_JOURNAL);
  if (keepGlobal && count <= <u32>Cpu.TLB_JOURNAL_MAX) {
    for (let i: u32 = 0; i < count; i++) {
      const entry = load<u32>(cpu + 4 + (i << 2), Cpu.TLB_JOURNAL);
      if (entry < cpu + Cpu.CODE_TLB_SUPERVISOR) invalidate(entry);
      else invalidateCode(entry);
    }
  } else {
    const end = cpu + Cpu.TLB_SUPERVISOR + 2 * Tlb.ENTRIES * Tlb.ENTRY_SIZE;
    for (let entry: u32 = cpu + Cpu.TLB_SUPERVISOR; entry < end; entry += Tlb.ENTRY_SIZE) invalidate(entry);
    forgetCode(cpu, false);
    forgetCode(cpu, true);
    memory.fill(cpu + Cpu.TLB_LARGE, 0, 2 * Tlb.ENTRIES);
    memory.fill(cpu + Cpu.TLB_WRITES, 0, 2 * Tlb.ENTRIES);
    memory.fill(cpu + Cpu.CODE_TLB_LARGE, 0, 2 * CodeTlb.ENTRIES);
    memory.fill(cpu + Cpu.TLB_LARGE_SEEN, 0, 4096);
    memory.fill(cpu + Cpu.TLB_CODE_SEEN, 0, 4096);
    forgotten(cpu, Cpu.FORGOTTEN_SUPERVISOR);
    store<u32>(cpu, 0, Cpu.CODE_NOT_GLOBAL);
  }
  store<u32>(cpu, 0, Cpu.TLB_JOURNAL);
}

/** The linear page of an entry, from whichever tag is valid; Tlb.INVALID when none is. */
function pageOf(entry: u32): u64 {
  const tag = load<u64>(entry, Tlb.TAG_READ);
  return tag & Tlb.INVALID ? load<u64>(entry, Tlb.TAG_WRITE) : tag;
}

/** Is the entry of a large page, of this size in Cpu.TLB_LARGE, that contains the page? */
// @ts-ignore: decorator
@inline function inLarge(tag: u64, page: u64, large: u32): bool {
  return !(tag & Tlb.INVALID) && (tag ^ page) >> (large == 3 ? 30 : 20 + large) == 0;
}

/** INVLPG: forget one page in all TLBs, and all of a large page that contains it. */
export function tlb_flush_page(cpu: u32, va: u64): void {
  // Compiled code minds only where it lies itself.
  if (load<u8>(codeSeen(cpu, va)) || load<u8>(largeSeen(cpu, va))) {
    translationsChanged(cpu);
    allForgotten(cpu);
  }
  const page = va & PAGE;
  // Entries of a 4 MiB page (the largest usual one) lie in 1,024 neighbouring slots; of a 1 GiB page, anywhere.
  const huge = (load<u32>(cpu, Cpu.FEATURES) & Feature.PAGE1G) != 0;
  const number = <u32>(va >> 12);
  for (let user: u32 = 0; user < 2; user++) {
    const tlb = tlbOf(cpu, user != 0);
    const entry = entryOf(tlb, va);
    if (pageOf(entry) == page) invalidate(entry);
    const code = codeEntryOf(cpu, va, user != 0);
    if (load<u64>(code, CodeTlb.TAG) == page) invalidateCode(code);
    if (!huge && !load<u8>(largeSeen(cpu, va))) continue;
    const classes = cpu + Cpu.TLB_LARGE + user * Tlb.ENTRIES;
    const first: u32 = huge ? 0 : number & (Tlb.ENTRIES - 1) & ~1023;
    const end: u32 = huge ? Tlb.ENTRIES : first + 1024;
    for (let i = first; i < end; i += 8) {
      if (!load<u64>(classes + i)) continue;
      for (let j = i; j < i + 8; j++) {
        const large = <u32>load<u8>(classes + j);
        if (large && inLarge(pageOf(tlb + (j << 5)), page, large)) invalidate(tlb + (j << 5));
      }
    }
    const codeClasses = cpu + Cpu.CODE_TLB_LARGE + user * CodeTlb.ENTRIES;
    const firstCode: u32 = huge ? 0 : number & (CodeTlb.ENTRIES - 1) & ~1023;
    const endCode: u32 = huge ? CodeTlb.ENTRIES : firstCode + 1024;
    const codeTlb = codeEntryOf(cpu, 0, user != 0);
    for (let i = firstCode; i < endCode; i += 8) {
      if (!load<u64>(codeClasses + i)) continue;
      for (let j = i; j < i + 8; j++) {
        const large = <u32>load<u8>(codeClasses + j);
        if (large && inLarge(load<u64>(codeTlb + (j << 4), CodeTlb.TAG), page, large)) invalidateCode(codeTlb + (j << 4));
      }
    }
  }
}

/** A physical page became code: no write may pass by the slow path. */
export function tlb_forget_writes(cpu: u32, physicalPage: u32): void {
  const host = pageMap(<u64>physicalPage << 12) & 0xffff_f000;
  const writes = cpu + Cpu.TLB_WRITES;
  for (let i: u32 = 0; i < 2 * Tlb.ENTRIES; i += 8) {
    if (!load<u64>(writes + i)) continue;
    for (let number = i; number < i + 8; number++) {
      if (!load<u8>(writes + number)) continue;
      const entry = cpu + Cpu.TLB_SUPERVISOR + number * Tlb.ENTRY_SIZE;
      const tag = load<u64>(entry, Tlb.TAG_WRITE);
      if (!(tag & Tlb.INVALID) && <u32>tag + load<u32>(entry, Tlb.ADDEND) != host) continue;
      store<u64>(entry, Tlb.INVALID, Tlb.TAG_WRITE);
      store<u8>(writes + number, 0);
    }
  }
}

/** Empty one TLB for code. */
export function forgetCode(cpu: u32, user: bool): void {
  const start = codeEntryOf(cpu, 0, user);
  const end = start + CodeTlb.ENTRIES * CodeTlb.ENTRY_SIZE;
  for (let entry = start; entry < end; entry += CodeTlb.ENTRY_SIZE) invalidateCode(entry);
}

/** Clear the read and write tags of the user TLB, so that alignment checks see every access. */
export function forgetUserData(cpu: u32): void {
  const start = cpu + Cpu.TLB_USER;
  for (let entry: u32 = start; entry < start + Tlb.ENTRIES * Tlb.ENTRY_SIZE; entry += Tlb.ENTRY_SIZE) {
    store<u64>(entry, Tlb.INVALID, Tlb.TAG_READ);
    store<u64>(entry, Tlb.INVALID, Tlb.TAG_WRITE);
  }
}
