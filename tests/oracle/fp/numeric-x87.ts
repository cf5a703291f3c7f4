// The same lines on the functions of core.wasm that compiled code calls for the numbers alone (src/core/assembly/x87-quick.ts), with the
// register stack looked after here as src/engine/compile/x87-stack.ts does. Only for lines that such code would not leave to the others.

import { Cpu, Mem } from '../../../src/core/layout.ts';
import { STORE_KINDS, type Guest } from './replay-x87.ts';

const CPU = Mem.CPU as number;
const C1 = 0x200;
const CONDITION = 0x4700;

/** Carries the form out if it can. */
export function executeNumeric(g: Guest, form: string): boolean {
  const { core, view, host } = g;
  const opcode = parseInt(form.slice(0, 2), 16);
  const modrm = parseInt(form.slice(2, 4), 16);
  const reg = (modrm >> 3) & 7;
  const isMemory = form.endsWith('m');
  const fsw = view.getUint32(CPU + Cpu.FSW, true);
  const ftw = view.getUint32(CPU + Cpu.FTW, true);
  if ((view.getUint32(CPU + Cpu.FCW, true) & 0x3f) !== 0x3f || fsw & 0x80) return false;
  const physical = (i: number): number => ((fsw >> 11) + i) & 7;
  const isFull = (i: number): boolean => ((ftw >> physical(i)) & 1) !== 0;
  const at = (i: number): number => CPU + Cpu.FPR + 16 * physical(i);
  const number = (i: number): [bigint, number] => [view.getBigUint64(at(i), true), view.getUint16(at(i) + 8, true)];
  const finish = (bits: number, clear: number, pops: number): true => {
    for (let n = 0; n < pops; n++) view.setUint32(CPU + Cpu.FTW, view.getUint32(CPU + Cpu.FTW, true) & ~(1 << physical(n)), true);
    view.setUint32(CPU + Cpu.FSW, (fsw & ~clear & ~0x3800) | bits | (physical(pops) << 11), true);
    return true;
  };
  if (isMemory) {
    const [kind, bytes, pops] = STORE_KINDS[`${form.slice(0, 2)}/${reg}`] ?? [2, 0, 0];
    if (kind === 2 || kind === 9 || !isFull(0)) return false;
    const value = BigInt.asUintN(64, BigInt(core.x87_narrow(CPU, kind, ...number(0))));
    for (let n = 0; n < bytes; n++) view.setUint8(host + n, Number((value >> BigInt(8 * n)) & 0xffn));
    return finish(view.getUint32(CPU + Cpu.TMP128B, true), C1, pops);
  }
  const i = modrm & 7;
  if (form === 'd9fa') return isFull(0) && finish(Number(core.x87_root(CPU, at(0))), C1, 0);
  if (!isFull(0) || !isFull(i)) return false;
  const compare = (other: number, isUnordered: boolean): number => Number(core.x87_relation(CPU, ...number(0), ...number(other), isUnordered ? 0 : 1));
  const high = modrm & 0xf8;
  if (opcode === 0xd8 && (reg === 2 || reg === 3)) return finish(compare(i, false), CONDITION, reg - 2);
  if (opcode === 0xdd && high >= 0xe0) return finish(compare(i, true), CONDITION, high === 0xe8 ? 1 : 0);
  if ((opcode === 0xdb || opcode === 0xdf) && (high === 0xe8 || high === 0xf0)) {
    const bits = compare(i, high === 0xe8);
    view.setBigUint64(CPU + Cpu.FLAG_X, BigInt((bits >> 8) & 0x45), true);
    return finish(bits & 0x3f, 0, opcode === 0xdf ? 1 : 0);
  }
  if (opcode !== 0xd8 && opcode !== 0xdc && opcode !== 0xde) return false;
  if (opcode !== 0xd8 && (reg === 2 || reg === 3)) return false;
  const op = opcode === 0xd8 || reg < 4 ? reg : reg ^ 1;
  const [dst, src] = opcode === 0xd8 ? [0, i] : [i, 0];
  const number2 = number(src);
  const bits = op === 1 ? core.x87_product(CPU, at(dst), ...number2) : core[op >= 6 ? 'x87_quotient' : 'x87_sum'](CPU, at(dst), op, ...number2);
  return finish(Number(bits), C1, opcode === 0xde ? 1 : 0);
}
