// The cache of decoded code: for each physical page and code mode a map from page offset to record, and the records themselves.
// It lives in the shared memory (Mem.RECORDS), bounded; what was decoded first is dropped first. A write to code comes to
// invalidateChunks(), or invalidate() for a whole page: its records turn into RESYNC, so that even the block being executed notices before its next instruction.

import { CodeTlb, Cpu, Mem, Mode, Pmap, Rec, Seg, Tlb, Vector } from '../core/layout.ts';
import { Decoder, DecodeResult } from '../x86/decode.ts';
import { kinds, Pseudo } from './kinds.ts';
import { RecordWriter } from './records.ts';

const PAGE = 0x1000;
const MAP_BYTES = PAGE * 4;
const MAP_SLOTS = 1792;
/** Records of a chunk, the unit in which pages take them. */
export const CHUNK_RECORDS = 64;
const CHUNK_BYTES = CHUNK_RECORDS * Rec.SIZE;
const CHUNKS_AT = Mem.RECORDS + MAP_SLOTS * MAP_BYTES;
const CHUNK_COUNT = Math.floor((Mem.RECORDS + Mem.RECORDS_SIZE - CHUNKS_AT) / CHUNK_BYTES);
/** Records kept free at a chunk's end: the longest instruction's, and a CHAIN. */
const RESERVE = 5;
/** Bytes of a part of a page that Mem.CODE_CHUNKS has a bit for. */
const CODE_CHUNK = 64;
/** With more chunks of records than this, most of a page's records are of code that was dropped. */
const CHUNKS_MAX = 96;
/** Instructions in one block at most. */
const BLOCK_LIMIT = 1024;
const NO_PAGE = 0xffff_ffff;
/** Halves of an address. */
const LOW = 0;
const HIGH = 1;
/** The map without entries, for pages that are reached but hold no block yet. */
export const EMPTY_MAP: number = Mem.RECORDS;

/** Address of the counter that tells when what a map maps has been dropped. */
export const generationOf = (map: number): number => Mem.CODE_GENERATIONS + ((map - Mem.RECORDS) / MAP_BYTES) * 4;

const joined = (low: number, high: number): bigint => (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);

const MAX_INSTRUCTION = 15;
const ENTERS_HANDLER = new Set(['int', 'int3', 'int1', 'into', 'syscall', 'sysenter']);

/** What the cache calls in core.wasm. */
export interface CacheCore {
  /** Translate for execution and fill the TLB: physical page number, or 0xffffffff with the exception pending. */
  fetch_page_at(cpu: number, low: number, high: number): number;
  clear_memory(at: number, bytes: number): void;
  tlb_forget_writes(cpu: number, physicalPage: number): void;
}

/** Told about every block decoded, for -d in_asm. */
export interface DecodeListener {
  decoded(linear: bigint, bytes: Uint8Array, mode: number): void;
  /** One instruction, decoded each time it is executed. */
  stepped(linear: bigint, bytes: Uint8Array, mode: number): void;
}

export interface CodePage {
  readonly physical: number;
  readonly mode: number;
  /** Cpu.MODE, and 16 for user mode. */
  readonly key: number;
  /** Address of the map. */
  readonly map: number;
  readonly chunks: number[];
  /** Where the next record goes, and the end of that chunk. */
  at: number;
  end: number;
  /** Physical pages into which this one's last instructions reach. */
  readonly reaches: Set<number>;
}

