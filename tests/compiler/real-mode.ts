// A program in real mode on a vCPU alone: segments of 64 KiB in the first mebibyte. Vectors of the interrupt table lead to a HLT each;
// TypeScript does what a handler would. Behind the program the code segment is full of HLT.

import { Cpu, Exit, Mem, Seg } from '../../src/core/layout.ts';
import type { CompilerOptions } from '../../src/engine/compile/compiler.ts';
import type { Vcpu } from '../../src/engine/vcpu.ts';
import { disassemble } from '../../src/x86/disassemble.ts';
import { loneVcpu } from './process.ts';

/** One mebibyte, and what segment FFFFh reaches above it, bytes. */
export const REAL_MODE_RAM = 0x11_0000;
/** The program's segments; code may be called by another one as well. */
export const SEGMENTS = { cs: 0x1000, ds: 0x2008, es: 0x2801, ss: 0x3010 } as const;
const STACK_TOP = 0x8000;
const HANDLERS = 0xf000;
/** Vectors after which the same instruction does not come again: INT3, INTO, INT n. */
const isTrap = (vector: number): boolean => vector === 3 || vector === 4 || vector >= 0x20;

export class RealMode {
  readonly vcpu: Vcpu;
  readonly u8: Uint8Array;
  readonly view: DataView;
  /** Exceptions and software interrupts. */
  interrupts = 0;

  /** @param code what lies at the beginning of the code segment, where it is entered */
  constructor(code: ArrayLike<number>, compile: CompilerOptions | null) {
    this.vcpu = loneVcpu(REAL_MODE_RAM, compile, true);
    const { vcpu } = this;
    this.u8 = new Uint8Array(vcpu.memory.buffer);
    this.view = new DataView(vcpu.memory.buffer);
    vcpu.reset();
    this.u8.fill(0xf4, Mem.RAM + SEGMENTS.cs * 16, Mem.RAM + SEGMENTS.cs * 16 + 0x1_0000);
    this.u8.set(code, Mem.RAM + SEGMENTS.cs * 16);
    for (let vector = 0; vector < 256; vector++) {
      this.view.setUint32(Mem.RAM + vector * 4, (HANDLERS << 16) | (vector * 16), true);
      this.u8[Mem.RAM + HANDLERS * 16 + vector * 16] = 0xf4; // HLT
    }
    for (const [register, selector] of [[Cpu.DS, SEGMENTS.ds], [Cpu.ES, SEGMENTS.es], [Cpu.SS, SEGMENTS.ss], [Cpu.FS, SEGMENTS.ds], [Cpu.GS, SEGMENTS.es]] as const) this.segment(register, selector);
    vcpu.set64(Cpu.RSP, BigInt(STACK_TOP));
    vcpu.set32(Cpu.FCW, 0x37f);
    vcpu.set32(Cpu.FTW, 0);
    this.goTo(SEGMENTS.cs, 0, 2);
  }

  private segment(register: number, selector: number): void {
    this.vcpu.set32(register + Seg.SELECTOR, selector);
    this.vcpu.set64(register + Seg.BASE, BigInt(selector * 16));
  }

  private goTo(cs: number, ip: number, flags: number): void {
    const { vcpu } = this;
    this.segment(Cpu.CS, cs);
    vcpu.set64(Cpu.RIP, BigInt(ip));
    vcpu.set32(Cpu.HALTED, 0);
    vcpu.core.set_rflags(vcpu.base, flags);
    vcpu.core.update_mode(vcpu.base);
  }

  /** Run for about so many instructions. */
  run(instructions: number): void {
    const { vcpu } = this;
    const end = vcpu.icount + instructions;
    while (vcpu.icount < end) {
      const reason = vcpu.run(end - vcpu.icount);
      // The stack pointer leaves no room for an exception's frame.
      if (reason === Exit.SHUTDOWN) this.restart();
      if (reason === Exit.HALT) this.halted();
    }
  }

  /** From the beginning, with the stack that it began with. */
  restart(): void {
    const { vcpu } = this;
    this.segment(Cpu.SS, SEGMENTS.ss);
    vcpu.set64(Cpu.RSP, BigInt(STACK_TOP));
    this.goTo(SEGMENTS.cs, 0, 2);
  }

  /** In the handler of a vector, or at one of the HLTs around the program, which has lost its way. */
  private halted(): void {
    const { vcpu, view } = this;
    const at = vcpu.get32(Cpu.RIP) - 1;
    if (vcpu.get32(Cpu.CS + Seg.SELECTOR) !== HANDLERS) return this.restart();
    this.interrupts++;
    const sp = vcpu.get64(Cpu.RSP);
    const pop = (n: number): number => view.getUint16(Mem.RAM + Number(vcpu.get64(Cpu.SS + Seg.BASE)) + ((Number(sp) + n) & 0xffff), true);
    const [ip, cs, flags] = [pop(0), pop(2), pop(4)];
    vcpu.set64(Cpu.RSP, (sp & 0xffff_0000n) | ((sp + 6n) & 0xffffn));
    // What is not masked any more would fault at each instruction that follows.
    vcpu.set32(Cpu.FCW, vcpu.get32(Cpu.FCW) | 0x3f);
    const start = Mem.RAM + cs * 16 + ip;
    const length = isTrap(at >> 4) ? 0 : Math.max(1, disassemble(this.u8.slice(start, start + 15), 0, 16, BigInt(ip)).length);
    this.goTo(cs, (ip + length) & 0xffff, flags & ~0x100);
  }
}
