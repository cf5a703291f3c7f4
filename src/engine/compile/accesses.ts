// Where guest memory lies that compiled code accesses: by what is known of pages and of addresses as sums (pages.ts), by a stream of the loop,
// as part of a table, or by the TLB. docs/compiler.md, Memory.

import { RegionCause, Tlb } from '../../core/layout.ts';
import type { FunctionBuilder, Value } from '../../wasm/function.ts';
import { PAGE_MASK } from '../handlers.ts';
import { Fixed, type KnownPages, type Span, type Stream, type Symbol } from './pages.ts';

const PAGE_SIZE = 4096;
/** Bytes of a table that is looked up as one. */
const TABLE_MAX = 2048;
/** RIP of the region's first page, a parameter of its function. */
const RIP_LOCAL = 1;
/** Offsets may be larger than V8's small integers: -0 is none either, and so V8 knows from the first Symbol on, and need not optimise anew. */
const FIXED_ZERO: Symbol = { id: Fixed.ZERO, offset: -0 };

/** An address in the shared memory (i32), and an offset to add. */
export interface Place {
  readonly host: Value;
  readonly offset: number;
}

/** base + offset + index * scale, where the index has few bits. */
interface Bounded {
  readonly base: Value | null;
  readonly offset: number;
  readonly index: Value;
  readonly scale: number;
  /** Of base + offset. */
  readonly symbol: Symbol;
}

/** What the builder of the code says and does. */
interface AccessBuilder {
  /** The general register that a local holds. */
  registerOf(local: number): number | undefined;
  /** CompileBuilder.isWide */
  isWide(): boolean;
  /** In a branch of a meaning: what is looked up there is not known after it. */
  isConditional(): boolean;
  maskAddress(address: Value): Value;
  /** Of an address (a local) the TLB's entry; whether it holds an access; the address in the shared memory; what leads there. */
  tlbEntry(address: Value): Value;
  hit(address: Value, entry: Value, bytes: number, tag: Tlb): Value;
  host(address: Value, entry: Value): Value;
  addend(entry: Value): Value;
  /** Where in the vCPU area the access about to be made keeps the page it was on last (Cpu.SITES), or null. */
  site(write: boolean): number | null;
  /** Addresses have 32 bits. */
  isNarrow(): boolean;
  /** Leave the region. */
  exitIf(condition: Value, cause: RegionCause): void;
}

export class Accesses {
  /** What is known of locals that the instruction made, by their index. */
  private readonly symbols = new Map<number, Symbol>();

  constructor(
    private readonly b: FunctionBuilder,
    private readonly pages: KnownPages,
    private readonly builder: AccessBuilder,
  ) {}

  /** An instruction begins. */
  begin(): void {
    this.symbols.clear();
  }

  /** A local has a new value. */
  made(local: number, symbol: Symbol | null): void {
    if (symbol) this.symbols.set(local, symbol);
    else this.symbols.delete(local);
  }

  /** Of eight bytes. */
  isInTable(address: Value): boolean {
    return this.boundedOf(address, 8) !== null;
  }

  /** A value as one that nobody knows and a constant; null: it is made otherwise. */
  symbolOf(value: Value): Symbol | null {
    const linear = value.linear();
    if (!linear) return null;
    const base = linear.base ? this.symbolOfLocal(linear.base) : FIXED_ZERO;
    const index = linear.index ? this.symbolOfLocal(linear.index) : FIXED_ZERO;
    if (!base || !index) return null;
    const { id, offset } = linear.index ? this.pages.sum(base, index, linear.scale) : base;
    return { id, offset: offset + linear.offset };
  }

  private symbolOfLocal(value: Value): Symbol | null {
    const local = value.local!;
    if (local === RIP_LOCAL) return { id: Fixed.RIP, offset: 0 };
    const register = this.builder.registerOf(local);
    return register === undefined ? (this.symbols.get(local) ?? null) : this.pages.symbol(register, 0);
  }

  /**
   * Where a guest operand lies in the shared memory, by the TLB or by what is known of its page: an address and an offset to add. The region
   * is left where it is not there.
   */
  place(address: Value, bytes: number, write: boolean): Place {
    const bounded = !this.builder.isConditional() && !this.builder.isWide() ? this.boundedOf(address, bytes) : null;
    if (bounded) return this.placeInTable(bounded, bytes, write);
    const symbol = this.symbolOf(address);
    const lookUp = (): Value => this.lookedUp(this.b.let(address), bytes, write, symbol);
    if (!symbol) return { host: this.b.let(lookUp()), offset: 0 };
    const known = this.pages.near(symbol, bytes, write, this.builder.isWide() ? PAGE_SIZE : undefined);
    // What a branch of a meaning looks up is not known after it.
    if (this.builder.isConditional() && !(known && (known.span || this.builder.isWide()))) return { host: this.b.let(lookUp()), offset: 0 };
    if (!known) {
      const host = lookUp();
      const page = this.pages.note(symbol, bytes, write);
      page.host.set(host);
      return { host: page.host.get(), offset: 0 };
    }
    // Less than a page; the offsets may be no small numbers.
    const distance = (symbol.offset - known.offset) | 0;
    const host = known.host.get();
    if (this.builder.isWide()) {
      const found = this.b.variable('i32');
      this.b.if(
        this.b.leU(this.b.add(this.b.and(host, PAGE_SIZE - 1), distance), PAGE_SIZE - bytes),
        () => found.set(this.b.add(host, distance)),
        () => found.set(lookUp()),
        'mostly',
      );
      return { host: found.get(), offset: 0 };
    }
    if (known.span) this.pages.lengthen(known.span, distance, bytes);
    else this.isOnPage(known.host.get(), this.pages.spans(known, distance, bytes));
    return distance < 0 ? { host: this.b.let(this.b.add(host, distance)), offset: 0 } : { host, offset: distance };
  }

