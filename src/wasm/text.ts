// Function bodies as text, an instruction at a time: for listings of compiled code.
// WebAssembly core specification 3.0, 5.4 "Instructions", and the threads proposal's atomic ones; names and order of immediates are the text format's (6.5).
// What no function here has (references, exceptions, garbage collection) is not known.

/** Names by opcode, from the first on; '-' where there is none. */
const from = (first: number, names: string): ReadonlyMap<number, string> =>
  new Map(names.trim().split(/\s+/).flatMap((name, n) => (name === '-' ? [] : [[first + n, name] as const])));

const of = (type: string, names: string): string => names.replace(/[^\s-]\S*/g, (name) => `${type}.${name}`);

const COMPARE = 'eqz eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u';
const FLOAT_COMPARE = 'eq ne lt gt le ge';
const INTEGER = 'clz ctz popcnt add sub mul div_s div_u rem_s rem_u and or xor shl shr_s shr_u rotl rotr';
const FLOAT = 'abs neg ceil floor trunc nearest sqrt add sub mul div min max copysign';

/** Without immediates. */
const PLAIN = new Map([
  ...from(0x00, 'unreachable nop'),
  ...from(0x0f, 'return'),
  ...from(0x1a, 'drop select'),
  ...from(0x45, `${of('i32', COMPARE)} ${of('i64', COMPARE)} ${of('f32', FLOAT_COMPARE)} ${of('f64', FLOAT_COMPARE)} ${of('i32', INTEGER)} ${of('i64', INTEGER)} ${of('f32', FLOAT)} ${of('f64', FLOAT)}
    i32.wrap_i64 i32.trunc_f32_s i32.trunc_f32_u i32.trunc_f64_s i32.trunc_f64_u
    i64.extend_i32_s i64.extend_i32_u i64.trunc_f32_s i64.trunc_f32_u i64.trunc_f64_s i64.trunc_f64_u
    f32.convert_i32_s f32.convert_i32_u f32.convert_i64_s f32.convert_i64_u f32.demote_f64
    f64.convert_i32_s f64.convert_i32_u f64.convert_i64_s f64.convert_i64_u f64.promote_f32
    i32.reinterpret_f32 i64.reinterpret_f64 f32.reinterpret_i32 f64.reinterpret_i64
    i32.extend8_s i32.extend16_s i64.extend8_s i64.extend16_s i64.extend32_s`),
]);

/** With alignment and offset. */
const MEMORY = from(0x28, `i32.load i64.load f32.load f64.load i32.load8_s i32.load8_u i32.load16_s i32.load16_u
  i64.load8_s i64.load8_u i64.load16_s i64.load16_u i64.load32_s i64.load32_u
  i32.store i64.store f32.store f64.store i32.store8 i32.store16 i64.store8 i64.store16 i64.store32`);

const SATURATING = from(0, `i32.trunc_sat_f32_s i32.trunc_sat_f32_u i32.trunc_sat_f64_s i32.trunc_sat_f64_u
  i64.trunc_sat_f32_s i64.trunc_sat_f32_u i64.trunc_sat_f64_s i64.trunc_sat_f64_u`);

/** Behind 0xFD. */
const VECTOR_MEMORY = new Map([
  ...from(0x00, 'v128.load v128.load8x8_s v128.load8x8_u v128.load16x4_s v128.load16x4_u v128.load32x2_s v128.load32x2_u v128.load8_splat v128.load16_splat v128.load32_splat v128.load64_splat v128.store'),
  ...from(0x5c, 'v128.load32_zero v128.load64_zero'),
]);
const VECTOR_MEMORY_LANE = from(0x54, 'v128.load8_lane v128.load16_lane v128.load32_lane v128.load64_lane v128.store8_lane v128.store16_lane v128.store32_lane v128.store64_lane');
const VECTOR_LANE = from(0x15, `i8x16.extract_lane_s i8x16.extract_lane_u i8x16.replace_lane i16x8.extract_lane_s i16x8.extract_lane_u i16x8.replace_lane
  i32x4.extract_lane i32x4.replace_lane i64x2.extract_lane i64x2.replace_lane f32x4.extract_lane f32x4.replace_lane f64x2.extract_lane f64x2.replace_lane`);
