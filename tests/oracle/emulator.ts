// Runs an oracle case on the emulator: a vCPU alone, in the environment that Linux gives the native recorder: long mode,
// CPL 3, the pages and descriptors of space.ts, and an IDT whose handlers halt, so that the exception that ends a case
// leaves its frame on the kernel's stack. Nothing of the engine is used but Vcpu: a case is delivered as a guest's would be.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Cpu, Exit, Mem, Pmap, Seg, SegAttr } from '../../src/core/layout.ts';
import { generateInterpreter } from '../../src/engine/interpret.ts';
import type { CompilerOptions } from '../../src/engine/compile/compiler.ts';
import { Vcpu, type VcpuModules } from '../../src/engine/vcpu.ts';
import { initialState, type Outcome } from './protocol.ts';
import type { TestCase } from './generate.ts';
import {
  CODE,
  CODE_SIZE,
  DATA,
  DATA_SIZE,
  FS_BASE,
  GS_BASE,
  initialSelectors,
  LDT,
  LDT_ENTRIES,
  READ_ONLY_SIZE,
  STACK,
  STACK_SIZE,
  TSS,
} from './space.ts';
import { makePool } from './state.ts';

// Physical addresses.
const PML4 = 0x1000;
const KERNEL_PDPT = 0x2000;
const KERNEL_PD = 0x3000;
const USER_PDPT = 0x4000;
const USER_PD = 0x5000;
const CODE_PT = 0x6000;
const DATA_PT = 0x7000;
const TABLES = 0x8000; // GDT, LDT, IDT, TSS, handlers
const KERNEL_STACK = 0x10000;
const CODE_AT = 0x20000;
const DATA_AT = 0x30000;
const RAM = 0x100000;

/** Linear address of physical address 0 for the kernel. */
const KERNEL = 0xffff_ffff_8000_0000n;
const GDT = TABLES;
const LDT_AT = TABLES + 0x200;
const TSS_AT = TABLES + 0x300;
const IDT = TABLES + 0x1000;
const HANDLERS = TABLES + 0x2000;

const HAS_ERROR = new Set([8, 10, 11, 12, 13, 14, 17]);
const EFLAGS_IF = 0x200;

export function loadModules(): VcpuModules {
  const core = readFileSync(join(import.meta.dirname, '../../build/core.wasm'));
  return { core: new WebAssembly.Module(core), interpreter: new WebAssembly.Module(generateInterpreter() as BufferSource) };
}

export class EmulatedProcessor {
  readonly vcpu: Vcpu;
  private readonly u8: Uint8Array;
  private readonly view: DataView;
  private readonly pool = makePool();
  private readonly expected = new Uint8Array(CODE_SIZE + DATA_SIZE + STACK_SIZE);
  private readonly descriptors = new Map<number, { base: number; limit: number; attr: number }>();

  constructor(modules: VcpuModules = loadModules(), compile: CompilerOptions | null = null) {
    const memory = new WebAssembly.Memory({ initial: (Mem.RAM + RAM) >> 16, maximum: 65536, shared: true });
    this.u8 = new Uint8Array(memory.buffer);
    this.view = new DataView(memory.buffer);
    const fail = (what: string) => {
      throw new Error(`the case reached a device: ${what}`);
    };
    this.vcpu = new Vcpu(
      memory,
      modules,
      {
        ioRead: (port) => fail(`port ${port}`),
        ioWrite: (port) => fail(`port ${port}`),
        mmioRead: (low) => fail(`address ${low.toString(16)}`),
        mmioWrite: (low) => fail(`address ${low.toString(16)}`),
        readMsr: () => undefined,
        writeMsr: () => false,
        fpuError: () => fail('FERR#'),
        tsc: () => 0,
        acknowledgeInterrupt: () => -1,
      },
      0,
      { without: [], kvmFeatures: null, apicId: 0, cpus: 1 },
      compile,
    );
    for (let page = 0; page < RAM / 4096; page++) this.view.setUint32(Mem.PMAP + page * 4, (Mem.RAM + page * 4096) | Pmap.READ | Pmap.WRITE, true);
    this.vcpu.reset();
    this.buildTables();
    this.u8.set(this.pool.subarray(0, READ_ONLY_SIZE), Mem.RAM + DATA_AT + DATA_SIZE);
    this.enterLongMode();
  }

