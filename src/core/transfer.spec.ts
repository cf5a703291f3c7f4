import { beforeEach, describe, expect, it } from 'vitest';
import { Cpu, Rflags, Seg, SegAttr, Status } from './layout.ts';
import { BUILD_TIMEOUT, CPU, GDT, LDT, STACK0, STACK3, Sel, TSS, TestCpu } from './testing.ts';

let t: TestCpu;
beforeEach(async () => {
  t = await TestCpu.create();
}, BUILD_TIMEOUT);

const push = (size: 2 | 4 | 8, ...values: number[]): void => {
  for (const value of values) {
    const top = t.rsp - size;
    t.set({ rsp: top });
    if (size === 2) t.write16(top, value);
    else if (size === 4) t.write32(top, value);
    else t.write64(top, BigInt(value));
  }
};
const where = (): unknown[] => [t.rip, t.rsp, t.get32(Cpu.CPL), t.selector(Cpu.CS), t.selector(Cpu.SS)];

describe('far jumps', () => {
  it('goes anywhere in real mode, keeping limits', () => {
    t.real();
    expect(t.call('far_jmp', 0xf000, 0x1_e05bn, 16)).toBe(Status.JUMP);
    expect(t.rip).toBe(0xe05b);
    expect(t.get64(Cpu.CS + Seg.BASE)).toBe(0xf_0000n);
    expect(t.call('far_jmp', 0xf000, 0x1_e05bn, 32)).toBe(Status.FAULT);
    expect(t.takeFault()).toBe('#13(0)');
  });

  it('enters protected and 64-bit code', () => {
    t.protect();
    expect(t.call('far_jmp', Sel.CODE16, 0x1234n, 16)).toBe(Status.JUMP);
    expect(t.get32(Cpu.MODE)).toBe(8);
    expect(t.get64(Cpu.CS + Seg.BASE)).toBe(0x4_0000n);
    expect(t.read8(GDT + Sel.CODE16 + 5)).toBe(0x9b);
    t.long();
    t.flat(0, SegAttr.DB);
    expect(t.call('far_jmp', Sel.CODE64, 0x9000n, 32)).toBe(Status.JUMP);
    expect(t.get32(Cpu.MODE)).toBe(6);
  });

  it.each([
    ['null', 0, '#13(0)'],
    ['beyond', Sel.BEYOND, '#13(98)'],
    ['data', Sel.DATA, '#13(10)'],
    ['outer code', Sel.USER_CODE, '#13(18)'],
    ['RPL above CPL', Sel.CODE | 3, '#13(8)'],
    ['absent', Sel.ABSENT, '#11(68)'],
    ['beyond its limit', Sel.CODE16, '#13(0)'],
    ['LDT without LDT', 0xc, '#13(c)'],
    ['TSS', Sel.TSS, '#10(28)'],
  ])('%s', (_name, selector, expected) => {
    t.protect();
    t.descriptor(GDT, Sel.ABSENT, 0, 0xfffff, 0x1a, 0xc);
    t.descriptor(GDT, Sel.TSS, TSS, 0x67, 0x89, 0);
    expect(t.call('far_jmp', selector, 0x2_0000n, 32)).toBe(Status.FAULT);
    expect(t.takeFault()).toBe(expected);
    expect(where()).toEqual([0x5000, STACK0, 0, Sel.CODE, Sel.DATA]);
  });

  it('keeps CPL in conforming code', () => {
    t.protect(3);
    expect(t.call('far_jmp', Sel.CONFORMING, 0x9000n, 32)).toBe(Status.JUMP);
    expect(where()).toEqual([0x9000, STACK3, 3, Sel.CONFORMING | 3, Sel.USER_DATA]);
  });

  it('goes through call gates, but not to another privilege', () => {
    t.protect(0);
    t.gate(GDT + Sel.GATE, 12, Sel.CODE, 0x12345);
    expect(t.call('far_jmp', Sel.GATE, 0n, 32)).toBe(Status.JUMP);
    expect(t.rip).toBe(0x12345);
    t.protect(3);
    t.gate(GDT + Sel.GATE, 12, Sel.CODE, 0x12345, 3);
    expect(t.call('far_jmp', Sel.GATE, 0n, 32)).toBe(Status.FAULT);
    expect(t.takeFault()).toBe('#13(8)');
  });

  it('uses the LDT', () => {
    t.protect(0);
    t.descriptor(LDT, 0x0c, 0x1000, 0xfff, 0x9a, 4);
    expect(t.call('lldt', Sel.LDT)).toBe(Status.NEXT);
    expect(t.call('far_jmp', 0x0c, 0x10n, 32)).toBe(Status.JUMP);
    expect([t.rip, t.get64(Cpu.CS + Seg.BASE)]).toEqual([0x10, 0x1000n]);
  });
});

