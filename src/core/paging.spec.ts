import { beforeEach, describe, expect, it } from 'vitest';
import { Cpu, Mem, Pmap, Rflags, SegAttr } from './layout.ts';
import { BUILD_TIMEOUT, CPU, MMIO, ROM_PAGE, TABLES, TestCpu } from './testing.ts';

let t: TestCpu;
beforeEach(async () => {
  t = await TestCpu.create();
}, BUILD_TIMEOUT);

/** 4-level tables: linear 0x400000 upwards through 4 KiB pages at TABLES + 0x3000; the rest as TestCpu.long(). */
const PTE = TABLES + 0x3000;
const BASE = 0x40_0000;
function fourLevel(cpl = 0): void {
  t.long(cpl);
  t.write64(TABLES + 0x2000 + 16, BigInt(PTE + 7));
}
const pte = (n: number, value: number | bigint): void => t.write64(PTE + 8 * n, BigInt(value));

describe('4-level paging', () => {
  it('translates, sets accessed and dirty bits, and fills the TLB', () => {
    fourLevel();
    pte(0, 0x9003);
    t.write32(0x9010, 0x1234_5678);
    expect(t.readGuest(BASE + 0x10, 4)).toBe(0x1234_5678n);
    expect(t.read64(PTE)).toBe(0x9023n);
    expect(t.read64(TABLES) & 0x20n).toBe(0x20n);
    expect(t.tags(BASE)).toBe('r');
    t.writeGuest(BASE + 0x14, 2, 0xabcd);
    expect(t.read64(PTE)).toBe(0x9063n);
    expect(t.tags(BASE)).toBe('rw');
    expect(t.read16(0x9014)).toBe(0xabcd);
  });

  it('gives a dirty page its write tag at the first read', () => {
    fourLevel();
    pte(0, 0x9063);
    t.readGuest(BASE, 1);
    expect(t.tags(BASE)).toBe('rw');
  });

  it.each([
    // entry, CPL, access, WP, error code
    ['not present', 0x9002, 0, 'read', true, '#14(0)'],
    ['not present, user write', 0x9002, 3, 'write', true, '#14(6)'],
    ['supervisor page from user', 0x9003, 3, 'read', true, '#14(5)'],
    ['supervisor page written by user', 0x9003, 3, 'write', true, '#14(7)'],
    ['read-only page written by user', 0x9005, 3, 'write', true, '#14(7)'],
    ['read-only page written by supervisor', 0x9001, 0, 'write', true, '#14(3)'],
    ['the same without WP', 0x9001, 0, 'write', false, ''],
    ['read-only page read', 0x9005, 3, 'read', true, ''],
    ['rmw counts as a write', 0x9005, 3, 'rmw', true, '#14(7)'],
    ['fetch', 0x9005, 3, 'fetch', true, ''],
    ['fetch of a supervisor page', 0x9003, 3, 'fetch', true, '#14(15)'],
    ['fetch from a no-execute page', 0x8000_0000_0000_9007n, 3, 'fetch', true, '#14(15)'],
    ['read of a no-execute page', 0x8000_0000_0000_9007n, 3, 'read', true, ''],
    ['a bit above the physical address width', 0x100_0000_9007n, 0, 'read', true, '#14(9)'],
  ] as const)('%s', (_name, entry, cpl, access, wp, fault) => {
    fourLevel(cpl);
    if (!wp) t.set64(Cpu.CR0, 0x8000_0011n);
    pte(0, entry);
    const va = BASE + 0x123;
    if (access === 'read') t.readGuest(va, 1);
    else if (access === 'write') t.writeGuest(va, 1, 0);
    else if (access === 'rmw') t.call('rmw_slow', BigInt(va), 1);
    else t.call('fetch_page', BigInt(va));
    expect(t.takeFault()).toBe(fault);
    if (fault) {
      expect(t.get64(Cpu.CR2)).toBe(BigInt(va));
      expect(t.read64(PTE)).toBe(BigInt(entry));
    }
  });

  it('takes bit 63 as reserved without EFER.NXE', () => {
    fourLevel();
    t.set64(Cpu.EFER, 0x501n);
    pte(0, 0x8000_0000_0000_9007n);
    t.readGuest(BASE, 1);
    expect(t.takeFault()).toBe('#14(9)');
    pte(0, 0x9002);
    t.call('fetch_page', BigInt(BASE));
    expect(t.takeFault()).toBe('#14(0)');
  });

  it('refuses reserved bits of large pages, and 1 GiB pages unless they exist', () => {
    fourLevel();
    t.write64(TABLES + 0x2000 + 8, 0x20_2087n);
    t.readGuest(0x20_0000, 1);
    expect(t.takeFault()).toBe('#14(9)');
    t.write64(TABLES + 0x1000 + 8, 0x87n);
    t.readGuest(0x4000_0000, 1);
    expect(t.takeFault()).toBe('#14(9)');
    t.set32(Cpu.FEATURES, 1);
    t.write8(0x1234, 0x77);
    expect(t.readGuest(0x4000_1234, 1)).toBe(0x77n);
  });

  it('raises #GP(0) for non-canonical addresses, #SS(0) on the stack', () => {
    t.long();
    t.readGuest(0x8000_0000_0000n, 1);
    expect(t.takeFault()).toBe('#13(0)');
    t.readGuest(0x7fff_ffff_ffffn, 2);
    expect(t.takeFault()).toBe('#13(0)');
    t.core.write_slow_ss(CPU, 0x8000_0000_0000n, 8, 0n);
    expect(t.takeFault()).toBe('#12(0)');
  });

  it('translates for a debugger without side effects', () => {
    fourLevel(3);
    pte(0, 0x9001);
    expect(t.call('translate_debug', BigInt(BASE + 5))).toBe(0x9005);
    expect(t.read64(PTE)).toBe(0x9001n);
    expect(t.call('translate_debug', BigInt(BASE + 0x1000))).toBe(Number(0xffff_ffff_ffff_ffffn));
    expect(t.takeFault()).toBe('');
  });
});

