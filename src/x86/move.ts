// Data movement: MOV MOVZX MOVSX MOVSXD LEA XCHG CMOVcc SETcc BSWAP CBW CWD XLAT, compare-and-exchange.
// Intel SDM volume 2.

import { Cpu, Seg, Vector } from '../core/layout.ts';
import type { Value } from '../wasm/function.ts';
import type { Builder, Meaning } from './builder.ts';
import { CONDITIONS } from './flags.ts';
import type { InstructionTable } from './table.ts';

const mov: Meaning = (i) => i.dst.write(i.src.read());
const movzx: Meaning = (i) => i.dst.write(i.src.read());
const movsx: Meaning = (i, b) => i.dst.write(b.let(b.signExtend(i.src.read(), i.src.size)));
const lea: Meaning = (i) => i.dst.write(i.effectiveAddress());

const xchg: Meaning = (i, b) => {
  const c = i.src.read();
  const a = b.copy(i.dst.readModify());
  i.dst.write(c);
  i.src.write(a);
};

/** The source is read even if it is not moved, and a 32-bit destination loses its upper half either way. */
const cmov =
  (cc: number): Meaning =>
  (i, b) => {
    const c = i.src.read();
    const a = i.dst.read();
    i.dst.write(b.let(b.select(b.flags.condition(cc), c, a)));
  };

const setcc =
  (cc: number): Meaning =>
  (i, b) =>
    i.dst.write(b.let(b.extendU(b.flags.condition(cc))));

const reverse32 = (b: Builder, v: Value): Value => {
  const x = b.let(v);
  return b.or(
    b.or(b.shl(b.and(x, 0xff), 24), b.shl(b.and(x, 0xff00), 8)),
    b.or(b.and(b.shrU(x, 8), 0xff00), b.and(b.shrU(x, 24), 0xff)),
  );
};

/** Of 16 bits the result is undefined; processors give 0. */
const bswap: Meaning = (i, b) => {
  const a = i.dst.read();
  if (i.size === 16) i.dst.write(b.i64(0));
  else if (i.size === 32) i.dst.write(b.let(reverse32(b, a)));
  else i.dst.write(b.let(b.or(b.shl(reverse32(b, a), 32), reverse32(b, b.let(b.shrU(a, 32))))));
};

/** CBW, CWDE, CDQE */
const convertInPlace: Meaning = (i, b) => {
  const half = i.size / 2;
  b.setRegister(0, i.size, b.let(b.signExtend(b.register(0, half), half)));
};

/** CWD, CDQ, CQO */
const convertToPair: Meaning = (i, b) => {
  b.setRegister(2, i.size, b.let(b.shrS(b.signExtend(b.register(0, i.size), i.size), 63)));
};

/** AL = [segment: rBX + AL]. */
const xlat: Meaning = (i, b) => {
  const bytes = i.addressBytes();
  const segment = i.segment();
  const mask = b.select(b.eq(bytes, 8), -1n, b.select(b.eq(bytes, 4), 0xffffffffn, 0xffffn));
  const base = b.register(3, bytes.isConstant ? bytes.exact * 8 : 64);
  const offset = b.let(b.and(b.add(base, b.register(0, 8)), mask));
  const known = segment.isConstant ? b.stringAddress(segment.exact, offset, bytes.exact * 8, 1, false) : null;
  if (known) return b.setRegister(0, 8, b.loadGuest(known, 8));
  const address = b.core('segment_address', segment, offset, b.i32(1), b.i32(0));
  b.checkFault();
  b.setRegister(0, 8, b.loadGuest(address, 8));
};

const cmpxchg: Meaning = (i, b) => {
  const { size } = i.dst;
  const accumulator = b.register(0, size);
  const c = i.src.read();
  const a = b.copy(i.dst.readModify());
  const equal = b.let(b.eq(a, accumulator));
  if (i.dst.isMemory) {
    // The destination is written in both cases, as processors do.
    i.dst.write(b.let(b.select(equal, c, a)));
    b.if(b.eqz(equal), () => b.setRegister(0, size, a));
  } else {
    b.if(
      equal,
      () => i.dst.write(c),
      () => b.setRegister(0, size, a),
    );
  }
  b.flags.sub(size, accumulator, a);
};

