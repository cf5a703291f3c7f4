import { beforeEach, describe, expect, it } from 'vitest';
import { Cpu, Status } from './layout.ts';
import { BUILD_TIMEOUT, CPU, TestCpu } from './testing.ts';

// Arithmetic is compared with a real processor in tests/oracle/fp; here is what user mode cannot try.

let t: TestCpu;
beforeEach(async () => {
  t = await TestCpu.create();
  t.protect();
  t.core.x87_fninit(CPU);
}, BUILD_TIMEOUT);

const AT = 0x9000;
const CR0_PE = 0x11n;
const [MP, EM, TS, NE] = [0x2n, 0x4n, 0x8n, 0x20n];
const OSFXSR = 0x200n;
/** An unmasked, pending invalid operation. */
const pending = (): void => {
  t.set32(Cpu.FCW, 0x37e);
  t.set32(Cpu.FSW, 0x8081);
};
const push = (...values: bigint[]): void => {
  for (const value of values) t.core.x87_fild(CPU, value);
};

describe('what an x87 instruction asks first', () => {
  it.each([
    ['x87_check', 0n, ''],
    ['x87_check', TS, '#7'],
    ['x87_check', EM, '#7'],
    ['x87_fwait', TS, ''],
    ['x87_fwait', MP, ''],
    ['x87_fwait', MP | TS, '#7'],
    ['x87_fwait', EM, ''],
    ['mmx_check', TS, '#7'],
    ['mmx_check', EM, '#6'],
    ['mmx_check', EM | TS, '#6'],
  ])('%s with CR0 | %x: %s', (name, bits, fault) => {
    t.set64(Cpu.CR0, CR0_PE | NE | bits);
    expect(t.call(name, ...(name === 'x87_check' ? [1] : []))).toBe(fault ? Status.FAULT : Status.NEXT);
    expect(t.takeFault()).toBe(fault);
  });

  it.each([
    [0n, OSFXSR, ''],
    [TS, OSFXSR, '#7'],
    [EM, OSFXSR, '#6'],
    [0n, 0n, '#6'],
    [TS, 0n, '#6'],
  ])('sse_check with CR0 | %x and CR4 %x: %s', (cr0, cr4, fault) => {
    t.set64(Cpu.CR0, CR0_PE | cr0);
    t.set64(Cpu.CR4, cr4);
    expect(t.call('sse_check')).toBe(fault ? Status.FAULT : Status.NEXT);
    expect(t.takeFault()).toBe(fault);
  });

  it('raises #MF for an earlier exception, unless it does not wait', () => {
    t.set64(Cpu.CR0, CR0_PE | NE);
    pending();
    expect(t.call('x87_check', 0)).toBe(Status.NEXT);
    expect(t.call('x87_check', 1)).toBe(Status.FAULT);
    expect(t.takeFault()).toBe('#16');
    expect(t.call('mmx_check')).toBe(Status.FAULT);
    expect(t.takeFault()).toBe('#16');
  });

  it('asserts FERR# instead when CR0.NE is clear, until the exception is cleared', () => {
    pending();
    expect(t.call('x87_check', 1)).toBe(Status.NEXT);
    expect(t.get32(Cpu.FERR)).toBe(1);
    expect(t.get32(Cpu.EXIT_REQUEST)).toBe(1);
    t.core.x87_fnclex(CPU);
    expect(t.get32(Cpu.FERR)).toBe(0);
    expect(t.get32(Cpu.FSW)).toBe(0);
  });

  it('an unmasked exception notes the instruction', () => {
    t.fill(0x5000, [0x66, 0xd8, 0xf1]);
    t.set32(Cpu.FCW, 0x37b);
    push(0n, 1n);
    // 1 / 0
    t.call('x87_arith', 6, 0, 1, 0);
    expect(t.get32(Cpu.FSW) & 0x80ff).toBe(0x8084);
    expect(t.get32(Cpu.FOP)).toBe(0x0f1);
    expect(t.get64(Cpu.FIP)).toBe(0x5000n);
    expect(t.takeFault()).toBe('');
  });
});

describe('FLDCW', () => {
  it('keeps reserved bits and makes a masked exception pending', () => {
    t.set32(Cpu.FSW, 0x0001);
    t.call('x87_fldcw', 0xffffn);
    expect([t.get32(Cpu.FCW), t.get32(Cpu.FSW)]).toEqual([0x1f7f, 1]);
    t.call('x87_fldcw', 0x0300n);
    expect([t.get32(Cpu.FCW), t.get32(Cpu.FSW)]).toEqual([0x0340, 0x8081]);
    t.call('x87_fldcw', 0x037fn);
    expect(t.get32(Cpu.FSW)).toBe(1);
  });
});

