// Folders of the host for the guest. QEMU: -fsdev -virtfs, and -device virtio-9p-pci.

import { MAX_TAG } from '../../virtio/9p/device.ts';
import type { FsdevConfig, VirtioDeviceConfig } from './config.ts';
import type { Draft, Options } from './draft.ts';
import { notYet, OptionError, unknownKey } from './error.ts';
import { keyValues, onOff } from './values.ts';
import { VIRTIO_PROPERTIES, virtioProperties } from './virtio.ts';

export const VIRTFS_OPTIONS: Options = {
  fsdev: { argument: 'local,id=ID,path=FOLDER,security_model=none|passthrough[,readonly=on]', help: 'a folder of the host, for virtio-9p-pci,fsdev=ID', apply: applyFsdev },
  virtfs: {
    argument: 'local,path=FOLDER,mount_tag=TAG,security_model=none|passthrough[,readonly=on][,id=ID]',
    help: 'a folder of the host that the guest mounts: mount -t 9p TAG DIRECTORY', apply: applyVirtfs,
  },
};

export const P9_PROPERTIES = { fsdev: 'id of an -fsdev', mount_tag: `what the guest mounts it by, up to ${MAX_TAG} bytes`, ...VIRTIO_PROPERTIES };

/** What -fsdev and -virtfs have in common. */
function folder(fields: ReadonlyMap<string, string>, id: string, allowed: readonly string[], written: string): FsdevConfig {
  const driver = fields.get('fsdriver') ?? '';
  if (driver !== 'local') throw notYet(written, `"${driver}"`, 'The only kind is local.');
  for (const key of fields.keys()) {
    if (['fsdriver', 'path', 'security_model', 'readonly', ...allowed].includes(key)) continue;
    throw ['writeout', 'fmode', 'dmode', 'multidevs'].includes(key) || key.startsWith('throttling') ? notYet(written, `${key}=`) : unknownKey(written, key);
  }
  const path = fields.get('path');
  if (!path) throw new OptionError(written, 'path=FOLDER is missing');
  const model = fields.get('security_model');
  if (model === undefined) throw new OptionError(written, 'the security model is missing', 'Write security_model=none.');
  if (model.startsWith('mapped')) throw notYet(written, `security_model=${model} (the host\'s end has no extended attributes)`, 'Write security_model=none.');
  if (model !== 'none' && model !== 'passthrough') throw new OptionError(written, `there is no security model "${model}"`, 'Write security_model=none.');
  return { id, path, readOnly: onOff(fields.get('readonly') ?? 'off', written, 'readonly'), securityModel: model };
}

function add(draft: Draft, fsdev: FsdevConfig, written: string): void {
  if (draft.config.fsdevs.some(({ id }) => id === fsdev.id)) throw new OptionError(written, `there is an fsdev "${fsdev.id}" already`);
  draft.config.fsdevs.push(fsdev);
}

function applyFsdev(draft: Draft, value: string, written: string): void {
  const fields = keyValues(value, 'fsdriver', written);
  const id = fields.get('id');
  if (!id) throw new OptionError(written, 'it has no id', 'Write -fsdev local,id=ID,path=FOLDER,security_model=none.');
  add(draft, folder(fields, id, ['id'], written), written);
}

/** As QEMU: an -fsdev and its device in one. */
function applyVirtfs(draft: Draft, value: string, written: string): void {
  const fields = keyValues(value, 'fsdriver', written);
  const id = fields.get('id') ?? `virtfs${draft.config.fsdevs.length}`;
  add(draft, folder(fields, id, ['id', 'mount_tag'], written), written);
  addDevice(draft, { legacy: true, modern: true }, id, fields.get('mount_tag'), written);
}

export function apply9p(draft: Draft, fields: Map<string, string>, written: string): void {
  const fsdev = fields.get('fsdev');
  if (!fsdev) throw new OptionError(written, 'fsdev=ID is missing', 'Add -fsdev local,id=ID,path=FOLDER,security_model=none and name its ID.');
  addDevice(draft, virtioProperties(draft, fields, written), fsdev, fields.get('mount_tag'), written);
}

function addDevice(draft: Draft, device: VirtioDeviceConfig, id: string, mountTag: string | undefined, written: string): void {
  if (!mountTag) throw new OptionError(written, 'mount_tag=TAG is missing', 'The guest mounts the folder by it.');
  if (new TextEncoder().encode(mountTag).length > MAX_TAG) throw new OptionError(written, `a mount tag has ${MAX_TAG} bytes at most`);
  draft.devices.push({
    device,
    // The -fsdev may come later in the line.
    resolve: ({ fsdevs }) => {
      const fsdev = fsdevs.findIndex((candidate) => candidate.id === id);
      if (fsdev < 0) throw new OptionError(written, `there is no fsdev "${id}"`, `Add -fsdev local,id=${id},path=FOLDER,security_model=none.`);
      return { driver: 'virtio-9p-pci', ...device, fsdev, mountTag };
    },
  });
}
