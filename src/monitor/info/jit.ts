// info jit: what the second tier has compiled. QEMU has a command of this name; what it shows is its own (QEMU, accel/tcg/monitor.c).

import type { Compiler, RegionInfo } from '../../engine/compile/compiler.ts';
import type { Machine } from '../../machine/machine.ts';
import { MonitorError } from '../command.ts';
import { hex } from '../format.ts';
import { infoCommand } from './info-command.ts';

/** Regions that are shown one by one. */
const SHOWN = 10;

/** @throws MonitorError where nothing is compiled */
export function compilerOf({ vcpu: { compiler } }: Machine): Compiler {
  if (!compiler.isOn) throw new MonitorError('JIT information is only available with accel=jit');
  return compiler;
}

const plural = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;

/** Those of a table with a number above 0. */
export const causesOf = (exits: Record<string, number>): string =>
  Object.entries(exits).filter(([, count]) => count > 0).map(([name, count]) => `${name} ${count}`).join(', ') || 'nothing';

/** What is known of a region, without its address. */
export const describeRegion = ({ instructions, pages, bytes, counts }: RegionInfo): string =>
  `${plural(instructions, 'instruction')}, ${plural(pages, 'page')}, ${bytes} bytes${counts ? `; entered ${plural(counts.entries, 'time')}, left by ${causesOf(counts.exits)}` : ''}`;

export const jit = infoCommand('jit', 'show what was compiled, and the largest or, with -d jit, the most entered regions', ({ target: { machine } }) => {
  const compiler = compilerOf(machine);
  const { regions, counts } = compiler;
  const sum = (of: (region: RegionInfo) => number): number => regions.reduce((total, region) => total + of(region), 0);
  const entriesOf = (region: RegionInfo): number => region.counts?.entries ?? 0;
  const isCounted = regions.some((region) => entriesOf(region) > 0);
  const shown = regions.sort((a, b) => entriesOf(b) - entriesOf(a) || b.instructions - a.instructions || b.bytes - a.bytes).slice(0, SHOWN);
  return [
    `threshold      ${compiler.threshold}`,
    `regions        ${regions.length}: ${plural(sum(({ instructions }) => instructions), 'instruction')}, ${sum(({ bytes }) => bytes)} bytes of WebAssembly`,
    `modules        ${compiler.liveModules}: ${compiler.liveSize} bytes`,
    `made           ${compiler.compiled} in ${plural(compiler.modules, 'module')}; ${compiler.dropped} dropped, ${compiler.stale} too late; ${compiler.milliseconds.toFixed(0)} ms`,
    `waiting        ${compiler.pending}`,
    `entered        ${plural(counts.entries, 'time')} by the interpreter; left for it by ${causesOf(counts.exits)}`,
    ...(shown.length === 0 ? [] : ['', `The ${isCounted ? 'most entered' : 'largest'} regions ("region ADDRESS" shows the code of one):`]),
    ...shown.map((region) => `0x${hex(region.linear, 8)}: ${describeRegion(region)}`),
  ].join('\n');
});
