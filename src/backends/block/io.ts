// How the image formats ask for bytes: as generators that yield each access, so that one description of a format serves both
// worlds. Over a storage that answers at once (a file under Node) a request ends before the call returns, which keeps
// -icount runs repeatable; over one that answers later (HTTP, a dropped file) the generator waits.

import { type BlockBackend, type BlockDone, BlockError } from '../../devices/interfaces.ts';

/** One access, begun when it is called. */
export type Step = (done: BlockDone) => void;

/** Something that needs accesses. What it throws is a BlockError, be the image ever so wrong. */
export type Io<T> = Generator<Step, T, void>;

/**
 * The bytes in which an image is kept: a file, a Blob, what a URL names. Other than a disk it can grow: a write beyond its end does,
 * with zeros between. A read beyond its end fails.
 */
export interface Storage extends BlockBackend {
  truncate(size: number, done: BlockDone): void;
}

/** What an image holds is wrong, or not supported. */
export class ImageError extends BlockError {
  constructor(message: string) {
    super(message);
    this.name = 'ImageError';
  }
}

export type IoDone<T> = (error: BlockError | null, value?: T) => void;

const asBlockError = (error: unknown): BlockError => (error instanceof BlockError ? error : new BlockError(error instanceof Error ? error.message : String(error)));

/** Run to the end, now if all accesses end at once, without taking stack for them. */
export function start<T>(io: Io<T>, done: IoDone<T>): void {
  let inLoop = false;
  let answered = true;
  let failure: BlockError | null = null;
  const onDone: BlockDone = (error) => {
    answered = true;
    failure = error;
    if (!inLoop) loop();
  };
  const loop = (): void => {
    inLoop = true;
    while (answered) {
      let result: IteratorResult<Step, T>;
      try {
        const error = failure;
        failure = null;
        result = error ? io.throw(error) : io.next();
      } catch (error) {
        return done(asBlockError(error));
      }
      if (result.done) return done(null, result.value);
      answered = false;
      result.value(onDone);
    }
    inLoop = false;
  };
  loop();
}

/** Run over storages that answer at once. Throws the error, and if there was no answer yet. */
export function runNow<T>(io: Io<T>): T {
  let outcome: { error: BlockError | null; value?: T } | undefined;
  start(io, (error, value) => (outcome = { error, value }));
  if (!outcome) throw new Error('the storage did not answer at once');
  if (outcome.error) throw outcome.error;
  return outcome.value as T;
}

/** Run to the end, whenever that is. Rejects with the error. */
export function runLater<T>(io: Io<T>): Promise<T> {
  return new Promise((resolve, reject) => start(io, (error, value) => (error ? reject(error) : resolve(value as T))));
}

/** The bytes of a part of a storage. @throws ImageError if it ends before that, naming what was wanted */
export function* readBytes(storage: BlockBackend, offset: number, length: number, what: string): Io<Uint8Array> {
  if (!(offset >= 0) || offset + length > storage.size) throw new ImageError(`${what} is cut off: ${length} bytes at ${offset} in a file of ${storage.size}`);
  const bytes = new Uint8Array(length);
  yield (done) => storage.read(offset, bytes, done);
  return bytes;
}

/** The same as a view, for its fields. */
export function* readView(storage: BlockBackend, offset: number, length: number, what: string): Io<DataView> {
  return new DataView((yield* readBytes(storage, offset, length, what)).buffer);
}

/** A field of 64 bits that must be a number of bytes or sectors that can exist. */
export function exact(value: bigint, what: string): number {
  if (value > 0x1f_ffff_ffff_ffffn) throw new ImageError(`${what} is ${value}, which is too large`);
  return Number(value);
}