const xadd: Meaning = (i, b) => {
  const c = i.src.read();
  const a = b.copy(i.dst.readModify());
  const r = b.letLow(b.add(a, c), i.dst.size);
  if (i.dst.isMemory) {
    i.dst.write(r);
    i.src.write(a);
  } else {
    // With one register for both, the sum stays.
    i.src.write(a);
    i.dst.write(r);
  }
  b.flags.add(i.dst.size, a, r);
};

const cmpxchgWide =
  (bytes: (size: number) => number): Meaning =>
  (i, b) =>
    b.coreStatus('cmpxchg_wide', i.dst.address(), b.i32(bytes(i.size)));

const movToSegment: Meaning = (i, b) => {
  const segment = i.dst.registerOffset();
  const selector = b.let(b.wrap(i.src.read()));
  if (b.loadSegment(segment, selector)) return;
  b.coreStatus('load_segment', b.let(b.shrU(b.sub(segment, Cpu.SEG), 5)), selector);
};

const movFromSegment: Meaning = (i, b) => {
  i.dst.write(b.let(b.extendU(b.load('i32', b.add(b.cpu(), i.src.registerOffset()), Seg.SELECTOR))));
};

/** LES LDS LSS LFS LGS: offset, then selector. */
const loadFar =
  (segment: number): Meaning =>
  (i, b) => {
    const offset = i.src.read();
    const selector = b.let(b.wrap(i.src.displaced(b.i64(i.size / 8), 16).read()));
    if (!b.loadSegment(b.i32(Cpu.SEG + segment * Cpu.SEG_SIZE), selector)) {
      b.core('load_segment', b.i32(segment), selector);
      b.checkFault();
    }
    i.dst.write(offset);
  };

const ud: Meaning = (_i, b) => b.raise(Vector.UD);
const nop: Meaning = () => {};

