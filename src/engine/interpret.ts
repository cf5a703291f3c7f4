// Generates interpreter.wasm at build time: the meanings of src/x86 become one dispatch function (dispatch.ts) with the hot ones
// inline, and a function for every record kind, hot or not (handlers.ts).

import { Status } from '../core/layout.ts';
import { FunctionBuilder } from '../wasm/function.ts';
import { ModuleBuilder, type FunctionRef } from '../wasm/module.ts';
import { CORE_FUNCTIONS, type CoreFunction } from '../x86/core-functions.ts';
import { defineFlagFunctions } from '../x86/flags.ts';
import { DispatchBuilder } from './dispatch.ts';
import { ColdBuilder, RUN_PARAMS, type Shared } from './handlers.ts';
import { kinds, Pseudo } from './kinds.ts';

/**
 * The bytes of interpreter.wasm.
 * @param profile count the records executed, by kind, at Cpu.KIND_COUNTS (scripts/profile-kinds.ts)
 */
export function generateInterpreter(profile = false): Uint8Array {
  const module = new ModuleBuilder({ initial: 2048, maximum: 65536 });
  const core = Object.fromEntries(
    Object.entries(CORE_FUNCTIONS).map(([name, { params, result }]) => [name, module.import('core', name, params, result)]),
  ) as Record<CoreFunction, FunctionRef>;
  const lookup = module.import('host', 'lookup', ['i32'], 'i32');
  const flags = defineFlagFunctions(module, (params) => new FunctionBuilder(params));
  const shared: Shared = { core, lookup, flags };

  const functions = new Map<number, FunctionRef>();
  const define = (number: number, label: string, body: (b: ColdBuilder) => void): void => {
    const ref = module.declare(label, RUN_PARAMS, 'i32');
    const b = new ColdBuilder(shared);
    body(b);
    b.result(b.i32(Status.NEXT));
    module.define(ref, b.localTypes, b.w.view());
    functions.set(number, ref);
  };
  define(Pseudo.ADDRESS_SEGMENT, 'address_segment', (b) => b.generalAddress());
  define(Pseudo.ADDRESS_GENERAL, 'address_general', (b) => b.generalAddress());
  define(Pseudo.ADDRESS_BITS, 'address_bits', (b) => b.bitStringAddress());
  for (const kind of kinds.kinds) define(kind.number, kind.label, (b) => b.handle(kind));
  // The other pseudo-records never get to the call; any function holds their places.
  const filler = functions.get(Pseudo.ADDRESS_GENERAL)!;
  module.setTable(Array.from({ length: Pseudo.COUNT + kinds.kinds.length }, (_, n) => functions.get(n) ?? filler));

  const run = module.declare('run', RUN_PARAMS, 'i32');
  const dispatch = new DispatchBuilder(shared, run.typeIndex, profile);
  dispatch.build(kinds.kinds.filter((k) => k.hot));
  module.define(run, dispatch.localTypes, dispatch.w.view());
  module.export(run);

  const fingerprint = module.declare('fingerprint', [], 'i32');
  const b = new FunctionBuilder([]);
  b.result(b.i32(kinds.fingerprint));
  module.define(fingerprint, b.localTypes, b.w.view());
  module.export(fingerprint);
  module.export(flags.arithmetic);
  return module.finish();
}
