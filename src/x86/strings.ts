// String instructions. Intel SDM volume 2. Their loops, with and without REP, are in core.wasm (src/core/assembly/strings.ts); where the
// builder knows that there is no REP, one round is made here.

import { Cpu, Rflags } from '../core/layout.ts';
import type { Value } from '../wasm/function.ts';
import type { CoreFunction } from './core-functions.ts';
import type { Builder, Instruction, Meaning } from './builder.ts';
import type { InstructionTable } from './table.ts';

const RAX = 0;
const RSI = 6;
const RDI = 7;

const string =
  (name: CoreFunction, byte: boolean): Meaning =>
  (i, b) => {
    // IN and OUT have no 64-bit form.
    const isPort = name === 'ins' || name === 'outs';
    const bytes = byte ? 1 : isPort ? Math.min(4, i.size / 8) : i.size / 8;
    const repeat = i.repeat();
    if (!isPort && repeat.is(0) && once(i, b, name, bytes)) return;
    b.coreStatus(name, b.i32(bytes), i.addressBytes(), i.segment(), repeat);
  };

/** Without REP, where the record's fields are known. @returns false if core has to: with segments that the builder does not check */
function once(i: Instruction, b: Builder, name: CoreFunction, bytes: number): boolean {
  const size = bytes * 8;
  const addressSize = i.addressBytes().exact * 8;
  const at = (register: number, segment: number, write: boolean): Value | null => b.stringAddress(segment, b.register(register, addressSize), addressSize, bytes, write);
  const usesSource = name === 'movs' || name === 'cmps' || name === 'lods';
  const usesTarget = name !== 'lods';
  const source = usesSource ? at(RSI, i.segment().exact, false) : null;
  const target = usesTarget ? at(RDI, Cpu.ES, name === 'movs' || name === 'stos') : null;
  if ((usesSource && !source) || (usesTarget && !target)) return false;
  if (name === 'lods') b.setRegister(RAX, size, b.loadGuest(source!, size));
  else if (name === 'stos') b.storeGuest(target!, size, b.register(RAX, size));
  else if (name === 'movs') b.storeGuest(target!, size, b.loadGuest(source!, size));
  else {
    const first = source ? b.loadGuest(source, size) : b.register(RAX, size);
    b.flags.sub(size, first, b.loadGuest(target!, size));
  }
  const step = b.let(b.select(b.and(b.state('i32', Cpu.RFLAGS), Rflags.DF), b.i64(-bytes), b.i64(bytes)));
  const move = (register: number): void => b.setRegister(register, addressSize, b.let(b.add(b.register(register, addressSize), step)));
  if (usesSource) move(RSI);
  if (usesTarget) move(RDI);
  return true;
}

export function defineStrings(t: InstructionTable): void {
  const group: [number, CoreFunction][] = [
    [0x6c, 'ins'],
    [0x6e, 'outs'],
    [0xa4, 'movs'],
    [0xa6, 'cmps'],
    [0xaa, 'stos'],
    [0xac, 'lods'],
    [0xae, 'scas'],
  ];
  for (const [opcode, name] of group) {
    const port = name === 'ins' || name === 'outs';
    t.op(opcode, `${name}b`, '', string(name, true), { string: true });
    t.op(opcode + 1, `${name}`, '', string(name, false), {
      string: true,
      names: [`${name}w`, `${name}d`, port ? `${name}d` : `${name}q`],
    });
  }
}
