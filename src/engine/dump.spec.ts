import { describe, expect, it } from 'vitest';
import { Cpu, FlagKind, Mode, Rflags, Seg, SegAttr } from '../core/layout.ts';
import { FunctionBuilder } from '../wasm/function.ts';
import { ModuleBuilder } from '../wasm/module.ts';
import { defineFlagFunctions } from '../x86/flags.ts';
import { arithmeticFlags, dumpCode, dumpRegisters } from './dump.ts';

const CPU = 0x100;

function machine() {
  const buffer = new ArrayBuffer(CPU + 0x1000);
  const view = new DataView(buffer, CPU);
  const segment = (at: number, selector: number, base: bigint, limit: number, attr: number): void => {
    view.setUint32(at + Seg.SELECTOR, selector, true);
    view.setUint32(at + Seg.ATTR, attr, true);
    view.setBigUint64(at + Seg.BASE, base, true);
    view.setUint32(at + Seg.LIMIT, limit, true);
  };
  const u32 = (at: number, value: number): void => view.setUint32(at, value, true);
  const u64 = (at: number, value: bigint): void => view.setBigUint64(at, value, true);
  return { buffer, segment, u32, u64 };
}

/** As after a reset. */
function reset() {
  const m = machine();
  for (const at of [Cpu.ES, Cpu.SS, Cpu.DS, Cpu.FS, Cpu.GS]) m.segment(at, 0, 0n, 0xffff, 0x93);
  m.segment(Cpu.CS, 0xf000, 0xffff0000n, 0xffff, 0x9b);
  m.segment(Cpu.LDTR, 0, 0n, 0xffff, 0x82);
  m.segment(Cpu.TR, 0, 0n, 0xffff, 0x8b);
  m.u64(Cpu.RDX, 0x60fb1n);
  m.u64(Cpu.RIP, 0xfff0n);
  m.u32(Cpu.RFLAGS, Rflags.FIXED);
  m.u32(Cpu.FLAG_KIND, FlagKind.EXPLICIT);
  m.u64(Cpu.A20_MASK, 0xffff_ffff_ffff_ffffn);
  m.u32(Cpu.GDTR_LIMIT, 0xffff);
  m.u32(Cpu.IDTR_LIMIT, 0xffff);
  m.u32(Cpu.CR0, 0x60000010);
  m.u64(Cpu.DR + 6 * 8, 0xffff0ff0n);
  m.u64(Cpu.DR + 7 * 8, 0x400n);
  m.u32(Cpu.FCW, 0x37f);
  m.u32(Cpu.MXCSR, 0x1f80);
  return m;
}

// Printed by QEMU 7.2, `info registers` after a reset (without its first line "CPU#0" and the blank at the end of the line of DR0).
const QEMU_RESET = `\
EAX=00000000 EBX=00000000 ECX=00000000 EDX=00060fb1
ESI=00000000 EDI=00000000 EBP=00000000 ESP=00000000
EIP=0000fff0 EFL=00000002 [-------] CPL=0 II=0 A20=1 SMM=0 HLT=0
ES =0000 00000000 0000ffff 00009300
CS =f000 ffff0000 0000ffff 00009b00
SS =0000 00000000 0000ffff 00009300
DS =0000 00000000 0000ffff 00009300
FS =0000 00000000 0000ffff 00009300
GS =0000 00000000 0000ffff 00009300
LDT=0000 00000000 0000ffff 00008200
TR =0000 00000000 0000ffff 00008b00
GDT=     00000000 0000ffff
IDT=     00000000 0000ffff
CR0=60000010 CR2=00000000 CR3=00000000 CR4=00000000
DR0=0000000000000000 DR1=0000000000000000 DR2=0000000000000000 DR3=0000000000000000
DR6=00000000ffff0ff0 DR7=0000000000000400
EFER=0000000000000000
FCW=037f FSW=0000 [ST=0] FTW=00 MXCSR=00001f80
FPR0=0000000000000000 0000 FPR1=0000000000000000 0000
FPR2=0000000000000000 0000 FPR3=0000000000000000 0000
FPR4=0000000000000000 0000 FPR5=0000000000000000 0000
FPR6=0000000000000000 0000 FPR7=0000000000000000 0000
XMM00=0000000000000000 0000000000000000 XMM01=0000000000000000 0000000000000000
XMM02=0000000000000000 0000000000000000 XMM03=0000000000000000 0000000000000000
XMM04=0000000000000000 0000000000000000 XMM05=0000000000000000 0000000000000000
XMM06=0000000000000000 0000000000000000 XMM07=0000000000000000 0000000000000000`;