describe('far calls and returns', () => {
  it('pushes and pops at the operand size', () => {
    t.protect();
    expect(t.call('far_call', Sel.CODE, 0x9000n, 32)).toBe(Status.JUMP);
    expect(t.words(STACK0 - 8, 2, 4)).toEqual([0x5002, Sel.CODE]);
    expect(t.call('far_ret', 32, 4)).toBe(Status.JUMP);
    expect(where()).toEqual([0x5002, STACK0 + 4, 0, Sel.CODE, Sel.DATA]);
    t.real();
    expect(t.call('far_call', 0x1000, 0x20n, 16)).toBe(Status.JUMP);
    expect(t.words(0x6ffc, 2, 2)).toEqual([0x5002, 0]);
  });

  it('copies parameters through a call gate to an inner stack, and returns', () => {
    t.protect(3);
    t.gate(GDT + Sel.GATE, 12, Sel.CODE, 0x9000, 3, 2);
    push(4, 0x11, 0x22);
    expect(t.call('far_call', Sel.GATE | 3, 0n, 32)).toBe(Status.JUMP);
    expect(where()).toEqual([0x9000, STACK0 - 24, 0, Sel.CODE, Sel.DATA]);
    expect(t.words(STACK0 - 24, 6, 4)).toEqual([0x5002, Sel.USER_CODE, 0x22, 0x11, STACK3 - 8, Sel.USER_DATA]);
    // A segment that the outer level may not use becomes null.
    t.call('load_segment', 3, Sel.DATA);
    t.call('load_segment', 0, Sel.USER_DATA);
    expect(t.call('far_ret', 32, 8)).toBe(Status.JUMP);
    expect(where()).toEqual([0x5002, STACK3, 3, Sel.USER_CODE, Sel.USER_DATA]);
    expect([t.selector(Cpu.DS), t.selector(Cpu.ES)]).toEqual([0, Sel.USER_DATA]);
  });

  it('pushes 16 bits through a 16-bit gate', () => {
    t.protect(3);
    t.gate(GDT + Sel.GATE, 4, Sel.CODE, 0x9000, 3, 1);
    push(2, 0x11);
    t.call('far_call', Sel.GATE, 0n, 32);
    expect(t.words(STACK0 - 10, 5, 2)).toEqual([0x5002, Sel.USER_CODE, 0x11, STACK3 - 2, Sel.USER_DATA]);
  });

  it('goes through a 64-bit gate', () => {
    t.long(3);
    t.gate64(GDT + Sel.GATE, 12, Sel.CODE64, 0xffff_8000_0000_9000n, 3);
    expect(t.call('far_call', Sel.GATE, 0n, 32)).toBe(Status.JUMP);
    expect(t.get64(Cpu.RIP)).toBe(0xffff_8000_0000_9000n);
    expect(t.words(STACK0 - 32, 4, 8)).toEqual([0x5002, Sel.USER_CODE64, STACK3, Sel.USER_DATA]);
    expect(t.selector(Cpu.SS)).toBe(0);
    expect(t.call('far_ret', 64, 0)).toBe(Status.JUMP);
    expect(where()).toEqual([0x5002, STACK3, 3, Sel.USER_CODE64, Sel.USER_DATA]);
  });

  it.each([
    ['gate DPL', () => t.gate(GDT + Sel.GATE, 12, Sel.CODE, 0x9000, 2), '#13(78)'],
    ['gate absent', () => t.write8(GDT + Sel.GATE + 5, 0x6c), '#11(78)'],
    ['null target', () => t.gate(GDT + Sel.GATE, 12, 0, 0x9000, 3), '#13(0)'],
    ['data target', () => t.gate(GDT + Sel.GATE, 12, Sel.DATA, 0x9000, 3), '#13(10)'],
    ['no stack', () => t.write32(TSS + 8, 0), '#10(0)'],
  ])('refuses a call gate: %s', (_name, prepare, expected) => {
    t.protect(3);
    t.gate(GDT + Sel.GATE, 12, Sel.CODE, 0x9000, 3);
    prepare();
    expect(t.call('far_call', Sel.GATE | 3, 0n, 32)).toBe(Status.FAULT);
    expect(t.takeFault()).toBe(expected);
    expect(where()).toEqual([0x5000, STACK3, 3, Sel.USER_CODE, Sel.USER_DATA]);
  });

  it.each([
    ['inner privilege', 3, [Sel.CODE, 0x9000], '#13(8)'],
    ['null', 0, [0, 0x9000], '#13(0)'],
    ['outer stack null', 0, [0, STACK3, Sel.USER_CODE, 0x9000], '#13(0)'],
    ['outer stack of the wrong privilege', 0, [Sel.DATA, STACK3, Sel.USER_CODE, 0x9000], '#13(10)'],
    ['CS whose DPL is not its RPL', 0, [Sel.USER_DATA, STACK3, Sel.CODE | 3, 0x9000], '#13(8)'],
  ])('refuses a return: %s', (_name, cpl, frame, expected) => {
    t.protect(cpl);
    push(4, ...frame);
    const before = where();
    expect(t.call('far_ret', 32, 0)).toBe(Status.FAULT);
    expect(t.takeFault()).toBe(expected);
    expect(where()).toEqual(before);
  });
});

