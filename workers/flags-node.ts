// Flags of V8, for the whole process.

import { setFlagsFromString } from 'node:v8';

/**
 * Let V8 read branch hints (src/wasm/module.ts), which Chromium does of its own accord and the V8 of Node 20 and 22 when it is told. To others
 * nothing is said: what V8 does not know, it complains about on stderr.
 */
export function readBranchHints(): void {
  if (/^2[0-2]\./.test(process.versions.node)) setFlagsFromString('--experimental-wasm-branch-hinting');
}
