// Plans and compiles regions: the part of the compiler that needs nothing but the shared memory, so that it can run beside the vCPU in a
// worker of its own. What it reads may change under its hands; whoever takes the result compares the generations of its pages.

import { CodeTlb, Cpu, Doubt, JumpTargets, Mem, Mode, Rec } from '../../core/layout.ts';
import { EMPTY_MAP, generationOf } from '../cache.ts';
import { jumpTargetsOf, type RecordBytes } from '../records.ts';
import { isReal, type RegionMode } from './mode.ts';
import { FactsTable } from './facts.ts';
import { generateRegions, probeImports, type RegionRequest } from './module.ts';
import { planRegion, type Block, type Plan, type PlannedInstruction, type PlannedPage } from './plan.ts';

const PAGE = 4096n;
/** Bits of a Doubt. */
const DOUBT_BITS = 2;
/** A region that has more than so many instructions, and more than half of its own, in common with an earlier one ends where others begin, */
const COMMON_MAX = 64;
/** unless neither has one of so many instructions: what is hot since, and may be part of a loop of the earlier one. */
const MISSING_PART = 32;

/** A place to compile. */
export interface CompileEntry {
  /** Its page's map, RIP and linear address, and the offset in it. */
  readonly map: number;
  readonly rip: bigint;
  readonly linear: bigint;
  readonly offset: number;
  readonly record: number;
  /** Its place in the table of regions. */
  readonly slot: number;
  /** Other regions have its code already, and jumps go there all the same: the region ends where others begin. */
  readonly again: boolean;
  /** Accesses near one another were often on two pages. */
  readonly doubts: Doubt;
}

export interface CompileJob {
  readonly where: RegionMode;
  readonly entries: readonly CompileEntry[];
  /** PlanSource.warmth */
  readonly warmth: number;
  /** Every entry becomes a region, and be it a part of another. */
  readonly all: boolean;
  /** Regions count their entries and exits. */
  readonly isCounted: boolean;
  /** Places in the table that are free, for what its regions call. */
  readonly spare: readonly number[];
  /** With so many instructions the job is done, and what is left comes back: the code that is hottest is not to wait for the rest. */
  readonly most: number;
}

export interface CompiledRegion {
  readonly entry: CompileEntry;
  /** All pages it is made of. */
  readonly pages: readonly PlannedPage[];
  readonly instructions: number;
  /** Addresses of the records that it executes; and how many of them, from the first on, need no other region. */
  readonly records: Uint32Array;
  readonly covered: number;
  /** Size of its function. */
  readonly bytes: number;
}

export interface CompileResult {
  readonly job: CompileJob;
  /** null if nothing could be compiled. */
  readonly module: WebAssembly.Module | null;
  readonly regions: readonly CompiledRegion[];
  /** Entries that are still to be compiled. */
  readonly left: readonly CompileEntry[];
  /** Size of the module, bytes. */
  readonly bytes: number;
  readonly milliseconds: number;
}

/** What a region has. */
export interface MadeOf {
  readonly pages: readonly PlannedPage[];
  /** The first records of its instructions. */
  readonly records: ReadonlySet<number>;
  /** PlanSource.isOthersCold */
  readonly isOthersCold: boolean;
}

interface Planned extends RegionRequest {
  readonly entry: CompileEntry;
  /** CompileEntry.again, whoever found it out. */
  readonly again: boolean;
  readonly records: Uint32Array;
  readonly covered: number;
}

const numberOf = (record: number): number => (record - Mem.RECORDS) / Rec.SIZE;

const entryWith = ({ map, rip, linear, offset, record, slot }: CompileEntry, again: boolean, doubts: Doubt): CompileEntry => ({ map, rip, linear, offset, record, slot, again, doubts });

function withRecords(plan: Plan, entry: CompileEntry, again: boolean, doubts: Doubt): Planned {
  // A transfer is gone to by resume() where somebody waits for the region, so it is to begin one as well.
  const isOwn = (block: Block, { first, kind }: PlannedInstruction): boolean => !block.isInlined && (!kind.definition.transfers || first === entry.record);
  const recordsOf = (wanted: boolean): number[] =>
    plan.blocks.flatMap((block) => block.instructions.filter((instruction) => isOwn(block, instruction) === wanted).map(({ first }) => first));
  const own = recordsOf(true);
  const name = BigInt.asUintN(64, entry.rip + BigInt(entry.offset)).toString(16);
  return { plan, entry, again, slot: entry.slot, doubts, name, records: Uint32Array.from([...own, ...recordsOf(false)]), covered: own.length };
}