describe('IRET', () => {
  it('keeps IOPL and IF from code that may not change them', () => {
    t.protect(3);
    t.set32(Cpu.RFLAGS, Rflags.FIXED | Rflags.IF);
    push(4, Rflags.IOPL | Rflags.ZF | Rflags.AC, Sel.USER_CODE, 0x9000);
    expect(t.call('iret', 32)).toBe(Status.JUMP);
    expect(t.flags).toBe(Rflags.FIXED | Rflags.IF | Rflags.ZF | Rflags.AC);
  });

  it('sets only SP when it returns to a 16-bit stack', () => {
    t.protect(0);
    t.descriptor(GDT, Sel.USER_DATA, 0, 0xffff, 0xf2, 0);
    t.set({ rsp: 0x1_2345 });
    push(4, Sel.USER_DATA, 0xabcd_4444, Rflags.FIXED, Sel.USER_CODE, 0x9000);
    t.call('iret', 32);
    expect(t.rsp).toBe(0x1_4444);
  });

  it('asks for a look at interrupts when IF becomes set', () => {
    t.protect(0);
    t.set32(Cpu.RFLAGS, Rflags.FIXED);
    t.set32(Cpu.INTERRUPT_PENDING, 1);
    push(4, Rflags.IF | Rflags.FIXED, Sel.CODE, 0x9000);
    t.call('iret', 32);
    expect(t.get32(Cpu.EXIT_REQUEST)).toBe(1);
  });

  it('refuses IRETQ to a non-canonical address', () => {
    t.long(0);
    push(8, Sel.DATA, STACK0, 2, Sel.CODE64);
    t.set({ rsp: t.rsp - 8 });
    t.write64(t.rsp, 0x8000_0000_0000n);
    expect(t.call('iret', 64)).toBe(Status.FAULT);
    expect(t.takeFault()).toBe('#13(0)');
  });

  it('allows a null SS for 64-bit code of privilege 0 only', () => {
    t.long(0);
    push(8, 0, STACK0, 2, Sel.CODE64, 0x9000);
    expect(t.call('iret', 64)).toBe(Status.JUMP);
    t.long(0);
    push(8, 0, STACK3, 2, Sel.USER_CODE64, 0x9000);
    expect(t.call('iret', 64)).toBe(Status.FAULT);
    expect(t.takeFault()).toBe('#13(0)');
  });
});

