// The runner with the worker that is no machine, as a process of its own, for the terminal's spec.

import { run } from './run.ts';

if (process.argv.includes('throw')) setTimeout(() => { throw new Error('runner broke'); }, 200);
process.exitCode = await run(process.argv.slice(2).filter((word) => word !== 'throw'), {
  worker: new URL('./fake-worker.mjs', import.meta.url), compiler: new URL('./fake-compiler.mjs', import.meta.url), firmware: new URL('file:///firmware/'), stdin: process.stdin, stdout: process.stdout, stderr: process.stderr,
});
