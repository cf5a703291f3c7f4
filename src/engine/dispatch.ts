// The interpreter's dispatch function: a br_table over record kinds with the hot handlers inline.
//
// The record pointer, the budget and the lazy flags live in locals. The inner loop calls nothing: V8 keeps no register over a
// call, so one call in the loop would put all of them on the stack. A hot handler that meets the unusual (a TLB miss, flags that
// need work) gives up before it has changed anything, and the same instruction's function does it all.
// (docs/architecture.md, "The interpreter")

import { CodeTlb, Cpu, Exit, FlagKind, Mem, Mode, Rec, RegionCause, RegionExit, Side, Status, Vector } from '../core/layout.ts';
import type { Label, Value, Variable } from '../wasm/function.ts';
import { CORE_FUNCTIONS, type CoreFunction, type PureFunction } from '../x86/core-functions.ts';
import { Flags } from '../x86/flags.ts';
import { EXECUTE_PARAMS, GONE, HandlerBuilder, PAGE_MASK, storeCodeBase, type DispatchLinks, type Exits, type Shared } from './handlers.ts';
import { Pseudo, type Kind } from './kinds.ts';

/** For profiles: kinds of which pairs are counted, ADDRESS and the first that are inline. */
export const PAIR_KINDS = 256;

export class DispatchBuilder extends HandlerBuilder {
  readonly flags: Flags;
  protected readonly exits: Exits;
  private readonly rec: Variable;
  private readonly budget: Variable;
  private readonly flagKind: Variable;
  private readonly flagA: Variable;
  private readonly flagX: Variable;
  private readonly rip: Variable;
  /** For profiles: the record before, and its number among those of which pairs are counted. */
  private before: { readonly record: Variable; readonly number: Variable } | null = null;
  private labels!: { next: Label; lookup: Label; slow: Label; fault: Label; cold: Label; exit: Label; region: Label; hot: Label; unwind: Label };

  constructor(
    shared: Shared,
    private readonly links: DispatchLinks,
    private readonly profile = false,
  ) {
    super(EXECUTE_PARAMS, shared);
    this.rec = this.variable('i32');
    this.budget = this.variable('i32');
    this.flagKind = this.variable('i32');
    this.flagA = this.variable('i64');
    this.flagX = this.variable('i64');
    this.rip = this.variable('i64');
    this.flags = new Flags(this, { kind: this.flagKind, a: this.flagA, x: this.flagX }, null, () => this.giveUp());
    this.exits = {
      fault: () => this.br(this.labels.fault),
      jump: (rip) => {
        this.rip.set(rip);
        this.noteTarget(this.rip.get());
        this.store(this.cpu(), Cpu.LINK_FROM, this.i32(0));
        this.br(this.labels.lookup);
      },
      relative: () => this.relativeJump(),
      status: () => this.giveUp(),
    };
  }

  record(): Value {
    return this.rec.get();
  }

  // These two are read where they are used: the loads run beside those of the operands, and cost less than a register each.
  protected tlb(): Value {
    return this.load('i32', this.cpu(), Cpu.TLB);
  }
  protected addressMask(): Value {
    return this.load('i64', this.cpu(), Cpu.ADDRESS_MASK);
  }

  /** Let the instruction's function do it. Nothing may have been changed yet. */
  private giveUp(): void {
    if (this.changed) throw new Error(`${this.kind.label}: gives up after it has changed something`);
    this.br(this.labels.cold);
  }

  protected onHit(hit: Value, then: () => void): void {
    if (this.changed) throw new Error(`${this.kind.label}: a second access to memory after something was changed`);
    this.brIf(this.labels.cold, this.eqz(hit), 'seldom');
    then();
  }

  // What would call something gives up instead; the values stand for what is never reached.
  override core(name: CoreFunction, ..._args: Value[]): Value {
    this.giveUp();
    return CORE_FUNCTIONS[name].result === 'i64' ? this.i64(0) : this.i32(0);
  }
  override pure(_name: PureFunction, ..._args: Value[]): Value {
    this.giveUp();
    return this.i32(0);
  }
  override coreVoid(_name: CoreFunction, ..._args: Value[]): void {
    this.giveUp();
  }
  override checkFault(): void {}

