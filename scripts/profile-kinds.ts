// Finds the record kinds that matter and writes src/engine/hot-kinds.ts: boots the bundled guests on an interpreter that counts
// every record, and takes the most frequent. How many is a measured choice: V8 gives the dispatch function its better register
// allocator only below 8,192 virtual registers (docs/decisions/02-dispatch-loop.md).
//
//   node --import tsx scripts/profile-kinds.ts [NUMBER OF KINDS]

import { readFileSync, writeFileSync } from 'node:fs';
import { Cpu } from '../src/core/layout.ts';
import { generateInterpreter } from '../src/engine/interpret.ts';
import { kinds, Pseudo } from '../src/engine/kinds.ts';
import { Machine } from '../src/machine/machine.ts';
import { parse } from '../src/machine/options/index.ts';
import { serialRings } from '../src/machine/protocol.ts';

const root = new URL('../', import.meta.url);
const wanted = Number(process.argv[2] ?? 150);
const modules = {
  core: new WebAssembly.Module(readFileSync(new URL('build/core.wasm', root))),
  interpreter: new WebAssembly.Module(generateInterpreter(true) as BufferSource),
};

/** Share of each kind in one guest's boot, pseudo-records included. */
function profile(guest: string): Map<string, number> {
  const folder = new URL(`guests/out/${guest}/`, root);
  const description = JSON.parse(readFileSync(new URL('guest.json', folder), 'utf8')) as { args: string[]; ready: string };
  const config = parse([...description.args, '-nographic']);
  const files = new Map([config.kernel!, config.initrd!].map((name) => [name, new Uint8Array(readFileSync(new URL(name, folder)))]));
  const machine = new Machine({ config, modules, files, hostNow: () => performance.now() * 1e6, date: { epochMs: Date.now(), offsetMs: 0 }, log: null });
  machine.resume();
  const output = serialRings(machine.memory.buffer as unknown as SharedArrayBuffer, 0).toHost;
  let text = '';
  while (!text.includes(description.ready)) {
    const result = machine.runSlice();
    if (result.kind !== 'run' && result.kind !== 'idle') throw new Error(`${guest}: ${JSON.stringify(result)}`);
    text = (text + new TextDecoder().decode(output.read())).slice(-2000);
  }
  const counts = new BigUint64Array(machine.memory.buffer, machine.vcpu.base + Cpu.KIND_COUNTS, Pseudo.COUNT + kinds.kinds.length);
  const total = Number(counts.reduce((sum, n) => sum + n, 0n));
  const left = new Uint32Array(machine.memory.buffer, machine.vcpu.base + Cpu.COLD_COUNTS, counts.length);
  const percent = (n: number): string => `${((100 * n) / total).toFixed(2)} %`;
  console.log(`${guest}: ${(total / 1e6).toFixed(0)} million records, left to functions ${percent(left.reduce((sum, n) => sum + n, 0))}`);
  for (let n = 0; n < Pseudo.COUNT; n++) if (counts[n]) console.log(`  pseudo-record ${n}: ${percent(Number(counts[n]))}`);
  const top = [...kinds.kinds].sort((a, b) => Number(counts[b.number] - counts[a.number])).slice(0, 30);
  for (const k of top) console.log(`  ${k.label}: ${percent(Number(counts[k.number]))}`);
  const given = [...kinds.kinds].sort((a, b) => left[b.number] - left[a.number]).slice(0, 15);
  for (const k of given) console.log(`  left to its function: ${k.label}: ${percent(left[k.number])}${k.hot ? ' (inline)' : ''}`);
  // Kinds of one label (MOV, and MOV of a segment register) are chosen together, so they weigh together.
  const shares = new Map<string, number>();
  for (const k of kinds.kinds) shares.set(k.label, (shares.get(k.label) ?? 0) + Number(counts[k.number]) / total);
  return shares;
}

const profiles = ['amd64', 'i386'].map(profile);
// A kind is as important as it is in the guest where it is most.
const weights = new Map(kinds.kinds.map((k) => [k.label, Math.max(...profiles.map((p) => p.get(k.label) ?? 0))]));
const eligible = kinds.kinds.filter((k) => k.definition.hot && !k.locked);
const chosen = eligible.sort((a, b) => weights.get(b.label)! - weights.get(a.label)!).slice(0, wanted);
for (const [n, p] of profiles.entries()) {
  console.log(`guest ${n}: the ${wanted} kinds are ${(100 * chosen.reduce((sum, k) => sum + p.get(k.label)!, 0)).toFixed(2)} % of all records`);
}
const missed = kinds.kinds.filter((k) => !chosen.includes(k)).sort((a, b) => weights.get(b.label)! - weights.get(a.label)!).slice(0, 25);
for (const k of missed) console.log(`not inline: ${k.label} ${(100 * weights.get(k.label)!).toFixed(3)} %`);
const lines = chosen.map((k) => `  '${k.label}',`).sort();
writeFileSync(
  new URL('src/engine/hot-kinds.ts', root),
  `// Record kinds that are inline in the interpreter's dispatch function, by label.
// Made by scripts/profile-kinds.ts from boots of the bundled guests; do not edit.

export const HOT_KINDS: ReadonlySet<string> = new Set([
${lines.join('\n')}
]);
`,
);
