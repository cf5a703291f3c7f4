// A pair of message rings in shared memory between a machine and the worker that does its network's input and output, with bells for
// both. The machine's end may sleep on its doorbell; the other end waits with Atomics.waitAsync. Nothing here blocks.
//
// A record is four words (bytes of payload, type, id, argument) and the payload, padded to words. One writer and one reader a ring.

import { copyBytes } from '../../devices/shared-copy.ts';

const RING_BYTES = 2 << 20;
const RECORD_HEADER = 16;
/** Longest payload: an Ethernet frame of 64 KiB, and a head. */
export const MAX_PAYLOAD = 66_000;

/** Words at the start of the buffer. */
const enum Word {
  /** Write and read positions (free running) of the ring to the host and the ring to the machine. */
  HOST_WRITE = 0,
  HOST_READ = 1,
  MACHINE_WRITE = 2,
  MACHINE_READ = 3,
  /** The host's bell. */
  BELL = 4,
  /** Whoever writes found a ring full and wants to hear when there is room. */
  MACHINE_WANTS_ROOM = 5,
  HOST_WANTS_ROOM = 6,
  /** 1 while the host waits for its bell: waking it costs far more than a message. */
  HOST_SLEEPS = 7,
  COUNT = 16,
}

export interface Message {
  type: number;
  id: number;
  argument: number;
  /** Valid until the next one is taken: making 64 KiB of memory takes ten times as long as copying them. */
  payload: Uint8Array<ArrayBuffer>;
}

const NOTHING = new Uint8Array(0);

class Ring {
  private readonly data: Uint8Array;
  private readonly taken = new Uint8Array(MAX_PAYLOAD);

  constructor(
    private readonly words: Int32Array,
    private readonly writeWord: number,
    private readonly readWord: number,
    buffer: SharedArrayBuffer,
    offset: number,
  ) {
    this.data = new Uint8Array(buffer, offset, RING_BYTES);
  }

  /** @returns false if there is no room */
  push(type: number, id: number, argument: number, payload: Uint8Array): boolean {
    const write = Atomics.load(this.words, this.writeWord);
    const used = (write - Atomics.load(this.words, this.readWord)) >>> 0;
    const length = RECORD_HEADER + ((payload.length + 3) & ~3);
    if (used + length > RING_BYTES) return false;
    this.put32(write, payload.length);
    this.put32(write + 4, type);
    this.put32(write + 8, id);
    this.put32(write + 12, argument);
    const at = (write + RECORD_HEADER) & (RING_BYTES - 1);
    const first = Math.min(payload.length, RING_BYTES - at);
    copyBytes(this.data.subarray(at), payload.subarray(0, first));
    if (first < payload.length) copyBytes(this.data, payload.subarray(first));
    Atomics.store(this.words, this.writeWord, (write + length) | 0);
    return true;
  }

  shift(): Message | undefined {
    const read = Atomics.load(this.words, this.readWord);
    if (read === Atomics.load(this.words, this.writeWord)) return undefined;
    const length = Math.min(this.get32(read), MAX_PAYLOAD);
    const payload = this.taken.subarray(0, length);
    const at = (read + RECORD_HEADER) & (RING_BYTES - 1);
    const first = Math.min(length, RING_BYTES - at);
    copyBytes(payload, this.data.subarray(at, at + first));
    if (first < length) copyBytes(payload.subarray(first), this.data.subarray(0, length - first));
    const message = { type: this.get32(read + 4), id: this.get32(read + 8), argument: this.get32(read + 12), payload };
    Atomics.store(this.words, this.readWord, (read + RECORD_HEADER + ((length + 3) & ~3)) | 0);
    return message;
  }

  // Records begin at words, so that these four bytes never wrap.
  private put32(position: number, value: number): void {
    const at = position & (RING_BYTES - 1);
    this.data[at] = value;
    this.data[at + 1] = value >>> 8;
    this.data[at + 2] = value >>> 16;
    this.data[at + 3] = value >>> 24;
  }

  private get32(position: number): number {
    const at = position & (RING_BYTES - 1);
    return (this.data[at] | (this.data[at + 1] << 8) | (this.data[at + 2] << 16) | (this.data[at + 3] << 24)) >>> 0;
  }
}

/** One end: the machine's, or the host's. */
export class ChannelEnd {
  private readonly words: Int32Array;
  private readonly out: Ring;
  private readonly in: Ring;
  private readonly wantsRoom: number;
  private readonly peerWantsRoom: number;