export class CompileService {
  readonly records: RecordBytes;
  private readonly u32: Uint32Array;
  private readonly u64: BigUint64Array;
  private readonly facts = new Map<number, FactsTable>();
  /** Entries of guest functions: "map:generation" -> offsets. */
  private readonly functions = new Map<string, Set<number>>();
  /** Records that the last job's regions execute: whoever submitted the next one did not know of them yet. */
  private justCovered = new Set<number>();
  /** By a record's number the last region that executes it, counted from 1, and its doubts; also when either is gone: what is made of that is only smaller, or slower. */
  private readonly made = new Uint32Array(Mem.RECORDS_SIZE / Rec.SIZE);
  private regions = 0;
  /** The last module's bytes, for whoever wants to look at it. */
  lastBytes: Uint8Array | null = null;

  constructor(memory: WebAssembly.Memory) {
    const { buffer } = memory;
    this.records = { u8: new Uint8Array(buffer), u16: new Uint16Array(buffer), i32: new Int32Array(buffer) };
    this.u32 = new Uint32Array(buffer);
    this.u64 = new BigUint64Array(buffer);
  }

  compile(job: CompileJob): CompileResult {
    const started = performance.now();
    const { where } = job;
    const planned: Planned[] = [];
    const reached = new Set<number>();
    /** Need no region. */
    const none = new Set<number>();
    for (const entry of job.entries) {
      if (!job.all && !entry.again && entry.doubts === Doubt.NONE && this.justCovered.has(entry.record)) {
        none.add(entry.record);
        continue;
      }
      // What is reached from here is reached from there as well, mostly.
      if (!job.all && !entry.again && reached.has(entry.record)) continue;
      const it = this.planned(entry, job);
      if (!it) {
        none.add(entry.record);
        continue;
      }
      for (const record of it.records.subarray(0, it.covered)) reached.add(record);
      planned.push(it);
    }
    // All that is hot in a function becomes so together: its entry, its loops' heads, where its calls return. The largest has most of it.
    planned.sort((a, b) => b.plan.instructions - a.plan.instructions);
    const executed = new Set<number>();
    const requests: typeof planned = [];
    const called = new Set<number>();
    let instructions = 0;
    const choose = (most: number, isWanted: (it: (typeof planned)[number]) => boolean): void => {
      for (const it of planned) {
        if (executed.has(it.entry.record) && !job.all && !it.entry.again) continue;
        if (requests.includes(it) || !isWanted(it) || (instructions > 0 && instructions + it.plan.instructions > most)) continue;
        instructions += it.plan.instructions;
        for (const record of it.records.subarray(0, it.covered)) executed.add(record);
        for (const record of this.calledBy(it.plan)) called.add(record);
        requests.push(it);
      }
    };
    choose(job.most, () => true);
    // What these call is worth as much as they are: without it each call leaves for the interpreter, which comes back in the midst of them.
    choose(2 * job.most, ({ entry }) => called.has(entry.record));
    this.justCovered = executed;
    const left = job.entries.filter(({ record }) => !executed.has(record) && !none.has(record));
    let module: WebAssembly.Module | null = null;
    let bytes = 0;
    let sizes: number[] = [];
    if (requests.length > 0) {
      const made = generateRegions(requests, where, this.records, job.isCounted, [...job.spare]);
      const { code } = made;
      sizes = made.sizes;
      this.lastBytes = code;
      bytes = code.length;
      module = new WebAssembly.Module(code as BufferSource);
    }
    const regions = requests.map(({ entry, again, doubts, plan, records, covered }, n) => {
      const made = (++this.regions << DOUBT_BITS) | doubts;
      for (const record of records.subarray(0, covered)) this.made[numberOf(record)] = made;
      return { entry: entryWith(entry, again, doubts), pages: [...plan.pages.values()], instructions: plan.instructions, records, covered, bytes: sizes[n] };
    });
    return { job, module, regions, left, bytes, milliseconds: performance.now() - started };
  }

  private planned(entry: CompileEntry, job: CompileJob): Planned | null {
    const whole = this.plan(entry, job);
    if (!whole) return null;
    const first = withRecords(whole, entry, entry.again, entry.doubts);
    if (job.all || entry.again || entry.doubts !== Doubt.NONE) return first;
    const { largest, common, doubts } = this.before(first);
    // A function whose inside became hot before its entry is there but for its beginning. What control comes back to is part of a loop, and has all of it.
    const isBeginning = !whole.blocks.some(({ terminator }) => terminator.successors.includes(0));
    if (isBeginning && common > COMMON_MAX && 2 * common > first.covered) {
      const rest = this.plan(entryWith(entry, true, doubts), job);
      const beginning = rest && withRecords(rest, entry, true, doubts);
      if (beginning && this.missing(first, beginning, largest) * MISSING_PART <= first.covered) return beginning;
    }
    return doubts === Doubt.NONE ? first : withRecords(whole, entry, false, doubts);
  }

