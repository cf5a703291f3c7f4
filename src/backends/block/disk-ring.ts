// Requests to disks from the machine worker to the I/O worker and back, through shared memory: slots that hold a request and its data, and two
// rings of slot numbers, one each way. The machine's end is a BlockBackend for each disk; the other end calls one.
//
// The I/O worker waits for SUBMITTED by Atomics.waitAsync; the machine worker learns of what is done when it looks, at each slice, and is rung
// by its doorbell.

import { type BlockBackend, type BlockDone, BlockError } from '../../devices/interfaces.ts';
import { ringDoorbell } from '../../machine/protocol.ts';

const SLOTS = 64;
/** Data of one slot. A longer request goes in parts. */
const SLOT_DATA = 256 << 10;
/** Bytes of a slot's fields. */
const SLOT_FIELDS = 64;
const ERROR_TEXT = 512;

const enum Op {
  READ = 0,
  WRITE = 1,
  FLUSH = 2,
  DISCARD = 3,
  WRITE_ZEROES = 4,
}

/** Words (32 bits) at the start: bumped for each submission; ends of the two rings. */
const enum Word {
  SUBMITTED = 0,
  SUBMIT_WRITE = 1,
  SUBMIT_READ = 2,
  DONE_WRITE = 3,
  DONE_READ = 4,
  HEADER = 16,
}

/** Fields of a slot, words. OFFSET is a double at its second word's place. */
const enum Field {
  OP = 0,
  DISK = 1,
  OFFSET = 2,
  LENGTH = 4,
  MAY_UNMAP = 6,
  FAILED = 7,
}

/** The memory that both ends have. */
export class DiskRingMemory {
  readonly words: Int32Array;
  private readonly submitted: Int32Array;
  private readonly completed: Int32Array;
  private readonly bytes: Uint8Array;
  private readonly fields: number;
  private readonly data: number;

  constructor(readonly buffer: SharedArrayBuffer = new SharedArrayBuffer(4 * Word.HEADER + 8 * SLOTS + SLOTS * (SLOT_FIELDS + SLOT_DATA))) {
    this.words = new Int32Array(buffer, 0, Word.HEADER);
    this.submitted = new Int32Array(buffer, 4 * Word.HEADER, SLOTS);
    this.completed = new Int32Array(buffer, 4 * Word.HEADER + 4 * SLOTS, SLOTS);
    this.fields = 4 * Word.HEADER + 8 * SLOTS;
    this.data = this.fields + SLOTS * SLOT_FIELDS;
    this.bytes = new Uint8Array(buffer);
  }

  slot(n: number): { words: Int32Array; numbers: Float64Array; data: Uint8Array } {
    const at = this.fields + n * SLOT_FIELDS;
    return {
      words: new Int32Array(this.buffer, at, SLOT_FIELDS / 4),
      numbers: new Float64Array(this.buffer, at, SLOT_FIELDS / 8),
      data: this.bytes.subarray(this.data + n * SLOT_DATA, this.data + (n + 1) * SLOT_DATA),
    };
  }

  /** A ring has as many places as there are slots: it is never full. */
  push(ring: 'submitted' | 'completed', slot: number): void {
    const word = ring === 'submitted' ? Word.SUBMIT_WRITE : Word.DONE_WRITE;
    const at = Atomics.load(this.words, word);
    this[ring][(at >>> 0) % SLOTS] = slot;
    Atomics.store(this.words, word, at + 1);
  }

  shift(ring: 'submitted' | 'completed'): number {
    const word = ring === 'submitted' ? Word.SUBMIT_READ : Word.DONE_READ;
    const at = Atomics.load(this.words, word);
    if (at === Atomics.load(this.words, ring === 'submitted' ? Word.SUBMIT_WRITE : Word.DONE_WRITE)) return -1;
    const slot = this[ring][(at >>> 0) % SLOTS];
    Atomics.store(this.words, word, at + 1);
    return slot;
  }
}

interface Request {
  op: Op;
  disk: number;
  offset: number;
  length: number;
  mayUnmap: boolean;
  /** Data to be written, or room for what is read. */
  bytes: Uint8Array | undefined;
  done: BlockDone;
}

/** The machine's end. */
export class DiskRing {
  private readonly memory = new DiskRingMemory();
  private readonly free = Array.from({ length: SLOTS }, (_, n) => n);
  private readonly open: (Request | undefined)[] = Array.from({ length: SLOTS });
  private readonly waiting: Request[] = [];
  private timer: ReturnType<typeof setTimeout> | undefined;

  get buffer(): SharedArrayBuffer {
    return this.memory.buffer;
  }

  /** A disk that the I/O worker has under this number. */
  disk(number: number, size: number, readOnly: boolean): BlockBackend {
    const ask = (op: Op, offset: number, length: number, bytes: Uint8Array | undefined, mayUnmap: boolean, done: BlockDone): void => {
      if (op !== Op.READ && op !== Op.FLUSH && readOnly) return done(new BlockError('the disk is read-only'));
      if (!(offset >= 0) || offset + length > size) return done(new BlockError(`${length} bytes at ${offset} are not on a disk of ${size}`));
      if (!bytes || length <= SLOT_DATA) return this.submit({ op, disk: number, offset, length, mayUnmap, bytes, done });
      // In parts, which end in any order.
      let left = Math.ceil(length / SLOT_DATA);
      let failure: BlockError | null = null;
      for (let at = 0; at < length; at += SLOT_DATA) {
        const part = bytes.subarray(at, at + SLOT_DATA);
        this.submit({
          op, disk: number, offset: offset + at, length: part.length, mayUnmap, bytes: part,
          done: (error) => {
            failure ??= error;
            if (--left === 0) done(failure);
          },
        });
      }
    };
    return {
      size,
      readOnly,
      read: (offset, into, done) => ask(Op.READ, offset, into.length, into, false, done),
      write: (offset, data, done) => ask(Op.WRITE, offset, data.length, data, false, done),
      flush: (done) => ask(Op.FLUSH, 0, 0, undefined, false, done),
      discard: (offset, length, done) => ask(Op.DISCARD, offset, length, undefined, false, done),
      writeZeroes: (offset, length, mayUnmap, done) => ask(Op.WRITE_ZEROES, offset, length, undefined, mayUnmap, done),
    };
  }

