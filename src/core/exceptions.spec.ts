import { beforeEach, describe, expect, it } from 'vitest';
import { Cpu, Exit, Rflags, Seg, SegAttr, Status, Vector } from './layout.ts';
import { BUILD_TIMEOUT, CPU, GDT, IDT, STACK0, STACK3, Sel, TSS, TABLES, TestCpu } from './testing.ts';

let t: TestCpu;
beforeEach(async () => {
  t = await TestCpu.create();
}, BUILD_TIMEOUT);

const INTERRUPT16 = 6;
const TRAP16 = 7;
const INTERRUPT32 = 14;
const TRAP32 = 15;

function fault(vector: number, error?: number): number {
  t.set32(Cpu.FAULT, vector + 1);
  t.set32(Cpu.FAULT_ERROR, error ?? 0);
  t.set32(Cpu.FAULT_HAS_ERROR, error === undefined ? 0 : 1);
  return t.call('deliver_fault');
}

describe('real mode', () => {
  it('goes through the vector table and clears IF and TF', () => {
    t.real();
    t.segment(Cpu.CS, 0x100, 0x1000, 0xffff, 0x93);
    t.set32(Cpu.RFLAGS, Rflags.FIXED | Rflags.IF | Rflags.TF | Rflags.DF);
    t.write16(0x21 * 4, 0x1234);
    t.write16(0x21 * 4 + 2, 0xf000);
    expect(t.call('int_n', 0x21, 0)).toBe(Status.JUMP);
    expect(t.rip).toBe(0x1234);
    expect(t.selector(Cpu.CS)).toBe(0xf000);
    expect(t.get64(Cpu.CS + Seg.BASE)).toBe(0xf_0000n);
    expect(t.rsp).toBe(0x6ffa);
    expect(t.words(0x6ffa, 3, 2)).toEqual([0x5002, 0x100, 0x0702]);
    expect(t.flags).toBe(Rflags.FIXED | Rflags.DF);
  });

  it('pushes no error code', () => {
    t.real();
    t.write16(13 * 4, 0x4444);
    expect(fault(Vector.GP, 0)).toBe(0);
    expect(t.rsp).toBe(0x6ffa);
    expect(t.words(0x6ffa, 1, 2)).toEqual([0x5000]);
  });

  it('shuts down when the vector lies beyond the table', () => {
    t.real();
    t.set64(Cpu.IDTR_LIMIT, 0n);
    expect(fault(Vector.UD)).toBe(1);
    expect(t.get32(Cpu.EXIT_REASON)).toBe(Exit.SHUTDOWN);
  });
});

