// What is hot and waits to be compiled: which of it goes first, and how much of the time compiling may take.
//
// The counters of jumps (Side.COUNT) go on while a record waits, so the queue knows what was gone to most since then. Much becomes hot at
// once when a guest does something new, and most of it is not needed for long: the hottest first is what the guest gains most from.

import { Doubt, Side } from '../../core/layout.ts';
import { sideOf, type RecordBytes } from '../records.ts';
import type { RegionMode } from './mode.ts';
import type { CompileEntry } from './service.ts';

/**
 * Milliseconds of compiling that may be saved up, as what becomes hot in a guest that did nothing new for a while is compiled at once; and that
 * may be owed, as what could not wait is not to make all else wait for long.
 */
const CREDIT_MAX_MS = 300;
/**
 * What V8's threads take to optimise a guest instruction, about (docs/performance.md, System calls). It counts like the compiler's own time: that
 * is more at first, as its JavaScript is new, and less later, so that without this V8 would have ever more.
 */
const OPTIMISING_MS = 0.06;
/** Calls between two looks at the clock. */
const CALLS = 16;
/** A record whose counter has come round so often does not wait for time: the guest would lose more. */
const URGENT_ROUNDS = 2;
/** A record's counter is of 16 bits. */
const COUNTER_END = 0x1_0000;

export interface Pending extends Omit<CompileEntry, 'slot'> {
  readonly where: RegionMode;
  readonly key: number;
}

interface Waiting extends Pending {
  /** How often its counter came round to the threshold again. */
  rounds: number;
}

const isUrgent = ({ rounds }: Waiting): boolean => rounds >= URGENT_ROUNDS;

export interface QueueOptions {
  /** Jumps to a record before it is compiled. */
  threshold: number;
  /** Processors that compiling may take: above 0; Infinity: it is not asked how many. */
  share: number;
  /** Milliseconds. */
  now?: () => number;
}

export class CompileQueue {
  private readonly waiting = new Map<number, Waiting>();
  /** Chosen, and not done yet. */
  private readonly underWay = new Map<number, Waiting>();
  private credit = CREDIT_MAX_MS;
  private at: number;
  private calls = 0;
  /** So many of those that wait are not to wait for time. */
  private urgent = 0;

  constructor(
    private readonly records: RecordBytes,
    private readonly options: QueueOptions,
  ) {
    this.at = this.now();
  }

  get isEmpty(): boolean {
    return this.waiting.size === 0;
  }

  /** So much waits, or is being compiled. */
  get size(): number {
    return this.waiting.size + this.underWay.size;
  }

  /** Waits, or is being compiled. */
  has(record: number): boolean {
    return this.waiting.has(record) || this.underWay.has(record);
  }

  add({ where, key, map, rip, linear, offset, record, again, doubts }: Pending): void {
    this.put({ where, key, map, rip, linear, offset, record, again, doubts, rounds: 0 });
  }

  /** The counter of one that is here has come round to the threshold. */
  round(record: number): void {
    const it = this.waiting.get(record) ?? this.underWay.get(record);
    if (!it) return;
    it.rounds++;
    if (it.rounds === URGENT_ROUNDS && this.waiting.has(record)) this.urgent++;
  }

  /** Choose the hottest, and of the others that one module can have with it the hottest. */
  take(most: number): Pending[] {
    const heat = new Map([...this.waiting.values()].map((it) => [it, this.heat(it)]));
    const ordered = [...heat.keys()].sort((a, b) => heat.get(b)! - heat.get(a)!);
    const [{ key, where }] = ordered;
    const isAlike = (it: Waiting) => it.key === key && it.where.isX87Masked === where.isX87Masked && it.where.x87Precision === where.x87Precision && it.where.isReal === where.isReal;
    const chosen = ordered.filter((it) => isAlike(it) && (this.hasTime || isUrgent(it))).slice(0, most);
    for (const it of chosen) {
      this.forget(it.record);
      this.underWay.set(it.record, it);
    }
    return chosen;
  }

  /** A record that was chosen is done; or it was left, and waits again. */
  done(record: number, isLeft: boolean): void {
    const it = this.underWay.get(record);
    this.underWay.delete(record);
    if (it && isLeft) this.put(it);
  }

  /** A record goes, and its place will be another's. */
  forget(record: number): void {
    const it = this.waiting.get(record);
    if (!it) return;
    this.waiting.delete(record);
    if (isUrgent(it)) this.urgent--;
  }

  /** A region executes the record now. @returns did it wait, and need not any more */
  covered(record: number): boolean {
    const it = this.waiting.get(record);
    if (!it || it.again || it.doubts !== Doubt.NONE) return false;
    this.forget(record);
    return true;
  }

  /** So many milliseconds were spent on compiling so many instructions, which V8 is to optimise yet. */
  spent(milliseconds: number, instructions: number): void {
    this.credit = Math.max(-CREDIT_MAX_MS, this.credit - milliseconds - instructions * OPTIMISING_MS);
  }

  /** There is time for more, or something cannot wait for it. Costs little when asked often. */
  get mayStart(): boolean {
    const { share } = this.options;
    if (share === Infinity || this.urgent > 0) return true;
    if (this.credit <= 0 && this.calls++ < CALLS) return false;
    this.calls = 0;
    const now = this.now();
    this.credit = Math.min(CREDIT_MAX_MS, this.credit + (now - this.at) * share);
    this.at = now;
    return this.credit > 0;
  }

  private get hasTime(): boolean {
    return this.options.share === Infinity || this.credit > 0;
  }

  private put(it: Waiting): void {
    this.waiting.set(it.record, it);
    if (isUrgent(it)) this.urgent++;
  }

  /** Jumps since it became hot; of a region that is made again, whose counter stands anywhere, less than a round of it. */
  private heat({ record, rounds }: Waiting): number {
    const count = this.records.u16[(sideOf(record) + Side.COUNT) >> 1];
    return rounds * COUNTER_END + ((count - this.options.threshold + COUNTER_END) % COUNTER_END);
  }

  private now(): number {
    return (this.options.now ?? (() => performance.now()))();
  }
}
