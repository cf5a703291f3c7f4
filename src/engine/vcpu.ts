// One virtual CPU: its core.wasm and interpreter.wasm on the shared memory, its cache of decoded code, and the loop around them
// that takes interrupts, single steps and halts. What it asks of the machine is VcpuHost.

import { Cpu, Exit, Mem, Rec, Rflags, Vector } from '../core/layout.ts';
import { CodeCache, type CacheCore } from './cache.ts';
import { Compiler, type CompilerOptions } from './compile/compiler.ts';
import { Cpuid, type CpuidOptions } from './cpuid.ts';
import { kinds, Pseudo } from './kinds.ts';

/** What a vCPU asks of the machine it is in. */
export interface VcpuHost {
  ioRead(port: number, size: number): number;
  ioWrite(port: number, size: number, value: number): void;
  mmioRead(addressLow: number, addressHigh: number, size: number): number;
  mmioWrite(addressLow: number, addressHigh: number, size: number, value: number): void;
  /** undefined: the register does not exist. */
  readMsr(index: number): bigint | undefined;
  writeMsr(index: number, value: bigint): boolean;
  /** FERR#, with CR0.NE clear. */
  fpuError(): void;
  /** Time-stamp counter since power-on; exact for 104 days. */
  tsc(): number;
  /** The time-stamp counter comes from the instructions: it must be asked each time. */
  isTscVirtual?: boolean;
  /** Vector of the interrupt to take now, or -1. */
  acknowledgeInterrupt(): number;
}

/** The functions of core.wasm that TypeScript calls. */
interface CoreExports extends CacheCore {
  cpu_reset(cpu: number): void;
  cpu_init(cpu: number): void;
  update_mode(cpu: number): void;
  deliver_fault(cpu: number): number;
  instruction_breakpoints(cpu: number, linear: bigint): number;
  deliver_interrupt(cpu: number, vector: number): number;
  deliver_nmi(cpu: number): number;
  translate_debug(cpu: number, linear: bigint): bigint;
  tlb_flush(cpu: number, keepGlobal: number): void;
  tlb_flush_page(cpu: number, linear: bigint): void;
  get_rflags(cpu: number): number;
  set_rflags(cpu: number, value: number): void;
}

export interface VcpuModules {
  core: WebAssembly.Module;
  interpreter: WebAssembly.Module;
}

/** Observers for -d; null when not asked for. */
export interface VcpuTrace {
  /** An exception or interrupt is about to be delivered. */
  interrupt?(vcpu: Vcpu, vector: number, kind: 'exception' | 'interrupt' | 'nmi' | 'software', error: number | null): void;
  /** An instruction is about to be executed; makes the vCPU go instruction by instruction. */
  execute?(vcpu: Vcpu): void;
}

const DR6_BS = 1 << 14;
/** See Cpu.TSC_SPAN: some microseconds. */
const TSC_SPAN = 2048;
/** Enough for V8 to begin. */
const WARM_UP_RUNS = 300;
/** Of a vCPU's area: what a run may write. */
const WARM_UP_BYTES = 0x1000;

export class Vcpu {
  /** Address of the vCPU area. */
  readonly base: number;
  readonly cache: CodeCache;
  readonly compiler: Compiler;
  readonly cpuid: Cpuid;
  readonly core: CoreExports;
  trace: VcpuTrace = {};
  /** Port and MMIO accesses so far. */
  deviceExits = 0;
  /** Budget with which the interpreter was entered, while it runs. */
  private entered = 0;
  private readonly interpreter: (cpu: number, record: number) => number;
  private readonly u32: Uint32Array;
  private readonly i32: Int32Array;
  private readonly u64: BigUint64Array;