export function defineMove(t: InstructionTable): void {
  t.op(0x88, 'mov', 'Eb,Gb', mov, { hot: true });
  t.op(0x89, 'mov', 'Ev,Gv', mov, { hot: true });
  t.op(0x8a, 'mov', 'Gb,Eb', mov, { hot: true });
  t.op(0x8b, 'mov', 'Gv,Ev', mov, { hot: true });
  t.op(0xa0, 'mov', 'AL,Ob', mov, { hot: true });
  t.op(0xa1, 'mov', 'rAX,Ov', mov, { hot: true });
  t.op(0xa2, 'mov', 'Ob,AL', mov, { hot: true });
  t.op(0xa3, 'mov', 'Ov,rAX', mov, { hot: true });
  t.op8(0xb0, 'mov', 'Zb,Ib', mov, { hot: true });
  t.op8(0xb8, 'mov', 'Zv,Iv', mov, { hot: true });
  t.op(0xc6, 'mov', 'Eb,Ib', mov, { ext: 0, hot: true });
  t.op(0xc7, 'mov', 'Ev,Iz', mov, { ext: 0, hot: true });
  t.op(0x0fb6, 'movzx', 'Gv,Eb', movzx, { hot: true });
  t.op(0x0fb7, 'movzx', 'Gv,Ew', movzx, { hot: true });
  t.op(0x0fbe, 'movsx', 'Gv,Eb', movsx, { hot: true });
  t.op(0x0fbf, 'movsx', 'Gv,Ew', movsx, { hot: true });
  t.op(0x63, 'movsxd', 'Gv,Ez', movsx, { only64: true, hot: true });
  t.op(0x8d, 'lea', 'Gv,M', lea, { hot: true, addressOnly: true });
  t.op(0x86, 'xchg', 'Eb,Gb', xchg, { lock: true, implicitLock: true });
  t.op(0x87, 'xchg', 'Ev,Gv', xchg, { lock: true, implicitLock: true });
  // 90 is XCHG EAX, EAX by its place, but must not clear the upper half of RAX. With REX.B it is XCHG, F3 or not.
  t.op(0x90, 'pause', '', nop, { prefix: 0xf3, b: 0, hot: true });
  t.op(0x90, 'nop', '', nop, { b: 0, hot: true });
  t.op8(0x90, 'xchg', 'Zv,rAX', xchg);
  CONDITIONS.forEach((name, cc) => {
    t.op(0x0f40 + cc, `cmov${name}`, 'Gv,Ev', cmov(cc), { hot: true });
    t.op(0x0f90 + cc, `set${name}`, 'Eb', setcc(cc), { hot: true });
  });
  t.op8(0x0fc8, 'bswap', 'Zv', bswap, { hot: true });
  t.op(0x98, 'cbw', '', convertInPlace, { hot: true, names: ['cbw', 'cwde', 'cdqe'] });
  t.op(0x99, 'cwd', '', convertToPair, { hot: true, names: ['cwd', 'cdq', 'cqo'] });
  t.op(0xd7, 'xlatb', '', xlat, { string: true });
  t.op(0x0fb0, 'cmpxchg', 'Eb,Gb', cmpxchg, { lock: true, implicitLock: true });
  t.op(0x0fb1, 'cmpxchg', 'Ev,Gv', cmpxchg, { hot: true, lock: true, implicitLock: true });
  t.op(0x0fc0, 'xadd', 'Eb,Gb', xadd, { lock: true });
  t.op(0x0fc1, 'xadd', 'Ev,Gv', xadd, { hot: true, lock: true });
  t.op(0x0fc7, 'cmpxchg16b', 'Mx', cmpxchgWide(() => 16), { ext: 1, mod: 'mem', w: 1, only64: true, lock: true });
  t.op(0x0fc7, 'cmpxchg8b', 'Mq', cmpxchgWide(() => 8), { ext: 1, mod: 'mem', lock: true });
  t.op(0x8c, 'mov', 'Mw,Sw', movFromSegment, { mod: 'mem' });
  t.op(0x8c, 'mov', 'Rv,Sw', movFromSegment, { mod: 'reg' });
  t.op(0x8e, 'mov', 'Sw,Ew', movToSegment, { resync: true, showsChange: true });
  t.op(0xc4, 'les', 'Gv,Mp', loadFar(0), { mod: 'mem', not64: true, resync: true, showsChange: true });
  t.op(0xc5, 'lds', 'Gv,Mp', loadFar(3), { mod: 'mem', not64: true, resync: true, showsChange: true });
  t.op(0x0fb2, 'lss', 'Gv,Mp', loadFar(2), { mod: 'mem', resync: true, showsChange: true });
  t.op(0x0fb4, 'lfs', 'Gv,Mp', loadFar(4), { mod: 'mem', resync: true, showsChange: true });
  t.op(0x0fb5, 'lgs', 'Gv,Mp', loadFar(5), { mod: 'mem', resync: true, showsChange: true });
  t.op(0x0f0b, 'ud2', '', ud, { ends: true });
  t.op(0x0fb9, 'ud1', 'Gv,Ev', ud, { ends: true });
  t.op(0x0fff, 'ud0', 'Gv,Ev', ud, { ends: true });
  // NOP with ModRM, and the hint instructions that older processors take as NOP.
  t.op(0x0f1f, 'nop', 'Ev', nop, { hot: true, hint: true, readOnly: true });
  for (const opcode of [0x0f19, 0x0f1a, 0x0f1b, 0x0f1c, 0x0f1d, 0x0f1e]) t.op(opcode, 'nop', 'Ev,Gv', nop, { hint: true, readOnly: true });
  t.op(0x0f18, 'prefetchnta', 'Mb', nop, { hint: true, ext: 0, mod: 'mem', readOnly: true });
  for (const n of [1, 2, 3]) t.op(0x0f18, `prefetcht${n - 1}`, 'Mb', nop, { hint: true, ext: n, mod: 'mem', readOnly: true });
  t.op(0x0f18, 'nop', 'Ev', nop, { hint: true, readOnly: true });
  t.op(0x0f0d, 'prefetchw', 'Mb', nop, { hint: true, ext: 1, mod: 'mem', readOnly: true });
  t.op(0x0f0d, 'prefetch', 'Mb', nop, { hint: true, mod: 'mem', readOnly: true });
}

