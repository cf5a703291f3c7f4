// The second tier at run time: records that jumps go to often become entries of compiled regions. It has them compiled, beside the vCPU
// where there is a worker for it, keeps the regions by the pages of code they are made of, drops them with those, and bounds what they take.

import { Cpu, Doubt, Fcw, Mem, Mode, Rec, RegionCause, RegionExit, Seg, Side } from '../../core/layout.ts';
import { CR0_PE } from '../../x86/assumptions.ts';
import { CHUNK_RECORDS, generationOf, type CodeCache, type CodePage } from '../cache.ts';
import { GONE } from '../handlers.ts';
import { kinds, Pseudo } from '../kinds.ts';
import { sideOf, type RecordBytes } from '../records.ts';
import type { RegionMode } from './mode.ts';
import { generateNoRegion } from './module.ts';
import { shortPrecision } from './x87-stack.ts';
import { CompileQueue, type Pending } from './queue.ts';
import type { PlannedPage } from './plan.ts';
import { Slots, wordAt } from './slots.ts';
import { CompileService, type CompileEntry, type CompileJob, type CompileResult } from './service.ts';

/** Names of RegionCause, by number. */
export const CAUSES = ['memory', 'rare', 'instruction', 'target', 'mapping', 'request', 'limit', 'mode', 'status', 'span', 'number'] as const;

/** Entries in one module at most, and jobs under way. */
const BATCH_MAX = 64;
const JOBS_MAX = 2;
/**
 * Guest instructions of one job beside the vCPU, unless one region has more: so many, or half of all that were compiled before. The first
 * of much that becomes hot is to run soon, and a compiler that has just begun is slow; later large modules are better, as calls inside one are direct.
 */
const INSTRUCTIONS_MIN = 600;
/** Compiled code kept, in bytes of WebAssembly; V8 makes several times as much of it. */
const BYTES_MAX = 48 << 20;
/** A block belongs to a region if it is executed at least once in 2^this rounds. */
const WARMTH_SHIFT = 6;
/**
 * A region that was left so often for one doubt is made again with it; and so often for each of its instructions, as making one, and V8's optimising
 * it, cost what 50 such exits do (80 µs). And how many such exits, of all regions, let look for it.
 */
const DOUBTS_MAX = 500;
const DOUBTS_EACH = 16;
const DOUBTS_STEP = 1000;

/** What is known of a record, by its number. */
const enum Known {
  NOTHING,
  /** A region executes it. Jumps to it may yet come from regions that were entered too late. */
  COVERED,
  /** Jumps go to it all the same: it needs an entry of its own. */
  ENTRY,
}

/** Regions in slots below this are counted, if asked for; their counters as an index of 32-bit words. */
const COUNTED = Mem.REGION_COUNTS_SIZE / Mem.REGION_COUNTS_EACH;
const countsAt = (slot: number): number => (Mem.REGION_COUNTS + slot * Mem.REGION_COUNTS_EACH) >> 2;

/** Where regions are compiled beside the vCPU. */
export interface CompileChannel {
  /** Processors that compiling may take, where it takes the vCPU's own. Without it as many as there are. */
  readonly share?: number;
  submit(job: CompileJob): void;
  /** Called on the vCPU's thread, between slices. */
  onResult: ((result: CompileResult) => void) | null;
}

/** Told about every region, for -d jit. */
export interface RegionListener {
  made(region: RegionInfo): void;
  dropped(region: RegionInfo): void;
}

export interface RegionInfo {
  /** Of its entry, when it was compiled. */
  readonly rip: bigint;
  /** Its linear address then. */
  readonly linear: bigint;
  /** Of the guest. */
  readonly instructions: number;
  readonly pages: number;
  /** Size of its function. */
  readonly bytes: number;
  /** How often it was entered, and left by each cause otherwise than by going on to a known place; null if it is not counted. */
  readonly counts: { entries: number; exits: Record<string, number> } | null;
}

export interface CompilerOptions {
  /** Jumps to a record before it is compiled, 1 to 65535; with 1 everything is compiled at once. */
  threshold: number;
  /** Without it the vCPU's thread compiles, and a run in virtual time repeats exactly. */
  channel?: CompileChannel;
  /** Bytes of all live modules at most; the oldest go first. */
  bytesMax?: number;
}

const PAGE = 4096n;

/** Linear address of an entry, when it was compiled. */
export const linearOf = ({ linear, offset }: Pick<CompileEntry, 'linear' | 'offset'>): bigint => linear + BigInt(offset);

/** CodePage.key of the pages that a region's code may be on. */
const keyOf = ({ mode, user }: RegionMode): number => mode | (user ? 16 : 0);

