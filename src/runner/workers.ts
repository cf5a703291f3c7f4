// The workers of a machine under Node, which begin at the same time: to read its program and to fill its tables each takes a fifth of a second, and
// the compiler's has a processor to itself while the machine's makes the machine.

import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
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
  const made: Worker[] = [];
  const start = (script: URL, ports: Record<string, MessagePort>): void => {
    made.push(new Worker(script, { resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB }, workerData: ports, transferList: Object.values(ports) }));
  };
  if (compiler) {
    const { port1, port2 } = new MessageChannel();
    start(machine, { compiler: port1 });
    start(compiler, { machine: port2 });
  } else {
    start(machine, {});
  }
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