describe('32-bit and PAE paging', () => {
  it('walks two levels and 4 MiB pages', () => {
    t.protect();
    t.set64(Cpu.CR4, 0x10n);
    t.write32(TABLES, 0x83);
    t.write32(TABLES + 4, TABLES + 0x1000 + 7);
    t.write32(TABLES + 0x1000, 0x9003);
    t.set64(Cpu.CR3, BigInt(TABLES));
    t.set64(Cpu.CR0, 0x8001_0011n);
    t.call('tlb_flush', 0);
    t.write8(0x9004, 0x5a);
    expect(t.readGuest(0x40_0004, 1)).toBe(0x5an);
    expect(t.read32(TABLES + 0x1000)).toBe(0x9023);
    t.writeGuest(0x9004, 1, 0xa5);
    expect(t.read32(TABLES)).toBe(0xe3);
    expect(t.readGuest(0x40_0004, 1)).toBe(0xa5n);
    t.readGuest(0x80_0000, 1);
    expect(t.takeFault()).toBe('#14(0)');
  });

  it('reaches above 4 GiB with PSE-36 and refuses bit 21', () => {
    t.protect();
    t.set64(Cpu.CR4, 0x10n);
    t.write32(TABLES, 0x83);
    t.write32(TABLES + 4, 0x2083);
    t.write32(TABLES + 8, 0x20_0083);
    t.set64(Cpu.CR3, BigInt(TABLES));
    t.set64(Cpu.CR0, 0x8001_0011n);
    t.readGuest(0x40_0004, 4);
    expect(t.log).toEqual(['read 1:4 4']);
    t.readGuest(0x80_0000, 1);
    expect(t.takeFault()).toBe('#14(9)');
  });

  it('keeps the PAE pointers of the last CR3 write', () => {
    t.protect();
    t.set64(Cpu.CR4, 0x20n);
    t.set64(Cpu.CR0, 0x8001_0011n);
    t.write64(TABLES + 8, BigInt(TABLES + 0x1000 + 1));
    t.write64(TABLES + 0x1000, BigInt(0x87));
    expect(t.call('write_cr', 3, BigInt(TABLES))).toBe(2);
    t.write64(TABLES + 8, 0n);
    t.write8(0x9000, 0x11);
    expect(t.readGuest(0x4000_9000, 1)).toBe(0x11n);
    t.write64(TABLES + 8, 0x1000_0000_0003n);
    expect(t.call('write_cr', 3, BigInt(TABLES))).toBe(1);
    expect(t.takeFault()).toBe('#13(0)');
    expect(t.readGuest(0x4000_9000, 1)).toBe(0x11n);
  });
});