  private submit(request: Request): void {
    this.waiting.push(request);
    this.fill();
    // Before the machine runs nobody else looks for answers.
    this.timer ??= setTimeout(() => this.look(), 2);
  }

  private look(): void {
    this.timer = undefined;
    this.poll();
    if (this.free.length < SLOTS) this.timer ??= setTimeout(() => this.look(), 2);
  }

  private fill(): void {
    let any = false;
    while (this.waiting.length > 0 && this.free.length > 0) {
      const n = this.free.pop()!;
      const request = this.waiting.shift()!;
      this.open[n] = request;
      const { words, numbers, data } = this.memory.slot(n);
      words[Field.OP] = request.op;
      words[Field.DISK] = request.disk;
      numbers[Field.OFFSET / 2] = request.offset;
      numbers[Field.LENGTH / 2] = request.length;
      words[Field.MAY_UNMAP] = Number(request.mayUnmap);
      if (request.op === Op.WRITE) data.set(request.bytes!);
      this.memory.push('submitted', n);
      any = true;
    }
    if (!any) return;
    Atomics.add(this.memory.words, Word.SUBMITTED, 1);
    Atomics.notify(this.memory.words, Word.SUBMITTED);
  }

  /** Hand out what has been answered. */
  poll(): void {
    for (let n = this.memory.shift('completed'); n >= 0; n = this.memory.shift('completed')) {
      const request = this.open[n];
      if (!request) continue;
      this.open[n] = undefined;
      const { words, data } = this.memory.slot(n);
      const failed = words[Field.FAILED];
      let error: BlockError | null = null;
      if (failed) error = new BlockError(new TextDecoder().decode(data.slice(0, failed - 1)));
      else if (request.op === Op.READ) request.bytes!.set(data.subarray(0, request.length));
      this.free.push(n);
      request.done(error);
    }
    this.fill();
  }
}

/** Atomics.waitAsync, which TypeScript's library for ES2023 does not have; nor do some browsers. */
type WaitAsync = (words: Int32Array, index: number, value: number, timeout: number) => { async: false } | { async: true; value: Promise<string> };
const waitAsync = (Atomics as unknown as { waitAsync?: WaitAsync }).waitAsync;

/** Serve the requests of a ring, for ever. @param doorbell the machine's memory, once it is known */
export async function serveDiskRing(buffer: SharedArrayBuffer, disks: readonly BlockBackend[], doorbell: () => ArrayBufferLike | undefined): Promise<never> {
  const memory = new DiskRingMemory(buffer);
  // Not in shared memory, which backends are not given and the browser's storage refuses.
  const spare: Uint8Array[] = [];
  for (;;) {
    const seen = Atomics.load(memory.words, Word.SUBMITTED);
    for (let n = memory.shift('submitted'); n >= 0; n = memory.shift('submitted')) serveSlot(memory, n, disks, spare, doorbell);
    if (waitAsync) {
      const wait = waitAsync(memory.words, Word.SUBMITTED, seen, 1000);
      if (wait.async) await wait.value;
      // Not for ever without letting anything else run.
      else await Promise.resolve();
    } else await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

function serveSlot(memory: DiskRingMemory, n: number, disks: readonly BlockBackend[], spare: Uint8Array[], doorbell: () => ArrayBufferLike | undefined): void {
  const { words, numbers, data } = memory.slot(n);
  const disk = disks[words[Field.DISK]];
  const offset = numbers[Field.OFFSET / 2];
  const length = numbers[Field.LENGTH / 2];
  const op = words[Field.OP] as Op;
  const end = (error: BlockError | null, read?: Uint8Array): void => {
    let failed = 0;
    if (error) {
      const text = new TextEncoder().encode(error.message.slice(0, ERROR_TEXT));
      data.set(text);
      failed = text.length + 1;
    } else if (read) data.set(read);
    words[Field.FAILED] = failed;
    memory.push('completed', n);
    const machine = doorbell();
    if (machine) ringDoorbell(machine);
  };
  switch (op) {
    case Op.READ: {
      const buffer = spare.pop() ?? new Uint8Array(SLOT_DATA);
      const into = buffer.subarray(0, length);
      return disk.read(offset, into, (error) => {
        end(error, into);
        spare.push(buffer);
      });
    }
    case Op.WRITE: {
      const buffer = spare.pop() ?? new Uint8Array(SLOT_DATA);
      const from = buffer.subarray(0, length);
      from.set(data.subarray(0, length));
      return disk.write(offset, from, (error) => {
        spare.push(buffer);
        end(error);
      });
    }
    case Op.FLUSH:
      return disk.flush(end);
    case Op.DISCARD:
      return disk.discard(offset, length, end);
    case Op.WRITE_ZEROES:
      return disk.writeZeroes(offset, length, words[Field.MAY_UNMAP] !== 0, end);
  }
}
