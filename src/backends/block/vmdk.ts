// VMDK images of VMware: "Virtual Disk Format 5.0" (VMware technical note). One file (monolithicSparse, streamOptimized), or a
// descriptor, a text, that names the files of its extents, flat or sparse.

import { type Extent, Image, type ImageDetails } from './image.ts';
import { exact, ImageError, type Io, readBytes, readView, type Storage } from './io.ts';
import { SparseExtent, VMDK_MAGIC } from './vmdk-sparse.ts';

export const SECTOR = 512;
/** Bytes of a descriptor at most. */
const MAX_DESCRIPTOR = 64 << 10;
const MAX_EXTENTS = 4096;

/** A part of the disk that lies in one file. */
export interface VmdkExtent {
  readonly size: number;
  read(offset: number, into: Uint8Array): Io<void>;
  write(offset: number, data: Uint8Array): Io<void>;
  writeZeroes(offset: number, length: number): Io<void>;
  status(offset: number, length: number): Io<Extent>;
  flush(): Io<void>;
  /** It can be written. */
  readonly writable: boolean;
}

/** Sectors of a file as they are. */
class FlatExtent implements VmdkExtent {
  readonly writable = true;

  constructor(
    private readonly storage: Storage,
    readonly size: number,
    private readonly start: number,
  ) {
    if (start + size > storage.size) throw new ImageError(`the image is cut off: an extent of ${size} bytes in a file of ${storage.size}`);
  }

  *read(offset: number, into: Uint8Array): Io<void> {
    yield (done) => this.storage.read(this.start + offset, into, done);
  }

  *write(offset: number, data: Uint8Array): Io<void> {
    yield (done) => this.storage.write(this.start + offset, data, done);
  }

  *writeZeroes(offset: number, length: number): Io<void> {
    yield (done) => this.storage.writeZeroes(this.start + offset, length, false, done);
  }

  *status(_offset: number, length: number): Io<Extent> {
    return { length, kind: 'data' };
  }

  *flush(): Io<void> {
    yield (done) => this.storage.flush(done);
  }
}

/** What a descriptor says. */
interface Descriptor {
  createType: string;
  parent: boolean;
  extents: { access: string; sectors: number; type: string; file: string; offset: number }[];
}

export function parseDescriptor(text: string): Descriptor {
  const extents: Descriptor['extents'] = [];
  const field = (name: string): string | undefined => new RegExp(`^\\s*${name}\\s*=\\s*"?([^"\\r\\n]*)"?`, 'mi').exec(text)?.[1];
  for (const line of text.split(/\r?\n/)) {
    const match = /^\s*(RW|RDONLY|NOACCESS)\s+(\d{1,15})\s+(\w+)(?:\s+"([^"]*)"(?:\s+(\d{1,15}))?)?/.exec(line);
    if (!match) continue;
    extents.push({ access: match[1], sectors: Number(match[2]), type: match[3].toUpperCase(), file: match[4] ?? '', offset: Number(match[5] ?? 0) });
  }
  if (extents.length > MAX_EXTENTS) throw new ImageError('the descriptor has too many extents');
  return { createType: field('createType') ?? '', parent: !/^f{8}$/i.test((field('parentCID') ?? 'ffffffff').trim()), extents };
}

export class VmdkImage extends Image {
  readonly format = 'vmdk';
  readonly size: number;

  private constructor(
    readonly extents: readonly VmdkExtent[],
    readOnly: boolean,
    readonly createType: string,
    private readonly clusterSize: number | undefined,
  ) {
    super(readOnly);
    this.size = extents.reduce((sum, { size }) => sum + size, 0);
  }

