// Segments that are not flat, in compiled code: where an access in one lies. Their bases and sizes are locals of the region, which are brought
// up to date where segment registers may have changed. docs/compiler.md, A region's function.

import { Cpu, Seg, SegAttr } from '../../core/layout.ts';
import type { FunctionBuilder, Value, Variable } from '../../wasm/function.ts';

/** Bits of SegAttr.TYPE, of data and of code. Intel SDM volume 3, section 3.4.5.1. */
const TYPE_CODE = 8;
const TYPE_EXPAND_DOWN = 4;
const TYPE_WRITABLE = 2;
const TYPE_READABLE = 2;

/** Base, and size for reading and for writing (i32 as unsigned; without the last byte of 4 GiB), 0 where only core can tell. */
interface SegmentLocals {
  readonly base: Variable;
  readonly readable: Variable;
  readonly writable: Variable;
}

interface SegmentBuilder {
  cpu(): Value;
  /** Leave the region. */
  exitIf(condition: Value): void;
}

export class Segments {
  /** Those that are kept, by their places in the vCPU area. */
  private readonly kept = new Map<number, SegmentLocals>();

  constructor(
    private readonly b: FunctionBuilder,
    private readonly builder: SegmentBuilder,
  ) {}

  /**
   * Linear address (i64) of an offset in a segment. The region is left where the access may not be made, or only core can tell: with
   * segments that expand down, and writing to code.
   * @param segment Cpu.ES, Cpu.CS …
   * @param offset i32, a local; short: it has 16 bits
   */
  address(segment: number, offset: Value, isShort: boolean, bytes: number, write: boolean): Value {
    const { b } = this;
    const { base, readable, writable } = this.kept.get(segment) ?? this.read(segment, this.variables(() => b.variable('i32')));
    const size = write ? writable : readable;
    const isBeyond = isShort ? b.gtU(b.add(offset, bytes), size.get()) : b.gtU(b.add(b.extendU(offset), bytes), b.extendU(size.get()));
    this.builder.exitIf(isBeyond);
    return b.let(b.extendU(b.add(offset, base.get())));
  }

  /** A segment as it is now, into variables. */
  private read(segment: number, { base, readable, writable }: SegmentLocals): SegmentLocals {
    const { b } = this;
    const cpu = this.builder.cpu();
    const attributes = b.let(b.load('i32', cpu, segment + Seg.ATTR));
    const limit = b.let(b.load('i32', cpu, segment + Seg.LIMIT));
    const size = b.let(b.select(b.eq(limit, -1), limit, b.add(limit, 1)));
    const isOther = b.ne(b.and(attributes, SegAttr.NULL | TYPE_CODE | TYPE_EXPAND_DOWN), 0);
    const isNoCode = (): Value => b.ne(b.and(attributes, SegAttr.NULL | TYPE_CODE | TYPE_READABLE), TYPE_CODE | TYPE_READABLE);
    readable.set(b.select(segment === Cpu.CS ? b.and(isOther, isNoCode()) : isOther, b.i32(0), size));
    const isWritable = b.eq(b.and(attributes, SegAttr.NULL | TYPE_CODE | TYPE_EXPAND_DOWN | TYPE_WRITABLE), TYPE_WRITABLE);
    writable.set(b.select(isWritable, size, b.i32(0)));
    base.set(b.load('i32', cpu, segment + Seg.BASE));
    return { base, readable, writable };
  }

  private variables(make: () => Variable): SegmentLocals {
    return { base: make(), readable: make(), writable: make() };
  }

  /** Keep these in locals from now on. */
  keep(segments: Iterable<number>): void {
    for (const segment of segments) this.kept.set(segment, this.variables(() => this.b.permanent('i32')));
    this.load();
  }

  /** Segment registers may have been changed. */
  load(): void {
    for (const [segment, locals] of this.kept) this.b.scoped(() => this.read(segment, locals));
  }

  /** One has another base, and all else as it was. */
  moved(segment: number, base: Value): void {
    this.kept.get(segment)?.base.set(base);
  }

  /** Base (i32) of one that is kept, as it was when it was read. */
  baseOf(segment: number): Value {
    return this.kept.get(segment)!.base.get();
  }
}
