// All instructions: the table filled by the files by topic. A new instruction is a line in one of them.

import { defineAlu } from './alu.ts';
import { defineBits } from './bits.ts';
import { defineControl } from './control.ts';
import { defineMove } from './move.ts';
import { defineMultiply } from './multiply.ts';
import { defineShift } from './shift.ts';
import { defineStack } from './stack.ts';
import { defineStrings } from './strings.ts';
import { defineSystem } from './system.ts';
import { InstructionTable } from './table.ts';

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
  return t;
}

export const table = fill();
