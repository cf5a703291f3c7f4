// tabvisor-img create and convert.

import { randomBytes } from 'node:crypto';
import { constants, rmSync } from 'node:fs';
import { basename } from 'node:path';
import { deflateRawSync, constants as zlib } from 'node:zlib';
import { copyDisk } from '../backends/block/copy.ts';
import { FileStorage } from '../backends/block/file-node.ts';
import { runNow } from '../backends/block/io.ts';
import type { Format } from '../backends/block/formats.ts';
import { createQcow2, type Qcow2Options } from '../backends/block/qcow2-create.ts';
import { createVdi } from '../backends/block/vdi.ts';
import { createVhd } from '../backends/block/vhd.ts';
import { createVmdk } from '../backends/block/vmdk-sparse.ts';
import { besideImage, ImgError, lock, openFile } from './files.ts';
import { parseSize } from './text.ts';

/** Options of -o, by format: those that are here. */
const OPTIONS: Record<Format, Record<string, string>> = {
  raw: {},
  qcow2: {
    backing_file: 'file that has what is not written', backing_fmt: 'its format', cluster_size: 'bytes, 512 to 2M', compat: '1.1 (default) or 0.10',
    refcount_bits: '1 to 64', compression_type: 'zlib',
  },
  vmdk: { subformat: 'monolithicSparse' },
  vdi: { static: 'on: all blocks from the start' },
  vpc: { subformat: 'dynamic (default) or fixed', force_size: 'on: the size is kept exactly' },
  vhdx: {},
};

export const WRITABLE_FORMATS: readonly Format[] = ['raw', 'qcow2', 'vmdk', 'vdi', 'vpc'];

export function optionsHelp(format: Format): string {
  const lines = Object.entries(OPTIONS[format]).map(([name, help]) => `  ${`${name}=`.padEnd(20)} ${help}\n`);
  return `Supported options:\n${lines.join('')}`;
}

/** Options as they are written after -o. */
export function parseOptions(format: Format, texts: readonly string[]): Map<string, string> {
  const options = new Map<string, string>();
  for (const text of texts.flatMap((one) => one.split(','))) {
    const at = text.indexOf('=');
    const name = at < 0 ? text : text.slice(0, at);
    if (!Object.hasOwn(OPTIONS[format], name)) throw new ImgError(`The option '${name}' is not supported for ${format}. -o help lists those that are`);
    options.set(name, at < 0 ? 'on' : text.slice(at + 1));
  }
  return options;
}

const must = (value: string | undefined, known: readonly string[], name: string): void => {
  if (value !== undefined && !known.includes(value)) throw new ImgError(`${name}=${value} is not supported; supported: ${known.join(', ')}`);
};

function on(options: Map<string, string>, name: string, otherwise: boolean): boolean {
  const value = options.get(name);
  must(value, ['on', 'off'], name);
  return value === undefined ? otherwise : value === 'on';
}

/** Make an empty image, in place of what is there. */
function makeImage(path: string, format: Format, size: number, options: Map<string, string>): void {
  if (!WRITABLE_FORMATS.includes(format)) throw new ImgError(`Images of format ${format} cannot be made`);
  must(options.get('compression_type'), ['zlib'], 'compression_type');
  must(options.get('compat'), ['1.1', 'v3', '0.10', 'v2'], 'compat');
  if (format === 'vmdk') must(options.get('subformat'), ['monolithicSparse'], 'subformat');
  if (format === 'vpc') must(options.get('subformat'), ['dynamic', 'fixed'], 'subformat');
  if (format === 'vpc' && !on(options, 'force_size', true)) throw new ImgError('force_size=off is not supported: sizes are kept exactly');
  const number = (name: string): number | undefined => {
    const text = options.get(name);
    if (text === undefined) return undefined;
    const value = parseSize(text);
    if (value === undefined) throw new ImgError(`Invalid number: ${name}=${text}`);
    return value;
  };
  // What is there goes when it is nobody's.
  const file = new FileStorage(path, false, constants.O_RDWR | constants.O_CREAT);
  try {
    lock(file);
    runNow((function* () {
      yield (done) => file.truncate(0, done);
    })());
    const uuid = (): Uint8Array => {
      const bytes = randomBytes(16);
      bytes[6] = (bytes[6] & 0x0f) | 0x40;
      bytes[8] = (bytes[8] & 0x3f) | 0x80;
      return bytes;
    };
    switch (format) {
      case 'raw':
        runNow((function* () {
          yield (done) => file.truncate(size, done);
        })());
        return;
      case 'qcow2': {
        const qcow2: Qcow2Options = { backingFile: options.get('backing_file'), backingFormat: options.get('backing_fmt') };
        if (['0.10', 'v2'].includes(options.get('compat') ?? '')) qcow2.version = 2;
        qcow2.clusterSize = number('cluster_size');
        qcow2.refcountBits = number('refcount_bits');
        return runNow(createQcow2(file, size, qcow2));
      }
      case 'vmdk':
        return runNow(createVmdk(file, size, basename(path), () => randomBytes(4).readUInt32LE()));
      case 'vdi':
        return runNow(createVdi(file, size, on(options, 'static', false), uuid));
      case 'vpc':
        return runNow(createVhd(file, size, options.get('subformat') === 'fixed', uuid, Math.floor((Date.now() - Date.UTC(2000, 0)) / 1000)));
    }
  } finally {
    file.close();
  }
}

