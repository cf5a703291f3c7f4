// A bare vCPU for tests of core.wasm: a few megabytes of RAM, descriptors and page tables made by hand, a recording host.

import { readFileSync } from 'node:fs';
import { CodeTlb, Cpu, Mem, Pmap, Rflags, Seg, SegAttr, Tlb } from './layout.ts';

/** As exported by core.wasm; 64-bit parameters and results are bigint. */
export type CoreExports = Record<string, (cpu: number, ...args: (number | bigint)[]) => number | bigint | undefined>;

export const RAM_PAGES = 1024;
/** A page of ROM, at 0xF0000. */
export const ROM_PAGE = 0xf0;
/** Physical address without memory behind it. */
export const MMIO = 0xfed0_0000;

export const CPU = Mem.CPU;

/** Selectors of the GDT that protect() makes. */
export const enum Sel {
  CODE = 0x08,
  DATA = 0x10,
  USER_CODE = 0x1b,
  USER_DATA = 0x23,
  TSS = 0x28,
  CODE64 = 0x38,
  USER_CODE64 = 0x43,
  CODE16 = 0x48,
  DATA16 = 0x50,
  CONFORMING = 0x58,
  READ_ONLY = 0x60,
  ABSENT = 0x68,
  EXPAND_DOWN = 0x70,
  GATE = 0x78,
  /** Upper half of a 64-bit gate. */
  GATE_UPPER = 0x80,
  LDT = 0x88,
  LDT_UPPER = 0x90,
  /** Just beyond the table. */
  BEYOND = 0x98,
}

export const GDT = 0x1000;
export const IDT = 0x2000;
export const TSS = 0x3000;
export const LDT = 0x3800;
export const STACK0 = 0x6000;
export const STACK3 = 0x8000;
/** Where page tables go in the tests. */
export const TABLES = 0x10_0000;

/** Milliseconds that the first test may wait for core.wasm to be built. */
export const BUILD_TIMEOUT = 180_000;

let compiled: WebAssembly.Module | undefined;

async function coreModule(): Promise<WebAssembly.Module> {
  if (!compiled) {
    const { buildIfOlder } = (await import('../../scripts/build-core.mjs')) as { buildIfOlder(): Promise<string> };
    compiled = await WebAssembly.compile(readFileSync(await buildIfOlder()));
  }
  return compiled;
}

export class TestCpu {
  readonly memory = new WebAssembly.Memory({ initial: Mem.RAM / 65536 + RAM_PAGES / 16, maximum: 65536, shared: true });
  readonly view = new DataView(this.memory.buffer);
  readonly bytes = new Uint8Array(this.memory.buffer);
  core!: CoreExports;
  /** What the host was asked, as text. */
  readonly log: string[] = [];
  /** Answer of MMIO and port reads. */
  answer = 0;
  msr: bigint | undefined = undefined;
  tsc = 0n;
  onInvalidate: (page: number) => void = () => {};

  static async create(): Promise<TestCpu> {
    const t = new TestCpu();
    const module = await coreModule();
    const hex = (n: number): string => (n >>> 0).toString(16);
    const instance = new WebAssembly.Instance(module, {
      env: { memory: t.memory, abort: () => { throw new Error('core.wasm aborted'); } },
      host: {
        io_read: (_c: number, port: number, size: number) => (t.log.push(`in ${hex(port)} ${size}`), t.answer),
        io_write: (_c: number, port: number, size: number, value: number) => void t.log.push(`out ${hex(port)} ${size} ${hex(value)}`),
        mmio_read: (_c: number, low: number, high: number, size: number) => (t.log.push(`read ${high ? `${hex(high)}:` : ''}${hex(low)} ${size}`), t.answer),
        mmio_write: (_c: number, low: number, high: number, size: number, value: number) =>
          void t.log.push(`write ${high ? `${hex(high)}:` : ''}${hex(low)} ${size} ${hex(value)}`),
        rdmsr: (_c: number, index: number) => {
          t.log.push(`rdmsr ${hex(index)}`);
          if (t.msr === undefined) return 0;
          t.view.setBigUint64(CPU + Cpu.SCRATCH, t.msr, true);
          return 1;
        },
        wrmsr: (_c: number, index: number, low: number, high: number) => {
          t.log.push(`wrmsr ${hex(index)} ${hex(high)}:${hex(low)}`);
          return t.msr === undefined ? 0 : 1;
        },
        cpuid: (_c: number, leaf: number, subleaf: number) => {
          [leaf, subleaf, 3, 4].forEach((word, n) => t.view.setUint32(CPU + Cpu.SCRATCH + 4 * n, word, true));
        },
        tsc: () => t.view.setBigUint64(CPU + Cpu.SCRATCH, t.tsc, true),
        trace_software_interrupt: () => {},
        invalidate_code: (_c: number, page: number, first: number, last: number) => {
          t.log.push(`invalidate ${hex(page)} ${first}-${last}`);
          t.onInvalidate(page);
        },
        ferr: () => {},
      },
    });
    t.core = instance.exports as unknown as CoreExports;
    for (let page = 0; page < RAM_PAGES; page++) t.map(page, Mem.RAM + page * 4096, Pmap.READ | Pmap.WRITE);
    t.map(ROM_PAGE, Mem.ROM, Pmap.READ);
    t.set64(Cpu.PHYS_MASK, (1n << 40n) - 1n);
    t.set64(Cpu.A20_MASK, 0xffff_ffff_ffff_ffffn);
    t.set64(Cpu.EFER_VALID, 0xd01n);
    t.set64(Cpu.CR4_VALID, 0x7ffn);
    t.set64(Cpu.BUDGET, 1_000_000n);
    t.core.cpu_reset(CPU);
    return t;
  }

