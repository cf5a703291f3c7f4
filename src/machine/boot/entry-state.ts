// The CPU's state at a kernel's first instruction, as a loader describes it to the engine.

import type { GuestMemory } from '../../devices/interfaces.ts';

/** What a loader needs of memory. */
export type LoadMemory = Pick<GuestMemory, 'size' | 'write' | 'write32' | 'write64'>;

/** A segment as the CPU holds it; attr in the form of SegAttr in core/layout.ts. */
export interface SegmentState {
  selector: number;
  base: number;
  /** In bytes. */
  limit: number;
  attr: number;
}

/** Everything not named is as after reset, the other general registers 0, interrupts off. */
export interface EntryState {
  mode: 'protected32' | 'long64';
  rip: number;
  registers: { rax?: number; rbx?: number; rsi?: number; rsp?: number };
  gdt: { base: number; limit: number };
  /** Limit 0: an exception before the kernel has made its own table is a triple fault. */
  idt: { base: number; limit: number };
  cs: SegmentState;
  /** DS, ES, SS, FS and GS. */
  data: SegmentState;
  cr0: number;
  cr3: number;
  cr4: number;
  efer: number;
}

/** Selectors of the flat segments, __BOOT_CS and __BOOT_DS of Linux. */
const enum Selector {
  CODE = 0x10,
  DATA = 0x18,
}

const FLAT_LIMIT = 0xffff_ffff;
/** Present, code, read, accessed; 4 KiB granularity; D or L. */
const CODE32 = 0xc09b;
const CODE64 = 0xa09b;
/** Present, data, write, accessed; 4 KiB granularity; B. */
const DATA = 0xc093;

/** CR0.PE and ET; PG. */
const CR0_PROTECTED = 0x11;
const CR0_PG = 0x8000_0000;
const CR4_PAE = 0x20;
/** EFER.LME and LMA. */
const EFER_LONG = 0x500;

/** Bytes writeGdt writes. */
export const GDT_BYTES = 4 * 8;

/** Segments at 0x10 (code) and 0x18 (data), base 0, limit 4 GiB. */
function writeGdt(memory: LoadMemory, address: number, code: number): void {
  memory.write(address, new Uint8Array(GDT_BYTES));
  for (const [selector, attr] of [[Selector.CODE, code], [Selector.DATA, DATA]] as const) {
    memory.write32(address + selector, 0x0000_ffff);
    // Limit 19:16 lies between the attributes' low byte and their flags.
    memory.write32(address + selector + 4, ((attr | 0x0f00) << 8) >>> 0);
  }
}

/** 32-bit protected mode, no paging, flat segments; writes the GDT. */
export function protected32(memory: LoadMemory, gdt: number, rip: number, registers: EntryState['registers']): EntryState {
  writeGdt(memory, gdt, CODE32);
  return { mode: 'protected32', ...flat(gdt, rip, registers, CODE32), cr0: CR0_PROTECTED, cr3: 0, cr4: 0, efer: 0 };
}

/** Bytes writePageTables writes: PML4, PDPT, and a page directory for each of 4 GiB. */
export const PAGE_TABLE_BYTES = 6 * 4096;

/** 64-bit mode, the lowest 4 GiB mapped one to one with 2 MiB pages; writes GDT and page tables (page-aligned). */
export function long64(memory: GuestMemory, gdt: number, pageTables: number, rip: number, registers: EntryState['registers']): EntryState {
  writeGdt(memory, gdt, CODE64);
  const PRESENT_WRITE = 3;
  const LARGE = 0x80;
  const pdpt = pageTables + 0x1000;
  memory.write(pageTables, new Uint8Array(PAGE_TABLE_BYTES));
  memory.write32(pageTables, pdpt | PRESENT_WRITE);
  for (let gib = 0; gib < 4; gib++) {
    const directory = pdpt + 0x1000 * (1 + gib);
    memory.write32(pdpt + 8 * gib, directory | PRESENT_WRITE);
    for (let n = 0; n < 512; n++) memory.write32(directory + 8 * n, (gib * 0x4000_0000 + n * 0x20_0000 + (PRESENT_WRITE | LARGE)) >>> 0);
  }
  return { mode: 'long64', ...flat(gdt, rip, registers, CODE64), cr0: (CR0_PROTECTED | CR0_PG) >>> 0, cr3: pageTables, cr4: CR4_PAE, efer: EFER_LONG };
}

function flat(gdt: number, rip: number, registers: EntryState['registers'], code: number) {
  return {
    rip,
    registers,
    gdt: { base: gdt, limit: GDT_BYTES - 1 },
    idt: { base: 0, limit: 0 },
    cs: { selector: Selector.CODE, base: 0, limit: FLAT_LIMIT, attr: code },
    data: { selector: Selector.DATA, base: 0, limit: FLAT_LIMIT, attr: DATA },
  };
}