/** The same, and no half of one if that fails. */
function make(path: string, format: Format, size: number, options: Map<string, string>): void {
  try {
    makeImage(path, format, size, options);
  } catch (error) {
    if (error instanceof ImgError) throw error;
    throw new ImgError(`${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

export interface CreateRequest {
  path: string;
  format: Format;
  size: string | undefined;
  options: readonly string[];
  backing: string | undefined;
  backingFormat: Format | undefined;
  /** Do not look at the backing file. */
  unsafe: boolean;
}

export function create({ path, format, size: sizeText, options: texts, backing, backingFormat, unsafe }: CreateRequest): string {
  const options = parseOptions(format, texts);
  if (backing !== undefined) {
    if (format !== 'qcow2') throw new ImgError(`Images of format ${format} have no backing file`);
    options.set('backing_file', backing);
    if (backingFormat !== undefined) options.set('backing_fmt', backingFormat);
  }
  let size = sizeText === undefined ? undefined : parseSize(sizeText);
  if (sizeText !== undefined && size === undefined) throw new ImgError(`Invalid image size specified: '${sizeText}'. You may use k, M, G, T, P or E suffixes`);
  const base = options.get('backing_file');
  if (base !== undefined) {
    // What QEMU refuses too: without a format whoever writes the base could make it look like another.
    if (!options.has('backing_fmt')) throw new ImgError('The format of the backing file is missing: -F FORMAT');
    if (!unsafe) {
      const below = openFile(besideImage(base, path), { format: options.get('backing_fmt') as Format });
      size ??= below.image.size;
      below.close();
    }
  }
  if (size === undefined) throw new ImgError('Image creation needs a size parameter');
  size = Math.ceil(size / 512) * 512;
  make(path, format, size, options);
  return `Formatting '${path}', fmt=${format} size=${size}${[...options].map(([key, value]) => ` ${key}=${value}`).join('')}\n`;
}

export interface ConvertRequest {
  source: string;
  sourceFormat: Format | undefined;
  snapshot: string | undefined;
  /** The source may be in use. */
  shared: boolean;
  target: string;
  format: Format;
  options: readonly string[];
  compress: boolean;
  progress: ((done: number) => void) | undefined;
}

export function convert({ source, sourceFormat, snapshot, shared, target, format, options: texts, compress, progress }: ConvertRequest): void {
  const options = parseOptions(format, texts);
  if (options.has('backing_file')) throw new ImgError('convert with a backing file is not supported');
  if (compress && format !== 'qcow2') throw new ImgError(`Compression is not supported for ${format}`);
  const from = openFile(source, { format: sourceFormat, snapshot, shared });
  try {
    make(target, format, from.image.size, options);
    const to = openFile(target, { format, readOnly: false });
    // QEMU unpacks with a window of 4 KiB.
    const pack = (bytes: Uint8Array): Uint8Array => deflateRawSync(bytes, { windowBits: 12, level: zlib.Z_DEFAULT_COMPRESSION });
    try {
      runNow(copyDisk(from.image, to.image, compress ? pack : undefined, progress));
    } catch (error) {
      rmSync(target, { force: true });
      throw new ImgError(`error while converting ${source}: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      to.close();
    }
  } finally {
    from.close();
  }
}
