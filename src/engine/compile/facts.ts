// What an instruction does to registers and flags, and whether it can be compiled at all: found by emitting its meaning once, for
// registers that stand for "the one in ModRM.rm", and so on. Kept by kind, as many instructions share one.

import { Cpu, Doubt, Mode, Rec } from '../../core/layout.ts';
import type { Assumption } from '../../x86/assumptions.ts';
import type { CoreFunction } from '../../x86/core-functions.ts';
import { kinds, Pseudo, type Kind } from '../kinds.ts';
import type { RecordBytes } from '../records.ts';
import { CompileBuilder, type RegionImports } from './builder.ts';
import type { RegionMode } from './mode.ts';
import type { Shared } from '../handlers.ts';
import type { FlagsChange } from './flags.ts';
import { vectorBit } from './registers.ts';
import { topOf } from './x87-stack.ts';

/** Of one instruction. Registers are masks as in registers.ts. */
export interface Facts {
  /** Not compiled: the kind's function is called. */
  readonly cold: boolean;
  /** It may leave the region before it has done anything. */
  readonly exits: boolean;
  /** Registers it needs. */
  readonly reads: number;
  /** Registers it may write. */
  readonly writes: number;
  /** Registers to which it adds a constant, and does nothing else. */
  readonly steps: number;
  /** Registers of which nothing is left from before. */
  readonly kills: number;
  readonly readsFlags: boolean;
  /** The flags after it are all its own. */
  readonly killsFlags: boolean;
  /** What becomes of the flags; null: they stay as they are. */
  readonly flagsAfter: FlagsChange | null;
  /** The flags are set in a branch of the meaning. */
  readonly flagsInBranch: boolean;
  /** Registers are. */
  readonly writesInBranch: boolean;
  /** What it takes for granted. */
  readonly assumes: readonly Assumption[];
  /** Functions of core that it calls, in a region of either form. */
  readonly calls: readonly CoreFunction[];
  /** What it does to the x87's registers: by how much the top moves, less than 0 for a push; null: nothing is known of them afterwards. */
  readonly floats: number | null;
  /** It is the x87's. */
  readonly usesFloats: boolean;
}

/** General registers that stand for fields of the record. */
const enum Place {
  RM = 8,
  REG = 9,
  BASE = 10,
  INDEX = 11,
}
/** XMM registers that do, and their bits. */
const VECTOR_RM = Cpu.XMM + 8 * 16;
const VECTOR_REG = Cpu.XMM + 9 * 16;
const VECTOR_RM_BIT = vectorBit(VECTOR_RM);
const VECTOR_REG_BIT = vectorBit(VECTOR_REG);

const COLD: Facts = {
  cold: true, exits: false, reads: 0, writes: 0, steps: 0, kills: 0, readsFlags: false, killsFlags: false, flagsAfter: null, flagsInBranch: false, writesInBranch: false,
  assumes: [], calls: [], floats: null, usesFloats: false,
};

const PROBE_RECORDS = 2;

export class FactsTable {
  private readonly known = new Map<number, Facts>();

  constructor(
    private readonly shared: Shared,
    private readonly imports: RegionImports,
    private readonly where: RegionMode,
  ) {}

