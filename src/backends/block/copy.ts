// Copying a disk: what is empty in the source stays empty in the target.

import { type Image, isZero } from './image.ts';
import type { Io } from './io.ts';
import { Qcow2Image } from './qcow2.ts';

/** Bytes that are read at once, and in units of which zeros are left out. */
const STEP = 2 << 20;
const UNIT = 64 << 10;

/**
 * Copy all of a disk into an empty one that is at least as large.
 * @param packed compress clusters by this (raw DEFLATE, window of 4 KiB); the target is qcow2
 * @param progress fraction that is done, now and then
 */
export function* copyDisk(source: Image, target: Image, packed?: (bytes: Uint8Array) => Uint8Array, progress: (done: number) => void = () => {}): Io<void> {
  const unit = target instanceof Qcow2Image ? target.header.clusterSize : UNIT;
  const step = Math.max(STEP, unit);
  const buffer = new Uint8Array(step);
  for (let at = 0; at < source.size; ) {
    const extent = yield* source.status(at, source.size - at);
    // Whole units, so that one that begins with something empty is not written twice.
    const empty = extent.kind === 'data' ? 0 : at + extent.length === source.size ? extent.length : extent.length - ((at + extent.length) % unit);
    if (empty > 0) {
      at += empty;
      continue;
    }
    const length = Math.min(step - (at % unit), Math.max(Math.min(extent.length, step), unit - (at % unit)), source.size - at);
    const part = buffer.subarray(0, length);
    yield* source.read(at, part);
    for (let n = 0; n < length; ) {
      const size = Math.min(unit - ((at + n) % unit), length - n);
      const bytes = part.subarray(n, n + size);
      if (!isZero(bytes)) {
        if (packed && target instanceof Qcow2Image) {
          // The last cluster may be cut short by the end of the disk.
          const whole = size === unit ? bytes : new Uint8Array(unit);
          if (size < unit) whole.set(bytes);
          const small = packed(whole);
          if (small.length < unit) yield* target.writeCompressed(at + n, small);
          else yield* target.write(at + n, bytes);
        } else yield* target.write(at + n, bytes);
      }
      n += size;
    }
    at += length;
    progress(at / source.size);
  }
  yield* target.flush();
  progress(1);
}
