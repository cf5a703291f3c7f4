// Where a region's exits lead: each is a branch out of the function's body, with its description as the value, to one of the blocks that stand
// around the body. Behind such a block's end is a stub, which writes back what is newer in locals than in memory at its exits.

import type { Variable } from '../../wasm/function.ts';
import { typeCode, type Writer } from '../../wasm/module.ts';
import type { FlagsForm } from './flags.ts';

/** What is newer in locals besides the general registers. */
interface Rest {
  readonly flags: FlagsForm;
  /** The x87's state may be: FloatsState.isLate. */
  readonly floats: boolean;
}

interface Stub extends Rest {
  /** Registers that it writes back. */
  readonly dirty: number;
}

/** Code that stubs consist of. */
export interface StubCode {
  spill(registers: number): void;
  /** Flags of a form to memory, where they are not; the description tells their kind. */
  leaveFlags(form: FlagsForm): void;
  /** The x87's state to memory. */
  writeFloats(): void;
}

const isSame = (a: Rest, b: Rest): boolean => a.flags === b.flags && a.floats === b.floats;

const bitCount = (mask: number): number => {
  let count = 0;
  for (let rest = mask; rest !== 0; rest &= rest - 1) count++;
  return count;
};

export class Stubs {
  private readonly stubs: Stub[] = [];
  /** Branches to stubs: where the two bytes of their distance are, and how many blocks of the body they stand in. */
  private readonly leaves: { readonly at: number; readonly depth: number; readonly stub: number }[] = [];

  /** @param desc takes the description that an exit's branch brings */
  constructor(
    private readonly w: Writer,
    private readonly desc: Variable,
  ) {}

  /** Number of the stub that writes back this. */
  private stub(wanted: Stub): number {
    const known = this.stubs.findIndex((stub) => stub.dirty === wanted.dirty && isSame(stub, wanted));
    if (known >= 0) return known;
    this.stubs.push(wanted);
    return this.stubs.length - 1;
  }

  /** The operand of a branch out of the body: how far outside its stub's block is, finish() tells. @param depth blocks of the body about it */
  leave(depth: number, dirty: number, flags: FlagsForm, floats: boolean): void {
    this.leaves.push({ at: this.w.length, depth, stub: this.stub({ dirty, flags, floats }) });
    this.w.byte(0x80);
    this.w.byte(0x00);
  }

  /**
   * Behind the body: the blocks' ends with the stubs. A stub writes back what the next stub outside does not and goes on there; the flags follow, and the x87's state.
   * What all have in common is to follow this, with the description in its local.
   * @returns how many blocks there are, for inBlocks()
   */
  finish(code: StubCode): number {
    const stubs: (Stub & { n: number })[] = [];
    this.stubs.forEach(({ dirty, flags, floats }, n) => stubs.push({ dirty, flags, floats, n }));
    stubs.sort((a, b) => bitCount(b.dirty) - bitCount(a.dirty));
    const rests: Rest[] = [];
    for (const stub of stubs) if (!rests.some((rest) => isSame(rest, stub))) rests.push(stub);
    const placeOf = new Map(stubs.map((stub, place) => [stub.n, place]));
    for (const { at, depth, stub } of this.leaves) {
      const out = depth + placeOf.get(stub)!;
      this.w.patch(at, (out & 0x7f) | 0x80);
      this.w.patch(at + 1, out >> 7);
    }
    let place = 0;
    /** The block at a place, counted from the innermost, ends; its code, and the place of the block that it goes on to. */
    const ending = (body: (() => void) | null, next: number): void => {
      this.w.byte(0x0b);
      if (body) {
        this.takeDescription();
        body();
        this.desc.get().emit(this.w);
      }
      place++;
      if (next === place) return;
      this.w.byte(0x0c);
      this.w.u32(next - place);
    };
    const end = stubs.length + rests.length;
    const last = rests.some(({ floats }) => floats) ? end + 1 : end;
    stubs.forEach((stub, n) => {
      const { dirty } = stub;
      const next = stubs.findIndex((other, m) => m > n && isSame(other, stub) && (other.dirty & ~dirty) === 0);
      const own = next < 0 ? dirty : dirty & ~stubs[next].dirty;
      ending(own === 0 ? null : () => code.spill(own), next < 0 ? stubs.length + rests.findIndex((rest) => isSame(rest, stub)) : next);
    });
    for (const { flags, floats } of rests) ending(flags === 'memory' ? null : () => code.leaveFlags(flags), floats ? end : last);
    if (last > end) ending(() => code.writeFloats(), last);
    this.w.byte(0x0b);
    this.takeDescription();
    return last + 1;
  }

  private takeDescription(): void {
    this.w.byte(0x21);
    this.w.u32(this.desc.index);
  }
}

/** The code of a function's body inside of so many blocks that have a description as their value. */
export function inBlocks(count: number, code: Uint8Array): Uint8Array {
  const out = new Uint8Array(2 * count + code.length);
  for (let n = 0; n < count; n++) out.set([0x02, typeCode('i64')], 2 * n);
  out.set(code, 2 * count);
  return out;
}
