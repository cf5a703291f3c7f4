// -icount: a run repeats exactly. The machine worker of the headless runner boots the same line twice, disturbed the second time by
// pauses and by a reader of its serial port that lets it wait; instruction count, memory and registers at the end must be the same.

import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';
import { describe, expect, it } from 'vitest';
import { wrapMachine } from '../../src/machine/client.ts';
import { Control, ringDoorbell, serialRings } from '../../src/machine/protocol.ts';
import { commandLine, guest, PATIENCE_MS, root } from './runner.ts';

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

interface Outcome {
  icount: number;
  hash: string;
  out: string;
}

/** Run a line until the guest ends the machine. */
async function play(args: readonly string[], isDisturbed: boolean): Promise<Outcome> {
  const worker = new Worker(new URL('build/node/machine-node.js', pathToFileURL(root)));
  const machine = wrapMachine(nodeEndpoint(worker));
  let out = '';
  let isOver = false;
  const ended = new Promise<void>((resolve, reject) => {
    const fail = (error: unknown) => reject(error instanceof Error ? error : new Error(JSON.stringify(error)));
    worker.on('error', fail);
    const files = ['-kernel', '-initrd'].map((option) => args[args.indexOf(option) + 1]).map((name) => ({ name, source: { url: pathToFileURL(name).href } }));
    const events = { progress: () => {}, state: () => {}, failed: fail, exited: () => { isOver = true; } };
    machine.create({ args: [...args], files }, events).then(async ({ memory }) => {
      const { toHost } = serialRings(memory, 0);
      const counters = new BigUint64Array(memory);
      for (let round = 0; ; round++) {
        const last = isOver;
        const bytes = toHost.read();
        out += Buffer.from(bytes).toString('latin1');
        if (bytes.length) ringDoorbell(memory);
        if (last && !bytes.length) return resolve();
        // The ring holds 8 KiB, the kernel's messages are more.
        await sleep(isDisturbed ? 300 : 5);
        if (isDisturbed && !isOver && round % 3 === 2) {
          await machine.pause();
          const before = counters[Control.ICOUNT >> 3];
          await sleep(round * 10);
          if (counters[Control.ICOUNT >> 3] !== before) throw new Error('the machine runs while it is paused');
          await machine.resume();
        }
      }
    }).catch(fail);
  });
  try {
    await ended;
    return { ...(await machine.stateHash()), out };
  } finally {
    await worker.terminate();
  }
}

describe('-icount', { timeout: PATIENCE_MS }, () => {
  it.each([['amd64', 'shift=0'], ['i386', 'shift=2,sleep=off']])('%s, %s: the same count, memory, registers and output', async (name, icount) => {
    // Sleeping, so that the clock skips; a date, a random number and a file system besides.
    const line = [...commandLine(guest(name), 'ash -c "mount -t proc proc /proc; mount -t devtmpfs dev /dev; date; head -c 16 /dev/urandom | md5sum; sleep 0.3; cat /proc/uptime /proc/interrupts; poweroff -f"'),
      '-icount', icount, '-serial', 'stdio', '-display', 'none'];
    const first = await play(line, false);
    expect(first.out).toMatch(/ {2}-\r\n/);
    expect(first.out).toMatch(/reboot: Power down\r\n$/);
    const second = await play(line, true);
    expect(second.out).toBe(first.out);
    expect({ icount: second.icount, hash: second.hash }).toEqual({ icount: first.icount, hash: first.hash });
    expect(first.icount).toBeGreaterThan(100_000_000);
  });
});
