// Places in the table of regions: whom they are for, and that no two have one at a time.

import { beforeEach, describe, expect, it } from 'vitest';
import { Entry, Mem, Rec, Side } from '../../core/layout.ts';
import { sideOf } from '../records.ts';
import { NEVER, entryOf, slotFor, Slots, wordAt, type SlotPlace } from './slots.ts';

const MAP = Mem.RECORDS + 0x10_0000;

describe('slots', () => {
  let u16: Uint16Array;
  let i32: Int32Array;
  let slots: Slots;

  /** A decoded instruction at an offset of the page. */
  function place(offset: number): SlotPlace {
    const record = Mem.RECORDS + offset * Rec.SIZE;
    i32[wordAt(MAP, offset) >> 2] = record;
    return { at: wordAt(MAP, offset), record };
  }
  const entry = (slot: number): { at: number; limit: number } => ({ at: i32[(entryOf(slot) + Entry.AT) >> 2], limit: i32[(entryOf(slot) + Entry.LIMIT) >> 2] });
  const named = (offset: number, spare: number[] = []): number => slotFor({ u16, i32 }, MAP, offset, spare);

  beforeEach(() => {
    const buffer = new ArrayBuffer(Mem.SIDE + (1 << 20));
    u16 = new Uint16Array(buffer);
    i32 = new Int32Array(buffer);
    slots = new Slots(buffer);
  });

  it('are there for all but 0, which means none', () => {
    expect(slots.left).toBe(Mem.REGION_SLOTS - 1);
    const all = new Set(Array.from({ length: slots.left }, (_, n) => slots.take({ at: 4 * n + 4, record: Mem.RECORDS })));
    expect(all.size).toBe(Mem.REGION_SLOTS - 1);
    expect(all.has(0)).toBe(false);
  });

  it('may be entered from when a region is there until it is closed', () => {
    const it = place(16);
    const slot = slots.take(it);
    expect(entry(slot)).toEqual({ at: it.at, limit: NEVER });
    slots.fill(slot);
    expect(entry(slot)).toEqual({ at: it.at, limit: 0 });
    expect(named(16)).toBe(slot);
    slots.close(slot);
    expect(entry(slot)).toEqual({ at: it.at, limit: NEVER });
    slots.release(slot, it.record);
    expect(entry(slot)).toEqual({ at: 0, limit: NEVER });
    expect(named(16)).toBe(0);
  });

  it('are named before the region comes, which takes the one that was named', () => {
    const spare = slots.spare();
    const before = slots.left;
    const mine = [...spare];
    place(16);
    place(20);
    const slot = named(16, mine);
    expect(spare).toContain(slot);
    expect(named(16, mine)).toBe(slot);
    expect(named(24, mine)).toBe(0); // nothing is decoded there
    slots.takeBack(spare);
    expect(slots.left).toBe(before + spare.length - 1);
    expect(slots.take(place(16))).toBe(slot);
    expect(slots.take(place(20))).not.toBe(slot);
    // Once more, while a region is there: another.
    slots.fill(slot);
    expect(slots.take(place(16))).not.toBe(slot);
  });

  it('are taken from a job under way by the code that it kept them for, and by no other', () => {
    const spare = slots.spare();
    place(16);
    const slot = named(16, [...spare]);
    expect(slots.take(place(16))).toBe(slot);
    slots.takeBack(spare);
    const rest = new Set<number>();
    while (slots.left > 0) rest.add(slots.take({ at: 4, record: Mem.RECORDS }));
    expect(rest.has(slot)).toBe(false);
  });

  it('are not given to other code that the record stands for by now', () => {
    const it = place(16);
    const slot = slots.take(it);
    slots.keep(slot, it);
    // The page was decoded again, the record is another place's, and nobody has looked after what was beside it.
    expect(slots.take({ at: it.at + 4, record: it.record })).not.toBe(slot);
  });

  it('that are only kept are given up at need', () => {
    const it = place(16);
    const slot = slots.take(it);
    slots.keep(slot, it);
    const left = slots.left;
    slots.giveUp();
    expect(slots.left).toBe(left + 1);
    expect(entry(slot)).toEqual({ at: 0, limit: NEVER });
    expect(u16[(sideOf(it.record) + Side.RESERVED) >> 1]).toBe(0);
  });

  it('are lent as long as enough are left', () => {
    while (slots.left >= 16) slots.take({ at: 4, record: Mem.RECORDS });
    expect(slots.spare()).toEqual([]);
  });
});