  private ordinal(record: Value): Value {
    return this.load('i32', record, Rec.ORDINAL, 16);
  }

  private next(): void {
    this.rec.set(this.add(this.rec.get(), Rec.SIZE));
    this.br(this.labels.next);
  }

  private reloadFlags(): void {
    this.flagKind.set(this.load('i32', this.cpu(), Cpu.FLAG_KIND));
    this.flagA.set(this.load('i64', this.cpu(), Cpu.FLAG_A));
    this.flagX.set(this.load('i64', this.cpu(), Cpu.FLAG_X));
  }

  private spillFlags(): void {
    this.store(this.cpu(), Cpu.FLAG_KIND, this.flagKind.get());
    this.store(this.cpu(), Cpu.FLAG_A, this.flagA.get());
    this.store(this.cpu(), Cpu.FLAG_X, this.flagX.get());
  }

  private spillAll(): void {
    this.spillFlags();
    this.store(this.cpu(), Cpu.BUDGET, this.extendS(this.budget.get()));
  }

  /** Return to TypeScript; Cpu.RIP is set. */
  private leaveRun(reason: Value | Exit): void {
    this.spillAll();
    this.return(typeof reason === 'number' ? this.i64(reason) : this.extendU(reason));
  }

  /** Does a region wait for this to come back? (i32) */
  private isNested(): Value {
    return this.ne(this.param(2), GONE);
  }

  /** With a region waiting: that one and all its callers are to return, and the outermost run() goes on as the exit says. */
  private unwind(how: RegionExit, cause: RegionCause): void {
    this.store(this.cpu(), Cpu.EXIT_DESC, this.i64(how | (cause << 2)));
    this.br(this.labels.unwind);
  }

  /** The place to which the waiting region wants to be returned is where control goes on. */
  private cameBack(): void {
    this.if(this.eq(this.rip.get(), this.param(2)), () => {
      this.spillAll();
      this.return(this.rip.get());
    }, undefined, 'seldom');
  }

  /** Take the record's place in its block, and the given number, from the budget. */
  private count(extra: number): void {
    this.budget.set(this.sub(this.sub(this.budget.get(), this.ordinal(this.rec.get())), extra));
  }

  private relativeJump(): void {
    const link = this.let(this.load('i32', this.rec.get(), Rec.LINK));
    this.if(link, () => {
      this.count(1);
      this.rec.set(link);
      this.if(this.gtS(this.budget.get(), 0), () => {
        this.budget.set(this.add(this.budget.get(), this.ordinal(link)));
        this.countJump(link, 'inner');
        this.br(this.labels.next);
      }, undefined, 'mostly');
      this.rip.set(this.ownRip());
      this.br(this.labels.exit);
    }, undefined, 'mostly');
    this.rip.set(this.relativeTarget());
    this.store(this.cpu(), Cpu.LINK_FROM, this.rec.get());
    this.br(this.labels.lookup);
  }

  /**
   * The whole function: (cpu, first record, GONE, 0) -> Exit. As (cpu, 0, RIP, depth) it goes on for a region that a call left, until
   * control reaches the RIP behind that call; then its result is that RIP, and GONE where all regions are to return.
   */
  build(hot: readonly Kind[]): void {
    this.rec.set(this.param(1));
    this.store(this.cpu(), Cpu.EXECUTE_DEPTH, this.param(3));
    storeCodeBase(this, this.cpu());
    this.reloadFlags();
    // The last run may have left between a jump and its target.
    this.store(this.cpu(), Cpu.LINK_FROM, this.i32(0));
    this.budget.set(this.wrap(this.load('i64', this.cpu(), Cpu.BUDGET)));
    this.if(this.rec.get(), () => this.budget.set(this.add(this.budget.get(), this.ordinal(this.rec.get()))));
    this.block((unwind) => {
      this.loops(hot, unwind);
    });
    this.spillAll();
    this.return(this.i64(GONE));
    this.unreachable();
  }

