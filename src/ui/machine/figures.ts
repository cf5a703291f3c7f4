// The live figures of the bar, from the counters that the machine worker keeps in shared memory.

import { Control } from '../../machine/protocol.ts';

export interface Figures {
  /** Guest instructions a second. */
  instructions: number;
  /** Share of one host CPU in which guest code ran, and in which the machine worker worked at all. */
  guest: number;
  host: number;
}

interface Sample { at: number; icount: bigint; busy: bigint; guest: bigint }

/** Time between two samples, ms. A figure is over the last two intervals: one alone jumps. */
export const SAMPLE_MS = 500;

export class FigureSampler {
  private readonly words: BigUint64Array;
  private samples: Sample[] = [];

  constructor(buffer: SharedArrayBuffer, private readonly now: () => number = () => performance.now()) {
    this.words = new BigUint64Array(buffer, Control.ICOUNT, 4);
  }

  /** Take a sample; the figures since the one before the last. */
  sample(): Figures {
    const word = (offset: number) => Atomics.load(this.words, (offset - Control.ICOUNT) / 8);
    const last: Sample = { at: this.now(), icount: word(Control.ICOUNT), busy: word(Control.BUSY_NS), guest: word(Control.GUEST_NS) };
    // A reset starts the counts again.
    if (this.samples.some((sample) => sample.icount > last.icount || sample.busy > last.busy)) this.samples = [];
    this.samples.push(last);
    if (this.samples.length > 3) this.samples.shift();
    const first = this.samples[0];
    const ms = last.at - first.at;
    if (ms <= 0) return { instructions: 0, guest: 0, host: 0 };
    const share = (ns: bigint) => Math.min(1, Number(ns) / (ms * 1e6));
    return {
      instructions: Number(last.icount - first.icount) * 1000 / ms,
      guest: share(last.guest - first.guest),
      host: share(last.busy - first.busy),
    };
  }
}
