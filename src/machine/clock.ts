// The machine's clock: nanoseconds since power-on, and the timers of all devices.
// Two kinds. RealClock follows the host; VirtualClock counts guest instructions (QEMU's -icount shift=N: one instruction
// takes 2^N ns), so that a run repeats exactly. Nothing else in the machine asks for the time.

import type { Clock, Snapshotable, Timer } from '../devices/interfaces.ts';

class HeapTimer implements Timer {
  deadline = Infinity;
  /** Place in the heap, -1 when disarmed. */
  at = -1;
  /** Order of arming: timers of one deadline run in this order, in every run. */
  sequence = 0;

  constructor(
    private readonly clock: ClockBase,
    readonly name: string,
    readonly callback: (now: number) => void,
    readonly orIdle: boolean,
  ) {}

  arm(deadlineNs: number): void {
    if (Number.isNaN(deadlineNs)) throw new Error(`timer ${this.name}: deadline is not a number`);
    if (deadlineNs === Infinity) this.clock.remove(this);
    else this.clock.insert(this, deadlineNs);
  }

  disarm(): void {
    this.clock.remove(this);
  }
}

/** Timers in a binary heap by deadline. */
export abstract class ClockBase implements Clock, Snapshotable {
  private readonly heap: HeapTimer[] = [];
  private sequence = 0;
  /** Armed timers that the CPU's idling ends. */
  private idleTimers = 0;

  /** Called when the earliest deadline has moved to an earlier time: whoever sleeps or runs the CPU up to it may want to stop sooner. */
  onEarlier: (deadlineNs: number) => void = () => {};

  abstract now(): number;
  abstract save(): unknown;
  abstract load(state: unknown): void;

  timer(name: string, callback: (now: number) => void, orIdle = false): Timer {
    return new HeapTimer(this, name, callback, orIdle);
  }

  /** The CPU is halted: run the timers that wait for no more than that. @returns whether there were any */
  runIdle(): boolean {
    if (this.idleTimers === 0) return false;
    const now = this.now();
    for (const timer of this.heap.filter(({ orIdle }) => orIdle).sort(before)) {
      // One may have disarmed another.
      if (timer.at < 0) continue;
      this.remove(timer);
      timer.callback(now);
    }
    return true;
  }

  /** Time of the earliest timer, Infinity if none is armed. */
  nextDeadline(): number {
    return this.heap.length === 0 ? Infinity : this.heap[0].deadline;
  }

  /**
   * Run all timers whose time has come, earliest first; those that callbacks arm for times already past run too. The time is
   * taken once: a guest that asks for an interrupt every nanosecond must not keep this from coming to an end.
   */
  runExpired(): void {
    const now = this.now();
    while (this.heap.length > 0 && this.heap[0].deadline <= now) {
      const timer = this.heap[0];
      this.remove(timer);
      timer.callback(now);
    }
  }

  /** Names and deadlines of the armed timers, earliest first: for the monitor. */
  armed(): { name: string; deadline: number }[] {
    return [...this.heap].sort(before).map(({ name, deadline }) => ({ name, deadline }));
  }

  /** For Timer only. */
  insert(timer: HeapTimer, deadline: number): void {
    const earliest = this.nextDeadline();
    if (timer.at >= 0) this.remove(timer);
    timer.deadline = deadline;
    timer.sequence = this.sequence++;
    if (timer.orIdle) this.idleTimers++;
    timer.at = this.heap.length;
    this.heap.push(timer);
    this.up(timer.at);
    if (deadline < earliest) this.onEarlier(deadline);
  }

  /** For Timer only. */
  remove(timer: HeapTimer): void {
    const at = timer.at;
    if (at < 0) return;
    if (timer.orIdle) this.idleTimers--;
    timer.at = -1;
    timer.deadline = Infinity;
    const last = this.heap.pop()!;
    if (last === timer) return;
    this.heap[at] = last;
    last.at = at;
    this.up(at);
    this.down(last.at);
  }

