// The properties of virtio devices (-device virtio-…): docs/virtio.md.

import { MSIX_MAX_VECTORS } from '../../devices/msix.ts';
import type { PciDevice } from './config.ts';
import type { Draft } from './draft.ts';
import { notYet, OptionError } from './error.ts';
import { number, onOff } from './values.ts';

const PCI_PROPERTIES = { addr: 'slot[.function], hexadecimal; default: the first free slot' };
/** What -device X,help says of them. */
export const VIRTIO_PROPERTIES = {
  ...PCI_PROPERTIES,
  'disable-legacy': 'on|off: leave the interface of before virtio 1.0 out (default off)',
  'disable-modern': 'on|off: leave the interface of virtio 1.0 out (default off)',
  vectors: 'MSI-X vectors; 0: the INTx line only',
};

export function applyRng(draft: Draft, fields: Map<string, string>, written: string): void {
  const device = virtioProperties(draft, fields, written);
  draft.devices.push({ device, resolve: () => ({ driver: 'virtio-rng-pci', ...device }) });
}

export function applyBlk(draft: Draft, fields: Map<string, string>, written: string): void {
  const device = virtioProperties(draft, fields, written);
  const id = fields.get('drive');
  const serial = fields.get('serial');
  if (id === undefined) throw new OptionError(written, 'drive=ID is missing', 'Add -drive if=none,id=ID,file=FILE,format=raw and name its ID.');
  if (serial !== undefined && new TextEncoder().encode(serial).length > 20) throw new OptionError(written, 'a serial number has 20 bytes at most');
  draft.devices.push({
    device,
    // The -drive may come later in the line.
    resolve: ({ drives }) => {
      const drive = drives.findIndex((candidate) => candidate.id === id);
      if (drive < 0) throw new OptionError(written, `there is no drive with id "${id}"`, `Add -drive if=none,id=${id},file=FILE,format=raw.`);
      return { driver: 'virtio-blk-pci', ...device, drive, ...(serial === undefined ? {} : { serial }) };
    },
  });
}

/** What all virtio devices have. */
function virtioProperties(draft: Draft, fields: Map<string, string>, written: string): PciDevice {
  const id = fields.get('id');
  if (id !== undefined && draft.devices.some(({ device }) => device.id === id)) throw new OptionError(written, `there is a device with id "${id}" already`);
  const legacy = !onOff(fields.get('disable-legacy') ?? 'off', written, 'disable-legacy');
  const modern = !onOff(fields.get('disable-modern') ?? 'off', written, 'disable-modern');
  if (!legacy && !modern) throw new OptionError(written, 'a device needs one of its interfaces', 'Leave out disable-legacy=on or disable-modern=on.');
  const addr = fields.get('addr');
  const vectors = fields.get('vectors');
  if (vectors !== undefined && number(vectors, written) > MSIX_MAX_VECTORS) throw new OptionError(written, `there can be ${MSIX_MAX_VECTORS} vectors at most`);
  return {
    legacy,
    modern,
    ...(id === undefined ? {} : { id }),
    ...(addr === undefined ? {} : { addr: pciAddress(draft, addr, written) }),
    ...(vectors === undefined ? {} : { vectors: number(vectors, written) }),
  };
}

/** QEMU's notation of a place on the PCI bus, "5" or "5.0" in hexadecimal. */
function pciAddress(draft: Draft, text: string, written: string): { slot: number; fn: number } {
  const match = /^(?:0x)?([0-9a-f]{1,2})(?:\.([0-7]))?$/i.exec(text);
  const slot = parseInt(match?.[1] ?? '', 16);
  const fn = Number(match?.[2] ?? 0);
  if (!match || slot > 31) throw new OptionError(written, `"${text}" is not a place on the PCI bus`, 'Write slot or slot.function, for example addr=5.');
  // Functions beside the first are found only behind a first one that says so, and none here does.
  if (fn !== 0) throw notYet(written, 'a function other than 0');
  if (slot < 2) throw new OptionError(written, `PCI slot ${slot} belongs to the board`, 'Slots from 2 to 1f are free.');
  if (draft.devices.some(({ device }) => device.addr?.slot === slot)) throw new OptionError(written, `PCI slot ${slot.toString(16)} is taken already`);
  return { slot, fn };
}
