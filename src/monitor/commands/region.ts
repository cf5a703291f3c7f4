// region: guest assembly of a compiled region, and the WebAssembly that each instruction became. Tabvisor's own; QEMU has -d out_asm.

import { Mode } from '../../core/layout.ts';
import type { Region } from '../../engine/compile/compiler.ts';
import { RegionLister, type ListedPart, type Listing } from '../../engine/compile/listing.ts';
import type { Machine } from '../../machine/machine.ts';
import { command, MonitorError } from '../command.ts';
import { hex, instructionLine } from '../format.ts';
import { compilerOf, describeRegion } from '../info/jit.ts';
import { readMemory, translate } from '../memory.ts';
import { optionalLong } from '../parameters.ts';
import { programCounter } from '../registers.ts';

const PAGE = 4096;
/** Columns before the code of an instruction. */
const INDENT = ' '.repeat(12);

const address = (linear: bigint): string => `0x${hex(BigInt.asUintN(64, linear), 8)}`;

/** Guest instructions of a region as text. */
class Assembly {
  private readonly mode: 16 | 32 | 64;

  constructor(
    private readonly machine: Machine,
    private readonly region: Region,
    /** Linear address of its first page. */
    private readonly page: bigint,
  ) {
    this.mode = ([16, 32, 64] as const)[(region.pending.where.mode & Mode.CODE_MASK) as 0 | 1 | 2];
  }

  at(place: number): string {
    const linear = this.page + BigInt(place);
    return address(this.mode === 64 ? linear : BigInt.asUintN(32, linear));
  }

  /** From the pages that the region is made of, wherever they are mapped now. */
  private bytes(place: number, length: number): Uint8Array | undefined {
    const page = this.region.pages.find(({ delta }) => delta === place >> 12);
    const physical = page && this.machine.vcpu.cache.physicalOf(page.map);
    if (physical === undefined) return undefined;
    const inPage = Math.min(length, PAGE - (place & (PAGE - 1)));
    const bytes = readMemory(this.machine, BigInt(physical) * BigInt(PAGE) + BigInt(place & (PAGE - 1)), inPage, true);
    if (!bytes || inPage === length) return bytes;
    const rest = this.bytes(place + inPage, length - inPage) ?? readMemory(this.machine, this.page + BigInt(place + inPage), length - inPage, false);
    return rest && Uint8Array.from([...bytes, ...rest]);
  }

  line(place: number, length: number): string {
    const bytes = this.bytes(place, length);
    return bytes ? instructionLine(bytes, 0, this.mode, this.page + BigInt(place)).text : `${this.at(place)}:  Cannot access memory`;
  }
}

/** @param isCopy the same block was there before: a loop with several rounds in one, or code that is reached in several ways */
function heading(part: ListedPart, assembly: Assembly, isCopy: boolean): string {
  switch (part.what) {
    case 'entry':
      return 'Where the region is entered:';
    case 'exits':
      return 'Where it is left:';
    case 'block':
      return `Block ${part.number}, ${assembly.at(part.place)}${isCopy ? ', once more' : ''}${part.isLoop ? ', a loop' : ''}${part.isInlined ? ', of a function that is called here' : ''}:`;
    case 'instruction':
      return assembly.line(part.place, part.length) + (part.isCalled ? '   ;; by its function' : '');
    case 'more':
      return `${assembly.at(part.place)}, continued:`;
    case 'edge':
      return `To ${assembly.at(part.place)}:`;
  }
}

function textOf(listing: Listing, assembly: Assembly): string {
  const blocks = new Set<number>();
  return listing.parts.map((part) => {
    const isCopy = part.what === 'block' && blocks.has(part.place);
    if (part.what === 'block') blocks.add(part.place);
    const gap = part.what === 'block' || part.what === 'exits' || part.what === 'entry' ? '\n' : '';
    return [`${gap}${heading(part, assembly, isCopy)}`, ...part.lines.map((line) => INDENT + line)].join('\n');
  }).join('\n');
}

/** @throws MonitorError if there is no listing */
function madeAgain(list: () => Listing | null, begin: string): Listing {
  let why = 'its instructions are no longer decoded';
  try {
    const listing = list();
    if (listing) return listing;
  } catch (error) {
    why = (error as Error).message;
  }
  throw new MonitorError(`The code of the region at ${begin} cannot be made once more: ${why}`);
}

export const region = command({
  names: ['region'],
  parameters: { address: optionalLong() },
  usage: '[addr]',
  help: "show the compiled region that begins at or holds the instruction at 'addr' (linear; default is the next one): guest assembly, and the WebAssembly of each instruction",
  async run({ target: { machine } }, { address: given }) {
    const compiler = compilerOf(machine);
    const lister = await RegionLister.open(machine.memory, compiler).catch((error: Error): never => {
      throw new MonitorError(`Names of instructions could not be loaded: ${error.message}`);
    });
    const { vcpu } = machine;
    const linear = BigInt.asUintN(64, given ?? programCounter(vcpu));
    const physical = translate(machine, linear);
    const maps = physical === undefined ? [] : vcpu.cache.mapsOf(Number(physical >> 12n));
    let found = maps.length > 0 ? compiler.regionsAt(linear, maps) : [];
    // Code of a process that does not run now.
    const isElsewhere = found.length === 0;
    if (isElsewhere) found = compiler.regionsAt(linear, []);
    if (found.length === 0) throw new MonitorError(`No compiled region has an instruction at ${address(linear)}; "info jit" lists some`);
    const [{ region: it, page }, ...others] = found;
    const assembly = new Assembly(machine, it, page);
    const begin = it.pending.offset;
    const listing = madeAgain(() => lister.list(it, (place) => assembly.at(place)), assembly.at(begin));
    return [
      `Region ${assembly.at(begin)}: ${describeRegion(compiler.infoOf(it))}; ${listing.blocks} blocks, in a module of ${it.module.entries.length}`,
      ...(isElsewhere ? ['It was compiled at this address, where other code or nothing is now'] : []),
      ...(others.length > 0 ? [`Also in the regions ${others.map(({ region: { pending }, page: other }) => address(other + BigInt(pending.offset))).join(', ')}`] : []),
      ...(listing.changedPages > 0 ? [`Other code on ${listing.changedPages} of its pages was dropped since it was made`] : []),
      listing.isSame ? 'Made once more for this list: as many bytes as the code that is executed'
        : `Made once more for this list: ${listing.bytes} bytes; the code that is executed has ${it.bytes}, as the guest had gone other ways when it was made`,
      textOf(listing, assembly),
    ].join('\n');
  },
});