describe('fast system calls', () => {
  beforeEach(() => {
    t.long(3);
    t.set64(Cpu.STAR, (0x33n << 48n) | (0x10n << 32n));
    t.set64(Cpu.LSTAR, 0xffff_8000_0000_1000n);
    t.set64(Cpu.SFMASK, BigInt(Rflags.IF | Rflags.DF | Rflags.AC));
    t.core.set_rflags(CPU, Rflags.IF | Rflags.DF | Rflags.CF);
  });

  it('SYSCALL and SYSRET', () => {
    expect(t.call('syscall')).toBe(Status.JUMP);
    expect(t.get64(Cpu.RIP)).toBe(0xffff_8000_0000_1000n);
    expect([t.reg('rcx'), t.reg('r11')]).toEqual([0x5002n, 0x603n]);
    expect([t.flags, t.get32(Cpu.CPL), t.selector(Cpu.CS), t.selector(Cpu.SS), t.rsp]).toEqual([3, 0, 0x10, 0x18, STACK3]);
    expect(t.call('sysret', 64)).toBe(Status.JUMP);
    expect([t.rip, t.flags, t.get32(Cpu.CPL), t.selector(Cpu.CS), t.selector(Cpu.SS)]).toEqual([0x5002, 0x603, 3, 0x43, 0x3b]);
    expect(t.get32(Cpu.MODE)).toBe(6);
  });

  it('SYSRET to 32-bit code', () => {
    t.call('syscall');
    t.call('sysret', 32);
    expect([t.rip, t.selector(Cpu.CS), t.get32(Cpu.MODE)]).toEqual([0x5002, 0x33, 1 | 4 | 8]);
  });

  it('SYSCALL without EFER.SCE, and from 32-bit code by vendor', () => {
    t.set64(Cpu.EFER, 0xd00n);
    expect(t.call('syscall')).toBe(Status.FAULT);
    expect(t.takeFault()).toBe('#6');
    t.set64(Cpu.EFER, 0xd01n);
    t.set64(Cpu.CSTAR, 0x7777n);
    t.flat(3, SegAttr.DB);
    expect(t.call('syscall')).toBe(Status.JUMP);
    expect([t.rip, t.get32(Cpu.MODE)]).toEqual([0x7777, 6]);
    t.flat(3, SegAttr.DB);
    t.set32(Cpu.VENDOR_INTEL, 1);
    expect(t.call('syscall')).toBe(Status.FAULT);
    expect(t.takeFault()).toBe('#6');
  });

  it('SYSRET: privilege, and a non-canonical target by vendor', () => {
    expect(t.call('sysret', 64)).toBe(Status.FAULT);
    expect(t.takeFault()).toBe('#13(0)');
    t.call('syscall');
    t.set({ rcx: 0x8000_0000_0000n });
    t.set32(Cpu.VENDOR_INTEL, 1);
    expect(t.call('sysret', 64)).toBe(Status.FAULT);
    expect(t.takeFault()).toBe('#13(0)');
    expect(t.get32(Cpu.CPL)).toBe(0);
  });

  it('SYSENTER and SYSEXIT in 32-bit mode', () => {
    t.protect(3);
    t.set64(Cpu.EFER, 0n);
    expect(t.call('sysenter')).toBe(Status.FAULT);
    expect(t.takeFault()).toBe('#13(0)');
    t.set64(Cpu.SYSENTER_CS, BigInt(Sel.CODE));
    t.set64(Cpu.SYSENTER_ESP, 0xc000_0000n);
    t.set64(Cpu.SYSENTER_EIP, 0xc010_0000n);
    expect(t.call('sysenter')).toBe(Status.JUMP);
    expect(where()).toEqual([0xc010_0000, 0xc000_0000, 0, Sel.CODE, Sel.CODE + 8]);
    expect([t.flags & Rflags.IF, t.get32(Cpu.MODE)]).toEqual([0, 1 | 4 | 8]);
    t.set({ rdx: 0x5002, rcx: STACK3 });
    expect(t.call('sysexit', 32)).toBe(Status.JUMP);
    expect(where()).toEqual([0x5002, STACK3, 3, Sel.CODE + 16 | 3, Sel.CODE + 24 | 3]);
  });

  it('SYSENTER in long mode is Intel only', () => {
    t.set64(Cpu.SYSENTER_CS, 0x10n);
    expect(t.call('sysenter')).toBe(Status.FAULT);
    expect(t.takeFault()).toBe('#6');
    t.set32(Cpu.VENDOR_INTEL, 1);
    t.set64(Cpu.SYSENTER_EIP, 0xffff_8000_0000_2000n);
    expect(t.call('sysenter')).toBe(Status.JUMP);
    expect(t.get64(Cpu.RIP)).toBe(0xffff_8000_0000_2000n);
    t.set({ rdx: 0x5002, rcx: STACK3 });
    expect(t.call('sysexit', 64)).toBe(Status.JUMP);
    expect(where()).toEqual([0x5002, STACK3, 3, 0x33, 0x3b]);
    expect(t.get32(Cpu.MODE)).toBe(6);
  });
});

