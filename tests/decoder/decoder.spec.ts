// The decoder against iced-x86: the same validity and length for the same bytes, over all opcodes with all ModRM bytes
// and over random, prefix-heavy bytes, in 16-, 32- and 64-bit code.

import { describe, expect, it } from 'vitest';
import { Decoder, DecodeResult } from '../../src/x86/decode.ts';
import { Random } from '../oracle/random.ts';
import { icedDecode, icedText, type IcedResult } from './iced.ts';

const decoder = new Decoder();
const MODES = [16, 32, 64] as const;
const SPAN = 24;

/** Length in bytes, 0: invalid. */
function decodeLength(bytes: Uint8Array, mode: 16 | 32 | 64): number {
  return decoder.decode(bytes, 0, bytes.length, mode) === DecodeResult.OK ? decoder.length : 0;
}

/** Newer instruction sets took these over from hints and ignored prefixes; a processor without them still runs the old meaning. */
const OLD_MEANING = /^(Tzcnt|Lzcnt|Wbnoinvd|Prefetch|Cldemote|Rdssp|Endbr|Rdpmc|Bnd)/;

/** Whether the two may differ here. @param length ours */
function excused(iced: IcedResult, length: number): boolean {
  // 0F 0D with a register: a no-operation at Intel, #UD at AMD.
  return (OLD_MEANING.test(iced.name) && length === iced.length) || /^Reservednop_.*_0F0D/.test(iced.name);
}

function check(bytes: Uint8Array, mode: 16 | 32 | 64, wrong: Map<string, string>): void {
  const iced = icedDecode(bytes, mode);
  const want = iced.offered ? iced.length : 0;
  const got = decodeLength(bytes, mode);
  if (got !== want && !excused(iced, got)) {
    const text = iced.length ? icedText(iced.instruction) : '(invalid)';
    const hex = Array.from(bytes.subarray(0, 15), (b) => b.toString(16).padStart(2, '0')).join(' ');
    wrong.set(`${mode} ${iced.name} ${got === 0 ? 'refused' : want === 0 ? 'accepted' : 'length'}`, `${mode}-bit ${hex}: length ${got}, iced ${want} ${text} ${iced.features}`);
  }
  iced.instruction.free();
}

const report = (wrong: Map<string, string>) => [...wrong.values()];

describe('decoder against iced-x86', () => {
  for (const mode of MODES) {
    it(`agrees on every opcode and ModRM byte in ${mode}-bit code`, { timeout: 120_000 }, () => {
      const wrong = new Map<string, string>();
      const bytes = new Uint8Array(SPAN);
      const prefixes = mode === 64 ? [[], [0x66], [0xf2], [0xf3], [0x48], [0x66, 0x4f]] : [[], [0x66], [0xf2], [0xf3], [0x67]];
      for (const map of [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]]) {
        for (let opcode = 0; opcode < 256; opcode++) {
          for (const prefix of prefixes) {
            // One ModRM byte in seven is enough for opcodes whose ModRM only names operands.
            const whole = prefix.length === 0 || map.length === 1;
            for (let modrm = whole ? 0 : opcode % 7; modrm < 256; modrm += map.length > 1 ? 16 : whole && prefix.length === 0 ? 1 : 7) {
              bytes.fill(0x11);
              bytes.set([...prefix, ...map, opcode, modrm]);
              check(bytes, mode, wrong);
            }
          }
        }
      }
      expect(report(wrong)).toEqual([]);
    });

    it(`agrees on random bytes behind piled-up prefixes in ${mode}-bit code`, { timeout: 120_000 }, () => {
      const wrong = new Map<string, string>();
      const r = new Random(0xdec0de + mode);
      const bytes = new Uint8Array(SPAN);
      const PREFIXES = [0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x40, 0x48, 0x4f, 0x41];
      for (let n = 0; n < 60_000; n++) {
        let at = 0;
        // Up to 14 prefixes, so that the limit of 15 bytes is met from both sides.
        for (let k = r.chance(20) ? r.below(15) : r.below(4); k > 0; k--) bytes[at++] = r.pick(PREFIXES);
        if (r.chance(50)) bytes[at++] = 0x0f;
        while (at < SPAN) bytes[at++] = r.u32();
        check(bytes, mode, wrong);
      }
      expect(report(wrong)).toEqual([]);
    });
  }

  it('calls an instruction truncated when any of its bytes is missing', () => {
    const r = new Random(0x7a11);
    const bytes = new Uint8Array(SPAN);
    for (let n = 0; n < 5000; n++) {
      for (let at = 0; at < SPAN; at++) bytes[at] = r.u32();
      for (const mode of MODES) {
        if (decoder.decode(bytes, 0, SPAN, mode) !== DecodeResult.OK) continue;
        const length = decoder.length;
        for (let end = 0; end < length; end++) expect(decoder.decode(bytes, 0, end, mode)).toBe(DecodeResult.TRUNCATED);
      }
    }
  });

  it('calls 15 bytes the limit', () => {
    const bytes = new Uint8Array(20).fill(0x66);
    bytes[14] = 0x90;
    expect(decoder.decode(bytes, 0, 20, 64)).toBe(DecodeResult.OK);
    bytes[14] = 0x66;
    bytes[15] = 0x90;
    expect(decoder.decode(bytes, 0, 20, 64)).toBe(DecodeResult.TOO_LONG);
  });
});
