// Single instructions or a few in a row, run as often as one likes: each code lies on a page of its own.

import { Cpu, Mem, Rflags } from '../../src/core/layout.ts';
import type { CompilerOptions } from '../../src/engine/compile/compiler.ts';
import { program } from './emitted.ts';
import { Process } from './process.ts';

const CODE = 0x40_1000;

export class Instructions extends Process {
  private readonly places = new Map<string, number>();
  private vector: number | null = null;
  /** The stack pointer that the last exception has saved. */
  stackPointer = 0n;

  constructor(compile: CompilerOptions | null, bits: 32 | 64 = 64) {
    super(program(bits, [0x90]), ['instructions'], compile);
    // So that entries and exits are counted.
    if (compile) this.vcpu.compiler.listener = { made: () => {}, dropped: () => {} };
  }

  /** How often compiled code was entered, and left for what it does not do itself. */
  get counts(): { entries: number; left: number } {
    const { entries, exits } = this.vcpu.compiler.counts;
    return { entries, left: exits.rare + exits.memory + exits.span + exits.number };
  }

  private placeOf(code: readonly number[], offset: number): number {
    const key = `${offset}:${code.join()}`;
    let at = this.places.get(key);
    if (at === undefined) {
      this.places.set(key, (at = CODE + 0x1000 * (this.places.size + 1) + offset));
      // jmp to itself
      this.u8.set([...code, 0xeb, 0xfe], Mem.RAM + at);
    }
    return at;
  }

  /**
   * @param count instructions in the code
   * @param flags arithmetic flags: all of them, if not given
   * @param offset in the code's page: its low bits are what compiled code doubts (Doubt)
   * @returns the exception that it raised
   */
  execute(code: readonly number[], count = 1, { flags = Rflags.ARITHMETIC as number, offset = 0 } = {}): number | null {
    const { vcpu } = this;
    const at = this.placeOf(code, offset);
    this.vector = null;
    this.toUser(BigInt(at), 0x202 | flags);
    this.run(count);
    // It is at the handler's beginning.
    while (vcpu.get64(Cpu.RIP) !== BigInt(at + code.length) && this.vector === null) this.run(1);
    return this.vector;
  }

  protected override exception(vector: number, frame: number): void {
    this.vector = vector;
    this.stackPointer = this.view.getBigUint64(frame + 24, true);
  }
}
