// All instructions: the table filled by the files by topic. A new instruction is a line in one of them.

import { defineAlu } from './alu.ts';
import { defineBits } from './bits.ts';
import { defineControl } from './control.ts';
import { defineMmx } from './mmx.ts';
import { defineMove } from './move.ts';
import { defineMultiply } from './multiply.ts';
import { defineShift } from './shift.ts';
import { defineSse } from './sse.ts';
import { defineSse2 } from './sse2.ts';
import { defineSse3 } from './sse3.ts';
import { defineSsse3 } from './ssse3.ts';
import { defineStack } from './stack.ts';
import { defineStrings } from './strings.ts';
import { defineSystem } from './system.ts';
import { InstructionTable } from './table.ts';
import { defineX87 } from './x87.ts';

function fill(): InstructionTable {
  const t = new InstructionTable();
  defineAlu(t);
  defineMove(t);
  defineShift(t);
  defineMultiply(t);
  defineBits(t);
  defineStack(t);
  defineControl(t);
  defineStrings(t);
  defineSystem(t);
  defineX87(t);
  defineMmx(t);
  defineSse(t);
  defineSse2(t);
  defineSse3(t);
  defineSsse3(t);
  return t;
}

export const table = fill();
