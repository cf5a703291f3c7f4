// Disks: what is in them. QEMU: -drive. The device that shows one to the guest is device.ts's matter.

import type { Draft, Options } from './draft.ts';
import { notYet, OptionError, unknownKey } from './error.ts';
import { keyValues, onOff } from './values.ts';

export const DRIVE_OPTIONS: Options = {
  drive: { argument: 'file=FILE,format=raw,if=virtio|none[,id=ID][,readonly=on]', help: 'a disk; if=none: for a -device with drive=ID', apply: applyDrive },
};

export function finishDrives({ config, drives }: Draft): void {
  config.drives = drives.map(({ interface: _interface, written: _written, ...drive }) => drive);
}

/** Properties of QEMU's -drive beside those that applyDrive() reads. */
const QEMU_DRIVE_KEYS = 'bus unit index snapshot cache aio discard detect-zeroes copy-on-read rerror werror driver node-name cyls heads secs trans addr'.split(' ');

function applyDrive(draft: Draft, value: string, written: string): void {
  const fields = keyValues(value, 'file', written);
  for (const key of fields.keys()) {
    if (['file', 'id', 'if', 'format', 'media', 'readonly', 'read-only'].includes(key)) continue;
    throw QEMU_DRIVE_KEYS.includes(key) || /^(throttling|iops|bps)/.test(key) ? notYet(written, `${key}=`) : unknownKey(written, key);
  }
  const file = fields.get('file');
  if (!file) throw new OptionError(written, 'file=FILE is missing', 'Drives without a medium are not supported.');
  const kind = fields.get('if') ?? 'ide';
  if (kind !== 'virtio' && kind !== 'none') throw notYet(written, `if=${kind}${fields.has('if') ? '' : ', the default,'}`, 'Write if=virtio.');
  const format = fields.get('format');
  // Without a format QEMU looks at the contents, which the guest may have written: it warns about that, too.
  if (format === undefined) throw new OptionError(written, 'the format is missing', 'Write format=raw.');
  if (format !== 'raw') throw notYet(written, `format=${format}`, 'The only format is raw.');
  if ((fields.get('media') ?? 'disk') !== 'disk') throw notYet(written, `media=${fields.get('media')}`);
  const id = fields.get('id');
  if (id !== undefined && draft.drives.some((drive) => drive.id === id)) throw new OptionError(written, `there is a drive with id "${id}" already`);
  const readOnly = onOff(fields.get('readonly') ?? fields.get('read-only') ?? 'off', written, 'readonly');
  draft.drives.push({ file, format: 'raw', readOnly, interface: kind, written, ...(id === undefined ? {} : { id }) });
}