  constructor(
    readonly memory: WebAssembly.Memory,
    modules: VcpuModules,
    private readonly host: VcpuHost,
    readonly index: number,
    cpuid: CpuidOptions,
    /** null: everything is interpreted. */
    compile: CompilerOptions | null = null,
  ) {
    const { buffer } = memory;
    this.base = Mem.CPU + index * Mem.CPU_SIZE;
    this.u32 = new Uint32Array(buffer);
    this.i32 = new Int32Array(buffer);
    this.u64 = new BigUint64Array(buffer);
    this.cpuid = new Cpuid(cpuid);
    const env = {
      memory,
      abort: (_message: number, _file: number, line: number) => {
        throw new Error(`core.wasm stopped at line ${line}`);
      },
    };
    const scratch = this.base + Cpu.SCRATCH;
    const core = new WebAssembly.Instance(modules.core, {
      env,
      host: {
        io_read: (_cpu: number, port: number, size: number) => (this.leaveForDevice(), host.ioRead(port, size)),
        io_write: (_cpu: number, port: number, size: number, value: number) => (this.leaveForDevice(), host.ioWrite(port, size, value >>> 0)),
        mmio_read: (_cpu: number, low: number, high: number, size: number) => (this.leaveForDevice(), host.mmioRead(low >>> 0, high >>> 0, size)),
        mmio_write: (_cpu: number, low: number, high: number, size: number, value: number) => (this.leaveForDevice(), host.mmioWrite(low >>> 0, high >>> 0, size, value >>> 0)),
        rdmsr: (_cpu: number, register: number): number => {
          const value = host.readMsr(register >>> 0);
          if (value === undefined) return 0;
          this.u64[scratch >> 3] = value;
          return 1;
        },
        wrmsr: (_cpu: number, register: number, low: number, high: number): number =>
          host.writeMsr(register >>> 0, (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)) ? 1 : 0,
        cpuid: (_cpu: number, leaf: number, subleaf: number) => {
          const words = this.cpuid.query(leaf, subleaf);
          for (let n = 0; n < 4; n++) this.u32[(scratch >> 2) + n] = words[n];
        },
        tsc: () => {
          const tsc = host.tsc();
          this.u32[scratch >> 2] = tsc;
          this.u32[(scratch >> 2) + 1] = tsc / 0x1_0000_0000;
        },
        trace_software_interrupt: (_cpu: number, vector: number) => this.trace.interrupt?.(this, vector, 'software', null),
        invalidate_code: (_cpu: number, page: number, first: number, last: number) => this.cache.invalidateChunks(page >>> 0, first, last),
      },
    });
    this.core = core.exports as unknown as CoreExports;
    this.cache = new CodeCache(buffer, this.core, [this.base]);
    this.compiler = new Compiler(memory, this.base, this.cache, compile);
    const interpreter = new WebAssembly.Instance(modules.interpreter, {
      env: { memory },
      core: core.exports,
      host: {
        lookup: (cpu: number) => this.cache.lookup(cpu),
        hot: (_cpu: number, record: number) => this.compiler.hot(record),
        regions: this.compiler.table,
      },
    });
    this.compiler.connect(interpreter.exports, core.exports);
    const exports = interpreter.exports as unknown as { run(cpu: number, record: number): number; fingerprint(): number };
    if (exports.fingerprint() !== kinds.fingerprint) {
      throw new Error('interpreter.wasm and this program were not built from the same sources: run node scripts/setup.mjs --build');
    }
    this.interpreter = exports.run;
    this.warmUp();
  }

  /**
   * V8 optimises the interpreter's dispatch when it has been executed for a while, which takes 0.15 s on another thread. So it is entered and left now,
   * for nothing, and optimised while the guest's files are read.
   */
  private warmUp(): void {
    const before = this.u32.slice(this.base >> 2, (this.base + WARM_UP_BYTES) >> 2);
    const record = this.base + Cpu.STEP_RECORDS;
    this.u32[(record + Rec.KIND) >> 2] = Pseudo.STEP_END;
    for (let n = 0; n < WARM_UP_RUNS; n++) this.interpreter(this.base, record);
    this.u32.set(before, this.base >> 2);
  }

  // ---- state

  get32(field: number): number {
    return this.u32[(this.base + field) >> 2];
  }
  set32(field: number, value: number): void {
    this.u32[(this.base + field) >> 2] = value;
  }
  get64(field: number): bigint {
    return this.u64[(this.base + field) >> 3];
  }
  set64(field: number, value: bigint): void {
    this.u64[(this.base + field) >> 3] = value;
  }

