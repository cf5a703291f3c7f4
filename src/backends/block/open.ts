// Opening an image: which format it is, by its contents or as told, and what it needs beside it (backing images, extents).
// To add a format is a file, a name in formats.ts, and its mark in probeHead().

import { type Format, isFormat } from './formats.ts';
import { GzipUnpacker, isGzip } from './gzip.ts';
import type { Image } from './image.ts';
import { ImageError, type Io, readBytes, type Storage } from './io.ts';
import { QCOW2_MAGIC } from './qcow2-header.ts';
import { Qcow2Image } from './qcow2.ts';
import { RawImage } from './raw.ts';
import { UnpackedStorage } from './unpacked.ts';
import { VDI_SIGNATURE, VdiImage } from './vdi.ts';
import { isVhdFooter, openVhd } from './vhd.ts';
import { VHDX_SIGNATURE, VhdxImage } from './vhdx.ts';
import { VMDK_MAGIC } from './vmdk-sparse.ts';
import { isDescriptor, VmdkImage } from './vmdk.ts';
import { isZstd, ZstdUnpacker } from './zstd-unpacker.ts';

/** Compression around an image. */
export type Wrapper = 'gzip' | 'zstd';

/** Images that build on each other, at most: a chain that bites its own tail ends here. */
const MAX_CHAIN = 32;
/** An image of which is known no more than what it is opened for. */
export interface OpenOptions {
  /** Absent: by content. */
  format?: Format;
  readOnly: boolean;
  /** Open a file that the image names: its backing image, an extent. `from` is the name of the one that names it. Absent: an image that needs one is refused. */
  openFile?: (name: string, from: string, readOnly: boolean) => Io<{ name: string; storage: Storage }>;
  /** The image's own name, from which others are found. */
  name?: string;
  /** An internal snapshot instead of the present state. */
  snapshot?: string;
  /** Leave the backing image alone: holes are zeros. */
  withoutBacking?: boolean;
  /** Called while a compressed file is looked through, with the bytes that it unpacked to so far. */
  progress?: (unpacked: number) => void;
}

/** What an image is, by its first bytes. Anything without a known mark is raw. */
export function probeHead(head: Uint8Array): Format | Wrapper {
  const view = new DataView(head.buffer, head.byteOffset, head.length);
  if (isGzip(head)) return 'gzip';
  if (isZstd(head)) return 'zstd';
  if (head.length >= 4 && view.getUint32(0) === QCOW2_MAGIC && head.length >= 8 && view.getUint32(4) > 1) return 'qcow2';
  if (head.length >= 4 && view.getUint32(0) === VMDK_MAGIC) return 'vmdk';
  if (head.length >= 0x44 && view.getUint32(0x40, true) === VDI_SIGNATURE) return 'vdi';
  if (String.fromCharCode(...head.subarray(0, 8)) === VHDX_SIGNATURE) return 'vhdx';
  if (isVhdFooter(head)) return 'vpc';
  return isDescriptor(new TextDecoder().decode(head)) ? 'vmdk' : 'raw';
}

/** The same by all that tells. */
export function* probe(storage: Storage): Io<Format | Wrapper> {
  const kind = probeHead(yield* readBytes(storage, 0, Math.min(1024, storage.size), 'the file'));
  if (kind !== 'raw') return kind;
  // A fixed VHD has its mark at the end alone. QEMU takes it for raw; its sectors are the same, and only the footer would be more.
  if (storage.size >= 1024 && storage.size % 512 === 0 && isVhdFooter(yield* readBytes(storage, storage.size - 512, 8, 'the footer'))) return 'vpc';
  return 'raw';
}

/** An image and what was found around it. */
export interface Opened {
  image: Image;
  wrapper: Wrapper | undefined;
}

/** @throws ImageError that says what is wrong with the image, or not supported */
export function* openImage(storage: Storage, options: OpenOptions): Io<Opened> {
  return yield* open(storage, options, 0);
}

function* open(storage: Storage, options: OpenOptions, depth: number): Io<Opened> {
  const { readOnly, openFile, name = '', progress } = options;
  let wrapper: Wrapper | undefined;
  let kind: Format | Wrapper = yield* probe(storage);
  // A compressed file is unpacked whatever format is told, except that told "raw" it is what it is.
  if (options.format !== 'raw' && (kind === 'gzip' || kind === 'zstd')) {
    if (!readOnly) throw new ImageError(`it is compressed (${kind}), and can only be read`);
    const packed = storage;
    wrapper = kind;
    storage = yield* UnpackedStorage.open(kind === 'gzip' ? () => new GzipUnpacker(packed) : () => new ZstdUnpacker(packed), progress);
    kind = yield* probe(storage);
    if (kind === 'gzip' || kind === 'zstd') throw new ImageError('it is compressed twice, which is refused: unpack it first');
  }
  const format = options.format ?? (kind as Format);
  const file = function* (wanted: string, only: boolean): Io<{ name: string; storage: Storage }> {
    if (!openFile) throw new ImageError(`it needs the file ${wanted}, which is not there`);
    if (depth >= MAX_CHAIN) throw new ImageError(`more than ${MAX_CHAIN} images build on each other`);
    return yield* openFile(wanted, name, only);
  };
  const openBacking = function* (backing: string, backingFormat: string | undefined): Io<Image> {
    if (options.withoutBacking) return new EmptyImage();
    if (backingFormat !== undefined && !isFormat(backingFormat)) throw new ImageError(`the format "${backingFormat}" of its backing file is not supported`);
    const found = yield* file(backing, true);
    try {
      return (yield* open(found.storage, { readOnly: true, openFile, name: found.name, format: backingFormat, progress }, depth + 1)).image;
    } catch (error) {
      if (error instanceof ImageError) throw new ImageError(`its backing file ${backing}: ${error.message}`);
      throw error;
    }
  };
  const make = function* (): Io<Image> {
    switch (format) {
      case 'raw':
        return new RawImage(storage, readOnly, options.format === undefined ? (head) => probeHead(head) === 'raw' : undefined);
      case 'qcow2':
        return yield* Qcow2Image.open(storage, readOnly, openBacking, options.snapshot);
      case 'vmdk':
        return yield* VmdkImage.open(storage, readOnly, function* (wanted) {
          return (yield* file(wanted, readOnly)).storage;
        });
      case 'vdi':
        return yield* VdiImage.open(storage, readOnly);
      case 'vpc':
        return yield* openVhd(storage, readOnly);
      case 'vhdx':
        return yield* VhdxImage.open(storage, readOnly);
    }
  };
  const image = yield* make();
  if (options.snapshot !== undefined && format !== 'qcow2') throw new ImageError('only qcow2 images have snapshots');
  return { image, wrapper };
}

/** Stands for a backing image that is left alone. */
class EmptyImage extends RawImage {
  constructor() {
    super({ size: 0 } as Storage, true);
  }
}
