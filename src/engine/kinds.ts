// Record kinds: every distinct piece of handler code gets a number. Instructions with the same meaning, operand size and operand
// places share one, whatever their encoding. Build time (the interpreter's generator) and run time (the decoder) compute the same numbers.

import { Mode } from '../core/layout.ts';
import { table } from '../x86/instructions.ts';
import { HOT_KINDS } from './hot-kinds.ts';
import { HOT_PAIRS } from './hot-pairs.ts';
import { operandBits, type InstructionDefinition, type OperandSpec } from '../x86/table.ts';

/** Records that are not instructions, or are made by the decoder itself. */
export const enum Pseudo {
  /** Nothing decoded here any more: look RIP up again. Also what invalidated records become. */
  RESYNC = 0,
  /** Go on with the record at LINK: the block runs into one that was decoded before. */
  CHAIN = 1,
  /** EA = (BASE + INDEX << AUX + DISP) & IMM + base of segment REG (or Cpu.ZERO - Seg.BASE for none). */
  ADDRESS = 2,
  /** EA = IMM + base of the segment at REG: 64-bit MOV moffs. */
  ADDRESS_ABSOLUTE = 3,
  /** As ADDRESS in 32-bit flat code with FS or GS: checked by core unless the segment spans 4 GiB. */
  ADDRESS_SEGMENT = 4,
  /** As ADDRESS for segmented code: always checked. IMM: bits 0-31 mask, 32-47 size in bytes, 48 write. */
  ADDRESS_GENERAL = 5,
  /** Leave if an interrupt may be taken now. */
  INTERRUPT_CHECK = 6,
  /** The next instruction lies on two pages: IMM is the second page's address in the shared memory, which must still be mapped there. */
  CROSSING = 7,
  /** End of a single step. */
  STEP_END = 8,
  /** #UD at this instruction. */
  INVALID = 9,
  /** #GP(0): longer than 15 bytes, or beyond the code segment's limit. */
  TOO_LONG = 10,
  /**
   * As ADDRESS_GENERAL for a bit string (BT and its kin with a register offset): the register at RM, of LINK bits, moves the
   * offset before it is cut to the address size and checked. EA is the address less that move, which the instruction adds.
   */
  ADDRESS_BITS = 11,
  /** A compiled region begins here; the record's own kind is in its Side. Only KIND is changed. */
  REGION = 12,
  COUNT = 13,
}

/** How the stack is addressed. */
export type StackVariant = 'flat64' | 'flat32' | 'general';
const STACKS: readonly StackVariant[] = ['flat64', 'flat32', 'general'];

/** Where a handler finds an operand: fields of the record. */
export type Place =
  | 'rm' // register at Rec.RM
  | 'reg' // register at Rec.REG
  | 'memory' // at Rec.BASE + Rec.DISP
  | 'immediate' // Rec.IMM
  | 'immediateLow' // low half of Rec.IMM
  | 'immediateHigh' // high half of Rec.IMM
  | 'cl'
  | 'dx'
  | 'relative'
  | 'number'; // Rec.REG or Rec.RM holds a register's number

export interface OperandShape {
  readonly place: Place;
  /** Size in bits. */
  readonly bits: number;
  /** 'number' operands: which field. */
  readonly field?: 'rm' | 'reg';
  /** vector registers may be read and written in parts */
  readonly vector?: 'xmm' | 'mmx';
}

export interface Kind {
  readonly number: number;
  readonly definition: InstructionDefinition;
  /** Operand size in bits. */
  readonly size: number;
  readonly shapes: readonly OperandShape[];
  readonly stack: StackVariant;
  readonly locked: boolean;
  readonly hot: boolean;
  readonly label: string;
  /** Two records that are executed by one dispatch: the numbers of both. The second's record keeps its own kind. */
  readonly pair: readonly [first: number, second: number] | null;
}

