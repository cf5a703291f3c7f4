// What specs of disks need: requests whose end can be waited for.

import type { BlockDone } from '../../devices/interfaces.ts';

/** Make a request of a backend that answers at once. Throws its error, and if there was not exactly one answer. */
export function now(request: (done: BlockDone) => void): void {
  const answers: unknown[] = [];
  request((error) => answers.push(error));
  if (answers.length !== 1) throw new Error(`${answers.length} answers to one request`);
  if (answers[0]) throw answers[0];
}

/** Make a request and wait for its end. Rejects with its error. */
export function later(request: (done: BlockDone) => void): Promise<void> {
  return new Promise((resolve, reject) => request((error) => (error ? reject(error) : resolve())));
}
