// System instructions: control and debug registers, descriptor tables, MSRs, ports, SYSCALL and SYSENTER, HLT, CPUID, RDTSC.
// Intel SDM volume 2, and volume 3 chapter 2. What they do is in core.wasm; here is how they are encoded and called.

import { Cpu, Rflags, Seg, Vector } from '../core/layout.ts';
import type { CoreFunction } from './core-functions.ts';
import type { Builder, Meaning } from './builder.ts';
import type { InstructionTable } from './table.ts';

const status =
  (name: CoreFunction): Meaning =>
  (_i, b) =>
    b.coreStatus(name);

const statusSized =
  (name: CoreFunction): Meaning =>
  (i, b) =>
    b.coreStatus(name, b.i32(i.size));

/** SGDT and the like: the memory operand's address. */
const tableRegister =
  (name: CoreFunction): Meaning =>
  (i, b) =>
    b.coreStatus(name, i.dst.address(), b.i32(i.size));

/** #GP(0) outside ring 0, before an operand in memory is looked at. */
function ring0Only(b: Builder): void {
  b.raiseIf(b.state('i32', Cpu.CPL), Vector.GP, 0);
}

/** LLDT, LTR */
const selectorIn =
  (name: CoreFunction): Meaning =>
  (i, b) => {
    protectedModeOnly(b);
    ring0Only(b);
    b.coreStatus(name, b.let(b.wrap(i.dst.read())));
  };

/** #UD in real-address and virtual-8086 mode. */
function protectedModeOnly(b: Builder): void {
  const real = b.eqz(b.and(b.state('i32', Cpu.CR0), 1));
  b.raiseIf(b.or(real, b.and(b.state('i32', Cpu.RFLAGS), Rflags.VM)), Vector.UD);
}

/** SLDT, STR */
const storeSelector =
  (segment: number): Meaning =>
  (i, b) => {
    protectedModeOnly(b);
    i.dst.write(b.let(b.extendU(b.state('i32', segment + Seg.SELECTOR))));
  };

const smsw: Meaning = (i, b) => i.dst.write(b.state('i64', Cpu.CR0));
const lmsw: Meaning = (i, b) => {
  ring0Only(b);
  b.coreStatus('lmsw', b.let(b.wrap(i.dst.read())));
};

/** At privilege 0; what IOPL allows to others is core's. */
const cli: Meaning = (_i, b) => {
  b.if(b.state('i32', Cpu.CPL), () => b.coreStatus('cli'), undefined, 'seldom');
  b.setState(Cpu.RFLAGS, b.let(b.and(b.state('i32', Cpu.RFLAGS), ~Rflags.IF)));
};

/** If IF was clear, interrupts wait for the end of the next instruction. */
const sti: Meaning = (_i, b) => {
  const isOther = b.or(b.state('i32', Cpu.CPL), b.state('i32', Cpu.INTERRUPT_PENDING));
  b.if(isOther, () => b.coreStatus('sti'), undefined, 'seldom');
  const flags = b.state('i32', Cpu.RFLAGS);
  b.setState(Cpu.INTERRUPT_SHADOW, b.let(b.select(b.and(flags, Rflags.IF), b.state('i32', Cpu.INTERRUPT_SHADOW), b.i32(1))));
  b.setState(Cpu.RFLAGS, b.let(b.or(flags, Rflags.IF)));
};

/** Known in 64-bit code only; at other privileges core raises #GP(0). */
const swapgs: Meaning = (_i, b) => {
  b.if(b.state('i32', Cpu.CPL), () => b.coreStatus('swapgs'), undefined, 'seldom');
  const base = b.state('i64', Cpu.GS + Seg.BASE);
  b.setState(Cpu.GS + Seg.BASE, b.state('i64', Cpu.KERNEL_GS_BASE));
  b.setState(Cpu.KERNEL_GS_BASE, base);
};

const moveToControl: Meaning = (i, b) => b.coreStatus('write_cr', i.dst.registerOffset(), i.src.read());
const moveFromControl: Meaning = (i, b) => {
  const v = b.core('read_cr', i.src.registerOffset());
  b.checkFault();
  i.dst.write(v);
};
const moveToDebug: Meaning = (i, b) => b.coreStatus('write_dr', i.dst.registerOffset(), i.src.read());
const moveFromDebug: Meaning = (i, b) => {
  const v = b.core('read_dr', i.src.registerOffset());
  b.checkFault();
  i.dst.write(v);
};

/** IN: the port is the immediate or DX. */
const portIn: Meaning = (i, b) => {
  const v = b.core('port_in', b.let(b.and(b.wrap(i.src.read()), 0xffff)), b.i32(i.dst.size / 8));
  b.checkFault();
  i.dst.write(v);
};

const portOut: Meaning = (i, b) => {
  b.coreStatus('port_out', b.let(b.and(b.wrap(i.dst.read()), 0xffff)), b.i32(i.src.size / 8), i.src.read());
};

const invlpg: Meaning = (i, b) => b.coreStatus('invlpg', i.dst.address());

/** LAR, LSL: the destination is written only if ZF was set. */
const descriptorQuery =
  (name: 'lar' | 'lsl'): Meaning =>
  (i, b) => {
    const selector = b.let(b.and(b.wrap(i.src.read()), 0xffff));
    const v = b.core(name, selector);
    b.checkFault();
    b.if(b.flags.condition(4), () => i.dst.write(v));
  };

const verify =
  (name: 'verr' | 'verw'): Meaning =>
  (i, b) =>
    b.coreStatus(name, b.let(b.and(b.wrap(i.dst.read()), 0xffff)));

