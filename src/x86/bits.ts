// Bit instructions: BT BTS BTR BTC, BSF BSR, POPCNT. Intel SDM volume 2.

import { Rflags } from '../core/layout.ts';
import type { Value } from '../wasm/function.ts';
import type { Builder, Meaning } from './builder.ts';
import type { InstructionTable } from './table.ts';

/** CF only is set; the other flags keep their values, as processors do. @param change what becomes of the bit: null leaves it (BT) */
const bitTest =
  (change: ((b: Builder, a: Value, mask: Value) => Value) | null): Meaning =>
  (i, b) => {
    const { size } = i.dst;
    const offset = i.src.read();
    const n = b.let(b.and(offset, size - 1));
    let target = i.dst;
    if (target.isMemory && !i.src.isImmediate) {
      // A bit string: the register's offset reaches beyond the operand, in both directions.
      target = target.displaced(b.let(b.shl(b.shrS(b.signExtend(offset, size), Math.log2(size)), Math.log2(size / 8))));
    }
    const a = change ? target.readModify() : target.read();
    const carry = b.let(b.and(b.shrU(a, n), 1));
    if (change) target.write(b.let(change(b, a, b.let(b.shl(1n, n)))));
    b.flags.setCarry(carry);
  };

/** The destination keeps its value when the source is 0, as on every processor since the 386. */
const bitScan =
  (find: (b: Builder, v: Value) => Value): Meaning =>
  (i, b) => {
    const { size } = i.dst;
    const c = i.src.read();
    b.if(b.ne(c, 0), () => i.dst.write(b.let(find(b, c))));
    b.flags.logic(size, c);
  };

const bsf = bitScan((b, v) => b.ctz(v));
const bsr = bitScan((b, v) => b.sub(63, b.clz(v)));

const popcnt: Meaning = (i, b) => {
  const c = i.src.read();
  i.dst.write(b.let(b.popcnt(c)));
  b.flags.explicit(b.let(b.mul(b.eqz(c), Rflags.ZF)));
};

export function defineBits(t: InstructionTable): void {
  const bt = bitTest(null);
  const group: [number, string, Meaning, boolean][] = [
    [4, 'bt', bt, false],
    [5, 'bts', bitTest((b, a, mask) => b.or(a, mask)), true],
    [6, 'btr', bitTest((b, a, mask) => b.and(a, b.xor(mask, -1n))), true],
    [7, 'btc', bitTest((b, a, mask) => b.xor(a, mask)), true],
  ];
  for (const [ext, name, meaning, writes] of group) {
    t.op(0x0f83 + ext * 8, name, 'Ev,Gv', meaning, { hot: true, bitString: true, lock: writes, readOnly: !writes });
    t.op(0x0fba, name, 'Ev,Ib', meaning, { ext, hot: true, lock: writes, readOnly: !writes });
  }
  t.op(0x0fb8, 'popcnt', 'Gv,Ev', popcnt, { prefix: 0xf3 });
  t.op(0x0fbc, 'bsf', 'Gv,Ev', bsf, { hot: true });
  t.op(0x0fbd, 'bsr', 'Gv,Ev', bsr, { hot: true });
}
