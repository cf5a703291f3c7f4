// Finds the record kinds that matter and writes src/engine/hot-kinds.ts: runs guests on an interpreter that counts every record, and takes
// the kinds that it meets most. It counts what is left to it where the compiler is at work, and a kernel's cold paths without the compiler;
// hot loops are compiled. How many kinds is a measured choice: V8 gives the dispatch function its better register allocator only below
// 8,192 virtual registers (docs/decisions/02-dispatch-loop.md; src/engine/dispatch.spec.ts fails where there are too many).
//
//   node --import tsx scripts/profile-kinds.ts [NUMBER OF KINDS]

import { readFileSync, writeFileSync } from 'node:fs';
import { type LinuxGuest, linuxGuest } from '../bench/guests.ts';
import { ARCHES, mixGuest } from '../bench/mix-guest.ts';
import { Cpu } from '../src/core/layout.ts';
import { generateInterpreter } from '../src/engine/interpret.ts';
import { kinds, Pseudo } from '../src/engine/kinds.ts';
import { Machine } from '../src/machine/machine.ts';
import { parse } from '../src/machine/options/index.ts';
import { serialRings } from '../src/machine/protocol.ts';

const root = new URL('../', import.meta.url);
const wanted = Number(process.argv[2] ?? 270);
const modules = {
  core: new WebAssembly.Module(readFileSync(new URL('build/core.wasm', root))),
  interpreter: new WebAssembly.Module(generateInterpreter(true) as BufferSource),
};

interface Scene {
  readonly name: string;
  readonly guest: LinuxGuest;
  /** Counting begins when the guest has written this. */
  readonly from: string;
  readonly accel: 'interpreter' | 'jit';
}

const scenes = ARCHES.flatMap((arch): Scene[] => {
  const system = (accel: Scene['accel']): Scene => ({
    name: `${arch}, system parts of the mix, ${accel}`, guest: mixGuest(arch, ['syscall', 'fork', 'fault', 'pipe'], 'ms=1000'), from: 'mix: start', accel,
  });
  return [{ name: `${arch}, boot, jit`, guest: linuxGuest(arch), from: '', accel: 'jit' }, system('jit'), system('interpreter')];
});

const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;

/** Share of each kind, by its number, in all records of a scene, pseudo-records included. */
function profile({ name, guest, from, accel }: Scene): number[] {
  const files = new Map([['kernel', new Uint8Array(readFileSync(guest.kernel))], ['initrd', new Uint8Array(readFileSync(guest.initrd))]]);
  const line = ['-m', String(guest.memory), '-nographic', '-no-reboot', '-kernel', 'kernel', '-initrd', 'initrd', '-append', guest.append, '-accel', accel];
  const machine = new Machine({ config: parse(line), modules, files, hostNow: () => performance.now() * 1e6, date: { epochMs: Date.now(), offsetMs: 0 }, log: null });
  const counts = new BigUint64Array(machine.memory.buffer, machine.vcpu.base + Cpu.KIND_COUNTS, Pseudo.COUNT + kinds.kinds.length);
  const left = new Uint32Array(machine.memory.buffer, machine.vcpu.base + Cpu.COLD_COUNTS, counts.length);
  const output = serialRings(machine.memory.buffer as unknown as SharedArrayBuffer, 0).toHost;
  machine.resume();
  let text = '';
  let isCounting = from === '';
  while (!text.includes(guest.ready)) {
    const result = machine.runSlice();
    text = (text + new TextDecoder().decode(output.read())).slice(-2000);
    if (!isCounting && text.includes(from)) {
      isCounting = true;
      counts.fill(0n);
      left.fill(0);
    }
    if (result.kind !== 'run' && result.kind !== 'idle' && !text.includes(guest.ready)) throw new Error(`${name}: ${JSON.stringify(result)}; it wrote ${text}`);
  }
  const total = Number(counts.reduce((sum, n) => sum + n, 0n));
  console.log(`${name}: ${(total / 1e6).toFixed(0)} million records, left to functions ${percent(left.reduce((sum, n) => sum + n, 0) / total)}`);
  for (let n = 0; n < Pseudo.COUNT; n++) if (counts[n]) console.log(`  pseudo-record ${n}: ${percent(Number(counts[n]) / total)}`);
  const given = [...kinds.kinds].sort((a, b) => left[b.number] - left[a.number]).slice(0, 15);
  for (const k of given) console.log(`  left to its function: ${k.label}: ${percent(left[k.number] / total)}${k.hot ? ' (inline)' : ''}`);
  return Array.from(counts, (n) => Number(n) / total);
}

const profiles = scenes.map(profile);
// Each scene counts alike. Kinds of one label (MOV, and MOV of a segment register) are chosen together, but only those that may be inline are.
const weights = new Map<string, number>();
for (const { number, label, definition, locked } of kinds.kinds) {
  if (!definition.hot || locked) continue;
  weights.set(label, (weights.get(label) ?? 0) + profiles.reduce((sum, shares) => sum + shares[number], 0) / profiles.length);
}
const ordered = [...weights.keys()].sort((a, b) => weights.get(b)! - weights.get(a)!);
const chosen = ordered.slice(0, wanted);
console.log(`the ${wanted} kinds are ${percent(chosen.reduce((sum, label) => sum + weights.get(label)!, 0))} of all records`);
for (const label of ordered.slice(wanted, wanted + 10)) console.log(`not inline: ${label} ${percent(weights.get(label)!)}`);
writeFileSync(
  new URL('src/engine/hot-kinds.ts', root),
  `// Record kinds that are inline in the interpreter's dispatch function, by label.
// Made by scripts/profile-kinds.ts; do not edit.

export const HOT_KINDS: ReadonlySet<string> = new Set([
${chosen.map((label) => `  '${label}',`).sort().join('\n')}
]);
`,
);
