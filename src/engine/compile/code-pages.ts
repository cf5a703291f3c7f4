// Whether a region's code still lies where it lay when it was made: asked of the TLB's entries for code where another page is entered, and of the
// code segment where the region begins.

import { CodeTlb, Cpu, Mode, Seg } from '../../core/layout.ts';
import type { FunctionBuilder, Value } from '../../wasm/function.ts';
import type { RegionMode } from './mode.ts';

export class CodePages {
  private readonly tlb: number;

  /** @param ripAt RIP at an offset from the region's first page */
  constructor(
    private readonly b: FunctionBuilder,
    private readonly where: RegionMode,
    private readonly ripAt: (offset: number) => Value,
  ) {
    this.tlb = where.cpu + (where.user ? Cpu.CODE_TLB_USER : Cpu.CODE_TLB_SUPERVISOR);
  }

  private cpu(): Value {
    return this.b.i32(this.where.cpu);
  }

  /** Of a RIP. */
  private linearOf(rip: Value): Value {
    const { b } = this;
    return this.where.mode & Mode.FLAT ? rip : b.extendU(b.add(b.wrap(rip), b.load('i32', this.cpu(), Cpu.CS + Seg.BASE)));
  }

  /** Where the TLB's entry for code lies, from `tlb` on. */
  private entry(linear: Value): Value {
    const { b } = this;
    return b.let(b.and(b.shrU(b.wrap(linear), 12 - 4), (CodeTlb.ENTRIES - 1) * CodeTlb.ENTRY_SIZE));
  }

  /** Is the page at an offset from the region's first one mapped to this map of decoded code? (i32) */
  isMapped(pageOffset: number, map: number): Value {
    const { b, tlb } = this;
    const linear = b.let(this.linearOf(this.ripAt(pageOffset)));
    const entry = this.entry(linear);
    return b.and(b.eq(linear, b.load('i64', entry, tlb + CodeTlb.TAG)), b.eq(b.load('i32', entry, tlb + CodeTlb.CODE_MAP), map));
  }

  /** For an instruction on two pages: does the second one lie where it did? (i32) */
  isSecondPage(pageOffset: number, host: number): Value {
    const { b, tlb } = this;
    const linear = b.let(this.linearOf(this.ripAt(pageOffset)));
    const entry = this.entry(linear);
    return b.and(b.eq(linear, b.load('i64', entry, tlb + CodeTlb.TAG)), b.eq(b.add(b.wrap(linear), b.load('i32', entry, tlb + CodeTlb.ADDEND)), host));
  }

  /**
   * Does not all the region's code lie in the code segment, or do its jumps of 16 bits wrap around? Then its places are not where they were when
   * it was made. (i32)
   * @param from offset of the first place in the region or that it jumps to, from its first page
   * @param end of the last one's end
   */
  isOutside(from: number, end: number): Value {
    const { b } = this;
    const first = b.extendU(b.add(b.wrap(b.param(1)), from));
    const limit = b.let(b.load('i32', this.cpu(), Cpu.CS + Seg.LIMIT));
    const last = (this.where.mode & Mode.CODE_MASK) === Mode.CODE16 ? b.select(b.ltU(limit, 0xffff), limit, b.i32(0xffff)) : limit;
    return b.gtU(b.add(first, end - from), b.extendU(last));
  }
}
