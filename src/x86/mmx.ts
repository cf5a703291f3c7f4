// MMX, and what SSE, SSE2 and SSSE3 added to the MMX registers' integer instructions. Intel SDM volume 1, chapter 9; volume 2.
// The operations themselves are in vector.ts, where the XMM forms have them too.

import { Cpu } from '../core/layout.ts';
import { Simd } from '../wasm/simd.ts';
import type { Meaning } from './builder.ts';
import type { Attributes, InstructionTable } from './table.ts';
import {
  binaryMmx, checkMmx, enterMmx, immediate, INTEGER_OPS, lane64, laneOffset, pointerTo, registerAddress, shiftVector, SHIFTS, shuffle16, splat64, writeMmx,
  type Shift,
} from './vector.ts';

/** Meanings check first, then read memory, then call enterMmx(), then write registers. */
const mmx =
  (meaning: Meaning): Meaning =>
  (i, b) => {
    checkMmx(b);
    meaning(i, b);
  };

const toMmx: Meaning = mmx((i, b) => {
  const v = i.src.read();
  enterMmx(b);
  writeMmx(b, i.dst, v);
});

/** To memory or a general register. */
const fromMmx: Meaning = mmx((i, b) => {
  const v = i.src.read();
  if (i.dst.isMemory) i.dst.write(v);
  enterMmx(b);
  if (!i.dst.isMemory) i.dst.write(v);
});

/** MOVQ Qq,Pq */
const moveOut: Meaning = mmx((i, b) => {
  const v = i.src.read();
  if (i.dst.isMemory) {
    i.dst.write(v);
    enterMmx(b);
  } else {
    enterMmx(b);
    writeMmx(b, i.dst, v);
  }
});

const shift = (s: Shift): Meaning =>
  mmx((i, b) => {
    const count = i.src.read();
    const r = b.let(lane64(b, shiftVector(b, s, b.let(splat64(b, i.dst.read())), count), 0));
    enterMmx(b);
    writeMmx(b, i.dst, r);
  });

const pshufw: Meaning = mmx((i, b) => {
  const v = i.src.read();
  const r = shuffle16(b, pointerTo(b, i.src, v), immediate(i));
  enterMmx(b);
  writeMmx(b, i.dst, r);
});

const pinsrw: Meaning = mmx((i, b) => {
  const v = i.src.read();
  enterMmx(b);
  const to = registerAddress(b, i.dst);
  b.store(b.add(to, laneOffset(b, immediate(i), 4)), 0, v, 16);
  b.store(to, 8, b.i32(0xffff), 16);
});

const pextrw: Meaning = mmx((i, b) => {
  enterMmx(b);
  const from = registerAddress(b, i.src);
  i.dst.write(b.let(b.load('i64', b.add(from, laneOffset(b, immediate(i), 4)), 0, 16)));
});

const pmovmskb: Meaning = mmx((i, b) => {
  const v = i.src.read();
  enterMmx(b);
  i.dst.write(b.let(b.extendU(b.and(b.simd('i32', Simd.I8X16_BITMASK, [splat64(b, v)]), 0xff))));
});

const emms: Meaning = mmx((_i, b) => {
  enterMmx(b);
  b.setState(Cpu.FTW, b.i32(0));
});

const maskmovq: Meaning = mmx((i, b) => {
  enterMmx(b);
  b.core('sse_maskmov', i.third.address(), registerAddress(b, i.dst), registerAddress(b, i.src), b.i32(8));
  b.checkFault();
});

export function defineMmx(t: InstructionTable): void {
  const any: Attributes = { prefix: 0, anySize: true };
  for (const o of INTEGER_OPS) {
    if (o.mmx === null) continue;
    t.op(0x0f00 + o.opcode, o.name, o.half ? 'Pq,Qd' : 'Pq,Qq', binaryMmx(o.mmx ?? o.op), any);
  }
  for (const s of SHIFTS) {
    const meaning = shift(s);
    t.op(0x0f00 + s.code, s.name, 'Pq,Qq', meaning, any);
    t.op(0x0f00 + s.group, s.name, 'Nq,Ib', meaning, { ...any, ext: s.ext, mod: 'reg' });
  }
  const names = ['movd', 'movd', 'movq'] as const;
  t.op(0x0f6e, 'movd', 'Pq,Ey', toMmx, { prefix: 0, names });
  t.op(0x0f7e, 'movd', 'Ey,Pq', fromMmx, { prefix: 0, names });
  t.op(0x0f6f, 'movq', 'Pq,Qq', toMmx, any);
  t.op(0x0f7f, 'movq', 'Qq,Pq', moveOut, any);
  t.op(0x0f77, 'emms', '', emms, any);
  // SSE
  t.op(0x0fe7, 'movntq', 'Mq,Pq', moveOut, { ...any, mod: 'mem' });
  t.op(0x0f70, 'pshufw', 'Pq,Qq,Ib', pshufw, any);
  t.op(0x0fc4, 'pinsrw', 'Pq,Mw,Ib', pinsrw, { ...any, mod: 'mem' });
  t.op(0x0fc4, 'pinsrw', 'Pq,Ed,Ib', pinsrw, { ...any, mod: 'reg' });
  t.op(0x0fc5, 'pextrw', 'Gd,Nq,Ib', pextrw, { ...any, mod: 'reg' });
  t.op(0x0fd7, 'pmovmskb', 'Gd,Nq', pmovmskb, { ...any, mod: 'reg' });
  t.op(0x0ff7, 'maskmovq', 'Pq,Nq,DI', maskmovq, { ...any, memoryBytes: 8 });
}
