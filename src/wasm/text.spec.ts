// Code as text beside what two others know of it: V8 says which bytes are instructions, with which immediates and operands, and binaryen what they are called.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import binaryen from 'binaryen';
import { beforeAll, describe, expect, it } from 'vitest';
import { buildIfOlder } from '../../scripts/build-core.mjs';
import { emitted, InstructionCompiler } from '../../tests/compiler/emitted.ts';
import { bytesOf, encodings, FORMS } from '../../tests/compiler/golden-forms.ts';
import { readModule, type WasmType } from '../../tests/compiler/wasm-module.ts';
import { ModuleBuilder, type ValType } from './module.ts';
import { instructionsOf } from './text.ts';

const TYPES: readonly ValType[] = ['i32', 'i64', 'f32', 'f64', 'v128'];
const MEMORY = { initial: 1, maximum: 1 };
const DROP = 0x1a;

/** binaryen's words for a module. */
function stackForm(module: binaryen.Module): string {
  module.setFeatures(binaryen.Features.All);
  binaryen.setOptimizeStackIR(false);
  const text = module.emitStackIR();
  module.dispose();
  return text;
}

/** Operands of any types, from none to three. */
function* operandLists(): Generator<number[]> {
  yield [];
  for (let a = 0; a < 5; a++) {
    yield [a];
    for (let b = 0; b < 5; b++) {
      yield [a, b];
      for (let c = 0; c < 5; c++) yield [a, b, c];
    }
  }
}
/** Operands, and whether there is a result; few ones first. */
const SHAPES = [...operandLists()].flatMap((operands) => [{ operands, drops: true }, { operands, drops: false }]).sort((a, b) => a.operands.length - b.operands.length);
/** None; alignment, as large as may be, and offset; a lane; the first two and a lane; lanes; numbers of memories. */
const IMMEDIATES: readonly number[][] = [[], ...[4, 3, 2, 1, 0].map((align) => [align, 5]), [1], [0, 5, 1], Array.from({ length: 16 }, (_, n) => n), [0, 0]];

function moduleOf(operands: readonly number[], code: readonly number[]): Uint8Array {
  const module = new ModuleBuilder(MEMORY);
  const ref = module.declare('f', TYPES, null);
  module.define(ref, [], Uint8Array.from([...operands.flatMap((local) => [0x20, local]), ...code]));
  return module.finish();
}

/** A module with the instruction in use; null: V8 knows none. */
function using(opcode: readonly number[]): { module: Uint8Array; code: number[] } | null {
  for (const immediates of IMMEDIATES) {
    for (const shape of SHAPES) {
      const { operands, drops } = shape;
      const code = [...opcode, ...immediates, ...(drops ? [DROP] : [])];
      const module = moduleOf(operands, code);
      if (!WebAssembly.validate(module as BufferSource)) continue;
      // The next one takes the same, mostly.
      SHAPES.unshift(...SHAPES.splice(SHAPES.indexOf(shape), 1));
      return { module, code };
    }
  }
  return null;
}

const range = (from: number, to: number, prefix: readonly number[] = []): number[][] =>
  Array.from({ length: to - from + 1 }, (_, n) => [...prefix, ...(prefix.length > 0 && from + n >= 0x80 ? [(from + n) & 0x7f | 0x80, (from + n) >> 7] : [from + n])]);

/** A function as WebAssembly's text format has it, from our text; what it refers to is declared with it. */
function textModule(imports: readonly WasmType[], type: WasmType, locals: readonly string[], body: Uint8Array): string {
  const signature = ({ params, results }: WasmType, named: boolean): string =>
    params.map((param, n) => ` (param ${named ? `$${n} ` : ''}${param})`).join('') + results.map((result) => ` (result ${result})`).join('');
  // Without its last END.
  const lines = instructionsOf(body, { function: (index) => `f${index}` }).slice(0, -1).map(({ text }) => text);
  return [
    '(module',
    ...imports.map((it, n) => `(import "m" "f${n}" (func $f${n}${signature(it, false)}))`),
    '(import "env" "memory" (memory 2048 65536 shared))',
    `(func $self${signature(type, true)}${locals.map((local, n) => ` (local $${type.params.length + n} ${local})`).join('')}`,
    ...lines,
    '))',
  ].join('\n');
}

