// The binary formats between the oracle and its native recorder: struct Input and struct Output of native/recorder.c.

import type { TestCase } from './generate.ts';
import { makeState, type State } from './state.ts';

export const INPUT_SIZE = 16 + 16 + 128 + 8 + 4 + 4 + 4 + 4 + 256 + 128 + 2 * 48;
const MAX_CHANGES = 256;
const OUTPUT_HEAD = 8 + 24 + 128 + 12 + 4 + 4 + 4 + 4 + 256 + 128;
export const OUTPUT_SIZE = OUTPUT_HEAD + MAX_CHANGES * 5;

/** What an instruction did. */
export interface Outcome {
  /** Exception vector; 3 is usually the INT3 after the instruction. */
  vector: number;
  error: number;
  cr2: bigint;
  rip: bigint;
  rflags: number;
  gpr: bigint[];
  /** ES CS SS DS FS GS */
  selectors: number[];
  mxcsr: number;
  fcw: number;
  fsw: number;
  ftw: number;
  xmm: Uint8Array;
  st: Uint8Array;
  /** Changed bytes of memory, by address. */
  memory: [number, number][];
}

/** The state with which the case starts: its seed's, with its own registers. */
export function initialState(c: TestCase): State {
  const s = makeState(c.seed, c.mode, c.form.x87);
  for (const [n, v] of c.registers) {
    if (n === 16) s.rflags = Number(v);
    else s.gpr[n] = v;
  }
  return s;
}

export function encodeInput(c: TestCase, view: DataView, at: number): void {
  const s = initialState(c);
  const bytes = new Uint8Array(view.buffer, view.byteOffset);
  view.setUint32(at, c.mode, true);
  view.setUint32(at + 4, c.offset, true);
  view.setUint32(at + 8, c.bytes.length, true);
  view.setUint32(at + 12, s.pool, true);
  bytes.set(c.bytes, at + 16);
  for (let i = 0; i < 16; i++) view.setBigUint64(at + 32 + i * 8, s.gpr[i], true);
  view.setBigUint64(at + 160, BigInt(s.rflags), true);
  view.setUint32(at + 168, s.mxcsr, true);
  view.setUint16(at + 172, s.fcw, true);
  view.setUint16(at + 174, s.fsw, true);
  view.setUint32(at + 176, s.ftw, true);
  view.setUint32(at + 180, c.patches.length, true);
  bytes.set(s.xmm, at + 184);
  bytes.set(s.st, at + 440);
  c.patches.forEach((p, i) => {
    const q = at + 568 + i * 48;
    view.setUint32(q, p.address, true);
    view.setUint32(q + 4, p.bytes.length, true);
    bytes.set(p.bytes, q + 8);
  });
}

/** Undefined where the instruction ran too long or changed too much memory to tell. */
export function decodeOutput(view: DataView, at: number): Outcome | undefined {
  const bytes = new Uint8Array(view.buffer, view.byteOffset);
  const gpr: bigint[] = [];
  for (let i = 0; i < 16; i++) gpr.push(view.getBigUint64(at + 32 + i * 8, true));
  const selectors: number[] = [];
  for (let i = 0; i < 6; i++) selectors.push(view.getUint16(at + 160 + i * 2, true));
  const changes = view.getUint32(at + 184, true);
  const vector = view.getUint32(at, true);
  if (vector === 0xff || changes > MAX_CHANGES) return undefined;
  const memory: [number, number][] = [];
  for (let i = 0; i < changes; i++) memory.push([view.getUint32(at + OUTPUT_HEAD + i * 4, true), bytes[at + OUTPUT_HEAD + MAX_CHANGES * 4 + i]]);
  return {
    vector,
    error: view.getUint32(at + 4, true),
    cr2: view.getBigUint64(at + 8, true),
    rip: view.getBigUint64(at + 16, true),
    rflags: Number(view.getBigUint64(at + 24, true)),
    gpr,
    selectors,
    mxcsr: view.getUint32(at + 172, true),
    fcw: view.getUint16(at + 176, true),
    fsw: view.getUint16(at + 178, true),
    ftw: view.getUint32(at + 180, true),
    xmm: bytes.slice(at + 188, at + 444),
    st: bytes.slice(at + 444, at + 572),
    memory,
  };
}
