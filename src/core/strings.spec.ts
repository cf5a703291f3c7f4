import { beforeEach, describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { Cpu, Mem, Rflags, Status } from './layout.ts';
import { BUILD_TIMEOUT, CPU, MMIO, Sel, TABLES, TestCpu } from './testing.ts';

let t: TestCpu;
beforeEach(async () => {
  t = await TestCpu.create();
}, BUILD_TIMEOUT);

/** Run an instruction to its end; the number of times it had to be resumed, and its last status. */
function run(name: string, ...args: number[]): { status: number; resumed: number } {
  for (let resumed = 0; ; resumed++) {
    const status = t.call(name, ...args);
    if (status !== Status.AGAIN) return { status, resumed };
  }
}

/** Element by element, as the manual describes MOVS, STOS, CMPS and SCAS. */
function model(memory: Uint8Array, name: string, size: number, rep: number, down: boolean, r: { rax: number; rcx: number; rsi: number; rdi: number }): { rcx: number; rsi: number; rdi: number; equal: boolean | undefined } {
  let { rcx, rsi, rdi } = r;
  let equal: boolean | undefined;
  const step = down ? -size : size;
  const at = (address: number): number[] => [...memory.slice(address, address + size)];
  const accumulator = [r.rax & 0xff, (r.rax >>> 8) & 0xff, (r.rax >>> 16) & 0xff, r.rax >>> 24].slice(0, size);
  const same = (a: number[], b: number[]): boolean => a.every((x, n) => x === b[n]);
  while (rep === 0 || rcx > 0) {
    if (name === 'movs') memory.set(at(rsi), rdi);
    else if (name === 'stos') memory.set(accumulator, rdi);
    else if (name === 'cmps') equal = same(at(rsi), at(rdi));
    else equal = same(accumulator, at(rdi));
    if (name === 'movs' || name === 'cmps') rsi += step;
    rdi += step;
    if (rep === 0) break;
    rcx--;
    if ((name === 'cmps' || name === 'scas') && equal !== (rep === 1)) break;
  }
  return { rcx, rsi, rdi, equal };
}

describe('against the manual, element by element', () => {
  const START = 0x2_0000;
  const LENGTH = 0x8000;

  it('moves, fills, compares and scans', () => {
    t.protect();
    fc.assert(
      fc.property(
        fc.constantFrom('movs', 'stos', 'cmps', 'scas'),
        fc.constantFrom(1, 2, 4),
        fc.constantFrom(0, 1, 2),
        fc.boolean(),
        fc.integer({ min: 0, max: 0x1800 }),
        fc.integer({ min: 0x3100, max: 0x4d00 }),
        fc.oneof(fc.integer({ min: -40, max: 40 }), fc.integer({ min: -0x1800, max: 0x1800 })),
        fc.constantFrom(0, 0x5050_5050, 0x1234_5678, 0x55),
        fc.integer({ min: 2, max: 256 }),
        (name, size, rep, down, count, from, distance, rax, variety) => {
          // Few values, so that comparisons go on for a while.
          for (let n = 0; n < LENGTH; n++) t.bytes[Mem.RAM + START + n] = n % variety === 0 ? n >> 3 : 0x50;
          const before = t.bytes.slice(Mem.RAM + START, Mem.RAM + START + LENGTH);
          if (size > 1) count >>= 2;
          const start = { rax, rcx: count, rsi: from, rdi: from + distance };
          t.set({ rax, rcx: count, rsi: START + from, rdi: START + from + distance });
          t.set32(Cpu.RFLAGS, Rflags.FIXED | (down ? Rflags.DF : 0));
          const { status } = run(name, size, 4, Cpu.DS, rep);
          const expected = model(before, name, size, rep, down, start);
          expect(status).toBe(Status.NEXT);
          expect([Number(t.reg('rcx')), Number(t.reg('rsi')), Number(t.reg('rdi'))]).toEqual([expected.rcx, START + expected.rsi, START + expected.rdi]);
          expect(Buffer.compare(Buffer.from(t.bytes.slice(Mem.RAM + START, Mem.RAM + START + LENGTH)), Buffer.from(before))).toBe(0);
          if (expected.equal !== undefined) expect((t.flags & Rflags.ZF) !== 0).toBe(expected.equal);
        },
      ),
      { numRuns: 600 },
    );
  });
});

describe('faults and interruptions', () => {
  it('leaves the registers at the element that faults', () => {
    t.long();
    const PTE = TABLES + 0x3000;
    t.write64(TABLES + 0x2000 + 16, BigInt(PTE + 7));
    t.write64(PTE, 0x9063n);
    t.set({ rax: 0x11, rcx: 0x100, rdi: 0x40_0ff0, rsi: 0 });
    expect(t.call('stos', 4, 8, Cpu.DS, 1)).toBe(Status.FAULT);
    expect(t.takeFault()).toBe('#14(2)');
    expect([t.reg('rcx'), t.reg('rdi'), t.get64(Cpu.CR2)]).toEqual([0xfcn, 0x40_1000n, 0x40_1000n]);
    t.set({ rcx: 3, rdi: 0x40_0ffe });
    expect(t.call('stos', 4, 8, Cpu.DS, 1)).toBe(Status.FAULT);
    expect(t.takeFault()).toBe('#14(2)');
    expect(t.reg('rcx')).toBe(3n);
    // The flags stay as they were before the instruction.
    t.core.set_rflags(CPU, Rflags.CF | Rflags.PF);
    t.set({ rcx: 0x10, rdi: 0x40_0ffc, rax: 0x11 });
    expect(t.call('scas', 4, 8, Cpu.DS, 1)).toBe(Status.FAULT);
    t.takeFault();
    expect(t.reg('rcx')).toBe(15n);
    expect(t.flags).toBe(Rflags.FIXED | Rflags.CF | Rflags.PF);
  });

  it('comes back after 64 KiB or on request, and uses up budget', () => {
    t.protect();
    t.set({ rcx: 0x2_0000, rdi: 0x2_0000, rax: 7 });
    t.set64(Cpu.BUDGET, 100_000n);
    expect(t.call('stos', 1, 4, Cpu.DS, 1)).toBe(Status.AGAIN);
    expect(Number(t.reg('rdi')) - 0x2_0000).toBe(0x2_0000 - Number(t.reg('rcx')));
    expect(Number(t.reg('rcx'))).toBeLessThan(0x1_1000);
    expect(Number(t.get64(Cpu.BUDGET))).toBeLessThan(93_000);
    t.set32(Cpu.EXIT_REQUEST, 1);
    expect(t.call('stos', 1, 4, Cpu.DS, 1)).toBe(Status.AGAIN);
    t.set32(Cpu.EXIT_REQUEST, 0);
    expect(run('stos', 1, 4, Cpu.DS, 1).status).toBe(Status.NEXT);
    expect(t.read8(0x3_ffff)).toBe(7);
    expect(t.read8(0x4_0000)).toBe(0);
  });

  it.each([1, 2, 4, 8])('uses up the same wherever it is interrupted, with elements of %i bytes', (size) => {
    t.protect();
    const used = (prepare: () => void): number => {
      t.set({ rcx: 1003, rsi: 0x9001, rdi: 0x2_0001, rax: 7 });
      t.set64(Cpu.BUDGET, 100_000n);
      prepare();
      const { resumed } = run('movs', size, 4, Cpu.DS, 1);
      const budget = 100_000 - Number(t.get64(Cpu.BUDGET));
      t.set32(Cpu.EXIT_REQUEST, 0);
      t.set32(Cpu.RFLAGS, Rflags.FIXED);
      return resumed * 1e6 + budget;
    };
    const atOnce = used(() => {});
    expect(atOnce).toBe(Math.floor((1003 * size) / 8));
    // Page by page, and one by one.
    const pages = used(() => t.set32(Cpu.EXIT_REQUEST, 1));
    expect(pages % 1e6).toBe(atOnce);
    if (size > 4) expect(pages).toBeGreaterThan(1e6);
    expect(used(() => t.set32(Cpu.RFLAGS, Rflags.FIXED | Rflags.TF))).toBe(1002 * 1e6 + atOnce);
  });

  it('does one element at a time with TF', () => {
    t.protect();
    t.set32(Cpu.RFLAGS, Rflags.FIXED | Rflags.TF);
    t.set({ rcx: 3, rdi: 0x9000, rsi: 0xa000 });
    expect(t.call('movs', 1, 4, Cpu.DS, 1)).toBe(Status.AGAIN);
    expect(t.reg('rcx')).toBe(2n);
    t.call('movs', 1, 4, Cpu.DS, 1);
    expect(t.call('movs', 1, 4, Cpu.DS, 1)).toBe(Status.NEXT);
  });

  it('notices writes to code', () => {
    t.protect();
    t.view.setBigUint64(Mem.CODE_CHUNKS + 9 * 8, 1n, true);
    t.onInvalidate = () => t.view.setBigUint64(Mem.CODE_CHUNKS + 9 * 8, 0n, true);
    t.set({ rcx: 0x40, rdi: 0x8ff0, rax: 1 });
    expect(run('stos', 1, 4, Cpu.DS, 1).status).toBe(Status.NEXT);
    expect(t.log).toEqual(['invalidate 9 0-0']);
    expect(t.slice(0x902f, 2)).toEqual([1, 0]);
  });

  it('leaves the registers at the element that faults going down, with the elements above it done', () => {
    t.long();
    const PTE = TABLES + 0x3000;
    t.write64(TABLES + 0x2000 + 16, BigInt(PTE + 7));
    t.write64(PTE + 8, 0x9063n);
    t.core.set_rflags(CPU, Rflags.DF | Rflags.CF);
    t.set({ rax: 0x11, rcx: 0x100, rdi: 0x40_1008 });
    expect(run('stos', 4, 8, Cpu.DS, 1).status).toBe(Status.FAULT);
    expect(t.takeFault()).toBe('#14(2)');
    expect([t.reg('rcx'), t.reg('rdi'), t.get64(Cpu.CR2)]).toEqual([0xfdn, 0x40_0ffcn, 0x40_0ffcn]);
    expect(t.words(0x9000, 4, 4)).toEqual([0x11, 0x11, 0x11, 0]);
    // The first element lies on two pages, the lower one of which is not there.
    t.set({ rcx: 3, rdi: 0x40_0ffe });
    expect(t.call('stos', 4, 8, Cpu.DS, 1)).toBe(Status.FAULT);
    expect(t.takeFault()).toBe('#14(2)');
    expect([t.reg('rcx'), t.words(0x9000, 1, 4)[0]]).toEqual([3n, 0x11]);
  });

  it('notices writes to code going down', () => {
    t.protect();
    t.view.setBigUint64(Mem.CODE_CHUNKS + 9 * 8, 1n, true);
    t.onInvalidate = () => t.view.setBigUint64(Mem.CODE_CHUNKS + 9 * 8, 0n, true);
    t.set32(Cpu.RFLAGS, Rflags.FIXED | Rflags.DF);
    t.set({ rcx: 0x40, rdi: 0x902f, rax: 1 });
    expect(run('stos', 1, 4, Cpu.DS, 1).status).toBe(Status.NEXT);
    expect(t.log).toEqual(['invalidate 9 0-0']);
    expect(t.slice(0x8fef, 2)).toEqual([0, 1]);
  });

  it('goes through segments and their limits', () => {
    t.protect();
    t.call('load_segment', 0, Sel.DATA16);
    t.call('load_segment', 4, Sel.DATA16);
    t.write8(0x4_fffe, 0x61);
    t.write8(0x4_ffff, 0x62);
    t.set({ rsi: 0xfffe, rdi: 0x100, rcx: 4 });
    expect(run('movs', 1, 4, Cpu.FS, 1).status).toBe(Status.FAULT);
    expect(t.takeFault()).toBe('#13(0)');
    expect([t.reg('rcx'), t.reg('rsi')]).toEqual([2n, 0x1_0000n]);
    expect(t.slice(0x4_0100, 2)).toEqual([0x61, 0x62]);
  });
});

describe('address sizes', () => {
  it('wraps SI, DI and CX at 16 bits and keeps their upper halves', () => {
    t.protect();
    t.set({ rsi: 0x7777_fffe, rdi: 0x8888_9000, rcx: 0x9999_0004 });
    t.fill(0xfffe, [1, 2]);
    t.fill(0, [3, 4]);
    expect(run('movs', 1, 2, Cpu.DS, 1).status).toBe(Status.NEXT);
    expect(t.slice(0x9000, 4)).toEqual([1, 2, 3, 4]);
    expect([t.reg('rsi'), t.reg('rdi'), t.reg('rcx')]).toEqual([0x7777_0002n, 0x8888_9004n, 0x9999_0000n]);
  });

  it('wraps SI and DI at 16 bits going down', () => {
    t.protect();
    t.set32(Cpu.RFLAGS, Rflags.FIXED | Rflags.DF);
    t.fill(0, [1, 2, 3]);
    t.fill(0xfffd, [4, 5, 6]);
    t.set({ rsi: 0x7777_0002, rdi: 0x8888_9005, rcx: 0x9999_0006 });
    expect(run('movs', 1, 2, Cpu.DS, 1).status).toBe(Status.NEXT);
    expect(t.slice(0x9000, 6)).toEqual([4, 5, 6, 1, 2, 3]);
    expect([t.reg('rsi'), t.reg('rdi'), t.reg('rcx')]).toEqual([0x7777_fffcn, 0x8888_8fffn, 0x9999_0000n]);
  });

  it('does not run over the segment limit with the highest element, nor over the lowest address', () => {
    t.protect();
    t.call('load_segment', 0, Sel.DATA16);
    t.set32(Cpu.RFLAGS, Rflags.FIXED | Rflags.DF);
    // A word at FFFF reaches beyond the limit.
    t.set({ rdi: 0xffff, rcx: 2, rax: 0x1122 });
    expect(run('stos', 2, 4, Cpu.DS, 1).status).toBe(Status.FAULT);
    expect([t.takeFault(), t.reg('rcx'), t.reg('rdi')]).toEqual(['#13(0)', 2n, 0xffffn]);
    // The third word, at FFFFFFFE, does too.
    t.set({ rdi: 2, rcx: 3 });
    expect(run('stos', 2, 4, Cpu.DS, 1).status).toBe(Status.FAULT);
    expect([t.takeFault(), t.reg('rcx'), t.reg('rdi')]).toEqual(['#13(0)', 1n, 0xffff_fffen]);
    expect(t.slice(0x4_0000, 4)).toEqual([0x22, 0x11, 0x22, 0x11]);
  });

  it('clears the upper halves with 32 bits in 64-bit code, and adds FS base', () => {
    t.long();
    t.set64(Cpu.FS + 8, 0xa000n);
    t.write64(0xa010, 0x1122_3344_5566_7788n);
    t.set({ rsi: 0xffff_ffff_0000_0010n, rdi: 0x1_0000_9000n, rcx: 1 });
    expect(run('movs', 8, 4, Cpu.FS, 1).status).toBe(Status.NEXT);
    expect(t.read64(0x9000)).toBe(0x1122_3344_5566_7788n);
    expect([t.reg('rsi'), t.reg('rdi')]).toEqual([0x18n, 0x9008n]);
  });

  it('loads with LODS and does nothing with a count of 0', () => {
    t.long();
    t.write32(0x9000, 0xdead_beef);
    t.set({ rax: -1, rsi: 0x9000, rcx: 0 });
    run('lods', 4, 8, Cpu.DS, 1);
    expect(t.reg('rax')).toBe(0xffff_ffff_ffff_ffffn);
    run('lods', 4, 8, Cpu.DS, 0);
    expect(t.reg('rax')).toBe(0xdead_beefn);
    run('scas', 1, 8, Cpu.DS, 2);
    expect(t.reg('rdi')).toBe(0n);
  });
});

describe('ports and device memory', () => {
  it('INS checks its destination before it reads the port', () => {
    t.long(0);
    t.set({ rdx: 0x1f0, rdi: 0x8000_0000, rcx: 2 });
    expect(t.call('ins', 2, 8, Cpu.DS, 1)).toBe(Status.FAULT);
    t.takeFault();
    expect(t.log).toEqual([]);
    t.answer = 0xabcd;
    t.set({ rdi: 0x9000 });
    expect(run('ins', 2, 8, Cpu.DS, 1).status).toBe(Status.NEXT);
    expect(t.log).toEqual(['in 1f0 2', 'in 1f0 2']);
    expect(t.words(0x9000, 2, 2)).toEqual([0xabcd, 0xabcd]);
  });

  it('OUTS, and MOVS from device memory', () => {
    t.protect();
    t.fill(0x9000, [1, 2]);
    t.set({ rdx: 0x3f8, rsi: 0x9000, rcx: 2 });
    run('outs', 1, 4, Cpu.DS, 1);
    t.answer = 9;
    t.set({ rsi: MMIO, rdi: 0xa000, rcx: 2 });
    run('movs', 4, 4, Cpu.DS, 1);
    expect(t.log).toEqual(['out 3f8 1 1', 'out 3f8 1 2', 'read fed00000 4', 'read fed00004 4']);
    expect(t.words(0xa000, 2, 4)).toEqual([9, 9]);
  });
});