  /** @param wake called when there is something for the other end to see */
  constructor(buffer: SharedArrayBuffer, side: 'machine' | 'host', private readonly wake: () => void) {
    this.words = new Int32Array(buffer, 0, Word.COUNT);
    const toHost = new Ring(this.words, Word.HOST_WRITE, Word.HOST_READ, buffer, Word.COUNT * 4);
    const toMachine = new Ring(this.words, Word.MACHINE_WRITE, Word.MACHINE_READ, buffer, Word.COUNT * 4 + RING_BYTES);
    const isMachine = side === 'machine';
    this.out = isMachine ? toHost : toMachine;
    this.in = isMachine ? toMachine : toHost;
    this.wantsRoom = isMachine ? Word.MACHINE_WANTS_ROOM : Word.HOST_WANTS_ROOM;
    this.peerWantsRoom = isMachine ? Word.HOST_WANTS_ROOM : Word.MACHINE_WANTS_ROOM;
  }

  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer(Word.COUNT * 4 + 2 * RING_BYTES);
  }

  /** @returns false if there is no room: the other end wakes this one when there is some */
  send(type: number, id: number, argument = 0, payload: Uint8Array = NOTHING): boolean {
    if (payload.length > MAX_PAYLOAD) throw new RangeError(`a message of ${payload.length} bytes`);
    if (!this.out.push(type, id, argument, payload)) {
      Atomics.store(this.words, this.wantsRoom, 1);
      // There may have come some between.
      if (!this.out.push(type, id, argument, payload)) return false;
    }
    this.wake();
    return true;
  }

  /** The next message, or undefined. */
  receive(): Message | undefined {
    const message = this.in.shift();
    if (message && Atomics.load(this.words, this.peerWantsRoom) === 1) {
      Atomics.store(this.words, this.peerWantsRoom, 0);
      this.wake();
    }
    return message;
  }
}

/** Messages that had no room yet go before all others. Whoever fills this bounds it by credit. */
export class Outbox {
  private waiting: { type: number; id: number; argument: number; payload: Uint8Array }[] = [];

  constructor(private readonly end: ChannelEnd) {}

  /** @param payload copied if it has to wait */
  send(type: number, id: number, argument = 0, payload: Uint8Array = NOTHING): void {
    if (this.waiting.length === 0 && this.end.send(type, id, argument, payload)) return;
    this.waiting.push({ type, id, argument, payload: payload.slice() });
  }

  /** False: what may be lost had better not be sent. */
  get isEmpty(): boolean {
    return this.waiting.length === 0;
  }

  flush(): void {
    let sent = 0;
    while (sent < this.waiting.length) {
      const { type, id, argument, payload } = this.waiting[sent];
      if (!this.end.send(type, id, argument, payload)) break;
      sent++;
    }
    if (sent > 0) this.waiting.splice(0, sent);
  }
}

/** What rings the host's end. */
export function hostBell(buffer: SharedArrayBuffer): () => void {
  const words = new Int32Array(buffer, 0, Word.COUNT);
  return () => {
    // In this order: a host that says that it sleeps only afterwards finds that its bell has rung.
    Atomics.add(words, Word.BELL, 1);
    if (Atomics.exchange(words, Word.HOST_SLEEPS, 0) === 1) Atomics.notify(words, Word.BELL);
  };
}

/** Atomics.waitAsync, which TypeScript's library for ES2023 does not have. */
type WaitAsync = (words: Int32Array, index: number, value: number, timeoutMs: number) => { value: Promise<string> | string };
const waitAsync = (Atomics as unknown as { waitAsync?: WaitAsync }).waitAsync;
/** A wake-up that was lost may delay something, and not hold it for ever; and the time between two looks where there is no waitAsync. */
const LOST_WAKE_MS = 250;
const LOOK_MS = 4;

/** Let messages and sockets in. A MessageChannel's turn costs microseconds, a zero timeout a millisecond or more; Node has something that costs less. */
const nextTurn: () => Promise<void> = makeTurn();

function makeTurn(): () => Promise<void> {
  const { setImmediate } = globalThis as { setImmediate?: (callback: () => void) => void };
  if (setImmediate) return () => new Promise((resolve) => setImmediate(resolve));
  const channel = new MessageChannel();
  const turns: (() => void)[] = [];
  channel.port1.onmessage = () => turns.shift()?.();
  return () => new Promise((resolve) => {
    turns.push(resolve);
    channel.port2.postMessage(0);
  });
}

/** Call `look` whenever the host's bell rings. @returns a function that stops it */
export function watchBell(buffer: SharedArrayBuffer, look: () => void): () => void {
  const words = new Int32Array(buffer, 0, Word.COUNT);
  const ring = hostBell(buffer);
  let isRunning = true;
  // Not as the waits' own time-out, for which V8 would set a timer each time.
  const watchdog = setInterval(() => {
    if (Atomics.load(words, Word.HOST_SLEEPS) === 1) ring();
  }, LOST_WAKE_MS);
  // Under Node the worker ends with its machine.
  (watchdog as { unref?(): void }).unref?.();
  const loop = async (): Promise<void> => {
    while (isRunning) {
      const seen = Atomics.load(words, Word.BELL);
      look();
      if (!isRunning) return;
      if (waitAsync) {
        Atomics.store(words, Word.HOST_SLEEPS, 1);
        const { value } = waitAsync(words, Word.BELL, seen, Infinity);
        // A bell that rings on and on never sleeps: others must have their turn. What wakes a sleeper comes in a turn of its own.
        if (typeof value === 'string') {
          Atomics.store(words, Word.HOST_SLEEPS, 0);
          await nextTurn();
        } else {
          await value;
          Atomics.store(words, Word.HOST_SLEEPS, 0);
        }
        continue;
      }
      if (seen === Atomics.load(words, Word.BELL)) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      await nextTurn();
    }
  };
  void loop();
  return () => {
    isRunning = false;
    clearInterval(watchdog);
    ring();
  };
}
