// Priorities of this process's threads under Linux, where each thread has its own: setpriority(2) takes a thread's id, and Node's
// os.setPriority is that call. The thread that runs the guest must not wait for those that compile what the guest will perhaps execute
// again: on two processors they would have most of one, and of the other what the kernel calls fair, milliseconds at a time.

import { opendirSync, readlinkSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';

/**
 * So much behind the others: they take what is left over, which is mostly a whole processor, and a tenth of one that others want too. With 19,
 * the most there is, a computer whose processors are all busy would compile nothing, and its guests stay interpreted.
 */
const BEHIND = 10;
const NICE_MAX = 19;
/** The threads of V8's platform that work, if Node is not told how many (--v8-pool-size, as by bin/tabvisor). */
const V8_POOL_SIZE = 4;

function lower(find: () => number[]): void {
  if (process.platform !== 'linux') return;
  try {
    const nice = Math.min(NICE_MAX, getPriority() + BEHIND);
    for (const thread of find()) setPriority(thread, nice);
  } catch {
    // No /proc, or not allowed here: all goes on as it is, only slower.
  }
}

/** All threads as they were made, which is the folder's own order; their numbers begin anew at some time. */
function inOrder(): number[] {
  const folder = opendirSync('/proc/self/task');
  const ids: number[] = [];
  try {
    for (let entry = folder.readSync(); entry; entry = folder.readSync()) ids.push(Number(entry.name));
  } finally {
    folder.closeSync();
  }
  return ids;
}

/** The threads of V8's platform, which Node makes before all others: one that waits for what is due later, and those that work. */
function v8Threads(): number {
  const told = /--v8-pool-size=(\d+)/.exec(process.execArgv.join(' '));
  return 1 + (told ? Number(told[1]) : V8_POOL_SIZE);
}

const ownId = (): number => Number(readlinkSync('/proc/thread-self').split('/').pop());

/** The thread that calls this, a worker's. */
export function lowerThisThread(): void {
  lower(() => [ownId()]);
}

/** The threads on which V8 compiles. They collect garbage too, but whoever waits for that leaves them its processor. */
export function lowerV8Threads(): void {
  lower(() => {
    const own = ownId();
    return inOrder().filter((id) => id !== process.pid).slice(0, v8Threads()).filter((id) => id !== own);
  });
}
