// Finds the record kinds that matter and writes src/engine/hot-kinds.ts: runs guests on an interpreter that counts every record, and takes
// the kinds that it meets most. It counts what is left to it where the compiler is at work, and a kernel's cold paths without the compiler;
// hot loops are compiled. How many kinds is a measured choice: V8 gives the dispatch function its better register allocator only below
// 8,192 virtual registers (docs/decisions/02-dispatch-loop.md; src/engine/dispatch.spec.ts fails where there are too many).
//
// And it finds the pairs of such kinds that are met most, which are one dispatch, and writes src/engine/hot-pairs.ts. Kinds of which pairs are
// counted are those that were inline when it began: where many others come, run it twice.
//
//   node --import tsx scripts/profile-kinds.ts [NUMBER OF KINDS [NUMBER OF PAIRS]]

import { readFileSync, writeFileSync } from 'node:fs';
import { type LinuxGuest, linuxGuest } from '../bench/guests.ts';
import { ARCHES, mixGuest } from '../bench/mix-guest.ts';
import { Cpu, Mem } from '../src/core/layout.ts';
import { PAIR_KINDS } from '../src/engine/dispatch.ts';
import { generateInterpreter } from '../src/engine/interpret.ts';
import { kinds, Pseudo } from '../src/engine/kinds.ts';
import { Machine } from '../src/machine/machine.ts';
import { parse } from '../src/machine/options/index.ts';
import { serialRings } from '../src/machine/protocol.ts';

const root = new URL('../', import.meta.url);
const wanted = Number(process.argv[2] ?? 240);
const wantedPairs = Number(process.argv[3] ?? 40);
kinds.splitPairs();
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

interface Shares {
  /** Of each kind, by its number, pseudo-records included, in all records of a scene. */
  readonly kinds: readonly number[];
  /** Of two kinds behind one another: by PAIR_KINDS times the first's number and the second's. */
  readonly pairs: readonly number[];
}

function profile({ name, guest, from, accel }: Scene): Shares {
  const files = new Map([['kernel', new Uint8Array(readFileSync(guest.kernel))], ['initrd', new Uint8Array(readFileSync(guest.initrd))]]);
  const line = ['-m', String(guest.memory), '-nographic', '-no-reboot', '-kernel', 'kernel', '-initrd', 'initrd', '-append', guest.append, '-accel', accel];
  const machine = new Machine({ config: parse(line), modules, files, hostNow: () => performance.now() * 1e6, date: { epochMs: Date.now(), offsetMs: 0 }, log: null });
  const counts = new BigUint64Array(machine.memory.buffer, machine.vcpu.base + Cpu.KIND_COUNTS, Pseudo.COUNT + kinds.kinds.length);
  const left = new Uint32Array(machine.memory.buffer, machine.vcpu.base + Cpu.COLD_COUNTS, counts.length);
  const pairs = new Uint32Array(machine.memory.buffer, Mem.REGION_COUNTS, PAIR_KINDS ** 2);
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
      pairs.fill(0);
    }
    if (result.kind !== 'run' && result.kind !== 'idle' && !text.includes(guest.ready)) throw new Error(`${name}: ${JSON.stringify(result)}; it wrote ${text}`);
  }
  const total = Number(counts.reduce((sum, n) => sum + n, 0n));
  console.log(`${name}: ${(total / 1e6).toFixed(0)} million records, left to functions ${percent(left.reduce((sum, n) => sum + n, 0) / total)}`);
  for (let n = 0; n < Pseudo.COUNT; n++) if (counts[n]) console.log(`  pseudo-record ${n}: ${percent(Number(counts[n]) / total)}`);
  const given = [...kinds.kinds].sort((a, b) => left[b.number] - left[a.number]).slice(0, 15);
  for (const k of given) console.log(`  left to its function: ${k.label}: ${percent(left[k.number] / total)}${k.hot ? ' (inline)' : ''}`);
  return { kinds: Array.from(counts, (n) => Number(n) / total), pairs: Array.from(pairs, (n) => n / total) };
}

const profiles = scenes.map(profile);
/** Of each scene's shares, which count alike. */
const mean = (share: (shares: Shares) => number): number => profiles.reduce((sum, shares) => sum + share(shares), 0) / profiles.length;

/** A list of the kinds or pairs, with what is to be known of it. */
function write(name: string, what: string, declaration: string, entries: readonly string[], end: string): void {
  writeFileSync(
    new URL(`src/engine/${name}.ts`, root),
    `// ${what}
// Made by scripts/profile-kinds.ts; do not edit.

export const ${declaration}[
${entries.map((entry) => `  ${entry},`).join('\n')}
]${end};
`,
  );
}

// Kinds of one label (MOV, and MOV of a segment register) are chosen together, but only those that may be inline are.
const weights = new Map<string, number>();
for (const { number, label, definition, locked, pair } of kinds.kinds) {
  if (!definition.hot || locked || pair) continue;
  weights.set(label, (weights.get(label) ?? 0) + mean((shares) => shares.kinds[number]));
}
const ordered = [...weights.keys()].sort((a, b) => weights.get(b)! - weights.get(a)!);
const chosen = ordered.slice(0, wanted);
console.log(`the ${wanted} kinds are ${percent(chosen.reduce((sum, label) => sum + weights.get(label)!, 0))} of all records`);
for (const label of ordered.slice(wanted, wanted + 10)) console.log(`not inline: ${label} ${percent(weights.get(label)!)}`);
write('hot-kinds', "Record kinds that are inline in the interpreter's dispatch function, by label.", 'HOT_KINDS: ReadonlySet<string> = new Set(', chosen.map((label) => `'${label}'`).sort(), ')');

/** Of the kinds of which pairs are counted. */
const labelOf = (n: number): string => (n === 0 ? 'ADDRESS' : kinds.kinds[n - 1].label);
const pairWeights = new Map<string, number>();
for (let first = 0; first < PAIR_KINDS; first++) {
  for (let second = 1; second < PAIR_KINDS; second++) {
    const labels = [labelOf(first), labelOf(second)];
    const share = mean((shares) => shares.pairs[first * PAIR_KINDS + second]);
    if (share === 0 || !labels.every((label) => label === 'ADDRESS' || chosen.includes(label))) continue;
    const entry = `['${labels[0]}', '${labels[1]}']`;
    pairWeights.set(entry, (pairWeights.get(entry) ?? 0) + share);
  }
}
const pairs = [...pairWeights.keys()].sort((a, b) => pairWeights.get(b)! - pairWeights.get(a)!);
for (const entry of pairs.slice(0, wantedPairs + 5)) console.log(`pair: ${entry} ${percent(pairWeights.get(entry)!)}`);
write(
  'hot-pairs', "Pairs of record kinds that are one dispatch of the interpreter, by label, the most frequent first; 'ADDRESS' is Pseudo.ADDRESS.",
  'HOT_PAIRS: readonly (readonly [first: string, second: string])[] = ', pairs.slice(0, wantedPairs), '',
);
