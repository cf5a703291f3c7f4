// Tabvisor's machine worker under Node, as the headless runner starts it: the serial port on stdin and stdout, and its counters on
// stderr when the text has come, and shortly after each line "mark NAME". Built by bundle.ts. Arguments: the text, then the machine line.

import { writeSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';
import { wrapMachine } from '../../src/machine/client.ts';
import { Control, RunState } from '../../src/machine/protocol.ts';
import { compilesBeside, parse } from '../../src/machine/options/index.ts';
import { InputPump, OutputPump } from '../../src/runner/ports.ts';
import { startWorkers } from '../../src/runner/workers.ts';

const [until, ...args] = process.argv.slice(2);
const files = ['-kernel', '-initrd'].flatMap((option) => {
  const at = args.indexOf(option);
  return at < 0 ? [] : [{ name: args[at + 1], source: { url: pathToFileURL(args[at + 1]).href } }];
});

const script = (name: string): URL => new URL(`../node/${name}.js`, import.meta.url);
const workers = startWorkers(script('machine-node'), compilesBeside(parse(args)) ? script('compiler-node') : undefined);
const machine = wrapMachine(nodeEndpoint(workers.machine));
const end = (why: unknown) => {
  console.error(why);
  process.exit(1);
};
workers.onEnd = end;
const { memory } = await machine.create({ args, files }, {
  progress: () => {},
  // What it wrote last may still be on its way.
  state: (state) => { if (state === RunState.OFF) setTimeout(() => process.exit(0), 500); },
  failed: end,
  exited: (status) => process.exit(status),
}).catch(end) as { memory: SharedArrayBuffer };

const counters = new BigUint64Array(memory);
const seconds = (at: number) => Number(counters[at >> 3]) / 1e9;
const tell = (more: object) => {
  const told = { ...more, instructions: Number(counters[Control.ICOUNT >> 3]), busyS: seconds(Control.BUSY_NS), idleS: seconds(Control.IDLE_NS), deviceExits: Number(counters[Control.DEVICE_EXITS >> 3]) };
  writeSync(2, `@bench ${JSON.stringify(told)}\n`);
};
let line = '';
/** The guest waits a while after a mark, in which the machine writes its counters. */
const MARK_MS = 200;
const lookForMarks = (text: string) => {
  const lines = (line + text).split('\n');
  line = lines.pop()!;
  for (const each of lines) {
    const name = /^mark (\S+)/.exec(each)?.[1];
    if (name !== undefined) setTimeout(() => tell({ mark: name }), MARK_MS);
  }
};
let tail = '';
let isDone = until === '';
const sink = {
  async write(bytes: Uint8Array) {
    writeSync(1, bytes);
    const text = Buffer.from(bytes).toString('latin1');
    lookForMarks(text);
    if (isDone) return;
    tail = (tail + text).slice(-65536);
    if (!tail.includes(until)) return;
    isDone = true;
    tell({});
  },
  close() {},
};
void new OutputPump(memory, [sink]).run();
const input = new InputPump(() => {});
input.connect(memory, 0);
process.stdin.on('data', (bytes: Buffer) => input.input(bytes));