describe('protected mode, same privilege', () => {
  beforeEach(() => t.protect(0));

  it('pushes EFLAGS with RF, CS, EIP and the error code', () => {
    t.gate(IDT + 13 * 8, INTERRUPT32, Sel.CODE, 0x12345);
    t.core.set_rflags(CPU, Rflags.IF | Rflags.ZF | Rflags.NT | Rflags.TF);
    expect(fault(Vector.GP, 0x1234)).toBe(0);
    expect(t.rip).toBe(0x12345);
    expect(t.rsp).toBe(STACK0 - 16);
    expect(t.words(STACK0 - 16, 4, 4)).toEqual([0x1234, 0x5000, Sel.CODE, 0x14342]);
    expect(t.flags).toBe(Rflags.FIXED | Rflags.ZF);
  });

  it('leaves IF alone through a trap gate, and RF out for interrupts', () => {
    t.gate(IDT + 0x30 * 8, TRAP32, Sel.CODE, 0x9000);
    expect(t.call('deliver_interrupt', 0x30)).toBe(0);
    expect(t.words(STACK0 - 12, 3, 4)).toEqual([0x5000, Sel.CODE, 0x202]);
    expect(t.flags & Rflags.IF).toBe(Rflags.IF);
  });

  it('pushes 16 bits through a 16-bit gate', () => {
    t.gate(IDT + 13 * 8, TRAP16, Sel.CODE, 0x1_2345);
    fault(Vector.GP, 0x55);
    expect(t.rip).toBe(0x2345);
    expect(t.words(STACK0 - 8, 4, 2)).toEqual([0x55, 0x5000, Sel.CODE, 0x202]);
  });

  it('returns to where INT n ends', () => {
    t.gate(IDT + 0x80 * 8, INTERRUPT32, Sel.CODE, 0x9000);
    expect(t.call('int_n', 0x80, 0)).toBe(Status.JUMP);
    expect(t.words(STACK0 - 12, 1, 4)).toEqual([0x5002]);
  });

  it.each([
    ['beyond the IDT', () => t.set64(Cpu.IDTR_LIMIT, 0x3ffn), '#13(402)'],
    ['no gate', () => t.gate(IDT + 0x400, 12, Sel.CODE, 0), '#13(402)'],
    ['gate absent', () => t.write8(IDT + 0x405, 0x0e), '#11(402)'],
    ['null selector', () => t.gate(IDT + 0x400, INTERRUPT32, 0, 0), '#13(0)'],
    ['selector beyond the GDT', () => t.gate(IDT + 0x400, INTERRUPT32, Sel.BEYOND, 0), `#13(${Sel.BEYOND.toString(16)})`],
    ['data segment', () => t.gate(IDT + 0x400, INTERRUPT32, Sel.DATA, 0), '#13(10)'],
    ['code of an outer privilege', () => t.gate(IDT + 0x400, INTERRUPT32, Sel.USER_CODE, 0), '#13(18)'],
    ['absent code', () => {
      t.gate(IDT + 0x400, INTERRUPT32, Sel.ABSENT, 0);
      t.descriptor(GDT, Sel.ABSENT, 0, 0xfffff, 0x1a, 0xc);
    }, '#11(68)'],
    ['offset beyond the limit', () => t.gate(IDT + 0x400, INTERRUPT32, Sel.CODE16, 0x1_0000), '#13(0)'],
    ['stack full', () => t.segment(Cpu.SS, Sel.DATA, 0, 0x100, 0x4093), '#12(0)'],
    ['task gate', () => t.gate(IDT + 0x400, 5, Sel.TSS, 0), '#10(28)'],
  ])('%s', (_name, prepare, expected) => {
    t.gate(IDT + 0x400, INTERRUPT32, Sel.CODE, 0x9000);
    prepare();
    const before = [t.rip, t.rsp, t.flags, t.selector(Cpu.CS)];
    expect(t.call('int_n', 0x80, 0)).toBe(Status.FAULT);
    expect(t.takeFault()).toBe(expected);
    expect([t.rip, t.rsp, t.flags, t.selector(Cpu.CS)]).toEqual(before);
  });

  it('sets EXT in the error code of a fault during delivery of an interrupt', () => {
    t.gate(IDT + 13 * 8, INTERRUPT32, Sel.CODE, 0x7000);
    t.call('deliver_interrupt', 0x80);
    expect(t.rip).toBe(0x7000);
    expect(t.words(STACK0 - 16, 2, 4)).toEqual([0x403, 0x5000]);
  });

  it('blocks NMI until IRET', () => {
    t.gate(IDT + 2 * 8, INTERRUPT32, Sel.CODE, 0x7000);
    t.set32(Cpu.NMI_PENDING, 1);
    t.call('deliver_nmi');
    expect(t.rip).toBe(0x7000);
    expect([t.get32(Cpu.NMI_PENDING), t.get32(Cpu.NMI_BLOCKED)]).toEqual([0, 1]);
    expect(t.call('iret', 32)).toBe(Status.JUMP);
    expect(t.rip).toBe(0x5000);
    expect(t.get32(Cpu.NMI_BLOCKED)).toBe(0);
  });
});