  get halted(): boolean {
    return this.get32(Cpu.HALTED) !== 0;
  }

  /** RFLAGS with the arithmetic flags worked out. */
  get rflags(): number {
    return this.core.get_rflags(this.base) >>> 0;
  }

  /** Guest instructions since reset. */
  get icount(): number {
    // Not as a BigInt: an idle guest's time goes into what each of its ticks costs.
    const at = (this.base + Cpu.ICOUNT) >> 2;
    return this.u32[at] + this.u32[at + 1] * 0x1_0000_0000;
  }

  private set icount(value: number) {
    const at = (this.base + Cpu.ICOUNT) >> 2;
    this.u32[at] = value;
    this.u32[at + 1] = value / 0x1_0000_0000;
  }

  /** The same, inside a call from the interpreter: up to the instruction being executed. */
  get currentIcount(): number {
    if (this.entered === 0) return this.icount;
    return this.icount + this.entered - this.budget;
  }

  /** INIT: registers as after reset, memory and device state as they are. */
  init(): void {
    this.core.cpu_init(this.base);
    this.requestExit();
  }

  /** Segments, control registers or EFER were written from outside. */
  modeChanged(): void {
    this.core.tlb_flush(this.base, 0);
    this.core.update_mode(this.base);
  }

  /** The physical page map was changed. */
  memoryMapChanged(): void {
    this.core.tlb_flush(this.base, 0);
    this.requestExit();
  }

  /** Let every exception come to TypeScript before it is delivered. */
  setTrace(on: boolean): void {
    this.set32(Cpu.TRACE, on ? 1 : 0);
  }

  /** Power-on state. */
  reset(): void {
    this.cache.flush();
    this.set32(Cpu.INDEX, this.index);
    this.set32(Cpu.VENDOR_INTEL, 0);
    this.set32(Cpu.TSC_SPAN, this.host.isTscVirtual ? 0 : TSC_SPAN);
    this.setA20(true);
    this.set64(Cpu.PHYS_MASK, this.cpuid.physicalMask);
    this.set64(Cpu.EFER_VALID, this.cpuid.eferValid);
    this.set64(Cpu.CR4_VALID, this.cpuid.cr4Valid);
    this.core.cpu_reset(this.base);
  }

  /** From any thread or device: let run() come back soon. */
  requestExit(): void {
    Atomics.store(this.i32, (this.base + Cpu.EXIT_REQUEST) >> 2, 1);
  }

  setInterruptPending(level: boolean): void {
    const at = (this.base + Cpu.INTERRUPT_PENDING) >> 2;
    if (level === (this.i32[at] !== 0)) return;
    Atomics.store(this.i32, at, level ? 1 : 0);
    // Between two runs nothing has to be left: run() looks for an interrupt first.
    if (level && this.entered !== 0) this.requestExit();
  }

  /** The A20 gate. Translations made under the other state are dropped. */
  setA20(enabled: boolean): void {
    const mask = enabled ? ~0n : ~(1n << 20n);
    if (this.get64(Cpu.A20_MASK) === BigInt.asUintN(64, mask)) return;
    this.set64(Cpu.A20_MASK, mask);
    this.core.tlb_flush(this.base, 0);
    this.requestExit();
  }

  nmi(): void {
    this.set32(Cpu.NMI_PENDING, 1);
    this.requestExit();
  }

  /** May an external interrupt be taken at this instruction boundary? */
  private get interruptible(): boolean {
    return (this.get32(Cpu.RFLAGS) & Rflags.IF) !== 0 && this.get32(Cpu.INTERRUPT_SHADOW) === 0;
  }

  /** True if a halted CPU has something to wake for. */
  get wakes(): boolean {
    if (this.get32(Cpu.NMI_PENDING) !== 0 && this.get32(Cpu.NMI_BLOCKED) === 0) return true;
    return this.get32(Cpu.INTERRUPT_PENDING) !== 0 && (this.get32(Cpu.RFLAGS) & Rflags.IF) !== 0;
  }

