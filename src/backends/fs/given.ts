// A folder that the user gave to the page: what is in it as it was then, and over it, in memory, what the guest writes; and where the user
// allowed it, what is written goes back into the folder (tracked.ts).

import { NAME_MAX } from '../../devices/file-system.ts';
import type { GivenFile } from '../../machine/protocol.ts';
import type { Contents } from './memory.ts';
import { type FolderTarget, TrackedFolder } from './tracked.ts';

/** @param contents of a file  @param now nanoseconds since 1970  @param target where changes go; without it they stay in memory */
export function givenFolder(files: readonly GivenFile[], readOnly: boolean, contents: (blob: Blob) => Contents, now: () => bigint, target?: FolderTarget, onFailure?: (error: Error) => void): TrackedFolder {
  const folder = new TrackedFolder({ now, readOnly }, target, () => {}, onFailure);
  const encoder = new TextEncoder();
  for (const { path, blob, modified } of files) {
    const usable = path.length > 0 && path.every((name) => name !== '' && name !== '.' && name !== '..' && !/[/\0]/.test(name) && encoder.encode(name).length <= NAME_MAX);
    if (usable) folder.add(path, contents(blob), modified);
  }
  return folder;
}
