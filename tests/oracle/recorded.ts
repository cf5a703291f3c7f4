// One recorded case is one line of text: the instruction, the registers that differ from the seed's state, and what the
// real processor changed. README.md describes the fields.

import { forms, type Form } from './forms.ts';
import type { Patch, TestCase } from './generate.ts';
import { initialState, type Outcome } from './protocol.ts';
import { CODE, initialSelectors, type CodeMode } from './space.ts';
import type { State } from './state.ts';

/** RFLAGS bits that are compared: arithmetic flags, DF, NT, AC, ID. */
export const COMPARED_FLAGS = 0x8d5 | 0x400 | 0x4000 | 0x40000 | 0x200000;

export interface RecordedCase {
  readonly case: TestCase;
  readonly outcome: Outcome;
}

const hex = (bytes: ArrayLike<number>) => Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('');
const unhex = (text: string) => Array.from({ length: text.length / 2 }, (_, i) => parseInt(text.slice(i * 2, i * 2 + 2), 16));

/** Linear start address of the instruction, as RIP. */
export const startRip = (c: TestCase) => BigInt(c.offset + (c.mode === 16 ? 0 : CODE));

/** Which registers the mode shows: number and width. */
export const visible = (mode: CodeMode) => (mode === 64 ? { count: 16, mask: 0xffff_ffff_ffff_ffffn } : { count: 8, mask: 0xffff_ffffn });

function formKey(f: Form): string {
  return [f.name, f.prefix ? `${f.prefix.toString(16)}:` : '', hex(f.opcode), f.digit >= 0 ? `/${f.digit}` : '', f.rm >= 0 ? `:${f.rm}` : '', f.mod === 'any' ? '' : f.mod[0]].join(',');
}

const keys = forms.map(formKey);
const byKey = new Map(keys.map((k, i) => [k, forms[i]]));

export function formatCase(c: TestCase, o: Outcome): string {
  const s = initialState(c);
  const f: string[] = [`${c.mode}`, keys[forms.indexOf(c.form)].replaceAll(' ', '_'), c.offset.toString(16), hex(c.bytes), (c.seed >>> 0).toString(16)];
  if (c.undefinedResult) f.push('U');
  if (c.undefinedFlags) f.push(`u${c.undefinedFlags.toString(16)}`);
  for (const [n, v] of c.registers) f.push(`r${n.toString(17)}=${v.toString(16)}`);
  for (const p of c.patches) f.push(`@${p.address.toString(16)}=${hex(p.bytes)}`);
  f.push('>');
  if (o.vector !== 3) f.push(`v${o.vector.toString(16)}`);
  if (o.error) f.push(`e${o.error.toString(16)}`);
  if (o.cr2) f.push(`c${o.cr2.toString(16)}`);
  f.push(`i${(o.rip - startRip(c)).toString(16)}`);
  const flags = o.rflags & COMPARED_FLAGS;
  if (flags !== (s.rflags & COMPARED_FLAGS)) f.push(`f${flags.toString(16)}`);
  const { count, mask } = visible(c.mode);
  for (let i = 0; i < count; i++) if ((o.gpr[i] & mask) !== (s.gpr[i] & mask)) f.push(`r${i.toString(16)}=${(o.gpr[i] & mask).toString(16)}`);
  initialSelectors(c.mode).forEach((v, i) => {
    if (o.selectors[i] !== v) f.push(`S${i}=${o.selectors[i].toString(16)}`);
  });
  for (let i = 0; i < 16; i++) {
    const now = o.xmm.subarray(i * 16, i * 16 + 16);
    if (hex(now) !== hex(s.xmm.subarray(i * 16, i * 16 + 16))) f.push(`x${i.toString(16)}=${hex(now)}`);
  }
  for (let i = 0; i < 8; i++) {
    const now = o.st.subarray(i * 16, i * 16 + 10);
    if (hex(now) !== hex(s.st.subarray(i * 16, i * 16 + 10))) f.push(`s${i}=${hex(now)}`);
  }
  if (o.mxcsr !== s.mxcsr) f.push(`m${o.mxcsr.toString(16)}`);
  if (o.fcw !== s.fcw || o.fsw !== s.fsw || o.ftw !== s.ftw) f.push(`w${o.fcw.toString(16)},${o.fsw.toString(16)},${o.ftw.toString(16)}`);
  for (let i = 0; i < o.memory.length; ) {
    let k = i + 1;
    while (k < o.memory.length && o.memory[k][0] === o.memory[k - 1][0] + 1) k++;
    f.push(`@${o.memory[i][0].toString(16)}=${hex(o.memory.slice(i, k).map((m) => m[1]))}`);
    i = k;
  }
  return f.join(' ');
}

