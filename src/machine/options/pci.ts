// What all devices on the PCI bus take in -device.

import type { PciDevice, PciDeviceConfig } from './config.ts';
import type { Draft } from './draft.ts';
import { OptionError } from './error.ts';
import { number, onOff } from './values.ts';

export const PCI_PROPERTIES = {
  addr: 'slot[.function], hexadecimal; default: the first free slot',
  multifunction: 'on|off: there are other functions beside it in its slot; for function 0 (default off)',
  rombar: '1|0: a card\'s option ROM is a resource of its own; else the firmware gets it as a file (default 1)',
};

/** QEMU's notation of a place on the PCI bus, "5" or "5.0" in hexadecimal. */
export function pciAddress(draft: Draft, text: string, written: string): { slot: number; fn: number } {
  const match = /^(?:0x)?([0-9a-f]{1,2})(?:\.([0-7]))?$/i.exec(text);
  const slot = parseInt(match?.[1] ?? '', 16);
  const fn = Number(match?.[2] ?? 0);
  if (!match || slot > 31) throw new OptionError(written, `"${text}" is not a place on the PCI bus`, 'Write slot or slot.function, for example addr=5.');
  if (slot < 2) throw new OptionError(written, `PCI slot ${slot} belongs to the board`, 'Slots from 2 to 1f are free.');
  if (draft.devices.some(({ device: { addr } }) => addr?.slot === slot && addr.fn === fn)) throw new OptionError(written, `PCI slot ${place({ slot, fn })} is taken already`);
  return { slot, fn };
}

/** Id and place. */
export function pciProperties(draft: Draft, fields: ReadonlyMap<string, string>, written: string): PciDevice {
  const id = fields.get('id');
  if (id !== undefined && draft.devices.some(({ device }) => device.id === id)) throw new OptionError(written, `there is a device with id "${id}" already`);
  const addr = fields.get('addr');
  return {
    ...(id === undefined ? {} : { id }),
    ...(addr === undefined ? {} : { addr: pciAddress(draft, addr, written) }),
    ...(onOff(fields.get('multifunction') ?? 'off', written, 'multifunction') ? { multifunction: true } : {}),
    ...(number(fields.get('rombar') ?? '1', written) === 0 ? { rombar: false } : {}),
  };
}

/** Where SeaBIOS finds option ROMs that no card has (src/optionroms.c), by the file's name alone as in QEMU. */
export const optionRomFile = (romfile: string): string => `genroms/${romfile.replace(/^.*\//, '')}`;

const place = ({ slot, fn }: { slot: number; fn: number }): string => `${slot.toString(16)}${fn === 0 ? '' : `.${fn}`}`;

/** Other functions of a slot are found only behind a function 0 that says so (PCI Local Bus Specification 2.2, 3.2.2.3.4); as in QEMU, its line must say it, too. */
export function checkFunctions(devices: readonly PciDeviceConfig[]): void {
  for (const { driver, addr } of devices) {
    if (!addr || addr.fn === 0) continue;
    const written = `-device ${driver},addr=${place(addr)}`;
    const first = devices.find((device) => device.addr?.slot === addr.slot && device.addr.fn === 0);
    const slot = addr.slot.toString(16);
    if (!first) throw new OptionError(written, `there is no function 0 in PCI slot ${slot}, and without it nobody looks for others`, `Put a device there with addr=${slot}.0,multifunction=on.`);
    if (!first.multifunction) throw new OptionError(written, `the device in function 0 of PCI slot ${slot} says that it is alone there`, `Add multifunction=on to its addr=${slot}.0.`);
  }
}