const numberOf = (record: number): number => (record - Mem.RECORDS) / Rec.SIZE;

/** One compiled module; its places in the table are free again when its last region is gone. */
interface Module {
  readonly regions: Set<Region>;
  /** Of all its regions, dropped ones among them. */
  readonly entries: readonly CompileEntry[];
  readonly bytes: number;
}

export interface Region {
  readonly slot: number;
  readonly module: Module;
  readonly record: number;
  readonly pages: readonly PlannedPage[];
  /** The first records of its instructions. */
  readonly records: Uint32Array;
  readonly instructions: number;
  readonly bytes: number;
  readonly isCounted: boolean;
  /** Of the entry, when it was compiled. */
  readonly rip: bigint;
  /** What it was made of. */
  readonly pending: Pending;
}

export class Compiler {
  readonly table: WebAssembly.Table;
  /** Compiles on this thread. */
  readonly service: CompileService | null;
  private readonly records: RecordBytes;
  private readonly u32: Uint32Array;
  private readonly u64: BigUint64Array;
  private readonly slots: Slots;
  /** Live regions by the maps of their pages. */
  private readonly byMap = new Map<number, Set<Region>>();
  private readonly queue: CompileQueue;
  /** Known, by a record's number. */
  private readonly known: Uint8Array;
  /** Live modules, oldest first, and their size. */
  private readonly live = new Set<Module>();
  private liveBytes = 0;
  private jobs = 0;
  /** Exits by RegionCause.SPAN and NUMBER when regions were last looked through for them. */
  private doubtsSeen = 0;
  private interpreter: WebAssembly.Exports | null = null;
  private core: WebAssembly.Exports | null = null;
  private none: (() => bigint) | null = null;
  listener: RegionListener | null = null;
  /** For statistics. */
  compiled = 0;
  modules = 0;
  instructions = 0;
  bytes = 0;
  dropped = 0;
  /** Results that came too late: their code had changed. */
  stale = 0;
  milliseconds = 0;

  constructor(
    private readonly memory: WebAssembly.Memory,
    /** Address of the vCPU area. */
    private readonly cpu: number,
    private readonly cache: CodeCache,
    private readonly options: CompilerOptions | null,
  ) {
    const { buffer } = memory;
    this.records = { u8: new Uint8Array(buffer), u16: new Uint16Array(buffer), i32: new Int32Array(buffer) };
    this.u32 = new Uint32Array(buffer);
    this.u64 = new BigUint64Array(buffer);
    this.slots = new Slots(buffer);
    this.queue = new CompileQueue(this.records, { threshold: options?.threshold ?? 0, share: options?.channel?.share ?? Infinity });
    this.known = new Uint8Array(options ? Mem.RECORDS_SIZE / Rec.SIZE : 0);
    this.table = new WebAssembly.Table({ element: 'anyfunc', initial: options ? Mem.REGION_SLOTS : 1 });
    this.service = options && !options.channel ? new CompileService(memory) : null;
    if (options?.channel) options.channel.onResult = (result) => this.finished(result);
  }

  /** The interpreter that the regions work with. */
  connect(interpreter: WebAssembly.Exports, core: WebAssembly.Exports): void {
    this.interpreter = interpreter;
    this.core = core;
    this.u32[(this.cpu + Cpu.HOT_THRESHOLD) >> 2] = this.options?.threshold ?? 0;
    if (!this.options) return;
    this.cache.onClear = (page, records) => this.pageCleared(page, records);
    const desc = BigInt(RegionExit.JUMP | (RegionCause.TARGET << 2));
    const module = new WebAssembly.Module(generateNoRegion(this.cpu + Cpu.EXIT_DESC, desc, GONE) as BufferSource);
    this.none = new WebAssembly.Instance(module, { env: { memory: this.memory } }).exports.none as () => bigint;
    this.table.set(0, this.none);
  }

  /** Results of the channel have come and want to be taken: let messages in. */
  get waiting(): boolean {
    return Atomics.load(this.records.i32, (this.cpu + Cpu.COMPILED) >> 2) !== 0;
  }

  /** Compiled code is made. */
  get isOn(): boolean {
    return this.options !== null;
  }

  /** CompilerOptions.threshold */
  get threshold(): number {
    return this.options!.threshold;
  }

  /** What is compiled now: how many modules, and their bytes. */
  get liveModules(): number {
    return this.live.size;
  }
  get liveSize(): number {
    return this.liveBytes;
  }

  /** What waits to be compiled. */
  get pending(): number {
    return this.queue.size;
  }