  private set64(physical: number, value: bigint): void {
    this.view.setBigUint64(Mem.RAM + physical, BigInt.asUintN(64, value), true);
  }

  private buildTables(): void {
    const P = 1n, W = 2n, U = 4n, NX = 1n << 63n;
    this.set64(PML4, BigInt(USER_PDPT) | P | W | U);
    this.set64(PML4 + 511 * 8, BigInt(KERNEL_PDPT) | P | W);
    this.set64(KERNEL_PDPT + 510 * 8, BigInt(KERNEL_PD) | P | W);
    this.set64(KERNEL_PD, 0x80n | P | W); // 2 MiB at KERNEL
    this.set64(USER_PDPT, BigInt(USER_PD) | P | W | U);
    this.set64(USER_PD + (CODE >>> 21) * 8, BigInt(CODE_PT) | P | W | U);
    this.set64(USER_PD + (DATA >>> 21) * 8, BigInt(DATA_PT) | P | W | U);
    for (let n = 0; n < CODE_SIZE >> 12; n++) this.set64(CODE_PT + n * 8, BigInt(CODE_AT + n * 4096) | P | W | U);
    for (const [page, rights] of [[0, W], [1, W], [2, 0n], [6, W], [7, W]] as const) {
      this.set64(DATA_PT + page * 8, BigInt(DATA_AT + page * 4096) | P | U | rights | NX);
    }
    // GDT as Linux has it: 08 kernel code 32, 10 kernel code, 18 kernel data, 23 user code 32, 2b user data, 33 user code.
    const descriptor = (table: number, selector: number, base: number, limit: number, access: number, flags: number) => {
      const high = ((base >>> 16) & 0xff) | (access << 8) | (limit & 0xf0000) | (flags << 20) | (base & 0xff000000);
      this.set64(table + (selector & ~7), (BigInt(high >>> 0) << 32n) | BigInt(((base & 0xffff) << 16) >>> 0) | BigInt(limit & 0xffff));
      const bytes = flags & 8 ? limit * 4096 + 0xfff : limit;
      this.descriptors.set(selector, { base, limit: bytes, attr: access | (flags << 12) });
    };
    descriptor(GDT, 0x08, 0, 0xfffff, 0x9b, 12);
    descriptor(GDT, 0x10, 0, 0xfffff, 0x9b, 10);
    descriptor(GDT, 0x18, 0, 0xfffff, 0x93, 12);
    descriptor(GDT, 0x23, 0, 0xfffff, 0xfb, 12);
    descriptor(GDT, 0x2b, 0, 0xfffff, 0xf3, 12);
    descriptor(GDT, 0x33, 0, 0xfffff, 0xfb, 10);
    // The kernel's TSS and LDT are near the top of the address space; what LAR and LSL say of them is all that counts.
    descriptor(GDT, TSS, 0, 0x206f, 0x8b, 0);
    descriptor(GDT, LDT, 0, 0xffff, 0x82, 0);
    descriptor(GDT, 0x7b, 0, 0, 0xf5, 4); // the per-CPU segment: its limit is the number of the CPU
    LDT_ENTRIES.forEach((e, n) => {
      if (e) descriptor(LDT_AT, n * 8 + 7, e.base, e.limit, e.access | (e.present ? 0x80 : 0), e.wide ? 4 : 0);
    });
    for (let vector = 0; vector < 256; vector++) {
      const offset = KERNEL + BigInt(HANDLERS + vector * 16);
      const access = vector === 3 || vector === 4 ? 0xeen : 0x8en;
      this.set64(IDT + vector * 16, (offset & 0xffffn) | (0x10n << 16n) | (access << 40n) | (((offset >> 16n) & 0xffffn) << 48n));
      this.set64(IDT + vector * 16 + 8, offset >> 32n);
      this.u8[Mem.RAM + HANDLERS + vector * 16] = 0xf4; // HLT
    }
    this.view.setBigUint64(Mem.RAM + TSS_AT + 4, KERNEL + BigInt(KERNEL_STACK), true);
    this.view.setUint16(Mem.RAM + TSS_AT + 102, 0x68, true); // no I/O permission bitmap
  }

