import { describe, expect, it } from 'vitest';
import { disassemble } from './disassemble.ts';

const text = (mode: 16 | 32 | 64, hex: string, address = 0x1000n): string =>
  disassemble(Uint8Array.from(hex.split(' '), (b) => parseInt(b, 16)), 0, mode, address).text;

// All opcodes, against another disassembler: tests/decoder.
describe('disassemble', () => {
  it.each([
    [64, '8b 44 8b 10', 'mov eax,dword ptr [rbx+rcx*4+0x10]'],
    [64, '48 8b 05 f9 ff ff ff', 'mov rax,qword ptr [rel 0x1000]'],
    [64, '65 48 8b 04 25 28 00 00 00', 'mov rax,qword ptr gs:[0x28]'],
    [64, '67 8b 40 f0', 'mov eax,dword ptr [eax-0x10]'],
    [64, '48 83 c0 ff', 'add rax,0xffffffffffffffff'],
    [64, 'f0 0f c1 07', 'lock xadd dword ptr [rdi],eax'],
    [64, '40 88 e0', 'mov al,spl'],
    [64, '88 e0', 'mov al,ah'],
    [64, '66 ff f0', 'push ax'],
    [64, '48 0f 07', 'sysretq'],
    [64, 'a1 11 22 33 44 55 66 77 88', 'mov eax,dword ptr [0x8877665544332211]'],
    [64, 'f3 41 90', 'xchg r8d,eax'],
    [32, 'f3 64 a5', 'rep movsd dword ptr es:[edi],dword ptr fs:[esi]'],
    [32, 'f2 ae', 'repne scasb byte ptr [edi]'],
    [32, '66 e9 00 f0', 'data16 jmp 0x4'],
    [32, '66 68 34 12', 'data16 push 0x1234'],
    [32, '0f 20 00', 'mov eax,cr0'],
    [16, 'ea 5b e0 00 f0', 'jmp far 0xf000:0xe05b'],
    [16, '26 8b 42 80', 'mov ax,word ptr es:[bp+si-0x80]'],
    [16, '67 e3 fd', 'jecxz 0x1000'],
    [16, 'c8 10 00 01', 'enter 0x10,0x1'],
    [16, '8e c8', '(bad)'],
    [64, '06', '(bad)'],
    [64, '0f', '(bad)'],
  ] as const)('%i-bit %s is %s', (mode, bytes, expected) => {
    expect(text(mode, bytes)).toBe(expected);
  });

  it('goes on with the next byte after bytes that are no instruction', () => {
    expect(disassemble(Uint8Array.of(0x06, 0x90), 0, 64, 0n)).toEqual({ text: '(bad)', length: 1 });
  });
});
