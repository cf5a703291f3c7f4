import { beforeEach, describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { Cpu, Exit, FlagKind, Rflags, Seg, SegAttr, Status } from './layout.ts';
import { BUILD_TIMEOUT, CPU, STACK0, Sel, TABLES, TSS, TestCpu } from './testing.ts';

let t: TestCpu;
beforeEach(async () => {
  t = await TestCpu.create();
}, BUILD_TIMEOUT);

/** Status of a call, or the exception as text. */
const outcome = (name: string, ...args: (number | bigint)[]): number | string => {
  const status = t.call(name, ...args);
  return status === Status.FAULT ? t.takeFault() : status;
};

describe('reset', () => {
  it('is as SDM table 9-1 says', () => {
    expect([t.rip, t.get64(Cpu.CS + Seg.BASE), t.selector(Cpu.CS), t.flags]).toEqual([0xfff0, 0xffff_0000n, 0xf000, 2]);
    expect([t.get64(Cpu.CR0), t.get64(Cpu.DR + 48), t.get64(Cpu.DR + 56)]).toEqual([0x6000_0010n, 0xffff_0ff0n, 0x400n]);
    expect([t.get32(Cpu.MODE), t.get32(Cpu.CPL), t.get32(Cpu.MXCSR), t.get64(Cpu.PAT)]).toEqual([0, 0, 0x1f80, 0x0007_0406_0007_0406n]);
  });

  it('INIT keeps MSRs and the caches as they are', () => {
    t.protect(3);
    t.set64(Cpu.LSTAR, 5n);
    t.set64(Cpu.CR0, 0x4000_0031n);
    t.call('cpu_init');
    expect([t.get64(Cpu.LSTAR), t.get64(Cpu.CR0), t.rip, t.get32(Cpu.CPL)]).toEqual([5n, 0x4000_0010n, 0xfff0, 0]);
  });
});

describe('control registers', () => {
  it.each([
    ['PG without PE', 0x8000_0010n, '#13(0)'],
    ['NW without CD', 0x2000_0011n, '#13(0)'],
    ['upper half', 0x1_0000_0011n, '#13(0)'],
    ['TS', 0x19n, Status.NEXT],
    ['WP', 0x1_0011n, Status.JUMP],
    ['reserved bits are ignored', 0x0000_ff11n, Status.NEXT],
  ])('CR0: %s', (_name, value, expected) => {
    t.protect();
    expect(outcome('write_cr', 0, value)).toBe(expected);
    if (typeof expected === 'string') expect(t.get64(Cpu.CR0)).toBe(0x11n);
  });

  it('refuses all of it at CPL 3, and unknown registers', () => {
    t.protect(3);
    expect(outcome('write_cr', 0, 0x11n)).toBe('#13(0)');
    t.call('read_cr', 0);
    expect(t.takeFault()).toBe('#13(0)');
    for (const name of ['hlt', 'clts', 'invd', 'wbinvd', 'rdmsr', 'wrmsr', 'rdpmc']) expect(outcome(name)).toBe('#13(0)');
    expect(outcome('invlpg', 0n)).toBe('#13(0)');
    t.protect(0);
    expect(outcome('write_cr', 1, 0n)).toBe('#6');
  });

  it('goes to protected mode and back', () => {
    t.real();
    expect(outcome('write_cr', 0, 0x11n)).toBe(Status.JUMP);
    expect([t.rip, t.get32(Cpu.CPL)]).toEqual([0x5002, 0]);
    expect(outcome('lmsw', 0)).toBe(Status.NEXT);
    expect(t.get64(Cpu.CR0)).toBe(0x11n);
    expect(outcome('write_cr', 0, 0x10n)).toBe(Status.JUMP);
  });

  it('enters and leaves long mode by CR0.PG', () => {
    t.long();
    // 32-bit code, paging off, LME set.
    t.flat(0, SegAttr.DB);
    t.set64(Cpu.CR0, 0x11n);
    t.set64(Cpu.EFER, 0x901n);
    expect(outcome('write_cr', 0, 0x8000_0011n)).toBe(Status.JUMP);
    expect(t.get64(Cpu.EFER)).toBe(0xd01n);
    expect(t.get32(Cpu.MODE)).toBe(1 | 4 | 8);
    expect(outcome('write_cr', 4, 0n)).toBe('#13(0)');
    t.call('far_jmp', Sel.CODE64, 0x9000n, 32);
    expect(t.get32(Cpu.MODE)).toBe(6);
    expect(outcome('write_cr', 0, 0x11n)).toBe('#13(0)');
    t.flat(0, SegAttr.DB);
    expect(outcome('write_cr', 0, 0x11n)).toBe(Status.JUMP);
    expect(t.get64(Cpu.EFER)).toBe(0x901n);
    t.set64(Cpu.CR4, 0n);
    expect(outcome('write_cr', 0, 0x8000_0011n)).toBe('#13(0)');
  });

  it('checks reserved bits of CR3 in long mode and of CR4 always', () => {
    t.long();
    expect(outcome('write_cr', 3, 0x100_0000_0000n)).toBe('#13(0)');
    expect(outcome('write_cr', 3, BigInt(TABLES))).toBe(Status.JUMP);
    expect(outcome('write_cr', 4, 0x800n)).toBe('#13(0)');
    expect(outcome('write_cr', 4, 0x6a0n)).toBe(Status.NEXT);
    expect(outcome('write_cr', 4, 0x620n)).toBe(Status.JUMP);
  });

  it('passes CR8 to the local APIC', () => {
    t.long();
    expect(outcome('write_cr', 8, 5n)).toBe(Status.NEXT);
    expect(outcome('write_cr', 8, 16n)).toBe('#13(0)');
    t.answer = 0xa0;
    expect(t.call('read_cr', 8)).toBe(10);
    expect(t.log).toEqual(['write fee00080 4 50', 'read fee00080 4']);
  });

  it('keeps the fixed bits of DR6 and DR7, and aliases DR4 and DR5', () => {
    t.protect();
    expect(outcome('write_dr', 6, 0n)).toBe(Status.NEXT);
    expect(t.call('read_dr', 4)).toBe(0xffff_0ff0);
    expect(outcome('write_dr', 5, 0n)).toBe(Status.NEXT);
    expect(t.call('read_dr', 7)).toBe(0x400);
    expect(outcome('write_dr', 7, 0x1_0000_0000n)).toBe('#13(0)');
    t.set64(Cpu.CR4, 8n);
    expect(outcome('write_dr', 5, 0n)).toBe('#6');
  });
});

describe('MSRs', () => {
  const write = (index: number, value: bigint): number | string => {
    t.set({ rcx: index, rax: value & 0xffff_ffffn, rdx: value >> 32n });
    return outcome('wrmsr');
  };
  const read = (index: number): bigint | string => {
    t.set({ rcx: index, rax: -1, rdx: -1 });
    const status = outcome('rdmsr');
    return typeof status === 'string' ? status : (t.reg('rdx') << 32n) | t.reg('rax');
  };

  it('EFER', () => {
    t.protect();
    expect(write(0xc000_0080, 0x900n)).toBe(Status.NEXT);
    expect(read(0xc000_0080)).toBe(0x900n);
    expect(write(0xc000_0080, 0x2n)).toBe('#13(0)');
    t.long();
    expect(write(0xc000_0080, 0xc01n)).toBe('#13(0)');
    expect(write(0xc000_0080, 0x901n)).toBe(Status.NEXT);
    expect(read(0xc000_0080)).toBe(0xd01n);
  });

  it('base registers and entry points are canonical', () => {
    t.long();
    for (const index of [0xc000_0082, 0xc000_0083, 0xc000_0100, 0xc000_0101, 0xc000_0102, 0x175, 0x176]) {
      expect(write(index, 0x8000_0000_0000n)).toBe('#13(0)');
      expect(write(index, 0xffff_8000_0000_1234n)).toBe(Status.NEXT);
      expect(read(index)).toBe(0xffff_8000_0000_1234n);
    }
    expect(t.get64(Cpu.FS + Seg.BASE)).toBe(0xffff_8000_0000_1234n);
    t.set64(Cpu.KERNEL_GS_BASE, 7n);
    expect(outcome('swapgs')).toBe(Status.NEXT);
    expect([t.get64(Cpu.GS + Seg.BASE), t.get64(Cpu.KERNEL_GS_BASE)]).toEqual([7n, 0xffff_8000_0000_1234n]);
  });

  it('PAT and MTRRs take memory types only', () => {
    t.protect();
    expect(write(0x277, 0x0007_0406_0007_0402n)).toBe('#13(0)');
    expect(write(0x277, 0x0007_0105_0007_0406n)).toBe(Status.NEXT);
    expect(write(0x2ff, 0xc06n)).toBe(Status.NEXT);
    expect(write(0x2ff, 0x7n)).toBe('#13(0)');
    expect(write(0x26f, 0x0606_0606_0606_0606n)).toBe(Status.NEXT);
    expect(read(0x26f)).toBe(0x0606_0606_0606_0606n);
    expect(write(0x201, 0xff_f000_0800n)).toBe(Status.NEXT);
    expect(write(0x201, 0x100_0000_0800n)).toBe('#13(0)');
    expect(read(0xfe)).toBe(0x508n);
  });

  it('asks the host for others and faults if it has none', () => {
    t.protect();
    expect(read(0x1b)).toBe('#13(0)');
    expect(write(0x6e0, 0x1_0000_0002n)).toBe('#13(0)');
    t.msr = 0xfee0_0900n;
    expect(read(0x1b)).toBe(0xfee0_0900n);
    expect(t.log).toEqual(['rdmsr 1b', 'wrmsr 6e0 1:2', 'rdmsr 1b']);
    t.msr = undefined;
    expect(read(0xc001_0015)).toBe(0n);
    t.set32(Cpu.VENDOR_INTEL, 1);
    expect(read(0xc001_0015)).toBe('#13(0)');
  });

  it('the time-stamp counter never goes back by itself', () => {
    t.protect();
    t.tsc = 1000n;
    expect(read(0x10)).toBe(1000n);
    t.tsc = 990n;
    t.call('rdtsc');
    expect(t.reg('rax')).toBe(1000n);
    t.tsc = 2000n;
    expect(write(0x10, 5n)).toBe(Status.NEXT);
    t.tsc = 2010n;
    expect(read(0x10)).toBe(15n);
    expect(write(0x3b, 0n)).toBe(Status.NEXT);
    expect(read(0x10)).toBe(2010n);
    t.set64(Cpu.TSC_AUX, 3n);
    t.call('rdtscp');
    expect([t.reg('rax'), t.reg('rcx')]).toEqual([2010n, 3n]);
    t.protect(3);
    t.set64(Cpu.CR4, 4n);
    expect(outcome('rdtsc')).toBe('#13(0)');
  });

  it('the time-stamp counter goes by instructions for a while, half a tick each, and then by the clock', () => {
    t.protect();
    const at = (budget: bigint): bigint => {
      t.set64(Cpu.BUDGET, budget);
      t.call('rdtsc');
      return t.reg('rax');
    };
    t.set32(Cpu.TSC_SPAN, 2048);
    t.set64(Cpu.TSC_BUDGET, 0xffff_ffff_ffff_ffffn);
    t.tsc = 5000n;
    expect(at(100_000n)).toBe(5000n);
    t.tsc = 5900n;
    expect([at(99_900n), at(98_000n)]).toEqual([5050n, 6000n]);
    // The clock is asked, and is behind: the counter waits for it.
    expect(at(97_000n)).toBe(6000n);
    t.tsc = 9000n;
    expect([at(96_000n), at(94_952n)]).toEqual([6400n, 9000n]);
    // A device was asked in between.
    t.set64(Cpu.TSC_BUDGET, 0xffff_ffff_ffff_ffffn);
    t.tsc = 9100n;
    expect(at(94_951n)).toBe(9100n);
    t.set32(Cpu.TSC_SPAN, 0);
    t.tsc = 9101n;
    expect(at(94_951n)).toBe(9101n);
  });

  it('CPUID clears the upper halves', () => {
    t.set({ rax: 0xffff_ffff_0000_0001n, rcx: -1, rbx: -1, rdx: -1 });
    t.call('cpuid');
    expect([t.reg('rax'), t.reg('rbx'), t.reg('rcx'), t.reg('rdx')]).toEqual([1n, 0xffff_ffffn, 3n, 4n]);
  });
});

describe('flags', () => {
  it('works all six out of the lazy form', () => {
    fc.assert(
      fc.property(fc.constantFrom(8, 16, 32, 64), fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), fc.boolean(), (size, p, q, add) => {
        const bits = BigInt(size);
        const mask = (1n << bits) - 1n;
        const a = p & mask;
        const c = q & mask;
        const wide = add ? a + c : a - c;
        const r = wide & mask;
        const sign = (v: bigint): bigint => (v >> (bits - 1n)) & 1n;
        let expected = Rflags.FIXED as number;
        if (wide !== r) expected |= Rflags.CF;
        if (r === 0n) expected |= Rflags.ZF;
        if (sign(r)) expected |= Rflags.SF;
        if (add ? sign(a) === sign(c) && sign(a) !== sign(r) : sign(a) !== sign(c) && sign(a) !== sign(r)) expected |= Rflags.OF;
        if ((a ^ c ^ r) & 0x10n) expected |= Rflags.AF;
        let ones = 0;
        for (let n = 0n; n < 8n; n++) ones += Number((r >> n) & 1n);
        if (ones % 2 === 0) expected |= Rflags.PF;
        const up = 64n - bits;
        t.set32(Cpu.RFLAGS, Rflags.FIXED);
        t.set32(Cpu.FLAG_KIND, (add ? FlagKind.ADD : FlagKind.SUB) | (size << 8));
        t.set64(Cpu.FLAG_A, a << up);
        t.set64(Cpu.FLAG_X, (add ? r : c) << up);
        expect(t.flags).toBe(expected);
        t.set32(Cpu.FLAG_KIND, FlagKind.RESULT | (size << 8));
        t.set64(Cpu.FLAG_A, BigInt(expected & (Rflags.CF | Rflags.AF | Rflags.OF)));
        t.set64(Cpu.FLAG_X, r << up);
        expect(t.flags).toBe(expected);
      }),
    );
  });

  it('PUSHF hides VM and RF; POPF obeys IOPL and CPL', () => {
    t.protect(3);
    t.set({ rsp: 0x9000 });
    t.core.set_rflags(CPU, Rflags.IF | Rflags.ZF | Rflags.OF);
    expect(outcome('pushf', 32)).toBe(Status.NEXT);
    expect(t.read32(0x8ffc)).toBe(0xa42 | 0);
    t.write32(0x8ffc, 0x3f_ffff);
    // AC may begin to act, and TF was set: the next instruction is looked up again.
    expect(outcome('popf', 32)).toBe(Status.JUMP);
    expect(t.flags).toBe(0x24_4fd7 | Rflags.IF);
    t.protect(0);
    t.set32(Cpu.RFLAGS, Rflags.FIXED);
    t.set({ rsp: 0x8ffc });
    t.write16(0x8ffc, 0x3202);
    expect(outcome('popf', 16)).toBe(Status.NEXT);
    expect([t.flags, t.rsp]).toEqual([0x3202, 0x8ffe]);
  });

  it('STI holds interrupts off for one instruction and asks for a look', () => {
    t.protect();
    expect(outcome('cli')).toBe(Status.NEXT);
    t.set32(Cpu.INTERRUPT_PENDING, 1);
    expect(outcome('sti')).toBe(Status.NEXT);
    expect([t.get32(Cpu.INTERRUPT_SHADOW), t.get32(Cpu.EXIT_REQUEST), t.flags & Rflags.IF]).toEqual([1, 1, Rflags.IF]);
    t.set32(Cpu.INTERRUPT_SHADOW, 0);
    t.call('sti');
    expect(t.get32(Cpu.INTERRUPT_SHADOW)).toBe(0);
    t.protect(3);
    expect(outcome('cli')).toBe('#13(0)');
    t.set32(Cpu.RFLAGS, Rflags.FIXED | Rflags.IOPL);
    expect(outcome('sti')).toBe(Status.NEXT);
  });

  it('HLT leaves the interpreter', () => {
    t.protect();
    expect(outcome('hlt')).toBe(Status.EXIT);
    expect([t.get32(Cpu.HALTED), t.get32(Cpu.EXIT_REASON)]).toEqual([1, Exit.HALT]);
  });
});