  map(page: number, address: number, bits: number): void {
    this.view.setUint32(Mem.PMAP + page * 4, address | bits, true);
  }

  // ---- the vCPU's fields
  get32(field: number): number {
    return this.view.getUint32(CPU + field, true);
  }
  set32(field: number, value: number): void {
    this.view.setUint32(CPU + field, value, true);
  }
  get64(field: number): bigint {
    return this.view.getBigUint64(CPU + field, true);
  }
  set64(field: number, value: bigint): void {
    this.view.setBigUint64(CPU + field, value, true);
  }
  /** Several registers at once. */
  set(values: Partial<Record<keyof typeof REGISTERS, number | bigint>>): void {
    for (const [name, value] of Object.entries(values)) this.set64(REGISTERS[name as keyof typeof REGISTERS], BigInt.asUintN(64, BigInt(value)));
  }
  reg(name: keyof typeof REGISTERS): bigint {
    return this.get64(REGISTERS[name]);
  }
  get rip(): number {
    return Number(this.get64(Cpu.RIP));
  }
  get rsp(): number {
    return Number(this.get64(Cpu.RSP));
  }
  get flags(): number {
    return Number(this.core.get_rflags(CPU)) >>> 0;
  }
  selector(segment: number): number {
    return this.get32(segment + Seg.SELECTOR);
  }

  // ---- physical memory
  read8(address: number): number {
    return this.view.getUint8(Mem.RAM + address);
  }
  read16(address: number): number {
    return this.view.getUint16(Mem.RAM + address, true);
  }
  read32(address: number): number {
    return this.view.getUint32(Mem.RAM + address, true);
  }
  read64(address: number): bigint {
    return this.view.getBigUint64(Mem.RAM + address, true);
  }
  write8(address: number, value: number): void {
    this.view.setUint8(Mem.RAM + address, value);
  }
  write16(address: number, value: number): void {
    this.view.setUint16(Mem.RAM + address, value, true);
  }
  write32(address: number, value: number): void {
    this.view.setUint32(Mem.RAM + address, value, true);
  }
  write64(address: number, value: bigint): void {
    this.view.setBigUint64(Mem.RAM + address, BigInt.asUintN(64, value), true);
  }
  /** Words of `size` bytes from an address up. */
  words(address: number, count: number, size: 2 | 4 | 8): number[] {
    return Array.from({ length: count }, (_, n) => {
      const at = address + n * size;
      return size === 2 ? this.read16(at) : size === 4 ? this.read32(at) : Number(this.read64(at));
    });
  }
  fill(address: number, bytes: number[]): void {
    this.bytes.set(bytes, Mem.RAM + address);
  }
  slice(address: number, length: number): number[] {
    return [...this.bytes.slice(Mem.RAM + address, Mem.RAM + address + length)];
  }

  // ---- calls
  call(name: string, ...args: (number | bigint)[]): number {
    const f = this.core[name];
    if (!f) throw new Error(`core.wasm has no ${name}`);
    const result = f(CPU, ...args);
    return typeof result === 'bigint' ? Number(BigInt.asUintN(64, result)) : result === undefined ? 0 : result;
  }
  readGuest(va: bigint | number, size: number): bigint {
    return BigInt.asUintN(64, this.core.read_slow(CPU, BigInt.asIntN(64, BigInt(va)), size) as bigint);
  }
  writeGuest(va: bigint | number, size: number, value: bigint | number): void {
    this.core.write_slow(CPU, BigInt.asIntN(64, BigInt(va)), size, BigInt.asIntN(64, BigInt(value)));
  }
  /** The pending exception as text, such as '#14(7)' or '#6', and clear it; '' if there is none. */
  takeFault(): string {
    const vector = this.get32(Cpu.FAULT) - 1;
    this.set32(Cpu.FAULT, 0);
    if (vector < 0) return '';
    return this.get32(Cpu.FAULT_HAS_ERROR) ? `#${vector}(${this.get32(Cpu.FAULT_ERROR).toString(16)})` : `#${vector}`;
  }