/** The operands' places for a definition, an operand size, and whether ModRM names memory. */
export function operandShapes(d: InstructionDefinition, size: number, isMemory: boolean): OperandShape[] {
  let registers = 0;
  const immediates = d.operands.filter((o) => o.method === 'I' || o.method === 'SX').length;
  let immediate = 0;
  // All fields, so that V8 knows one shape of them.
  const shape = (place: Place, bits: number, vector?: OperandShape['vector'], field?: OperandShape['field']): OperandShape => ({ place, bits, field, vector });
  const register = (bits: number, vector?: 'xmm' | 'mmx'): OperandShape => shape(registers++ === 0 ? 'rm' : 'reg', bits, vector);
  const shapeOf = (o: OperandSpec): OperandShape => {
    const bits = operandBits(o, size, size === 64, size === 64 ? 64 : 32);
    switch (o.method) {
      case 'E':
        return isMemory ? shape('memory', bits) : register(bits);
      case 'G':
      case 'R':
      case 'Z':
        return register(bits);
      case 'AL':
        return register(8);
      case 'AX':
        return register(16);
      case 'EAX': {
        const w = size === 16 ? 16 : 32;
        return register(w);
      }
      case 'RAX':
        return register(size);
      case 'M':
      case 'O':
      case 'DI':
        return shape('memory', bits);
      case 'V':
      case 'U':
        return register(bits, 'xmm');
      case 'W':
        return isMemory ? shape('memory', bits, 'xmm') : register(bits, 'xmm');
      case 'P':
      case 'N':
        return register(bits, 'mmx');
      case 'Q':
        return isMemory ? shape('memory', bits, 'mmx') : register(bits, 'mmx');
      case 'S':
        return register(16);
      case 'C':
      case 'D':
      case 'T':
      case 'ST0': {
        const field = registers++ === 0 ? 'rm' : 'reg';
        return shape('number', 64, undefined, field);
      }
      case 'CL':
        return shape('cl', 8);
      case 'DX':
        return shape('dx', 16);
      case 'ONE':
        return shape('immediate', 8);
      case 'A':
        return shape('immediate', 64);
      case 'J':
        return shape('relative', 64);
      case 'I':
      case 'SX': {
        const w = o.method === 'SX' || o.size === 'z' ? size : bits;
        if (immediates < 2) return shape('immediate', w);
        return shape(immediate++ === 0 ? 'immediateLow' : 'immediateHigh', w);
      }
    }
  };
  const out: OperandShape[] = [];
  for (const o of d.operands) out.push(shapeOf(o));
  return out;
}

const SIZES = [16, 32, 64] as const;

function slot(id: number, size: number, isMemory: boolean, stack: number, locked: boolean): number {
  return (((id * 3 + (size === 16 ? 0 : size === 32 ? 1 : 2)) * 2 + (isMemory ? 1 : 0)) * 3 + stack) * 2 + (locked ? 1 : 0);
}

/** All kinds. Hot ones, which are inline in the interpreter's dispatch, have the lowest numbers after the pseudo-records, and pairs of them the next. */
export class Kinds {
  readonly kinds: Kind[] = [];
  /** Kinds below this number are inline. */
  readonly hotEnd: number;
  private readonly bySlot: Uint16Array;
  /** Kinds below this number may be in pairs. */
  private readonly singleEnd: number;
  /** Numbers of pairs, by singleEnd times the first's number and the second's. */
  private readonly pairs: Uint16Array;