describe('double and triple faults', () => {
  beforeEach(() => {
    t.protect(0);
    t.gate(IDT + 8 * 8, INTERRUPT32, Sel.CODE, 0x8000);
    t.gate(IDT + 11 * 8, INTERRUPT32, Sel.CODE, 0xb000);
    t.gate(IDT + 13 * 8, INTERRUPT32, Sel.CODE, 0xd000);
  });
  /** Make a vector's gate unusable: #GP. */
  const bad = (vector: number): void => t.write64(IDT + vector * 8, 0n);

  it.each([
    // first vector, its error code, handler reached
    ['benign then contributory', 6, undefined, 0xd000],
    ['contributory twice', 12, 0, 0x8000],
    ['#DE then #GP', 0, undefined, 0x8000],
    ['#PF then contributory', 14, 0, 0x8000],
    ['#AC then #GP', 17, 0, 0xd000],
  ])('%s', (_name, vector, error, handler) => {
    bad(vector);
    expect(fault(vector, error)).toBe(0);
    expect(t.rip).toBe(handler);
    if (handler === 0x8000) expect(t.words(STACK0 - 16, 2, 4)).toEqual([0, 0x5000]);
  });

  it('shuts down on a fault while delivering #DF', () => {
    bad(8);
    bad(13);
    expect(fault(Vector.GP, 0)).toBe(1);
    expect(t.get32(Cpu.EXIT_REASON)).toBe(Exit.SHUTDOWN);
    expect([t.rip, t.rsp]).toEqual([0x5000, STACK0]);
    expect(t.takeFault()).toBe('');
  });
});

describe('privilege change', () => {
  beforeEach(() => {
    t.protect(3);
    t.gate(IDT + 0x80 * 8, TRAP32, Sel.CODE, 0x9000, 3);
  });

  it('switches to the stack of the TSS', () => {
    expect(t.call('int_n', 0x80, 0)).toBe(Status.JUMP);
    expect([t.rip, t.rsp, t.get32(Cpu.CPL)]).toEqual([0x9000, STACK0 - 20, 0]);
    expect(t.words(STACK0 - 20, 5, 4)).toEqual([0x5002, Sel.USER_CODE, 0x202, STACK3, Sel.USER_DATA]);
    expect([t.selector(Cpu.CS), t.selector(Cpu.SS)]).toEqual([Sel.CODE, Sel.DATA]);
    expect(t.get32(Cpu.TLB)).toBe(CPU + Cpu.TLB_SUPERVISOR);
  });

  it('reads a 16-bit TSS', () => {
    t.segment(Cpu.TR, Sel.TSS, TSS, 0x2b, 0x83);
    t.write16(TSS + 2, 0x6800);
    t.write16(TSS + 4, Sel.DATA);
    expect(t.call('int_n', 0x80, 0)).toBe(Status.JUMP);
    expect(t.rsp).toBe(0x6800 - 20);
  });

  it.each([
    ['gate DPL below CPL', () => t.gate(IDT + 0x400, INTERRUPT32, Sel.CODE, 0x9000, 0), '#13(402)'],
    ['TSS too short', () => t.segment(Cpu.TR, Sel.TSS, TSS, 7, 0x8b), '#10(28)'],
    ['null stack', () => t.write32(TSS + 8, 0), '#10(0)'],
    ['stack of the wrong privilege', () => t.write32(TSS + 8, Sel.USER_DATA), '#10(20)'],
    ['read-only stack', () => t.write32(TSS + 8, Sel.READ_ONLY), '#10(60)'],
    ['absent stack', () => t.write32(TSS + 8, Sel.ABSENT), '#12(68)'],
    ['stack beyond the table', () => t.write32(TSS + 8, Sel.BEYOND), '#10(98)'],
    ['new stack full', () => {
      t.descriptor(GDT, Sel.DATA16, 0, 0x100, 0x92, 4);
      t.write32(TSS + 8, Sel.DATA16);
    }, '#12(50)'],
  ])('%s', (_name, prepare, expected) => {
    prepare();
    expect(t.call('int_n', 0x80, 0)).toBe(Status.FAULT);
    expect(t.takeFault()).toBe(expected);
    expect([t.rip, t.rsp, t.get32(Cpu.CPL), t.selector(Cpu.SS)]).toEqual([0x5000, STACK3, 3, Sel.USER_DATA]);
  });

  it('lets hardware exceptions through gates of privilege 0', () => {
    t.gate(IDT + 14 * 8, INTERRUPT32, Sel.CODE, 0xe000);
    expect(fault(Vector.PF, 4)).toBe(0);
    expect(t.words(STACK0 - 24, 2, 4)).toEqual([4, 0x5000]);
  });

  it('keeps the privilege in a conforming handler', () => {
    t.gate(IDT + 0x80 * 8, TRAP32, Sel.CONFORMING, 0x9000, 3);
    expect(t.call('int_n', 0x80, 0)).toBe(Status.JUMP);
    expect([t.get32(Cpu.CPL), t.selector(Cpu.CS), t.rsp]).toEqual([3, Sel.CONFORMING | 3, STACK3 - 12]);
  });

  it('comes back with IRET', () => {
    t.call('int_n', 0x80, 0);
    expect(t.call('iret', 32)).toBe(Status.JUMP);
    expect([t.rip, t.rsp, t.get32(Cpu.CPL), t.selector(Cpu.CS), t.selector(Cpu.SS), t.flags]).toEqual([0x5002, STACK3, 3, Sel.USER_CODE, Sel.USER_DATA, 0x202]);
    expect(t.get32(Cpu.MODE)).toBe(1 | 4 | 8);
  });
});

