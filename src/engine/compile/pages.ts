// Accesses through the same base register mostly lie on the same page: one look-up in the TLB serves them all. The second of them asks
// whether the page holds all that the path will access through it, from the lowest to the highest; the region is left if not, and the others
// ask nothing. What is known holds until something is called; where paths join, what held where they parted and no path has changed.
// In a loop that calls nothing, an address that moves by constants keeps the page of the last round (Stream).

import type { Variable } from '../../wasm/function.ts';

/** An unknown value plus a constant, modulo the size of addresses. */
export interface Symbol {
  readonly id: number;
  readonly offset: number;
}

/** Ids of values that are the same all through a region: 0, and RIP of its first page. */
export const enum Fixed {
  ZERO = 0,
  RIP = 1,
  COUNT = 2,
}

/** The page that accesses of one kind through one symbol lay on when it was looked up last. */
export interface Stream {
  /** Address of the page (i64); INVALID_PAGE before the first. */
  readonly page: Variable;
  /** From guest addresses on it to the shared memory (i32). */
  readonly addend: Variable;
}

/** No address of a page, nor such an address with low bits that say that an access is not aligned. */
export const INVALID_PAGE = 0x800;
/** In a loop. */
export const STREAMS_MAX = 3;
/** Bytes from the first access of a stream to others. */
const STREAM_REACH = 2048;

/** The streams of a loop, as far as they are taken. */
interface Streams {
  /** Symbols that do not change but by constants, or at all, while the loop runs. */
  readonly ids: ReadonlySet<number>;
  readonly taken: { readonly symbol: Symbol; readonly write: boolean; readonly stream: Stream }[];
}

/** Bytes that are known to lie on one page, as offsets from the address that was looked up. It grows while the path goes on. */
export interface Span {
  from: number;
  to: number;
  /** Writes the span as it is into the code that asks for it. */
  patch: ((span: Span) => void) | null;
}

/** A page that was looked up. */
export interface KnownPage {
  /** The symbol whose address was looked up. */
  readonly id: number;
  readonly offset: number;
  /** Bytes that were accessed there. */
  readonly bytes: number;
  /** Address in the shared memory of that address (i32). */
  readonly host: Variable;
  readonly writable: boolean;
  /** null: only these bytes. */
  readonly span: Span | null;
}

/** Pages kept at a time. */
const PAGES_MAX = 6;
/** What a span may grow to: the longer, the more often it lies across pages. */
const SPAN_MAX = 512;
/** Pages at most that keep their local through a loop. */
const PINNED_MAX = 3;

/** A span and an access together. */
const lengthened = (page: KnownPage, at: number, bytes: number): number =>
  Math.max(page.span?.to ?? page.bytes, at + bytes) - Math.min(page.span?.from ?? 0, at);

export interface PagesState {
  readonly symbols: readonly (Symbol | null)[];
  readonly pages: readonly KnownPage[];
  readonly streams: Streams | null;
}

/** What a loop does that calls nothing; registers as bits by their number. */
export interface LoopRegisters {
  /** Written. */
  readonly writes: number;
  /** Written, but only by adding constants. */
  readonly steps: number;
}

/** What was known at a moment, to be recalled where paths from there join again, once all of them are emitted. */
export interface PagesMark extends PagesState {
  readonly clock: number;
}

export class KnownPages {
  /** By register; null: an unknown value that nobody has asked for yet. */
  private symbols: (Symbol | null)[] = [];
  private pages: KnownPage[] = [];
  private streams: Streams | null = null;
  private ids: number = Fixed.COUNT;
  /** Sums of two symbols without their offsets, by the two and the second's scale; and what they are sums of. */
  private readonly sums = new Map<string, number>();
  private readonly parts = new Map<number, readonly [number, number]>();
  private readonly pool: Variable[];
  private next = 0;
  /** Counts what changes: writes of registers and locals, and calls. */
  private clock = 0;
  private readonly writtenAt = new Int32Array(16);
  private readonly notedAt = new Map<Variable, number>();
  private lostAt = 0;
  private openedAt = 0;
  /** Locals of pages that are known all through a loop. */
  private readonly pinned = new Set<Variable>();

  private streamPool: Stream[] = [];

  constructor(
    variable: () => Variable,
    private readonly stream: () => Stream,
  ) {
    this.pool = Array.from({ length: PAGES_MAX }, variable);
    this.forget();
  }

  /** Something was called that may change translations. */
  lose(): void {
    this.lostAt = ++this.clock;
    this.forget();
  }

  /** Nothing is known: at a join. */
  forget(): void {
    this.symbols = new Array<Symbol | null>(16).fill(null);
    this.pages = [];
    this.streams = null;
  }

  private fresh(): Symbol {
    return { id: this.ids++, offset: 0 };
  }

  get state(): PagesState {
    return { symbols: [...this.symbols], pages: this.pages, streams: this.streams };
  }

  set state({ symbols, pages, streams }: PagesState) {
    this.symbols = [...symbols];
    this.pages = [...pages];
    this.streams = streams;
  }

  mark(): PagesMark {
    return { symbols: [...this.symbols], pages: this.pages, streams: this.streams, clock: this.clock };
  }

  /** Paths from the mark join: what none of them has changed is known. */
  join({ symbols, pages, streams, clock }: PagesMark): void {
    if (this.lostAt > clock) return this.forget();
    // The locals may be another loop's by now.
    this.streams = this.openedAt > clock ? null : streams;
    this.symbols = symbols.map((symbol, n) => (this.writtenAt[n] > clock ? null : symbol));
    this.pages = pages.filter(({ host }) => this.notedAt.get(host)! <= clock);
  }

