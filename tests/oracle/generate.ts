// Makes test cases from the table of forms: prefixes, ModRM and SIB in all their variety, and registers set so that
// memory operands land where it is interesting: aligned, across pages, on the read-only page, on none.

import { forms, type Form, AF, ALL_FLAGS, CF, OF } from './forms.ts';
import { Random } from './random.ts';
import { CODE, CODE_SIZE, DATA, FS_BASE, GS_BASE, READ_ONLY, STACK, STACK_SIZE, type CodeMode } from './space.ts';
import { makeState, type State } from './state.ts';

export interface Patch {
  readonly address: number;
  readonly bytes: number[];
}

export interface TestCase {
  readonly form: Form;
  readonly mode: CodeMode;
  readonly seed: number;
  /** Offset of the instruction in CODE. */
  readonly offset: number;
  readonly bytes: readonly number[];
  /** Registers that differ from the seed's state, by number; 16 is RFLAGS. */
  readonly registers: ReadonlyMap<number, bigint>;
  readonly patches: readonly Patch[];
  /** Flags that the manual calls undefined here. */
  readonly undefinedFlags: number;
  /** The manual calls the whole result undefined: only exception and RIP count. */
  readonly undefinedResult: boolean;
}

const RAX = 0, RCX = 1, RDX = 2, RBX = 3, RSP = 4, RBP = 5, RSI = 6, RDI = 7;
const RFLAGS = 16;
const mask = (bits: number) => (1n << BigInt(bits)) - 1n;

const SELECTORS = [0, 3, 0x2b, 0x2b, 0x0f, 0x0f, 0x1f, 0x27, 0x2f, 0x37, 0x3f, 0x23, 0x33, 0x10, 0x18, 0x13, 0x1b, 0x2a, 0x28, 0x47, 0x17, 0x4f, 0x87, 0xfff8, 0xffff, 0x0e, 0x1d];
const CODE_SELECTORS = [0x23, 0x33, 0x23, 0x33, 0x17, 0x4f, 0x47, 0x37, 0x4f, 0x17, 0x0f, 0, 3, 0x3f, 0x2b, 0x10, 0x13, 0x20, 0x32, 0xfff8, 0x87];

class Builder {
  readonly registers = new Map<number, bigint>();
  readonly patches: Patch[] = [];
  readonly state: State;
  undefinedFlags: number;
  undefinedResult = false;
  operandSize = 32;
  addressSize = 32;
  /** Base of the memory operand's segment. */
  segmentBase = 0;
  /** Linear address of the memory operand, or -1. */
  memory = -1;
  overrideByte = 0;
  rexW = false;

  constructor(
    readonly form: Form,
    readonly mode: CodeMode,
    readonly seed: number,
    readonly offset: number,
    readonly r: Random,
  ) {
    this.state = makeState(seed, mode, form.x87);
    this.undefinedFlags = form.undefinedFlags;
  }

  get(n: number): bigint {
    return this.registers.get(n) ?? (n === RFLAGS ? BigInt(this.state.rflags) : this.state.gpr[n]);
  }

  /** Sets the low `bits` of a register. */
  set(n: number, value: bigint, bits = 64): void {
    const m = mask(bits);
    this.registers.set(n, (this.get(n) & ~m & mask(64)) | (value & m));
  }

  patch(address: number, value: bigint, size: number): void {
    const bytes: number[] = [];
    for (let i = 0; i < size; i++) bytes.push(Number((value >> BigInt(8 * i)) & 0xffn));
    this.patches.push({ address, bytes });
  }

  get stackLinear(): number {
    const sp = this.get(RSP);
    return this.mode === 16 ? DATA + Number(sp & 0xffffn) : Number(sp & 0xffff_ffffn);
  }

  /** An offset in CODE on INT3 bytes, away from the instruction. */
  codeTarget(): number {
    const r = this.r;
    for (;;) {
      const t = r.below(CODE_SIZE - 64);
      if (t < this.offset - 40 || t > this.offset + 40) return t;
    }
  }

  /** A code address as the mode's RIP. */
  ripOf(offset: number): number {
    return this.mode === 16 ? offset : CODE + offset;
  }

