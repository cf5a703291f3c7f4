// Decoder and record kinds agree: whatever decodes has a kind in the interpreter, with operands where and as wide as the decoder says.

import { describe, expect, it } from 'vitest';
import { Mode } from '../../src/core/layout.ts';
import { kinds, Pseudo } from '../../src/engine/kinds.ts';
import { RecordWriter } from '../../src/engine/records.ts';
import { Decoder, DecodeResult, OperandClass } from '../../src/x86/decode.ts';
import { disassemble } from '../../src/x86/disassemble.ts';
import { Random } from '../oracle/random.ts';
import { CODE_SIZES, randomCase, SPAN } from './compare.ts';

/** Operands whose shape has no size of its own. */
const UNSIZED = new Set<OperandClass>([OperandClass.RELATIVE, OperandClass.FAR, OperandClass.CONTROL, OperandClass.DEBUG, OperandClass.X87]);

describe('records of decoded instructions', () => {
  it('have a kind with the operands that the decoder found', { timeout: 120_000 }, () => {
    const decoder = new Decoder();
    const writer = new RecordWriter(new ArrayBuffer(0x1000));
    const r = new Random(0x4ec0);
    const bytes = new Uint8Array(SPAN);
    const wrong = new Set<string>();
    for (let n = 0; n < 150_000; n++) {
      const size = CODE_SIZES[n % 3];
      randomCase(r, bytes, size);
      if (decoder.decode(bytes, 0, SPAN, size) !== DecodeResult.OK) continue;
      const code = size === 64 ? Mode.CODE64 : size === 32 ? Mode.CODE32 : Mode.CODE16;
      const mode = code | (size === 64 || r.chance(50) ? Mode.FLAT : 0) | (r.chance(50) ? Mode.STACK32 : 0);
      const { text } = disassemble(bytes, 0, size, 0n);
      decoder.decode(bytes, 0, SPAN, size);
      try {
        writer.at = 0;
        writer.instruction(decoder, mode, 0x100, 0);
      } catch (error) {
        wrong.add(`${size}-bit ${text}: ${String(error)}`);
        continue;
      }
      const number = kinds.numberOf(decoder.definition, decoder.operandSize, decoder.isMemory, mode, decoder.lock);
      kinds.kinds[number - Pseudo.COUNT].shapes.forEach((shape, k) => {
        const kind = decoder.operandClass[k] as OperandClass;
        if ((shape.place === 'memory') !== (kind === OperandClass.MEMORY)) wrong.add(`${size}-bit ${text}: operand ${k} at ${shape.place}`);
        if (!UNSIZED.has(kind) && shape.bits !== decoder.operandBits[k]) {
          wrong.add(`${size}-bit ${text}: operand ${k} has ${shape.bits} bits in the record's kind, ${decoder.operandBits[k]} in the decoder`);
        }
      });
    }
    expect([...wrong].slice(0, 20)).toEqual([]);
  });
});
