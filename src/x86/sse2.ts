// SSE2: integers on XMM registers, float64 conversions, moves between MMX and XMM, CLFLUSH. Intel SDM volume 1, chapter 11; volume 2.
// The integer operations are in vector.ts; float64 arithmetic is in sse.ts beside float32's.

import { Simd } from '../wasm/simd.ts';
import type { Meaning } from './builder.ts';
import {
  integersToDoubles, integersToSingles, narrowPacked, narrowScalar, packedToIntegers, packedToMmx, PD, PS, widenPacked, widenScalar,
} from './float.ts';
import { loadScalar, moveAligned, moveMask, moveUnaligned, storeStreaming } from './sse.ts';
import type { Attributes, InstructionTable } from './table.ts';
import {
  binary, bytesAt, checkMmx, checkSse, enterMmx, fromLow64, immediate, INTEGER_OPS, lane64, laneOffset, pointerTo, readAligned, registerAddress, shiftVector,
  SHIFTS, shuffle16, shuffle32, shuffled16, shuffled32, sse, withLane64, writeMmx, zero, type Shift,
} from './vector.ts';

const moveOut: Meaning = sse((i) => i.dst.write(i.src.read()));

/** MOVQ Wq,Vq: the upper half of a register becomes zero. */
const moveLow: Meaning = sse((i) => i.dst.write(i.dst.isMemory ? i.src.read() : i.src.readLow()));

/** The count is the low half of a whole operand. */
const shift = (s: Shift): Meaning =>
  sse((i, b) => {
    const count = b.let(lane64(b, readAligned(b, i.src), 0));
    i.dst.write(b.let(shiftVector(b, s, i.dst.read(), count)));
  });

const shiftImmediate = (s: Shift): Meaning => sse((i, b) => i.dst.write(b.let(shiftVector(b, s, i.dst.read(), immediate(i)))));

/** PSRLDQ, PSLLDQ: whole bytes. */
const psrldq: Meaning = sse((i, b) => {
  const v = i.dst.read();
  i.dst.write(bytesAt(b, v, zero(b), immediate(i)));
});
const pslldq: Meaning = sse((i, b) => {
  const v = i.dst.read();
  const count = immediate(i);
  const at = b.let(b.select(b.gtU(count, 16), b.i64(0), b.sub(16, count)));
  i.dst.write(bytesAt(b, zero(b), v, at));
});

const pshufd: Meaning = sse((i, b) => {
  const v = readAligned(b, i.src);
  const selector = immediate(i);
  if (selector.isConstant) return i.dst.write(b.let(shuffled32(b, v, v, selector.exact)));
  const from = pointerTo(b, i.src, v);
  i.dst.write(b.let(shuffle32(b, from, from, selector)));
});

/** PSHUFLW (half 0), PSHUFHW (1): the other half is copied. */
const shuffleHalf = (half: 0 | 1): Meaning =>
  sse((i, b) => {
    const v = readAligned(b, i.src);
    const selector = immediate(i);
    if (selector.isConstant) return i.dst.write(b.let(shuffled16(b, v, half, selector.exact)));
    const from = pointerTo(b, i.src, v);
    i.dst.write(b.let(withLane64(b, v, half, shuffle16(b, half ? b.let(b.add(from, 8)) : from, selector))));
  });

const pinsrw: Meaning = sse((i, b) => {
  const v = i.src.read();
  const lane = immediate(i);
  if (lane.isConstant) i.dst.write(b.let(b.simd('v128', Simd.I16X8_REPLACE_LANE, [i.dst.read(), b.wrap(v)], [lane.exact & 7])));
  else b.store(b.add(registerAddress(b, i.dst), laneOffset(b, lane, 8)), 0, v, 16);
});
const pextrw: Meaning = sse((i, b) => {
  const lane = immediate(i);
  if (lane.isConstant) i.dst.write(b.let(b.extendU(b.simd('i32', Simd.I16X8_EXTRACT_LANE_U, [i.src.read()], [lane.exact & 7]))));
  else i.dst.write(b.let(b.load('i64', b.add(registerAddress(b, i.src), laneOffset(b, lane, 8)), 0, 16)));
});

const maskmovdqu: Meaning = sse((i, b) => {
  b.core('sse_maskmov', i.third.address(), registerAddress(b, i.dst), registerAddress(b, i.src), b.i32(16));
  b.checkFault();
});

// --- MMX and XMM registers together

const movq2dq: Meaning = (i, b) => {
  checkSse(b);
  checkMmx(b);
  const v = i.src.read();
  enterMmx(b);
  i.dst.write(b.let(fromLow64(b, v)));
};
const movdq2q: Meaning = (i, b) => {
  checkSse(b);
  checkMmx(b);
  const v = i.src.read();
  enterMmx(b);
  writeMmx(b, i.dst, v);
};
/** With a memory operand no MMX register is touched. */
const cvtpi2pd: Meaning = (i, b) => {
  if (i.src.isMemory) integersToDoubles(i, b);
  else {
    checkMmx(b);
    enterMmxAfter(integersToDoubles)(i, b);
  }
};
const enterMmxAfter =
  (meaning: Meaning): Meaning =>
  (i, b) => {
    meaning(i, b);
    enterMmx(b);
  };

/** MOVNTI */
const moveInteger: Meaning = (i) => i.dst.write(i.src.read());
/** CLFLUSH: there are no caches, but the address must be readable. */
const clflush: Meaning = (i, b) => {
  b.core('probe_read', i.dst.address(), b.i32(1));
  b.checkFault();
};