describe('TLB', () => {
  it('keeps global pages over CR3 writes and drops the others', () => {
    fourLevel();
    pte(0, 0x9063);
    pte(1, 0x9163);
    t.readGuest(BASE, 1);
    t.readGuest(BASE + 0x1000, 1);
    t.call('write_cr', 3, BigInt(TABLES));
    expect(t.tags(BASE)).toBe('');
    expect(t.tags(BASE + 0x1000)).toBe('rw');
    t.call('tlb_flush', 0);
    expect(t.tags(BASE + 0x1000)).toBe('');
  });

  it('survives an overflow of the journal', () => {
    fourLevel();
    for (let n = 0; n < 512; n++) pte(n, 0x9063);
    for (let round = 0; round < 40; round++) {
      for (let n = 0; n < 512; n++) {
        t.readGuest(BASE + n * 0x1000, 1);
        t.call('tlb_flush_page', BigInt(BASE + n * 0x1000));
      }
    }
    t.readGuest(BASE, 1);
    t.call('tlb_flush', 1);
    expect(t.tags(BASE)).toBe('');
  });

  it('forgets all of a large page on INVLPG of any of its addresses', () => {
    fourLevel();
    pte(1, 0x9063);
    t.readGuest(0x20_1000, 1);
    t.readGuest(0x20_5000, 1);
    t.readGuest(BASE + 0x1000, 1);
    t.call('invlpg', 0x3f_f000n);
    expect(t.tags(0x20_1000)).toBe('');
    expect(t.tags(0x20_5000)).toBe('');
    expect(t.tags(BASE + 0x1000)).toBe('rw');
    t.call('invlpg', BigInt(BASE + 0x1000));
    expect(t.tags(BASE + 0x1000)).toBe('');
  });

  it('has entries of their own for code: what lies whole multiples of 16 MiB from it takes none of them', () => {
    fourLevel();
    pte(0, 0x9063);
    t.write64(TABLES + 0x2000 + 80, BigInt(PTE + 7));
    expect(t.call('fetch_page', BigInt(BASE))).toBe(9);
    t.readGuest(BASE + 0x100_0000, 1);
    expect(t.tags(BASE)).toBe('x');
    expect(t.tags(BASE + 0x100_0000)).toBe('rw');
    expect(t.call('fetch_page', BigInt(BASE))).toBe(9);
    expect(t.tags(BASE + 0x100_0000)).toBe('rw');
  });

  it('forgets code with data: by CR3 unless it is global, by a full flush, by INVLPG of its page or of its large page', () => {
    fourLevel();
    pte(0, 0x9063);
    pte(1, 0x9163);
    const fetchAll = (): void => [BASE, BASE + 0x1000, 0x20_1000, 0x20_5000].forEach((va) => t.call('fetch_page', BigInt(va)));
    const tags = (): string => [BASE, BASE + 0x1000, 0x20_1000, 0x20_5000].map((va) => t.tags(va) || '-').join('');
    fetchAll();
    expect(tags()).toBe('xxxx');
    t.call('write_cr', 3, BigInt(TABLES));
    expect(tags()).toBe('-x--');
    fetchAll();
    t.call('invlpg', 0x3f_f000n);
    expect(tags()).toBe('xx--');
    fetchAll();
    t.call('invlpg', BigInt(BASE + 0x1000));
    expect(tags()).toBe('x-xx');
    fetchAll();
    t.call('tlb_flush', 0);
    expect(tags()).toBe('----');
  });

  it('keeps the two privileges apart', () => {
    fourLevel(3);
    pte(0, 0x9067);
    t.readGuest(BASE, 1);
    expect(t.tags(BASE, true)).toBe('rw');
    expect(t.tags(BASE, false)).toBe('');
    expect(t.get32(Cpu.TLB)).toBe(CPU + Cpu.TLB_USER);
  });

  it('forgets code when the code mode changes', () => {
    t.protect();
    expect(t.call('fetch_page', 0x5123n)).toBe(5);
    expect(t.tags(0x5000)).toBe('x');
    t.call('load_segment', 3, 0);
    expect(t.tags(0x5000)).toBe('');
  });
});