  private loops(hot: readonly Kind[], unwind: Label): void {
    this.loop((outer) => {
      this.block((slow) => {
        this.block((exit) => {
          this.block((fault) => {
            this.block((cold) => {
              this.block((region) => {
                // For a region that was left.
                this.brIf(region, this.eqz(this.rec.get()), 'seldom');
                this.block((counted) => {
                  this.loop((next) => {
                    this.block((lookup) => {
                      this.labels = { next, lookup, slow, fault, cold, exit, region, hot: counted, unwind };
                      this.handlers(hot);
                    });
                    // A jump to rip.
                    this.count(1);
                    this.cameBack();
                    this.brIf(exit, this.leS(this.budget.get(), 0), 'seldom');
                    this.findRecord('inner');
                    this.br(slow);
                  });
                });
                this.labels.next = outer;
                this.callVoid(this.links.hot, [this.cpu(), this.rec.get()]);
                this.br(outer);
              });
              this.scoped(() => this.region());
            });
            this.scoped(() => this.cold());
          });
          this.deliverFault();
        });
        this.leaveAtRip();
      });
      this.loop((again) => {
        // Look for rip's record again, now that calls are possible.
        this.store(this.cpu(), Cpu.LINK_FROM, this.i32(0));
        this.labels.next = outer;
        this.findRecord('outer');
        this.store(this.cpu(), Cpu.RIP, this.rip.get());
        this.scoped(() => {
          const found = this.let(this.call(this.links.lookup, [this.cpu()]));
          this.if(found, () => {
            this.rec.set(found);
            this.budget.set(this.add(this.budget.get(), this.ordinal(found)));
            this.countJump(found, 'outer');
            this.br(outer);
          });
        });
        this.fetchFault(() => this.leaveAtRip(), again);
      });
    });
  }

  /** Return to TypeScript, to go on at rip some other time. */
  private leaveAtRip(): void {
    this.store(this.cpu(), Cpu.RIP, this.rip.get());
    this.if(this.isNested(), () => this.unwind(RegionExit.LEAVE, RegionCause.REQUEST));
    this.leaveRun(Exit.BUDGET);
  }

  /** An exception is pending at the record's instruction. */
  private deliverFault(): void {
    const isTraced = (): Value => this.load('i32', this.cpu(), Cpu.TRACE);
    this.if(this.and(this.isNested(), isTraced()), () => this.unwindStatus(this.i32(Status.FAULT)));
    this.store(this.cpu(), Cpu.RIP, this.ownRip());
    this.count(0);
    this.spillFlags();
    // A non-canonical address (3): #SS if the operand lies in the stack segment.
    this.if(this.eq(this.load('i32', this.cpu(), Cpu.FAULT_HAS_ERROR), 3), () =>
      this.callVoid(this.shared.core.stack_fault, [this.cpu(), this.rec.get()]),
    );
    this.if(isTraced(), () => this.leaveRun(Exit.FETCH_FAULT));
    this.deliver(() => this.br(this.labels.exit), this.labels.slow);
  }

  /** An exception is pending, since nothing can be fetched from Cpu.RIP: no record stands for it. With TRACE, who called run() delivers it. */
  private fetchFault(leave: () => void, slow: Label): void {
    this.if(this.load('i32', this.cpu(), Cpu.TRACE), () => {
      this.if(this.isNested(), () => this.unwind(RegionExit.JUMP, RegionCause.MAPPING));
      this.leaveRun(Exit.FETCH_FAULT);
    });
    this.spillFlags();
    this.deliver(leave, slow);
  }

