// Moves bytes between the serial rings in shared memory and the runner's files and terminal.

import { closeSync, openSync, writeSync } from 'node:fs';
import { Control, ringDoorbell, type ByteRing, serialRings } from '../machine/protocol.ts';

/** Takes what a serial port sends. The promise ends when there is room for more. */
export interface Sink {
  write(bytes: Uint8Array): Promise<void>;
  close(): void;
}

/** Atomics.waitAsync, which TypeScript's library for ES2023 does not have. */
type WaitAsync = (words: Int32Array, index: number, value: number, timeoutMs: number) => { value: Promise<string> | string };
const waitAsync = (Atomics as unknown as { waitAsync: WaitAsync }).waitAsync;

/** Wakes now and then although nobody rang, so that a lost wake-up could delay output and not hold it for ever. */
const LONGEST_WAIT_MS = 250;

export class OutputPump {
  private readonly rings: { ring: ByteRing; sink: Sink }[];
  private readonly output: Int32Array;
  private isEnding = false;

  constructor(private readonly memory: SharedArrayBuffer, sinks: readonly (Sink | undefined)[]) {
    this.rings = sinks.flatMap((sink, port) => (sink ? [{ ring: serialRings(memory, port).toHost, sink }] : []));
    this.output = new Int32Array(memory, Control.OUTPUT, 1);
  }

  /** Moves bytes until end() is called and the rings are empty. */
  async run(): Promise<void> {
    for (;;) {
      const isEnding = this.isEnding;
      const seen = Atomics.load(this.output, 0);
      if (await this.drain()) continue;
      if (isEnding) return;
      await waitAsync(this.output, 0, seen, LONGEST_WAIT_MS).value;
    }
  }

  /** The machine has stopped: no more will come. */
  end(): void {
    this.isEnding = true;
    Atomics.add(this.output, 0, 1);
    Atomics.notify(this.output, 0);
  }

  private async drain(): Promise<boolean> {
    let hasMoved = false;
    for (const { ring, sink } of this.rings) {
      const bytes = ring.read();
      if (!bytes.length) continue;
      hasMoved = true;
      // The port may be waiting for room.
      ringDoorbell(this.memory);
      await sink.write(bytes);
    }
    return hasMoved;
  }
}

/** Keeps what is typed until the guest's ring has room; holds the source up when it is too much. */
export class InputPump {
  private queue: Uint8Array[] = [];
  private queued = 0;
  private ring: ByteRing | undefined;
  private memory: SharedArrayBuffer | undefined;
  private timer: NodeJS.Timeout | undefined;
  private isHeld = false;

  /** @param hold called with true to stop the source, with false to let it go on */
  constructor(private readonly hold: (isHeld: boolean) => void) {}

  /** The machine is there: what is typed goes to this port. */
  connect(memory: SharedArrayBuffer, port: number): void {
    this.memory = memory;
    this.ring = serialRings(memory, port).toGuest;
    this.push();
  }

  input(bytes: Uint8Array): void {
    if (!bytes.length) return;
    this.queue.push(bytes.slice());
    this.queued += bytes.length;
    this.push();
  }

  sendBreak(): void {
    if (!this.ring || !this.memory) return;
    this.ring.sendBreak();
    ringDoorbell(this.memory);
  }

  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.ring = undefined;
  }

  private push(): void {
    if (this.ring && this.memory) {
      let moved = 0;
      while (this.queue.length) {
        const first = this.queue[0];
        const taken = this.ring.write(first);
        moved += taken;
        if (taken < first.length) {
          this.queue[0] = first.subarray(taken);
          break;
        }
        this.queue.shift();
      }
      this.queued -= moved;
      if (moved) ringDoorbell(this.memory);
      // The guest tells nobody when it reads: look again soon.
      if (this.queue.length && !this.timer) {
        this.timer = setTimeout(() => {
          this.timer = undefined;
          this.push();
        }, 5);
      }
    }
    const isHeld = this.queued > 0;
    if (isHeld !== this.isHeld) {
      this.isHeld = isHeld;
      this.hold(isHeld);
    }
  }
}

/** Tell the machine how large the terminal is, now and whenever it changes. @returns a function that ends it */
export function followSize(memory: SharedArrayBuffer, port: number, stream: NodeJS.WritableStream): () => void {
  const terminal = stream as NodeJS.WritableStream & Partial<NodeJS.WriteStream>;
  if (!terminal.isTTY) return () => {};
  const { toGuest } = serialRings(memory, port);
  const tell = () => {
    toGuest.size = { cols: terminal.columns ?? 0, rows: terminal.rows ?? 0 };
    ringDoorbell(memory);
  };
  tell();
  terminal.on('resize', tell);
  return () => terminal.off('resize', tell);
}

/** A stream that says when it is full (stdout). */
export function streamSink(stream: NodeJS.WritableStream, transform: (bytes: Uint8Array) => Uint8Array): Sink {
  return {
    write(bytes) {
      return new Promise((resolve) => {
        if (stream.write(transform(bytes))) return resolve();
        const go = () => {
          for (const event of ['drain', 'error', 'close']) stream.off(event, go);
          resolve();
        };
        for (const event of ['drain', 'error', 'close']) stream.once(event, go);
      });
    },
    close() {},
  };
}

/** A file, made anew. Throws what opening it throws. */
export function fileSink(path: string): Sink {
  const file = openSync(path, 'w');
  return {
    async write(bytes) {
      for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
    },
    close: () => closeSync(file),
  };
}

/** A port whose output nobody sees. */
export const discard: Sink = { write: async () => {}, close() {} };
