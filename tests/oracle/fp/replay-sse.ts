// Replays lines recorded by sse.c against core.wasm and says where they differ. The line format is described at the top of sse.c.

import { Cpu, FlagKind, Mem, Vector } from '../../../src/core/layout.ts';
import type { Guest } from './replay-x87.ts';

const CPU = Mem.CPU as number;
const XMM0 = CPU + Cpu.XMM;
const XMM1 = XMM0 + 16;
const MM0 = CPU + Cpu.FPR;

/** Runs one form; returns a Status (0: done). */
function execute(g: Guest, form: string, rax: bigint): number {
  const { core, view } = g;
  let at = 0;
  const byte = () => parseInt(form.slice(2 * at, 2 * at++ + 2), 16);
  let b = byte();
  let prefix = 0;
  if (b === 0x66 || b === 0xf3 || b === 0xf2) {
    prefix = b;
    b = byte();
  }
  const wide = b === 0x48;
  if (wide) b = byte();
  const opcode = byte();
  byte();
  const lanes32 = prefix === 0xf3 ? 1 : 4;
  const lanes64 = prefix === 0xf2 ? 1 : 2;
  const double = prefix === 0x66 || prefix === 0xf2;
  const status = (r: number | bigint) => Number(r);
  const low = () => view.getBigUint64(XMM1, true);
  const signed = () => BigInt.asIntN(wide ? 64 : 32, rax);
  const toRax = (value: number | bigint) => {
    const fault = view.getUint32(CPU + Cpu.FAULT, true);
    if (!fault) view.setBigUint64(CPU + Cpu.RAX, BigInt.asUintN(64, value as bigint), true);
    return fault;
  };
  switch (opcode) {
    case 0x51: case 0x58: case 0x59: case 0x5c: case 0x5d: case 0x5e: case 0x5f: {
      const op = opcode === 0x51 ? 3 : opcode & 7;
      return status(double ? core.sse_arith64(CPU, op, lanes64, XMM0, XMM1) : core.sse_arith32(CPU, op, lanes32, XMM0, XMM1));
    }
    case 0xc2: {
      const which = byte();
      return status(double ? core.sse_cmp64(CPU, which, lanes64, XMM0, XMM1) : core.sse_cmp32(CPU, which, lanes32, XMM0, XMM1));
    }
    case 0x2e: case 0x2f: {
      const a = view.getBigUint64(XMM0, true);
      const flags = double ? core.sse_comi64(CPU, opcode & 1, a, low()) : core.sse_comi32(CPU, opcode & 1, a, low());
      const fault = view.getUint32(CPU + Cpu.FAULT, true);
      if (!fault) view.setBigUint64(CPU + Cpu.FLAG_X, BigInt(flags), true);
      return fault;
    }
    case 0x5a:
      if (prefix === 0) return status(core.sse_cvtps2pd(CPU, XMM0, low()));
      if (prefix === 0x66) return status(core.sse_cvtpd2ps(CPU, XMM0, XMM1));
      if (prefix === 0xf3) return status(core.sse_cvtss2sd(CPU, XMM0, low()));
      return status(core.sse_cvtsd2ss(CPU, XMM0, low()));
    case 0x5b:
      if (prefix === 0) return status(core.sse_cvtdq2ps(CPU, XMM0, XMM1));
      return status(core.sse_cvtps2dq(CPU, prefix === 0xf3 ? 1 : 0, XMM0, XMM1));
    case 0xe6:
      if (prefix === 0xf3) return status(core.sse_cvtdq2pd(CPU, XMM0, low()));
      return status(core.sse_cvtpd2dq(CPU, prefix === 0x66 ? 1 : 0, XMM0, XMM1));
    case 0x2a:
      if (prefix === 0) return status(core.sse_cvtpi2ps(CPU, XMM0, low()));
      if (prefix === 0x66) return status(core.sse_cvtdq2pd(CPU, XMM0, low()));
      return status(prefix === 0xf3 ? core.sse_cvtsi2ss(CPU, XMM0, signed()) : core.sse_cvtsi2sd(CPU, XMM0, signed()));
    case 0x2c: case 0x2d: {
      const truncate = opcode === 0x2c ? 1 : 0;
      if (prefix === 0) return status(core.sse_cvtps2pi(CPU, truncate, MM0, low()));
      if (prefix === 0x66) return status(core.sse_cvtpd2pi(CPU, truncate, MM0, XMM1));
      return toRax(prefix === 0xf3 ? core.sse_int_of32(CPU, low(), wide ? 64 : 32, truncate) : core.sse_int_of64(CPU, low(), wide ? 64 : 32, truncate));
    }
    case 0xd0:
      return status(double && prefix === 0x66 ? core.sse_addsub64(CPU, XMM0, XMM1) : core.sse_addsub32(CPU, XMM0, XMM1));
    case 0x7c: case 0x7d: {
      const op = opcode === 0x7c ? 0 : 4;
      return status(prefix === 0x66 ? core.sse_horizontal64(CPU, op, XMM0, XMM1) : core.sse_horizontal32(CPU, op, XMM0, XMM1));
    }
  }
  throw new Error(`no form ${form}`);
}

