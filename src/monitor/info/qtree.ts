// info qtree: buses and the devices on them. QEMU, softmmu/qdev-monitor.c. Of QEMU's properties those that say something here.

import { PCI_DEVICE_ID, PCI_SUBSYSTEM_ID, PCI_SUBSYSTEM_VENDOR_ID, PCI_VENDOR_ID } from '../../devices/pci.ts';
import { IOAPIC_ADDRESS } from '../../devices/io-apic.ts';
import { SERIAL_PORTS } from '../../devices/serial16550.ts';
import type { Machine } from '../../machine/machine.ts';
import { hex } from '../format.ts';
import { infoCommand } from './info-command.ts';
import { className, range } from './pci.ts';

interface Bus {
  name: string;
  type: string;
  devices: Device[];
}

interface Device {
  name: string;
  id?: string;
  properties: string[];
  buses?: Bus[];
}

/** A number as qdev prints it. */
const number = (name: string, value: number): string => `${name} = ${value} (0x${value.toString(16)})`;

const isa = (name: string, properties: Record<string, number | string | boolean> = {}): Device => ({
  name,
  properties: Object.entries(properties).map(([key, value]) => (typeof value === 'number' ? number(key, value) : `${key} = ${value}`)),
});

function isaBus({ pc, config }: Machine): Bus {
  const devices = [
    isa('port92'),
    isa('i8042', { 'kbd-irq': 1, 'mouse-irq': 12 }),
    ...pc.serial.flatMap((port, index) => (port ? [isa('isa-serial', { index, iobase: SERIAL_PORTS[index].base, irq: SERIAL_PORTS[index].irq })] : [])),
    ...(config.debugExit ? [isa('isa-debug-exit', { iobase: config.debugExit.iobase, iosize: config.debugExit.iosize })] : []),
    ...(config.debugcon ? [isa('isa-debugcon', { iobase: config.debugcon.iobase })] : []),
    isa('isa-pcspk', { iobase: 0x61 }),
    isa('isa-pit', { iobase: 0x40 }),
    isa('mc146818rtc', { iobase: 0x70, irq: 8 }),
    isa('isa-i8259', { iobase: 0xa0, elcr_addr: 0x4d1, master: false }),
    isa('isa-i8259', { iobase: 0x20, elcr_addr: 0x4d0, master: true }),
  ];
  return { name: 'isa.0', type: 'ISA', devices };
}

/** QEMU's names of the board's functions. */
const PCI_NAMES: Readonly<Record<string, string>> = { i440fx: 'i440FX', piix3: 'PIIX3', 'piix4-pm': 'PIIX4_PM', vga: 'VGA' };

function pciBus(machine: Machine): Bus {
  const { pc } = machine;
  const devices = pc.pci.list().map(({ slot, fn, device }): Device => {
    const id = (register: number): string => hex(device.get16(register), 4);
    const place = `${hex(slot, 2)}.${fn}`;
    const bars = device.resources.map(({ bar, kind, size, address }) => ({ bar, kind, size, address }));
    if (device.rom) bars.push({ bar: 6, kind: 'memory', ...device.rom });
    return {
      name: PCI_NAMES[device.name] ?? device.name,
      id: device.id,
      properties: [
        `addr = ${place}`,
        `class ${className(device)}, addr 00:${place}, pci id ${id(PCI_VENDOR_ID)}:${id(PCI_DEVICE_ID)} (sub ${id(PCI_SUBSYSTEM_VENDOR_ID)}:${id(PCI_SUBSYSTEM_ID)})`,
        ...bars.map(({ bar, kind, size, address }) => {
          const [first, last] = range(address, size);
          return `bar ${bar}: ${kind === 'io' ? 'i/o' : 'mem'} at 0x${first.toString(16)} [0x${last.toString(16)}]`;
        }),
      ],
      buses: device === pc.isaBridge ? [isaBus(machine)] : [],
    };
  });
  return { name: 'pci.0', type: 'PCI', devices };
}

function systemBus(machine: Machine): Bus {
  return {
    name: 'main-system-bus',
    type: 'System',
    devices: [
      { name: 'ioapic', properties: [number('version', 0x20), `mmio ${hex(IOAPIC_ADDRESS, 16)}/${hex(0x1000, 16)}`] },
      ...machine.pc.localApics.map((apic) => ({ name: 'apic', properties: [number('id', apic.index), `mmio ${hex(apic.address < 0 ? 0xffff_ffff_ffff_ffffn : apic.address, 16)}/${hex(0x1000, 16)}`] })),
      { name: 'i440FX-pcihost', properties: [], buses: [pciBus(machine)] },
      { name: 'fw_cfg_io', properties: ['dma_enabled = true'] },
      ...(machine.config.cpu.features.has('kvmclock') ? [{ name: 'kvmclock', properties: [] }] : []),
    ],
  };
}

function show(bus: Bus, indent: string): string[] {
  return [
    `${indent}bus: ${bus.name}`,
    `${indent}  type ${bus.type}`,
    ...bus.devices.flatMap((device) => [
      `${indent}  dev: ${device.name}, id "${device.id ?? ''}"`,
      ...device.properties.map((property) => `${indent}    ${property}`),
      ...(device.buses ?? []).flatMap((inner) => show(inner, `${indent}    `)),
    ]),
  ];
}

export const qtree = infoCommand('qtree', 'show device tree', ({ target }) => show(systemBus(target.machine), '').join('\n'));
