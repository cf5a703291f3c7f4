// The compiler's worker: compiles regions beside the vCPU. Both ends of the messages between it and the machine worker.
// That something has come is also said in the shared memory (Cpu.COMPILED), because a busy machine worker does not look at messages.
//
// Before there is anything to compile, that worker touches the memory that a kernel is about to unpack itself into. A host gives pages when
// they are first touched, one by one, and where it is a virtual machine itself that takes as long as ten thousand guest instructions.

import { Cpu, Mem } from '../core/layout.ts';
import type { CompileChannel } from '../engine/compile/compiler.ts';
import { CompileService, type CompileJob, type CompileResult } from '../engine/compile/service.ts';

/** What the two threads post to one another by; a Worker, or the worker's own global scope. */
export interface CompilePort {
  post(message: unknown): void;
  onMessage(handler: (message: unknown) => void): void;
}

/** A range of guest-physical memory, bytes. */
export interface MemoryRange {
  readonly address: number;
  readonly size: number;
}

interface Beginning {
  readonly memory: WebAssembly.Memory;
  /** The guest is going to write all of it soon. */
  readonly used: MemoryRange | null;
}

const PAGE = 4096;
/** Pages touched before messages are looked at again: some milliseconds where it is slow. */
const PAGES_AT_ONCE = 256;

/** The machine worker's end. */
export function openCompileChannel(port: CompilePort, memory: WebAssembly.Memory, used: MemoryRange | null): CompileChannel {
  const channel: CompileChannel = {
    onResult: null,
    submit: (job) => port.post(job),
  };
  const words = new Int32Array(memory.buffer);
  port.onMessage((message) => {
    const result = message as CompileResult;
    Atomics.sub(words, (result.job.where.cpu + Cpu.COMPILED) >> 2, 1);
    channel.onResult?.(result);
  });
  port.post({ memory, used } satisfies Beginning);
  return channel;
}

/** Have the host give memory without changing what is in it, whoever writes to it meanwhile. */
function touch(words: Int32Array, { address, size }: MemoryRange): void {
  let at = Mem.RAM + address;
  const end = at + size;
  const some = (): void => {
    for (const stop = Math.min(end, at + PAGES_AT_ONCE * PAGE); at < stop; at += PAGE) Atomics.or(words, at >> 2, 0);
    if (at < end) setTimeout(some, 0);
  };
  some();
}

/** The compiler's end: the first message is the Beginning, the others are jobs. */
export function serveCompiler(port: CompilePort): void {
  let service: CompileService | null = null;
  let words: Int32Array | null = null;
  port.onMessage((message) => {
    if (!service) {
      const { memory, used } = message as Beginning;
      service = new CompileService(memory);
      words = new Int32Array(memory.buffer);
      if (used) touch(words, used);
      return;
    }
    const job = message as CompileJob;
    let result: CompileResult;
    try {
      result = service.compile(job);
    } catch {
      // The records changed while they were read: what stands there is no instruction. They become hot again.
      result = { job, module: null, regions: [], bytes: 0, milliseconds: 0 };
    }
    port.post(result);
    Atomics.add(words!, (job.where.cpu + Cpu.COMPILED) >> 2, 1);
  });
}
