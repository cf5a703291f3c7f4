// Replays lines recorded by x87.c against core.wasm and says where they differ.
// The line format is described at the top of x87.c. The opcode map is the Intel SDM's, volume 2, appendix A.5 (escape opcodes).

import { Cpu, Mem, Rflags, FlagKind } from '../../../src/core/layout.ts';

/** core.wasm's exports, by name. 64-bit arguments and results are BigInts. */
export type CoreExports = Record<string, (...args: (number | bigint)[]) => number | bigint>;

const CPU = Mem.CPU as number;
/** Guest memory operands lie here; with CR0.PG clear, physical and linear addresses are the same. */
export interface Guest {
  readonly view: DataView;
  readonly core: CoreExports;
  /** Linear address of the operand in the guest, and its place in the shared memory. */
  readonly linear: number;
  readonly host: number;
}

/** How far a transcendental result may be from the recorded one, in units of its last place. */
const TRANSCENDENTAL_ULPS = 1n;

export const STORE_KINDS: Record<string, [number, number, number]> = {
  // opcode/reg: kind, bytes, pops
  'd9/2': [0, 4, 0], 'd9/3': [0, 4, 1], 'dd/2': [1, 8, 0], 'dd/3': [1, 8, 1], 'db/7': [2, 10, 1],
  'df/2': [3, 2, 0], 'df/3': [3, 2, 1], 'db/2': [4, 4, 0], 'db/3': [4, 4, 1], 'df/7': [5, 8, 1],
  'df/1': [6, 2, 1], 'db/1': [7, 4, 1], 'dd/1': [8, 8, 1], 'df/6': [9, 10, 1],
};

function execute(g: Guest, form: string): true {
  instruction(g, form);
  return true;
}