  /**
   * @param records where the records are
   * @param record the instruction's own
   * @param addressRecord the address record before it, or 0
   */
  of(records: RecordBytes, kind: Kind, record: number, addressRecord: number, addressKind: number): Facts {
    if (addressKind === Pseudo.ADDRESS_BITS) return COLD;
    if (kind.definition.name === 'enter' && (records.i32[(record + Rec.IMM + 4) >> 2] & 31) !== 0) return COLD;
    // MOV SS is of the same kind as the others, which are simple in real mode.
    if (kind.definition.operands[0]?.method === 'S' && records.u16[(record + Rec.REG) >> 1] === Cpu.SS) return COLD;
    // Its store is two, and asks core first, unless the register stack is known.
    const stores80 = kind.shapes.some((shape) => shape.bits === 80 && shape.place === 'memory') && !kind.definition.readOnly;
    if (stores80 && (!this.where.isX87Masked || kind.definition.name !== 'fstp')) return COLD;
    // Meanings fold constants: whether a count is zero, and what an AUX field says.
    const immediate = records.i32[(record + Rec.IMM) >> 2];
    const counts = (immediate & (kind.shapes[0]?.bits === 64 ? 63 : 31)) !== 0 ? 1 : 0;
    const aux = kind.definition.string ? records.u8[record + Rec.AUX] : 0;
    const how = addressKind === Pseudo.ADDRESS_SEGMENT ? 2 : addressKind === Pseudo.ADDRESS_GENERAL ? 3 : addressRecord !== 0 ? 1 : 0;
    const key = (((kind.number * 2 + counts) * 16 + aux) * 4 + how) * 2 + Number(this.isUnusual(records, kind, record, addressRecord, how === 3));
    let facts = this.known.get(key);
    if (!facts) this.known.set(key, (facts = this.probe(records, kind, record, addressRecord, addressKind)));
    return facts.cold ? facts : this.place(facts, records, record, addressRecord);
  }

  /** What makes two of a kind: an address of 16 bits, which needs the lower halves of registers; of a string instruction, a segment that is never flat. */
  private isUnusual({ u16, i32 }: RecordBytes, kind: Kind, record: number, addressRecord: number, isGeneral: boolean): boolean {
    if (kind.definition.string) {
      const segment = u16[(record + Rec.REG) >> 1];
      return segment === Cpu.CS || segment === Cpu.FS || segment === Cpu.GS;
    }
    return (isGeneral || kind.definition.addressOnly === true) && i32[((addressRecord || record) + Rec.IMM) >> 2] === 0xffff;
  }

  /** Facts for the registers that the records name. */
  private place(facts: Facts, { u16 }: RecordBytes, record: number, addressRecord: number): Facts {
    const bit = (at: number, field: Rec): number => {
      const offset = u16[(at + field) >> 1];
      return offset < Cpu.ZERO ? 1 << (offset >> 3) : 0;
    };
    const address = addressRecord || record;
    const map = (mask: number): number => {
      let out = mask & 0xff;
      if (mask & (1 << Place.RM)) out |= bit(record, Rec.RM);
      if (mask & (1 << Place.REG)) out |= bit(record, Rec.REG);
      if (mask & (1 << Place.BASE)) out |= bit(address, Rec.BASE);
      if (mask & (1 << Place.INDEX)) out |= bit(address, Rec.INDEX);
      return out;
    };
    const vectors = (mask: number): number =>
      (mask & VECTOR_RM_BIT ? vectorBit(u16[(record + Rec.RM) >> 1]) : 0) | (mask & VECTOR_REG_BIT ? vectorBit(u16[(record + Rec.REG) >> 1]) : 0);
    // The upper halves of 16-bit code's registers, from bit 16 on, follow the eight lower ones; it has no XMM registers in locals.
    const isSplit = (this.where.mode & Mode.CODE_MASK) === Mode.CODE16;
    const both = (mask: number): number => map(mask & 0xffff) | (isSplit ? map(mask >>> 16) << 8 : vectors(mask));
    const { cold, exits, readsFlags, killsFlags, flagsAfter, flagsInBranch, writesInBranch, assumes, calls, floats, usesFloats } = facts;
    return {
      cold, exits, reads: both(facts.reads), writes: both(facts.writes), steps: both(facts.steps), kills: both(facts.kills), readsFlags, killsFlags, flagsAfter, flagsInBranch, writesInBranch,
      assumes, calls, floats, usesFloats,
    };
  }

  private probe(records: RecordBytes, kind: Kind, record: number, addressRecord: number, addressKind: number): Facts {
    const facts = this.probeForm(records, kind, record, addressRecord, addressKind, Doubt.NONE);
    if (!facts.usesFloats) return facts;
    return { ...facts, calls: [...facts.calls, ...this.probeForm(records, kind, record, addressRecord, addressKind, Doubt.NUMBERS).calls] };
  }