  target(): number {
    const r = this.r;
    const n = r.below(100);
    const aligned = this.form.aligned ? r.chance(90) : r.chance(40);
    if (n < 72) {
      const t = DATA + r.below(0x1fc0);
      return aligned ? t & ~15 : t;
    }
    if (n < 80) return aligned && this.form.aligned ? DATA + 0xff0 : DATA + 0x1000 - r.below(16);
    if (n < 84) return READ_ONLY - r.below(16);
    if (n < 88) return READ_ONLY + (r.below(0xff0) & (aligned ? ~15 : ~0));
    if (n < 90) return READ_ONLY + 0x1000 - r.below(12);
    if (n < 92) return READ_ONLY + 0x1000 + r.below(0xff0);
    if (n < 94) return CODE + r.below(CODE_SIZE - 64);
    return STACK + (r.below(STACK_SIZE - 64) & (aligned ? ~15 : ~0));
  }
}

const BASES16: readonly (readonly [number, number])[] = [
  [RBX, RSI], [RBX, RDI], [RBP, RSI], [RBP, RDI], [RSI, -1], [RDI, -1], [RBP, -1], [RBX, -1],
];

function signed(value: bigint, bits: number): bigint {
  return BigInt.asIntN(bits, value);
}

/** Appends ModRM (with mod = memory), SIB and displacement; sets registers so that the address is `linear`. */
function encodeMemory(b: Builder, out: number[], reg: number, rex: { x: number; b: number; possible: boolean }, tail: number): void {
  const { r, mode } = b;
  let linear = BigInt(b.target());
  if (mode === 64 && r.chance(2)) linear = r.pick([0x0000_8000_0000_0000n, 0x7fff_ffff_ffff_fff8n, 0x8000_0000_0000_0000n, 0x0000_7fff_ffff_fff9n + 8n]);
  const size = b.addressSize;
  const usesStack = b.form.size === 'd64' || b.form.setup === 'nearIndirect' || b.form.setup === 'farIndirect';
  const finish = (base: number) => {
    b.segmentBase = base;
    b.memory = linear < 0x1_0000_0000n ? Number(linear) : -1;
  };
  const put = (value: bigint, bytes: number) => {
    for (let i = 0; i < bytes; i++) out.push(Number((value >> BigInt(8 * i)) & 0xffn));
  };
  if (size === 16) {
    const rm = r.below(8);
    const mod = r.below(3);
    const direct = rm === 6 && mod === 0;
    const base = BigInt(segmentBase(b, !direct && (rm === 2 || rm === 3 || rm === 6)));
    const offset = (linear - base) & 0xffffn;
    out.push((mod << 6) | (reg << 3) | rm);
    if (direct) put(offset, 2);
    else {
      const displacement = mod === 0 ? 0n : mod === 1 ? BigInt(r.below(256) - 128) : BigInt(r.below(65536));
      const [first, second] = BASES16[rm];
      const rest = second >= 0 ? b.get(second) : 0n;
      b.set(first, offset - rest - displacement, 16);
      if (mod) put(displacement, mod);
    }
    finish(Number(base));
    return;
  }
  const bits = size;
  const kind = r.below(10);
  const extend = rex.possible && rex.b ? 8 : 0;
  const small = () => BigInt(r.below(512) - 256);
  if (kind === 0) {
    // disp32, or RIP-relative in 64-bit mode
    const base = BigInt(segmentBase(b, false));
    if (mode === 64 && linear > 0x7fff_ffffn) linear = BigInt(DATA);
    if (mode === 64 && r.chance(70)) {
      out.push((reg << 3) | 5);
      const next = BigInt(CODE + b.offset + out.length + 4 + tail);
      put(linear - base - next, 4);
    } else if (mode === 64) {
      out.push((reg << 3) | 4, 0x25);
      rex.x = 0;
      put(linear - base, 4);
    } else {
      out.push((reg << 3) | 5);
      put(linear - base, 4);
    }
    finish(Number(base));
    return;
  }
  let mod = r.below(3);
  let displacement = mod === 0 ? 0n : mod === 1 ? BigInt(r.below(256) - 128) : signed(BigInt(r.u32()), 32) >> BigInt(r.below(32));
  if (kind < 6) {
    // [base + displacement]
    let rm = r.below(8);
    if (rm === 4) rm = 3;
    if (rm === 5 && mod === 0) {
      mod = 1;
    }
    const n = rm + extend;
    const base = BigInt(segmentBase(b, n === RBP));
    b.set(n, linear - base - displacement, bits);
    out.push((mod << 6) | (reg << 3) | rm);
    if (mod) put(displacement, mod === 1 ? 1 : 4);
    finish(Number(base));
    return;
  }
  // SIB
  const scale = r.below(4);
  const indexLow = r.below(8);
  const index = indexLow + (rex.possible && rex.x ? 8 : 0);
  let baseLow = r.below(8);
  const noIndex = index === 4;
  const noBase = baseLow === 5 && mod === 0;
  if (usesStack && baseLow + extend === RSP) baseLow = 3;
  const baseRegister = baseLow + extend;
  const base = BigInt(segmentBase(b, !noBase && (baseRegister === RSP || baseRegister === RBP)));
  const offset = linear - base;
  if (noBase) {
    if (noIndex) {
      if (linear > 0x7fff_ffffn) linear = BigInt(DATA);
      displacement = linear - base;
    } else {
      const v = offset > 0x7fff_ffffn ? offset >> BigInt(scale) : small();
      b.set(index, v, bits);
      displacement = offset > 0x7fff_ffffn ? offset - (v << BigInt(scale)) : offset - (v << BigInt(scale));
    }
  } else if (noIndex) {
    b.set(baseRegister, offset - displacement, bits);
  } else if (baseRegister === index) {
    const factor = 1n + (1n << BigInt(scale));
    const v = (offset - (mod === 0 ? 0n : displacement)) / factor;
    b.set(index, v, bits);
    const rest = offset - v * factor;
    if (mod === 2) displacement = signed(rest, 32);
    else linear = base + v * factor + displacement;
  } else {
    const v = r.chance(80) ? small() : b.get(index);
    b.set(index, v, bits);
    b.set(baseRegister, offset - displacement - (v << BigInt(scale)), bits);
  }
  out.push((mod << 6) | (reg << 3) | 4, (scale << 6) | (indexLow << 3) | baseLow);
  if (noBase) put(displacement, 4);
  else if (mod) put(displacement, mod === 1 ? 1 : 4);
  finish(Number(base));
}

