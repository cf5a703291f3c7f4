// Entry point of bin/tabvisor, in the bundle that scripts/build-node.mjs makes beside the machine worker's.

import { run } from './run.ts';

process.exitCode = await run(process.argv.slice(2), {
  worker: new URL('./machine-node.js', import.meta.url),
  compiler: new URL('./compiler-node.js', import.meta.url),
  firmware: new URL('../../guests/out/firmware/', import.meta.url),
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
});
