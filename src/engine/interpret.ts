// Generates interpreter.wasm at build time: the meanings of src/x86 become one dispatch function (dispatch.ts) with the hot ones
// inline, and a function for every record kind, hot or not (handlers.ts).

import { CodeTlb, Cpu, Entry, FlagKind, Mem, Rec, RegionCause, RegionExit, Side, Status } from '../core/layout.ts';
import { FunctionBuilder, type Value } from '../wasm/function.ts';
import { ModuleBuilder, type FunctionRef, type ValType } from '../wasm/module.ts';
import { CORE_FUNCTIONS, type CoreFunction } from '../x86/core-functions.ts';
import { importPure } from './pure.ts';
import { defineFlagFunctions } from '../x86/flags.ts';
import { DispatchBuilder } from './dispatch.ts';
import { ColdBuilder, ENTER_PARAMS, EXECUTE_PARAMS, GONE, PAGE_MASK, REGION_PARAMS, RESUME_PARAMS, RUN_PARAMS, TRANSFER_PARAMS, storeCodeBase, type Shared } from './handlers.ts';
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
    module.define(ref, b.localTypes, b.w.view(), b.hints);
    functions.set(number, ref);
  };
  define(Pseudo.ADDRESS, 'address', (b) => b.plainAddressRecord());
  define(Pseudo.ADDRESS_ABSOLUTE, 'address_absolute', (b) => b.absoluteAddressRecord());
  define(Pseudo.ADDRESS_SEGMENT, 'address_segment', (b) => b.generalAddress());
  define(Pseudo.ADDRESS_GENERAL, 'address_general', (b) => b.generalAddress());
  define(Pseudo.ADDRESS_BITS, 'address_bits', (b) => b.bitStringAddress());
  for (const kind of kinds.kinds) if (!kind.pair) define(kind.number, kind.label, (b) => b.handle(kind));
  for (const { number, pair } of kinds.kinds) if (pair) functions.set(number, functions.get(pair[0])!);
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
  module.define(execute, dispatch.localTypes, dispatch.w.view(), dispatch.hints);
  module.export(defineRun(module, execute));
  const enterAddress = defineEnterAddress(module, regionTable);
  const storeFlags = defineStoreFlags(module);
  for (const isReal of [false, true]) module.export(defineResume(module, execute, enterAddress, storeFlags, isReal));

  const fingerprint = module.declare('fingerprint', [], 'i32');
  const b = new FunctionBuilder([]);
  b.result(b.i32(kinds.fingerprint));
  module.define(fingerprint, b.localTypes, b.w.view());
  module.export(fingerprint);
  module.export(flags.arithmetic);
  for (const condition of flags.conditions) module.export(condition);
  module.export(storeFlags);
  module.export(defineEnterCode(module, regionTable));
  module.export(enterAddress);
  module.export(defineEnterTransfer(module, enterAddress));
  module.export(defineCallHandler(module, coldTable));
  return module.finish();
}

/** (cpu, first record) -> Exit: what TypeScript calls. */
function defineRun(module: ModuleBuilder, execute: FunctionRef): FunctionRef {
  const ref = module.declare('run', RUN_PARAMS, 'i32');
  const b = new FunctionBuilder(RUN_PARAMS);
  b.result(b.wrap(b.call(execute, [b.param(0), b.param(1), b.i64(GONE), b.i32(0)])));
  module.define(ref, b.localTypes, b.w.view(), b.hints);
  return ref;
}

/**
 * (result, cpu, expected, depth, RSP during the call) -> RIP or GONE: what a region calls when one that it called has another result than the
 * address behind the call. Where that one returned elsewhere and left the return address on the stack, as Linux's retpolines do, it was a
 * jump, and what it went to is the one that is called. Where it was left in its midst, the interpreter goes on until control comes back; where that
 * was before a system call or the like, the region that begins with it does, if there is one.
 * Without it each exit, and each indirect call of such a kernel, would take all callers out of their compiled code.
 * In real mode the called code may be in another segment, so the base of the caller's is told (resume_real).
 */