describe('ports', () => {
  it('obeys IOPL, then the bitmap of the TSS', () => {
    t.protect(3);
    const tss = (limit: number): void => t.segment(Cpu.TR, Sel.TSS, TSS, limit, 0x8b);
    expect(outcome('port_out', 0x80, 1, 5n)).toBe('#13(0)');
    t.set32(Cpu.RFLAGS, Rflags.FIXED | Rflags.IOPL);
    expect(outcome('port_out', 0x80, 1, 0x105n)).toBe(Status.NEXT);
    t.set32(Cpu.RFLAGS, Rflags.FIXED);
    tss(0x67 + 0x22);
    t.write16(TSS + 0x66, 0x68);
    for (let n = 0; n < 0x22; n++) t.write8(TSS + 0x68 + n, 0xff);
    expect(outcome('port_out', 0x80, 1, 5n)).toBe('#13(0)');
    t.write8(TSS + 0x68 + 0x10, 0x3f);
    expect(outcome('port_out', 0x86, 2, 6n)).toBe(Status.NEXT);
    expect(outcome('port_out', 0x87, 2, 6n)).toBe('#13(0)');
    t.write8(TSS + 0x68 + 0x11, 0xfe);
    expect(outcome('port_out', 0x87, 2, 7n)).toBe(Status.NEXT);
    tss(0x67 + 0x11);
    expect(outcome('port_out', 0x87, 2, 7n)).toBe('#13(0)');
    t.answer = 0x1234;
    t.protect(0);
    expect(t.call('port_in', 0x60, 2)).toBe(0x1234);
    expect(t.log).toEqual(['out 80 1 5', 'out 86 2 6', 'out 87 2 7', 'in 60 2']);
  });
});