const LANES_COMPARE = 'eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u';
const VECTOR = new Map([
  ...from(0x0e, 'i8x16.swizzle i8x16.splat i16x8.splat i32x4.splat i64x2.splat f32x4.splat f64x2.splat'),
  ...from(0x23, `${of('i8x16', LANES_COMPARE)} ${of('i16x8', LANES_COMPARE)} ${of('i32x4', LANES_COMPARE)} ${of('f32x4', FLOAT_COMPARE)} ${of('f64x2', FLOAT_COMPARE)}
    v128.not v128.and v128.andnot v128.or v128.xor v128.bitselect v128.any_true`),
  ...from(0x5e, 'f32x4.demote_f64x2_zero f64x2.promote_low_f32x4'),
  ...from(0x60, `${of('i8x16', 'abs neg popcnt all_true bitmask narrow_i16x8_s narrow_i16x8_u')} ${of('f32x4', 'ceil floor trunc nearest')}
    ${of('i8x16', 'shl shr_s shr_u add add_sat_s add_sat_u sub sub_sat_s sub_sat_u')} f64x2.ceil f64x2.floor
    ${of('i8x16', 'min_s min_u max_s max_u')} f64x2.trunc i8x16.avgr_u
    i16x8.extadd_pairwise_i8x16_s i16x8.extadd_pairwise_i8x16_u i32x4.extadd_pairwise_i16x8_s i32x4.extadd_pairwise_i16x8_u`),
  ...from(0x80, `${of('i16x8', `abs neg q15mulr_sat_s all_true bitmask narrow_i32x4_s narrow_i32x4_u extend_low_i8x16_s extend_high_i8x16_s extend_low_i8x16_u extend_high_i8x16_u
      shl shr_s shr_u add add_sat_s add_sat_u sub sub_sat_s sub_sat_u`)} f64x2.nearest
    ${of('i16x8', 'mul min_s min_u max_s max_u - avgr_u extmul_low_i8x16_s extmul_high_i8x16_s extmul_low_i8x16_u extmul_high_i8x16_u')}`),
  ...from(0xa0, of('i32x4', `abs neg - all_true bitmask - - extend_low_i16x8_s extend_high_i16x8_s extend_low_i16x8_u extend_high_i16x8_u shl shr_s shr_u add - - sub - - -
    mul min_s min_u max_s max_u dot_i16x8_s - extmul_low_i16x8_s extmul_high_i16x8_s extmul_low_i16x8_u extmul_high_i16x8_u`)),
  ...from(0xc0, of('i64x2', `abs neg - all_true bitmask - - extend_low_i32x4_s extend_high_i32x4_s extend_low_i32x4_u extend_high_i32x4_u shl shr_s shr_u add - - sub - - -
    mul eq ne lt_s gt_s le_s ge_s extmul_low_i32x4_s extmul_high_i32x4_s extmul_low_i32x4_u extmul_high_i32x4_u`)),
  ...from(0xe0, `${of('f32x4', 'abs neg - sqrt add sub mul div min max pmin pmax')} ${of('f64x2', 'abs neg - sqrt add sub mul div min max pmin pmax')}
    i32x4.trunc_sat_f32x4_s i32x4.trunc_sat_f32x4_u f32x4.convert_i32x4_s f32x4.convert_i32x4_u
    i32x4.trunc_sat_f64x2_s_zero i32x4.trunc_sat_f64x2_u_zero f64x2.convert_low_i32x4_s f64x2.convert_low_i32x4_u`),
]);

/** Behind 0xFE. */
const ATOMIC = new Map([
  ...from(0x00, 'memory.atomic.notify memory.atomic.wait32 memory.atomic.wait64'),
  ...from(0x10, `i32.atomic.load i64.atomic.load i32.atomic.load8_u i32.atomic.load16_u i64.atomic.load8_u i64.atomic.load16_u i64.atomic.load32_u
    i32.atomic.store i64.atomic.store i32.atomic.store8 i32.atomic.store16 i64.atomic.store8 i64.atomic.store16 i64.atomic.store32`),
  ...from(0x1e, ['add', 'sub', 'and', 'or', 'xor', 'xchg', 'cmpxchg'].flatMap((what) =>
    ['i32.atomic.rmw', 'i64.atomic.rmw', 'i32.atomic.rmw8', 'i32.atomic.rmw16', 'i64.atomic.rmw8', 'i64.atomic.rmw16', 'i64.atomic.rmw32'].map((how) => `${how}.${what}${/\d$/.test(how.slice(10)) ? '_u' : ''}`)).join(' ')),
]);