  /** Deliver the exception that is pending at Cpu.RIP, and look for its handler. */
  private deliver(leave: () => void, slow: Label): void {
    this.if(this.call(this.shared.core.deliver_fault, [this.cpu()]), () => {
      // What answered() takes off for an instruction that exits is not to be.
      this.if(this.isNested(), () => {
        this.store(this.cpu(), Cpu.NEXT_RIP, this.load('i64', this.cpu(), Cpu.RIP));
        this.count(-1);
        this.budget.set(this.add(this.budget.get(), this.shl(this.ordinal(this.rec.get()), 1)));
        this.unwindStatus(this.i32(Status.EXIT));
      });
      this.leaveRun(Exit.SHUTDOWN);
    });
    this.reloadFlags();
    storeCodeBase(this, this.cpu());
    this.rip.set(this.load('i64', this.cpu(), Cpu.RIP));
    // Delivering counts as an instruction, so that a guest that only faults still uses up its budget.
    this.budget.set(this.sub(this.budget.get(), 1));
    this.if(this.leS(this.budget.get(), 0), leave);
    this.br(slow);
  }

  /** Address of the TLB's entry for code at a linear address. */
  private codeEntry(linear: Value): Value {
    const offset = this.and(this.shrU(this.wrap(linear), 12 - 4), (CodeTlb.ENTRIES - 1) * CodeTlb.ENTRY_SIZE);
    return this.let(this.add(this.load('i32', this.cpu(), Cpu.CODE_TLB), offset));
  }

  /**
   * Look for rip's record through the TLB, and go there; falls through if it is not known.
   * @param then where in the function this is; or 'interpret': no region is entered there
   */
  private findRecord(then: 'inner' | 'outer' | 'interpret'): void {
    this.scoped(() => {
      const linear = this.let(this.and(this.add(this.load('i64', this.cpu(), Cpu.CODE_BASE), this.rip.get()), this.addressMask()));
      const entry = this.codeEntry(linear);
      this.if(this.eq(this.and(linear, PAGE_MASK), this.load('i64', entry, CodeTlb.TAG)), () => {
        const offset = this.let(this.and(this.wrap(linear), 0xfff));
        const found = this.let(this.load('i32', this.add(this.load('i32', entry, CodeTlb.CODE_MAP), this.shl(offset, 2)), 0));
        this.if(found, () => {
          const page = this.let(this.sub(this.rip.get(), this.extendU(offset)));
          const linkFrom = this.let(this.load('i32', this.cpu(), Cpu.LINK_FROM));
          this.if(linkFrom, () => {
            // Only inside a page and without segment arithmetic does a target stay what it is.
            this.if(
              this.and(
                this.eq(page, this.load('i64', this.cpu(), Cpu.RIP_PAGE)),
                this.ne(this.and(this.load('i32', this.cpu(), Cpu.MODE), Mode.FLAT), 0),
              ),
              () => this.store(linkFrom, Rec.LINK, found),
            );
            this.store(this.cpu(), Cpu.LINK_FROM, this.i32(0));
          }, undefined, 'seldom');
          this.store(this.cpu(), Cpu.RIP_PAGE, page);
          this.rec.set(found);
          this.budget.set(this.add(this.budget.get(), this.ordinal(found)));
          if (then === 'interpret') this.brIf(this.labels.cold, this.eq(this.field(Rec.KIND, 16), Pseudo.REGION));
          else this.countJump(found, then);
          this.br(this.labels.next);
        }, undefined, 'mostly');
      }, undefined, 'mostly');
    });
  }

  private side(record: Value): Value {
    return this.add(this.shrU(this.sub(record, Mem.RECORDS), 2), Mem.SIDE);
  }

  /** A jump goes to the record, which is current already. What jumps go to often is compiled. */
  private countJump(record: Value, where: 'inner' | 'outer'): void {
    const side = this.let(this.side(record));
    const count = this.let(this.add(this.load('i32', side, Side.COUNT, 16), 1));
    this.store(side, Side.COUNT, count, 16);
    const enough = this.eq(count, this.load('i32', this.cpu(), Cpu.HOT_THRESHOLD));
    if (where === 'inner') this.brIf(this.labels.hot, enough, 'seldom');
    else this.if(enough, () => this.callVoid(this.links.hot, [this.cpu(), record]), undefined, 'seldom');
  }