  /** An address in a table of less than a page, by an index of few bits; null: it is none. */
  private boundedOf(address: Value, bytes: number): Bounded | null {
    const linear = address.linear();
    if (!linear) return null;
    const { scale, offset } = linear;
    const isFew = (value: Value | null, times: number): boolean => value !== null && value.width < 12 && (2 ** value.width - 1) * times + bytes <= TABLE_MAX;
    const bounded = (base: Value | null, index: Value, times: number): Bounded | null => {
      const symbol = base ? this.symbolOfLocal(base) : FIXED_ZERO;
      return symbol && { base, offset, index, scale: times, symbol: { id: symbol.id, offset: symbol.offset + offset } };
    };
    if (isFew(linear.index, scale)) return bounded(linear.base, linear.index!, scale);
    if (isFew(linear.base, 1) && scale <= 1) return bounded(linear.index, linear.base!, 1);
    return null;
  }

  /** The table is looked up, all of it on one page, and the index comes afterwards: it may be the end of a long chain. */
  private placeInTable({ base, offset, index, scale, symbol }: Bounded, bytes: number, write: boolean): Place {
    const all = (2 ** index.width - 1) * scale + bytes;
    const at = this.b.let(this.b.mul(this.b.wrap(index), scale));
    let known = this.pages.near(symbol, all, write, TABLE_MAX);
    if (!known) {
      const start = this.b.let(this.builder.maskAddress(this.b.add(base ? this.b.extendU(base) : this.b.i64(0), this.b.i64(offset))));
      const page = this.pages.note(symbol, 1, write);
      // Before the look-up: what is on the table's page only will bring it into the TLB.
      this.isOnPage(this.b.let(this.b.wrap(start)), this.pages.spans(page, 0, all));
      page.host.set(this.lookedUp(start, 1, write, symbol));
      const host = this.b.let(this.b.add(page.host.get(), at));
      return { host, offset: 0 };
    }
    const distance = (symbol.offset - known.offset) | 0;
    if (known.span) this.pages.lengthen(known.span, distance, all);
    else this.isOnPage(known.host.get(), this.pages.spans(known, distance, all));
    const host = this.b.add(known.host.get(), at);
    return distance < 0 ? { host: this.b.let(this.b.add(host, distance)), offset: 0 } : { host: this.b.let(host), offset: distance };
  }

  /** By the TLB, and in a loop only where it is on another page than the last time. */
  private lookedUp(va: Value, bytes: number, write: boolean, symbol: Symbol | null): Value {
    const stream = symbol && !this.builder.isConditional() ? this.pages.streamOf(symbol, write) : null;
    if (stream) return this.streamed(va, bytes, write, stream);
    const site = this.builder.site(write);
    if (site !== null) return this.onSite(va, bytes, write, site);
    return this.builder.host(va, this.found(va, bytes, write));
  }

  /** The TLB's entry of an access; the region is left if it is not there. */
  private found(va: Value, bytes: number, write: boolean): Value {
    const entry = this.builder.tlbEntry(va);
    this.builder.exitIf(this.b.eqz(this.builder.hit(va, entry, bytes, write ? Tlb.TAG_WRITE : Tlb.TAG_READ)), RegionCause.MEMORY);
    return entry;
  }

  /** The same with what is known of the last access in memory: nothing to move where paths join, and no local that other values could have. */
  private onSite(va: Value, bytes: number, write: boolean, site: number): Value {
    const { b } = this;
    const at = b.i32(0);
    const isNarrow = this.builder.isNarrow();
    const masked = (mask: bigint): Value => (isNarrow ? b.and(b.wrap(va), Number(BigInt.asIntN(32, mask))) : b.and(va, mask));
    b.if(b.ne(masked(PAGE_MASK | BigInt(bytes - 1)), b.load(isNarrow ? 'i32' : 'i64', at, site)), () => {
      const entry = this.found(va, bytes, write);
      b.store(at, site, masked(PAGE_MASK));
      b.store(at, site + 8, this.builder.addend(entry));
    }, undefined, 'seldom');
    return b.add(b.wrap(va), b.load('i32', at, site + 8));
  }

  private streamed(va: Value, bytes: number, write: boolean, { page, addend }: Stream): Value {
    // An address that is no multiple of the size never compares equal: it may lie on two pages.
    this.b.if(this.b.ne(this.b.and(va, PAGE_MASK | BigInt(bytes - 1)), page.get()), () => {
      const entry = this.found(va, bytes, write);
      page.set(this.b.and(va, PAGE_MASK));
      addend.set(this.builder.addend(entry));
    }, undefined, 'seldom');
    return this.b.add(this.b.wrap(va), addend.get());
  }

  /** Leave unless a span about an address (a local, i32) lies on one page, as long as it will have become. */
  private isOnPage(address: Value, span: Span): void {
    const numbers = { from: 0, last: 0 };
    this.builder.exitIf(
      this.b.raw('i32', (w) => {
        address.emit(w);
        w.byte(0x41);
        numbers.from = w.length;
        w.short(span.from);
        w.bytes([0x6a, 0x41, 0xff, 0x1f, 0x71, 0x41]);
        numbers.last = w.length;
        w.short(PAGE_SIZE - (span.to - span.from));
        w.byte(0x4b);
      }),
      RegionCause.SPAN,
    );
    const { w } = this.b;
    span.patch = ({ from, to }) => {
      w.patchShort(numbers.from, from);
      w.patchShort(numbers.last, PAGE_SIZE - (to - from));
    };
  }
}
