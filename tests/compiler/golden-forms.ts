// What golden.spec.ts has compiled: single instructions and sequences by name, and an encoding of each of the oracle's instruction forms.

import { disassemble } from '../../src/x86/disassemble.ts';
import { type Form, forms } from '../oracle/forms.ts';

/** Name, code size and bytes; grouped into files. */
export const FORMS: Record<string, readonly [string, 16 | 32 | 64, string][]> = {
  integer: [
    ['add eax, ecx', 64, '01c8'], ['add rax, rcx', 64, '4801c8'], ['add al, cl', 64, '00c8'], ['add ah, cl', 64, '00cc'], ['add ax, cx', 64, '6601c8'],
    ['add eax, ecx (32-bit code)', 32, '01c8'], ['adc rax, rcx', 64, '4811c8'], ['sub rax, 8', 64, '4883e808'], ['inc eax', 64, 'ffc0'],
    ['and eax, 15', 64, '83e00f'], ['xor eax, eax', 64, '31c0'], ['neg rax', 64, '48f7d8'], ['imul rax, rcx', 64, '480fafc1'], ['mul ecx', 64, 'f7e1'],
    ['div ecx', 64, 'f7f1'], ['shl rax, 3', 64, '48c1e003'], ['shr eax, cl', 64, 'd3e8'], ['rol eax, 7', 64, 'c1c007'], ['movzx eax, cl', 64, '0fb6c1'],
    ['movsxd rax, ecx', 64, '4863c1'], ['lea rax, [rcx+rdx*4+16]', 64, '488d449110'], ['xchg rax, rcx', 64, '4891'], ['bswap eax', 64, '0fc8'], ['cdq', 64, '99'],
    ['setb al', 64, '0f92c0'], ['cmovne rax, rcx', 64, '480f45c1'], ['bt eax, ecx', 64, '0fa3c8'],
  ],
  memory: [
    ['mov rax, [rcx]', 64, '488b01'], ['mov eax, [rcx+8]', 64, '8b4108'], ['mov [rcx], al', 64, '8801'], ['mov rax, [rcx+rdx*8]', 64, '488b04d1'],
    ['mov eax, [rip+16]', 64, '8b0510000000'], ['mov eax, fs:[0]', 64, '648b042500000000'], ['mov eax, [ecx+4] (32-bit code)', 32, '8b4104'], ['add [rcx], eax', 64, '0101'],
    ['lock add [rcx], eax', 64, 'f00101'], ['push rax', 64, '50'], ['pop rax', 64, '58'], ['push eax (32-bit code)', 32, '50'], ['movzx eax, word [rcx]', 64, '0fb701'],
  ],
  sequences: [
    ['mov rax, [rcx]; mov rdx, [rcx+8]; mov [rcx+16], rax: one look-up for reading, one for writing', 64, '488b01488b510848894110'],
    ['push rbp; mov rbp, rsp; push rbx; sub rsp, 24', 64, '554889e5534883ec18'],
    ['cmp rax, rcx; jb +2; nop; nop: one comparison', 64, '4839c872029090'],
    ['add eax, ecx; add eax, edx: the first flags are dead', 64, '01c801d0'],
    ['dec ecx; jnz -4: a loop', 64, 'ffc975fc'],
    ['add eax, [esi]; add esi, 4; dec ecx; jnz -8: a loop that keeps its page (32-bit code)', 32, '030683c6044975f8'],
    ['movzx edx, al; mov rax, [r8+rdx*8]: a table', 64, '0fb6d0498b04d0'],
    ['(test cl, 1 to 16; jz +2; inc edi); add eax, [rbx+rcx*4]; mov rsi, [rsi]; dec edx; jnz -45: in a large loop an access keeps its page in memory, a list does not', 64, 'f6c1017402ffc7f6c1027402ffc7f6c1047402ffc7f6c1087402ffc7f6c1107402ffc703048b488b36ffca75d3'],
    ['call +0: a guest call', 64, 'e800000000'],
    ['ret', 64, 'c3'],
    ['jmp rax', 64, 'ffe0'],
  ],
  // 16 bits: segments that are not flat, registers in halves.
  real: [
    ['add ax, bx', 16, '01d8'], ['add eax, ebx', 16, '6601d8'], ['mov ah, bl', 16, '88dc'], ['mov ax, [si-2]', 16, '8b44fe'], ['mov [bp+di], al', 16, '8803'], ['mov ax, cs:[bx]', 16, '2e8b07'],
    ['mov eax, [ecx*2+4]', 16, '67668b044d04000000'], ['lea dx, [bx+si+1]', 16, '8d5001'], ['push ax', 16, '50'], ['mov ds, ax', 16, '8ed8'], ['les di, [si]', 16, 'c43c'], ['call +0', 16, 'e80000'],
    ['call 1001h:0', 16, '9a00000110'], ['retf', 16, 'cb'], ['jmp far [bx]', 16, 'ff2f'], ['mov al, [si]; inc si; mov [di], al; inc di; loop -8', 16, '8a0446880547e2f8'],
  ],
  float: [
    ['addsd xmm0, xmm1', 64, 'f20f58c1'], ['mulss xmm0, xmm1', 64, 'f30f59c1'], ['ucomisd xmm0, xmm1', 64, '660f2ec1'], ['cvttsd2si eax, xmm0', 64, 'f20f2cc0'],
    ['cvtsi2sd xmm0, eax', 64, 'f20f2ac0'], ['movaps xmm0, xmm1', 64, '0f28c1'], ['paddd xmm0, xmm1', 64, '660ffec1'], ['fld qword [rcx]', 64, 'dd01'], ['fmulp', 64, 'dec9'],
    ['mulpd xmm0, [rcx]', 64, '660f5901'], ['fstp tbyte [rcx]', 64, 'db39'],
  ],
};