describe('memory accesses', () => {
  it('checks both pages of a crossing write before it writes', () => {
    fourLevel();
    pte(0, 0x9063);
    pte(1, 0x9060);
    t.writeGuest(BASE + 0xffe, 4, 0x1122_3344);
    expect(t.takeFault()).toBe('#14(2)');
    expect(t.get64(Cpu.CR2)).toBe(BigInt(BASE + 0x1000));
    expect(t.read16(0x9ffe)).toBe(0);
    pte(1, 0xb063);
    t.writeGuest(BASE + 0xffe, 4, 0x1122_3344);
    expect(t.read16(0x9ffe)).toBe(0x3344);
    expect(t.read16(0xb000)).toBe(0x1122);
    expect(t.readGuest(BASE + 0xffe, 4)).toBe(0x1122_3344n);
    expect(t.readGuest(BASE + 0xffd, 8)).toBe(0x11_2233_4400n);
  });

  it('moves 16 bytes across pages or not at all', () => {
    fourLevel();
    pte(0, 0x9063);
    t.set64(Cpu.TMP128, 0x1111n);
    t.set64(Cpu.TMP128 + 8, 0x2222n);
    t.call('write_slow128', BigInt(BASE + 0xff4));
    expect(t.takeFault()).toBe('#14(2)');
    expect(t.read64(0x9ff4)).toBe(0n);
    t.call('write_slow128', BigInt(BASE + 0xff0));
    t.set64(Cpu.TMP128 + 8, 0n);
    t.call('read_slow128', BigInt(BASE + 0xff0));
    expect(t.get64(Cpu.TMP128 + 8)).toBe(0x2222n);
  });

  it('wraps at 4 GiB in 32-bit code', () => {
    t.protect();
    t.write16(0, 0x8899);
    t.answer = 0x55;
    expect(t.readGuest(0xffff_fffe, 4)).toBe(0x8899_5555n);
    expect(t.log).toEqual(['read fffffffe 1', 'read ffffffff 1']);
  });

  it('passes device memory to the host: 8 bytes as two fours, above 4 GiB too', () => {
    t.protect();
    t.answer = 0x1234_5678;
    expect(t.readGuest(MMIO, 8)).toBe(0x1234_5678_1234_5678n);
    t.writeGuest(MMIO + 4, 8, 0x1_0000_0002n);
    expect(t.log).toEqual([`read fed00000 4`, 'read fed00004 4', 'write fed00004 4 2', 'write fed00008 4 1']);
    expect(t.tags(MMIO)).toBe('');
  });

  it('reads ROM from memory and sends its writes to the host', () => {
    t.protect();
    t.view.setUint8(Mem.ROM + 3, 0x42);
    expect(t.readGuest(ROM_PAGE * 4096 + 3, 1)).toBe(0x42n);
    t.writeGuest(ROM_PAGE * 4096 + 3, 1, 0);
    expect(t.log).toEqual(['write f0003 1 0']);
    expect(t.tags(ROM_PAGE * 4096)).toBe('r');
  });

  it('masks A20', () => {
    t.protect();
    t.set64(Cpu.A20_MASK, ~(1n << 20n) & 0xffff_ffff_ffff_ffffn);
    t.write8(0x234, 0x99);
    expect(t.readGuest(0x10_0234, 1)).toBe(0x99n);
  });

  it('reports writes to decoded code, and only to it', () => {
    t.protect();
    t.writeGuest(0x9000, 1, 1);
    expect(t.tags(0x9000)).toBe('rw');
    t.view.setBigUint64(Mem.CODE_CHUNKS + 9 * 8, 1n << 2n, true);
    t.call('tlb_forget_writes', 9);
    expect(t.tags(0x9000)).toBe('r');
    t.writeGuest(0x9000, 4, 2);
    expect(t.log).toEqual([]);
    expect(t.tags(0x9000)).toBe('r');
    t.writeGuest(0x907c, 4, 3);
    expect(t.log).toEqual([]);
    t.writeGuest(0x90c0, 1, 3);
    t.writeGuest(0x90be, 4, 0x7777_7777);
    expect(t.log).toEqual(['invalidate 9 2-3']);
    expect(t.read32(0x90be)).toBe(0x7777_7777);
  });

  it('gives host addresses for locked accesses', () => {
    fourLevel();
    pte(0, 0x9063);
    pte(1, 0x9061);
    expect(t.call('lock_address', BigInt(BASE + 8), 8)).toBe(Mem.RAM + 0x9008);
    expect(t.call('lock_address', BigInt(BASE + 9), 4)).toBe(1);
    expect(t.call('lock_address', BigInt(BASE + 0x1000), 4)).toBe(0);
    expect(t.takeFault()).toBe('#14(3)');
  });

  it('checks alignment at CPL 3 with CR0.AM and RFLAGS.AC', () => {
    fourLevel(3);
    pte(0, 0x9067);
    t.readGuest(BASE + 1, 4);
    expect(t.takeFault()).toBe('');
    t.set64(Cpu.CR0, 0x8005_0011n);
    t.set32(Cpu.RFLAGS, Rflags.FIXED | Rflags.AC);
    t.call('update_mode');
    expect(t.tags(BASE, true)).toBe('');
    t.readGuest(BASE + 1, 4);
    expect(t.takeFault()).toBe('#17(0)');
    t.writeGuest(BASE + 4, 8, 0);
    expect(t.takeFault()).toBe('#17(0)');
    t.writeGuest(BASE + 8, 8, 0);
    expect(t.takeFault()).toBe('');
    expect(t.tags(BASE, true)).toBe('');
  });

  it('checks ranges', () => {
    fourLevel();
    pte(0, 0x9063);
    pte(1, 0x9061);
    expect(t.call('probe_write', BigInt(BASE), 0x1000)).toBe(1);
    expect(t.call('probe_write', BigInt(BASE), 0x1001)).toBe(0);
    expect(t.takeFault()).toBe('#14(3)');
    expect(t.call('probe_read', BigInt(BASE), 0x2000)).toBe(1);
  });
});