  /** CompileJob.warmth */
  get warmth(): number {
    return this.options!.threshold >> WARMTH_SHIFT;
  }

  /** Everything that is executed is compiled at once: for tests. */
  get eager(): boolean {
    return this.options?.threshold === 1;
  }

  /** Jumps have gone to a record often enough. */
  hot(record: number): void {
    const mode = this.u32[(this.cpu + Cpu.MODE) >> 2];
    if (this.queue.has(record)) return this.queue.round(record);
    const rip = this.u64[(this.cpu + Cpu.RIP_PAGE) >> 3];
    const linear = (mode & Mode.CODE_MASK) === Mode.CODE64 ? rip : BigInt.asUintN(32, rip + this.u64[(this.cpu + Cpu.CS + Seg.BASE) >> 3]);
    const page = this.cache.pageAt(this.cpu, linear);
    if (!page) return;
    const { u16 } = this.records;
    const offset = u16[(record + Rec.OFFSET) >> 1];
    const kind = u16[(record + Rec.KIND) >> 1];
    if (this.u32[(page.map >> 2) + offset] !== record || kind === Pseudo.CROSSING || kind === Pseudo.REGION) return;
    const known = this.known[numberOf(record)];
    if (known === Known.COVERED && !this.eager) {
      this.known[numberOf(record)] = Known.ENTRY;
      this.countRound(record);
      return;
    }
    const fcw = this.u32[(this.cpu + Cpu.FCW) >> 2];
    const isX87Masked = (fcw & Fcw.MASKS) === Fcw.MASKS;
    const isReal = (this.u32[(this.cpu + Cpu.CR0) >> 2] & CR0_PE) === 0;
    const where = { mode, user: page.key >= 16, isX87Masked, x87Precision: shortPrecision(fcw), isReal, cpu: this.cpu };
    // What is compiled at once is for tests: half of it has either doubt, a quarter both.
    const doubts: Doubt = this.eager ? offset & 3 : Doubt.NONE;
    this.queue.add({ where, key: page.key, map: page.map, rip, linear, offset, record, again: known === Known.ENTRY, doubts });
    if (this.eager) this.flush();
  }

  /** Half the jumps again, and the record is hot again; meanwhile it counts as warm. */
  private countAgain(record: number): void {
    this.records.u16[(sideOf(record) + Side.COUNT) >> 1] = this.options!.threshold >> 1;
  }

  /** The record is hot again when its counter of 16 bits has come round. */
  private countRound(record: number): void {
    this.records.u16[(sideOf(record) + Side.COUNT) >> 1] = this.options!.threshold + 1;
  }

  /** Have compiled what has become hot. */
  flush(): void {
    this.doubt();
    while (!this.queue.isEmpty && this.jobs < JOBS_MAX && this.slots.left > 0 && this.queue.mayStart) {
      const chosen = this.queue.take(Math.min(BATCH_MAX, this.slots.left));
      const { where } = chosen[0];
      const entries = chosen.map(({ map, rip, linear, offset, record, again, doubts }): CompileEntry => ({ map, rip, linear, offset, record, slot: this.slots.take({ at: wordAt(map, offset), record }), again, doubts }));
      for (const { slot } of entries) this.u32[(Mem.REGION_DOUBTS >> 2) + slot] = 0;
      this.jobs++;
      const most = this.service ? Infinity : Math.max(INSTRUCTIONS_MIN, this.instructions >> 1);
      const job: CompileJob = { where, entries, warmth: this.warmth, all: this.eager, isCounted: this.listener !== null, most, spare: this.slots.spare() };
      if (this.service) this.finished(this.service.compile(job));
      else this.options!.channel!.submit(job);
    }
  }

  /** Regions that are often left because accesses near one another lie on two pages, or because of numbers, are made again, to look each access up and have core compute. */
  private doubt(): void {
    const exits = (this.cpu + Cpu.REGION_EXITS) >> 2;
    const left = this.u32[exits + RegionCause.SPAN] + this.u32[exits + RegionCause.NUMBER];
    if (left - this.doubtsSeen < DOUBTS_STEP) return;
    this.doubtsSeen = left;
    for (const module of this.live) {
      for (const { slot, record, pending, instructions } of module.regions) {
        const word = this.u32[(Mem.REGION_DOUBTS >> 2) + slot];
        const enough = Math.max(DOUBTS_MAX, DOUBTS_EACH * instructions);
        const told = ((word & 0xffff) >= enough ? Doubt.SPANS : 0) | (word >>> 16 >= enough ? Doubt.NUMBERS : 0);
        if ((told & ~pending.doubts) === 0 || this.queue.has(record) || this.records.u16[(sideOf(record) + Side.SLOT) >> 1] !== slot) continue;
        this.queue.add({ ...pending, doubts: pending.doubts | told });
      }
    }
  }

