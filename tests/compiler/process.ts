// A Linux program on a vCPU alone: its pages, four system calls, and nothing else. So code that a compiler made runs in both tiers, in
// lockstep if asked for, without a kernel around it.
//
// The CPU is in long mode; a program for i386 runs in compatibility mode, as under a 64-bit kernel. SYSCALL and INT 80h lead to a HLT,
// and TypeScript does the call.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Cpu, Exit, Mem, Pmap, Seg } from '../../src/core/layout.ts';
import type { CompilerOptions } from '../../src/engine/compile/compiler.ts';
import { generateInterpreter } from '../../src/engine/interpret.ts';
import { Vcpu, type VcpuModules } from '../../src/engine/vcpu.ts';

const RAM = 256 << 20;
const PAGE = 4096;
/** Linear and physical address of what the "kernel" needs; the program's linear addresses are its physical ones. */
const PML4 = 0x1000;
const PDPT = 0x2000;
const PDPT_HIGH = 0x4000;
const PD = 0x3000;
const PD_HIGH = 0x5000;
const TABLES = 0x10000;
const GDT = TABLES;
const IDT = TABLES + 0x1000;
const TSS = TABLES + 0x800;
const HANDLERS = TABLES + 0x2000;
const SYSCALL_AT = TABLES + 0x3000;
const KERNEL_STACK = 0x20000;
/** Linear address of physical address 0 for the kernel. */
const KERNEL = 0xffff_ffff_8000_0000n;
const STACK_TOP = RAM - PAGE;
const HEAP = 192 << 20;

const SYSTEM_CALLS: Record<32 | 64, Record<number, string>> = {
  64: { 1: 'write', 9: 'mmap', 60: 'exit', 231: 'exit', 228: 'clock_gettime', 39: 'getpid', 13: 'ok', 131: 'ok', 11: 'ok' },
  32: { 4: 'write', 192: 'mmap', 1: 'exit', 252: 'exit', 265: 'clock_gettime', 20: 'getpid', 174: 'ok', 186: 'ok', 91: 'ok' },
};

let modules: VcpuModules | null = null;

export function engineModules(): VcpuModules {
  const core = readFileSync(join(import.meta.dirname, '../../build/core.wasm'));
  modules ??= { core: new WebAssembly.Module(core), interpreter: new WebAssembly.Module(generateInterpreter() as BufferSource) };
  return modules;
}

/**
 * A vCPU and RAM, a whole number of pages, and nothing else: no devices, no interrupts.
 * @param ports where nothing is: reads give ones; without them their use is an error
 */
export function loneVcpu(ram: number, compile: CompilerOptions | null, ports = false): Vcpu {
  const memory = new WebAssembly.Memory({ initial: (Mem.RAM + ram) >> 16, maximum: 65536, shared: true });
  const fail = (what: string): never => {
    throw new Error(`the program reached a device: ${what}`);
  };
  const vcpu = new Vcpu(
    memory,
    engineModules(),
    {
      ioRead: () => (ports ? -1 : fail('port')), ioWrite: () => void (ports || fail('port')), mmioRead: (low) => fail(`address ${low.toString(16)}`),
      mmioWrite: (low) => fail(`address ${low.toString(16)}`), readMsr: () => undefined, writeMsr: () => false, fpuError: () => fail('FERR#'),
      tsc: () => 0, acknowledgeInterrupt: () => -1,
    },
    0,
    { without: [], kvmFeatures: null, apicId: 0, cpus: 1 },
    compile,
  );
  const pmap = new Uint32Array(memory.buffer, Mem.PMAP, ram / PAGE);
  for (let page = 0; page < pmap.length; page++) pmap[page] = (Mem.RAM + page * PAGE) | Pmap.READ | Pmap.WRITE;
  return vcpu;
}

export class Process {
  readonly vcpu: Vcpu;
  readonly view: DataView;
  readonly u8: Uint8Array;
  readonly bits: 32 | 64;
  output = '';
  /** Exit status, once it has ended. */
  status: number | null = null;
  private brk = HEAP;
  private nanoseconds = 0;

  /** @param elf a static program */
  constructor(elf: Uint8Array, args: readonly string[], compile: CompilerOptions | null) {
    this.bits = elf[4] === 2 ? 64 : 32;
    this.vcpu = loneVcpu(RAM, compile);
    this.u8 = new Uint8Array(this.vcpu.memory.buffer);
    this.view = new DataView(this.vcpu.memory.buffer);
    this.vcpu.reset();
    this.tables();
    this.load(elf, args);
  }

  protected set64(at: number, value: bigint): void {
    this.view.setBigUint64(Mem.RAM + at, BigInt.asUintN(64, value), true);
  }