export function parseCase(line: string): RecordedCase {
  const fields = line.split(' ');
  const arrow = fields.indexOf('>');
  const [mode, key, offset, bytes, seed] = fields;
  const form = byKey.get(key.replaceAll('_', ' '));
  if (!form) throw new Error(`No form ${key} in forms.ts: record anew`);
  const registers = new Map<number, bigint>();
  const patches: Patch[] = [];
  let undefinedFlags = 0;
  let undefinedResult = false;
  for (const f of fields.slice(5, arrow)) {
    const equals = f.indexOf('=');
    const value = f.slice(equals + 1);
    if (f === 'U') undefinedResult = true;
    else if (f[0] === 'u') undefinedFlags = parseInt(f.slice(1), 16);
    else if (f[0] === 'r') registers.set(parseInt(f.slice(1, equals), 17), BigInt(`0x${value}`));
    else if (f[0] === '@') patches.push({ address: parseInt(f.slice(1, equals), 16), bytes: unhex(value) });
    else throw new Error(`Unknown field ${f}`);
  }
  const c: TestCase = {
    form,
    mode: +mode as CodeMode,
    seed: parseInt(seed, 16),
    offset: parseInt(offset, 16),
    bytes: unhex(bytes),
    registers,
    patches,
    undefinedFlags,
    undefinedResult,
  };
  const s: State = initialState(c);
  const o: Outcome = {
    vector: 3,
    error: 0,
    cr2: 0n,
    rip: 0n,
    rflags: s.rflags,
    gpr: [...s.gpr],
    selectors: [...initialSelectors(c.mode)],
    mxcsr: s.mxcsr,
    fcw: s.fcw,
    fsw: s.fsw,
    ftw: s.ftw,
    xmm: s.xmm.slice(),
    st: s.st.slice(),
    memory: [],
  };
  for (const f of fields.slice(arrow + 1)) {
    const equals = f.indexOf('=');
    const value = f.slice(equals + 1);
    const n = parseInt(f.slice(1, equals), 16);
    switch (f[0]) {
      case 'v':
        o.vector = parseInt(f.slice(1), 16);
        break;
      case 'e':
        o.error = parseInt(f.slice(1), 16);
        break;
      case 'c':
        o.cr2 = BigInt(`0x${f.slice(1)}`);
        break;
      case 'i':
        o.rip = startRip(c) + (f[1] === '-' ? -BigInt(`0x${f.slice(2)}`) : BigInt(`0x${f.slice(1)}`));
        break;
      case 'f':
        o.rflags = parseInt(f.slice(1), 16);
        break;
      case 'r':
        o.gpr[n] = BigInt(`0x${value}`);
        break;
      case 'S':
        o.selectors[n] = parseInt(value, 16);
        break;
      case 'x':
        o.xmm.set(unhex(value), n * 16);
        break;
      case 's':
        o.st.set(unhex(value), n * 16);
        break;
      case 'm':
        o.mxcsr = parseInt(f.slice(1), 16);
        break;
      case 'w':
        [o.fcw, o.fsw, o.ftw] = f.slice(1).split(',').map((v) => parseInt(v, 16));
        break;
      case '@':
        unhex(value).forEach((b, i) => o.memory.push([n + i, b]));
        break;
      default:
        throw new Error(`Unknown field ${f}`);
    }
  }
  return { case: c, outcome: o };
}