  /** The region that has most of a planned one's instructions already, how many that are, and what is doubtful of any. */
  private before({ records, covered }: Planned): { largest: number; common: number; doubts: Doubt } {
    const counts = new Map<number, number>();
    let doubts = Doubt.NONE;
    records.forEach((record, n) => {
      const made = this.made[numberOf(record)];
      doubts |= made & ((1 << DOUBT_BITS) - 1);
      const region = made >> DOUBT_BITS;
      if (region !== 0 && n < covered) counts.set(region, (counts.get(region) ?? 0) + 1);
    });
    let largest = 0;
    let common = 0;
    for (const [region, count] of counts) if (count > common) [largest, common] = [region, count];
    return { largest, common, doubts };
  }

  /** Instructions of a whole region that neither its beginning has nor the earlier region that has most of them. */
  private missing(whole: Planned, beginning: Planned, earlier: number): number {
    const there = new Set(beginning.records);
    let missing = 0;
    for (const record of whole.records.subarray(0, whole.covered)) if (this.made[numberOf(record)] >> DOUBT_BITS !== earlier && !there.has(record)) missing++;
    return missing;
  }

  /** The first records of the functions that a region calls. */
  private calledBy({ blocks, pages }: Plan): number[] {
    const out: number[] = [];
    for (const { terminator } of blocks) {
      const target = terminator.kind === 'call' ? terminator.target : null;
      const page = target && pages.get(target.at >> 12);
      if (page) out.push(this.u32[(page.map >> 2) + (target.at & 0xfff)]);
    }
    return out;
  }

  /** @param made what the region has that was made of it: it is planned as it was, as far as that can be known, and nothing is noted */
  plan(entry: CompileEntry, job: Pick<CompileJob, 'where' | 'warmth'>, made: MadeOf | null = null): Plan | null {
    const { where } = job;
    const wide = (where.mode & Mode.CODE_MASK) === Mode.CODE64;
    const facts = this.factsOf(where);
    return planRegion(
      {
        records: this.records,
        u32: this.u32,
        pageAt: (delta) => {
          if (made) return made.pages.find((page) => page.delta === delta) ?? null;
          if (delta === 0) return this.page(entry.map, 0);
          const at = entry.linear + BigInt(delta) * PAGE;
          return this.pageAt(where, wide ? BigInt.asUintN(64, at) : at & 0xffff_ffffn, delta);
        },
        isFunction: (page, at) => this.functions.get(`${page.map}:${page.generation}`)?.has(at) ?? false,
        targets: (record) => this.targets(record),
        called: (page, at) => {
          if (!made) this.called(page, at);
        },
        warmth: job.warmth,
        endsAtRegions: entry.again,
        isCode16: (where.mode & Mode.CODE_MASK) === Mode.CODE16,
        only: made && made.records,
        isOthersCold: made !== null && made.isOthersCold,
        facts: (kind, record, addressRecord, addressKind) => facts.of(this.records, kind, record, addressRecord, addressKind),
      },
      entry.offset,
    );
  }

  private page(map: number, delta: number): PlannedPage {
    return { delta, map, generation: this.u32[generationOf(map) >> 2] };
  }

  /** What the TLB knows of a linear page of code now. */
  private pageAt(where: RegionMode, linear: bigint, delta: number): PlannedPage | null {
    const tlb = where.cpu + (where.user ? Cpu.CODE_TLB_USER : Cpu.CODE_TLB_SUPERVISOR);
    const slot = tlb + Number((linear >> 12n) & BigInt(CodeTlb.ENTRIES - 1)) * CodeTlb.ENTRY_SIZE;
    if (this.u64[(slot + CodeTlb.TAG) >> 3] !== linear) return null;
    const map = this.u32[(slot + CodeTlb.CODE_MAP) >> 2];
    return map === EMPTY_MAP || map === 0 ? null : this.page(map, delta);
  }

  /** What the dispatch function noted of an indirect jump. */
  private targets(record: number): number[] {
    const from = jumpTargetsOf(record) >> 2;
    const places = this.records.i32.subarray(from, from + JumpTargets.PLACES);
    return [...new Set(places)].filter((offset) => offset !== 0);
  }

  private called(page: PlannedPage, at: number): void {
    const key = `${page.map}:${page.generation}`;
    let entries = this.functions.get(key);
    if (!entries) {
      this.functions.set(key, (entries = new Set()));
      // What belonged to an earlier generation is of no use any more.
      this.functions.delete(`${page.map}:${page.generation - 1}`);
    }
    entries.add(at);
  }

  private factsOf(where: RegionMode): FactsTable {
    const key = where.mode | (where.user ? 16 : 0) | (where.isX87Masked ? 32 : 0) | (where.isReal ? 64 : 0) | (where.x87Precision << 7);
    let facts = this.facts.get(key);
    if (!facts) {
      const { shared, imports } = probeImports(isReal(where));
      this.facts.set(key, (facts = new FactsTable(shared, imports, where)));
    }
    return facts;
  }
}