/** What both make of a function must be the same in all but names. */
const unnamed = (text: string): string => {
  const names = new Map<string, number>();
  return text.replace(/^ \((?:import|export|memory).*$/gm, '').replace(/\(type \$[^)]*\)|^ \(type .*$/gm, '').replace(/;;.*$|\(;.*?;\)/gm, '').replace(/\$[^\s()]+/g, (name) => {
    if (!names.has(name)) names.set(name, names.size);
    return `$${names.get(name)}`;
  }).replace(/\s+/g, ' ');
};

function expectSame(module: Uint8Array, what: string): void {
  const { imports, functions } = readModule(module);
  const [{ type, locals, body }] = functions;
  const theirs = stackForm(binaryen.readBinary(module));
  const ours = stackForm(binaryen.parseText(textModule(imports, type, locals, body)));
  // Without its name: a region's is its address, and may be a local's.
  const code = (text: string): string => unnamed(text.slice(text.indexOf('\n (func $')).replace(/\(func \S+/, '(func'));
  if (code(ours) !== code(theirs)) expect.soft(code(ours), what).toBe(code(theirs));
}

describe('code as text', () => {
  beforeAll(async () => void (await buildIfOlder()), 120_000);

  it('names each instruction that V8 knows as binaryen does', { timeout: 180_000 }, () => {
    const opcodes = [[0x1b], ...range(0x28, 0x3e), ...range(0x45, 0xc4), ...range(0, 7, [0xfc]), ...range(0, 0xff, [0xfd]), ...range(0, 2, [0xfe]), ...range(0x10, 0x4e, [0xfe])];
    let count = 0;
    for (const opcode of opcodes) {
      const use = using(opcode);
      if (!use) {
        // A v128 constant has 16 bytes, and no operand.
        expect(() => instructionsOf(Uint8Array.from([...opcode, ...new Array<number>(16).fill(0)])), opcode.map((byte) => byte.toString(16)).join(' ')).toThrow('is not known');
        continue;
      }
      count++;
      const theirs = stackForm(binaryen.readBinary(use.module)).split('\n').map((line) => line.trim()).filter((line) => line && !/^\(|^\)|^local\.|^drop$/.test(line));
      const [ours] = instructionsOf(Uint8Array.from(use.code));
      expect(theirs.map((line) => line.replace(/^v128\.const .*/, 'v128.const')), ours.text).toEqual([ours.text.replace(/^v128\.const .*/, 'v128.const')]);
      expect(ours.end).toBe(use.code.length - Number(use.code[use.code.length - 1] === DROP && use.code.length > ours.end));
    }
    expect(count).toBeGreaterThan(420);
  });

  it('says of typical sequences all that binaryen reads in them', { timeout: 180_000 }, () => {
    for (const [title, bits, hex] of Object.values(FORMS).flat()) expectSame(emitted(bits, bytesOf(hex)).module, title);
  });

  it.each([64, 32] as const)('says of each form of the oracle, %i bits, all that binaryen reads in it', { timeout: 300_000 }, (bits) => {
    const compiler = new InstructionCompiler(bits);
    let count = 0;
    for (const { title, code } of encodings(bits)) {
      const module = compiler.module(code);
      if (!module) continue;
      count++;
      expectSame(module, title);
    }
    expect(count).toBeGreaterThan(300);
  });

  it('knows all instructions of the interpreter and of core', () => {
    for (const name of ['interpreter', 'core']) {
      const { functions } = readModule(readFileSync(join(import.meta.dirname, `../../build/${name}.wasm`)));
      for (const { body } of functions) {
        const all = instructionsOf(body);
        expect(all[all.length - 1]).toMatchObject({ name: 'end', end: body.length, depth: 0 });
      }
      expect(functions.length).toBeGreaterThan(100);
    }
  });

  it('writes numbers so that they can be read back', () => {
    const numbers = [0, -0, 1.5, 1e300, -1e-300, Infinity, -Infinity, 0.1];
    for (const number of numbers) {
      const body = new Uint8Array([0x44, ...new Uint8Array(new Float64Array([number]).buffer)]);
      expect(instructionsOf(body)[0].text).toBe(`f64.const ${Object.is(number, -0) ? '-0' : String(number).replace('Infinity', 'inf')}`);
    }
    const text = (...bytes: number[]): string => instructionsOf(Uint8Array.from(bytes))[0].text;
    expect(text(0x43, 1, 0, 0xc0, 0x7f)).toBe('f32.const nan:0x400001');
    expect(text(0x42, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7f)).toBe('i64.const -9223372036854775808');
    expect(text(0x41, 0x7f)).toBe('i32.const -1');
    expect(text(0x0e, 2, 0, 1, 3)).toBe('br_table 0 1 3');
    expect(text(0x04, 0x7c)).toBe('if (result f64)');
    expect(() => text(0x06)).toThrow('opcode 0x6 is not known');
    expect(() => text(0x41, 0x80)).toThrow('ends in the midst');
  });
});
