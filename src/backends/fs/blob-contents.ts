// A file that the user gave to the page, as the beginning of a file in memory. It is read when the guest reads it: a worker may wait for that.

import { Errno, FsError } from '../../devices/file-system.ts';
import type { Contents } from './memory.ts';

/** The part of FileReaderSync (File API, 6.5.1) that is used; it exists in workers only. */
interface SyncReader {
  readAsArrayBuffer(blob: Blob): ArrayBuffer;
}

export class BlobContents implements Contents {
  constructor(
    private readonly blob: Blob,
    private readonly reader: SyncReader,
  ) {}

  get size(): number {
    return this.blob.size;
  }

  read(offset: number, length: number): Uint8Array {
    try {
      return new Uint8Array(this.reader.readAsArrayBuffer(this.blob.slice(offset, offset + length)));
    } catch (error) {
      // The user changed or removed it meanwhile.
      throw new FsError(Errno.EIO, error instanceof Error ? error.message : String(error));
    }
  }
}
