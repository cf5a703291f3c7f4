// Accesses through the same base register mostly lie on the same page: one look-up in the TLB serves them all, and for the others the
// place in the page is enough. What is known holds along a path without joins, until something is called.

import type { Variable } from '../../wasm/function.ts';

/** A register as an unknown value plus a constant. */
export interface Symbol {
  readonly id: number;
  readonly offset: number;
}

/** A page that was looked up. */
export interface KnownPage {
  /** The symbol whose address was looked up. */
  readonly id: number;
  readonly offset: number;
  /** Address in the shared memory of that address, and its place in its page (i32). */
  readonly host: Variable;
  readonly place: Variable;
  readonly writable: boolean;
}

/** Pages kept at a time. */
const PAGES_MAX = 4;

export interface PagesState {
  readonly symbols: readonly (Symbol | null)[];
  readonly pages: readonly KnownPage[];
}

export class KnownPages {
  /** By register; null: an unknown value that nobody has asked for yet. */
  private symbols: (Symbol | null)[] = [];
  private pages: KnownPage[] = [];
  private ids = 0;
  private readonly pool: { host: Variable; place: Variable }[];
  private next = 0;

  constructor(variable: () => Variable) {
    this.pool = Array.from({ length: PAGES_MAX }, () => ({ host: variable(), place: variable() }));
    this.forget();
  }

  /** Nothing is known: at a join, or after a call. */
  forget(): void {
    this.symbols = new Array<Symbol | null>(16).fill(null);
    this.pages = [];
  }

  private fresh(): Symbol {
    return { id: this.ids++, offset: 0 };
  }

  get state(): PagesState {
    return { symbols: [...this.symbols], pages: this.pages };
  }

  set state({ symbols, pages }: PagesState) {
    this.symbols = [...symbols];
    this.pages = [...pages];
  }

  symbol(register: number, displacement: number): Symbol {
    const { id, offset } = (this.symbols[register] ??= this.fresh());
    return { id, offset: offset + displacement };
  }

  /** The register has a new value: another register's, itself moved by a constant, or anything. */
  written(register: number, symbol: Symbol | null = null): void {
    this.symbols[register] = symbol;
  }

  /** A page through which an address may be reached: its symbol is near. */
  near(symbol: Symbol, write: boolean): KnownPage | undefined {
    return this.pages.find((page) => page.id === symbol.id && (page.writable || !write) && Math.abs(symbol.offset - page.offset) < 4096);
  }

  /** A place to note a page that is being looked up; the oldest is given up. */
  note(symbol: Symbol, writable: boolean): KnownPage {
    const variables = this.pool[this.next++ % PAGES_MAX];
    const page: KnownPage = { ...symbol, ...variables, writable };
    this.pages = [...this.pages.filter((other) => other.host !== variables.host && other.id !== symbol.id), page];
    return page;
  }
}