function instruction(g: Guest, form: string): void {
  const { core, view, host } = g;
  const opcode = parseInt(form.slice(0, 2), 16);
  const modrm = parseInt(form.slice(2, 4), 16);
  const reg = (modrm >> 3) & 7;
  const i = modrm & 7;
  const u64 = () => view.getBigUint64(host, true);
  if (form.endsWith('m')) {
    const key = `${form.slice(0, 2)}/${reg}`;
    const store = STORE_KINDS[key];
    if (store) {
      if (core.x87_store(CPU, store[0])) {
        for (let n = 0; n < store[1]; n++) view.setUint8(host + n, view.getUint8(CPU + Cpu.TMP128 + n));
        core.x87_stored(CPU, store[2]);
      } else {
        core.x87_stored(CPU, 0);
      }
      return;
    }
    switch (opcode) {
      case 0xd8: core.x87_arith_m32(CPU, reg, u64()); return;
      case 0xdc: core.x87_arith_m64(CPU, reg, u64()); return;
      case 0xda: core.x87_arith_int(CPU, reg, BigInt(view.getInt32(host, true))); return;
      case 0xde: core.x87_arith_int(CPU, reg, BigInt(view.getInt16(host, true))); return;
    }
    const va = BigInt(g.linear);
    switch (key) {
      case 'd9/0': core.x87_fld_m32(CPU, u64()); return;
      case 'dd/0': core.x87_fld_m64(CPU, u64()); return;
      case 'db/5': core.x87_fld_m80(CPU, u64(), BigInt(view.getUint16(host + 8, true))); return;
      case 'df/0': core.x87_fild(CPU, BigInt(view.getInt16(host, true))); return;
      case 'db/0': core.x87_fild(CPU, BigInt(view.getInt32(host, true))); return;
      case 'df/5': core.x87_fild(CPU, view.getBigInt64(host, true)); return;
      case 'df/4': core.x87_fbld(CPU, u64(), BigInt(view.getUint16(host + 8, true))); return;
      case 'd9/5': core.x87_fldcw(CPU, BigInt(view.getUint16(host, true))); return;
      case 'd9/7': view.setUint16(host, view.getUint32(CPU + Cpu.FCW, true), true); return;
      case 'dd/7': view.setUint16(host, view.getUint32(CPU + Cpu.FSW, true), true); return;
      case 'd9/4': core.x87_fldenv(CPU, va, 32); return;
      case 'd9/6': core.x87_fnstenv(CPU, va, 32); return;
      case 'dd/4': core.x87_frstor(CPU, va, 32); return;
      case 'dd/6': core.x87_fnsave(CPU, va, 32); return;
    }
    throw new Error(`no memory form ${form}`);
  }
  const condition = () => {
    const flags = view.getUint32(CPU + Cpu.FLAG_X, true);
    const negate = opcode === 0xdb;
    const holds = [flags & Rflags.CF, flags & Rflags.ZF, flags & (Rflags.CF | Rflags.ZF), flags & Rflags.PF][reg & 3] !== 0;
    return holds !== negate ? 1 : 0;
  };
  const setFlags = (flags: number | bigint) => view.setBigUint64(CPU + Cpu.FLAG_X, BigInt(flags), true);
  const high = modrm & 0xf8;
  switch (opcode) {
    case 0xd8:
      if (reg === 2 || reg === 3) core.x87_com(CPU, i, 0, reg - 2);
      else core.x87_arith(CPU, reg, 0, i, 0);
      return;
    case 0xdc:
    case 0xde:
      if (modrm === 0xd9) core.x87_com(CPU, 1, 0, 2);
      // Here the reg field's SUB and DIV are from ST(0)'s point of view.
      else core.x87_arith(CPU, reg < 4 ? reg : reg ^ 1, i, 0, opcode === 0xde ? 1 : 0);
      return;
    case 0xda:
      if (modrm === 0xe9) core.x87_com(CPU, 1, 1, 2);
      else core.x87_fcmov(CPU, i, condition());
      return;
    case 0xdb:
      if (modrm === 0xe2) core.x87_fnclex(CPU);
      else if (modrm === 0xe3) core.x87_fninit(CPU);
      else if (high === 0xe8) setFlags(core.x87_comi(CPU, i, 1, 0));
      else if (high === 0xf0) setFlags(core.x87_comi(CPU, i, 0, 0));
      else core.x87_fcmov(CPU, i, condition());
      return;
    case 0xdd:
      if (high === 0xc0) core.x87_ffree(CPU, i, 0);
      else if (high === 0xd0) core.x87_fst_st(CPU, i, 0);
      else if (high === 0xd8) core.x87_fst_st(CPU, i, 1);
      else core.x87_com(CPU, i, 1, high === 0xe8 ? 1 : 0);
      return;
    case 0xdf:
      if (high === 0xc0) core.x87_ffree(CPU, i, 1);
      else setFlags(core.x87_comi(CPU, i, high === 0xe8 ? 1 : 0, 1));
      return;
  }
  if (high === 0xc0) core.x87_fld_st(CPU, i);
  else if (high === 0xc8) core.x87_fxch(CPU, i);
  else if (modrm >= 0xe8 && modrm <= 0xee) core.x87_constant(CPU, i);
  else {
    const single: Record<number, () => unknown> = {
      0xd0: () => 0,
      0xe0: () => core.x87_fchs(CPU), 0xe1: () => core.x87_fabs(CPU), 0xe4: () => core.x87_ftst(CPU), 0xe5: () => core.x87_fxam(CPU),
      0xf0: () => core.x87_f2xm1(CPU), 0xf1: () => core.x87_fyl2x(CPU), 0xf2: () => core.x87_fptan(CPU), 0xf3: () => core.x87_fpatan(CPU),
      0xf4: () => core.x87_fxtract(CPU), 0xf5: () => core.x87_fprem(CPU, 1), 0xf6: () => core.x87_rotate(CPU, 7),
      0xf7: () => core.x87_rotate(CPU, 1), 0xf8: () => core.x87_fprem(CPU, 0), 0xf9: () => core.x87_fyl2xp1(CPU),
      0xfa: () => core.x87_fsqrt(CPU), 0xfb: () => core.x87_fsincos(CPU), 0xfc: () => core.x87_frndint(CPU), 0xfd: () => core.x87_fscale(CPU),
      0xfe: () => core.x87_fsin(CPU, 0), 0xff: () => core.x87_fsin(CPU, 1),
    };
    single[modrm]();
  }
}

function hexBytes(g: Guest, text: string): void {
  if (text === '-') return;
  for (let n = 0; n < text.length; n += 2) g.view.setUint8(g.host + n / 2, parseInt(text.slice(n, n + 2), 16));
}

const TRANSCENDENTAL = new Set(['d9f0', 'd9f1', 'd9f2', 'd9f3', 'd9f9', 'd9fb', 'd9fe', 'd9ff']);

export interface Outcome {
  /** What differs; empty if nothing. */
  readonly differences: string[];
  /** Distance of a transcendental result that is allowed to differ, in units of the last place. */
  readonly ulps: number;
}