  private segment(register: number, selector: number): void {
    const { vcpu } = this;
    const d = this.descriptors.get(selector);
    vcpu.set32(register + Seg.SELECTOR, selector);
    vcpu.set32(register + Seg.ATTR, d ? d.attr : SegAttr.NULL);
    vcpu.set64(register + Seg.BASE, d ? BigInt(d.base >>> 0) : 0n);
    vcpu.set32(register + Seg.LIMIT, d ? d.limit : 0);
  }

  private enterLongMode(): void {
    const { vcpu } = this;
    vcpu.set64(Cpu.CR0, 0x8005_0033n); // PG AM WP NE ET MP PE
    vcpu.set64(Cpu.CR4, 0x6a0n); // PAE PGE OSFXSR OSXMMEXCPT
    vcpu.set64(Cpu.EFER, 0xd01n); // NXE LMA LME SCE
    vcpu.set64(Cpu.CR3, BigInt(PML4));
    vcpu.set64(Cpu.GDTR_BASE, KERNEL + BigInt(GDT));
    vcpu.set32(Cpu.GDTR_LIMIT, 0x7f);
    vcpu.set64(Cpu.IDTR_BASE, KERNEL + BigInt(IDT));
    vcpu.set32(Cpu.IDTR_LIMIT, 0xfff);
    this.segment(Cpu.TR, TSS);
    vcpu.set64(Cpu.TR + Seg.BASE, KERNEL + BigInt(TSS_AT));
    vcpu.set32(Cpu.TR + Seg.LIMIT, 0x67);
    this.segment(Cpu.LDTR, LDT);
    vcpu.set64(Cpu.LDTR + Seg.BASE, KERNEL + BigInt(LDT_AT));
    vcpu.set32(Cpu.LDTR + Seg.LIMIT, LDT_ENTRIES.length * 8 - 1);
    vcpu.modeChanged();
  }