export class CodeCache {
  /** Code pages by key(), oldest first. */
  private readonly pages = new Map<number, CodePage>();
  /** The same by physical page number. */
  private readonly byPhysical = new Map<number, Set<CodePage>>();
  /** Pages whose last instruction lies partly on this physical page. */
  private readonly reachedBy = new Map<number, Set<CodePage>>();
  private readonly freeMaps: number[] = [];
  private readonly freeChunks: number[] = [];
  private readonly decoder = new Decoder();
  private readonly writer: RecordWriter;
  private readonly u8: Uint8Array;
  private readonly u16: Uint16Array;
  private readonly u32: Uint32Array;
  private readonly u64: BigUint64Array;
  private readonly split = new Uint8Array(2 * MAX_INSTRUCTION + 2);
  /** Pages by the address of their map. */
  private readonly byMap = new Map<number, CodePage>();
  /** The address in question, in halves, because look-ups are too many for BigInts; in an array, because fields take another form in V8 when a half is no small integer. */
  private readonly address = new Int32Array(2);
  /** What fetch() found. */
  private fetchedPhysical = 0;
  private fetchedHost = 0;
  listener: DecodeListener | null = null;
  /** Records of a page are about to go: these, the first of each instruction, or with null all. */
  onClear: ((page: CodePage, records: readonly number[] | null) => void) | null = null;
  /** Counts for statistics. */
  decodedInstructions = 0;
  invalidations = 0;
  evictions = 0;
  /** The instruction of the last step() enters an interrupt handler by itself (INT n, SYSCALL …). */
  steppedInterrupt = false;

  constructor(
    buffer: ArrayBufferLike,
    private readonly core: CacheCore,
    private readonly cpus: readonly number[],
  ) {
    this.u8 = new Uint8Array(buffer);
    this.u16 = new Uint16Array(buffer);
    this.u32 = new Uint32Array(buffer);
    this.u64 = new BigUint64Array(buffer);
    this.writer = new RecordWriter(buffer);
    for (let n = MAP_SLOTS - 1; n >= 1; n--) this.freeMaps.push(Mem.RECORDS + n * MAP_BYTES);
    for (let n = CHUNK_COUNT - 1; n >= 0; n--) this.freeChunks.push(CHUNKS_AT + n * CHUNK_BYTES);
  }

  /** Linear address of RIP. */
  linear(cpu: number): bigint {
    const rip = this.u64[(cpu + Cpu.RIP) >> 3];
    if ((this.u32[(cpu + Cpu.MODE) >> 2] & Mode.CODE_MASK) === Mode.CODE64) return rip;
    return (rip + this.u64[(cpu + Cpu.CS + Seg.BASE) >> 3]) & 0xffff_ffffn;
  }

  /** Where linear() lies, into address. */
  private locate(cpu: number, mode: number): void {
    const { address } = this;
    address[LOW] = this.u32[(cpu + Cpu.RIP) >> 2];
    address[HIGH] = this.u32[((cpu + Cpu.RIP) >> 2) + 1];
    if ((mode & Mode.CODE_MASK) === Mode.CODE64) return;
    address[LOW] += this.u32[(cpu + Cpu.CS + Seg.BASE) >> 2];
    address[HIGH] = 0;
  }

  /** From address to the first one of the page after. */
  private toPageAfter(mode: number): void {
    const { address } = this;
    address[LOW] = (address[LOW] & ~(PAGE - 1)) + PAGE;
    if (address[LOW] === 0 && (mode & Mode.CODE_MASK) === Mode.CODE64) address[HIGH]++;
  }

  /**
   * Translate address for execution, into fetchedPhysical and fetchedHost, the page's address in the shared memory.
   * False: an exception is pending.
   */
  private fetch(cpu: number): boolean {
    const physical = this.core.fetch_page_at(cpu, this.address[LOW], this.address[HIGH]) >>> 0;
    if (physical === NO_PAGE) return false;
    const entry = this.u32[(Mem.PMAP >> 2) + physical];
    if (!(entry & Pmap.READ) || physical >= 0x10_0000) {
      throw new Error(`the guest executes at physical address 0x${(physical * PAGE).toString(16)}, where there is neither RAM nor ROM`);
    }
    const known = this.pages.get(this.key(cpu, physical));
    this.u32[(this.slot(cpu, this.address[LOW]) + CodeTlb.CODE_MAP) >> 2] = known ? known.map : EMPTY_MAP;
    this.fetchedPhysical = physical;
    this.fetchedHost = (entry & ~(PAGE - 1)) >>> 0;
    return true;
  }