  /**
   * Execute about `instructions` guest instructions: more by the rest of the last block, fewer if the CPU halts, shuts down,
   * or somebody requested an exit. Cpu.ICOUNT counts them.
   */
  run(instructions: number): Exit {
    let left = instructions;
    const count = (executed: number): void => {
      this.icount += executed;
      left -= executed;
    };
    for (;;) {
      if (this.get32(Cpu.NMI_PENDING) !== 0 && this.get32(Cpu.NMI_BLOCKED) === 0 && this.get32(Cpu.INTERRUPT_SHADOW) === 0) {
        this.trace.interrupt?.(this, Vector.NMI, 'nmi', null);
        this.set32(Cpu.HALTED, 0);
        if (this.core.deliver_nmi(this.base) !== 0) return Exit.SHUTDOWN;
      } else if (this.get32(Cpu.INTERRUPT_PENDING) !== 0 && this.interruptible) {
        const vector = this.host.acknowledgeInterrupt();
        if (vector >= 0) {
          this.trace.interrupt?.(this, vector, 'interrupt', null);
          if (this.core.deliver_interrupt(this.base, vector) !== 0) return Exit.SHUTDOWN;
        }
      }
      if (this.halted) {
        this.set32(Cpu.INTERRUPT_SHADOW, 0);
        if (!this.wakes) return Exit.HALT;
        continue;
      }
      if (left <= 0) return Exit.BUDGET;
      const single = this.get32(Cpu.INTERRUPT_SHADOW) !== 0 || (this.get32(Cpu.RFLAGS) & Rflags.TF) !== 0 || this.trace.execute !== undefined || this.get32(Cpu.DEBUG_ARMED) !== 0;
      const before = single ? 1 : left;
      let reason = single ? this.step() : this.go(left);
      count(before - this.budget);
      if (reason === Exit.FETCH_FAULT) {
        this.traceFault();
        if (this.core.deliver_fault(this.base) !== 0) return Exit.SHUTDOWN;
        count(1);
        reason = Exit.BUDGET;
      }
      if (reason === Exit.SHUTDOWN) return reason;
      if (this.get32(Cpu.FERR) !== 0) {
        this.set32(Cpu.FERR, 0);
        this.host.fpuError();
      }
      if (this.get32(Cpu.EXIT_REQUEST) !== 0) {
        Atomics.store(this.i32, (this.base + Cpu.EXIT_REQUEST) >> 2, 0);
        // Interrupts are looked at first; whatever else was the reason is the caller's business.
        if (!(this.get32(Cpu.INTERRUPT_PENDING) !== 0 && this.interruptible) && reason !== Exit.HALT) return Exit.BUDGET;
      }
    }
  }

  /** For the next RDTSC the clock is asked. */
  private forgetTime(): void {
    this.i32[(this.base + Cpu.TSC_BUDGET + 4) >> 2] = -1;
  }

  private leaveForDevice(): void {
    this.deviceExits++;
    this.forgetTime();
  }

  private enter(record: number, budget: number): Exit {
    this.entered = budget;
    this.forgetTime();
    const reason = this.interpreter(this.base, record);
    this.entered = 0;
    return reason;
  }

  /** Cpu.BUDGET: no slice has more than 31 bits of instructions. */
  private get budget(): number {
    return this.i32[(this.base + Cpu.BUDGET) >> 2];
  }

  private set budget(n: number) {
    const at = (this.base + Cpu.BUDGET) >> 2;
    this.i32[at] = n;
    this.i32[at + 1] = n >> 31;
  }

  private go(budget: number): Exit {
    this.compiler.flush();
    this.budget = budget;
    const record = this.cache.lookup(this.base);
    if (record === 0) return Exit.FETCH_FAULT;
    if (this.compiler.eager) this.compiler.hot(record);
    return this.enter(record, budget);
  }