describe('segment loads', () => {
  it('changes selector and base alone in real mode', () => {
    t.real();
    t.segment(Cpu.DS, 0, 0, 0xffff_ffff, 0xc093);
    expect(t.call('load_segment', 3, 0x1234)).toBe(Status.NEXT);
    expect([t.get64(Cpu.DS + Seg.BASE), t.get32(Cpu.DS + Seg.LIMIT)]).toEqual([0x12340n, 0xffff_ffff]);
  });

  it.each([
    ['user data', 3, 3, Sel.USER_DATA, ''],
    ['null DS', 3, 0, 0, ''],
    ['readable code', 0, 3, Sel.CODE, ''],
    ['conforming code', 3, 3, Sel.CONFORMING, ''],
    ['execute-only code', 0, 3, 0x78, '#13(78)'],
    ['inner data', 3, 3, Sel.DATA, '#13(10)'],
    ['RPL above DPL', 0, 3, Sel.DATA | 3, '#13(10)'],
    ['absent data', 0, 3, Sel.ABSENT, '#11(68)'],
    ['TSS', 0, 3, Sel.TSS, '#13(28)'],
    ['beyond the table', 0, 4, Sel.BEYOND, '#13(98)'],
    ['CS', 0, 1, Sel.CODE, '#6'],
    ['SS null', 0, 2, 0, '#13(0)'],
    ['SS read-only', 0, 2, Sel.READ_ONLY, '#13(60)'],
    ['SS of another privilege', 0, 2, Sel.USER_DATA, '#13(20)'],
    ['SS with a wrong RPL', 0, 2, Sel.DATA | 3, '#13(10)'],
    ['SS absent', 0, 2, Sel.ABSENT, '#12(68)'],
  ])('%s', (_name, cpl, index, selector, expected) => {
    t.protect(cpl);
    t.descriptor(GDT, 0x78, 0, 0xfffff, 0x98, 0xc);
    const before = t.selector(Cpu.SEG + index * Cpu.SEG_SIZE);
    expect(t.call('load_segment', index, selector) === Status.FAULT).toBe(expected !== '');
    expect(t.takeFault()).toBe(expected);
    expect(t.selector(Cpu.SEG + index * Cpu.SEG_SIZE)).toBe(expected ? before : selector);
  });

  it('marks descriptors as accessed, holds interrupts off after SS, and tells a change of mode', () => {
    t.protect(0);
    expect(t.call('load_segment', 2, Sel.DATA)).toBe(Status.NEXT);
    expect(t.read8(GDT + Sel.DATA + 5)).toBe(0x93);
    expect(t.get32(Cpu.INTERRUPT_SHADOW)).toBe(2);
    expect(t.call('load_segment', 2, Sel.DATA16)).toBe(Status.JUMP);
    expect([t.get32(Cpu.MODE), t.rip]).toEqual([1, 0x5002]);
  });

  it('allows a null SS in 64-bit code below CPL 3', () => {
    t.long(0);
    expect(t.call('load_segment', 2, 0)).toBe(Status.NEXT);
    t.long(3);
    expect(t.call('load_segment', 2, 3)).toBe(Status.FAULT);
    expect(t.takeFault()).toBe('#13(0)');
  });

  it('checks operands: limit, expand-down, type, null', () => {
    t.protect(0);
    const address = (segment: number, offset: number, size: number, write = 0): string => {
      const va = t.call('segment_address', segment, BigInt(offset), size, write);
      return t.takeFault() || va.toString(16);
    };
    t.call('load_segment', 3, Sel.DATA16);
    expect(address(Cpu.DS, 0xfffc, 4)).toBe('4fffc');
    expect(address(Cpu.DS, 0xfffd, 4)).toBe('#13(0)');
    t.call('load_segment', 2, Sel.DATA16);
    expect(address(Cpu.SS, 0xffff, 2)).toBe('#12(0)');
    t.call('load_segment', 0, Sel.EXPAND_DOWN);
    expect(address(Cpu.ES, 0xfff, 1)).toBe('#13(0)');
    expect(address(Cpu.ES, 0x1000, 1, 1)).toBe('1000');
    t.call('load_segment', 4, Sel.READ_ONLY);
    expect(address(Cpu.FS, 5, 1)).toBe('5');
    expect(address(Cpu.FS, 5, 1, 1)).toBe('#13(0)');
    expect(address(Cpu.CS, 5, 1, 1)).toBe('#13(0)');
    expect(address(Cpu.GS, 5, 1)).toBe('#13(0)');
  });
});