describe('environment and state images', () => {
  const pointers = (): void => {
    t.set64(Cpu.FIP, 0x1234_5678n);
    t.set32(Cpu.FCS, 0x08);
    t.set32(Cpu.FOP, 0x3ab);
    t.set64(Cpu.FDP, 0x9abc_def0n);
    t.set32(Cpu.FDS, 0x10);
  };

  it('FNSTENV, 32-bit protected, masks all exceptions', () => {
    push(0n, 1n);
    t.set32(Cpu.FCW, 0x340);
    pointers();
    expect(t.call('x87_fnstenv', BigInt(AT), 32)).toBe(Status.NEXT);
    expect(t.words(AT, 7, 4)).toEqual([0xffff0340, 0xffff3000, 0xffff4fff, 0x1234_5678, 0x03ab_0008, 0x9abc_def0, 0xffff_0010]);
    expect(t.get32(Cpu.FCW)).toBe(0x37f);
  });

  it('FNSTENV, 16-bit protected', () => {
    pointers();
    t.call('x87_fnstenv', BigInt(AT), 16);
    expect(t.words(AT, 7, 2)).toEqual([0x37f, 0, 0xffff, 0x5678, 0x08, 0xdef0, 0x10]);
  });

  it.each([
    [16, 2 as const, [0x37f, 0, 0xffff, 0x56f8, 0x43ab, 0xdff0, 0xc000]],
    [32, 4 as const, [0xffff037f, 0xffff0000, 0xffffffff, 0xffff56f8, 0x012343ab, 0xffffdff0, 0x09abc000]],
  ])('FNSTENV in real mode, %i bits: linear addresses and the opcode', (size, step, words) => {
    t.real();
    pointers();
    t.call('x87_fnstenv', BigInt(AT), size);
    expect(t.words(AT, 7, step)).toEqual(words);
    t.core.x87_fninit(CPU);
    t.call('x87_fldenv', BigInt(AT), size);
    expect(t.get32(Cpu.FOP)).toBe(0x3ab);
    expect(t.get64(Cpu.FIP)).toBe(size === 16 ? 0x456f8n : 0x123456f8n);
  });

  it('FLDENV with an unmasked exception makes it pending', () => {
    for (const [n, word] of [0x340, 0x0004, 0xffff, 0, 0, 0, 0].entries()) t.write32(AT + 4 * n, word);
    t.call('x87_fldenv', BigInt(AT), 32);
    expect(t.get32(Cpu.FSW)).toBe(0x8084);
  });

  it.each([16, 32])('FNSAVE initialises, FRSTOR brings everything back (%i bits)', (size) => {
    push(1n, -2n, 3n);
    t.set32(Cpu.FCW, 0x27f);
    const registers = () => Array.from({ length: 8 }, (_, n) => [t.get64(Cpu.FPR + 16 * n), t.get64(Cpu.FPR + 16 * n + 8) & 0xffffn]);
    const before = [registers(), t.get32(Cpu.FSW), t.get32(Cpu.FTW), t.get32(Cpu.FCW)];
    t.call('x87_fnsave', BigInt(AT), size);
    expect([t.get32(Cpu.FSW), t.get32(Cpu.FTW), t.get32(Cpu.FCW)]).toEqual([0, 0, 0x37f]);
    // ST(0) is 3.
    expect(t.read64(AT + (size === 16 ? 14 : 28))).toBe(0xc000000000000000n);
    for (let n = 0; n < 8; n++) t.set64(Cpu.FPR + 16 * n, 0n);
    t.call('x87_frstor', BigInt(AT), size);
    expect([registers(), t.get32(Cpu.FSW), t.get32(Cpu.FTW), t.get32(Cpu.FCW)]).toEqual(before);
  });

  it('a fault on the second page leaves no trace', () => {
    t.long(3);
    t.core.x87_fninit(CPU);
    push(1n);
    const end = 0x40_0000 - 0x10;
    expect(t.call('x87_fnsave', BigInt(end), 32)).toBe(Status.FAULT);
    expect(t.takeFault()).toMatch(/^#14/);
    expect(t.get32(Cpu.FTW)).toBe(0x80);
    expect(t.read32(end)).toBe(0);
  });
});

describe('FXSAVE and FXRSTOR', () => {
  beforeEach(() => {
    t.set64(Cpu.CR4, OSFXSR);
    t.set32(Cpu.MXCSR, 0x1f80);
  });

  it('has the 32-bit layout', () => {
    push(1n);
    t.set64(Cpu.FIP, 0x1_2345_6789n);
    t.set32(Cpu.FCS, 0x18);
    t.set32(Cpu.FOP, 0x123);
    for (let n = 0; n < 32; n++) t.set64(Cpu.XMM + 8 * n, BigInt(n + 1));
    expect(t.call('fxsave', BigInt(AT), 0)).toBe(Status.NEXT);
    expect(t.words(AT, 8, 4)).toEqual([0x3800_037f, 0x0123_0080, 0x2345_6789, 0x18, 0, 0, 0x1f80, 0xffff]);
    expect([t.read64(AT + 32), t.read64(AT + 40)]).toEqual([0x8000000000000000n, 0x3fffn]);
    expect(t.words(AT + 160, 18, 8)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 0, 0]);
  });

  it('has 64-bit pointers and 16 XMM registers in 64-bit code, and comes back', () => {
    t.long();
    t.set64(Cpu.CR4, 0xa0n | OSFXSR);
    push(1n, 2n);
    t.set64(Cpu.FIP, 0xffff_8000_1234_5678n);
    for (let n = 0; n < 32; n++) t.set64(Cpu.XMM + 8 * n, BigInt(n + 1));
    t.call('fxsave', BigInt(AT), 1);
    expect(t.read64(AT + 8)).toBe(0xffff_8000_1234_5678n);
    expect(t.words(AT + 160, 32, 8)).toEqual(Array.from({ length: 32 }, (_, n) => n + 1));
    t.write32(AT + 24, 0x1fa0);
    t.core.x87_fninit(CPU);
    for (let n = 0; n < 32; n++) t.set64(Cpu.XMM + 8 * n, 0n);
    expect(t.call('fxrstor', BigInt(AT), 1)).toBe(Status.NEXT);
    expect([t.get32(Cpu.FSW), t.get32(Cpu.FTW), t.get32(Cpu.MXCSR), t.get64(Cpu.FIP)]).toEqual([0x3000, 0xc0, 0x1fa0, 0xffff_8000_1234_5678n]);
    expect(t.get64(Cpu.XMM + 8 * 31)).toBe(32n);
    expect(t.get64(Cpu.FPR + 16 * 6 + 8) & 0xffffn).toBe(0x4000n);
  });

  it('refuses a misaligned address, reserved MXCSR bits, and a device that is off', () => {
    expect(t.call('fxsave', BigInt(AT + 8), 0)).toBe(Status.FAULT);
    expect(t.takeFault()).toBe('#13(0)');
    t.call('fxsave', BigInt(AT), 0);
    t.write32(AT + 24, 0x1_1f80);
    expect(t.call('fxrstor', BigInt(AT), 0)).toBe(Status.FAULT);
    expect(t.takeFault()).toBe('#13(0)');
    t.set64(Cpu.CR0, CR0_PE | TS);
    expect(t.call('fxsave', BigInt(AT), 0)).toBe(Status.FAULT);
    expect(t.takeFault()).toBe('#7');
  });
});

describe('SSE exceptions', () => {
  it('are #XM, or #UD without CR4.OSXMMEXCPT, and keep the destination', () => {
    t.set32(Cpu.MXCSR, 0x1d80);
    t.set64(Cpu.XMM, 0x3ff0000000000000n);
    t.set64(Cpu.XMM + 16, 0n);
    t.set64(Cpu.CR4, OSFXSR | 0x400n);
    expect(t.call('sse_arith64', 6, 1, CPU + Cpu.XMM, CPU + Cpu.XMM + 16)).toBe(Status.FAULT);
    expect(t.takeFault()).toBe('#19');
    t.set64(Cpu.CR4, OSFXSR);
    t.call('sse_arith64', 6, 1, CPU + Cpu.XMM, CPU + Cpu.XMM + 16);
    expect(t.takeFault()).toBe('#6');
    expect(t.get64(Cpu.XMM)).toBe(0x3ff0000000000000n);
    expect(t.get32(Cpu.MXCSR)).toBe(0x1d84);
  });
});