function defineResume(module: ModuleBuilder, execute: FunctionRef, enterAddress: FunctionRef, storeFlags: FunctionRef, isReal: boolean): FunctionRef {
  const params: ValType[] = isReal ? [...RESUME_PARAMS, 'i64'] : RESUME_PARAMS;
  const ref = module.declare(isReal ? 'resume_real' : 'resume', params, 'i64');
  const b = new FunctionBuilder(params);
  const [first, cpu, expected, depth, rsp] = [0, 1, 2, 3, 4].map((n) => b.param(n));
  const result = b.variable('i64', first);
  b.loop((again) => {
    b.if(b.ne(result.get(), GONE), () => {
      const isThere = b.eq(result.get(), expected);
      const isBack = isReal ? b.and(isThere, b.eq(b.load('i64', cpu, Cpu.CODE_BASE), b.param(5))) : isThere;
      b.if(b.or(isBack, b.ne(b.load('i64', cpu, Cpu.RSP), rsp)), () => b.return(result.get()));
      result.set(b.call(enterAddress, [cpu, result.get(), b.add(depth, 1)]));
      b.br(again);
    });
  });
  const desc = b.variable('i32');
  /** All that wait return to the outermost where it says so, and where TypeScript is to go on, or an instruction is to be finished there. @returns the exit's cause */
  const leaveIfOuter = (): Value => {
    desc.set(b.wrap(b.load('i64', cpu, Cpu.EXIT_DESC)));
    const how = b.let(b.and(desc.get(), 3));
    const cause = b.let(b.and(b.shrU(desc.get(), 2), 15));
    const isOuter = b.and(b.eq(how, RegionExit.STATUS), b.geU(b.load('i32', cpu, Cpu.EXIT_STATUS), Status.EXIT));
    const isForAll = b.or(b.eq(cause, RegionCause.MODE), b.eq(cause, RegionCause.LIMIT));
    b.if(b.or(b.or(b.eq(how, RegionExit.LEAVE), isOuter), isForAll), () => b.return(b.i64(GONE)));
    return cause;
  };
  const cause = leaveIfOuter();
  const mode = b.let(b.load('i32', cpu, Cpu.MODE));
  const tlb = b.let(b.load('i32', cpu, Cpu.TLB));
  const base = isReal ? b.param(5) : b.let(b.load('i64', cpu, Cpu.CODE_BASE));
  const counter = b.let(b.select(b.eq(tlb, b.add(cpu, Cpu.TLB_USER)), b.add(cpu, Cpu.FORGOTTEN_USER), b.add(cpu, Cpu.FORGOTTEN_SUPERVISOR)));
  const forgotten = b.let(b.load('i32', counter, 0));
  const outer = b.let(b.load('i32', cpu, Cpu.EXECUTE_DEPTH));
  const inside = b.let(b.add(depth, 1));
  const isElsewhere = (): Value =>
    b.or(b.or(b.ne(mode, b.load('i32', cpu, Cpu.MODE)), b.ne(tlb, b.load('i32', cpu, Cpu.TLB))), b.ne(base, b.load('i64', cpu, Cpu.CODE_BASE)));
  const isForgotten = (): Value => b.ne(forgotten, b.load('i32', counter, 0));
  // An instruction that was left because somebody waits, such as a system call: here it is known who, so it is compiled code's again.
  b.if(b.eq(cause, RegionCause.INSTRUCTION), () => {
    const givenBack = b.extendU(b.and(b.shrU(desc.get(), 6), 0x3ff));
    b.store(cpu, Cpu.BUDGET, b.add(b.load('i64', cpu, Cpu.BUDGET), givenBack));
    b.callVoid(storeFlags, [cpu, b.load('i32', cpu, Cpu.FLAG_KIND), b.load('i64', cpu, Cpu.FLAG_A), b.load('i64', cpu, Cpu.FLAG_X)]);
    b.store(cpu, Cpu.EXECUTE_DEPTH, inside);
    const rip = b.let(b.call(enterAddress, [cpu, b.load('i64', cpu, Cpu.RIP), inside]));
    b.store(cpu, Cpu.EXECUTE_DEPTH, outer);
    b.if(
      b.eq(rip, GONE),
      () => leaveIfOuter(),
      () => {
        b.if(b.eqz(b.or(isElsewhere(), isForgotten())), () => b.return(rip));
        b.store(cpu, Cpu.RIP, rip);
        b.store(cpu, Cpu.EXIT_DESC, b.i64(RegionExit.JUMP | (RegionCause.TARGET << 2)));
      },
    );
  });
  b.loop((again) => {
    const rip = b.let(b.call(execute, [cpu, b.i32(0), expected, inside]));
    b.store(cpu, Cpu.EXECUTE_DEPTH, outer);
    b.if(b.eq(rip, GONE), () => b.return(b.i64(GONE)));
    b.store(cpu, Cpu.RIP, rip);
    // In another mode, at another privilege or in another code segment it is not the caller's place: system calls, interrupts, exceptions and
    // far calls go on from here, and come back with those that end them. One instruction by the interpreter, so that it is not the same again.
    b.if(isElsewhere(), () => {
      b.store(cpu, Cpu.EXIT_DESC, b.i64(RegionExit.SLOW | (RegionCause.MODE << 2)));
      b.br(again);
    });
    // The callers were made for what was mapped then.
    b.if(isForgotten(), () => {
      b.store(cpu, Cpu.EXIT_DESC, b.i64(RegionExit.JUMP | (RegionCause.MODE << 2)));
      b.return(b.i64(GONE));
    });
    b.return(rip);
  });
  b.unreachable();
  module.define(ref, b.localTypes, b.w.view(), b.hints);
  return ref;
}