describe('stack frames', () => {
  it('ENTER and LEAVE', () => {
    t.protect();
    t.set({ rbp: 0x6100 });
    t.write32(0x60fc, 0x11);
    t.write32(0x60f8, 0x22);
    expect(outcome('enter', 32, 0x20, 3)).toBe(Status.NEXT);
    expect([t.reg('rbp'), t.rsp]).toEqual([BigInt(STACK0 - 4), STACK0 - 16 - 0x20]);
    expect(t.words(STACK0 - 16, 4, 4)).toEqual([STACK0 - 4, 0x22, 0x11, 0x6100]);
    expect(outcome('leave_general', 32)).toBe(Status.NEXT);
    expect([t.reg('rbp'), t.rsp]).toEqual([0x6100n, STACK0]);
  });

  it('PUSHA and POPA', () => {
    t.protect();
    t.set({ rax: 1, rcx: 2, rdx: 3, rbx: 4, rbp: 5, rsi: 6, rdi: 7 });
    expect(outcome('pusha', 32)).toBe(Status.NEXT);
    expect(t.words(STACK0 - 32, 8, 4)).toEqual([7, 6, 5, STACK0, 4, 3, 2, 1]);
    t.set({ rax: 0xffff, rdi: 0 });
    t.write32(STACK0 - 20, 0x1234);
    expect(outcome('popa', 32)).toBe(Status.NEXT);
    expect([t.reg('rax'), t.reg('rdi'), t.rsp]).toEqual([1n, 7n, STACK0]);
  });

  it('pushes and pops at any width; a fault leaves RSP alone', () => {
    t.protect();
    t.call('load_segment', 2, Sel.DATA16);
    t.set({ rsp: 0x1234_0100 });
    t.core.push_general(CPU, 0x1122n, 2);
    expect([t.rsp, t.read16(0x4_00fe)]).toEqual([0x1234_00fe, 0x1122]);
    expect(t.core.pop_general(CPU, 2)).toBe(0x1122n);
    t.set({ rsp: 0xffff });
    t.core.pop_general(CPU, 2);
    expect(t.takeFault()).toBe('#12(0)');
    expect(t.rsp).toBe(0xffff);
  });
});