  /** Tags of a page in a TLB: which of r, w, x are set. */
  tags(va: bigint | number, user = false): string {
    const linear = BigInt.asUintN(64, BigInt(va)) & ~0xfffn;
    const entry = CPU + (user ? Cpu.TLB_USER : Cpu.TLB_SUPERVISOR) + Number((linear >> 12n) & BigInt(Tlb.ENTRIES - 1)) * Tlb.ENTRY_SIZE;
    const code = CPU + (user ? Cpu.CODE_TLB_USER : Cpu.CODE_TLB_SUPERVISOR) + Number((linear >> 12n) & BigInt(CodeTlb.ENTRIES - 1)) * CodeTlb.ENTRY_SIZE;
    return (
      (this.view.getBigUint64(entry + Tlb.TAG_READ, true) === linear ? 'r' : '') +
      (this.view.getBigUint64(entry + Tlb.TAG_WRITE, true) === linear ? 'w' : '') +
      (this.view.getBigUint64(code + CodeTlb.TAG, true) === linear ? 'x' : '')
    );
  }

  // ---- descriptors
  descriptor(table: number, selector: number, base: number, limit: number, access: number, flags: number): void {
    const at = table + (selector & 0xfff8);
    this.write32(at, ((base & 0xffff) << 16) | (limit & 0xffff));
    this.write32(at + 4, (base & 0xff00_0000) | ((base >>> 16) & 0xff) | (access << 8) | (limit & 0xf_0000) | (flags << 20));
  }
  /** 32-bit or 16-bit gate, in any table. */
  gate(at: number, type: number, selector: number, offset: number, dpl = 0, count = 0): void {
    this.write32(at, (selector << 16) | (offset & 0xffff));
    this.write32(at + 4, (offset & 0xffff_0000) | 0x8000 | (dpl << 13) | (type << 8) | count);
  }
  gate64(at: number, type: number, selector: number, offset: bigint, dpl = 0, ist = 0): void {
    this.gate(at, type, selector, Number(offset & 0xffff_ffffn) | 0, dpl, ist);
    this.write64(at + 8, offset >> 32n);
  }
  segment(field: number, selector: number, base: number, limit: number, attr: number): void {
    this.set32(field + Seg.SELECTOR, selector);
    this.set32(field + Seg.ATTR, attr);
    this.set64(field + Seg.BASE, BigInt(base));
    this.set32(field + Seg.LIMIT, limit);
  }

  private tables(): void {
    this.descriptor(GDT, Sel.CODE, 0, 0xfffff, 0x9a, 0xc);
    this.descriptor(GDT, Sel.DATA, 0, 0xfffff, 0x92, 0xc);
    this.descriptor(GDT, Sel.USER_CODE, 0, 0xfffff, 0xfa, 0xc);
    this.descriptor(GDT, Sel.USER_DATA, 0, 0xfffff, 0xf2, 0xc);
    this.descriptor(GDT, Sel.CODE64, 0, 0xfffff, 0x9a, 0xa);
    this.descriptor(GDT, Sel.USER_CODE64, 0, 0xfffff, 0xfa, 0xa);
    this.descriptor(GDT, Sel.CODE16, 0x4_0000, 0xffff, 0x9a, 0);
    this.descriptor(GDT, Sel.DATA16, 0x4_0000, 0xffff, 0x92, 0);
    this.descriptor(GDT, Sel.CONFORMING, 0, 0xfffff, 0x9e, 0xc);
    this.descriptor(GDT, Sel.READ_ONLY, 0, 0xfffff, 0x90, 0xc);
    this.descriptor(GDT, Sel.ABSENT, 0, 0xfffff, 0x12, 0xc);
    this.descriptor(GDT, Sel.EXPAND_DOWN, 0, 0x0fff, 0x96, 4);
    this.descriptor(GDT, Sel.LDT, LDT, 0x1f, 0x82, 0);
    this.set64(Cpu.GDTR_BASE, BigInt(GDT));
    this.set64(Cpu.GDTR_LIMIT, BigInt(Sel.BEYOND - 1));
    this.set64(Cpu.IDTR_BASE, BigInt(IDT));
    this.set64(Cpu.IDTR_LIMIT, 0x7ffn);
  }