/** Alignment that the text format leaves out, as a power of two: all bytes of the access. */
function naturalAlignment(name: string): number {
  const bits = /load(?:8x8|16x4|32x2)|load64_|store64_/.test(name) ? 64 : /(?:load|store|rmw)(8|16|32)|wait(32|64)/.exec(name)?.slice(1).find(Boolean) ?? (name.endsWith('notify') ? 32 : /\d+/.exec(name)![0]);
  return Math.log2(Number(bits) / 8);
}

const TYPES: Readonly<Record<number, string>> = { 0x7f: 'i32', 0x7e: 'i64', 0x7d: 'f32', 0x7c: 'f64', 0x7b: 'v128' };

/** Names of what instructions refer to by numbers; without them the text has the numbers. */
export interface Names {
  local?(index: number): string | undefined;
  function?(index: number): string | undefined;
}

export interface Instruction {
  /** Where it begins, and ends, in the body. */
  readonly at: number;
  readonly end: number;
  readonly name: string;
  /** With its immediates. */
  readonly text: string;
  /** Blocks, loops and ifs around it; around those that begin and end one, as many as around the whole. */
  readonly depth: number;
}

class Reader {
  constructor(
    private readonly bytes: Uint8Array,
    public at: number,
  ) {}

  byte(): number {
    if (this.at >= this.bytes.length) throw new Error('the code ends in the midst of an instruction');
    return this.bytes[this.at++];
  }

  view(length: number): DataView {
    const { buffer, byteOffset } = this.bytes;
    if (this.at + length > this.bytes.length) throw new Error('the code ends in the midst of an instruction');
    this.at += length;
    return new DataView(buffer, byteOffset + this.at - length, length);
  }

  u32(): number {
    return Number(this.leb(false));
  }

  signed(): bigint {
    return this.leb(true);
  }

  private leb(isSigned: boolean): bigint {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (!(byte & 0x80)) return isSigned ? BigInt.asIntN(Number(shift) + 7, value) : value;
    }
  }
}

/** Shortest decimal that stands for the number; not-a-numbers with their bits. */
function float(value: number, bits: bigint, fraction: bigint): string {
  if (!Number.isNaN(value)) return Object.is(value, -0) ? '-0' : value === Infinity ? 'inf' : value === -Infinity ? '-inf' : String(value);
  const payload = bits & ((1n << fraction) - 1n);
  return `nan:0x${payload.toString(16)}`;
}

/**
 * The instructions of a function's body, without its locals, as in a module: with or without the END behind the last.
 * @throws Error where an opcode is not known
 */
