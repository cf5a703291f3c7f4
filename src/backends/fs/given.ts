// A folder that the user gave to the page: what is in it as it was then, and over it, in memory, what the guest writes.

import { NAME_MAX } from '../../devices/file-system.ts';
import type { GivenFile } from '../../machine/protocol.ts';
import type { Contents } from './memory.ts';
import { MemoryFolder } from './memory.ts';

/** @param contents of a file  @param now nanoseconds since 1970 */
export function givenFolder(files: readonly GivenFile[], readOnly: boolean, contents: (blob: Blob) => Contents, now: () => bigint): MemoryFolder {
  const folder = new MemoryFolder({ now, readOnly });
  const encoder = new TextEncoder();
  for (const { path, blob, modified } of files) {
    const usable = path.length > 0 && path.every((name) => name !== '' && name !== '.' && name !== '..' && !/[/\0]/.test(name) && encoder.encode(name).length <= NAME_MAX);
    if (usable) folder.add(path, contents(blob), modified);
  }
  return folder;
}