describe('mode', () => {
  it('is flat only when all four segments are', () => {
    t.protect();
    expect(t.get32(Cpu.MODE)).toBe(1 | 4 | 8);
    t.segment(Cpu.ES, 0x10, 0, 0xfff_ffff, 0xc093);
    t.call('update_mode');
    expect(t.get32(Cpu.MODE)).toBe(1 | 8);
    t.segment(Cpu.ES, 0x60, 0, 0xffff_ffff, 0xc091);
    t.call('update_mode');
    expect(t.get32(Cpu.MODE)).toBe(1 | 8);
  });

  it('knows 64-bit, compatibility and 16-bit code', () => {
    t.long();
    expect(t.get32(Cpu.MODE)).toBe(2 | 4);
    expect(t.get64(Cpu.ADDRESS_MASK)).toBe(0xffff_ffff_ffff_ffffn);
    t.flat(3, SegAttr.DB);
    expect(t.get32(Cpu.MODE)).toBe(1 | 4 | 8);
    expect(t.get64(Cpu.ADDRESS_MASK)).toBe(0xffff_ffffn);
    t.set64(Cpu.EFER, 0n);
    t.real();
    expect(t.get32(Cpu.MODE)).toBe(0);
    expect(t.get32(Cpu.CPL)).toBe(0);
  });
});

it.each([[0, false], [3, true]])('forgets writes of a page each time it becomes code, at CPL %d', (cpl, user) => {
  t.protect(cpl);
  for (let n = 0; n < 2; n++) {
    t.writeGuest(0x9000, 1, 1);
    expect(t.tags(0x9000, user)).toBe('rw');
    t.call('tlb_forget_writes', 9);
    expect(t.tags(0x9000, user)).toBe('r');
  }
});

it('leaves the pages of other maps alone when one becomes code', () => {
  t.protect();
  t.map(0x300, Mem.RAM + 0x9000, Pmap.READ | Pmap.WRITE);
  t.writeGuest(0x30_0000, 1, 1);
  t.writeGuest(0xa000, 1, 1);
  t.call('tlb_forget_writes', 9);
  // The same bytes under another physical address count as well.
  expect(t.tags(0x30_0000)).toBe('r');
  expect(t.tags(0xa000)).toBe('rw');
});