export function defineSse2(t: InstructionTable): void {
  const x66: Attributes = { prefix: 0x66, anySize: true };
  const xf3: Attributes = { prefix: 0xf3, anySize: true };
  const xf2: Attributes = { prefix: 0xf2, anySize: true };
  const x0: Attributes = { prefix: 0, anySize: true };
  for (const o of INTEGER_OPS) t.op(0x0f00 + o.opcode, o.name, 'Vx,Wx', binary(o.op), { ...x66, hot: o.hot });
  for (const s of SHIFTS) {
    t.op(0x0f00 + s.code, s.name, 'Vx,Wx', shift(s), x66);
    t.op(0x0f00 + s.group, s.name, 'Ux,Ib', shiftImmediate(s), { ...x66, ext: s.ext, mod: 'reg' });
  }
  t.op(0x0f73, 'psrldq', 'Ux,Ib', psrldq, { ...x66, ext: 3, mod: 'reg' });
  t.op(0x0f73, 'pslldq', 'Ux,Ib', pslldq, { ...x66, ext: 7, mod: 'reg' });

  const names = ['movd', 'movd', 'movq'] as const;
  t.op(0x0f6e, 'movd', 'Vx,Ey', loadScalar, { prefix: 0x66, names, hot: true });
  t.op(0x0f7e, 'movd', 'Ey,Vq', moveOut, { prefix: 0x66, names, hot: true });
  t.op(0x0f7e, 'movq', 'Vx,Wq', loadScalar, { ...xf3, hot: true });
  t.op(0x0fd6, 'movq', 'Wq,Vq', moveLow, { ...x66, hot: true });
  t.op(0x0f6f, 'movdqa', 'Vx,Wx', moveAligned, { ...x66, hot: true });
  t.op(0x0f7f, 'movdqa', 'Wx,Vx', moveAligned, { ...x66, hot: true });
  t.op(0x0f6f, 'movdqu', 'Vx,Wx', moveUnaligned, { ...xf3, hot: true });
  t.op(0x0f7f, 'movdqu', 'Wx,Vx', moveUnaligned, { ...xf3, hot: true });
  t.op(0x0fe7, 'movntdq', 'Mx,Vx', storeStreaming, { ...x66, mod: 'mem' });
  t.op(0x0fc3, 'movnti', 'My,Gy', moveInteger, { prefix: 0, mod: 'mem' });
  t.op(0x0fd6, 'movq2dq', 'Vx,Nq', movq2dq, { ...xf3, mod: 'reg' });
  t.op(0x0fd6, 'movdq2q', 'Pq,Uq', movdq2q, { ...xf2, mod: 'reg' });
  t.op(0x0fd7, 'pmovmskb', 'Gd,Ux', moveMask(Simd.I8X16_BITMASK), { ...x66, mod: 'reg', hot: true });
  t.op(0x0ff7, 'maskmovdqu', 'Vx,Ux,DI', maskmovdqu, { ...x66, memoryBytes: 16 });
  t.op(0x0fae, 'clflush', 'Mb', clflush, { ...x0, ext: 7, mod: 'mem', readOnly: true });

  t.op(0x0f70, 'pshufd', 'Vx,Wx,Ib', pshufd, { ...x66, hot: true });
  t.op(0x0f70, 'pshuflw', 'Vx,Wx,Ib', shuffleHalf(0), xf2);
  t.op(0x0f70, 'pshufhw', 'Vx,Wx,Ib', shuffleHalf(1), xf3);
  t.op(0x0fc4, 'pinsrw', 'Vx,Mw,Ib', pinsrw, { ...x66, mod: 'mem' });
  t.op(0x0fc4, 'pinsrw', 'Vx,Ed,Ib', pinsrw, { ...x66, mod: 'reg' });
  t.op(0x0fc5, 'pextrw', 'Gd,Ux,Ib', pextrw, { ...x66, mod: 'reg' });

  t.op(0x0f5a, 'cvtps2pd', 'Vx,Wq', widenPacked, x0);
  t.op(0x0f5a, 'cvtpd2ps', 'Vx,Wx', narrowPacked, x66);
  t.op(0x0f5a, 'cvtss2sd', 'Vq,Wd', widenScalar, xf3);
  t.op(0x0f5a, 'cvtsd2ss', 'Vd,Wq', narrowScalar, xf2);
  t.op(0x0f5b, 'cvtdq2ps', 'Vx,Wx', integersToSingles, x0);
  t.op(0x0f5b, 'cvtps2dq', 'Vx,Wx', packedToIntegers(false, PS), x66);
  t.op(0x0f5b, 'cvttps2dq', 'Vx,Wx', packedToIntegers(true, PS), xf3);
  t.op(0x0fe6, 'cvttpd2dq', 'Vx,Wx', packedToIntegers(true, PD), x66);
  t.op(0x0fe6, 'cvtpd2dq', 'Vx,Wx', packedToIntegers(false, PD), xf2);
  t.op(0x0fe6, 'cvtdq2pd', 'Vx,Wq', integersToDoubles, xf3);
  t.op(0x0f2a, 'cvtpi2pd', 'Vx,Qq', cvtpi2pd, x66);
  t.op(0x0f2c, 'cvttpd2pi', 'Pq,Wx', packedToMmx(true, PD), x66);
  t.op(0x0f2d, 'cvtpd2pi', 'Pq,Wx', packedToMmx(false, PD), x66);
}