  /** One instruction, and the debug exceptions that RFLAGS.TF and the breakpoints of DR7 ask for: SDM volume 3, section 17.3.1. */
  private step(): Exit {
    const armed = this.get32(Cpu.DEBUG_ARMED) !== 0;
    if (armed) {
      // A fault, before the instruction; not behind MOV SS, and not with RF, with which the handler came back.
      const held = this.get32(Cpu.INTERRUPT_SHADOW) === 2 || (this.get32(Cpu.RFLAGS) & Rflags.RF) !== 0;
      const bits = held ? 0 : this.core.instruction_breakpoints(this.base, this.cache.linear(this.base));
      if (bits !== 0) {
        this.budget = 1;
        return this.debugException(bits);
      }
      this.set32(Cpu.RFLAGS, this.get32(Cpu.RFLAGS) & ~Rflags.RF);
    }
    this.trace.execute?.(this);
    const rip = this.get64(Cpu.RIP);
    const trap = (this.get32(Cpu.RFLAGS) & Rflags.TF) !== 0;
    this.budget = 1;
    this.set32(Cpu.INTERRUPT_SHADOW, 0);
    const exceptions = this.get32(Cpu.STAT_EXCEPTIONS);
    const record = this.cache.step(this.base);
    if (record === 0) return Exit.FETCH_FAULT;
    const software = this.cache.steppedInterrupt;
    const reason = this.enter(record, 1);
    if (reason === Exit.SHUTDOWN || reason === Exit.FETCH_FAULT) return reason;
    const faulted = this.get32(Cpu.STAT_EXCEPTIONS) !== exceptions;
    if (faulted) this.set32(Cpu.DEBUG_HITS, 0);
    // Between two iterations of a string instruction, which has met its breakpoint already.
    else if (armed && reason !== Exit.STEP && this.get64(Cpu.RIP) === rip) this.set32(Cpu.RFLAGS, this.get32(Cpu.RFLAGS) | Rflags.RF);
    // An instruction that faulted or entered an interrupt handler leaves no trap behind; nor does MOV SS.
    if (!faulted && this.get32(Cpu.INTERRUPT_SHADOW) !== 2) {
      const bits = this.get32(Cpu.DEBUG_HITS) | (trap && !software ? DR6_BS : 0);
      if (bits !== 0) return this.debugException(bits);
    }
    return reason === Exit.STEP ? Exit.BUDGET : reason;
  }

  /** #DB for these bits of DR6. */
  private debugException(bits: number): Exit {
    this.set32(Cpu.DEBUG_HITS, 0);
    this.set64(Cpu.DR + 6 * 8, this.get64(Cpu.DR + 6 * 8) | BigInt(bits));
    this.set32(Cpu.FAULT, Vector.DB + 1);
    this.set32(Cpu.FAULT_HAS_ERROR, 0);
    this.set32(Cpu.HALTED, 0);
    this.traceFault();
    return this.core.deliver_fault(this.base) !== 0 ? Exit.SHUTDOWN : Exit.BUDGET;
  }

  private traceFault(): void {
    const vector = this.get32(Cpu.FAULT) - 1;
    this.trace.interrupt?.(this, vector, 'exception', this.get32(Cpu.FAULT_HAS_ERROR) ? this.get32(Cpu.FAULT_ERROR) : null);
  }

  /** Guest memory at a linear address as a debugger sees it, or null where nothing is mapped. */
  readLinear(address: bigint, length: number): Uint8Array | null {
    const out = new Uint8Array(length);
    const u8 = new Uint8Array(this.memory.buffer);
    for (let n = 0; n < length; ) {
      const physical = this.core.translate_debug(this.base, BigInt.asUintN(64, address + BigInt(n)));
      if (BigInt.asUintN(64, physical) > 0xffff_ffffn) return null;
      const at = Number(BigInt.asUintN(64, physical));
      const entry = this.u32[(Mem.PMAP >> 2) + Math.floor(at / 4096)];
      if (!(entry & 1)) return null;
      const chunk = Math.min(length - n, 4096 - (at & 0xfff));
      out.set(u8.subarray(((entry & ~0xfff) >>> 0) + (at & 0xfff), ((entry & ~0xfff) >>> 0) + (at & 0xfff) + chunk), n);
      n += chunk;
    }
    return out;
  }
}
