// Places in the table of regions, and what those who call a region ask of its place (Entry). A place is kept for code that is called from a
// region before it has one itself, so that the caller's code can name it: the compiler's worker takes it out of those that a job brings along.

import { Entry, Mem, Side } from '../../core/layout.ts';
import { sideOf } from '../records.ts';

/** Budget that no run has: a region with this limit is not entered. */
export const NEVER = 0x7fff_ffff;

/** What tells one place in the guest's code from another: word of its page's map, and the record that the word stands for. */
export interface SlotPlace {
  readonly at: number;
  readonly record: number;
}

/** The word of a page's map that stands for the code at an offset. */
export const wordAt = (map: number, offset: number): number => map + offset * 4;

/** Address of a slot's Entry. */
export const entryOf = (slot: number): number => Mem.ENTRIES + slot * Entry.SIZE;

/** For a job: at most so many, and no more than leave others enough. */
const SPARE_MAX = 64;
const SPARE_SHARE = 16;

export class Slots {
  private readonly free: number[] = [];
  /** From here on none was ever in use. 0 stands for "no region". */
  private fresh = 1;
  /** Where no region is yet: what they are kept for. */
  private readonly kept = new Map<number, SlotPlace>();
  /** Those that jobs under way brought along. */
  private readonly lent = new Set<number>();
  private readonly u16: Uint16Array;
  private readonly i32: Int32Array;

  constructor(buffer: ArrayBufferLike) {
    this.u16 = new Uint16Array(buffer);
    this.i32 = new Int32Array(buffer);
  }

  get left(): number {
    return this.free.length + Mem.REGION_SLOTS - this.fresh;
  }

  private put(slot: number): void {
    this.empty(slot);
    this.free.push(slot);
  }

  private empty(slot: number): void {
    const entry = entryOf(slot) >> 2;
    this.i32[entry + Entry.AT / 4] = 0;
    this.i32[entry + Entry.LIMIT / 4] = NEVER;
  }

  /** One that is free; there has to be one. */
  private next(): number {
    const used = this.free.pop();
    if (used !== undefined) return used;
    this.empty(this.fresh);
    return this.fresh++;
  }

  private reserved(record: number): number {
    return (sideOf(record) + Side.RESERVED) >> 1;
  }

  /** A region is to come: the place kept for it, or any that is free. */
  take(place: SlotPlace): number {
    const side = this.reserved(place.record);
    const known = this.u16[side];
    const isOwn = this.i32[(entryOf(known) + Entry.AT) >> 2] === place.at && (this.kept.delete(known) || this.lent.delete(known));
    const slot = isOwn ? known : this.next();
    this.u16[side] = slot;
    this.i32[(entryOf(slot) + Entry.AT) >> 2] = place.at;
    this.close(slot);
    return slot;
  }

  /** It has not come, but may yet. */
  keep(slot: number, place: SlotPlace): void {
    this.kept.set(slot, place);
  }

  /** It is there, and may be entered. */
  fill(slot: number): void {
    this.i32[(entryOf(slot) + Entry.LIMIT) >> 2] = 0;
  }

  /** It is not to be entered any more. */
  close(slot: number): void {
    this.i32[(entryOf(slot) + Entry.LIMIT) >> 2] = NEVER;
  }

  /** It is gone. */
  release(slot: number, record: number): void {
    if (this.u16[this.reserved(record)] === slot) this.u16[this.reserved(record)] = 0;
    this.put(slot);
  }

  /** Places that a job may keep for what its regions call. */
  spare(): number[] {
    // They are used from the end.
    const slots = Array.from({ length: Math.min(SPARE_MAX, Math.floor(this.left / SPARE_SHARE)) }, () => this.next()).reverse();
    for (const slot of slots) this.lent.add(slot);
    return slots;
  }

  /** Those of them that it did not need are free again. */
  takeBack(spare: readonly number[]): void {
    for (const slot of spare) {
      // What it was kept for has become hot meanwhile.
      if (!this.lent.delete(slot)) continue;
      const at = this.i32[(entryOf(slot) + Entry.AT) >> 2];
      const record = at === 0 ? 0 : this.i32[at >> 2];
      if (record !== 0 && this.u16[this.reserved(record)] === slot) this.kept.set(slot, { at, record });
      else this.put(slot);
    }
  }

  /** Those that are only kept are free again: whoever names one finds that it is another's by then, or nobody's. */
  giveUp(): void {
    for (const [slot, { record }] of this.kept) this.release(slot, record);
    this.kept.clear();
  }
}

/**
 * The place that the code at an offset of a page's map has or will have, as those who call it have to name it: 0 if there is none.
 * @param spare places that may be kept for it
 */
export function slotFor(words: { readonly u16: Uint16Array; readonly i32: Int32Array }, map: number, offset: number, spare: number[]): number {
  const at = wordAt(map, offset);
  const record = words.i32[at >> 2];
  if (record === 0) return 0;
  const side = (sideOf(record) + Side.RESERVED) >> 1;
  if (words.u16[side] !== 0) return words.u16[side];
  const slot = spare.pop();
  if (slot === undefined) return 0;
  words.u16[side] = slot;
  words.i32[(entryOf(slot) + Entry.AT) >> 2] = at;
  return slot;
}