  /** @param openFile opens a file that the descriptor names, which lies beside it */
  static *open(storage: Storage, readOnly: boolean, openFile: (name: string) => Io<Storage>): Io<VmdkImage> {
    const head = yield* readView(storage, 0, Math.min(SECTOR, storage.size), 'the header');
    if (head.byteLength >= 4 && head.getUint32(0) === VMDK_MAGIC) {
      const extent = yield* SparseExtent.open(storage, readOnly);
      const { createType, parent } = parseDescriptor(extent.descriptor);
      if (parent) throw new ImageError('images that build on a parent are not supported');
      if (!readOnly && !extent.writable) throw new ImageError('its sectors are compressed (streamOptimized), and it can only be read');
      return new VmdkImage([extent], readOnly, createType || 'monolithicSparse', extent.grainSize);
    }
    if (storage.size > MAX_DESCRIPTOR) throw new ImageError('it is not a VMDK image');
    const text = new TextDecoder().decode(yield* readBytes(storage, 0, storage.size, 'the descriptor'));
    if (!isDescriptor(text)) throw new ImageError('it is not a VMDK image');
    const { createType, parent, extents: lines } = parseDescriptor(text);
    if (parent) throw new ImageError('images that build on a parent are not supported');
    if (lines.length === 0) throw new ImageError('its descriptor names no extents');
    const extents: VmdkExtent[] = [];
    let clusterSize: number | undefined;
    for (const { access, sectors, type, file, offset } of lines) {
      if (access !== 'RW' && !readOnly) throw new ImageError(`the extent ${file} can only be read`);
      const size = exact(BigInt(sectors) * 512n, 'the size of an extent');
      if (type === 'FLAT' || type === 'VMFS') extents.push(new FlatExtent(yield* openFile(file), size, offset * SECTOR));
      else if (type === 'SPARSE') {
        const extent = yield* SparseExtent.open(yield* openFile(file), readOnly);
        if (extent.size < size) throw new ImageError(`the extent ${file} is smaller than the descriptor says`);
        if (!readOnly && !extent.writable) throw new ImageError(`the extent ${file} is compressed, and can only be read`);
        extent.size = size;
        clusterSize = extent.grainSize;
        extents.push(extent);
      } else throw new ImageError(`extents of type ${type} are not supported`);
    }
    return new VmdkImage(extents, readOnly, createType, clusterSize);
  }

  override details(): ImageDetails {
    return { clusterSize: this.clusterSize, specific: { 'create type': this.createType } };
  }

  private *parts(offset: number, length: number): Generator<{ extent: VmdkExtent; inside: number; at: number; length: number }> {
    let start = 0;
    let at = 0;
    for (const extent of this.extents) {
      if (at >= length) return;
      const inside = offset + at - start;
      if (inside < extent.size) {
        const n = Math.min(length - at, extent.size - inside);
        yield { extent, inside, at, length: n };
        at += n;
      }
      start += extent.size;
    }
  }

  *read(offset: number, into: Uint8Array): Io<void> {
    for (const { extent, inside, at, length } of this.parts(offset, into.length)) yield* extent.read(inside, into.subarray(at, at + length));
  }

  override *write(offset: number, data: Uint8Array): Io<void> {
    for (const { extent, inside, at, length } of this.parts(offset, data.length)) yield* extent.write(inside, data.subarray(at, at + length));
  }

  override *writeZeroes(offset: number, length: number): Io<void> {
    for (const { extent, inside, length: n } of this.parts(offset, length)) yield* extent.writeZeroes(inside, n);
  }

  override *status(offset: number, length: number): Io<Extent> {
    for (const { extent, inside, length: n } of this.parts(offset, length)) return yield* extent.status(inside, n);
    return { length, kind: 'hole' };
  }

  override *flush(): Io<void> {
    for (const extent of this.extents) yield* extent.flush();
  }
}

/** Whether a text is a descriptor: comments and empty lines, and among the first "# Disk DescriptorFile" or "version=". */
export function isDescriptor(text: string): boolean {
  return /^\s*(?:#[^\n]*\n\s*)*(?:#\s*Disk\s*DescriptorFile|version\s*=)/i.test(text);
}
