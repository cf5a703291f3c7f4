// info mtree: what is where in memory and in the port space, as one flat list. QEMU, softmmu/memory.c (mtree_info with -f).

import { Mem, Pmap } from '../../core/layout.ts';
import type { Machine } from '../../machine/machine.ts';
import { hex } from '../format.ts';
import { command } from '../command.ts';
import { flag } from '../parameters.ts';

const PAGE = 4096;

interface Range {
  first: number;
  last: number;
  type: 'ram' | 'rom' | 'i/o';
  name: string;
}

/** Which memory a place in the shared memory is. */
function nameOf(address: number): string {
  if (address >= Mem.RAM) return 'pc.ram';
  if (address >= Mem.VRAM && address < Mem.VRAM + Mem.VRAM_SIZE) return 'vga.vram';
  return 'pc.rom';
}

/** Pages that follow each other here and in the shared memory, with the same access. */
function memory({ memory: { buffer } }: Machine): Range[] {
  const pmap = new Uint32Array(buffer, Mem.PMAP, Mem.PMAP_SIZE / 4);
  const ranges: Range[] = [];
  for (let page = 0; page < pmap.length; page++) {
    const entry = pmap[page];
    if (!(entry & Pmap.READ)) continue;
    const first = page * PAGE;
    while (page + 1 < pmap.length && pmap[page + 1] === entry + (page + 1 - first / PAGE) * PAGE) page++;
    ranges.push({ first, last: page * PAGE + PAGE - 1, type: entry & Pmap.WRITE ? 'ram' : 'rom', name: nameOf((entry & -PAGE) >>> 0) });
  }
  return ranges;
}

const line = ({ first, last, type, name }: Range): string => `  ${hex(first, 16)}-${hex(last, 16)} (prio 0, ${type}): ${name}`;

export const mtree = command({
  names: ['mtree'],
  parameters: { flat: flag('f') },
  usage: '[-f]',
  help: 'show memory tree (-f: as a flat view, the only one there is here)',
  run({ target: { machine } }) {
    const devices = machine.pc.statistics().map(({ kind, base, length, name }) => ({ kind, range: { first: base, last: base + length - 1, type: 'i/o' as const, name } }));
    const of = (kind: 'memory' | 'ports'): Range[] => devices.filter((device) => device.kind === kind && device.range.first >= 0).map(({ range }) => range);
    const sorted = (ranges: Range[]): string[] => ranges.sort((a, b) => a.first - b.first || a.last - b.last).map(line);
    return ['address-space: memory', ...sorted([...memory(machine), ...of('memory')]), '', 'address-space: I/O', ...sorted(of('ports'))].join('\n');
  },
});