/** Go on in the region at a record (0: none is known), or tell the interpreter to go on at RIP. */
function enterAt(module: ModuleBuilder, table: number, b: FunctionBuilder, cpu: Value, record: Value, depth: Value, page: Value, rip: () => Value): void {
  const slot = b.variable('i32', b.i32(0));
  b.if(record, () => slot.set(b.load('i32', b.add(b.shrU(b.sub(record, Mem.RECORDS), 2), Mem.SIDE), Side.SLOT, 16)));
  b.if(slot.get(), () => b.returnCallIndirect(module.typeIndex(REGION_PARAMS, 'i64'), slot.get(), [depth, page], table), undefined, 'mostly');
  b.store(cpu, Cpu.RIP, rip());
  b.store(cpu, Cpu.EXIT_DESC, b.i64(RegionExit.JUMP | (RegionCause.TARGET << 2)));
  b.result(b.i64(GONE));
}

/**
 * (depth, RIP of the page, Entry of a slot, word of a page's map, cpu) -> what the region returns that begins at the map's record. Regions of
 * other modules call one another by this: V8 copies a table into each instance that imports it, so only this module has the table
 * (docs/decisions/16-one-table.md). The slot is the one that the caller was made with: mostly it still is the region's, whose code looks at
 * the entry next, and neither the map nor what it leads to is to be fetched.
 */
function defineEnterCode(module: ModuleBuilder, table: number): FunctionRef {
  const ref = module.declare('enter_code', ENTER_PARAMS, 'i64');
  const b = new FunctionBuilder(ENTER_PARAMS);
  const [depth, page, entry, at] = [0, 1, 2, 3].map((n) => b.param(n));
  b.if(b.eq(b.load('i64', entry, 0), b.extendU(at)), () => {
    const slot = b.shrU(b.sub(entry, Mem.ENTRIES), Math.log2(Entry.SIZE));
    b.returnCallIndirect(module.typeIndex(REGION_PARAMS, 'i64'), slot, [depth, page], table);
  }, undefined, 'mostly');
  // A map is aligned to its size, and has a word for each byte of the page.
  const offset = (): Value => b.extendU(b.shrU(b.and(at, 4 * 4096 - 1), 2));
  enterAt(module, table, b, b.param(4), b.let(b.load('i32', at, 0)), depth, page, () => b.add(page, offset()));
  module.define(ref, b.localTypes, b.w.view(), b.hints);
  return ref;
}

