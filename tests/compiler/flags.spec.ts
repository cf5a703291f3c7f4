// Instructions that set some flags and keep the others, one after the other: the same program on this computer's processor, where it is
// one that can run it, interpreted, and compiled.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { arch, platform, tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { buildIfOlder } from '../../scripts/build-core.mjs';
import { Mem, Rflags } from '../../src/core/layout.ts';
import type { CompilerOptions } from '../../src/engine/compile/compiler.ts';
import { Process } from './process.ts';

const CODE = 0x40_1000;
/** Where the program leaves what it found, 16 bytes a sequence: flags, CF and OF as bytes, EAX, and which sequence it was. */
const FOUND = 0x50_0000;
const EACH = 16;

/** What lies under the instruction in question. The last one lets the compiler know nothing of the flags: two paths meet. */
const BEFORE: Record<string, readonly number[]> = {
  nothing: [], 'add eax, ecx': [0x01, 0xc8], 'sub eax, ecx': [0x29, 0xc8], 'test eax, eax': [0x85, 0xc0], 'inc eax': [0xff, 0xc0], 'dec eax': [0xff, 0xc8], 'rol eax, 1': [0xd1, 0xc0],
  'ror eax, 1': [0xd1, 0xc8], 'add eax, ecx; inc eax': [0x01, 0xc8, 0xff, 0xc0], 'rol eax, 1; dec eax': [0xd1, 0xc0, 0xff, 0xc8], 'test cl, 1; jz over; inc eax': [0xf6, 0xc1, 0x01, 0x74, 0x02, 0xff, 0xc0],
};
const PART: Record<string, readonly number[]> = {
  'bt eax, ecx': [0x0f, 0xa3, 0xc8], 'bts eax, 3': [0x0f, 0xba, 0xe8, 0x03], 'btr eax, ecx': [0x0f, 0xb3, 0xc8], 'btc eax, 31': [0x0f, 0xba, 0xf8, 0x1f], clc: [0xf8], stc: [0xf9], cmc: [0xf5],
  'rol eax, 1': [0xd1, 0xc0], 'rcr eax, 1': [0xd1, 0xd8], 'inc eax': [0xff, 0xc0],
};
const AFTER: Record<string, readonly number[]> = {
  nothing: [], 'adc eax, ecx': [0x11, 0xc8], 'dec eax': [0xff, 0xc8], 'ror eax, 1': [0xd1, 0xc8], cmc: [0xf5], 'bt eax, 0': [0x0f, 0xba, 0xe0, 0x00],
  'test cl, 1; jz over; add eax, ecx': [0xf6, 0xc1, 0x01, 0x74, 0x02, 0x01, 0xc8],
};
const VALUES = [[0x8000_0000, 31], [0xffff_fffe, 2], [0xffff_ffff, 1], [0, 0]] as const;
const FLAGS = [0, Rflags.ARITHMETIC];

interface Sequence {
  readonly name: string;
  readonly code: readonly number[];
}

const dword = (value: number): number[] => [value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, (value >> 24) & 0xff];

const sequences = Object.entries(BEFORE).flatMap(([before, first]) => Object.entries(PART).flatMap(([part, second]) => Object.entries(AFTER).flatMap(([after, third]) =>
  VALUES.flatMap(([a, c]) => FLAGS.map((flags): Sequence => ({
    name: `flags ${flags.toString(16)}, eax ${a.toString(16)}, ecx ${c}: ${before}; ${part}; ${after}`,
    // mov eax, a; mov ecx, c; push flags; popf; …; setb dl; seto dh; pushf; pop rsi; mov [rbx], esi; mov [rbx+4], edx; mov [rbx+8], eax; add rbx, 16
    code: [
      0xb8, ...dword(a), 0xb9, ...dword(c), 0x68, ...dword(0x202 | flags), 0x9d, ...first, ...second, ...third,
      0x0f, 0x92, 0xc2, 0x0f, 0x90, 0xc6, 0x9c, 0x5e, 0x89, 0x33, 0x89, 0x53, 0x04, 0x89, 0x43, 0x08, 0x48, 0x83, 0xc3, EACH,
    ],
  }))))));

