// The properties of virtio devices (-device virtio-…): docs/virtio.md.

import { MSIX_MAX_VECTORS } from '../../devices/msix.ts';
import { SECTOR, type VirtioBlkOptions } from '../../virtio/blk.ts';
import { COMMON_FEATURES, type CommonFeature } from '../../virtio/device.ts';
import { MAX_QUEUE_SIZE } from '../../virtio/queue.ts';
import { BLOCK_SIZES, blockSizes } from './block-sizes.ts';
import type { VirtioDeviceConfig } from './config.ts';
import type { Draft } from './draft.ts';
import { OptionError } from './error.ts';
import { PCI_PROPERTIES, pciProperties } from './pci.ts';
import { BOOTINDEX, bootindex } from './storage.ts';
import { number, onOff } from './values.ts';

/** What -device X,help says of them. */
export const VIRTIO_PROPERTIES = {
  ...PCI_PROPERTIES,
  'disable-legacy': 'on|off: leave the interface of before virtio 1.0 out (default off)',
  'disable-modern': 'on|off: leave the interface of virtio 1.0 out (default off)',
  vectors: 'MSI-X vectors; 0: the INTx line only',
  indirect_desc: 'on|off: offer indirect descriptors (default on)',
  event_idx: 'on|off: offer to be told from when on to notify (default on)',
  notify_on_empty: 'on|off: offer drivers of the legacy interface an interrupt when a queue is empty, wanted or not (default on)',
  any_layout: 'on|off: offer drivers of the legacy interface to cut requests as they like (default on)',
  queue_reset: 'on|off: offer to reset one queue without the others (default on)',
};

export const BLK_PROPERTIES = {
  drive: 'id of a -drive with if=none',
  serial: 'serial number, up to 20 bytes',
  discard: 'on|off: offer to discard what is not used (default on)',
  'write-zeroes': 'on|off: offer to write zeroes without their being sent (default on)',
  'queue-size': 'entries of the queue, a power of two from 4 to 1024 (default 256)',
  'num-queues': 'queues of requests: 1',
  ...BLOCK_SIZES,
  'config-wce': 'on|off: the driver may switch between writing back and writing through (default on)',
  ...BOOTINDEX,
  ...VIRTIO_PROPERTIES,
};

export const RNG_PROPERTIES = {
  'max-bytes': 'random bytes in each period at most (default: without limit)',
  period: 'milliseconds (default 65536)',
  rng: 'id of an -object rng-builtin or rng-random',
  ...VIRTIO_PROPERTIES,
};

export function applyRng(draft: Draft, fields: Map<string, string>, written: string): void {
  const device = virtioProperties(draft, fields, written);
  const maxBytes = fields.get('max-bytes');
  const period = fields.get('period');
  const rng = fields.get('rng');
  // The default is QEMU's, and as good as no limit.
  if (maxBytes !== undefined && (!/^\d{1,19}$/.test(maxBytes) || BigInt(maxBytes) >= 2n ** 63n)) throw new OptionError(written, 'max-bytes must be a number below 2^63');
  if (period !== undefined && !(number(period, written) > 0)) throw new OptionError(written, 'period must be a positive number of milliseconds');
  draft.devices.push({
    device,
    resolve: () => {
      if (rng !== undefined && !draft.rngs.has(rng)) throw new OptionError(written, `there is no random number source "${rng}"`, `Add -object rng-builtin,id=${rng || 'ID'}.`);
      return {
        driver: 'virtio-rng-pci', ...device,
        ...(maxBytes === undefined ? {} : { maxBytes: Number(maxBytes) }), ...(period === undefined ? {} : { period: number(period, written) }),
      };
    },
  });
}

export function applyBlk(draft: Draft, fields: Map<string, string>, written: string): void {
  const device = virtioProperties(draft, fields, written);
  const id = fields.get('drive');
  const serial = fields.get('serial');
  if (id === undefined) throw new OptionError(written, 'drive=ID is missing', 'Add -drive if=none,id=ID,file=FILE,format=raw and name its ID.');
  if (serial !== undefined && new TextEncoder().encode(serial).length > 20) throw new OptionError(written, 'a serial number has 20 bytes at most');
  const features: VirtioBlkOptions = {};
  if (!onOff(fields.get('discard') ?? 'on', written, 'discard')) features.discard = false;
  if (!onOff(fields.get('write-zeroes') ?? 'on', written, 'write-zeroes')) features.writeZeroes = false;
  const size = fields.get('queue-size');
  if (size !== undefined) {
    features.queueSize = number(size, written);
    if (features.queueSize < 4 || features.queueSize > MAX_QUEUE_SIZE || features.queueSize & (features.queueSize - 1)) throw new OptionError(written, `queue-size must be a power of two from 4 to ${MAX_QUEUE_SIZE}`);
  }
  const queues = fields.get('num-queues');
  // 65535 is QEMU's word for as many as there are CPUs.
  if (queues !== undefined && ![1, 65535].includes(number(queues, written))) throw new OptionError(written, `num-queues=${queues} is not supported: requests come through one queue here`, 'Leave it out, or write num-queues=1.');
  const { logical, physical, minIo, optIo } = blockSizes(fields, written);
  if (logical !== SECTOR) features.logicalBlockSize = logical;
  if (physical !== SECTOR) features.physicalBlockSize = physical;
  if (minIo) features.minIoSize = minIo;
  if (optIo) features.optIoSize = optIo;
  if (!onOff(fields.get('config-wce') ?? 'on', written, 'config-wce')) features.configWce = false;
  draft.devices.push({
    device,
    // The -drive may come later in the line.
    resolve: ({ drives }) => {
      const drive = drives.findIndex((candidate) => candidate.id === id);
      if (drive < 0) throw new OptionError(written, `there is no drive with id "${id}"`, `Add -drive if=none,id=${id},file=FILE.`);
      return { driver: 'virtio-blk-pci', ...device, drive, ...bootindex(fields, written), ...(serial === undefined ? {} : { serial }), ...features };
    },
  });
}

/** What all virtio devices have. */
export function virtioProperties(draft: Draft, fields: ReadonlyMap<string, string>, written: string): VirtioDeviceConfig {
  const common = pciProperties(draft, fields, written);
  const legacy = !onOff(fields.get('disable-legacy') ?? 'off', written, 'disable-legacy');
  const modern = !onOff(fields.get('disable-modern') ?? 'off', written, 'disable-modern');
  if (!legacy && !modern) throw new OptionError(written, 'a device needs one of its interfaces', 'Leave out disable-legacy=on or disable-modern=on.');
  const vectors = fields.get('vectors');
  if (vectors !== undefined && number(vectors, written) > MSIX_MAX_VECTORS) throw new OptionError(written, `there can be ${MSIX_MAX_VECTORS} vectors at most`);
  const withheld = (Object.keys(COMMON_FEATURES) as CommonFeature[]).filter((name) => !onOff(fields.get(name) ?? 'on', written, name));
  return {
    ...common,
    legacy,
    modern,
    ...(vectors === undefined ? {} : { vectors: number(vectors, written) }),
    ...(withheld.length === 0 ? {} : { withheld }),
  };
}