describe('descriptor tables', () => {
  it('LGDT and SGDT by mode and operand size', () => {
    t.protect(0);
    t.write16(0x9000, 0x1234);
    t.write32(0x9002, 0x8765_4321);
    expect(t.call('lgdt', 0x9000n, 16)).toBe(Status.NEXT);
    expect([t.get32(Cpu.GDTR_LIMIT), t.get64(Cpu.GDTR_BASE)]).toEqual([0x1234, 0x65_4321n]);
    t.call('lidt', 0x9000n, 32);
    expect(t.get64(Cpu.IDTR_BASE)).toBe(0x8765_4321n);
    t.call('sidt', 0xa000n, 32);
    expect(t.slice(0xa000, 7)).toEqual([0x34, 0x12, 0x21, 0x43, 0x65, 0x87, 0]);
    t.long(0);
    t.write64(0x9002, 0xffff_8000_1234_5678n);
    t.call('lgdt', 0x9000n, 64);
    expect(t.get64(Cpu.GDTR_BASE)).toBe(0xffff_8000_1234_5678n);
    t.protect(3);
    expect(t.call('lgdt', 0x9000n, 32)).toBe(Status.FAULT);
    expect(t.takeFault()).toBe('#13(0)');
  });

  it('LTR marks the TSS busy and refuses it then', () => {
    t.protect(0);
    t.descriptor(GDT, Sel.TSS, TSS, 0x67, 0x89, 0);
    expect(t.call('ltr', Sel.TSS)).toBe(Status.NEXT);
    expect(t.read8(GDT + Sel.TSS + 5)).toBe(0x8b);
    expect(t.get32(Cpu.TR + Seg.ATTR)).toBe(0x8b);
    expect(t.call('ltr', Sel.TSS)).toBe(Status.FAULT);
    expect(t.takeFault()).toBe('#13(28)');
    expect(t.call('ltr', 0)).toBe(Status.FAULT);
    expect(t.takeFault()).toBe('#13(0)');
    t.real();
    expect(t.call('ltr', Sel.TSS)).toBe(Status.FAULT);
    expect(t.takeFault()).toBe('#6');
  });

  it('reads 64-bit bases in long mode', () => {
    t.long(0);
    t.descriptor(GDT, Sel.LDT, 0x8000_0000, 0x1f, 0x82, 0);
    t.write64(GDT + Sel.LDT + 8, 0xffff_8000n);
    expect(t.call('lldt', Sel.LDT)).toBe(Status.NEXT);
    expect(t.get64(Cpu.LDTR + Seg.BASE)).toBe(0xffff_8000_8000_0000n);
  });

  it('LAR, LSL, VERR, VERW', () => {
    t.protect(3);
    const zf = (): number => (t.flags & Rflags.ZF ? 1 : 0);
    expect([t.call('lar', Sel.USER_DATA), zf()]).toEqual([0xcff200, 1]);
    t.call('lar', Sel.DATA);
    expect(zf()).toBe(0);
    expect([t.call('lsl', Sel.USER_CODE), zf()]).toEqual([0xffff_ffff, 1]);
    expect([t.call('lsl', Sel.CONFORMING | 3), zf()]).toEqual([0xffff_ffff, 1]);
    t.call('lsl', Sel.BEYOND);
    expect(zf()).toBe(0);
    expect([t.call('verr', Sel.USER_CODE), zf()]).toEqual([0, 1]);
    expect([t.call('verw', Sel.USER_CODE), zf()]).toEqual([0, 0]);
    expect([t.call('verw', Sel.USER_DATA), zf()]).toEqual([0, 1]);
    expect([t.call('verr', 0), zf()]).toEqual([0, 0]);
    expect([t.call('arpl', 0x10, 3), zf()]).toEqual([0x13, 1]);
    expect([t.call('arpl', 0x13, 1), zf()]).toEqual([0x13, 0]);
  });
});
