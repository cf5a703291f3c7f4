// The workers of a machine under Node, which begin at the same time: to read its program and to fill its tables each takes a fifth of a second, and
// the compiler's has a processor to itself while the machine's makes the machine.

import { MessageChannel, Worker } from 'node:worker_threads';
import { YOUNG_MB } from '../machine/worker-limits.ts';

export interface Workers {
  readonly machine: Worker;
  /** Told what one of them died of, or its exit code. */
  onEnd: (why: unknown) => void;
  terminate(): Promise<void>;
}

/**
 * Each finds a port to the other in its workerData, as `compiler` and as `machine`.
 * @param compiler script of the compiler's worker; without it the machine's worker has none beside it
 */
export function startWorkers(machine: URL, compiler: URL | undefined): Workers {
  const resourceLimits = { maxYoungGenerationSizeMb: YOUNG_MB };
  const { port1, port2 } = new MessageChannel();
  const made = [new Worker(machine, { resourceLimits, workerData: compiler ? { compiler: port1 } : {}, transferList: compiler ? [port1] : [] })];
  if (compiler) made.push(new Worker(compiler, { resourceLimits, workerData: { machine: port2 }, transferList: [port2] }));
  const workers: Workers = {
    machine: made[0],
    onEnd: () => {},
    async terminate() {
      await Promise.all(made.map((worker) => worker.terminate()));
    },
  };
  for (const worker of made) {
    worker.on('error', (error) => workers.onEnd(error));
    worker.on('exit', (code) => workers.onEnd(code));
  }
  return workers;
}
