// Compares what the emulator did with what the real processor did, leaving out what the manual calls undefined.

import type { TestCase } from './generate.ts';
import { COMPARED_FLAGS, visible } from './recorded.ts';
import type { Outcome } from './protocol.ts';

const h = (v: number | bigint) => v.toString(16);
const bytes = (b: Uint8Array) => Array.from(b, (v) => v.toString(16).padStart(2, '0')).join('');

/** RCPPS and RSQRTPS give approximations: |relative error| <= 1.5 * 2^-12, each processor its own. */
function close(a: Uint8Array, b: Uint8Array): boolean {
  const x = new Float32Array(a.slice().buffer);
  const y = new Float32Array(b.slice().buffer);
  return x.every((v, i) => Object.is(v, y[i]) || (Number.isNaN(v) && Number.isNaN(y[i])) || Math.abs(v - y[i]) <= Math.abs(v) * 2 ** -10.4);
}

const FLAG_NAMES: [number, string][] = [[1, 'CF'], [4, 'PF'], [0x10, 'AF'], [0x40, 'ZF'], [0x80, 'SF'], [0x400, 'DF'], [0x800, 'OF'], [0x4000, 'NT'], [0x40000, 'AC'], [0x200000, 'ID']];

/** Differences in words; empty: they agree. */
export function compare(c: TestCase, want: Outcome, got: Outcome): string[] {
  const d: string[] = [];
  const say = (what: string, w: number | bigint, g: number | bigint) => d.push(`${what} ${h(g)}, processor ${h(w)}`);
  if (want.vector !== got.vector) say('vector', want.vector, got.vector);
  if (want.error !== got.error) say('error code', want.error, got.error);
  if (want.cr2 !== got.cr2) say('CR2', want.cr2, got.cr2);
  if (want.rip !== got.rip) say('RIP', want.rip, got.rip);
  if (c.undefinedResult) return d;
  let flags = COMPARED_FLAGS & ~c.undefinedFlags;
  // A fault inside REP CMPS or SCAS: Intel restores the flags from before the instruction, AMD keeps those of the last element.
  if (c.form.setup === 'string' && want.vector !== 3) flags &= ~0x8d5;
  const wrong = (want.rflags ^ got.rflags) & flags;
  if (wrong) d.push(`flags ${FLAG_NAMES.filter(([m]) => wrong & m).map(([m, n]) => `${n}=${got.rflags & m ? 1 : 0}`).join(' ')}, processor otherwise`);
  const { count, mask } = visible(c.mode);
  for (let i = 0; i < count; i++) if ((want.gpr[i] & mask) !== (got.gpr[i] & mask)) say(`r${i}`, want.gpr[i] & mask, got.gpr[i] & mask);
  // The kernel's IRET may clear the RPL of a null selector on the processor.
  const plain = (s: number) => (s < 4 ? 0 : s);
  want.selectors.forEach((s, i) => {
    if (plain(s) !== plain(got.selectors[i])) say(`${['ES', 'CS', 'SS', 'DS', 'FS', 'GS'][i]}`, s, got.selectors[i]);
  });
  for (let i = 0; i < 16; i++) {
    const w = want.xmm.subarray(i * 16, i * 16 + 16);
    const g = got.xmm.subarray(i * 16, i * 16 + 16);
    if (bytes(w) !== bytes(g) && !(c.form.approximate && close(w, g))) d.push(`XMM${i} ${bytes(g)}, processor ${bytes(w)}`);
  }
  for (let i = 0; i < 8; i++) {
    const w = want.st.subarray(i * 16, i * 16 + 10);
    const g = got.st.subarray(i * 16, i * 16 + 10);
    if (bytes(w) !== bytes(g)) d.push(`ST${i} ${bytes(g)}, processor ${bytes(w)}`);
  }
  if (want.mxcsr !== got.mxcsr) say('MXCSR', want.mxcsr, got.mxcsr);
  if (want.fcw !== got.fcw) say('FCW', want.fcw, got.fcw);
  if (want.fsw !== got.fsw) say('FSW', want.fsw, got.fsw);
  if (want.ftw !== got.ftw) say('FTW', want.ftw, got.ftw);
  const memory = (o: Outcome) => o.memory.map(([a, v]) => `${h(a)}:${h(v)}`).join(' ');
  if (memory(want) !== memory(got)) d.push(`memory ${memory(got)}, processor ${memory(want)}`);
  return d;
}

export function describe(c: TestCase): string {
  return `${c.mode}-bit ${c.form.name}: ${bytes(Uint8Array.from(c.bytes))} (seed ${h(c.seed >>> 0)})`;
}
