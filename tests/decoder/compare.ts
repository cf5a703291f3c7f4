// Decoder and disassembler against iced-x86, case by case: validity, length, and the text of instruction and operands.
// Both texts are brought to one form where the two only name or spell things differently.

import { Decoder, DecodeResult } from '../../src/x86/decode.ts';
import { disassemble } from '../../src/x86/disassemble.ts';
import { Random } from '../oracle/random.ts';
import { icedDecode } from './iced.ts';

export type CodeSize = 16 | 32 | 64;

export interface Difference {
  /** The same for differences of the same cause: mode, iced's instruction, what differs. */
  readonly key: string;
  readonly text: string;
}

/** Memory operands whose size the instruction does not name, or of which only the address counts. */
const UNSIZED = /^(invlpg|bound|prefetch|clflush|fxsave|fxrstor|fnsave|frstor|fldenv|fnstenv|nop)/;
const STRING = /\b(ins|outs|movs|cmps|stos|lods|scas)[bwdq] /;

/** iced names ST(0) where assemblers leave it out, and leaves ST(1) out where it is the usual operand. */
function normaliseX87(text: string): string {
  return text
    .replace(/ st,(?=.*\[)/, ' ')
    .replace(/(\[.*\]),st$/, '$1')
    .replace(/^(fst\w* st\(\d\)),st$/, '$1')
    .replace(/^fld st,/, 'fld ')
    .replace(/^(fcomp?|fxch|fucomp?)$/, '$1 st,st(1)')
    .replace(/^(f(?:add|mul|subr?|divr?)p)$/, '$1 st(1),st');
}

function normalise(text: string): string {
  let t = text
    // Prefixes that mean nothing to this processor.
    .replace(/\b(xacquire|xrelease|bnd|notrack|hint-taken|hint-not-taken) /g, '')
    .replace(/\brep ret/, 'ret')
    // Seen in the operands.
    .replace(/^addr(16|32|64) (?!loop)/, '')
    .replace(/\bshort /, '')
    .replace('[rel ', '[')
    .replace(/ far 0x([0-9a-f]+),0x([0-9a-f]+)$/, ' far 0x$2:0x$1')
    .replace(/\bret far/, 'retf')
    .replace(/^xlat /, 'xlatb ')
    .replace(/^imul (\w+),(0x\w+)$/, 'imul $1,$1,$2')
    // The selector is a word, whatever register iced prints.
    .replace(/^((?:lar|lsl) \w+),\w+$/, '$1')
    // The destination of MASKMOVQ is implied; only its segment is named.
    .replace(/^(maskmov\w+ \w+,\w+),.*/, '$1')
    .replace(/^xchg (\w+),\1$/, 'nop')
    .replace(/^prefetch(_exclusive|wt1|w|_reserved\w*)/, 'prefetch');
  // REX.W changes nothing here: the upper half is zero or not looked at.
  if (/^(pinsrw|pextrw|p?movmsk)/.test(t)) t = t.replace(/\b(r\d+)d\b/, '$1').replace(/\be([a-ds][xpi])\b/, 'r$1');
  if (t.startsWith('f')) t = normaliseX87(t);
  if (STRING.test(t)) t = t.replace('es:[di]', '[di]').replace('es:[edi]', '[edi]').replace('es:[rdi]', '[rdi]');
  if (UNSIZED.test(t)) t = t.replace(/\w+ ptr /, '');
  // A hint that this processor does not know is a no-operation.
  if (/^(endbr|rdssp|nop|cldemote|prefetchit|reservednop)/.test(t)) t = 'nop';
  return t;
}

const decoder = new Decoder();
const hexBytes = (bytes: Uint8Array): string => Array.from(bytes.subarray(0, 16), (b) => b.toString(16).padStart(2, '0')).join(' ');

/** F3 41 90 is XCHG R8, RAX on processors (tried on an AMD EPYC); iced says PAUSE. */
const pauseOfR8 = (name: string, bytes: Uint8Array, length: number): boolean => name === 'Pause' && (bytes[length - 2] & 0xf1) === 0x41;

/** Compare one case; null if both agree. */
export function compare(bytes: Uint8Array, mode: CodeSize, address: bigint): Difference | null {
  const iced = icedDecode(bytes, mode, address);
  const result = decoder.decode(bytes, 0, bytes.length, mode);
  const length = result === DecodeResult.OK ? decoder.length : 0;
  const want = iced.offered ? iced.length : 0;
  const describe = (kind: string, ours: string, theirs: string): Difference => ({
    key: `${mode} ${iced.name} ${kind}`,
    text: `${mode}-bit ${hexBytes(bytes)}: ${ours} | iced: ${theirs} ${iced.features}`,
  });
  if (length !== want) {
    const kind = length === 0 ? 'refused' : want === 0 ? 'accepted' : 'length';
    return describe(kind, `${length} ${disassemble(bytes, 0, mode, address).text}`, `${want} ${iced.length ? iced.text() : '(invalid)'}`);
  }
  if (length === 0 || pauseOfR8(iced.name, bytes, length)) return null;
  const ours = disassemble(bytes, 0, mode, address);
  const theirs = iced.text();
  if (ours.length !== length || normalise(ours.text) !== normalise(theirs)) return describe('text', ours.text, theirs);
  return null;
}

const PREFIXES = [0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65];
const REX = [0x40, 0x41, 0x42, 0x44, 0x48, 0x49, 0x4c, 0x4f];

/** Longer than any instruction, so that the limit of 15 bytes and not the end of the bytes is met. */
export const SPAN = 24;

/** Bytes that are likely to be near the edges: prefixes in any number and order, all maps, all kinds of ModRM. */
export function randomCase(r: Random, bytes: Uint8Array, mode: CodeSize): void {
  let at = 0;
  const kind = r.below(100);
  const count = kind < 40 ? 0 : kind < 75 ? 1 : kind < 90 ? 2 : kind < 96 ? r.below(5) : r.below(16);
  for (let n = 0; n < count; n++) bytes[at++] = mode === 64 && r.chance(25) ? r.pick(REX) : r.pick(PREFIXES);
  if (mode === 64 && r.chance(30)) bytes[at++] = 0x40 | r.below(16);
  const map = r.below(100);
  if (map < 55) bytes[at++] = 0x0f;
  if (map < 8) bytes[at++] = r.chance(75) ? 0x38 : 0x3a;
  while (at < SPAN) bytes[at++] = r.u32();
}

export const CODE_SIZES = [16, 32, 64] as const;

/** Run random cases; gives one difference for each cause. */
export function compareRandom(seed: number, count: number): Map<string, Difference> {
  const r = new Random(seed);
  const bytes = new Uint8Array(SPAN);
  const found = new Map<string, Difference>();
  for (let n = 0; n < count; n++) {
    const mode = CODE_SIZES[n % 3];
    randomCase(r, bytes, mode);
    const address = BigInt.asUintN(mode, r.u64());
    const difference = compare(bytes, mode, address);
    if (difference && !found.has(difference.key)) found.set(difference.key, difference);
  }
  return found;
}