/** Runs a form on the registers as they are; a Status, 0: done. */
export type RunSse = (g: Guest, form: string, rax: bigint) => number;

const RESULTS = ['MXCSR', 'XMM0', 'flags', 'RAX', 'MM0'];

/** What a line's input (what stands before ">") gives: results as in RESULTS, and what fault is pending. */
function answer(g: Guest, input: string, run: RunSse): { fault: number | null; results: string[] } {
  const { view } = g;
  const [form, mxcsr, a, b, rax] = input.split(' ');
  const big = (text: string) => BigInt(`0x${text}`);
  const put = (address: number, text: string) => {
    const [high, low] = text.split(':');
    view.setBigUint64(address, big(low), true);
    view.setBigUint64(address + 8, big(high), true);
  };
  const get = (address: number) => `${view.getBigUint64(address + 8, true).toString(16)}:${view.getBigUint64(address, true).toString(16)}`;
  view.setUint32(CPU + Cpu.MXCSR, parseInt(mxcsr, 16), true);
  view.setUint32(CPU + Cpu.FAULT, 0, true);
  put(XMM0, a);
  put(XMM1, b);
  view.setBigUint64(CPU + Cpu.RAX, big(rax), true);
  view.setUint32(CPU + Cpu.FLAG_KIND, FlagKind.EXPLICIT, true);
  view.setBigUint64(CPU + Cpu.FLAG_X, 0x8d5n, true);
  view.setBigUint64(MM0, view.getBigUint64(XMM1, true), true);
  const status = run(g, form, big(rax));
  return {
    fault: status ? view.getUint32(CPU + Cpu.FAULT, true) - 1 : null,
    results: [
      view.getUint32(CPU + Cpu.MXCSR, true).toString(16),
      get(XMM0),
      (view.getUint32(CPU + Cpu.FLAG_X, true) & 0x8d5).toString(16),
      view.getBigUint64(CPU + Cpu.RAX, true).toString(16),
      view.getBigUint64(MM0, true).toString(16),
    ],
  };
}

/** The line of an input as core answers it. */
export function sseLine(g: Guest, input: string): string {
  const { fault, results } = answer(g, input, execute);
  return `${input} > ${fault === null ? results.join(' ') : `X ${results[0]}`}`;
}

/** Runs one line, by core unless told otherwise; says what differs. */
export function replaySseLine(g: Guest, line: string, run: RunSse = execute): string[] {
  const [input, output] = line.split(' > ');
  const { fault, results } = answer(g, input, run);
  const words = output.split(' ');
  const isFault = words[0] === 'X';
  const differences: string[] = [];
  const compare = (name: string, got: string, wanted: string) => {
    if (got !== wanted) differences.push(`${name} ${got} not ${wanted}`);
  };
  compare('fault', `${fault}`, `${isFault ? Vector.XM : null}`);
  // The destination keeps what it held.
  const wanted = isFault ? [words[1], input.split(' ')[2]] : words;
  wanted.forEach((word, n) => compare(RESULTS[n], results[n], word));
  return differences;
}