describe('virtual-8086 mode', () => {
  beforeEach(() => {
    t.protect(0);
    t.gate(IDT + 13 * 8, INTERRUPT32, Sel.CODE, 0xd000);
    t.gate(IDT + 0x21 * 8, INTERRUPT32, Sel.CODE, 0x9000, 3);
    // Enter by IRETD, as monitors do.
    const frame = [0x100, 0x1234, Rflags.VM | Rflags.IF | Rflags.FIXED, 0xfff0, 0x2000, 0x11, 0x22, 0x33, 0x44];
    frame.forEach((word, n) => t.write32(0x6000 - 64 + n * 4, word));
    t.set({ rsp: 0x6000 - 64 });
    expect(t.call('iret', 32)).toBe(Status.JUMP);
    t.set({ next: t.rip + 2 });
  });

  it('is entered by IRETD at privilege 0', () => {
    expect([t.rip, t.rsp, t.get32(Cpu.CPL), t.get32(Cpu.MODE)]).toEqual([0x100, 0xfff0, 3, 0]);
    expect([Cpu.CS, Cpu.SS, Cpu.ES, Cpu.DS, Cpu.FS, Cpu.GS].map((s) => t.selector(s))).toEqual([0x1234, 0x2000, 0x11, 0x22, 0x33, 0x44]);
    expect(t.get64(Cpu.CS + Seg.BASE)).toBe(0x12340n);
    expect(t.get32(Cpu.DS + Seg.LIMIT)).toBe(0xffff);
  });

  it('gives #GP(0) for INT n below IOPL 3, and leaves with all segments on the stack', () => {
    expect(t.call('int_n', 0x21, 0)).toBe(Status.FAULT);
    expect(t.takeFault()).toBe('#13(0)');
    expect(fault(Vector.GP, 0)).toBe(0);
    expect([t.rip, t.get32(Cpu.CPL), t.rsp]).toEqual([0xd000, 0, STACK0 - 40]);
    expect(t.words(STACK0 - 40, 10, 4)).toEqual([0, 0x100, 0x1234, 0x30202, 0xfff0, 0x2000, 0x11, 0x22, 0x33, 0x44]);
    expect(t.get32(Cpu.DS + Seg.ATTR)).toBe(SegAttr.NULL);
    expect(t.flags & Rflags.VM).toBe(0);
    t.set({ rsp: t.rsp + 4 });
    expect(t.call('iret', 32)).toBe(Status.JUMP);
    expect([t.rip, t.selector(Cpu.CS), t.selector(Cpu.GS), t.flags & Rflags.VM]).toEqual([0x100, 0x1234, 0x44, Rflags.VM]);
  });

  it('enters the handler of INT n with IOPL 3', () => {
    t.set32(Cpu.RFLAGS, t.get32(Cpu.RFLAGS) | Rflags.IOPL);
    expect(t.call('int_n', 0x21, 0)).toBe(Status.JUMP);
    expect(t.words(STACK0 - 36, 2, 4)).toEqual([0x102, 0x1234]);
  });

  it('needs a handler of privilege 0', () => {
    t.set32(Cpu.RFLAGS, t.get32(Cpu.RFLAGS) | Rflags.IOPL);
    t.gate(IDT + 0x21 * 8, INTERRUPT32, Sel.USER_CODE, 0x9000, 3);
    expect(t.call('int_n', 0x21, 0)).toBe(Status.FAULT);
    expect(t.takeFault()).toBe('#13(18)');
  });

  it('obeys IOPL in CLI, PUSHF, POPF and IRET', () => {
    for (const [name, ...args] of [['cli'], ['sti'], ['pushf', 16], ['popf', 16], ['iret', 16]] as [string, ...number[]][]) {
      expect(t.call(name, ...args)).toBe(Status.FAULT);
      expect(t.takeFault()).toBe('#13(0)');
    }
    t.set32(Cpu.RFLAGS, t.get32(Cpu.RFLAGS) | Rflags.IOPL);
    expect(t.call('cli')).toBe(Status.NEXT);
    expect(t.call('pushf', 16)).toBe(Status.NEXT);
    expect(t.read16(0x2_0000 + 0xffee)).toBe(0x3002);
    t.write16(0x2_0000 + 0xffee, 0x0202);
    expect(t.call('popf', 16)).toBe(Status.NEXT);
    expect(t.flags & (Rflags.IF | Rflags.IOPL | Rflags.VM)).toBe(Rflags.IF | Rflags.IOPL | Rflags.VM);
  });
});