  /** Count at an offset in the vCPU area. */
  private increment(offset: Value): void {
    const at = this.let(this.add(this.cpu(), offset));
    this.store(at, 0, this.add(this.load('i32', at, 0), 1));
  }

  /** Enter the compiled region that begins at the record, or go on where one was left (no record). */
  private region(): void {
    const { labels } = this;
    this.rip.set(this.i64(GONE));
    this.if(this.rec.get(), () => {
      this.store(this.cpu(), Cpu.BUDGET, this.extendS(this.sub(this.budget.get(), this.ordinal(this.rec.get()))));
      this.spillFlags();
      this.increment(this.i32(Cpu.REGION_ENTRIES));
      this.loop((again) => {
        const slot = this.load('i32', this.side(this.rec.get()), Side.SLOT, 16);
        const { type, table } = this.links.regions;
        this.rip.set(this.callIndirect(type, 'i64', slot, [this.param(3), this.load('i64', this.cpu(), Cpu.RIP_PAGE)], table));
        this.nextRegion(again);
      });
    });
    this.reloadFlags();
    this.if(this.and(this.flagKind.get(), FlagKind.RAW), () => {
      const unused = this.let(this.extendU(this.sub(64, this.shrU(this.flagKind.get(), 8))));
      // RESULT keeps flags at their places in A, EXPLICIT in X.
      const kind = this.let(this.and(this.flagKind.get(), FlagKind.MASK));
      this.if(this.ne(kind, FlagKind.RESULT), () => this.flagA.set(this.shl(this.flagA.get(), unused)));
      this.if(this.ne(kind, FlagKind.EXPLICIT), () => this.flagX.set(this.shl(this.flagX.get(), unused)));
      this.flagKind.set(this.and(this.flagKind.get(), ~FlagKind.RAW));
    });
    storeCodeBase(this, this.cpu());
    this.budget.set(this.wrap(this.load('i64', this.cpu(), Cpu.BUDGET)));
    this.if(this.eq(this.rip.get(), GONE), () => {
      const desc = this.let(this.wrap(this.load('i64', this.cpu(), Cpu.EXIT_DESC)));
      const how = this.let(this.and(desc, 3));
      this.increment(this.add(this.and(desc, 15 << 2), Cpu.REGION_EXITS));
      this.if(this.eq(how, RegionExit.STATUS), () => {
        this.rec.set(this.load('i32', this.cpu(), Cpu.EXIT_RECORD));
        this.budget.set(this.add(this.budget.get(), this.ordinal(this.rec.get())));
        this.answered(this.let(this.load('i32', this.cpu(), Cpu.EXIT_STATUS)));
      });
      this.rip.set(this.load('i64', this.cpu(), Cpu.RIP));
      this.budget.set(this.add(this.budget.get(), this.and(this.shrU(desc, 6), 0x3ff)));
      this.brIf(labels.exit, this.eq(how, RegionExit.LEAVE));
      const cause = this.and(desc, 15 << 2);
      this.if(this.and(this.isNested(), this.eq(cause, RegionCause.LIMIT << 2)), () => this.unwind(RegionExit.JUMP, RegionCause.LIMIT));
      this.if(this.eqz(how), () => {
        // One instruction by the interpreter, and be it the one at which a region begins.
        this.store(this.cpu(), Cpu.LINK_FROM, this.i32(0));
        this.findRecord('interpret');
        const found = this.let(this.call(this.links.lookup, [this.cpu()]));
        this.if(this.eqz(found), () => this.fetchFault(() => this.br(labels.exit), labels.slow));
        this.rec.set(found);
        this.budget.set(this.add(this.budget.get(), this.ordinal(found)));
        this.brIf(labels.cold, this.eq(this.field(Rec.KIND, 16), Pseudo.REGION));
        this.br(labels.next);
      });
    });
    this.cameBack();
    this.brIf(labels.exit, this.leS(this.budget.get(), 0), 'seldom');
    this.store(this.cpu(), Cpu.LINK_FROM, this.i32(0));
    this.findRecord('outer');
    this.br(labels.slow);
  }

