// Shifts and rotates: SHL SHR SAR ROL ROR RCL RCR SHLD SHRD. Intel SDM volume 2.
// Flags stay as they are for a count of 0. OF for counts above 1 is undefined in the manual and here as processors compute it.

import type { Value } from '../wasm/function.ts';
import type { Builder, Instruction, Meaning } from './builder.ts';
import type { InstructionTable } from './table.ts';

const OF_SHIFT = 11n;

/** The masked count as an i64. */
function count(i: Instruction, b: Builder, source = i.src): Value {
  return b.let(b.and(source.read(), i.dst.size === 64 ? 63 : 31));
}

const bitAt = (b: Builder, v: Value, n: number | Value): Value => b.and(b.shrU(v, n), 1);

const shl: Meaning = (i, b) => {
  const { size } = i.dst;
  const n = count(i, b);
  const a = i.dst.readModify();
  const r = b.letLow(b.shl(a, n), size);
  i.dst.write(r);
  b.if(b.ne(n, 0), () => {
    b.flags.result(size, r, () => {
      // Of 64 bits the last bit out is bit 64 - n; of fewer it stands above the result.
      const carry = b.let(size === 64 ? bitAt(b, a, b.sub(64, n)) : bitAt(b, b.shl(a, n), size));
      const overflow = b.xor(bitAt(b, r, size - 1), carry);
      return b.let(b.or(carry, b.shl(overflow, OF_SHIFT)));
    });
  });
};

const shr: Meaning = (i, b) => {
  const { size } = i.dst;
  const n = count(i, b);
  const a = i.dst.readModify();
  const r = b.let(b.shrU(a, n));
  i.dst.write(r);
  b.if(b.ne(n, 0), () => {
    b.flags.result(size, r, () => {
      const carry = bitAt(b, a, b.sub(n, 1));
      // The bit that was on top before the last step, beside the one that is now.
      const overflow = b.xor(bitAt(b, r, size - 1), bitAt(b, r, size - 2));
      return b.let(b.or(carry, b.shl(overflow, OF_SHIFT)));
    });
  });
};

const sar: Meaning = (i, b) => {
  const { size } = i.dst;
  const n = count(i, b);
  const a = i.dst.readModify();
  const r = b.letLow(b.shrS(b.signExtend(a, size), n), size);
  i.dst.write(r);
  b.if(b.ne(n, 0), () => {
    b.flags.result(size, r, () => b.let(b.and(b.shrS(b.signExtend(a, size), b.sub(n, 1)), 1)));
  });
};

const rol: Meaning = (i, b) => {
  const { size } = i.dst;
  const n = count(i, b);
  const a = i.dst.readModify();
  const m = b.let(b.and(n, size - 1));
  const r = b.let(
    size === 64 ? b.rotl(a, m) : size === 32 ? b.extendU(b.rotl(b.wrap(a), b.wrap(m))) : b.zeroExtend(b.or(b.shl(a, m), b.shrU(a, b.sub(size, m))), size),
  );
  i.dst.write(r);
  b.if(b.ne(n, 0), () => {
    const carry = b.let(b.and(r, 1));
    b.flags.rotate(carry, () => b.xor(bitAt(b, r, size - 1), carry));
  });
};

const ror: Meaning = (i, b) => {
  const { size } = i.dst;
  const n = count(i, b);
  const a = i.dst.readModify();
  const m = b.let(b.and(n, size - 1));
  const r = b.let(
    size === 64 ? b.rotr(a, m) : size === 32 ? b.extendU(b.rotr(b.wrap(a), b.wrap(m))) : b.zeroExtend(b.or(b.shrU(a, m), b.shl(a, b.sub(size, m))), size),
  );
  i.dst.write(r);
  b.if(b.ne(n, 0), () => {
    const carry = b.let(bitAt(b, r, size - 1));
    b.flags.rotate(carry, () => b.xor(carry, bitAt(b, r, size - 2)));
  });
};

/** The count of a rotate through carry, modulo size + 1. */
function carryCount(i: Instruction, b: Builder): Value {
  const n = count(i, b);
  return i.dst.size < 32 ? b.let(b.remU(n, i.dst.size + 1)) : n;
}

/** v << n, or 0 for n = 64. */
const shlWide = (b: Builder, v: Value, n: Value): Value => b.select(b.gtU(n, 63), 0n, b.shl(v, n));
const shrWide = (b: Builder, v: Value, n: Value): Value => b.select(b.gtU(n, 63), 0n, b.shrU(v, n));