describe('long mode', () => {
  const HANDLER = 0xffff_8000_0000_9000n;

  it('pushes five quadwords on an aligned stack, and SS becomes null', () => {
    t.long(3);
    t.write64(TSS + 4, BigInt(STACK0 + 8));
    t.gate64(IDT + 14 * 16, INTERRUPT32, Sel.CODE64, HANDLER);
    expect(fault(Vector.PF, 6)).toBe(0);
    expect(t.get64(Cpu.RIP)).toBe(HANDLER);
    expect(t.rsp).toBe(STACK0 - 48);
    expect(t.words(STACK0 - 48, 6, 8)).toEqual([6, 0x5000, Sel.USER_CODE64, 0x1_0202, STACK3, Sel.USER_DATA]);
    expect([t.selector(Cpu.SS), t.get32(Cpu.CPL), t.get32(Cpu.MODE)]).toEqual([0, 0, 6]);
    t.set({ rsp: t.rsp + 8 });
    expect(t.call('iret', 64)).toBe(Status.JUMP);
    expect([t.rip, t.rsp, t.get32(Cpu.CPL), t.selector(Cpu.SS)]).toEqual([0x5000, STACK3, 3, Sel.USER_DATA]);
  });

  it('aligns the stack without a change of privilege, and IRETQ undoes it', () => {
    t.long(0);
    t.set({ rsp: STACK0 - 3 });
    t.gate64(IDT + 0x30 * 16, INTERRUPT32, Sel.CODE64, 0x9000n);
    t.call('deliver_interrupt', 0x30);
    expect(t.rsp).toBe(STACK0 - 16 - 40);
    expect(t.words(t.rsp, 5, 8)).toEqual([0x5000, Sel.CODE64, 0x202, STACK0 - 3, Sel.DATA]);
    t.call('iret', 64);
    expect(t.rsp).toBe(STACK0 - 3);
  });

  it('uses the interrupt stack table', () => {
    t.long(0);
    t.write64(TSS + 0x24 + 8, 0xa000n);
    t.gate64(IDT + 2 * 16, INTERRUPT32, Sel.CODE64, 0x9000n, 0, 2);
    t.call('deliver_nmi');
    expect(t.rsp).toBe(0xa000 - 40);
    expect(t.selector(Cpu.SS)).toBe(Sel.DATA);
  });

  it('enters from 32-bit code', () => {
    t.long(3);
    t.flat(3, SegAttr.DB);
    t.gate64(IDT + 0x80 * 16, INTERRUPT32, Sel.CODE64, 0x9000n, 3);
    expect(t.call('int_n', 0x80, 0)).toBe(Status.JUMP);
    expect(t.get32(Cpu.MODE)).toBe(6);
    expect(t.words(t.rsp, 5, 8)).toEqual([0x5002, Sel.USER_CODE, 0x202, STACK3, Sel.USER_DATA]);
    t.call('iret', 64);
    expect(t.get32(Cpu.MODE)).toBe(1 | 4 | 8);
  });

  it.each([
    ['16-bit gate', () => t.gate64(IDT + 0x800, INTERRUPT16, Sel.CODE64, 0x9000n, 3), '#13(402)'],
    ['beyond the IDT', () => t.set64(Cpu.IDTR_LIMIT, 0x80en), '#13(402)'],
    ['32-bit handler', () => t.gate64(IDT + 0x800, INTERRUPT32, Sel.CODE, 0x9000n, 3), '#13(8)'],
    ['gate DPL', () => t.gate64(IDT + 0x800, INTERRUPT32, Sel.CODE64, 0x9000n, 0), '#13(402)'],
    ['non-canonical handler', () => t.gate64(IDT + 0x800, INTERRUPT32, Sel.CODE64, 0x8000_0000_0000n, 3), '#13(0)'],
    ['non-canonical stack', () => t.write64(TSS + 4, 0x8000_0000_0000_0000n), '#12(0)'],
    ['TSS too short', () => t.segment(Cpu.TR, Sel.TSS, TSS, 0xa, 0x8b), '#10(28)'],
  ])('%s', (_name, prepare, expected) => {
    t.long(3);
    t.gate64(IDT + 0x800, INTERRUPT32, Sel.CODE64, 0x9000n, 3);
    prepare();
    expect(t.call('int_n', 0x80, 0)).toBe(Status.FAULT);
    expect(t.takeFault()).toBe(expected);
    expect([t.rip, t.rsp, t.get32(Cpu.CPL)]).toEqual([0x5000, STACK3, 3]);
  });

  it('makes a page fault while pushing a #PF frame a double fault', () => {
    t.long(3);
    t.write64(TSS + 4, 0x8000_0000n);
    t.gate64(IDT + 14 * 16, INTERRUPT32, Sel.CODE64, 0xe000n);
    t.gate64(IDT + 8 * 16, INTERRUPT32, Sel.CODE64, 0x8000n, 0, 1);
    t.write64(TSS + 0x24, 0xa000n);
    t.set64(Cpu.CR2, 0x1234n);
    expect(fault(Vector.PF, 4)).toBe(0);
    expect(t.rip).toBe(0x8000);
    expect(t.get64(Cpu.CR2)).toBe(0x7fff_fff8n);
    expect(t.words(0xa000 - 48, 2, 8)).toEqual([0, 0x5000]);
  });

  it('reads tables with supervisor rights at CPL 3', () => {
    t.long(3);
    // All of RAM becomes supervisor-only.
    t.write64(TABLES, BigInt(TABLES + 0x1000 + 3));
    t.call('tlb_flush', 0);
    t.gate64(IDT + 0x30 * 16, INTERRUPT32, Sel.CODE64, 0x9000n);
    expect(t.call('deliver_interrupt', 0x30)).toBe(0);
    expect(t.rip).toBe(0x9000);
  });

  it('refuses IRET with NT', () => {
    t.long(0);
    t.core.set_rflags(CPU, Rflags.NT);
    expect(t.call('iret', 64)).toBe(Status.FAULT);
    expect(t.takeFault()).toBe('#13(0)');
  });
});
