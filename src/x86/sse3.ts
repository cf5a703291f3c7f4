// SSE3: horizontal and alternating float arithmetic, duplicating moves, LDDQU. (FISTTP is in x87.ts.) Intel SDM volume 1, chapter 12.3.

import { addAndSubtract, FloatOp, horizontal, PD, PS } from './float.ts';
import { moveUnaligned } from './sse.ts';
import type { InstructionTable } from './table.ts';
import { lanes, shuffle, splat64, sse, unary } from './vector.ts';
import type { Meaning } from './builder.ts';

const duplicate = (pattern: readonly number[]): Meaning => unary((b, c) => shuffle(b, c, c, lanes(4, pattern)));
const movddup: Meaning = sse((i, b) => i.dst.write(b.let(splat64(b, i.src.read()))));

export function defineSse3(t: InstructionTable): void {
  const x66 = { prefix: 0x66, anySize: true } as const;
  const xf2 = { prefix: 0xf2, anySize: true } as const;
  const xf3 = { prefix: 0xf3, anySize: true } as const;
  t.op(0x0fd0, 'addsubpd', 'Vx,Wx', addAndSubtract(PD), x66);
  t.op(0x0fd0, 'addsubps', 'Vx,Wx', addAndSubtract(PS), xf2);
  t.op(0x0f7c, 'haddpd', 'Vx,Wx', horizontal(FloatOp.ADD, PD), x66);
  t.op(0x0f7c, 'haddps', 'Vx,Wx', horizontal(FloatOp.ADD, PS), xf2);
  t.op(0x0f7d, 'hsubpd', 'Vx,Wx', horizontal(FloatOp.SUB, PD), x66);
  t.op(0x0f7d, 'hsubps', 'Vx,Wx', horizontal(FloatOp.SUB, PS), xf2);
  t.op(0x0f12, 'movddup', 'Vx,Wq', movddup, xf2);
  t.op(0x0f12, 'movsldup', 'Vx,Wx', duplicate([0, 0, 2, 2]), xf3);
  t.op(0x0f16, 'movshdup', 'Vx,Wx', duplicate([1, 1, 3, 3]), xf3);
  t.op(0x0ff0, 'lddqu', 'Vx,Mx', moveUnaligned, { ...xf2, mod: 'mem' });
}