  private up(at: number): void {
    const timer = this.heap[at];
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (before(this.heap[parent], timer) <= 0) break;
      this.heap[at] = this.heap[parent];
      this.heap[at].at = at;
      at = parent;
    }
    this.heap[at] = timer;
    timer.at = at;
  }

  private down(at: number): void {
    const timer = this.heap[at];
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.heap.length) break;
      if (child + 1 < this.heap.length && before(this.heap[child + 1], this.heap[child]) < 0) child++;
      if (before(timer, this.heap[child]) <= 0) break;
      this.heap[at] = this.heap[child];
      this.heap[at].at = at;
      at = child;
    }
    this.heap[at] = timer;
    timer.at = at;
  }
}

function before(a: HeapTimer, b: HeapTimer): number {
  return a.deadline - b.deadline || a.sequence - b.sequence;
}

/** Time of the host, standing still while paused. */
export class RealClock extends ClockBase {
  /** Guest time when the clock last stopped or started. */
  private base = 0;
  /** Host time of that moment; NaN while paused. */
  private started = NaN;
  /** Greatest time handed out: the host's clock may be coarse or, with several threads, step back by its resolution. */
  // Less than any time, and no integer: after two seconds it is no small one, and V8 would give the clock another form then, and optimise anew who asks it.
  private latest = -0.5;

  /** @param hostNow the host's monotonic time in nanoseconds. The clock starts paused. */
  constructor(private readonly hostNow: () => number) {
    super();
  }

  get paused(): boolean {
    return Number.isNaN(this.started);
  }

  now(): number {
    if (this.paused) return this.base;
    const now = this.base + Math.floor(this.hostNow() - this.started);
    if (now > this.latest) this.latest = now;
    return this.latest;
  }

  pause(): void {
    if (this.paused) return;
    this.base = this.now();
    this.started = NaN;
  }

  resume(): void {
    if (!this.paused) return;
    this.started = this.hostNow();
    this.latest = this.base;
  }

  save(): { now: number } {
    return { now: this.now() };
  }

  load(state: unknown): void {
    const wasPaused = this.paused;
    this.base = this.latest = (state as { now: number }).now;
    this.started = wasPaused ? NaN : this.hostNow();
  }
}

/** Time counted in guest instructions, with the time that passed while no CPU ran added. */
export class VirtualClock extends ClockBase {
  private readonly scale: number;
  private skipped = 0;

  /**
   * @param shift one instruction takes 2^shift nanoseconds (0 to 10)
   * @param icount guest instructions executed since power-on, up to this moment
   */
  constructor(
    readonly shift: number,
    private icount: () => number | bigint = () => 0,
  ) {
    super();
    if (!Number.isInteger(shift) || shift < 0 || shift > 10) throw new RangeError(`icount shift must be 0 to 10, not ${shift}`);
    this.scale = 2 ** shift;
  }

  /** Sets where the instruction count comes from, when the CPU is built after the clock. Time goes on from where it is. */
  setInstructionCounter(icount: () => number | bigint): void {
    const now = this.now();
    this.icount = icount;
    this.skipped += now - this.now();
  }

  now(): number {
    return Number(this.icount()) * this.scale + this.skipped;
  }

  /** Instructions that may run before the given time is reached; at least 0. */
  instructionsUntil(timeNs: number): number {
    return Math.max(0, Math.ceil((timeNs - this.now()) / this.scale));
  }

  /** Let the time pass up to the given moment without any instruction: the CPU is halted. Does not run timers. */
  skipTo(timeNs: number): void {
    const now = this.now();
    if (timeNs > now) this.skipped += timeNs - now;
  }

  /** Let the given time pass, running each timer at its own moment. For tests, and for machines without a CPU. */
  advance(ns: number): void {
    const end = this.now() + ns;
    while (this.nextDeadline() <= end) {
      this.skipTo(this.nextDeadline());
      this.runExpired();
    }
    this.skipTo(end);
  }

  save(): { now: number } {
    return { now: this.now() };
  }

  load(state: unknown): void {
    this.skipped += (state as { now: number }).now - this.now();
  }
}