describe('CMPXCHG8B and CMPXCHG16B', () => {
  it('exchanges when equal and loads when not, with ZF alone changed', () => {
    t.long();
    t.core.set_rflags(CPU, Rflags.CF | Rflags.SF);
    t.write64(0x9008, 0x1_0000_0002n);
    t.set({ rax: 2, rdx: 1, rbx: 0x11, rcx: 0x22 });
    expect(outcome('cmpxchg_wide', 0x9008n, 8)).toBe(Status.NEXT);
    expect([t.read64(0x9008), t.flags]).toEqual([0x22_0000_0011n, Rflags.FIXED | Rflags.CF | Rflags.SF | Rflags.ZF]);
    t.set({ rax: -1, rdx: -1 });
    t.write64(0x900c, 0x9_0000_0000n | 0x22n);
    expect(outcome('cmpxchg_wide', 0x900cn, 8)).toBe(Status.NEXT);
    expect([t.reg('rax'), t.reg('rdx'), t.flags & Rflags.ZF]).toEqual([0x22n, 9n, 0]);
    t.write64(0x9010, 5n);
    t.write64(0x9018, 6n);
    t.set({ rax: 5, rdx: 6, rbx: 7, rcx: 8 });
    expect(outcome('cmpxchg_wide', 0x9010n, 16)).toBe(Status.NEXT);
    expect(t.words(0x9010, 2, 8)).toEqual([7, 8]);
    expect(outcome('cmpxchg_wide', 0x9010n, 16)).toBe(Status.NEXT);
    expect([t.reg('rax'), t.reg('rdx'), t.flags & Rflags.ZF]).toEqual([7n, 8n, 0]);
    expect(outcome('cmpxchg_wide', 0x9008n, 16)).toBe('#13(0)');
  });
});
