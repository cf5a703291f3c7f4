// Images in files of the host, for tabvisor-img.

import { besideImage } from '../backends/block/disk-node.ts';
import { FileStorage } from '../backends/block/file-node.ts';
import type { Image } from '../backends/block/image.ts';
import { type Io, runNow, type Storage } from '../backends/block/io.ts';
import { type Format, FORMATS, isFormat } from '../backends/block/formats.ts';
import { openImage, type Wrapper } from '../backends/block/open.ts';

/** What is told to the user, after "tabvisor-img: ". */
export class ImgError extends Error {}

const text = (error: unknown): string => (error instanceof Error ? error.message : String(error));

export function formatOf(name: string | undefined): Format | undefined {
  if (name === undefined || isFormat(name)) return name;
  throw new ImgError(`Unknown file format '${name}'. Formats: ${FORMATS.join(' ')}`);
}

export interface OpenFile {
  image: Image;
  wrapper: Wrapper | undefined;
  file: FileStorage;
  close(): void;
}

export { besideImage };

/** Lock a file as qemu-img does. @throws ImgError if another process has it */
export function lock(file: FileStorage): void {
  try {
    const notLocked = file.lock();
    if (notLocked !== undefined) process.stderr.write(`tabvisor-img: warning: ${file.path} could not be locked: ${notLocked}\n`);
  } catch (error) {
    throw new ImgError(`Could not open '${file.path}': ${text(error)}`);
  }
}

export interface OpenFileOptions {
  format?: Format;
  readOnly?: boolean;
  snapshot?: string;
  withoutBacking?: boolean;
  /** Whoever else has it open (-U). */
  shared?: boolean;
  /** Only what the image says of itself is wanted: a raw one says nothing, and may be in use. */
  headersOnly?: boolean;
}

export function openFile(path: string, options: OpenFileOptions = {}): OpenFile {
  const { readOnly = true, shared = false, headersOnly = false } = options;
  const files: FileStorage[] = [];
  const open = (name: string, only: boolean): FileStorage => {
    try {
      const file = new FileStorage(name, only);
      files.push(file);
      return file;
    } catch (error) {
      throw new ImgError(`Could not open '${name}': ${text(error)}`);
    }
  };
  const file = open(path, readOnly);
  const close = (): void => files.forEach((one) => one.close());
  try {
    const { image, wrapper } = runNow(
      openImage(file, {
        ...options,
        readOnly,
        name: path,
        *openFile(wanted: string, from: string, only: boolean): Io<{ name: string; storage: Storage }> {
          const name = besideImage(wanted, from);
          return { name, storage: open(name, only) };
        },
      }),
    );
    if (!shared && !(headersOnly && image.format === 'raw')) files.forEach(lock);
    return { image, wrapper, file, close };
  } catch (error) {
    close();
    if (error instanceof ImgError) throw error;
    throw new ImgError(`Could not open '${path}': ${text(error)}`);
  }
}
