// Moves bytes between the serial rings in shared memory and whatever shows the console, on the UI thread, in small steps:
// never more than BUDGET bytes at a time, and no more than the console has digested. What is not taken stays in the ring,
// and when the ring is full, with the machine worker; nothing is lost.

import { Control, ringDoorbell, serialRings, type ByteRing } from '../../machine/protocol.ts';

/** Shows bytes; calls done when it has. */
export interface ConsoleSink {
  write(bytes: Uint8Array, done: () => void): void;
}

/** Most bytes given to one sink in one step. */
const BUDGET = 64 * 1024;
/** Bytes given and not yet shown, above which a sink gets no more. */
const UNDIGESTED_LIMIT = 256 * 1024;
/** Bytes of each port's output that are kept, for the log and for consoles opened later. */
export const LOG_LIMIT = 8 * 1024 * 1024;
/** Rest between two steps while bytes flow, ms. */
const REST_MS = 4;
/** Longest sleep while none do, ms; and the time between two looks where the browser has no Atomics.waitAsync. */
const SLEEP_MS = 1000;
const LOOK_MS = 16;

/** What has come out of one port, the oldest dropped beyond LOG_LIMIT. */
export class Log {
  private chunks: Uint8Array[] = [];
  private size = 0;
  /** Bytes dropped at the start. */
  dropped = 0;

  constructor(private readonly limit = LOG_LIMIT) {}

  add(bytes: Uint8Array): void {
    // One chunk for many small reads, or an interactive session would hold an array for each key.
    const last = this.chunks.at(-1);
    if (last && last.length + bytes.length <= 4096) {
      const joined = new Uint8Array(last.length + bytes.length);
      joined.set(last);
      joined.set(bytes, last.length);
      this.chunks[this.chunks.length - 1] = joined;
    } else {
      this.chunks.push(bytes);
    }
    this.size += bytes.length;
    while (this.size > this.limit && this.chunks.length > 1) {
      const oldest = this.chunks.shift()!;
      this.size -= oldest.length;
      this.dropped += oldest.length;
    }
  }

  get parts(): readonly Uint8Array[] { return this.chunks; }
}

class Port {
  readonly log = new Log();
  sink: ConsoleSink | undefined;
  undigested = 0;
  private readonly input: Uint8Array[] = [];

  constructor(private readonly toHost: ByteRing, private readonly toGuest: ByteRing) {}

  /** Move what can be moved. */
  step(): { moved: boolean; relieved: boolean; inputWaits: boolean; inputMoved: boolean } {
    let moved = false;
    let taken = 0;
    while (taken < BUDGET && this.undigested < UNDIGESTED_LIMIT) {
      const bytes = this.toHost.read();
      if (!bytes.length) break;
      moved = true;
      taken += bytes.length;
      this.log.add(bytes);
      const sink = this.sink;
      if (sink) {
        this.undigested += bytes.length;
        sink.write(bytes, () => { if (this.sink === sink) this.undigested -= bytes.length; });
      }
    }
    let inputMoved = false;
    while (this.input.length) {
      const n = this.toGuest.write(this.input[0]);
      inputMoved ||= n > 0;
      if (n < this.input[0].length) {
        this.input[0] = this.input[0].subarray(n);
        break;
      }
      this.input.shift();
    }
    return { moved, relieved: taken >= Control.RING_SIZE / 2, inputWaits: this.input.length > 0, inputMoved };
  }

  queue(bytes: Uint8Array): void { this.input.push(bytes); }
  resize(cols: number, rows: number): void { this.toGuest.size = { cols, rows }; }
}

type WaitAsync = (array: Int32Array, index: number, value: number, timeout: number) =>
  { async: false; value: string } | { async: true; value: Promise<string> };

/** All serial ports of one machine. */
export class ConsolePump {
  private readonly ports = new Map<number, Port>();
  private readonly output: Int32Array;
  private stopped = false;

  constructor(private readonly buffer: SharedArrayBuffer, ports: readonly number[]) {
    this.output = new Int32Array(buffer, Control.OUTPUT, 1);
    for (const port of ports) {
      const { toHost, toGuest } = serialRings(buffer, port);
      this.ports.set(port, new Port(toHost, toGuest));
    }
  }

  start(): void { void this.run(); }

  /** Takes a last look at the rings, then ends. */
  stop(): void {
    this.stopped = true;
    for (const port of this.ports.values()) port.step();
  }

  /** Show port n in `sink` from now on; first what has come so far. Returns how to end it. */
  attach(n: number, sink: ConsoleSink): () => void {
    const port = this.ports.get(n);
    if (!port) return () => {};
    port.sink = sink;
    port.undigested = 0;
    for (const bytes of port.log.parts) {
      port.undigested += bytes.length;
      sink.write(bytes, () => { if (port.sink === sink) port.undigested -= bytes.length; });
    }
    return () => { if (port.sink === sink) port.sink = undefined; };
  }

  /** Type into port n. What the ring cannot hold waits here. */
  send(n: number, bytes: Uint8Array): void {
    const port = this.ports.get(n);
    if (!port || this.stopped || !bytes.length) return;
    port.queue(bytes);
    if (port.step().inputMoved) ringDoorbell(this.buffer);
  }

  /** The window of port n has this size, in characters. */
  resize(n: number, cols: number, rows: number): void {
    this.ports.get(n)?.resize(cols, rows);
    ringDoorbell(this.buffer);
  }

  log(n: number): Log | undefined { return this.ports.get(n)?.log; }

  private async run(): Promise<void> {
    while (!this.stopped) {
      const seen = Atomics.load(this.output, 0);
      let moved = false;
      let waits = false;
      for (const port of this.ports.values()) {
        const step = port.step();
        moved ||= step.moved;
        waits ||= step.inputWaits || port.undigested >= UNDIGESTED_LIMIT;
        // A worker that found the ring full may sleep: it has room again.
        if (step.inputMoved || step.relieved) ringDoorbell(this.buffer);
      }
      if (moved) await rest();
      else if (waits) await delay(LOOK_MS);
      else await this.change(seen);
    }
  }

  /** Resolves when the worker says that there is output, or after a while. */
  private async change(seen: number): Promise<void> {
    const waitAsync = (Atomics as unknown as { waitAsync?: WaitAsync }).waitAsync;
    if (!waitAsync) return delay(LOOK_MS);
    const wait = waitAsync(this.output, 0, seen, SLEEP_MS);
    if (wait.async) await wait.value;
  }
}

const delay = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));

/** Give the UI thread to others. A hidden tab's timers are slowed to one a second, which would hold up the guest's output. */
function rest(): Promise<void> {
  if (typeof document === 'undefined' || !document.hidden) return delay(REST_MS);
  return new Promise((done) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => { port1.close(); done(); };
    port2.postMessage(0);
  });
}