export function instructionsOf(body: Uint8Array, names: Names = {}): Instruction[] {
  const r = new Reader(body, 0);
  const out: Instruction[] = [];
  let depth = 0;
  const local = (): string => {
    const index = r.u32();
    return `$${names.local?.(index) ?? index}`;
  };
  const func = (): string => {
    const index = r.u32();
    return `$${names.function?.(index) ?? index}`;
  };
  const blockType = (): string => {
    const type = r.signed();
    if (type >= 0n) return ` (type ${type})`;
    return type === -64n ? '' : ` (result ${TYPES[Number(type) & 0x7f]})`;
  };
  const memory = (name: string): string => {
    const align = r.u32();
    const offset = r.u32();
    return `${name}${offset ? ` offset=${offset}` : ''}${align === naturalAlignment(name) ? '' : ` align=${2 ** align}`}`;
  };
  const unknown = (prefix: string, code: number): never => {
    throw new Error(`opcode ${prefix}0x${code.toString(16)} is not known`);
  };
  /** The text; its first word is the name. */
  const read = (code: number): string => {
    const plain = PLAIN.get(code);
    if (plain) return plain;
    const access = MEMORY.get(code);
    if (access) return memory(access);
    switch (code) {
      case 0x02:
        return `block${blockType()}`;
      case 0x03:
        return `loop${blockType()}`;
      case 0x04:
        return `if${blockType()}`;
      case 0x05:
        return 'else';
      case 0x0b:
        return 'end';
      case 0x0c:
        return `br ${r.u32()}`;
      case 0x0d:
        return `br_if ${r.u32()}`;
      case 0x0e: {
        const count = r.u32();
        return `br_table ${Array.from({ length: count + 1 }, () => r.u32()).join(' ')}`;
      }
      case 0x10:
        return `call ${func()}`;
      case 0x12:
        return `return_call ${func()}`;
      case 0x11:
      case 0x13: {
        const type = r.u32();
        const table = r.u32();
        return `${code === 0x11 ? 'call_indirect' : 'return_call_indirect'} ${table} (type ${type})`;
      }
      case 0x1c:
        return `select${Array.from({ length: r.u32() }, () => ` (result ${TYPES[r.byte()]})`).join('')}`;
      case 0x20:
        return `local.get ${local()}`;
      case 0x21:
        return `local.set ${local()}`;
      case 0x22:
        return `local.tee ${local()}`;
      case 0x23:
        return `global.get ${r.u32()}`;
      case 0x24:
        return `global.set ${r.u32()}`;
      case 0x3f:
      case 0x40:
        r.u32();
        return code === 0x3f ? 'memory.size' : 'memory.grow';
      case 0x41:
        return `i32.const ${r.signed()}`;
      case 0x42:
        return `i64.const ${r.signed()}`;
      case 0x43: {
        const view = r.view(4);
        return `f32.const ${float(view.getFloat32(0, true), BigInt(view.getUint32(0, true)), 23n)}`;
      }
      case 0x44: {
        const view = r.view(8);
        return `f64.const ${float(view.getFloat64(0, true), view.getBigUint64(0, true), 52n)}`;
      }
      case 0xfc: {
        const more = r.u32();
        if (more >= 8 && more <= 11) {
          // Numbers of segments and memories, in this order.
          const immediates = Array.from({ length: more === 8 || more === 10 ? 2 : 1 }, () => r.u32());
          return ['memory.init', 'data.drop', 'memory.copy', 'memory.fill'][more - 8] + (more < 10 ? ` ${immediates[0]}` : '');
        }
        return SATURATING.get(more) ?? unknown('0xfc ', more);
      }
      case 0xfd: {
        const more = r.u32();
        if (more === 0x0c) {
          const view = r.view(16);
          return `v128.const i32x4 ${[0, 4, 8, 12].map((at) => `0x${view.getUint32(at, true).toString(16).padStart(8, '0')}`).join(' ')}`;
        }
        if (more === 0x0d) return `i8x16.shuffle ${Array.from({ length: 16 }, () => r.byte()).join(' ')}`;
        const vector = VECTOR.get(more);
        if (vector) return vector;
        const lane = VECTOR_LANE.get(more);
        if (lane) return `${lane} ${r.byte()}`;
        const laneAccess = VECTOR_MEMORY_LANE.get(more);
        if (laneAccess) return `${memory(laneAccess)} ${r.byte()}`;
        const vectorAccess = VECTOR_MEMORY.get(more);
        return vectorAccess ? memory(vectorAccess) : unknown('0xfd ', more);
      }
      case 0xfe: {
        const more = r.u32();
        if (more === 3) {
          r.byte();
          return 'atomic.fence';
        }
        const atomic = ATOMIC.get(more);
        return atomic ? memory(atomic) : unknown('0xfe ', more);
      }
      default:
        return unknown('', code);
    }
  };
  while (r.at < body.length) {
    const { at } = r;
    const code = r.byte();
    const text = read(code);
    const ends = code === 0x05 || code === 0x0b;
    if (ends) depth--;
    out.push({ at, end: r.at, name: text.split(' ', 1)[0], text, depth: Math.max(0, depth) });
    if (code >= 0x02 && code <= 0x05) depth++;
  }
  return out;
}
