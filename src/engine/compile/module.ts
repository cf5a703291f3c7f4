// A module of compiled regions: what it imports, and a function for each region.

import type { Doubt } from '../../core/layout.ts';
import type { FunctionRef } from '../../wasm/module.ts';
import { ModuleBuilder } from '../../wasm/module.ts';
import { FunctionBuilder } from '../../wasm/function.ts';
import { CORE_FUNCTIONS, isContained, type CoreFunction } from '../../x86/core-functions.ts';
import { CONDITIONS } from '../../x86/flags.ts';
import { ENTER_PARAMS, REGION_PARAMS, RESUME_PARAMS, RUN_PARAMS, TRANSFER_PARAMS, type Shared } from '../handlers.ts';
import { importPure } from '../pure.ts';
import type { RecordBytes } from '../records.ts';
import type { RegionImports } from './builder.ts';
import { isReal, type RegionMode } from './mode.ts';
import { RegionEmitter } from './region.ts';
import type { Plan } from './plan.ts';
import { slotFor } from './slots.ts';

/** A region to be compiled. */
export interface RegionRequest {
  readonly plan: Plan;
  /** Its place in the table of regions. */
  readonly slot: number;
  readonly name: string;
  /** CompileEntry.doubts */
  readonly doubts: Doubt;
}

/**
 * Declare what region code refers to.
 * @param calls functions of core that it calls
 * @param isReal of builder.ts
 */
export function declareImports(module: ModuleBuilder, calls: Iterable<CoreFunction>, isReal: boolean): { shared: Shared; imports: RegionImports } {
  const flag = ['i32', 'i64', 'i64'] as const;
  const flags = {
    arithmetic: module.import('interpreter', 'flags_arithmetic', flag, 'i32'),
    conditions: [0, 2, 4, 6, 8, 10, 12, 14].map((cc) => module.import('interpreter', `flags_${CONDITIONS[cc]}`, flag, 'i32')),
  };
  const pure = importPure(module);
  const storeFlags = module.import('interpreter', 'flags_store', ['i32', ...flag], null);
  const core = {} as Record<CoreFunction, FunctionRef>;
  for (const name of calls) core[name] = module.import('core', name, CORE_FUNCTIONS[name].params, CORE_FUNCTIONS[name].result);
  return {
    shared: { core, pure, flags },
    imports: {
      flags, storeFlags,
      callHandler: module.import('interpreter', 'call_handler', ['i32', ...RUN_PARAMS, 'i64'], 'i32'),
      resume: module.import('interpreter', isReal ? 'resume_real' : 'resume', isReal ? [...RESUME_PARAMS, 'i64'] : RESUME_PARAMS, 'i64'),
      enterCode: module.import('interpreter', 'enter_code', ENTER_PARAMS, 'i64'),
      enterAddress: module.import('interpreter', 'enter_address', ['i32', 'i64', 'i32'], 'i64'),
      enterTransfer: module.import('interpreter', 'enter_transfer', TRANSFER_PARAMS, 'i64'),
    },
  };
}

export const MEMORY = { initial: 2048, maximum: 65536 };

/** For a builder that only looks: imports of a module that is never finished. */
export function probeImports(isReal: boolean): { shared: Shared; imports: RegionImports } {
  return declareImports(new ModuleBuilder(MEMORY), (Object.keys(CORE_FUNCTIONS) as CoreFunction[]).filter(isContained), isReal);
}

/**
 * A module whose exports are the regions' functions, each by the number of its slot.
 * @param isCounted entries and exits are counted
 * @param spare places in the table that may be kept for what they call, taken from the end
 * @returns its bytes, and how many of them are each function's
 */
export function generateRegions(requests: readonly RegionRequest[], where: RegionMode, records: RecordBytes, isCounted = false, spare: number[] = []): { code: Uint8Array; sizes: number[] } {
  const module = new ModuleBuilder(MEMORY);
  const calls = new Set(requests.flatMap(({ plan }) => plan.blocks.flatMap((block) => block.instructions.flatMap(({ facts }) => facts.calls))));
  const { shared, imports } = declareImports(module, calls, isReal(where));
  const refs = requests.map(({ name }) => module.declare(name, REGION_PARAMS, 'i64'));
  const byPlace = new Map<string, FunctionRef>();
  requests.forEach(({ plan }, n) => byPlace.set(`${plan.pages.get(0)!.map}:${plan.entry}`, refs[n]));
  const sizes = requests.map(({ plan, slot, doubts }, n) => {
    const neighbours = { regionAt: (map: number, offset: number) => byPlace.get(`${map}:${offset}`) ?? null, slotFor: (map: number, offset: number) => slotFor(records, map, offset, spare) };
    const { body, localTypes, hints } = new RegionEmitter(shared, imports, where, records, plan, slot, neighbours, { isCounted, doubts, hasNeighbours: requests.length > 1, parts: null }).emit();
    module.define(refs[n], localTypes, body, hints);
    module.export(refs[n], String(slot));
    return body.length;
  });
  return { code: module.finish(), sizes };
}

/** A module whose function "none" stands in the table where no region is: it leaves to the interpreter, RIP and all else being in memory. */
export function generateNoRegion(exitDescAt: number, desc: bigint, gone: bigint): Uint8Array {
  const module = new ModuleBuilder(MEMORY);
  const none = module.declare('none', REGION_PARAMS, 'i64');
  const b = new FunctionBuilder(REGION_PARAMS);
  b.store(b.i32(0), exitDescAt, b.i64(desc));
  b.result(b.i64(gone));
  module.define(none, b.localTypes, b.w.view());
  module.export(none);
  return module.finish();
}