  /** Address of the TLB's entry for code at a linear address, by its low half. */
  private slot(cpu: number, low: number): number {
    return this.u32[(cpu + Cpu.CODE_TLB) >> 2] + ((low >>> 12) & (CodeTlb.ENTRIES - 1)) * CodeTlb.ENTRY_SIZE;
  }

  private raise(cpu: number, vector: Vector, error: number | null): number {
    this.u32[(cpu + Cpu.FAULT) >> 2] = vector + 1;
    this.u32[(cpu + Cpu.FAULT_ERROR) >> 2] = error ?? 0;
    this.u32[(cpu + Cpu.FAULT_HAS_ERROR) >> 2] = error === null ? 0 : 1;
    return 0;
  }

  /** Does RIP lie beyond the code segment's limit? */
  private isBeyondLimit(cpu: number, mode: number): boolean {
    if ((mode & Mode.CODE_MASK) === Mode.CODE64) return false;
    const rip = (cpu + Cpu.RIP) >> 2;
    return this.u32[rip + 1] !== 0 || this.u32[rip] > this.u32[(cpu + Cpu.CS + Seg.LIMIT) >> 2];
  }

  /** RIP_PAGE: RIP of offset 0 of its page. */
  private setRipPage(cpu: number, offset: number): void {
    const rip = (cpu + Cpu.RIP) >> 2;
    const page = (cpu + Cpu.RIP_PAGE) >> 2;
    const low = this.u32[rip];
    this.u32[page] = low - offset;
    this.u32[page + 1] = this.u32[rip + 1] - (low < offset ? 1 : 0);
  }

  /** The record of the instruction at RIP, decoded if need be; sets RIP_PAGE. 0: an exception is pending. */
  lookup(cpu: number): number {
    const mode = this.u32[(cpu + Cpu.MODE) >> 2];
    if (this.isBeyondLimit(cpu, mode)) return this.raise(cpu, Vector.GP, 0);
    this.locate(cpu, mode);
    if (!this.fetch(cpu)) return 0;
    const { fetchedPhysical: physical, fetchedHost: host } = this;
    const low = this.address[LOW];
    const high = this.address[HIGH];
    const offset = low & (PAGE - 1);
    const page = this.page(cpu, physical, mode);
    let record = this.u32[(page.map >> 2) + offset];
    if (record !== 0 && this.u16[(record + Rec.KIND) >> 1] === Pseudo.CROSSING) {
      this.toPageAfter(mode);
      if (!this.fetch(cpu)) return 0;
      if (this.fetchedHost !== this.u32[(record + Rec.IMM) >> 2]) {
        this.drop(page, [record]);
        record = 0;
      }
    }
    if (record === 0) record = this.decodeBlock(cpu, page, host, offset, low, high, mode);
    if (record !== 0) this.setRipPage(cpu, offset);
    return record;
  }

  /** Code is kept by physical page, mode and whether it runs in user mode, whose TLB is another. */
  private key(cpu: number, physical: number): number {
    const user = this.u32[(cpu + Cpu.TLB) >> 2] === cpu + Cpu.TLB_USER ? 16 : 0;
    return physical * 32 + user + this.u32[(cpu + Cpu.MODE) >> 2];
  }

  /** The page of decoded code that a linear page address stands for now, if the TLB knows it. */
  pageAt(cpu: number, linear: bigint): CodePage | null {
    const slot = this.slot(cpu, Number(BigInt.asUintN(32, linear)));
    if (this.u64[(slot + CodeTlb.TAG) >> 3] !== BigInt.asUintN(64, linear)) return null;
    return this.byMap.get(this.u32[(slot + CodeTlb.CODE_MAP) >> 2]) ?? null;
  }

  /** Maps of the code that was decoded on a physical page, by its number. */
  mapsOf(physical: number): number[] {
    return [...(this.byPhysical.get(physical) ?? [])].map(({ map }) => map);
  }

  /** Number of the physical page that a map is of. */
  physicalOf(map: number): number | undefined {
    return this.byMap.get(map)?.physical;
  }

