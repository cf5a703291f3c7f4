// Branch hints as binaryen reads them, which knows them of its own.

import { describe, expect, it } from 'vitest';
import { hintsOf } from '../../tests/compiler/hints.ts';
import { FunctionBuilder } from './function.ts';
import { ModuleBuilder, type ValType } from './module.ts';

const MEMORY = { initial: 1, maximum: 1 };

/** A module of functions that return their parameter unless it is one of three numbers; those of `other` have locals of many types first. */
function moduleOf(functions: readonly { other: readonly ValType[]; isHinted: boolean }[]): Uint8Array {
  const module = new ModuleBuilder(MEMORY);
  module.import('env', 'imported', [], null);
  const refs = functions.map((_, n) => module.declare(`f${n}`, ['i32'], 'i32'));
  functions.forEach(({ other, isHinted }, n) => {
    const b = new FunctionBuilder(['i32']);
    for (const type of other) b.variable(type);
    const out = b.variable('i32', b.param(0));
    b.block((end) => {
      b.brIf(end, b.eq(b.param(0), 1), isHinted ? 'seldom' : null);
      b.if(b.eq(b.param(0), 2), () => out.set(b.i32(20)), undefined, isHinted ? 'mostly' : null);
      b.if(b.eq(b.param(0), 3), () => out.set(b.i32(30)));
    });
    b.result(out.get());
    module.define(refs[n], b.localTypes, b.w.view(), b.hints);
    module.export(refs[n]);
  });
  return module.finish();
}

describe('branch hints', () => {
  it('stand at the branches that they are of', () => {
    const types: ValType[] = ['i64', 'f64', 'i32', 'v128'];
    const many = Array.from({ length: 300 }, (_, n) => types[n % types.length]);
    const functions = [{ other: [], isHinted: true }, { other: many, isHinted: true }, { other: [], isHinted: false }, { other: many.slice(0, 7), isHinted: true }];
    const bytes = moduleOf(functions);
    expect(WebAssembly.validate(bytes as BufferSource)).toBe(true);
    const hinted = ['br_if seldom', 'if mostly', 'if'];
    expect(hintsOf(bytes)).toEqual([hinted, hinted, ['br_if', 'if', 'if'], hinted]);
  });

  it('need no section where there are none', () => {
    const of = (isHinted: boolean): number => WebAssembly.Module.customSections(new WebAssembly.Module(moduleOf([{ other: [], isHinted }]) as BufferSource), 'metadata.code.branch_hint').length;
    expect([of(false), of(true)]).toEqual([0, 1]);
  });
});
