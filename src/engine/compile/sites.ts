// Sites: where in memory the accesses of a large loop keep the page that they were on last (Cpu.SITES). All have one but those that go from page
// to page, as they follow pointers from one to the next.

import { Cpu, Rec } from '../../core/layout.ts';
import type { FunctionBuilder } from '../../wasm/function.ts';
import type { RecordBytes } from '../records.ts';
import { INVALID_PAGE } from './pages.ts';
import type { Block, PlannedInstruction } from './plan.ts';

/** A loop's sites: how many it has at most, and their numbers by an access' key. */
export interface LoopSites {
  readonly most: number;
  readonly numbers: Map<number, number>;
}

/** The sites of loops that are being emitted: places in the vCPU area, which are the region's alone while such a loop runs. */
export class Sites {
  /** Of the instruction that is being emitted; null: it has none. Only a loop's own have some, for behind it something may be called that changes what leads to memory. */
  loop: LoopSites | null = null;

  constructor(
    private readonly b: FunctionBuilder,
    /** Address of the vCPU area. */
    private readonly cpu: number,
    /** Addresses have 32 bits. */
    private readonly isNarrow: boolean,
  ) {}

  private at(number: number): number {
    return this.cpu + Cpu.SITES + number * Cpu.SITE_SIZE;
  }

  /** Before a loop: sites for so many accesses at most, with no page. */
  open(count: number): LoopSites {
    const { b } = this;
    const most = Math.min(count, Cpu.SITES_MAX);
    for (let n = 0; n < most; n++) b.store(b.i32(0), this.at(n), this.isNarrow ? b.i32(INVALID_PAGE) : b.i64(INVALID_PAGE));
    return { most, numbers: new Map() };
  }

  /**
   * Address of an access' site, or null.
   * @param of what accesses with one site have in common
   */
  of(of: number, write: boolean): number | null {
    const { loop } = this;
    if (!loop) return null;
    const key = of * 2 + Number(write);
    let number = loop.numbers.get(key);
    if (number === undefined) {
      if (loop.numbers.size >= loop.most) return null;
      number = loop.numbers.size;
      loop.numbers.set(key, number);
    }
    return this.at(number);
  }
}

const REGISTERS = 16;
/** General registers, as bits by their number. */
const GENERAL = (1 << REGISTERS) - 1;
const STACK = (1 << 4) | (1 << 5);
/** What was read from memory: a value of its own. */
const READ = 1 << REGISTERS;

export const accessesMemory = ({ kind }: PlannedInstruction): boolean =>
  kind.definition.string !== undefined || kind.definition.stack !== undefined || kind.shapes.some(({ place }) => place === 'memory');

const isByte = ({ kind }: PlannedInstruction): boolean => kind.shapes.some(({ bits }) => bits === 8);

/** The registers that an instruction's memory operand is found by. */
function addressOf({ kind, record, addressRecord }: PlannedInstruction, { u16 }: RecordBytes): number {
  if (!kind.shapes.some(({ place }) => place === 'memory') && !kind.definition.addressOnly) return 0;
  const bit = (field: Rec): number => {
    const offset = u16[((addressRecord || record) + field) >> 1];
    return offset < Cpu.ZERO ? 1 << (offset >> 3) : 0;
  };
  return bit(Rec.BASE) | bit(Rec.INDEX);
}

/**
 * Of a block's registers, at a place in it: which ones of its beginning they are made of, by moving or by reading from memory.
 * What is read from the stack, and bytes, which are indexes of tables, are made of nothing.
 */
class Origins {
  readonly made = new Int32Array(REGISTERS);
  readonly isRead = new Uint8Array(REGISTERS);

  /** @param none registers that are made of nothing at the block's beginning */
  constructor(none: number) {
    for (let n = 0; n < REGISTERS; n++) this.made[n] = none & (1 << n) ? 0 : 1 << n;
  }

  /** Registers that are made of nothing. */
  get none(): number {
    let mask = 0;
    for (let n = 0; n < REGISTERS; n++) if (this.made[n] === 0) mask |= 1 << n;
    return mask;
  }

  of(registers: number): number {
    let mask = 0;
    for (let n = 0; n < REGISTERS; n++) if (registers & (1 << n)) mask |= this.made[n];
    return mask;
  }

  /** An instruction is executed. */
  after(it: PlannedInstruction, address: number): void {
    const { facts, kind } = it;
    const written = facts.writes & ~facts.steps & GENERAL;
    if (written === 0) return;
    const isRead = kind.definition.string !== undefined || kind.shapes.some(({ place }) => place === 'memory');
    const isNothing = isByte(it) || (isRead && (address & STACK) !== 0);
    const made = isNothing ? 0 : isRead ? this.of(address) | READ : this.of(facts.reads & GENERAL);
    const reads = !isNothing && isRead ? 1 : 0;
    for (let n = 0; n < REGISTERS; n++) {
      if (!(written & (1 << n))) continue;
      const isWhole = (facts.kills & (1 << n)) !== 0;
      this.made[n] = isWhole ? made : this.made[n] | made;
      this.isRead[n] = isWhole ? reads : this.isRead[n] | reads;
    }
  }
}

/**
 * The accesses of a loop that go from page to page.
 * @param nodes numbers of the loop's blocks
 */
export function wanderingIn(nodes: readonly number[], blocks: readonly Block[], predecessors: readonly (readonly number[])[], records: RecordBytes): ReadonlySet<PlannedInstruction> {
  const through = (node: number, none: number): Origins => {
    const origins = new Origins(none);
    for (const it of blocks[node].instructions) origins.after(it, addressOf(it, records));
    return origins;
  };
  // At blocks' beginnings, what is made of nothing on all ways from within the loop.
  const none = new Map(nodes.map((node) => [node, GENERAL]));
  for (let isChanged = true; isChanged; ) {
    isChanged = false;
    const after = new Map(nodes.map((node) => [node, through(node, none.get(node)!).none]));
    for (const node of nodes) {
      const met = predecessors[node].reduce((mask, from) => mask & (after.get(from) ?? GENERAL), none.get(node)!);
      isChanged ||= met !== none.get(node);
      none.set(node, met);
    }
  }
  /** By register, over a block: what it is read by, and what it is made of. */
  const by = new Int32Array(REGISTERS);
  const of = new Int32Array(REGISTERS);
  for (const node of nodes) {
    const { made, isRead } = through(node, none.get(node)!);
    for (let n = 0; n < REGISTERS; n++) {
      of[n] |= made[n] & ~(1 << n);
      if (isRead[n]) by[n] |= made[n];
    }
  }
  const closed = (mask: number): number => {
    for (let before = 0; before !== mask; ) {
      before = mask;
      for (let n = 0; n < REGISTERS; n++) if (mask & (1 << n)) mask |= by[n] | of[n];
    }
    return mask;
  };
  let wandering = 0;
  for (let n = 0; n < REGISTERS; n++) if (closed(by[n]) & (1 << n)) wandering |= 1 << n;
  const out = new Set<PlannedInstruction>();
  for (const node of nodes) {
    const origins = new Origins(none.get(node)!);
    for (const it of blocks[node].instructions) {
      const address = addressOf(it, records);
      if (!isByte(it) && !(address & STACK) && (closed(origins.of(address)) & wandering) !== 0) out.add(it);
      origins.after(it, address);
    }
  }
  return out;
}