  /**
   * A region returned to a place that nobody waits for: after a process switch, all that its callers' callers wait for. Where another
   * region begins, go on there; budget and flags are in memory, so there is little to do.
   */
  private nextRegion(again: Label): void {
    const rip = this.rip.get();
    this.if(this.and(this.isNested(), this.eq(rip, this.param(2))), () => this.return(rip));
    // GONE is on no page.
    const linear = this.let(this.add(rip, this.load('i64', this.cpu(), Cpu.CODE_BASE)));
    const entry = this.codeEntry(linear);
    this.if(this.eq(this.and(linear, PAGE_MASK), this.load('i64', entry, CodeTlb.TAG)), () => {
      const offset = this.let(this.and(this.wrap(linear), 0xfff));
      const found = this.let(this.load('i32', this.add(this.load('i32', entry, CodeTlb.CODE_MAP), this.shl(offset, 2)), 0));
      this.if(found, () =>
        this.if(this.eq(this.load('i32', found, Rec.KIND, 16), Pseudo.REGION), () =>
          this.if(this.gtS(this.load('i64', this.cpu(), Cpu.BUDGET), 0n), () => {
            this.rec.set(found);
            this.store(this.cpu(), Cpu.RIP_PAGE, this.sub(rip, this.extendU(offset)));
            this.increment(this.i32(Cpu.REGION_ENTRIES));
            this.br(again);
          })));
    });
  }

  private handlers(hot: readonly Kind[]): void {
    const inline: [number, () => void][] = [
      [Pseudo.RESYNC, () => this.resync()],
      [Pseudo.CHAIN, () => this.chain()],
      [Pseudo.ADDRESS, () => this.address(this.plainAddress())],
      [Pseudo.ADDRESS_ABSOLUTE, () => this.address(this.absoluteAddress())],
      [Pseudo.ADDRESS_SEGMENT, () => this.addressSegment()],
      [Pseudo.ADDRESS_GENERAL, () => this.giveUp()],
      [Pseudo.INTERRUPT_CHECK, () => this.interruptCheck()],
      [Pseudo.CROSSING, () => this.crossing()],
      [Pseudo.STEP_END, () => this.stepEnd()],
      [Pseudo.INVALID, () => this.raise(Vector.UD)],
      [Pseudo.TOO_LONG, () => this.raise(Vector.GP, 0)],
      [Pseudo.ADDRESS_BITS, () => this.giveUp()],
      [Pseudo.REGION, () => this.br(this.labels.region)],
      ...hot.map((kind): [number, () => void] => [
        kind.number,
        () => {
          if (kind.pair) this.first(kind.pair[0], hot);
          this.handle(kind.pair ? hot[kind.pair[1] - Pseudo.COUNT] : kind);
          this.next();
        },
      ]),
    ];
    const nest = (n: number, labels: Label[]): void => {
      if (n < 0) {
        if (this.profile) {
          const counter = this.let(this.add(this.cpu(), this.shl(this.field(Rec.KIND, 16), 3)));
          this.store(counter, Cpu.KIND_COUNTS, this.add(this.load('i64', counter, Cpu.KIND_COUNTS), 1));
          this.countPair();
        }
        this.brTable(labels, this.labels.cold, this.field(Rec.KIND, 16));
        return;
      }
      this.block((label) => {
        labels[n] = label;
        nest(n - 1, labels);
      });
      const [number, body] = inline[n];
      if (number !== n) throw new Error(`kind ${number} stands at place ${n}`);
      this.scoped(body);
    };
    nest(inline.length - 1, []);
  }

