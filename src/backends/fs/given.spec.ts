import { describe, expect, it } from 'vitest';
import { Errno, FsError } from '../../devices/file-system.ts';
import { BlobContents } from './blob-contents.ts';
import { givenFolder } from './given.ts';

/** What FileReaderSync does, of blobs whose bytes are known. */
const bytes = Uint8Array.from({ length: 1000 }, (_, i) => i & 0xff);
class FakeBlob {
  constructor(readonly data: Uint8Array, readonly gone = false) {}
  get size(): number {
    return this.data.length;
  }
  slice(from: number, to: number): FakeBlob {
    return new FakeBlob(this.data.slice(from, to), this.gone);
  }
}
const reader = {
  readAsArrayBuffer(blob: Blob): ArrayBuffer {
    const { data, gone } = blob as unknown as FakeBlob;
    if (gone) throw new Error('NotReadableError');
    return data.slice().buffer as ArrayBuffer;
  },
};
const blob = (data: Uint8Array, gone = false) => new FakeBlob(data, gone) as unknown as Blob;
const contents = (it: Blob) => new BlobContents(it, reader);

describe('a folder that was given to the page', () => {
  it('has the files, by their paths, and takes what is written over them', () => {
    const folder = givenFolder([
      { path: ['a', 'b'], blob: blob(bytes), modified: 1000 }, { path: ['c'], blob: blob(bytes.subarray(0, 3)), modified: 2000 },
      { path: ['..', 'x'], blob: blob(bytes), modified: 0 }, { path: ['a/x'], blob: blob(bytes), modified: 0 }, { path: [], blob: blob(bytes), modified: 0 },
    ], false, contents, () => 5n);
    expect(folder.list([]).map(({ name }) => name)).toEqual(['a', 'c']);
    expect(folder.stat(['c'])).toMatchObject({ size: 3, mtime: 2_000_000_000n });
    const file = folder.open(['a', 'b'], { read: true, write: true });
    expect([...(file.read(998, 10) as Uint8Array)]).toEqual([bytes[998], bytes[999]]);
    expect(file.write(999, Uint8Array.of(1, 2))).toBe(2);
    expect([...(file.read(998, 10) as Uint8Array)]).toEqual([bytes[998], 1, 2]);
  });

  it('says so when a file cannot be read any more', () => {
    const folder = givenFolder([{ path: ['f'], blob: blob(bytes, true), modified: 0 }], true, contents, () => 5n);
    expect(folder.readOnly).toBe(true);
    expect(() => folder.open(['f'], { read: true, write: false }).read(0, 1)).toThrow(new FsError(Errno.EIO, 'NotReadableError'));
  });
});
