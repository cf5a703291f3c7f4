// What all devices on the PCI bus take in -device.

import type { PciDevice } from './config.ts';
import type { Draft } from './draft.ts';
import { notYet, OptionError } from './error.ts';

export const PCI_PROPERTIES = { addr: 'slot[.function], hexadecimal; default: the first free slot' };

/** QEMU's notation of a place on the PCI bus, "5" or "5.0" in hexadecimal. */
export function pciAddress(draft: Draft, text: string, written: string): { slot: number; fn: number } {
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

/** Id and place. */
export function pciProperties(draft: Draft, fields: ReadonlyMap<string, string>, written: string): PciDevice {
  const id = fields.get('id');
  if (id !== undefined && draft.devices.some(({ device }) => device.id === id)) throw new OptionError(written, `there is a device with id "${id}" already`);
  const addr = fields.get('addr');
  return { ...(id === undefined ? {} : { id }), ...(addr === undefined ? {} : { addr: pciAddress(draft, addr, written) }) };
}