  /** The page of decoded code at address. */
  private page(cpu: number, physical: number, mode: number): CodePage {
    const key = this.key(cpu, physical);
    let page = this.pages.get(key);
    if (page) return page;
    if (this.freeMaps.length === 0) this.evict();
    const map = this.freeMaps.pop()!;
    // It is empty: memory begins so, and clear() leaves it so.
    page = { physical, mode, key: key % 32, map, chunks: [], at: 0, end: 0, reaches: new Set() };
    this.pages.set(key, page);
    this.byMap.set(map, page);
    let same = this.byPhysical.get(physical);
    if (!same) this.byPhysical.set(physical, (same = new Set()));
    same.add(page);
    this.u32[(this.slot(cpu, this.address[LOW]) + CodeTlb.CODE_MAP) >> 2] = map;
    return page;
  }

  /** Make room for an instruction's records; a block that outgrows its chunk goes on in another. */
  private room(page: CodePage, offset: number, ordinal: number): void {
    if (page.at + RESERVE * Rec.SIZE <= page.end) return;
    if (this.freeChunks.length === 0) this.evict(page);
    const chunk = this.freeChunks.pop()!;
    page.chunks.push(chunk);
    if (ordinal > 0) {
      this.writer.at = page.at;
      this.writer.chain(chunk, offset, ordinal);
    }
    page.at = chunk;
    page.end = chunk + CHUNK_BYTES;
  }

  private markCode(physical: number, from: number, to: number): void {
    const at = (Mem.CODE_CHUNKS >> 2) + physical * 2;
    const before = this.u32[at] | this.u32[at + 1];
    for (let chunk = from >> 6; chunk <= (to - 1) >> 6; chunk++) this.u32[at + (chunk >> 5)] |= 1 << (chunk & 31);
    if (before === 0) for (const cpu of this.cpus) this.core.tlb_forget_writes(cpu, physical);
  }

  /**
   * Bytes from RIP to the code segment's limit, that one included. Checked when code is decoded: code that two segments
   * with different limits share is held to the limit it was decoded under.
   */
  private segmentRoom(cpu: number, mode: number): number {
    if ((mode & Mode.CODE_MASK) === Mode.CODE64) return Infinity;
    return this.u32[(cpu + Cpu.CS + Seg.LIMIT) >> 2] + 1 - Number(this.u64[(cpu + Cpu.RIP) >> 3]);
  }

  private decodeBlock(cpu: number, page: CodePage, host: number, start: number, low: number, high: number, mode: number): number {
    const { decoder, writer } = this;
    const bits = 16 << (mode & Mode.CODE_MASK);
    const mapAt = page.map >> 2;
    let offset = start;
    let ordinal = 0;
    let first = 0;
    let shadow = false;
    /** The end of the records before. */
    let last = 0;
    // A page offset beyond which the code segment ends.
    const end = start + this.segmentRoom(cpu, mode);
    for (;;) {
      if (ordinal > 0 && this.u32[mapAt + offset] !== 0) {
        writer.at = page.at;
        writer.chain(this.u32[mapAt + offset], offset, ordinal);
        page.at = writer.at;
        break;
      }
      this.room(page, offset, ordinal);
      writer.at = page.at;
      const result = decoder.decode(this.u8, host + offset, host + PAGE, bits);
      if (result === DecodeResult.TRUNCATED) {
        if (ordinal > 0) {
          writer.pseudo(Pseudo.RESYNC, offset, ordinal);
          page.at = writer.at;
          break;
        }
        return this.decodeCrossing(cpu, page, host, offset, low, high, mode);
      }
      const record = writer.at;
      if (result !== DecodeResult.OK) {
        writer.pseudo(result === DecodeResult.INVALID ? Pseudo.INVALID : Pseudo.TOO_LONG, offset, ordinal);
        page.at = writer.at;
        this.publish(page, offset, record);
        first ||= record;
        this.markCode(page.physical, offset, Math.min(PAGE, offset + decoder.length));
        break;
      }
      const length = decoder.length;
      if (offset + length > end) {
        if (ordinal === 0) return this.raise(cpu, Vector.GP, 0);
        // The next look-up, at the instruction itself, raises the exception.
        writer.pseudo(Pseudo.RESYNC, offset, ordinal);
        page.at = writer.at;
        break;
      }
      writer.instruction(decoder, mode, offset, ordinal);
      const definition = decoder.definition;
      this.decodedInstructions++;
      const at = offset;
      offset += length;
      ordinal++;
      const check = shadow || definition.interrupts === 'after';
      shadow = definition.interrupts === 'shadow';
      if (check) writer.pseudo(Pseudo.INTERRUPT_CHECK, offset, ordinal);
      page.at = writer.at;
      this.pair(record === last ? record - Rec.SIZE : record, page.at);
      last = page.at;
      this.publish(page, at, record);
      first ||= record;
      if (definition.ends) break;
      if (definition.resync || offset >= PAGE || ordinal >= BLOCK_LIMIT) {
        writer.pseudo(Pseudo.RESYNC, offset, ordinal);
        page.at = writer.at;
        break;
      }
    }
    this.markCode(page.physical, start, Math.min(PAGE, Math.max(offset, start + 1)));
    this.listener?.decoded(joined(low, high), this.u8.slice(host + start, host + Math.min(PAGE, offset)), bits);
    return first;
  }

