// info mem, info tlb: the guest's mappings. QEMU, target/i386/monitor.c.

import { hex } from '../format.ts';
import { infoCommand } from './info-command.ts';
import { canonical, type Mapping, Pte, walkPageTables } from './paging.ts';

const CUT = 'There are more page tables than are shown.';
const SHOWN_RIGHTS = Pte.P | Pte.RW | Pte.US;
const NX = 1n << 63n;

export const mem = infoCommand('mem', 'show the active virtual memory mappings', ({ target }) => {
  const paging = walkPageTables(target.machine);
  if (!paging) return 'PG disabled';
  const lines: string[] = [];
  let start = 0n;
  let end = 0n;
  let rights = 0;
  const close = (): void => {
    if (rights === 0) return;
    const cells = [canonical(start), canonical(end), canonical(end - start)].map((value) => hex(value, 16));
    lines.push(`${cells[0]}-${cells[1]} ${cells[2]} ${rights & Pte.US ? 'u' : '-'}r${rights & Pte.RW ? 'w' : '-'}`);
  };
  for (const page of paging.pages) {
    const its = page.rights & SHOWN_RIGHTS;
    if (its !== rights || page.address !== end) {
      close();
      start = page.address;
      rights = its;
    }
    end = page.address + page.size;
  }
  close();
  if (paging.isCut) lines.push(CUT);
  return lines.join('\n');
});

/** Physical address of a page as QEMU takes it out of the entry. */
function physical({ entry, isLarge, size }: Mapping, kind: string): bigint {
  if (!isLarge) return entry & (kind === '4-level' ? 0x3ffff_ffff_f000n : ~0xfffn);
  if (kind === '32-bit') return entry & ~0x1f_ffffn;
  if (kind === 'PAE') return entry & ~0xf_ffffn;
  return entry & 0x3ffff_ffff_f000n & ~(size - 1n);
}

export const tlb = infoCommand('tlb', 'show virtual to physical memory mappings', ({ target }) => {
  const paging = walkPageTables(target.machine);
  if (!paging) return 'PG disabled';
  const lines: string[] = [];
  for (const page of paging.pages) {
    const low = Number(page.entry & 0xfffn);
    const bits: [number, string][] = [
      [Pte.G, 'G'], [page.isLarge ? Pte.PS : 0, 'P'], [Pte.D, 'D'], [Pte.A, 'A'], [Pte.PCD, 'C'], [Pte.PWT, 'T'], [Pte.US, 'U'], [Pte.RW, 'W'],
    ];
    const letters = bits.map(([bit, letter]) => (low & bit ? letter : '-')).join('');
    lines.push(`${hex(canonical(page.address), 16)}: ${hex(physical(page, paging.kind), 16)} ${page.entry & NX ? 'X' : '-'}${letters}`);
  }
  if (paging.isCut) lines.push(CUT);
  return lines.join('\n');
});
