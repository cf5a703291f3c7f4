// Builds build/node: the headless runner (tabvisor.js), its machine worker (machine-node.js) and tabvisor-img.js, each one file.

import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build as esbuild } from 'esbuild';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** Rejects with esbuild's messages, which it has printed. */
export async function build() {
  await esbuild({
    absWorkingDir: root,
    entryPoints: { tabvisor: 'src/runner/cli.ts', 'machine-node': 'workers/machine-node.ts', 'compiler-node': 'workers/compiler-node.ts', 'io-node': 'workers/io-node.ts', 'tabvisor-relay': 'relay/cli.ts', 'tabvisor-img': 'src/img/cli.ts' },
    outdir: 'build/node',
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    sourcemap: true,
    // A start waits for V8 to read all of it.
    minifyWhitespace: true,
    minifySyntax: true,
    logLevel: 'warning',
    // Two optional parts of ws, in native code; and its CommonJS asks for Node's modules by require().
    external: ['bufferutil', 'utf-8-validate'],
    banner: { js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);" },
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await build();