/** A static program that goes through all sequences, and writes what it found. */
function elf(): Uint8Array {
  const code = [
    0xbb, ...dword(FOUND), 0x31, 0xd2, ...sequences.flatMap((it) => it.code),
    // write(1, FOUND, length); exit(0)
    0xb8, ...dword(1), 0xbf, ...dword(1), 0xbe, ...dword(FOUND), 0xba, ...dword(sequences.length * EACH), 0x0f, 0x05, 0xb8, ...dword(60), 0x31, 0xff, 0x0f, 0x05,
  ];
  if (CODE + code.length > FOUND) throw new Error('the code reaches into what it finds');
  const out = new Uint8Array(0x1000 + code.length);
  const view = new DataView(out.buffer);
  out.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  // ET_EXEC, EM_X86_64; one PT_LOAD, which may do everything
  for (const [at, value] of [[16, 2], [18, 62], [20, 1], [52, 64], [54, 56], [56, 1]]) view.setUint16(at, value, true);
  for (const [at, value] of [[24, CODE], [32, 64], [72, 0x1000], [80, CODE], [88, CODE], [96, code.length], [104, FOUND - CODE + sequences.length * EACH], [112, 0x1000]]) view.setBigUint64(at, BigInt(value), true);
  view.setUint32(64, 1, true);
  view.setUint32(68, 7, true);
  out.set(code, 0x1000);
  return out;
}

interface Found {
  readonly name: string;
  readonly flags: string;
  readonly carry: number;
  readonly overflow: number;
  readonly eax: string;
}

/** @param mask of the flags, by the sequence's name */
function readFound(bytes: Uint8Array, mask: (name: string) => number): Found[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return sequences.map(({ name }, n) => {
    const at = n * EACH;
    const asked = mask(name);
    return {
      name, flags: (view.getUint32(at, true) & asked).toString(16), carry: bytes[at + 4], overflow: asked & Rflags.OF ? bytes[at + 5] : 0, eax: view.getUint32(at + 8, true).toString(16),
    };
  });
}

function emulated(compile: CompilerOptions | null): { bytes: Uint8Array; process: Process } {
  const process = new Process(elf(), ['flags'], compile);
  while (process.status === null) process.run(100_000);
  return { bytes: process.u8.slice(Mem.RAM + FOUND, Mem.RAM + FOUND + sequences.length * EACH), process };
}

const all = (): number => Rflags.ARITHMETIC;
/** A bit test leaves OF, SF, AF and PF undefined (Intel SDM, volume 2, BT). */
const defined = (name: string): number => (/; bt/.test(name) ? Rflags.CF | Rflags.ZF : Rflags.ARITHMETIC);

describe('flags of which some are set and the others stay', { timeout: 120_000 }, () => {
  beforeAll(() => buildIfOlder(), 120_000);

  it('are the same compiled and interpreted', () => {
    const { bytes, process } = emulated({ threshold: 1 });
    expect(process.vcpu.compiler.instructions).toBeGreaterThan(sequences.length * 10);
    expect(readFound(bytes, all)).toEqual(readFound(emulated(null).bytes, all));
  });

  it.runIf(platform() === 'linux' && arch() === 'x64')('are those of this processor', () => {
    const folder = mkdtempSync(join(tmpdir(), 'tabvisor-flags-'));
    try {
      const file = join(folder, 'program');
      writeFileSync(file, elf(), { mode: 0o755 });
      const { stdout, status, error } = spawnSync(file, { maxBuffer: 1 << 24 });
      expect({ status, error, length: stdout.length }).toEqual({ status: 0, error: undefined, length: sequences.length * EACH });
      expect(readFound(emulated({ threshold: 1 }).bytes, defined)).toEqual(readFound(stdout, defined));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