function segmentBase(b: Builder, stackDefault: boolean): number {
  const o = b.overrideByte;
  if (b.mode === 64) return o === 0x64 ? FS_BASE : o === 0x65 ? GS_BASE : 0;
  if (o === 0x64 || o === 0x65) return DATA;
  if (b.mode === 16) return o === 0x2e ? CODE : DATA;
  void stackDefault;
  return 0;
}

/** Makes case number `n` of a form; deterministic in (form, seed). Undefined where the form does not exist in the mode. */
export function makeCase(form: Form, mode: CodeMode, seed: number): TestCase | undefined {
  if (mode === 64 ? form.modes === 'not64' : form.modes === 'only64') return undefined;
  const r = new Random(seed ^ 0x5eed);
  const crossing = r.chance(6);
  const offset = crossing ? 0x1000 - 1 - r.below(6) : r.chance(2) ? CODE_SIZE - 1 - r.below(8) : 0x200 + r.below(0xc00);
  const b = new Builder(form, mode, seed, offset, r);

  // Prefixes.
  const prefixes: number[] = [];
  let repeat = 0;
  let operandPrefix = false;
  let addressPrefix = false;
  const vector = form.size === 'x';
  if (vector) {
    if (form.prefix === 0x66) operandPrefix = true;
    else if (form.prefix) {
      repeat = form.prefix;
      if (form.opcode[0] === 0x0f && r.chance(4)) operandPrefix = true;
    }
  } else {
    if (form.prefix) repeat = form.prefix;
    else if (!form.noRepeat && r.chance(3)) repeat = r.pick([0xf2, 0xf3]);
    const branch64 = mode === 64 && form.size === 'f64';
    const bswap = form.name === 'bswap' || form.name === 'movnti';
    if (!branch64 && !bswap && r.chance(form.size === 'b' ? 5 : 28)) operandPrefix = true;
    // LOOP and JCXZ decide on the address size; their 66 cuts RIP to 16 bits, in 32-bit code out of the page.
    if (form.size === 'f64' && mode === 32 && operandPrefix && r.chance(80)) operandPrefix = false;
  }
  if (repeat) prefixes.push(repeat);
  if (operandPrefix) prefixes.push(0x66);
  const isMemory = form.modrm && (form.mod === 'mem' || (form.mod === 'any' && r.chance(55)));
  const takesAddress = isMemory || form.setup === 'string' || form.setup === 'xlat' || form.setup === 'maskmov' || form.immediates[0] === 'moffs';
  if (r.chance(takesAddress ? 10 : 3) || (form.setup === 'loop' && r.chance(40))) {
    addressPrefix = true;
    prefixes.push(0x67);
  }
  const narrow = mode === 32 && addressPrefix;
  if (narrow && takesAddress && r.chance(85)) b.overrideByte = r.pick([0x64, 0x65]);
  else if (r.chance(takesAddress ? 14 : 3)) b.overrideByte = r.pick([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x64, 0x65]);
  if (b.overrideByte) prefixes.push(b.overrideByte);
  const lockable = form.lock && isMemory;
  // AMD's LOCK MOV CR0 is MOV CR8, and its VERR and VERW take LOCK.
  const locked = lockable ? r.chance(15) : !/^(mov cr|ver)/.test(form.name) && r.chance(1);
  if (locked) prefixes.push(0xf0);
  // Any order; some of them twice.
  for (let i = prefixes.length - 1; i > 0; i--) {
    const k = r.below(i + 1);
    [prefixes[i], prefixes[k]] = [prefixes[k], prefixes[i]];
  }
  if (prefixes.length > 0 && r.chance(4)) prefixes.push(r.pick(prefixes.filter((p) => p !== b.overrideByte || true)));

  const rex = { w: 0, r: 0, x: 0, b: 0, possible: mode === 64, present: false };
  if (mode === 64 && r.chance(form.size === 'b' || vector ? 50 : 65)) {
    rex.present = true;
    if (!form.noRexW && r.chance(50)) rex.w = 1;
    rex.r = r.below(2);
    rex.x = r.below(2);
    rex.b = r.below(2);
  } else rex.possible = false;
  b.rexW = rex.w === 1;
  const default32 = mode !== 16;
  b.operandSize = rex.w ? 64 : default32 !== operandPrefix ? 32 : 16;
  if (mode === 64 && form.size === 'd64' && !operandPrefix) b.operandSize = 64;
  if (mode === 64 && form.size === 'f64') b.operandSize = 64;
  if (form.size === 'b') b.operandSize = 8;
  b.addressSize = mode === 64 ? (addressPrefix ? 32 : 64) : (mode === 32) !== addressPrefix ? 32 : 16;

  prepare(b);

  const opcode = [...form.opcode];
  let immediateBytes = 0;
  const operandBytes = b.operandSize / 8;
  for (const i of form.immediates) {
    immediateBytes +=
      i === 'ib' || i === 'rel8' ? 1 : i === 'iw' ? 2 : i === 'iz' ? Math.min(operandBytes, 4) : i === 'iv' ? operandBytes : i === 'relz' ? Math.min(operandBytes, 4) : i === 'far' ? operandBytes + 2 : b.addressSize / 8;
  }
  const out: number[] = [...prefixes];
  // A REX prefix that is not the last prefix counts for nothing.
  if (mode === 64 && r.chance(2)) {
    const stray = 0x40 | r.below(16);
    if (out.length === 0) out.push(stray, 0x3e);
    else out.unshift(stray);
  }
  const rexAt = out.length;
  if (rex.present) out.push(0x40);
  out.push(...opcode);
  if (form.modrm) {
    const reg = form.digit >= 0 ? form.digit : r.below(8);
    if (isMemory) encodeMemory(b, out, reg, rex, immediateBytes);
    else out.push(0xc0 | (reg << 3) | (form.rm >= 0 ? form.rm : r.below(8)));
    afterOperand(b, isMemory ? -1 : (out[out.length - 1] & 7) + (rex.present && rex.b ? 8 : 0), reg + (rex.present && rex.r ? 8 : 0));
  }
  if (rex.present) out[rexAt] = 0x40 | (rex.w << 3) | (rex.r << 2) | (rex.x << 1) | rex.b;

  // Immediates.
  const put = (value: bigint, bytes: number) => {
    for (let i = 0; i < bytes; i++) out.push(Number((value >> BigInt(8 * i)) & 0xffn));
  };
  let firstImmediate = 0;
  for (const i of form.immediates) {
    const v = r.chance(50) ? BigInt(r.pick([0, 1, 2, 0x7f, 0x80, 0xff, -1, -2])) : r.u64() >> BigInt(r.below(64));
    switch (i) {
      case 'ib':
        firstImmediate = immediate8(b, Number(v & 0xffn));
        out.push(firstImmediate);
        break;
      case 'iw':
        if (form.setup === 'enter' || form.setup === 'ret' || form.setup === 'farRet') put(BigInt(r.below(64) * 2), 2);
        else put(v, 2);
        break;
      case 'iz':
        put(v, Math.min(operandBytes, 4));
        break;
      case 'iv':
        put(v, operandBytes);
        break;
      case 'rel8':
      case 'relz': {
        const bytes = i === 'rel8' ? 1 : Math.min(operandBytes, 4);
        const next = b.offset + out.length + bytes;
        let relative = r.chance(50) ? 24 + r.below(100) : -40 - r.below(80);
        if (bytes > 1) relative = b.codeTarget() - next;
        put(BigInt(relative), bytes);
        break;
      }
      case 'far': {
        const [sel, target] = farTarget(b);
        put(BigInt(target), operandBytes);
        put(BigInt(sel), 2);
        break;
      }
      case 'moffs': {
        const base = mode === 64 ? (b.overrideByte === 0x64 ? FS_BASE : b.overrideByte === 0x65 ? GS_BASE : 0) : segmentBase(b, false);
        let linear = BigInt(b.target());
        if (mode === 64 && r.chance(2)) linear = 0x0000_8000_0000_0000n;
        put(linear - BigInt(base), b.addressSize / 8);
        break;
      }
    }
  }
  flagsOfShift(b, firstImmediate);
  if (form.size !== 'x' && !form.x87 && r.chance(2) && form.setup !== 'iret' && form.setup !== 'popf') b.set(RFLAGS, b.get(RFLAGS) | 0x40000n);
  if (r.chance(3) || (form.setup === 'string' && r.chance(30))) b.set(RFLAGS, b.get(RFLAGS) | 0x400n);
  if (out.length > 16) return undefined;
  return {
    form,
    mode,
    seed,
    offset,
    bytes: out,
    registers: b.registers,
    patches: b.patches,
    undefinedFlags: b.undefinedFlags,
    undefinedResult: b.undefinedResult,
  };
}