  /** Of records behind one another, each that one dispatch can execute with the next gets the pair's kind. */
  private pair(from: number, end: number): void {
    const { u16 } = this;
    for (let at = (from + Rec.KIND) >> 1; at < (end - Rec.SIZE) >> 1; at += Rec.SIZE / 2) {
      const pair = kinds.pairOf(u16[at], u16[at + Rec.SIZE / 2]);
      if (pair !== 0) u16[at] = pair;
    }
  }

  /** A record's kind is about to change: the one before it, if there is one, does not execute it any more. */
  unpair(record: number): void {
    if (record === Mem.RECORDS) return;
    const at = (record - Rec.SIZE + Rec.KIND) >> 1;
    this.u16[at] = kinds.ownOf(this.u16[at]);
  }

  /** The map leads to records that are complete: the compiler may read them at any time, on another thread. */
  private publish(page: CodePage, offset: number, record: number): void {
    Atomics.store(this.u32, (page.map >> 2) + offset, record);
  }

  /** A block of one instruction that lies on two pages. */
  private decodeCrossing(cpu: number, page: CodePage, host: number, offset: number, low: number, high: number, mode: number): number {
    const { decoder, writer, split } = this;
    this.address[LOW] = low;
    this.address[HIGH] = high;
    this.toPageAfter(mode);
    if (!this.fetch(cpu)) return 0;
    const { fetchedPhysical: secondPhysical, fetchedHost: secondHost } = this;
    const head = PAGE - offset;
    split.set(this.u8.subarray(host + offset, host + PAGE), 0);
    split.set(this.u8.subarray(secondHost, secondHost + MAX_INSTRUCTION), head);
    const result = decoder.decode(split, 0, head + MAX_INSTRUCTION, 16 << (mode & Mode.CODE_MASK));
    if (result === DecodeResult.OK && decoder.length > this.segmentRoom(cpu, mode)) return this.raise(cpu, Vector.GP, 0);
    const record = page.at;
    writer.at = record;
    writer.crossing(secondHost, offset, 0);
    if (result === DecodeResult.OK) {
      writer.instruction(decoder, mode, offset, 0);
      this.decodedInstructions++;
      writer.pseudo(Pseudo.RESYNC, offset + decoder.length, 1);
    } else {
      writer.pseudo(result === DecodeResult.INVALID ? Pseudo.INVALID : Pseudo.TOO_LONG, offset, 0);
    }
    page.at = writer.at;
    this.publish(page, offset, record);
    this.markCode(page.physical, offset, PAGE);
    this.markCode(secondPhysical, 0, Math.max(1, decoder.length - head));
    page.reaches.add(secondPhysical);
    let reached = this.reachedBy.get(secondPhysical);
    if (!reached) this.reachedBy.set(secondPhysical, (reached = new Set()));
    reached.add(page);
    this.listener?.decoded(joined(low, high), split.slice(0, decoder.length), 16 << (mode & Mode.CODE_MASK));
    return record;
  }