  /** A job's regions take the places of their records. */
  private finished({ job, module, regions, left, bytes, milliseconds }: CompileResult): void {
    this.jobs--;
    this.milliseconds += milliseconds;
    this.queue.spent(milliseconds, regions.reduce((sum, region) => sum + region.instructions, 0));
    const isThere = ({ map, offset, record }: CompileEntry): boolean => this.u32[(map >> 2) + offset] === record;
    // What a job that was under way at the same time has made needs no region either.
    const isCovered = ({ record, again, doubts }: CompileEntry): boolean => !again && doubts === Doubt.NONE && this.known[numberOf(record)] === Known.COVERED;
    const again = new Set(left.filter((entry) => isThere(entry) && !isCovered(entry)).map(({ record }) => record));
    for (const { record } of job.entries) {
      this.queue.done(record, again.has(record));
      if (!again.has(record)) this.countAgain(record);
    }
    const valid = regions.filter(({ entry, pages }) => {
      const current = pages.every(({ map, generation }) => this.u32[generationOf(map) >> 2] === generation);
      return current && isThere(entry);
    });
    this.stale += regions.length - valid.length;
    this.slots.takeBack(job.spare);
    // Regions that came too late have their places as well: their neighbours may call them, and their limits keep them out.
    const taken = new Set(module && valid.length > 0 ? regions.map(({ entry }) => entry.slot) : []);
    for (const { slot, map, offset, record } of job.entries) if (!taken.has(slot)) this.slots.keep(slot, { at: wordAt(map, offset), record });
    // Also where nothing came of the job: without places there would be no other.
    if (this.slots.left < BATCH_MAX) this.slots.giveUp();
    if (!module || valid.length === 0) return;
    const { exports } = new WebAssembly.Instance(module, { env: { memory: this.memory }, interpreter: this.interpreter!, core: this.core! });
    const shared: Module = { regions: new Set(), entries: regions.map(({ entry }) => entry), bytes };
    this.live.add(shared);
    this.liveBytes += bytes;
    this.modules++;
    this.bytes += bytes;
    const { u16 } = this.records;
    for (const { entry, pages, instructions, records, covered, bytes: size } of valid) {
      for (const record of records.subarray(0, covered)) {
        this.known[numberOf(record)] ||= Known.COVERED;
        if (this.queue.covered(record)) this.countAgain(record);
      }
      const { slot, record } = entry;
      this.table.set(slot, exports[String(slot)] as () => bigint);
      this.slots.fill(slot);
      const side = sideOf(record);
      // One that was there before, and is made again with a doubt, is still called by its neighbours.
      const before = u16[(side + Side.SLOT) >> 1];
      if (before !== 0) this.slots.close(before);
      this.cache.unpair(record);
      if (u16[(record + Rec.KIND) >> 1] !== Pseudo.REGION) u16[(side + Side.KIND) >> 1] = kinds.ownOf(u16[(record + Rec.KIND) >> 1]);
      u16[(side + Side.SLOT) >> 1] = slot;
      u16[(record + Rec.KIND) >> 1] = Pseudo.REGION;
      const rip = BigInt.asUintN(64, entry.rip + BigInt(entry.offset));
      const { map, offset, again, doubts } = entry;
      const pending: Pending = { where: job.where, key: keyOf(job.where), map, rip: entry.rip, linear: entry.linear, offset, record, again, doubts };
      const region: Region = { pending, slot, module: shared, record, pages, records, instructions, bytes: size, isCounted: job.isCounted, rip };
      if (slot < COUNTED) this.u32.fill(0, countsAt(slot), countsAt(slot + 1));
      shared.regions.add(region);
      this.listener?.made(this.infoOf(region));
      for (const { map } of pages) {
        let there = this.byMap.get(map);
        if (!there) this.byMap.set(map, (there = new Set()));
        there.add(region);
      }
      this.compiled++;
      this.instructions += instructions;
    }
    this.evict(shared);
  }

  /** Keep within bounds: the oldest modules go, an eighth at a time. What is hot becomes hot again. */
  private evict(keep: Module): void {
    const most = this.options!.bytesMax ?? BYTES_MAX;
    if (this.liveBytes <= most && this.slots.left >= BATCH_MAX) return;
    const wanted = most - (most >> 3);
    for (const module of this.live) {
      if (module === keep || (this.liveBytes <= wanted && this.slots.left >= 2 * BATCH_MAX)) break;
      for (const region of module.regions) this.drop(region);
    }
    // Nothing is being executed now but what asked for the code, and that looks where it goes on.
    Atomics.store(this.records.i32, (this.cpu + Cpu.EXIT_REQUEST) >> 2, 1);
  }

