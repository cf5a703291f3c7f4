// A compiler's worker that compiles nothing, for the runner's spec.

import { workerData } from 'node:worker_threads';

workerData.machine.on('message', () => {});
