// The decoder and the disassembler against iced-x86: the same validity, length and text for the same bytes, over all opcodes
// with all ModRM bytes and over random, prefix-heavy bytes, in 16-, 32- and 64-bit code. bulk.ts does millions of the latter.

import { describe, expect, it } from 'vitest';
import { Decoder, DecodeResult } from '../../src/x86/decode.ts';
import { Random } from '../oracle/random.ts';
import { CODE_SIZES, compare, compareRandom, type Difference, SPAN } from './compare.ts';

const decoder = new Decoder();
/** Differences shown in a failure. */
const SHOWN = 20;

const report = (wrong: Map<string, Difference>): string[] => [...wrong.values()].slice(0, SHOWN).map((d) => d.text);

describe('decoder against iced-x86', () => {
  for (const mode of CODE_SIZES) {
    it(`agrees on every opcode in ${mode}-bit code`, { timeout: 120_000 }, () => {
      const wrong = new Map<string, Difference>();
      const bytes = new Uint8Array(SPAN);
      const prefixes = mode === 64 ? [[], [0x66], [0xf2], [0xf3], [0x48], [0x66, 0x4f]] : [[], [0x66], [0xf2], [0xf3], [0x67]];
      for (const map of [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]]) {
        for (let opcode = 0; opcode < 256; opcode++) {
          for (const prefix of prefixes) {
            // x87 and 0F opcodes may mean something of their own for each ModRM byte; of others, some values show all.
            const own = map.length === 1 || (map.length === 0 && opcode >= 0xd8 && opcode <= 0xdf);
            const step = map.length === 2 ? 31 : prefix.length > 0 ? 11 : own ? 1 : 3;
            for (let modrm = step === 1 ? 0 : opcode % step; modrm < 256; modrm += step) {
              bytes.fill(0x11);
              bytes.set([...prefix, ...map, opcode, modrm]);
              const difference = compare(bytes, mode, 0x1000n);
              if (difference) wrong.set(difference.key, difference);
            }
          }
        }
      }
      expect(report(wrong)).toEqual([]);
    });
  }

  it('agrees on random bytes behind prefixes in any order', { timeout: 120_000 }, () => {
    expect(report(compareRandom(0xdec0de, 200_000))).toEqual([]);
  });

  it('calls an instruction truncated when any of its bytes is missing', () => {
    const r = new Random(0x7a11);
    const bytes = new Uint8Array(SPAN);
    for (let n = 0; n < 5000; n++) {
      for (let at = 0; at < SPAN; at++) bytes[at] = r.u32();
      for (const mode of CODE_SIZES) {
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