  /** What is told of a region. */
  infoOf({ rip, pending, instructions, bytes, pages, slot, isCounted }: Region): RegionInfo {
    const at = countsAt(slot);
    const counts = isCounted && slot < COUNTED ? { entries: this.u32[at], exits: this.byCause(at + 1) } : null;
    return { rip, linear: linearOf(pending), instructions, bytes, pages: pages.length, counts };
  }

  /** What is compiled now. */
  get regions(): RegionInfo[] {
    return [...this.live].flatMap((module) => [...module.regions].map((region) => this.infoOf(region)));
  }

  /**
   * Live regions that execute the instruction at a place, those that begin there first, and then the largest; with the linear address of each one's first page.
   * @param maps of the physical page that is there now; without any, where regions were when they were compiled counts
   */
  regionsAt(linear: bigint, maps: readonly number[]): { region: Region; page: bigint }[] {
    const offset = Number(linear & 0xfffn);
    const out: { region: Region; page: bigint }[] = [];
    for (const { regions } of this.live) {
      for (const region of regions) {
        for (const { map, delta } of region.pages) {
          const page = BigInt.asUintN(64, linear - BigInt(offset) - BigInt(delta) * PAGE);
          const isThere = maps.length > 0 ? maps.includes(map) : page === region.pending.linear;
          if (isThere && region.records.includes(this.u32[(map >> 2) + offset])) out.push({ region, page });
        }
      }
    }
    const begins = ({ region: { pending } }: { region: Region }): number => Number(pending.offset === offset);
    return out.sort((a, b) => begins(b) - begins(a) || b.region.instructions - a.region.instructions);
  }

  private byCause(at: number): Record<string, number> {
    return Object.fromEntries(CAUSES.map((name, n) => [name, this.u32[at + n]]));
  }

  /** How often regions were entered by the interpreter, and how often control left them for good, by cause. */
  get counts(): { entries: number; exits: Record<string, number> } {
    const at = (this.cpu + Cpu.REGION_ENTRIES) >> 2;
    return { entries: this.u32[at], exits: this.byCause(at + 1) };
  }

  /** Records of a page are about to go, these or all, and what was made of them. */
  private pageCleared(page: CodePage, records: readonly number[] | null): void {
    if (records) {
      for (const record of records) {
        this.known[numberOf(record)] = Known.NOTHING;
        this.queue.forget(record);
      }
    } else {
      for (const chunk of page.chunks) {
        this.known.fill(Known.NOTHING, numberOf(chunk), numberOf(chunk) + CHUNK_RECORDS);
        if (!this.queue.isEmpty) for (let n = 0; n < CHUNK_RECORDS; n++) this.queue.forget(chunk + n * Rec.SIZE);
      }
    }
    const regions = this.byMap.get(page.map);
    if (!regions) return;
    const gone = records && new Set(records);
    let isDropped = false;
    for (const region of regions) {
      if (gone && !region.records.some((record) => gone.has(record))) continue;
      this.drop(region);
      isDropped = true;
    }
    // A region that is being executed must not go on into what is no longer there.
    if (isDropped) Atomics.store(this.records.i32, (this.cpu + Cpu.EXIT_REQUEST) >> 2, 1);
  }

  private drop(region: Region): void {
    const { slot, record, module, pages } = region;
    this.dropped++;
    this.listener?.dropped(this.infoOf(region));
    for (const { map } of pages) {
      const regions = this.byMap.get(map);
      regions?.delete(region);
      if (regions?.size === 0) this.byMap.delete(map);
    }
    const { u16 } = this.records;
    const side = sideOf(record);
    if (u16[(side + Side.SLOT) >> 1] === slot) {
      u16[(side + Side.SLOT) >> 1] = 0;
      if (u16[(record + Rec.KIND) >> 1] === Pseudo.REGION) u16[(record + Rec.KIND) >> 1] = u16[(side + Side.KIND) >> 1];
      u16[(side + Side.COUNT) >> 1] = 0;
    }
    this.slots.close(slot);
    this.table.set(slot, this.none);
    // Its neighbours in the module may still call it by its function, which asks the limit of its slot.
    module.regions.delete(region);
    if (module.regions.size > 0) return;
    for (const { slot: place, record: first } of module.entries) this.slots.release(place, first);
    this.live.delete(module);
    this.liveBytes -= module.bytes;
  }
}