  constructor() {
    this.bySlot = new Uint16Array(slot(table.definitions.length, 16, false, 0, false)).fill(0xffff);
    const found = new Map<string, { -readonly [K in keyof Kind]: Kind[K] } & { slots: number[] }>();
    const meaningIds = new Map<unknown, number>();
    for (const d of table.definitions) {
      let meaningId = meaningIds.get(d.meaning);
      if (meaningId === undefined) meaningIds.set(d.meaning, (meaningId = meaningIds.size));
      for (const size of SIZES) {
        if (d.f64 && size === 64 && d.not64) continue;
        if (size === 64 && d.not64) continue;
        if (d.only64 && size === 16 && d.f64) continue;
        for (const isMemory of [false, true]) {
          if (d.mod !== undefined && (d.mod === 'mem') !== isMemory) continue;
          const wantsMemory = d.operands.some((o) => o.method === 'M' || o.method === 'O' || o.method === 'DI');
          const canBeMemory = wantsMemory || d.operands.some((o) => 'EWQ'.includes(o.method) && o.method.length === 1) || d.mod === 'mem';
          const canBeRegister = !wantsMemory && d.mod !== 'mem';
          if (isMemory ? !canBeMemory : !canBeRegister) continue;
          const shapeSize = d.anySize ? 32 : size;
          const shapes = operandShapes(d, shapeSize, isMemory);
          const places = shapes.map((s) => `${s.place}${s.field ?? ''}${s.vector ?? ''}${s.bits}`).join(',');
          for (let stack = 0; stack < 3; stack++) {
            if (!d.stack && stack > 0) continue;
            if (d.stack && stack > 0 && size === 64) continue;
            if (d.stack && stack > 0 && d.only64) continue;
            for (const locked of [false, true]) {
              if (locked && !(d.lock && isMemory)) continue;
              if (!locked && d.implicitLock && isMemory) continue;
              // Only a memory destination is locked.
              if (locked && shapes[0]?.place !== 'memory') continue;
              let form = ` ${shapeSize}`;
              if (places) form += ` ${places}`;
              if (d.stack) form += ` ${STACKS[stack]}`;
              if (locked) form += ' lock';
              if (d.readOnly) form += ' r';
              const at = slot(d.id, size, isMemory, stack, locked);
              const key = meaningId + form;
              const known = found.get(key);
              if (known) known.slots.push(at);
              else {
                // Without the meaning's number, which changes with every new line of the table.
                const label = d.name + form;
                const hot = !!d.hot && HOT_KINDS.has(label);
                found.set(key, { number: 0, definition: d, size: shapeSize, shapes, stack: STACKS[stack], locked, hot, label, pair: null, slots: [at] });
              }
            }
          }
        }
      }
    }
    const all = [...found.values()];
    const hot = all.filter((k) => k.hot);
    const labels = new Set(hot.map((k) => k.label));
    const unknown = [...HOT_KINDS].filter((label) => !labels.has(label));
    if (unknown.length > 0) throw new Error(`hot-kinds.ts names kinds that do not exist or may not be inline: ${unknown.join('; ')}. Run scripts/profile-kinds.ts.`);
    const add = (kind: (typeof all)[number]): void => {
      kind.number = Pseudo.COUNT + this.kinds.length;
      this.kinds.push(kind);
      for (const at of kind.slots) this.bySlot[at] = kind.number;
    };
    hot.forEach(add);
    this.singleEnd = Pseudo.COUNT + hot.length;
    for (const [first, second] of HOT_PAIRS) {
      const firsts = first === 'ADDRESS' ? [Pseudo.ADDRESS] : hot.filter(({ label }) => label === first).map(({ number }) => number);
      const seconds = hot.filter(({ label }) => label === second);
      if (firsts.length * seconds.length === 0) throw new Error(`hot-pairs.ts names kinds that are not inline: ${first}, ${second}. Run scripts/profile-kinds.ts.`);
      for (const number of firsts) for (const kind of seconds) add({ ...kind, label: `${first} + ${second}`, pair: [number, kind.number], slots: [] });
    }
    for (const kind of all) if (!kind.hot) add(kind);
    this.hotEnd = Pseudo.COUNT + this.kinds.filter((kind) => kind.hot).length;
    this.pairs = new Uint16Array(this.singleEnd ** 2);
    for (const { number, pair } of this.kinds) if (pair) this.pairs[pair[0] * this.singleEnd + pair[1]] = number;
    if (Pseudo.COUNT + this.kinds.length >= 0xffff) throw new Error('record kinds do not fit into 16 bits');
  }

  /** The kind of a pair of records, or 0. */
  pairOf(first: number, second: number): number {
    return first < this.singleEnd && second < this.singleEnd ? this.pairs[first * this.singleEnd + second] : 0;
  }

  /** Each record is executed by itself from now on: for profiles. */
  splitPairs(): void {
    this.pairs.fill(0);
  }

  /** A record's own kind. */
  ownOf(number: number): number {
    return number < this.singleEnd || number >= this.hotEnd ? number : this.kinds[number - Pseudo.COUNT].pair![0];
  }

  /** A number that changes whenever the kinds do: interpreter.wasm and the decoder must agree. */
  get fingerprint(): number {
    let hash = 0x811c9dc5;
    for (const k of this.kinds) for (let n = 0; n < k.label.length; n++) hash = Math.imul(hash ^ k.label.charCodeAt(n), 0x01000193);
    return hash | 0;
  }

  /** Kind of an instruction; mode is Cpu.MODE. */
  numberOf(d: InstructionDefinition, size: number, isMemory: boolean, mode: number, locked: boolean): number {
    let stack = 0;
    if (d.stack && (mode & Mode.CODE_MASK) !== Mode.CODE64) stack = mode & Mode.FLAT ? 1 : 2;
    const number = this.bySlot[slot(d.id, size, isMemory, stack, locked || (isMemory && d.implicitLock === true))];
    if (number === 0xffff) throw new Error(`no record kind for ${d.name}, ${size} bits, ${isMemory ? 'memory' : 'register'}`);
    return number;
  }
}

export const kinds = new Kinds();