  run(c: TestCase): Outcome | undefined {
    const { vcpu, u8, view } = this;
    const s = initialState(c);
    const expected = this.expected;
    expected.fill(0xcc, 0, CODE_SIZE);
    expected.set(c.bytes.slice(0, CODE_SIZE - c.offset), c.offset);
    expected.set(this.pool.subarray(s.pool, s.pool + DATA_SIZE + STACK_SIZE), CODE_SIZE);
    for (const p of c.patches) {
      p.bytes.forEach((b, i) => {
        const a = p.address + i;
        if (a >= CODE && a < CODE + CODE_SIZE) expected[a - CODE] = b;
        if (a >= DATA && a < DATA + DATA_SIZE) expected[CODE_SIZE + a - DATA] = b;
        if (a >= STACK && a < STACK + STACK_SIZE) expected[CODE_SIZE + DATA_SIZE + a - STACK] = b;
      });
    }
    const stackAt = DATA_AT + (STACK - DATA);
    u8.set(expected.subarray(0, CODE_SIZE), Mem.RAM + CODE_AT);
    u8.set(expected.subarray(CODE_SIZE, CODE_SIZE + DATA_SIZE), Mem.RAM + DATA_AT);
    u8.set(expected.subarray(CODE_SIZE + DATA_SIZE), Mem.RAM + stackAt);
    for (let page = 0; page < CODE_SIZE >> 12; page++) vcpu.cache.invalidate((CODE_AT >> 12) + page);

    const selectors = initialSelectors(c.mode);
    [Cpu.ES, Cpu.CS, Cpu.SS, Cpu.DS, Cpu.FS, Cpu.GS].forEach((register, n) => this.segment(register, selectors[n]));
    if (c.mode === 64) {
      vcpu.set64(Cpu.FS + Seg.BASE, BigInt(FS_BASE));
      vcpu.set64(Cpu.GS + Seg.BASE, BigInt(GS_BASE));
    }
    for (let n = 0; n < 16; n++) vcpu.set64(Cpu.GPR + n * 8, s.gpr[n]);
    vcpu.set64(Cpu.RIP, BigInt(c.offset + (c.mode === 16 ? 0 : CODE)));
    vcpu.set32(Cpu.CPL, 3);
    vcpu.set32(Cpu.HALTED, 0);
    vcpu.core.set_rflags(vcpu.base, s.rflags | EFLAGS_IF | 2);
    u8.set(s.xmm, vcpu.base + Cpu.XMM);
    vcpu.set32(Cpu.MXCSR, s.mxcsr);
    vcpu.set32(Cpu.FCW, s.fcw);
    vcpu.set32(Cpu.FSW, s.fsw);
    vcpu.set32(Cpu.FTW, s.ftw);
    const top = (s.fsw >> 11) & 7;
    for (let n = 0; n < 8; n++) u8.set(s.st.subarray(n * 16, n * 16 + 10), vcpu.base + Cpu.FPR + ((top + n) & 7) * 16);
    vcpu.core.update_mode(vcpu.base);

    // A vCPU may come back early because something asked it to.
    let reason = vcpu.run(2000);
    for (let n = 0; n < 3 && reason === Exit.BUDGET; n++) reason = vcpu.run(2000);
    if (reason !== Exit.HALT) return undefined;

    // The handler's RIP tells the vector, its stack the rest.
    const vector = Number((vcpu.get64(Cpu.RIP) - KERNEL - BigInt(HANDLERS)) >> 4n);
    let frame = Mem.RAM + Number(vcpu.get64(Cpu.RSP) - KERNEL);
    let error = 0;
    if (HAS_ERROR.has(vector)) {
      error = Number(view.getBigUint64(frame, true));
      frame += 8;
    }
    const gpr: bigint[] = [];
    for (let n = 0; n < 16; n++) gpr.push(n === 4 ? view.getBigUint64(frame + 24, true) : vcpu.get64(Cpu.GPR + n * 8));
    const fsw = vcpu.get32(Cpu.FSW) & 0xffff;
    const newTop = (fsw >> 11) & 7;
    const st = new Uint8Array(128);
    for (let n = 0; n < 8; n++) {
      const at = vcpu.base + Cpu.FPR + ((newTop + n) & 7) * 16;
      st.set(u8.subarray(at, at + 10), n * 16);
    }
    const selector = (register: number) => vcpu.get32(register + Seg.SELECTOR) & 0xffff;
    const memory: [number, number][] = [];
    const changes = (linear: number, physical: number, size: number, was: number) => {
      const at = Mem.RAM + physical;
      const now = u8.subarray(at, at + size);
      for (let n = 0; n < size; n++) if (now[n] !== expected[was + n]) memory.push([linear + n, now[n]]);
    };
    changes(CODE, CODE_AT, CODE_SIZE, 0);
    changes(DATA, DATA_AT, DATA_SIZE, CODE_SIZE);
    changes(STACK, stackAt, STACK_SIZE, CODE_SIZE + DATA_SIZE);
    return {
      vector,
      error,
      cr2: vector === 14 ? vcpu.get64(Cpu.CR2) : 0n,
      rip: view.getBigUint64(frame, true),
      rflags: Number(view.getBigUint64(frame + 16, true)),
      gpr,
      selectors: [selector(Cpu.ES), view.getUint16(frame + 8, true), view.getUint16(frame + 32, true), selector(Cpu.DS), selector(Cpu.FS), selector(Cpu.GS)],
      mxcsr: vcpu.get32(Cpu.MXCSR),
      fcw: vcpu.get32(Cpu.FCW) & 0xffff,
      fsw,
      ftw: vcpu.get32(Cpu.FTW) & 0xff,
      xmm: u8.slice(vcpu.base + Cpu.XMM, vcpu.base + Cpu.XMM + 256),
      st,
      memory,
    };
  }
}
