// Flags of V8, for the whole process.

import { setFlagsFromString } from 'node:v8';

/**
 * Let V8 read branch hints (src/wasm/module.ts), which Chromium does of its own accord and the V8 of Node 20 and 22 when it is told. To others
 * nothing is said: what V8 does not know, it complains about on stderr.
 */
export function readBranchHints(): void {
  if (/^2[0-2]\./.test(process.versions.node)) setFlagsFromString('--experimental-wasm-branch-hinting');
}

/**
 * Let V8 optimise JavaScript after four times as much of it was executed as of its own accord (132 KiB of bytecode). A start runs a lot of it for a
 * short time, the compiler's above all, and what optimises it takes the processor on which that compiler and V8's for regions run
 * (docs/decisions/28-v8-threads.md). The flag's meaning is that of Node 20: later versions have a compiler in between.
 */
export function optimiseJavaScriptLater(): void {
  if (process.versions.node.startsWith('20.')) setFlagsFromString(`--interrupt-budget=${4 * 132 * 1024}`);
}
