// Devices that the line adds. QEMU: -device. To add one: a line in DEVICES, and one where it is made (../devices.ts).

import { applyDebugconDevice } from './chardev.ts';
import type { PciDeviceConfig } from './config.ts';
import type { Draft, Options } from './draft.ts';
import { OptionError } from './error.ts';
import { applyFloppy, applyIde, FLOPPY_PROPERTIES, IDE_PROPERTIES } from './storage.ts';
import { keyValues, number, own } from './values.ts';
import { checkFunctions } from './pci.ts';
import { applyNic, EMULATED_NIC_PROPERTIES, VIRTIO_NET_PROPERTIES } from './nic.ts';
import { apply9p, P9_PROPERTIES } from './virtfs.ts';
import { applyBalloon, BALLOON_PROPERTIES } from './virtio-balloon.ts';
import { applyPort, applySerialBus, PORT_PROPERTIES, SERIAL_PROPERTIES } from './virtio-serial.ts';
import { applyBlk, applyRng, BLK_PROPERTIES, RNG_PROPERTIES } from './virtio.ts';

/** PCI slots that the board leaves. */
const FREE_SLOTS = 30;

/** Properties by name, each with what it takes. */
export type Properties = Readonly<Record<string, string>>;

interface DeviceDriver {
  bus: 'ISA' | 'PCI' | 'IDE' | 'floppy-bus' | 'virtio-serial-bus';
  help: string;
  properties: Properties;
  apply(draft: Draft, fields: Map<string, string>, written: string): void;
}

/** To add a device: a line here, and one in devices.ts. */
const DEVICES: Readonly<Record<string, DeviceDriver>> = {
  'isa-debug-exit': {
    bus: 'ISA', help: 'a port that ends the machine with exit status (value << 1) | 1',
    properties: { iobase: 'port (default 0x501)', iosize: '1, 2 or 4 ports (default 2)' },
    apply: applyDebugExit,
  },
  'isa-debugcon': {
    bus: 'ISA', help: 'a port whose bytes go to a -chardev',
    properties: { iobase: 'port (default 0xe9; SeaBIOS writes to 0x402)', chardev: 'id of a -chardev' },
    apply: applyDebugconDevice,
  },
  'virtio-rng-pci': { bus: 'PCI', help: 'random numbers', properties: RNG_PROPERTIES, apply: applyRng },
  'virtio-blk-pci': {
    bus: 'PCI', help: 'a disk',
    properties: BLK_PROPERTIES,
    apply: applyBlk,
  },
  'virtio-net-pci': { bus: 'PCI', help: 'a network card', properties: VIRTIO_NET_PROPERTIES, apply: applyNic('virtio-net-pci') },
  e1000: { bus: 'PCI', help: 'Intel Gigabit Ethernet 82540EM', properties: EMULATED_NIC_PROPERTIES, apply: applyNic('e1000') },
  'virtio-9p-pci': { bus: 'PCI', help: 'a folder of the host', properties: P9_PROPERTIES, apply: apply9p },
  'virtio-balloon-pci': { bus: 'PCI', help: 'takes memory from the guest and gives it back', properties: BALLOON_PROPERTIES, apply: applyBalloon },
  rtl8139: { bus: 'PCI', help: 'Realtek Fast Ethernet RTL8139C+', properties: EMULATED_NIC_PROPERTIES, apply: applyNic('rtl8139') },
  ne2k_pci: { bus: 'PCI', help: 'NE2000 on PCI, Realtek RTL8029', properties: EMULATED_NIC_PROPERTIES, apply: applyNic('ne2k_pci') },
  'virtio-serial-pci': { bus: 'PCI', help: 'a bus of consoles and ports for characters', properties: SERIAL_PROPERTIES, apply: applySerialBus },
  virtconsole: { bus: 'virtio-serial-bus', help: 'a console', properties: PORT_PROPERTIES, apply: applyPort(true) },
  virtserialport: { bus: 'virtio-serial-bus', help: 'a port for programs', properties: PORT_PROPERTIES, apply: applyPort(false) },
  'ide-hd': { bus: 'IDE', help: 'an ATA hard disk', properties: IDE_PROPERTIES, apply: applyIde },
  'ide-cd': { bus: 'IDE', help: 'an ATAPI CD-ROM drive', properties: IDE_PROPERTIES, apply: applyIde },
  floppy: { bus: 'floppy-bus', help: 'a floppy drive', properties: FLOPPY_PROPERTIES, apply: applyFloppy },
};

export const DEVICE_OPTIONS: Options = {
  device: { argument: 'DRIVER[,PROPERTY=VALUE…]', help: 'a device; -device help lists them, -device DRIVER,help its properties', apply: applyDevice },
};

/** The devices of -device, and behind them one for each -drive that asks for its own, as QEMU orders them. */
export function finishDevices({ devices, drives, config }: Draft): void {
  const all: PciDeviceConfig[] = devices.map((device) => device.resolve(config));
  for (const { interface: kind, index } of drives) {
    if (kind === 'virtio') all.push({ driver: 'virtio-blk-pci', legacy: true, modern: true, drive: index! });
  }
  const used = new Set<number | undefined>([...config.ide, ...config.floppies].map((drive) => drive?.drive));
  for (const device of all) {
    if (device.driver !== 'virtio-blk-pci') continue;
    if (used.has(device.drive)) throw new OptionError(`-device virtio-blk-pci,drive=${config.drives[device.drive].id}`, 'the drive has a device already');
    used.add(device.drive);
  }
  checkFunctions(all);
  const slots = all.filter(({ addr }) => !addr?.fn).length;
  if (slots > FREE_SLOTS) throw new OptionError('-device', `there are ${slots} devices for ${FREE_SLOTS} free PCI slots`);
  config.devices = all;
}

function applyDevice(draft: Draft, value: string, written: string): void {
  if (value === 'help' || value === '?') {
    draft.config.information ??= Object.entries(DEVICES).map(([name, { bus, help }]) => `name "${name}", bus ${bus}, desc "${help}"\n`).join('');
    return;
  }
  const fields = keyValues(value, 'driver', written);
  const name = fields.get('driver') ?? '';
  const driver = own(DEVICES, name);
  if (!driver) throw new OptionError(written, `the device "${name}" is not supported`, '-device help lists the devices.');
  if (fields.has('help') || fields.has('?')) {
    draft.config.information ??= `${name} options:\n${Object.entries(driver.properties).map(([key, help]) => `  ${key.padEnd(20)} ${help}\n`).join('')}`;
    return;
  }
  for (const key of fields.keys()) {
    if (key === 'driver' || key === 'id' || own(driver.properties, key) !== undefined) continue;
    throw new OptionError(written, `it has no property "${key}" here`, `-device ${name},help lists the properties.`);
  }
  driver.apply(draft, fields, written);
}

function applyDebugExit(draft: Draft, fields: Map<string, string>, written: string): void {
  if (draft.config.debugExit) throw new OptionError(written, 'there is one isa-debug-exit already');
  const iobase = number(fields.get('iobase') ?? '0x501', written);
  const iosize = number(fields.get('iosize') ?? '2', written);
  if (iosize !== 1 && iosize !== 2 && iosize !== 4) throw new OptionError(written, 'iosize must be 1, 2 or 4');
  if (iobase + iosize > 0x10000) throw new OptionError(written, 'iobase must be a port, 0 to 0xffff');
  draft.config.debugExit = { iobase, iosize };
}