function immediate8(b: Builder, v: number): number {
  const r = b.r;
  switch (b.form.setup) {
    case 'interrupt':
      // Linux's own system call gate is the one vector that must not be tried.
      return r.pick([0, 1, 3, 3, 4, 4, 13, 0x20, 0x7f, 0x81, 0xff]);
    case 'enter':
      return r.pick([0, 0, 1, 2, 3, 31, 32, 33, r.below(256)]);
    case 'aam':
      return r.pick([10, 10, 0, 1, 7, 16, 255, v]);
    default:
      return v;
  }
}

function farTarget(b: Builder): [number, number] {
  let sel = b.r.pick(CODE_SELECTORS);
  // From 16-bit code a 16-bit offset would lead 64-bit code to page 0, with a stack pointer of random upper bits.
  if (b.mode === 16 && sel >> 2 === 0xc) sel = 0x17;
  const offset = b.codeTarget();
  const based = (sel & 4) !== 0;
  return [sel, based ? offset : CODE + offset];
}

/** Registers and memory for the instruction, before the operand is encoded. */
function prepare(b: Builder): void {
  const { r, form } = b;
  switch (form.setup) {
    case 'divide': {
      // Half of the cases with a quotient that fits.
      const n = b.operandSize;
      if (n === 8) {
        if (r.chance(60)) b.set(RAX, BigInt(r.below(2000)), 16);
      } else if (r.chance(70)) {
        const negative = form.name === 'idiv' && r.chance(50);
        b.set(RDX, negative ? -1n : BigInt(r.below(3)), n);
      }
      break;
    }
    case 'compareExchange8':
      break;
    case 'string': {
      const size = b.addressSize;
      const near = form.prefix !== 0;
      const source = BigInt(r.chance(85) ? DATA + 0x400 + r.below(0x1400) : b.target());
      const destination = BigInt(r.chance(85) ? (r.chance(30) ? Number(source) + r.below(32) - 16 : DATA + 0x400 + r.below(0x1400)) : b.target());
      const sourceBase = segmentBase(b, false);
      const destinationBase = b.mode === 16 ? DATA : 0;
      b.set(RSI, source - BigInt(sourceBase), size);
      b.set(RDI, destination - BigInt(destinationBase), size);
      if (near) b.set(RCX, BigInt(r.chance(15) ? 0 : r.chance(90) ? r.below(20) : r.below(30)), size);
      if ((form.name === 'scas' || form.name === 'cmps') && r.chance(60)) {
        // Equal elements, so that REPE goes on.
        const bytes = Array.from({ length: 40 }, () => 0x41);
        const at = Number(destination) - (b.get(RFLAGS) & 0x400n ? 32 : 0);
        b.patches.push({ address: at, bytes });
        if (form.name === 'cmps') b.patches.push({ address: Number(source) - 8, bytes: bytes.map((v, i) => (i === 20 ? r.below(256) : v)) });
        else b.set(RAX, 0x4141_4141_4141_4141n);
      }
      break;
    }
    case 'xlat':
      b.set(RBX, BigInt(b.target()) - BigInt(segmentBase(b, false)) - (b.get(RAX) & 0xffn), b.addressSize);
      break;
    case 'maskmov':
      b.set(RDI, BigInt(b.target()) - BigInt(segmentBase(b, false)), b.addressSize);
      break;
    case 'loop':
      b.set(RCX, BigInt(r.pick([0, 1, 1, 2, 0xffff, 0x10000, 0x10001])), b.addressSize === 16 ? 32 : 64);
      if (b.addressSize === 32) b.set(RCX, BigInt(r.pick([0, 1, 2])), 32);
      break;
    case 'ret':
    case 'farRet':
    case 'iret': {
      let sp = b.stackLinear;
      if (sp & 7) sp = b.stackLinear;
      const n = b.mode === 64 && form.setup === 'ret' ? 8 : b.operandSize / 8;
      if (form.setup === 'ret') {
        b.patch(sp, BigInt(b.ripOf(b.codeTarget())), n);
        break;
      }
      let [sel, target] = farTarget(b);
      if (r.chance(50)) {
        sel = b.mode === 64 ? 0x33 : b.mode === 32 ? 0x23 : 0x17;
        target = b.ripOf(b.codeTarget());
      }
      const words: bigint[] = [BigInt(target), BigInt(sel)];
      if (form.setup === 'iret') {
        words.push(BigInt(r.u32() & 0x3c4cd5) | 0x202n);
        if (b.mode === 64) words.push(BigInt(STACK + 0x1000 + r.below(16) * 8), BigInt(r.chance(80) ? 0x2b : r.pick(SELECTORS)));
      }
      const bytes: number[] = [];
      for (const w of words) for (let i = 0; i < n; i++) bytes.push(Number((w >> BigInt(8 * i)) & 0xffn));
      b.patches.push({ address: sp, bytes });
      break;
    }
    case 'popf':
      b.patch(b.stackLinear, BigInt((r.u32() & ~0x100) >>> 0), b.operandSize / 8);
      break;
    case 'popSegment':
      b.patch(b.stackLinear, BigInt(r.pick(SELECTORS)), 2);
      break;
    case 'leave':
      b.set(RBP, BigInt(STACK + 0x800 + r.below(0x800) - (b.mode === 16 ? DATA : 0)), b.mode === 16 ? 32 : 64);
      break;
    case 'enter':
      b.set(RBP, BigInt(STACK + 0x1800 + r.below(0x100) * 8 - (b.mode === 16 ? DATA : 0)), b.mode === 16 ? 32 : 64);
      break;
  }
}