/** ARPL: RPL of the destination raised to that of the source. */
const arpl: Meaning = (i, b) => {
  protectedModeOnly(b);
  const c = i.src.read();
  const a = b.copy(i.dst.read());
  const lower = b.let(b.ltU(b.and(a, 3), b.and(c, 3)));
  b.if(lower, () => i.dst.write(b.let(b.or(b.and(a, ~3n), b.and(c, 3)))));
  b.flags.explicit(b.let(b.or(b.and(b.flags.arithmetic(), ~0x40), b.shl(lower, 6))));
};

export function defineSystem(t: InstructionTable): void {
  t.op(0x63, 'arpl', 'Ew,Gw', arpl, { not64: true });
  t.op(0x0f00, 'sldt', 'Mw', storeSelector(Cpu.LDTR), { ext: 0, mod: 'mem' });
  t.op(0x0f00, 'sldt', 'Rv', storeSelector(Cpu.LDTR), { ext: 0, mod: 'reg' });
  t.op(0x0f00, 'str', 'Mw', storeSelector(Cpu.TR), { ext: 1, mod: 'mem' });
  t.op(0x0f00, 'str', 'Rv', storeSelector(Cpu.TR), { ext: 1, mod: 'reg' });
  t.op(0x0f00, 'lldt', 'Ew', selectorIn('lldt'), { ext: 2, readOnly: true });
  t.op(0x0f00, 'ltr', 'Ew', selectorIn('ltr'), { ext: 3, readOnly: true });
  t.op(0x0f00, 'verr', 'Ew', verify('verr'), { ext: 4, readOnly: true });
  t.op(0x0f00, 'verw', 'Ew', verify('verw'), { ext: 5, readOnly: true });
  t.op(0x0f01, 'sgdt', 'Ms', tableRegister('sgdt'), { ext: 0, mod: 'mem', f64: true, memoryBytes: 10 });
  t.op(0x0f01, 'sidt', 'Ms', tableRegister('sidt'), { ext: 1, mod: 'mem', f64: true, memoryBytes: 10 });
  t.op(0x0f01, 'lgdt', 'Ms', tableRegister('lgdt'), { ext: 2, mod: 'mem', f64: true, readOnly: true, memoryBytes: 10 });
  t.op(0x0f01, 'lidt', 'Ms', tableRegister('lidt'), { ext: 3, mod: 'mem', f64: true, readOnly: true, memoryBytes: 10 });
  t.op(0x0f01, 'smsw', 'Mw', smsw, { ext: 4, mod: 'mem' });
  t.op(0x0f01, 'smsw', 'Rv', smsw, { ext: 4, mod: 'reg' });
  t.op(0x0f01, 'lmsw', 'Ew', lmsw, { ext: 6, readOnly: true, resync: true });
  t.op(0x0f01, 'invlpg', 'Mb', invlpg, { ext: 7, mod: 'mem', readOnly: true, resync: true, showsChange: true });
  t.op(0x0f01, 'swapgs', '', swapgs, { hot: true, ext: 7, mod: 'reg', rm: 0, only64: true });
  t.op(0x0f01, 'rdtscp', '', status('rdtscp'), { ext: 7, mod: 'reg', rm: 1 });
  t.op(0x0f02, 'lar', 'Gv,Ew', descriptorQuery('lar'));
  t.op(0x0f03, 'lsl', 'Gv,Ew', descriptorQuery('lsl'));
  t.op(0x0f05, 'syscall', '', status('syscall'), { ends: true, transfers: true });
  t.op(0x0f06, 'clts', '', status('clts'), { resync: true });
  t.op(0x0f07, 'sysret', '', statusSized('sysret'), { ends: true, transfers: true, names: ['sysret', 'sysret', 'sysretq'] });
  t.op(0x0f08, 'invd', '', status('invd'));
  t.op(0x0f09, 'wbinvd', '', status('invd'));
  t.op(0x0f20, 'mov', 'Rn,Cn', moveFromControl, { f64: true });
  t.op(0x0f21, 'mov', 'Rn,Dn', moveFromDebug, { f64: true });
  t.op(0x0f22, 'mov', 'Cn,Rn', moveToControl, { f64: true, resync: true });
  t.op(0x0f23, 'mov', 'Dn,Rn', moveToDebug, { f64: true, resync: true });
  t.op(0x0f30, 'wrmsr', '', status('wrmsr'), { resync: true, showsChange: true });
  t.op(0x0f31, 'rdtsc', '', status('rdtsc'));
  t.op(0x0f32, 'rdmsr', '', status('rdmsr'));
  t.op(0x0f33, 'rdpmc', '', status('rdpmc'));
  t.op(0x0f34, 'sysenter', '', status('sysenter'), { ends: true, transfers: true });
  t.op(0x0f35, 'sysexit', '', statusSized('sysexit'), { ends: true, transfers: true, names: ['sysexit', 'sysexit', 'sysexitq'] });
  t.op(0x0fa2, 'cpuid', '', status('cpuid'));
  t.op(0xf4, 'hlt', '', status('hlt'), { ends: true });
  t.op(0xfa, 'cli', '', cli, { hot: true });
  t.op(0xfb, 'sti', '', sti, { hot: true, interrupts: 'shadow' });
  t.op(0xe4, 'in', 'AL,Ib', portIn);
  t.op(0xe5, 'in', 'EAX,Ib', portIn);
  t.op(0xec, 'in', 'AL,DX', portIn);
  t.op(0xed, 'in', 'EAX,DX', portIn);
  t.op(0xe6, 'out', 'Ib,AL', portOut);
  t.op(0xe7, 'out', 'Ib,EAX', portOut);
  t.op(0xee, 'out', 'DX,AL', portOut);
  t.op(0xef, 'out', 'DX,EAX', portOut);
}