/**
 * Runs one recorded line.
 * @param run carries the instruction out, or says that it cannot; then nothing differs
 */
export function replayLine(g: Guest, line: string, run: (g: Guest, form: string) => boolean = execute): Outcome {
  const { view } = g;
  const [input, output] = line.split(' > ');
  const [form, fcw, fsw, ftw, flags, st0, st1, memory] = input.split(' ');
  const [fcwAfter, fswAfter, ftwAfter, flagsAfter, memoryAfter, ...changes] = output.split(' ');
  const number = (text: string) => parseInt(text, 16);

  view.setUint32(CPU + Cpu.FCW, number(fcw), true);
  view.setUint32(CPU + Cpu.FSW, number(fsw), true);
  view.setUint32(CPU + Cpu.FTW, number(ftw), true);
  view.setUint32(CPU + Cpu.FLAG_KIND, FlagKind.EXPLICIT, true);
  view.setBigUint64(CPU + Cpu.FLAG_X, BigInt(number(flags)), true);
  const top = (number(fsw) >> 11) & 7;
  const expected: [number, bigint][] = [];
  for (let i = 0; i < 8; i++) {
    let value: [number, bigint] = [0x4000 + i, 0x8000000000000000n + (BigInt(i) << 56n)];
    if (i < 2) {
      const [se, m] = (i === 0 ? st0 : st1).split(':');
      value = [number(se), BigInt(`0x${m}`)];
    }
    const p = (top + i) & 7;
    expected[p] = value;
    view.setBigUint64(CPU + Cpu.FPR + 16 * p, value[1], true);
    view.setUint16(CPU + Cpu.FPR + 16 * p + 8, value[0], true);
  }
  for (let n = 0; n < 128; n++) view.setUint8(g.host + n, 0xa5);
  hexBytes(g, memory);

  if (!run(g, form)) return { differences: [], ulps: 0 };

  const differences: string[] = [];
  let ulps = 0;
  let fswGot = view.getUint32(CPU + Cpu.FSW, true);
  let fswWanted = number(fswAfter);
  for (const change of changes) {
    const [p, value] = change.split('=');
    const [se, m] = value.split(':');
    expected[Number(p)] = [number(se), BigInt(`0x${m}`)];
  }
  for (let p = 0; p < 8; p++) {
    const m = view.getBigUint64(CPU + Cpu.FPR + 16 * p, true);
    const se = view.getUint16(CPU + Cpu.FPR + 16 * p + 8, true);
    if (se === expected[p][0] && m === expected[p][1]) continue;
    const ordered = (e: number, s: bigint) => (BigInt(e & 0x7fff) << 63n) + (s & 0x7fffffffffffffffn);
    const distance = ordered(se, m) - ordered(expected[p][0], expected[p][1]);
    if (TRANSCENDENTAL.has(form) && (se ^ expected[p][0]) < 0x8000 && distance <= TRANSCENDENTAL_ULPS && distance >= -TRANSCENDENTAL_ULPS) {
      ulps = 1;
      continue;
    }
    differences.push(`R${p} ${se.toString(16)}:${m.toString(16)} not ${expected[p][0].toString(16)}:${expected[p][1].toString(16)}`);
  }
  if (TRANSCENDENTAL.has(form)) {
    // C1 says which way the last bit went: not comparable when that bit may differ.
    fswGot &= ~0x200;
    fswWanted &= ~0x200;
  }
  const compare = (name: string, got: number, wanted: number) => {
    if (got !== wanted) differences.push(`${name} ${got.toString(16)} not ${wanted.toString(16)}`);
  };
  compare('FCW', view.getUint32(CPU + Cpu.FCW, true), number(fcwAfter));
  compare('FSW', fswGot, fswWanted);
  compare('FTW', view.getUint32(CPU + Cpu.FTW, true), number(ftwAfter));
  compare('flags', view.getUint32(CPU + Cpu.FLAG_X, true) & 0x8d5, number(flagsAfter));
  if (memoryAfter !== '-') {
    let got = '';
    for (let n = 0; n < memoryAfter.length / 2; n++) {
      const pointer = memoryAfter.length >= 56 && n >= 12 && n < 28;
      got += (pointer ? 0 : view.getUint8(g.host + n)).toString(16).padStart(2, '0');
    }
    if (got !== memoryAfter) differences.push(`memory ${got} not ${memoryAfter}`);
  }
  return { differences, ulps };
}
