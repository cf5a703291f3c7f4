// Entry point of the compiler's worker under Node.

import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { serveCompiler } from '../src/machine/compile-channel.ts';
import { lowerThisThread } from './threads-node.ts';

// Who started it is the machine worker, or has a channel to it.
const port = (workerData as { machine?: MessagePort } | null)?.machine ?? parentPort;
if (!port) throw new Error('compiler-node is a worker: start it with node:worker_threads');
lowerThisThread();
serveCompiler({
  post: (message) => port.postMessage(message),
  onMessage: (handler) => port.on('message', handler),
});
