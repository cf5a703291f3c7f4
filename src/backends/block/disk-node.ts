// A disk image in a file of the host, opened for a machine under Node. Everything is done at once.

import { dirname, isAbsolute, join } from 'node:path';
import type { BlockBackend } from '../../devices/interfaces.ts';
import { FileStorage } from './file-node.ts';
import type { Format } from './formats.ts';
import { ImageDisk } from './image.ts';
import { type Io, runNow, type Storage } from './io.ts';
import { openImage } from './open.ts';

/** Where a name that stands in an image leads: from the image's own folder. */
export const besideImage = (name: string, from: string): string => (isAbsolute(name) ? name : join(dirname(from), name.replace(/^file:/, '')));

/**
 * The image and what it names are locked until it is closed.
 * @param warn told of a file that cannot be locked here
 * @throws an Error that says what is wrong with the file or the image, ImageInUse if another process has one of them
 */
export function openFileDisk(path: string, { format, readOnly }: { format?: Format; readOnly: boolean }, warn: (why: string) => void = () => {}): BlockBackend & { close(): void } {
  const files: FileStorage[] = [];
  const open = (name: string, only: boolean): FileStorage => {
    const file = new FileStorage(name, only);
    files.push(file);
    const notLocked = file.lock();
    if (notLocked !== undefined) warn(`${name} could not be locked: ${notLocked}`);
    return file;
  };
  const close = (): void => files.forEach((file) => file.close());
  try {
    const { image } = runNow(
      openImage(open(path, readOnly), {
        readOnly,
        format,
        name: path,
        *openFile(wanted: string, from: string, only: boolean): Io<{ name: string; storage: Storage }> {
          const name = besideImage(wanted, from);
          return { name, storage: open(name, only) };
        },
      }),
    );
    return Object.assign(new ImageDisk(image), { close });
  } catch (error) {
    close();
    throw error;
  }
}