describe('dumpRegisters', () => {
  it('prints a reset processor as QEMU does', () => {
    expect(dumpRegisters(reset().buffer, CPU)).toBe(QEMU_RESET);
  });

  it('prints 64-bit code with wide registers, descriptor types and flags worked out', () => {
    const m = reset();
    m.u32(Cpu.MODE, Mode.CODE64 | Mode.FLAT);
    m.u32(Cpu.CR0, 0x80050033);
    m.u64(Cpu.EFER, 0xd01n);
    m.segment(Cpu.CS, 0x10, 0n, 0xffffffff, 0x9b | SegAttr.L | SegAttr.G);
    m.segment(Cpu.SS, 0x18, 0n, 0xffffffff, 0x93 | SegAttr.DB | SegAttr.G);
    m.segment(Cpu.DS, 0, 0n, 0, SegAttr.NULL);
    m.segment(Cpu.TR, 0x40, 0xfffffe0000003000n, 0x206f, 0x8b);
    m.u64(Cpu.GPR + 15 * 8, 0x123456789abcdef0n);
    m.u64(Cpu.RIP, 0xffffffff81000000n);
    m.u64(Cpu.XMM + 15 * 16 + 8, 1n);
    m.u32(Cpu.HALTED, 1);
    // CMP of equal bytes.
    m.u32(Cpu.FLAG_KIND, FlagKind.SUB | (8 << 8));
    m.u64(Cpu.FLAG_A, 0x4200000000000000n);
    m.u64(Cpu.FLAG_X, 0x4200000000000000n);
    const lines = dumpRegisters(m.buffer, CPU).split('\n');
    expect(lines[0]).toBe('RAX=0000000000000000 RBX=0000000000000000 RCX=0000000000000000 RDX=0000000000060fb1');
    expect(lines[2]).toBe('R8 =0000000000000000 R9 =0000000000000000 R10=0000000000000000 R11=0000000000000000');
    expect(lines[3]).toMatch(/R15=123456789abcdef0$/);
    expect(lines[4]).toBe('RIP=ffffffff81000000 RFL=00000046 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1');
    expect(lines).toContain('CS =0010 0000000000000000 ffffffff 00af9b00 DPL=0 CS64 [-RA]');
    expect(lines).toContain('SS =0018 0000000000000000 ffffffff 00cf9300 DPL=0 DS   [-WA]');
    expect(lines).toContain('DS =0000 0000000000000000 00000000 00000000');
    expect(lines).toContain('TR =0040 fffffe0000003000 0000206f 00008b00 DPL=0 TSS64-busy');
    expect(lines).toContain('GDT=     0000000000000000 0000ffff');
    expect(lines.at(-1)).toBe('XMM14=0000000000000000 0000000000000000 XMM15=0000000000000001 0000000000000000');
  });
});

describe('arithmeticFlags', () => {
  it('gives what the generated flag functions give', () => {
    const module = new ModuleBuilder({ initial: 1, maximum: 1 });
    module.export(defineFlagFunctions(module, (params) => new FunctionBuilder(params)).arithmetic);
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
    const instance = new WebAssembly.Instance(new WebAssembly.Module(module.finish() as BufferSource), { env: { memory } });
    const generated = instance.exports.flags_arithmetic as (kind: number, a: bigint, x: bigint) => number;
    const values = [0n, 1n, 2n, 0xfn, 0x10n, 0x7fn, 0x80n, 0x81n, 0xffn, 0x8000n, 0xffffn, 0x7fffffffn, 0x80000000n, 0xffffffffn, 1n << 63n, (1n << 64n) - 1n];
    for (const size of [8, 16, 32, 64]) {
      const top = (v: bigint): bigint => BigInt.asUintN(64, v << BigInt(64 - size));
      for (const a of values) {
        for (const x of values) {
          for (const kind of [FlagKind.SUB, FlagKind.ADD]) {
            expect(arithmeticFlags(kind | (size << 8), top(a), top(x))).toBe(generated(kind | (size << 8), top(a), top(x)));
          }
          const bits = x & BigInt(Rflags.CF | Rflags.AF | Rflags.OF);
          const kind = FlagKind.RESULT | (size << 8);
          expect(arithmeticFlags(kind, bits, top(a))).toBe(generated(kind, bits, top(a)));
        }
      }
    }
    expect(arithmeticFlags(FlagKind.EXPLICIT, 0n, 0x8d5n)).toBe(0x8d5);
  });
});

describe('dumpCode', () => {
  const reader = (start: bigint, bytes: number[]) => (address: bigint, length: number) => {
    const at = Number(address - start);
    if (at < 0 || at >= bytes.length) return null;
    return Uint8Array.from(bytes.slice(at, at + length));
  };

  it('marks the instruction at RIP and follows it over a page boundary', () => {
    const m = reset();
    m.u32(Cpu.MODE, Mode.CODE64 | Mode.FLAT);
    m.u64(Cpu.RIP, 0xffffffff81000ffen);
    const read = reader(0xffffffff81000ffen, [0x48, 0x89, 0xe5, 0xe8, 0, 0, 0, 0, 0x0f, 0xff]);
    expect(dumpCode(m.buffer, CPU, read, 3)).toBe(
      [
        '=> 0xffffffff81000ffe: 48 89 e5                       mov rbp,rsp',
        '   0xffffffff81001001: e8 00 00 00 00                 call 0xffffffff81001006',
        '   0xffffffff81001006: 0f                             (bad)',
      ].join('\n'),
    );
  });

  it('names the segment in real-address mode', () => {
    const read = reader(0xfffffff0n, [0xea, 0x5b, 0xe0, 0x00, 0xf0]);
    expect(dumpCode(reset().buffer, CPU, read, 1)).toBe('=> f000:fff0: ea 5b e0 00 f0                 jmp far 0xf000:0xe05b');
  });

  it('says where there is no memory', () => {
    const lines = dumpCode(reset().buffer, CPU, () => null, 2);
    expect(lines).toBe('=> f000:fff0: cannot read memory at 0xfffffff0');
  });
});