  /** For profiles: count the record and the one before it, a u32 for each pair of PAIR_KINDS at Mem.REGION_COUNTS. */
  private countPair(): void {
    const before = (this.before ??= { record: this.variable('i32'), number: this.variable('i32') });
    const kind = this.let(this.field(Rec.KIND, 16));
    const number = this.let(this.select(this.eq(kind, Pseudo.ADDRESS), 0, this.sub(kind, Pseudo.COUNT - 1)));
    const isBehind = this.eq(this.rec.get(), this.add(before.record.get(), Rec.SIZE));
    this.if(this.and(isBehind, this.and(this.ltU(number, PAIR_KINDS), this.ltU(before.number.get(), PAIR_KINDS))), () => {
      const at = this.let(this.shl(this.or(this.shl(before.number.get(), Math.log2(PAIR_KINDS)), number), 2));
      this.store(at, Mem.REGION_COUNTS, this.add(this.load('i32', at, Mem.REGION_COUNTS), 1));
    });
    before.record.set(this.rec.get());
    before.number.set(number);
  }

  /** The first of a pair. */
  private first(number: number, hot: readonly Kind[]): void {
    if (number === Pseudo.ADDRESS) this.store(this.cpu(), Cpu.EA, this.plainAddress());
    else this.handle(hot[number - Pseudo.COUNT]);
    this.rec.set(this.add(this.rec.get(), Rec.SIZE));
  }

  /** Call the record's function, and go on as its Status says. */
  private cold(): void {
    const rip = this.let(this.ownRip());
    this.store(this.cpu(), Cpu.RIP, rip);
    this.store(this.cpu(), Cpu.NEXT_RIP, this.and(this.add(rip, this.field(Rec.LENGTH, 8, 'i64')), this.addressMask()));
    this.spillFlags();
    const own = this.variable('i32', this.field(Rec.KIND, 16));
    this.if(this.eq(own.get(), Pseudo.REGION), () => own.set(this.load('i32', this.side(this.rec.get()), Side.KIND, 16)));
    const kind = own.get();
    if (this.profile) {
      const counter = this.let(this.add(this.cpu(), this.shl(kind, 2)));
      this.store(counter, Cpu.COLD_COUNTS, this.add(this.load('i32', counter, Cpu.COLD_COUNTS), 1));
    }
    const ordinal = this.let(this.ordinal(this.rec.get()));
    this.store(this.cpu(), Cpu.BUDGET, this.extendS(this.sub(this.budget.get(), ordinal)));
    const status = this.let(this.callIndirect(this.links.cold.type, 'i32', kind, [this.cpu(), this.rec.get()], this.links.cold.table));
    this.reloadFlags();
    this.budget.set(this.add(this.wrap(this.load('i64', this.cpu(), Cpu.BUDGET)), ordinal));
    this.if(this.eqz(status), () => {
      // An address pseudo-record is not an instruction: no leaving behind it.
      const stay = this.or(this.eqz(this.load('i32', this.cpu(), Cpu.EXIT_REQUEST)), this.ltU(kind, Pseudo.COUNT));
      this.if(stay, () => this.next());
      this.rip.set(this.load('i64', this.cpu(), Cpu.NEXT_RIP));
      this.count(1);
      this.br(this.labels.exit);
    });
    this.answered(status);
  }

  /** With a region waiting: the outermost run() is to do as the record's status says. */
  private unwindStatus(status: Value): void {
    this.count(0);
    this.store(this.cpu(), Cpu.EXIT_RECORD, this.rec.get());
    this.store(this.cpu(), Cpu.EXIT_STATUS, status);
    this.unwind(RegionExit.STATUS, RegionCause.STATUS);
  }

