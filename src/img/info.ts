// tabvisor-img info, check and snapshot: what an image is, and whether it is whole. Words and order are qemu-img's.

import type { CheckResult } from '../backends/block/qcow2-check.ts';
import { checkQcow2 } from '../backends/block/qcow2-check.ts';
import type { SnapshotInfo } from '../backends/block/image.ts';
import { runNow } from '../backends/block/io.ts';
import { VdiImage } from '../backends/block/vdi.ts';
import { SparseExtent } from '../backends/block/vmdk-sparse.ts';
import { VmdkImage } from '../backends/block/vmdk.ts';
import { besideImage, ImgError, openFile, type OpenFile } from './files.ts';
import type { Format } from '../backends/block/formats.ts';
import { clockText, dateText, sizeText } from './text.ts';

function snapshotLines(snapshots: readonly SnapshotInfo[]): string {
  const row = (id: string, tag: string, size: string, date: string, clock: string, icount: string): string =>
    `${id.padEnd(9)} ${tag.padEnd(16)} ${size.padStart(8)} ${date.padStart(19)} ${clock.padStart(12)} ${icount.padStart(10)}\n`;
  const lines = snapshots.map((one) => row(one.id, one.name, sizeText(one.vmStateSize), dateText(one.date), clockText(one.vmClockNs), '0'));
  return `Snapshot list:\n${row('ID', 'TAG', 'VM SIZE', 'DATE', 'VM CLOCK', 'ICOUNT')}${lines.join('')}`;
}

function infoText(path: string, { image, file, wrapper }: OpenFile): string {
  const { clusterSize, backingFile, backingFormat, snapshots = [], specific } = image.details();
  let text = `image: ${path}\nfile format: ${image.format}\nvirtual size: ${sizeText(image.size)} (${image.size} bytes)\ndisk size: ${sizeText(file.allocated)}\n`;
  if (wrapper) text += `compressed: ${wrapper}\n`;
  if (clusterSize !== undefined) text += `cluster_size: ${clusterSize}\n`;
  if (backingFile !== undefined) {
    const actual = besideImage(backingFile, path);
    text += `backing file: ${backingFile}${actual === backingFile ? '' : ` (actual path: ${actual})`}\n`;
    if (backingFormat !== undefined) text += `backing file format: ${backingFormat}\n`;
  }
  if (snapshots.length > 0) text += snapshotLines(snapshots);
  if (specific) text += `Format specific information:\n${Object.entries(specific).map(([key, value]) => `    ${key}: ${value}\n`).join('')}`;
  return text;
}

function infoJson(path: string, { image, file, wrapper }: OpenFile): string {
  const { clusterSize, backingFile, backingFormat, snapshots = [], specific } = image.details();
  const data = {
    ...(snapshots.length > 0
      ? {
          snapshots: snapshots.map((one) => ({
            id: one.id, name: one.name, 'vm-state-size': one.vmStateSize, 'date-sec': one.date, 'date-nsec': one.dateNs,
            'vm-clock-sec': Number(one.vmClockNs / 1_000_000_000n), 'vm-clock-nsec': Number(one.vmClockNs % 1_000_000_000n), icount: 0,
          })),
        }
      : {}),
    'virtual-size': image.size,
    filename: path,
    ...(clusterSize === undefined ? {} : { 'cluster-size': clusterSize }),
    format: image.format,
    'actual-size': file.allocated,
    ...(wrapper ? { compressed: wrapper } : {}),
    ...(specific ? { 'format-specific': { type: image.format, data: Object.fromEntries(Object.entries(specific).map(([key, value]) => [key.replaceAll(' ', '-'), value])) } } : {}),
    ...(backingFile === undefined ? {} : { 'full-backing-filename': besideImage(backingFile, path), 'backing-filename': backingFile }),
    ...(backingFormat === undefined ? {} : { 'backing-filename-format': backingFormat }),
    'dirty-flag': false,
  };
  return `${JSON.stringify(data, null, 4)}\n`;
}

export function info(path: string, format: Format | undefined, json: boolean, shared: boolean): string {
  const open = openFile(path, { format, withoutBacking: true, shared, headersOnly: true });
  try {
    return json ? infoJson(path, open) : infoText(path, open);
  } finally {
    open.close();
  }
}

export function snapshots(path: string, shared: boolean): string {
  const open = openFile(path, { withoutBacking: true, shared, headersOnly: true });
  try {
    const { snapshots: list } = open.image.details();
    return list && list.length > 0 ? snapshotLines(list) : '';
  } finally {
    open.close();
  }
}

/** Exit statuses of qemu-img check. */
const CORRUPT = 2;
const LEAKS = 3;
const NO_CHECKS = 63;

function checkText({ messages, corruptions, leaks, allocated, total, fragmented, compressed, imageEnd }: CheckResult, statistics: boolean): string {
  let text = messages.map((line) => `${line}\n`).join('');
  if (corruptions === 0 && leaks === 0) text += 'No errors were found on the image.\n';
  if (corruptions > 0) text += `\n${corruptions} errors were found on the image.\nData may be corrupted, or further writes to the image may corrupt it.\n`;
  if (leaks > 0) text += `\n${leaks} leaked clusters were found on the image.\nThis means waste of disk space, but no harm to data.\n`;
  const percent = (part: number, whole: number): string => ((100 * part) / whole).toFixed(2);
  if (statistics && total > 0 && allocated > 0) {
    text += `${allocated}/${total} = ${percent(allocated, total)}% allocated, ${percent(fragmented, allocated)}% fragmented, ${percent(compressed, allocated)}% compressed clusters\n`;
  }
  if (statistics && imageEnd > 0) text += `Image end offset: ${imageEnd}\n`;
  return text;
}

/** @returns what to say and the exit status */
export function check(path: string, format: Format | undefined, shared: boolean): { text: string; status: number } {
  const open = openFile(path, { format, withoutBacking: true, shared, headersOnly: true });
  try {
    const { image, file, wrapper } = open;
    const result: CheckResult = { messages: [], corruptions: 0, leaks: 0, allocated: 0, total: 0, fragmented: 0, compressed: 0, imageEnd: 0 };
    if (wrapper) throw new ImgError(`A compressed file (${wrapper}) is checked while it is read`);
    if (image.format === 'qcow2') Object.assign(result, runNow(checkQcow2(file)));
    else if (image instanceof VdiImage) result.corruptions = image.wrongBlocks();
    else if (image instanceof VmdkImage) {
      for (const extent of image.extents) if (extent instanceof SparseExtent) result.corruptions += runNow(extent.wrongGrains());
    } else if (image.format !== 'vhdx') return { text: 'tabvisor-img: This image format does not support checks\n', status: NO_CHECKS };
    return { text: checkText(result, image.format === 'qcow2'), status: result.corruptions > 0 ? CORRUPT : result.leaks > 0 ? LEAKS : 0 };
  } finally {
    open.close();
  }
}
