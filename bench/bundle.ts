// Builds the benchmarks' own programs (build/bench), each one file, so that no loader's start counts.

import { build } from 'esbuild';
import { root } from './guests.ts';

export async function bundle(): Promise<void> {
  await build({
    absWorkingDir: root,
    entryPoints: { 'tabvisor-node': 'bench/peers/tabvisor-node.ts', profile: 'bench/profile.ts', generator: 'bench/generator.ts', 'user-network': 'bench/peers/user-network.ts' },
    outdir: 'build/bench',
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    logLevel: 'warning',
  });
}

if (process.argv[1] === import.meta.filename) await bundle();