/** (cpu, RIP, depth) -> the same for a RIP that is known only now, by the TLB and the map of its page. */
function defineEnterAddress(module: ModuleBuilder, table: number): FunctionRef {
  const params: ValType[] = ['i32', 'i64', 'i32'];
  const ref = module.declare('enter_address', params, 'i64');
  const b = new FunctionBuilder(params);
  const [cpu, rip, depth] = [0, 1, 2].map((n) => b.param(n));
  const linear = b.let(b.add(rip, b.load('i64', cpu, Cpu.CODE_BASE)));
  const entry = b.let(b.add(b.load('i32', cpu, Cpu.CODE_TLB), b.and(b.shrU(b.wrap(linear), 12 - 4), (CodeTlb.ENTRIES - 1) * CodeTlb.ENTRY_SIZE)));
  const offset = b.let(b.and(b.wrap(linear), 0xfff));
  const record = b.variable('i32', b.i32(0));
  b.if(b.eq(b.and(linear, PAGE_MASK), b.load('i64', entry, CodeTlb.TAG)), () => {
    record.set(b.load('i32', b.add(b.load('i32', entry, CodeTlb.CODE_MAP), b.shl(offset, 2)), 0));
  });
  enterAt(module, table, b, cpu, record.get(), depth, b.sub(rip, b.extendU(offset)), () => rip);
  module.define(ref, b.localTypes, b.w.view(), b.hints);
  return ref;
}

/**
 * (cpu, status, record, depth) -> what the region returns that begins where an instruction's function, which answered the status, has transferred
 * control to (Cpu.RIP). Where anything else is to be done before, execute() goes on with the status as with one of its own.
 */
function defineEnterTransfer(module: ModuleBuilder, enterAddress: FunctionRef): FunctionRef {
  const ref = module.declare('enter_transfer', TRANSFER_PARAMS, 'i64');
  const b = new FunctionBuilder(TRANSFER_PARAMS);
  const [cpu, status, record, depth] = [0, 1, 2, 3].map((n) => b.param(n));
  b.if(b.eq(status, Status.JUMP), () => {
    // As in execute(): the shadow of STI ends with this instruction.
    const shadow = b.let(b.and(b.load('i32', cpu, Cpu.INTERRUPT_SHADOW), 2));
    const waits = b.or(b.or(b.load('i32', cpu, Cpu.EXIT_REQUEST), b.load('i32', cpu, Cpu.INTERRUPT_PENDING)), shadow);
    const budget = b.let(b.sub(b.load('i64', cpu, Cpu.BUDGET), 1n));
    b.if(b.eqz(b.or(waits, b.leS(budget, 0n))), () => {
      b.store(cpu, Cpu.INTERRUPT_SHADOW, b.i32(0));
      b.store(cpu, Cpu.BUDGET, budget);
      storeCodeBase(b, cpu);
      b.returnCall(enterAddress, [cpu, b.load('i64', cpu, Cpu.RIP), depth]);
    });
  });
  b.store(cpu, Cpu.EXIT_RECORD, record);
  b.store(cpu, Cpu.EXIT_STATUS, status);
  b.store(cpu, Cpu.EXIT_DESC, b.i64(RegionExit.STATUS | (RegionCause.STATUS << 2)));
  b.result(b.i64(GONE));
  module.define(ref, b.localTypes, b.w.view(), b.hints);
  return ref;
}

/** (kind, cpu, record, RIP) -> Status: the kind's function. */
function defineCallHandler(module: ModuleBuilder, table: number): FunctionRef {
  const params: ValType[] = ['i32', ...RUN_PARAMS, 'i64'];
  const ref = module.declare('call_handler', params, 'i32');
  const b = new FunctionBuilder(params);
  const [kind, cpu, record, rip] = [0, 1, 2, 3].map((n) => b.param(n));
  b.store(cpu, Cpu.RIP, rip);
  b.store(cpu, Cpu.RIP_PAGE, b.sub(rip, b.load('i64', record, Rec.OFFSET, 16)));
  b.store(cpu, Cpu.NEXT_RIP, b.and(b.add(rip, b.load('i64', record, Rec.LENGTH, 8)), b.load('i64', cpu, Cpu.ADDRESS_MASK)));
  b.returnCallIndirect(module.typeIndex(RUN_PARAMS, 'i32'), kind, [cpu, record], table);
  b.unreachable();
  module.define(ref, b.localTypes, b.w.view(), b.hints);
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
  module.define(ref, b.localTypes, b.w.view(), b.hints);
  return ref;
}
