// The compiler's worker: compiles regions beside the vCPU. Both ends of the messages between it and the machine worker.
// That something has come is also said in the shared memory (Cpu.COMPILED), because a busy machine worker does not look at messages.

import { Cpu } from '../core/layout.ts';
import type { CompileChannel } from '../engine/compile/compiler.ts';
import { CompileService, type CompileJob, type CompileResult } from '../engine/compile/service.ts';
import { HOT_THRESHOLD, HOT_THRESHOLD_FEW } from './options/config.ts';

/** What the two threads post to one another by; a Worker, or the worker's own global scope. */
export interface CompilePort {
  /** CompileChannel.share */
  readonly share?: number;
  post(message: unknown): void;
  onMessage(handler: (message: unknown) => void): void;
}

/** With so many processors the guest loses nothing to those that compile. */
const PROCESSORS = 5;

/**
 * Processors that compiling may take in a page. A page has no priorities for its threads: where there are few processors, the compiler's
 * worker, and V8's threads that optimise what it makes, take from the guest what it would execute meanwhile. So they have half of those
 * that are not the guest's (docs/performance-history.md, The hottest first). @param processors navigator.hardwareConcurrency
 */
export const compileShare = (processors: number): number => (processors >= PROCESSORS ? Infinity : Math.max(1, processors - 1) / 2);

/** Jumps that make code hot where none are asked for. @param share CompileChannel.share */
export const hotThreshold = (share = Infinity): number => (share < Infinity ? HOT_THRESHOLD_FEW : HOT_THRESHOLD);

/** The machine worker's end. */
export function openCompileChannel(port: CompilePort, memory: WebAssembly.Memory): CompileChannel {
  const channel: CompileChannel = {
    onResult: null,
    share: port.share,
    submit: (job) => port.post(job),
  };
  const words = new Int32Array(memory.buffer);
  port.onMessage((message) => {
    const result = message as CompileResult;
    Atomics.sub(words, (result.job.where.cpu + Cpu.COMPILED) >> 2, 1);
    channel.onResult?.(result);
  });
  port.post(memory);
  return channel;
}

/** The compiler's end: the first message is the memory, the others are jobs. */
export function serveCompiler(port: CompilePort): void {
  let service: CompileService | null = null;
  let words: Int32Array | null = null;
  port.onMessage((message) => {
    if (!service) {
      const memory = message as WebAssembly.Memory;
      service = new CompileService(memory);
      words = new Int32Array(memory.buffer);
      return;
    }
    const job = message as CompileJob;
    let result: CompileResult;
    try {
      result = service.compile(job);
    } catch {
      // The records changed while they were read: what stands there is no instruction. They become hot again.
      result = { job, module: null, regions: [], left: [], bytes: 0, milliseconds: 0 };
    }
    port.post(result);
    Atomics.add(words!, (job.where.cpu + Cpu.COMPILED) >> 2, 1);
  });
}
