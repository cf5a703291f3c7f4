// A machine worker without a machine, for the runner's spec: port 0 gives back what it gets, in capitals.
// The kernel's name says how it ends; without one, or with the name files, it tells which files it was given.

import { parentPort } from 'node:worker_threads';
import { expose } from 'comlink';
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';

const CONTROL = 0x2_0000;
const OUTPUT = CONTROL + 0x0c;
const RINGS = CONTROL + 0x1000;
const RING_SIZE = 0x2000;
const CAPACITY = RING_SIZE - 16;

const memory = new SharedArrayBuffer(0x4_0000);
const words = (address) => new Int32Array(memory, address, 4);
const bytes = (address) => new Uint8Array(memory, address + 16, CAPACITY);
const toHost = (port) => RINGS + port * 2 * RING_SIZE;

function send(port, text) {
  const ring = words(toHost(port));
  for (const byte of Buffer.from(text, 'latin1')) {
    const at = Atomics.load(ring, 0);
    const next = (at + 1) % CAPACITY;
    while (next === Atomics.load(ring, 1)) {
      wake();
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
    bytes(toHost(port))[at] = byte;
    Atomics.store(ring, 0, next);
  }
  wake();
}

function wake() {
  Atomics.add(words(OUTPUT), 0, 1);
  Atomics.notify(words(OUTPUT), 0);
}

function receive() {
  const address = toHost(0) + RING_SIZE;
  const ring = words(address);
  let text = '';
  while (Atomics.load(ring, 1) !== Atomics.load(ring, 0)) {
    const at = Atomics.load(ring, 1);
    text += String.fromCharCode(bytes(address)[at]);
    Atomics.store(ring, 1, (at + 1) % CAPACITY);
  }
  if (Atomics.load(ring, 3)) text += `<break>${Atomics.store(ring, 3, 0) || ''}`;
  return text;
}

expose({
  async create(spec, events) {
    const kernel = spec.args[spec.args.indexOf('-kernel') + 1];
    if (kernel === 'bad') throw { what: 'bad is not a kernel', why: 'it is bad', advice: 'Give a good one.' };
    if (kernel === 'slow') return new Promise(() => {});
    if (kernel === 'files' || !spec.args.includes('-kernel')) send(0, spec.files.map((file) => file.name).join('|') + '\n');
    if (kernel === 'long') send(0, 'x'.repeat(7000));
    if (kernel === 'two') send(1, 'second port');
    send(0, 'hello\n');
    const end = setTimeout(async () => {
      if (kernel === 'long') send(0, 'y'.repeat(100_000));
      if (kernel === 'crash') throw new Error('worker broke');
      if (kernel === 'triple') await events.failed({ what: 'The guest crashed', why: 'triple fault', advice: 'Look at it.', details: 'RAX=1' });
      if (/^\d+$/.test(kernel)) await events.exited(Number(kernel));
      if (['long', 'two', 'files'].includes(kernel) || !spec.args.includes('-kernel')) await events.exited(0);
    }, 50);
    if (kernel === 'echo') {
      clearTimeout(end);
      let all = '';
      setInterval(() => {
        const text = receive();
        all += text;
        if (text) send(0, text.toUpperCase());
        if (all.endsWith('end')) events.exited(all.length & 0xff);
      }, 2);
    }
    return { memory };
  },
}, nodeEndpoint(parentPort));
