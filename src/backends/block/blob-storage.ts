// A file that was dropped on the page or picked: read where it is touched, never loaded whole. A File stands for a file on the user's disk;
// once that has changed, the browser refuses to read it.

import { ChunkedStorage } from './chunked-storage.ts';
import { DiskFailure } from './failure.ts';

export function openBlob(blob: Blob, name: string): ChunkedStorage {
  return new ChunkedStorage(blob.size, async (offset, length) => {
    try {
      return new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer());
    } catch (error) {
      const gone = error instanceof DOMException && error.name === 'NotFoundError';
      throw new DiskFailure({
        what: `The file ${name} cannot be read any more`,
        why: gone ? 'It is not where it was when it was given to the page' : `It was changed after it was given to the page (${error instanceof Error ? error.message : String(error)})`,
        advice: 'Drop the file on the page again. What the guest wrote is kept, but belongs to the file as it was.',
      });
    }
  });
}