const rcl: Meaning = (i, b) => {
  const { size } = i.dst;
  const n = carryCount(i, b);
  const cf = b.flags.carry();
  const a = i.dst.readModify();
  const r = b.variable('i64', a);
  const carry = b.variable('i64', cf);
  b.if(b.ne(n, 0), () => {
    const out = b.let(b.sub(size + 1, n));
    r.set(b.or(b.or(b.shl(a, n), b.shl(cf, b.sub(n, 1))), shrWide(b, a, out)));
    carry.set(bitAt(b, a, b.sub(size, n)));
  });
  i.dst.write(r.get());
  b.if(b.ne(n, 0), () => b.flags.rotate(carry.get(), () => b.xor(bitAt(b, r.get(), size - 1), carry.get())));
};

const rcr: Meaning = (i, b) => {
  const { size } = i.dst;
  const n = carryCount(i, b);
  const cf = b.flags.carry();
  const a = i.dst.readModify();
  const r = b.variable('i64', a);
  const carry = b.variable('i64', cf);
  b.if(b.ne(n, 0), () => {
    const out = b.let(b.sub(size + 1, n));
    r.set(b.zeroExtend(b.or(b.or(b.shrU(a, n), b.shl(cf, b.sub(size, n))), shlWide(b, a, out)), size));
    carry.set(bitAt(b, a, b.sub(n, 1)));
  });
  i.dst.write(r.get());
  b.if(b.ne(n, 0), () => b.flags.rotate(carry.get(), () => b.xor(bitAt(b, r.get(), size - 1), bitAt(b, r.get(), size - 2))));
};

/** SHLD, SHRD. With 16 bits and a count above 16 the result is undefined; here the source follows, then the destination again. */
const doubleShift =
  (left: boolean): Meaning =>
  (i, b) => {
    const { size } = i.dst;
    const n = count(i, b, i.third);
    const c = i.src.read();
    const a = i.dst.readModify();
    const r = b.variable('i64', a);
    const carry = b.variable('i64', b.i64(0));
    b.if(b.ne(n, 0), () => {
      if (size === 64) {
        const back = b.let(b.sub(64, n));
        r.set(left ? b.or(b.shl(a, n), b.shrU(c, back)) : b.or(b.shrU(a, n), b.shl(c, back)));
        carry.set(left ? bitAt(b, a, back) : bitAt(b, a, b.sub(n, 1)));
      } else if (size === 32) {
        const pair = b.let(left ? b.or(b.shl(a, 32), c) : b.or(b.shl(c, 32), a));
        r.set(left ? b.shrU(b.shl(pair, n), 32) : b.zeroExtend(b.shrU(pair, n), 32));
        carry.set(left ? bitAt(b, a, b.sub(32, n)) : bitAt(b, a, b.sub(n, 1)));
      } else {
        const triple = b.let(
          left ? b.or(b.or(b.shl(a, 32), b.shl(c, 16)), a) : b.or(b.or(b.shl(a, 32), b.shl(c, 16)), a),
        );
        r.set(left ? b.and(b.shrU(b.shl(triple, n), 32), 0xffff) : b.and(b.shrU(triple, n), 0xffff));
        carry.set(left ? bitAt(b, b.shl(triple, n), 48) : bitAt(b, triple, b.sub(n, 1)));
      }
    });
    i.dst.write(r.get());
    b.if(b.ne(n, 0), () => {
      const overflow = b.xor(bitAt(b, r.get(), size - 1), bitAt(b, a, size - 1));
      b.flags.result(size, r.get(), () => b.let(b.or(carry.get(), b.shl(overflow, OF_SHIFT))));
    });
  };

export function defineShift(t: InstructionTable): void {
  const group: [string, Meaning, boolean][] = [
    ['rol', rol, true],
    ['ror', ror, true],
    ['rcl', rcl, false],
    ['rcr', rcr, false],
    ['shl', shl, true],
    ['shr', shr, true],
    ['shl', shl, true], // /6 is an undocumented other name
    ['sar', sar, true],
  ];
  group.forEach(([name, meaning, hot], ext) => {
    t.op(0xc0, name, 'Eb,Ib', meaning, { ext });
    t.op(0xc1, name, 'Ev,Ib', meaning, { ext, hot });
    t.op(0xd0, name, 'Eb,1', meaning, { ext });
    t.op(0xd1, name, 'Ev,1', meaning, { ext, hot });
    t.op(0xd2, name, 'Eb,CL', meaning, { ext });
    t.op(0xd3, name, 'Ev,CL', meaning, { ext, hot });
  });
  t.op(0x0fa4, 'shld', 'Ev,Gv,Ib', doubleShift(true), { hot: true });
  t.op(0x0fa5, 'shld', 'Ev,Gv,CL', doubleShift(true), { hot: true });
  t.op(0x0fac, 'shrd', 'Ev,Gv,Ib', doubleShift(false), { hot: true });
  t.op(0x0fad, 'shrd', 'Ev,Gv,CL', doubleShift(false), { hot: true });
}
