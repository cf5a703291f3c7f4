// What almost all instructions of a kind may take for granted: it changes only by instructions after which code is looked up anew
// (MOV to CR0 or CR4, CLTS, LMSW). Compiled code asks once, where it is entered.
// Intel SDM volume 3, 2.5 "Control Registers", 13.1.

import { Cpu } from '../core/layout.ts';
import type { Value } from '../wasm/function.ts';
import type { Builder } from './builder.ts';

export type Assumption =
  /** SSE instructions raise neither #UD nor #NM. */
  | 'sse'
  /** x87 and MMX instructions do not. */
  | 'x87'
  /** Real mode: a segment's base is its selector times 16. Compiled code alone takes it for granted, and only where it held before. */
  | 'real';

/** Protected mode. */
export const CR0_PE = 1;
const CR0_EM_TS = 0x0c;
const CR4_OSFXSR = 0x200;

/** i32: whether it holds now. */
export function holds(b: Pick<Builder, 'state' | 'and' | 'or' | 'xor' | 'eqz'>, assumption: Assumption): Value {
  if (assumption === 'real') return b.eqz(b.and(b.state('i32', Cpu.CR0), CR0_PE));
  const refused = b.and(b.state('i32', Cpu.CR0), CR0_EM_TS);
  if (assumption === 'x87') return b.eqz(refused);
  return b.eqz(b.or(refused, b.and(b.xor(b.state('i32', Cpu.CR4), CR4_OSFXSR), CR4_OSFXSR)));
}