/** Registers and memory that depend on the operand. @param rm its register number, or -1: memory */
function afterOperand(b: Builder, rm: number, reg: number): void {
  const { r, form } = b;
  const bytes = b.operandSize / 8;
  const operand = (value: bigint, size: number) => {
    if (rm >= 0) {
      if (b.form.size === 'b' && !b.rexW && rm >= 4) return;
      b.set(rm, value, size * 8);
    } else if (b.memory >= 0) b.patch(b.memory, value, size);
  };
  switch (form.setup) {
    case 'divide':
      if (r.chance(70)) operand(BigInt(1 + r.below(100)) << BigInt(r.chance(30) ? b.operandSize - 8 : 0), bytes);
      break;
    case 'bitOffset':
      if (b.memory >= 0 && r.chance(80) && b.memory >= DATA && b.memory < READ_ONLY) {
        const room = (r.chance(50) ? -(b.memory - DATA) : READ_ONLY - 8 - b.memory) * 8;
        b.set(reg, BigInt(Math.trunc((room * r.below(1000)) / 1000)), b.operandSize);
      }
      break;
    case 'compareExchange':
      if (r.chance(50)) {
        // Equal: the operand's value in the accumulator.
        const value = b.get(RAX);
        operand(value, bytes);
      }
      break;
    case 'compareExchange8':
      if (b.memory >= 0 && r.chance(60)) {
        const n = b.rexW ? 64n : 32n;
        if (b.rexW && b.memory & 15 && r.chance(80)) break;
        const value = ((b.get(RDX) & mask(Number(n))) << n) | (b.get(RAX) & mask(Number(n)));
        b.patch(b.memory, value, Number(n) / 4);
      }
      break;
    case 'nearIndirect':
      operand(BigInt(b.ripOf(b.codeTarget())), b.mode === 64 ? 8 : bytes);
      break;
    case 'farIndirect': {
      const [sel, target] = farTarget(b);
      if (b.memory >= 0) b.patch(b.memory, (BigInt(sel) << BigInt(b.operandSize)) | BigInt.asUintN(b.operandSize, BigInt(target)), bytes + 2);
      break;
    }
    case 'farLoad':
      if (b.memory >= 0) b.patch(b.memory + bytes, BigInt(r.pick(SELECTORS)), 2);
      break;
    case 'selector':
    case 'segmentFromOperand':
      if (r.chance(90)) {
        if (rm >= 0) b.set(rm, BigInt(r.pick(SELECTORS)), 16);
        else if (b.memory >= 0) b.patch(b.memory, BigInt(r.pick(SELECTORS)), 2);
      }
      break;
    case 'bound':
      if (b.memory >= 0 && r.chance(70)) {
        const low = BigInt(r.below(1000) - 500);
        const high = low + BigInt(r.below(500));
        b.patch(b.memory, (BigInt.asUintN(b.operandSize, high) << BigInt(b.operandSize)) | BigInt.asUintN(b.operandSize, low), bytes * 2);
        b.set(reg, low + BigInt(r.below(600) - 50), b.operandSize);
      }
      break;
    case 'ldmxcsr':
      if (b.memory >= 0 && r.chance(85)) b.patch(b.memory, BigInt((r.u32() & 0xffff) >>> 0), 4);
      break;
  }
}

function flagsOfShift(b: Builder, immediate: number): void {
  const setup = b.form.setup;
  const match = /^(shift|rotate|doubleShift)(1|CL|Imm)$/.exec(setup);
  if (!match) return;
  const size = b.operandSize;
  const raw = match[2] === '1' ? 1 : match[2] === 'CL' ? Number(b.get(RCX) & 0xffn) : immediate;
  const count = raw & (size === 64 ? 63 : 31);
  if (count === 0) return;
  if (count !== 1) b.undefinedFlags |= OF;
  if (match[1] === 'rotate') return;
  b.undefinedFlags |= AF;
  if (match[1] === 'shift') {
    if (count >= size && b.form.name !== 'sar') b.undefinedFlags |= CF;
  } else if (count > size) {
    b.undefinedFlags = ALL_FLAGS;
    b.undefinedResult = true;
  }
}

export { forms };
