// Generates interpreter.wasm at build time: the meanings of src/x86 become one dispatch function (dispatch.ts) with the hot ones
// inline, and a function for every record kind, hot or not (handlers.ts).

import { Cpu, FlagKind, RegionCause, RegionExit, Status } from '../core/layout.ts';
import { FunctionBuilder } from '../wasm/function.ts';
import { ModuleBuilder, type FunctionRef, type ValType } from '../wasm/module.ts';
import { CORE_FUNCTIONS, type CoreFunction } from '../x86/core-functions.ts';
import { importPure } from './pure.ts';
import { defineFlagFunctions } from '../x86/flags.ts';
import { DispatchBuilder } from './dispatch.ts';
import { ColdBuilder, EXECUTE_PARAMS, GONE, REGION_PARAMS, RUN_PARAMS, type Shared } from './handlers.ts';
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
  const pure = importPure(module);
  const lookup = module.import('host', 'lookup', ['i32'], 'i32');
  const hot = module.import('host', 'hot', RUN_PARAMS, null);
  const regionTable = module.importTable('host', 'regions');
  const flags = defineFlagFunctions(module, (params) => new FunctionBuilder(params));
  const shared: Shared = { core, pure, flags };

  const functions = new Map<number, FunctionRef>();
  const define = (number: number, label: string, body: (b: ColdBuilder) => void): void => {
    const ref = module.declare(label, RUN_PARAMS, 'i32');
    const b = new ColdBuilder(shared);
    body(b);
    b.result(b.i32(Status.NEXT));
    module.define(ref, b.localTypes, b.w.view());
    functions.set(number, ref);
  };
  define(Pseudo.ADDRESS, 'address', (b) => b.plainAddressRecord());
  define(Pseudo.ADDRESS_ABSOLUTE, 'address_absolute', (b) => b.absoluteAddressRecord());
  define(Pseudo.ADDRESS_SEGMENT, 'address_segment', (b) => b.generalAddress());
  define(Pseudo.ADDRESS_GENERAL, 'address_general', (b) => b.generalAddress());
  define(Pseudo.ADDRESS_BITS, 'address_bits', (b) => b.bitStringAddress());
  for (const kind of kinds.kinds) define(kind.number, kind.label, (b) => b.handle(kind));
  // The other pseudo-records never get to the call; any function holds their places.
  const filler = functions.get(Pseudo.ADDRESS_GENERAL)!;
  const coldTable = module.setTable(Array.from({ length: Pseudo.COUNT + kinds.kinds.length }, (_, n) => functions.get(n) ?? filler));

  const execute = module.declare('execute', EXECUTE_PARAMS, 'i64');
  const dispatch = new DispatchBuilder(
    shared,
    {
      lookup,
      hot,
      cold: { type: module.typeIndex(RUN_PARAMS, 'i32'), table: coldTable },
      regions: { type: module.typeIndex(REGION_PARAMS, 'i64'), table: regionTable },
    },
    profile,
  );
  dispatch.build(kinds.kinds.filter((k) => k.hot));
  module.define(execute, dispatch.localTypes, dispatch.w.view());
  module.export(defineRun(module, execute));
  module.export(defineResume(module, execute));

  const fingerprint = module.declare('fingerprint', [], 'i32');
  const b = new FunctionBuilder([]);
  b.result(b.i32(kinds.fingerprint));
  module.define(fingerprint, b.localTypes, b.w.view());
  module.export(fingerprint);
  module.export(flags.arithmetic);
  for (const condition of flags.conditions) module.export(condition);
  module.export(defineStoreFlags(module));
  module.export(defineEnterRegion(module, regionTable));
  module.export(defineCallHandler(module, coldTable));
  return module.finish();
}

/** (cpu, first record) -> Exit: what TypeScript calls. */
function defineRun(module: ModuleBuilder, execute: FunctionRef): FunctionRef {
  const ref = module.declare('run', RUN_PARAMS, 'i32');
  const b = new FunctionBuilder(RUN_PARAMS);
  b.result(b.wrap(b.call(execute, [b.param(0), b.param(1), b.i64(GONE), b.i32(0)])));
  module.define(ref, b.localTypes, b.w.view());
  return ref;
}