  /** A kind's function gave a status other than NEXT. */
  private answered(status: Value): void {
    const { labels } = this;
    this.brIf(labels.fault, this.eq(status, Status.FAULT));
    this.if(this.eq(status, Status.JUMP), () => {
      storeCodeBase(this, this.cpu());
      this.rip.set(this.load('i64', this.cpu(), Cpu.RIP));
      this.count(1);
      // The shadow of STI ends with this instruction (STI, SYSEXIT); that of MOV SS, when it changes the mode, has just begun.
      const shadow = this.let(this.and(this.load('i32', this.cpu(), Cpu.INTERRUPT_SHADOW), 2));
      this.store(this.cpu(), Cpu.INTERRUPT_SHADOW, shadow);
      const leave = this.or(
        this.or(this.or(this.load('i32', this.cpu(), Cpu.EXIT_REQUEST), this.load('i32', this.cpu(), Cpu.INTERRUPT_PENDING)), shadow),
        this.leS(this.budget.get(), 0),
      );
      this.brIf(labels.exit, leave);
      this.br(labels.slow);
    });
    this.if(this.isNested(), () => this.unwindStatus(status));
    this.if(this.eq(status, Status.EXIT), () => {
      this.store(this.cpu(), Cpu.RIP, this.load('i64', this.cpu(), Cpu.NEXT_RIP));
      this.count(1);
      this.leaveRun(this.load('i32', this.cpu(), Cpu.EXIT_REASON));
    });
    // AGAIN: not finished, and everything it has done is in the registers.
    this.count(0);
    this.leaveRun(Exit.BUDGET);
  }

  // ---- pseudo-records

  private resync(): void {
    storeCodeBase(this, this.cpu());
    this.rip.set(this.ownRip());
    this.store(this.cpu(), Cpu.LINK_FROM, this.i32(0));
    // Behind MOV SS, and STI at a page's end: the block that follows does not know that its first instruction ends the shadow, run() does.
    this.if(this.load('i32', this.cpu(), Cpu.INTERRUPT_SHADOW), () => {
      this.count(0);
      this.br(this.labels.exit);
    });
    // It is no instruction: what the jump takes off is given first.
    this.budget.set(this.add(this.budget.get(), 1));
    this.br(this.labels.lookup);
  }

  private chain(): void {
    const link = this.let(this.load('i32', this.rec.get(), Rec.LINK));
    this.count(0);
    this.budget.set(this.add(this.budget.get(), this.ordinal(link)));
    this.rec.set(link);
    this.br(this.labels.next);
  }

  /** An address record that has its value. */
  private address(value: Value): void {
    this.store(this.cpu(), Cpu.EA, value);
    this.next();
  }

  private addressSegment(): void {
    this.brIf(this.labels.cold, this.limitedSegment(), 'seldom');
    this.address(this.segmentAddress());
  }

  private interruptCheck(): void {
    this.store(this.cpu(), Cpu.INTERRUPT_SHADOW, this.i32(0));
    this.if(this.load('i32', this.cpu(), Cpu.INTERRUPT_PENDING), () => {
      this.rip.set(this.ownRip());
      this.count(0);
      this.br(this.labels.exit);
    });
    this.next();
  }

  private crossing(): void {
    const linear = this.let(
      this.and(
        this.add(this.add(this.load('i64', this.cpu(), Cpu.CODE_BASE), this.load('i64', this.cpu(), Cpu.RIP_PAGE)), 0x1000),
        this.addressMask(),
      ),
    );
    const entry = this.codeEntry(linear);
    this.if(
      this.and(
        this.eq(linear, this.load('i64', entry, CodeTlb.TAG)),
        this.eq(this.add(this.wrap(linear), this.load('i32', entry, CodeTlb.ADDEND)), this.load('i32', this.rec.get(), Rec.IMM)),
      ),
      () => this.next(),
    );
    // Only lookup() tells whether the second page is still the one; leaving makes it look.
    this.rip.set(this.ownRip());
    this.count(0);
    this.br(this.labels.exit);
  }

  private stepEnd(): void {
    this.store(this.cpu(), Cpu.RIP, this.ownRip());
    this.count(0);
    this.leaveRun(Exit.STEP);
  }
}