  /** Records of the instruction at RIP alone, followed by STEP_END; never cached. 0: an exception is pending. */
  step(cpu: number): number {
    const mode = this.u32[(cpu + Cpu.MODE) >> 2];
    if (this.isBeyondLimit(cpu, mode)) return this.raise(cpu, Vector.GP, 0);
    this.locate(cpu, mode);
    if (!this.fetch(cpu)) return 0;
    const host = this.fetchedHost;
    const low = this.address[LOW];
    const high = this.address[HIGH];
    const offset = low & (PAGE - 1);
    const bits = 16 << (mode & Mode.CODE_MASK);
    const { decoder, writer, split } = this;
    let result = decoder.decode(this.u8, host + offset, host + PAGE, bits);
    const isSplit = result === DecodeResult.TRUNCATED;
    if (isSplit) {
      this.toPageAfter(mode);
      if (!this.fetch(cpu)) return 0;
      split.set(this.u8.subarray(host + offset, host + PAGE), 0);
      split.set(this.u8.subarray(this.fetchedHost, this.fetchedHost + MAX_INSTRUCTION), PAGE - offset);
      result = decoder.decode(split, 0, PAGE - offset + MAX_INSTRUCTION, bits);
    }
    if (result === DecodeResult.OK && decoder.length > this.segmentRoom(cpu, mode)) return this.raise(cpu, Vector.GP, 0);
    const record = cpu + Cpu.STEP_RECORDS;
    writer.at = record;
    this.steppedInterrupt = result === DecodeResult.OK && ENTERS_HANDLER.has(decoder.definition.name);
    if (result === DecodeResult.OK) {
      writer.instruction(decoder, mode, offset, 0);
      writer.pseudo(Pseudo.STEP_END, offset + decoder.length, 1);
    } else {
      writer.pseudo(result === DecodeResult.INVALID ? Pseudo.INVALID : Pseudo.TOO_LONG, offset, 0);
    }
    this.setRipPage(cpu, offset);
    this.listener?.stepped(joined(low, high), isSplit ? split.slice(0, decoder.length) : this.u8.slice(host + offset, host + offset + decoder.length), bits);
    return record;
  }

  /** Drop the code on a physical page: its bytes are about to change. */
  invalidate(physical: number): void {
    this.invalidations++;
    const dropped = [...(this.byPhysical.get(physical) ?? []), ...(this.reachedBy.get(physical) ?? [])];
    for (const page of dropped) this.clear(page);
    this.u32[(Mem.CODE_CHUNKS >> 2) + physical * 2] = 0;
    this.u32[(Mem.CODE_CHUNKS >> 2) + physical * 2 + 1] = 0;
  }

  /**
   * Drop the code in parts of a physical page that were written: loaders and systems of old keep variables beside their code.
   * @param first the first of the parts of 64 bytes, and the last
   */
  invalidateChunks(physical: number, first: number, last: number): void {
    const pages = this.byPhysical.get(physical);
    const isReached = first === 0 && (this.reachedBy.get(physical)?.size ?? 0) > 0;
    if (isReached || (pages && [...pages].some((page) => page.chunks.length > CHUNKS_MAX))) return this.invalidate(physical);
    this.invalidations++;
    for (const page of pages ?? []) {
      // An instruction that begins before may reach into it.
      const from = Math.max(0, first * CODE_CHUNK - (MAX_INSTRUCTION - 1));
      const gone: number[] = [];
      for (let at = (page.map >> 2) + from; at < (page.map >> 2) + (last + 1) * CODE_CHUNK; at++) {
        if (this.u32[at] === 0) continue;
        gone.push(this.u32[at]);
        this.u32[at] = 0;
      }
      if (gone.length > 0) this.drop(page, gone);
    }
    for (let chunk = first; chunk <= last; chunk++) this.u32[(Mem.CODE_CHUNKS >> 2) + physical * 2 + (chunk >> 5)] &= ~(1 << (chunk & 31));
  }