/**
 * (result, cpu, expected, depth) -> RIP or GONE: what a region calls when one that it called has another result than the address behind
 * the call. Where that one was left in its midst, the interpreter goes on until control comes back. Without it each exit would take
 * all callers out of their compiled code.
 */
function defineResume(module: ModuleBuilder, execute: FunctionRef): FunctionRef {
  const params: ValType[] = ['i64', 'i32', 'i64', 'i32'];
  const ref = module.declare('resume', params, 'i64');
  const b = new FunctionBuilder(params);
  const [result, cpu, expected, depth] = [0, 1, 2, 3].map((n) => b.param(n));
  b.if(b.ne(result, GONE), () => b.return(result));
  const desc = b.let(b.wrap(b.load('i64', cpu, Cpu.EXIT_DESC)));
  b.if(b.geU(b.and(desc, 3), RegionExit.LEAVE), () => b.return(b.i64(GONE)));
  const cause = b.let(b.and(b.shrU(desc, 2), 15));
  b.if(b.or(b.eq(cause, RegionCause.MODE), b.eq(cause, RegionCause.LIMIT)), () => b.return(b.i64(GONE)));
  const translations = b.let(b.load('i32', cpu, Cpu.TRANSLATIONS));
  const rip = b.let(b.call(execute, [cpu, b.i32(0), expected, b.add(depth, 1)]));
  // The callers were made for what was mapped then.
  b.if(b.and(b.ne(rip, GONE), b.ne(translations, b.load('i32', cpu, Cpu.TRANSLATIONS))), () => {
    b.store(cpu, Cpu.RIP, rip);
    b.store(cpu, Cpu.EXIT_DESC, b.i64(RegionExit.JUMP | (RegionCause.MODE << 2)));
    b.return(b.i64(GONE));
  });
  b.result(rip);
  module.define(ref, b.localTypes, b.w.view());
  return ref;
}

/**
 * (slot, depth, RIP of the page) -> what the region returns. Regions of other modules call one another by this: V8 copies a table
 * into each instance that imports it, so only this module has the table (docs/decisions/16-one-table.md).
 */
function defineEnterRegion(module: ModuleBuilder, table: number): FunctionRef {
  const ref = module.declare('enter_region', ['i32', ...REGION_PARAMS], 'i64');
  const b = new FunctionBuilder(['i32', ...REGION_PARAMS]);
  b.returnCallIndirect(module.typeIndex(REGION_PARAMS, 'i64'), b.param(0), [b.param(1), b.param(2)], table);
  b.unreachable();
  module.define(ref, b.localTypes, b.w.view());
  return ref;
}

/** (kind, cpu, record) -> Status: the kind's function. */
function defineCallHandler(module: ModuleBuilder, table: number): FunctionRef {
  const ref = module.declare('call_handler', ['i32', ...RUN_PARAMS], 'i32');
  const b = new FunctionBuilder(['i32', ...RUN_PARAMS]);
  b.returnCallIndirect(module.typeIndex(RUN_PARAMS, 'i32'), b.param(0), [b.param(1), b.param(2)], table);
  b.unreachable();
  module.define(ref, b.localTypes, b.w.view());
  return ref;
}

/** (cpu, kind, a, x): flags of any kind to memory, as handlers want them. */
function defineStoreFlags(module: ModuleBuilder): FunctionRef {
  const params: ValType[] = ['i32', 'i32', 'i64', 'i64'];
  const ref = module.declare('flags_store', params, null);
  const b = new FunctionBuilder(params);
  const kind = b.param(1);
  const unused = b.let(b.select(b.and(kind, FlagKind.RAW), b.extendU(b.sub(64, b.shrU(kind, 8))), 0n));
  const operation = b.let(b.and(kind, FlagKind.MASK));
  b.store(b.param(0), Cpu.FLAG_KIND, b.and(kind, ~FlagKind.RAW));
  b.store(b.param(0), Cpu.FLAG_A, b.shl(b.param(2), b.select(b.eq(operation, FlagKind.RESULT), 0n, unused)));
  b.store(b.param(0), Cpu.FLAG_X, b.shl(b.param(3), b.select(b.eq(operation, FlagKind.EXPLICIT), 0n, unused)));
  module.define(ref, b.localTypes, b.w.view());
  return ref;
}