  private probeForm(records: RecordBytes, kind: Kind, record: number, addressRecord: number, addressKind: number, doubts: Doubt): Facts {
    const bytes = new ArrayBuffer(PROBE_RECORDS * Rec.SIZE);
    const copy: RecordBytes = { u8: new Uint8Array(bytes), u16: new Uint16Array(bytes), i32: new Int32Array(bytes) };
    copy.u8.set(records.u8.subarray(record, record + Rec.SIZE), 0);
    if (addressRecord) copy.u8.set(records.u8.subarray(addressRecord, addressRecord + Rec.SIZE), Rec.SIZE);
    const replace = (at: number, field: Rec, place: Place): void => {
      copy.u16[(at + field) >> 1] = place * 8;
    };
    const vectors = kind.shapes.filter((shape) => (shape.place === 'rm' || shape.place === 'reg') && shape.vector === 'xmm').map((shape) => shape.place);
    if (vectors.includes('rm')) copy.u16[Rec.RM >> 1] = VECTOR_RM;
    if (vectors.includes('reg')) copy.u16[Rec.REG >> 1] = VECTOR_REG;
    // Fields that hold a number and no register are left alone.
    const registers = kind.shapes.filter((shape) => (shape.place === 'rm' || shape.place === 'reg') && !shape.vector).map((shape) => shape.place);
    if (registers.includes('rm')) replace(0, Rec.RM, Place.RM);
    if (registers.includes('reg')) replace(0, Rec.REG, Place.REG);
    const address = addressRecord ? Rec.SIZE : 0;
    if (kind.shapes.some((shape) => shape.place === 'memory') || kind.definition.addressOnly) {
      // Whether this one has a base or an index: the next of the kind may have.
      replace(address, Rec.BASE, Place.BASE);
      replace(address, Rec.INDEX, Place.INDEX);
    }

    const b = new CompileBuilder(this.shared, this.imports, this.where, copy);
    let reads = 0;
    let writes = 0;
    let steps = 0;
    let kills = 0;
    let exits = false;
    let refused = false;
    let readsFlags = false;
    let flagsAfter: FlagsChange | null = null;
    let keepsFlags = false;
    let flagsInBranch = false;
    let writesInBranch = false;
    const assumes: Assumption[] = [];
    const calls: CoreFunction[] = [];
    b.doubts = doubts;
    b.flags.state = 'dynamic';
    if (this.where.isX87Masked) b.floats.open();
    const before = b.floats.state;
    b.watcher = {
      read(bit) {
        reads |= bit & ~kills;
      },
      write(bit, isWhole, inBranch) {
        writes |= bit;
        if (inBranch) {
          writesInBranch = true;
          reads |= bit & ~kills;
        } else if (isWhole) kills |= bit;
      },
      step(bit) {
        steps |= bit;
      },
      exit(always) {
        exits = true;
        refused ||= always;
      },
      flagsRead() {
        readsFlags = true;
      },
      flagsSet(state, inBranch) {
        flagsAfter = inBranch || flagsInBranch ? 'dynamic' : state;
        flagsInBranch ||= inBranch;
      },
      calls(name) {
        calls.push(name);
      },
      assume(assumption) {
        assumes.push(assumption);
      },
      flagsPart(change, inBranch) {
        flagsAfter = inBranch || flagsInBranch ? 'dynamic' : change;
        keepsFlags = true;
        flagsInBranch ||= inBranch;
      },
    };
    try {
      b.instruction(kind, 0, addressRecord ? Rec.SIZE : 0, addressKind);
    } catch (error) {
      if (/leaves after it has changed|second access to memory|accessed after/.test((error as Error).message)) return COLD;
      throw error;
    }
    if (refused) return COLD;
    const after = b.floats.state;
    return {
      cold: false, exits: exits || after !== before, reads, writes, steps, kills, readsFlags, killsFlags: flagsAfter !== null && !flagsInBranch && !keepsFlags, flagsAfter, flagsInBranch, writesInBranch, assumes, calls,
      floats: after && topOf(after), usesFloats: after !== before,
    };
  }
}

/** The kind that a record stands for. */
export const kindOf = (number: number): Kind => kinds.kinds[number - Pseudo.COUNT];
