// The files that a machine line names, kernels and initrds above all. In the runner they are files of the host, which are read straight into
// the guest's memory when the machine is turned on: a kernel of 14 MB takes 80 ms to read into memory that the process never had, and the
// guest's own copy of it as long again.

import type { GuestMemory } from '../../devices/interfaces.ts';

/** A file that stays where it is. */
export interface HostFile {
  /** Bytes. */
  readonly length: number;
  /** Fill `to` with what lies from `at` on. @throws Error if it is not there any more */
  read(at: number, to: Uint8Array): void;
}

export type FileData = Uint8Array | HostFile;

const PIECE = 1 << 18;
let piece: Uint8Array | undefined;

/** A copy of a part, or what there is of it; bytes that are in memory anyway are not copied. */
export function partOf(file: FileData, from: number, to: number): Uint8Array {
  if (file instanceof Uint8Array) return file.subarray(from, to);
  const end = Math.min(to, file.length);
  const bytes = new Uint8Array(Math.max(0, end - from));
  if (bytes.length > 0) file.read(from, bytes);
  return bytes;
}

export function wholeOf(file: FileData): Uint8Array {
  return partOf(file, 0, file.length);
}

/** Put the bytes from `from` to `to` into guest memory. */
export function copyToGuest(memory: GuestMemory, address: number, file: FileData, from = 0, to = file.length): void {
  if (file instanceof Uint8Array) return memory.write(address, file.subarray(from, to));
  piece ??= new Uint8Array(PIECE);
  for (let at = from; at < to; at += PIECE) {
    const bytes = piece.subarray(0, Math.min(PIECE, to - at));
    file.read(at, bytes);
    memory.write(address + at - from, bytes);
  }
}
