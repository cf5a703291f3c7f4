// String instructions. Intel SDM volume 2. Their loops, with and without REP, are in core.wasm (src/core/assembly/strings.ts).

import type { CoreFunction } from './core-functions.ts';
import type { Meaning } from './builder.ts';
import type { InstructionTable } from './table.ts';

const string =
  (name: CoreFunction, byte: boolean): Meaning =>
  (i, b) =>
    // IN and OUT have no 64-bit form.
    b.coreStatus(name, b.i32(byte ? 1 : name === 'ins' || name === 'outs' ? Math.min(4, i.size / 8) : i.size / 8), i.addressBytes(), i.segment(), i.repeat());

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
