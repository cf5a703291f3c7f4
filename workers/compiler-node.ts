// Entry point of the compiler's worker under Node.

import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { serveCompiler } from '../src/machine/compile-channel.ts';
import { lowerThisThread } from './threads-node.ts';

/** After the last job, ms. */
const REST_MS = 1000;

// Who started it is the machine worker, or has a channel to it.
const port = (workerData as { machine?: MessagePort } | null)?.machine ?? parentPort;
if (!port) throw new Error('compiler-node is a worker: start it with node:worker_threads');
lowerThisThread();
// V8 lets garbage lie until there is a reason to collect it, and a worker without jobs gives it none: 14 MB after a boot. Only bin/tabvisor tells
// V8 to let itself be asked (--expose-gc).
const { gc } = globalThis as { gc?: () => void };
const rest = setTimeout(() => gc?.(), REST_MS).unref();
serveCompiler({
  post: (message) => port.postMessage(message),
  onMessage: (handler) => port.on('message', (message) => {
    handler(message);
    rest.refresh();
  }),
});