  /**
   * A loop begins that calls nothing. What it does not change is known in it from the mark before it, if there is one.
   * @param hasStreams they were opened before it
   * @returns locals that must keep their values until unpin()
   */
  enterLoop(mark: PagesMark | null, { writes, steps }: LoopRegisters, hasStreams: boolean): Variable[] {
    if (mark) this.join(mark);
    else this.forget();
    const fixed = this.symbols.map((symbol, n) => (writes & (1 << n) ? null : (symbol ?? this.fresh())));
    this.symbols = fixed.map((symbol, n) => symbol ?? (steps & (1 << n) ? this.fresh() : null));
    const isFixed = (id: number): boolean => id < Fixed.COUNT || fixed.some((symbol) => symbol?.id === id) || (this.parts.get(id)?.every(isFixed) ?? false);
    this.pages = this.pages.filter(({ id }) => isFixed(id));
    this.streams = hasStreams ? { ids: new Set(this.symbols.flatMap((symbol) => (symbol ? [symbol.id] : []))), taken: [] } : null;
    const free = this.pages.filter(({ host }) => !this.pinned.has(host));
    const pins = free.slice(0, Math.max(0, PINNED_MAX - this.pinned.size)).map(({ host }) => host);
    for (const host of pins) this.pinned.add(host);
    this.pages = this.pages.filter(({ host }) => this.pinned.has(host));
    return pins;
  }

  /** Locals for the streams of a loop, to be made invalid before it. */
  openStreams(): readonly Stream[] {
    this.openedAt = ++this.clock;
    if (this.streamPool.length === 0) this.streamPool = Array.from({ length: STREAMS_MAX }, this.stream);
    return this.streamPool;
  }

  /** The stream that an access belongs to, if it has one. */
  streamOf(symbol: Symbol, write: boolean): Stream | null {
    const { streams } = this;
    if (!streams) return null;
    const isOf = (of: number): boolean => of < Fixed.COUNT || streams.ids.has(of) || (this.parts.get(of)?.every(isOf) ?? false);
    if (!isOf(symbol.id)) return null;
    const { taken } = streams;
    const known = taken.find((other) => other.symbol.id === symbol.id && other.write === write && Math.abs(other.symbol.offset - symbol.offset) <= STREAM_REACH);
    if (known) return known.stream;
    const stream = this.streamPool[taken.length];
    if (!stream) return null;
    taken.push({ symbol, write, stream });
    return stream;
  }

  unpin(pins: readonly Variable[]): void {
    for (const host of pins) this.pinned.delete(host);
  }

  symbol(register: number, displacement: number): Symbol {
    const { id, offset } = (this.symbols[register] ??= this.fresh());
    return { id, offset: offset + displacement };
  }

  /** A symbol and a multiple of another. */
  sum(base: Symbol, index: Symbol, scale: number): Symbol {
    const key = `${base.id} ${index.id} ${scale}`;
    let id = this.sums.get(key);
    if (id === undefined) {
      this.sums.set(key, (id = this.ids++));
      this.parts.set(id, [base.id, index.id]);
    }
    return { id, offset: base.offset + index.offset * scale };
  }

  /** The register has a new value: another register's, itself moved by a constant, or anything. */
  written(register: number, symbol: Symbol | null = null): void {
    this.writtenAt[register] = ++this.clock;
    this.symbols[register] = symbol;
  }

  /**
   * A page through which an access may be made: its symbol is near.
   * @param most bytes from the first to the last access through it
   */
  near(symbol: Symbol, bytes: number, write: boolean, most = SPAN_MAX): KnownPage | undefined {
    const fits = (page: KnownPage): boolean => page.id === symbol.id && (page.writable || !write) && lengthened(page, symbol.offset - page.offset, bytes) <= most;
    return this.pages.findLast(fits);
  }

  /** A place to note a page that is being looked up; the oldest is given up. */
  note(symbol: Symbol, bytes: number, writable: boolean): KnownPage {
    let host: Variable;
    do host = this.pool[this.next++ % PAGES_MAX];
    while (this.pinned.has(host));
    this.notedAt.set(host, ++this.clock);
    const page: KnownPage = { id: symbol.id, offset: symbol.offset, bytes, host, writable, span: null };
    // One that is as near is of no use any more.
    const isLess = (other: KnownPage): boolean => other.id === symbol.id && lengthened(other, symbol.offset - other.offset, bytes) <= SPAN_MAX;
    this.pages = [...this.pages.filter((other) => other.host !== host && !isLess(other)), page];
    return page;
  }

  /** On this path the page is known to hold an access more. */
  spans(page: KnownPage, at: number, bytes: number): Span {
    const span: Span = { from: Math.min(0, at), to: Math.max(page.bytes, at + bytes), patch: null };
    this.pages = this.pages.map((other) => (other === page ? { id: page.id, offset: page.offset, bytes: page.bytes, host: page.host, writable: page.writable, span } : other));
    return span;
  }

  /** The span is to hold an access more. */
  lengthen(span: Span, at: number, bytes: number): void {
    if (at >= span.from && at + bytes <= span.to) return;
    span.from = Math.min(span.from, at);
    span.to = Math.max(span.to, at + bytes);
    span.patch!(span);
  }
}