  /** 32-bit protected mode, flat, without paging, at a privilege level; TSS with a stack for privilege 0. */
  protect(cpl = 0): void {
    this.tables();
    this.descriptor(GDT, Sel.TSS, TSS, 0x67, 0x8b, 0);
    this.segment(Cpu.TR, Sel.TSS, TSS, 0x67, 0x8b);
    this.write32(TSS + 4, STACK0);
    this.write32(TSS + 8, Sel.DATA);
    this.write16(TSS + 0x66, 0x68);
    this.set64(Cpu.CR0, 0x11n);
    this.flat(cpl, SegAttr.DB);
  }

  /** Long mode at a privilege level, RAM identity-mapped by a user-accessible 2 MiB page for each 2 MiB. */
  long(cpl = 0): void {
    this.tables();
    this.descriptor(GDT, Sel.TSS, TSS, 0x67, 0x8b, 0);
    this.segment(Cpu.TR, Sel.TSS, TSS, 0x67, 0x8b);
    this.write64(TSS + 4, BigInt(STACK0));
    this.write64(TABLES, BigInt(TABLES + 0x1000 + 7));
    this.write64(TABLES + 0x1000, BigInt(TABLES + 0x2000 + 7));
    for (let n = 0; n < RAM_PAGES / 512; n++) this.write64(TABLES + 0x2000 + 8 * n, BigInt(n * 0x20_0000 + 0x87));
    this.set64(Cpu.IDTR_LIMIT, 0xfffn);
    this.set64(Cpu.CR3, BigInt(TABLES));
    this.set64(Cpu.CR4, 0xa0n);
    this.set64(Cpu.EFER, 0xd01n);
    this.set64(Cpu.CR0, 0x8001_0011n);
    this.flat(cpl, SegAttr.L);
  }

  /** Flat segments of a privilege; code of the given kind. */
  flat(cpl: number, code: number): void {
    const dpl = cpl << SegAttr.DPL_SHIFT;
    const long = (code & SegAttr.L) !== 0;
    const cs = long ? (cpl ? Sel.USER_CODE64 : Sel.CODE64) : cpl ? Sel.USER_CODE : Sel.CODE;
    const ds = cpl ? Sel.USER_DATA : Sel.DATA;
    this.segment(Cpu.CS, cs, 0, 0xffff_ffff, 0x809b | dpl | code);
    for (const field of [Cpu.SS, Cpu.DS, Cpu.ES]) this.segment(field, ds, 0, 0xffff_ffff, 0xc093 | dpl);
    this.segment(Cpu.FS, 0, 0, 0, SegAttr.NULL);
    this.segment(Cpu.GS, 0, 0, 0, SegAttr.NULL);
    this.set32(Cpu.CPL, cpl);
    this.set64(Cpu.RSP, BigInt(cpl ? STACK3 : STACK0));
    this.set64(Cpu.RIP, 0x5000n);
    this.set64(Cpu.NEXT_RIP, 0x5002n);
    this.set32(Cpu.RFLAGS, Rflags.FIXED | Rflags.IF);
    this.core.tlb_flush(CPU, 0);
    this.core.update_mode(CPU);
  }

  /** Real mode at a CS:IP with a stack. */
  real(): void {
    for (const field of [Cpu.CS, Cpu.SS, Cpu.DS, Cpu.ES, Cpu.FS, Cpu.GS]) this.segment(field, 0, 0, 0xffff, 0x93);
    this.set64(Cpu.CR0, 0x10n);
    this.set64(Cpu.IDTR_BASE, 0n);
    this.set64(Cpu.IDTR_LIMIT, 0x3ffn);
    this.set64(Cpu.RIP, 0x5000n);
    this.set64(Cpu.NEXT_RIP, 0x5002n);
    this.set64(Cpu.RSP, 0x7000n);
    this.set32(Cpu.RFLAGS, Rflags.FIXED | Rflags.IF);
    this.core.update_mode(CPU);
  }
}

const REGISTERS = {
  rax: Cpu.RAX, rcx: Cpu.RCX, rdx: Cpu.RDX, rbx: Cpu.RBX, rsp: Cpu.RSP, rbp: Cpu.RBP, rsi: Cpu.RSI, rdi: Cpu.RDI,
  r11: Cpu.GPR + 88, rip: Cpu.RIP, next: Cpu.NEXT_RIP, cr2: Cpu.CR2, cr3: Cpu.CR3,
} as const;