  private tables(): void {
    const P = 1n, W = 2n, U = 4n, LARGE = 0x80n;
    this.set64(PML4, BigInt(PDPT) | P | W | U);
    this.set64(PML4 + 511 * 8, BigInt(PDPT_HIGH) | P | W);
    this.set64(PDPT, BigInt(PD) | P | W | U);
    this.set64(PDPT_HIGH + 510 * 8, BigInt(PD_HIGH) | P | W);
    for (let n = 0; n < RAM >> 21; n++) {
      if (n > 0) this.set64(PD + n * 8, BigInt(n << 21) | LARGE | P | W | U);
      this.set64(PD_HIGH + n * 8, BigInt(n << 21) | LARGE | P | W);
    }
    const descriptor = (selector: number, access: number, flags: number): void =>
      this.set64(GDT + selector, 0xffffn | (BigInt(access) << 40n) | (BigInt((flags << 4) | 0xf) << 48n));
    descriptor(0x08, 0x9b, 10);
    descriptor(0x10, 0x93, 12);
    descriptor(0x20, 0xfb, 12);
    descriptor(0x28, 0xf3, 12);
    descriptor(0x30, 0xfb, 10);
    for (let vector = 0; vector < 256; vector++) {
      const offset = KERNEL + BigInt(HANDLERS + vector * 16);
      this.set64(IDT + vector * 16, (offset & 0xffffn) | (0x08n << 16n) | ((vector === 0x80 ? 0xeen : 0x8en) << 40n) | (((offset >> 16n) & 0xffffn) << 48n));
      this.set64(IDT + vector * 16 + 8, offset >> 32n);
      this.u8[Mem.RAM + HANDLERS + vector * 16] = 0xf4; // HLT
    }
    this.u8[Mem.RAM + SYSCALL_AT] = 0xf4;
    this.set64(TSS + 4, KERNEL + BigInt(KERNEL_STACK));
    const { vcpu } = this;
    vcpu.set64(Cpu.CR0, 0x8005_0033n);
    vcpu.set64(Cpu.CR4, 0x6a0n);
    vcpu.set64(Cpu.EFER, 0xd01n);
    vcpu.set64(Cpu.CR3, BigInt(PML4));
    vcpu.set64(Cpu.GDTR_BASE, KERNEL + BigInt(GDT));
    vcpu.set32(Cpu.GDTR_LIMIT, 0x7f);
    vcpu.set64(Cpu.IDTR_BASE, KERNEL + BigInt(IDT));
    vcpu.set32(Cpu.IDTR_LIMIT, 0xfff);
    vcpu.set64(Cpu.LSTAR, KERNEL + BigInt(SYSCALL_AT));
    vcpu.set64(Cpu.STAR, 0x0020_0008_0000_0000n);
    vcpu.set64(Cpu.SFMASK, 0x200n);
    vcpu.set32(Cpu.TR + Seg.SELECTOR, 0x40);
    vcpu.set32(Cpu.TR + Seg.ATTR, 0x8b);
    vcpu.set64(Cpu.TR + Seg.BASE, KERNEL + BigInt(TSS));
    vcpu.set32(Cpu.TR + Seg.LIMIT, 0x67);
    vcpu.modeChanged();
  }

  private segment(register: number, selector: number, attr: number): void {
    this.vcpu.set32(register + Seg.SELECTOR, selector);
    this.vcpu.set32(register + Seg.ATTR, attr);
    this.vcpu.set64(register + Seg.BASE, 0n);
    this.vcpu.set32(register + Seg.LIMIT, 0xffff_ffff);
  }

  private load(elf: Uint8Array, args: readonly string[]): void {
    const { view, u8, bits } = this;
    const file = new DataView(elf.buffer, elf.byteOffset, elf.length);
    const wide = bits === 64;
    const word = (at: number): number => (wide ? Number(file.getBigUint64(at, true)) : file.getUint32(at, true));
    const entry = word(24);
    const headers = word(wide ? 32 : 28);
    const size = file.getUint16(wide ? 54 : 42, true);
    const count = file.getUint16(wide ? 56 : 44, true);
    for (let n = 0; n < count; n++) {
      const at = headers + n * size;
      if (file.getUint32(at, true) !== 1) continue;
      const [offset, address, length] = wide ? [word(at + 8), word(at + 16), word(at + 32)] : [word(at + 4), word(at + 8), word(at + 16)];
      if (address + length > HEAP) throw new Error('the program is too large');
      u8.set(elf.subarray(offset, offset + length), Mem.RAM + address);
    }
    const step = bits / 8;
    let top = STACK_TOP;
    const pointers = args.map((text) => {
      top -= text.length + 1;
      u8.set(new TextEncoder().encode(`${text}\0`), Mem.RAM + top);
      return top;
    });
    const words = [args.length, ...pointers, 0, 0, 0, 0];
    top = (top - words.length * step) & ~0xff;
    words.forEach((value, n) => (wide ? view.setBigUint64(Mem.RAM + top + n * 8, BigInt(value), true) : view.setUint32(Mem.RAM + top + n * 4, value, true)));
    const { vcpu } = this;
    for (let n = 0; n < 16; n++) vcpu.set64(Cpu.GPR + n * 8, 0n);
    vcpu.set64(Cpu.RSP, BigInt(top));
    vcpu.set32(Cpu.FCW, 0x37f);
    vcpu.set32(Cpu.FTW, 0);
    this.toUser(BigInt(entry), 0x202);
  }