  /** Forget records that the page's map no longer leads to. */
  private drop(page: CodePage, records: readonly number[]): void {
    this.onClear?.(page, records);
    for (const record of records) {
      this.unpair(record);
      this.u16[(record + Rec.KIND) >> 1] = Pseudo.RESYNC;
    }
    this.nextGeneration(page);
  }

  /** After the records have gone: what the compiler began to read before, it reads of an older generation. */
  private nextGeneration(page: CodePage): void {
    Atomics.add(this.u32, generationOf(page.map) >> 2, 1);
  }

  /** Forget a page's records; the page and its empty map stay. */
  private clear(page: CodePage): void {
    this.onClear?.(page, null);
    for (const chunk of page.chunks) {
      const end = page.at > chunk && page.at <= chunk + CHUNK_BYTES ? page.at : chunk + CHUNK_BYTES;
      for (let record = chunk; record < end; record += Rec.SIZE) this.u16[(record + Rec.KIND) >> 1] = Pseudo.RESYNC;
      this.freeChunks.push(chunk);
    }
    page.chunks.length = 0;
    page.at = 0;
    page.end = 0;
    this.core.clear_memory(page.map, MAP_BYTES);
    this.nextGeneration(page);
    for (const second of page.reaches) this.reachedBy.get(second)?.delete(page);
    page.reaches.clear();
  }

  /** Drop the oldest eighth of the pages, but for one that is in use. */
  private evict(keep?: CodePage): void {
    this.evictions++;
    const gone = new Set<number>();
    const count = Math.max(1, this.pages.size >> 3);
    for (const [key, page] of this.pages) {
      if (gone.size >= count) break;
      if (page === keep) continue;
      this.clear(page);
      this.pages.delete(key);
      const same = this.byPhysical.get(page.physical)!;
      same.delete(page);
      if (same.size === 0) {
        this.byPhysical.delete(page.physical);
        if (!this.reachedBy.get(page.physical)?.size) {
          this.u32[(Mem.CODE_CHUNKS >> 2) + page.physical * 2] = 0;
          this.u32[(Mem.CODE_CHUNKS >> 2) + page.physical * 2 + 1] = 0;
        }
      }
      gone.add(page.map);
      this.byMap.delete(page.map);
      this.freeMaps.push(page.map);
    }
    for (const cpu of this.cpus) {
      for (const table of [Cpu.CODE_TLB_SUPERVISOR, Cpu.CODE_TLB_USER]) {
        for (let n = 0; n < CodeTlb.ENTRIES; n++) {
          const entry = cpu + table + n * CodeTlb.ENTRY_SIZE;
          if (gone.has(this.u32[(entry + CodeTlb.CODE_MAP) >> 2])) this.u64[(entry + CodeTlb.TAG) >> 3] = BigInt(Tlb.INVALID);
        }
      }
    }
  }

  /** Drop everything, as after a reset. */
  flush(): void {
    for (const page of [...this.pages.values()]) {
      this.clear(page);
      this.freeMaps.push(page.map);
      this.u32[(Mem.CODE_CHUNKS >> 2) + page.physical * 2] = 0;
      this.u32[(Mem.CODE_CHUNKS >> 2) + page.physical * 2 + 1] = 0;
    }
    for (const second of this.reachedBy.keys()) {
      this.u32[(Mem.CODE_CHUNKS >> 2) + second * 2] = 0;
      this.u32[(Mem.CODE_CHUNKS >> 2) + second * 2 + 1] = 0;
    }
    this.pages.clear();
    this.byMap.clear();
    this.byPhysical.clear();
    this.reachedBy.clear();
  }
}
