// The stack: PUSH POP PUSHA POPA PUSHF POPF ENTER LEAVE. Intel SDM volume 2.

import { Cpu, Rflags, Seg } from '../core/layout.ts';
import type { Meaning } from './builder.ts';
import type { InstructionTable } from './table.ts';

const push: Meaning = (i, b) => b.push(i.dst.read(), i.size);

const pop: Meaning = (i, b) => {
  const value = b.peekStack(i.size);
  // A memory destination may fault, so it comes first; a register one may be RSP itself, so it comes last.
  if (i.dst.isMemory) {
    i.dst.write(value);
    b.dropStack(i.size / 8);
  } else {
    b.dropStack(i.size / 8);
    i.dst.write(value);
  }
};

const pushSegment =
  (segment: number): Meaning =>
  (i, b) =>
    b.push(b.let(b.extendU(b.state('i32', segment + Seg.SELECTOR))), i.size);

const popSegment =
  (segment: number): Meaning =>
  (i, b) => {
    const selector = b.let(b.and(b.wrap(b.peekStack(i.size)), 0xffff));
    if (!b.loadSegment(b.i32(segment), selector)) {
      b.core('load_segment', b.i32((segment - Cpu.SEG) / Cpu.SEG_SIZE), selector);
      b.checkFault();
    }
    b.dropStack(i.size / 8);
  };

const pusha: Meaning = (i, b) => {
  if (!b.pushAll(i.size)) b.coreStatus('pusha', b.i32(i.size));
};
const popa: Meaning = (i, b) => {
  if (!b.popAll(i.size)) b.coreStatus('popa', b.i32(i.size));
};

/** In virtual-8086 mode IOPL decides, which is core's. */
const pushf: Meaning = (i, b) => {
  const flags = b.state('i32', Cpu.RFLAGS);
  b.if(b.and(flags, Rflags.VM), () => b.coreStatus('pushf', b.i32(i.size)), undefined, 'seldom');
  b.push(b.let(b.extendU(b.or(b.and(flags, ~Rflags.RF), b.flags.arithmetic()))), i.size);
};

/** What POPF does beside the arithmetic flags and, at privilege 0 with no interrupt waiting, IF is core's. */
const popf: Meaning = (i, b) => {
  if (i.size === 16) return b.coreStatus('popf', b.i32(16));
  const image = b.let(b.wrap(b.peekStack(i.size)));
  const flags = b.state('i32', Cpu.RFLAGS);
  const others = Rflags.TF | Rflags.DF | Rflags.IOPL | Rflags.NT | Rflags.RF | Rflags.VM | Rflags.AC | Rflags.ID;
  const isInner = b.or(b.state('i32', Cpu.CPL), b.state('i32', Cpu.INTERRUPT_PENDING));
  const change = b.let(b.xor(image, flags));
  b.if(b.and(change, b.select(isInner, b.i32(others | Rflags.IF), b.i32(others))), () => b.coreStatus('popf', b.i32(i.size)), undefined, 'seldom');
  b.dropStack(i.size / 8);
  b.setState(Cpu.RFLAGS, b.let(b.xor(flags, b.and(change, Rflags.IF))));
  b.flags.explicit(b.let(b.and(image, Rflags.ARITHMETIC)));
};

const enter: Meaning = (i, b) => {
  const allocate = b.let(b.and(i.dst.read(), 0xffff));
  const nesting = b.let(b.and(b.wrap(i.src.read()), 31));
  if (nesting.is(0) && b.enter(i.size, allocate)) return;
  b.coreStatus('enter', b.i32(i.size), b.let(b.wrap(allocate)), nesting);
};

const leave: Meaning = (i, b) => b.leave(i.size);

export function defineStack(t: InstructionTable): void {
  t.op8(0x50, 'push', 'Zv', push, { d64: true, stack: true, hot: true });
  t.op8(0x58, 'pop', 'Zv', pop, { d64: true, stack: true, hot: true });
  t.op(0x68, 'push', 'Iz', push, { suffix: true, d64: true, stack: true, hot: true });
  t.op(0x6a, 'push', 'SXb', push, { suffix: true, d64: true, stack: true, hot: true });
  t.op(0xff, 'push', 'Ev', push, { ext: 6, d64: true, stack: true, hot: true, readOnly: true });
  t.op(0x8f, 'pop', 'Ev', pop, { ext: 0, d64: true, stack: true, popToMemory: true });
  const segments: [number, number, string, boolean][] = [
    [0x06, Cpu.ES, 'es', true],
    [0x0e, Cpu.CS, 'cs', true],
    [0x16, Cpu.SS, 'ss', true],
    [0x1e, Cpu.DS, 'ds', true],
    [0x0fa0, Cpu.FS, 'fs', false],
    [0x0fa8, Cpu.GS, 'gs', false],
  ];
  for (const [opcode, segment, name, legacy] of segments) {
    t.op(opcode, `push ${name}`, '', pushSegment(segment), { suffix: true, d64: true, stack: true, not64: legacy });
    if (segment !== Cpu.CS) t.op(opcode + 1, `pop ${name}`, '', popSegment(segment), { suffix: true, d64: true, stack: true, not64: legacy, resync: true, showsChange: true });
  }
  t.op(0x60, 'pusha', '', pusha, { not64: true, stack: true, names: ['pusha', 'pushad', 'pushad'] });
  t.op(0x61, 'popa', '', popa, { not64: true, stack: true, names: ['popa', 'popad', 'popad'] });
  t.op(0x9c, 'pushf', '', pushf, { d64: true, stack: true, names: ['pushf', 'pushfd', 'pushfq'] });
  t.op(0x9d, 'popf', '', popf, { d64: true, stack: true, names: ['popf', 'popfd', 'popfq'], interrupts: 'after' });
  t.op(0xc8, 'enter', 'Iw,Ib', enter, { suffix: true, d64: true, stack: true });
  t.op(0xc9, 'leave', '', leave, { suffix: true, d64: true, stack: true, hot: true });
}