  protected toUser(rip: bigint, flags: number): void {
    const { vcpu } = this;
    this.segment(Cpu.CS, this.bits === 64 ? 0x33 : 0x23, this.bits === 64 ? 0xa0fb : 0xc0fb);
    for (const register of [Cpu.SS, Cpu.DS, Cpu.ES]) this.segment(register, 0x2b, 0xc0f3);
    vcpu.set64(Cpu.RIP, rip);
    vcpu.set32(Cpu.CPL, 3);
    vcpu.set32(Cpu.HALTED, 0);
    vcpu.core.set_rflags(vcpu.base, flags);
    vcpu.core.update_mode(vcpu.base);
  }

  /**
   * Run for about so many instructions, or to the end.
   * @returns false when it has ended
   */
  run(instructions: number): boolean {
    const { vcpu } = this;
    const end = vcpu.icount + instructions;
    while (this.status === null && vcpu.icount < end) {
      const reason = vcpu.run(end - vcpu.icount);
      if (reason === Exit.SHUTDOWN) throw new Error('triple fault');
      if (reason === Exit.HALT) this.stopped();
    }
    return this.status === null;
  }

  /** The vCPU halted in one of the "kernel's" entries. */
  private stopped(): void {
    const { vcpu, view } = this;
    const at = vcpu.get64(Cpu.RIP) - 1n - KERNEL;
    if (at === BigInt(SYSCALL_AT)) {
      this.systemCall([Cpu.RDI, Cpu.RSI, Cpu.RDX]);
      return this.toUser(vcpu.get64(Cpu.RCX), Number(vcpu.get64(Cpu.GPR + 11 * 8)));
    }
    const vector = Number(at - BigInt(HANDLERS)) >> 4;
    const frame = Mem.RAM + Number(vcpu.get64(Cpu.RSP) - KERNEL);
    if (vector !== 0x80) {
      const hasError = vector === 8 || (vector >= 10 && vector <= 14) || vector === 17;
      return this.exception(vector, frame + (hasError ? 8 : 0));
    }
    this.systemCall([Cpu.RBX, Cpu.RCX, Cpu.RDX]);
    const rip = view.getBigUint64(frame, true);
    const flags = Number(view.getBigUint64(frame + 16, true));
    vcpu.set64(Cpu.RSP, view.getBigUint64(frame + 24, true));
    this.toUser(rip, flags);
  }

  /** @param frame address of what the CPU pushed, behind the error code */
  protected exception(vector: number, frame: number): void {
    throw new Error(`exception ${vector} at ${this.view.getBigUint64(frame, true).toString(16)}, CR2 ${this.vcpu.get64(Cpu.CR2).toString(16)}`);
  }

  protected systemCall(registers: readonly number[]): void {
    const { vcpu, view } = this;
    const [a, b, c] = registers.map((register) => Number(vcpu.get64(register)));
    const number = Number(vcpu.get64(Cpu.RAX));
    const name = SYSTEM_CALLS[this.bits][number];
    let result = 0;
    switch (name) {
      case 'write':
        this.output += new TextDecoder().decode(this.u8.slice(Mem.RAM + b, Mem.RAM + b + c));
        result = c;
        break;
      case 'mmap':
        result = this.brk;
        this.brk += (b + PAGE - 1) & ~(PAGE - 1);
        break;
      case 'exit':
        this.status = a;
        break;
      case 'clock_gettime': {
        // Time that only ever goes on, so that a run repeats exactly.
        this.nanoseconds += 1000;
        if (this.bits === 64) {
          view.setBigUint64(Mem.RAM + b, 0n, true);
          view.setBigUint64(Mem.RAM + b + 8, BigInt(this.nanoseconds), true);
        } else {
          view.setUint32(Mem.RAM + b, 0, true);
          view.setUint32(Mem.RAM + b + 4, this.nanoseconds, true);
        }
        break;
      }
      case 'getpid':
        result = 2;
        break;
      case 'ok':
        break;
      default:
        throw new Error(`system call ${number}`);
    }
    vcpu.set64(Cpu.RAX, BigInt(result));
  }
}
