// Builds build/core.wasm from src/core/assembly with the AssemblyScript compiler.
// `node scripts/build-core.mjs` builds always; buildIfOlder() only when a source is newer, for tests and dev servers.

import { mkdirSync, readdirSync, renameSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
export const output = join(root, 'build/core.wasm');
const sources = join(root, 'src/core/assembly');

/** Compile; rejects with the compiler's messages. Resolves to the output's path. */
export async function build() {
  mkdirSync(dirname(output), { recursive: true });
  // A reader never sees half a file: builds may run side by side.
  const temporary = `build/core.${process.pid}.wasm`;
  const { error, stderr } = await asc.main([
    'src/core/assembly/index.ts', '-o', temporary, '--baseDir', root,
    '--runtime', 'stub', '--importMemory', '--sharedMemory', '--initialMemory', '2048', '--maximumMemory', '65536',
    '--memoryBase', '0x1000', '--enable', 'threads', '--enable', 'simd', '--enable', 'bulk-memory', '--use', 'abort=',
    '-O3', '--noAssert', '--converge',
  ]);
  if (error) throw new Error(`core.wasm does not compile:\n${stderr.toString()}${error.message}`);
  renameSync(join(root, temporary), output);
  return output;
}

/** Build unless the output is newer than every source. */
export async function buildIfOlder() {
  const newest = Math.max(
    statSync(join(root, 'src/core/layout.ts')).mtimeMs,
    statSync(fileURLToPath(import.meta.url)).mtimeMs,
    ...readdirSync(sources).map((name) => statSync(join(sources, name)).mtimeMs),
  );
  const built = statSync(output, { throwIfNoEntry: false });
  return built && built.mtimeMs > newest ? output : build();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const path = await build();
  console.log(`${path}: ${statSync(path).size} bytes`);
}