const IMMEDIATES: Record<Form['immediates'][number], readonly number[]> = {
  ib: [5], iw: [5, 0], iz: [5, 1, 0, 0], iv: [5, 1, 0, 0], rel8: [0], relz: [0, 0, 0, 0], far: [0, 0, 0, 0, 0x23, 0], moffs: [0, 0, 0x60, 0],
};

/** An encoding of a form with [rcx] or [ecx], or with registers, and as much behind it as it may have; null: it has none. */
function encoded(form: Form, bits: 32 | 64, isMemory: boolean): number[] | null {
  if (form.modes === (bits === 64 ? 'not64' : 'only64') || (form.modrm ? form.mod === (isMemory ? 'reg' : 'mem') : isMemory)) return null;
  const rm = isMemory ? 0x01 : 0xc0 | (form.rm >= 0 ? form.rm : 1);
  const immediates = form.immediates.flatMap((it) => IMMEDIATES[it]);
  return [...(form.prefix ? [form.prefix] : []), ...form.opcode, ...(form.modrm ? [rm | (Math.max(0, form.digit) << 3)] : []), ...immediates];
}

/** Each form of the oracle once, with registers and with memory. */
export function* encodings(bits: 32 | 64): Generator<{ title: string; code: number[] }> {
  const seen = new Set<string>();
  // Floating point and vectors are the same in 32-bit code.
  for (const form of forms.filter(({ x87, mmx, size }) => bits === 64 || (!x87 && !mmx && size !== 'x'))) {
    for (const isMemory of [false, true]) {
      const begun = encoded(form, bits, isMemory);
      if (!begun) continue;
      // Immediates are as long as the decoder finds them.
      const padded = [...begun, ...new Array<number>(15).fill(0)];
      const { text, length } = disassemble(Uint8Array.from(padded), 0, bits, 0n);
      // The oracle has encodings that must raise #UD among its forms.
      if (text === '(bad)') continue;
      const code = padded.slice(0, length);
      const title = `${text}  ${code.map((byte) => byte.toString(16).padStart(2, '0')).join('')}`;
      if (seen.has(title)) continue;
      seen.add(title);
      yield { title, code };
    }
  }
}

export const bytesOf = (hex: string): number[] => hex.match(/../g)!.map((byte) => parseInt(byte, 16));
