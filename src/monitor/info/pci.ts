// info pci: QEMU, hw/pci/pci-hmp-cmds.c.

import { PCI_CLASS_DEVICE, PCI_DEVICE_ID, PCI_INTERRUPT_LINE, PCI_INTERRUPT_PIN, PCI_SUBSYSTEM_ID, PCI_SUBSYSTEM_VENDOR_ID, PCI_VENDOR_ID, type PciFunction } from '../../devices/pci.ts';
import { hex } from '../format.ts';
import { infoCommand } from './info-command.ts';

/** PCI Code and ID Assignment, appendix D, in QEMU's words. */
const CLASSES: Readonly<Record<number, string>> = {
  0x0001: 'VGA controller', 0x0100: 'SCSI controller', 0x0101: 'IDE controller', 0x0102: 'Floppy controller', 0x0106: 'SATA controller',
  0x0108: 'NVME controller', 0x0180: 'Storage controller', 0x0200: 'Ethernet controller', 0x0280: 'Network controller', 0x0300: 'VGA controller',
  0x0301: 'XGA controller', 0x0302: '3D controller', 0x0380: 'Display controller', 0x0400: 'Video controller', 0x0401: 'Audio controller', 0x0403: 'Audio controller',
  0x0480: 'Multimedia controller', 0x0500: 'RAM controller', 0x0580: 'Memory controller', 0x0600: 'Host bridge', 0x0601: 'ISA bridge', 0x0604: 'PCI bridge',
  0x0680: 'Bridge', 0x0700: 'Serial port', 0x0701: 'Parallel port', 0x0900: 'Keyboard', 0x0902: 'Mouse', 0x0c03: 'USB controller', 0x0c05: 'SMBus',
};

/** @param radix info qtree has codes without a name in 16, info pci in 10 */
export function className(device: PciFunction, radix: 10 | 16 = 16): string {
  const code = device.get16(PCI_CLASS_DEVICE);
  return CLASSES[code] ?? `Class ${code.toString(radix).padStart(4, '0')}`;
}

const NOWHERE = 0xffff_ffff_ffff_ffffn;

/** A base address register with its range, as QEMU counts it while it is not mapped. */
export function range(address: number, size: number): [bigint, bigint] {
  const first = address < 0 ? NOWHERE : BigInt(address);
  return [first, BigInt.asUintN(64, first + BigInt(size) - 1n)];
}

export const pci = infoCommand('pci', 'show PCI info', ({ target: { machine: { pc } } }) =>
  pc.pci.list().map(({ slot, fn, device }) => {
    const lines = [
      `  Bus  0, device ${String(slot).padStart(3)}, function ${fn}:`,
      `    ${className(device, 10)}: PCI device ${hex(device.get16(PCI_VENDOR_ID), 4)}:${hex(device.get16(PCI_DEVICE_ID), 4)}`,
      `      PCI subsystem ${hex(device.get16(PCI_SUBSYSTEM_VENDOR_ID), 4)}:${hex(device.get16(PCI_SUBSYSTEM_ID), 4)}`,
    ];
    const pin = device.config[PCI_INTERRUPT_PIN];
    if (pin !== 0) lines.push(`      IRQ ${device.config[PCI_INTERRUPT_LINE]}, pin ${' ABCD'[pin]}`);
    for (const { bar, kind, size, address, wide, prefetchable } of device.resources) {
      const [first, last] = range(address, size);
      lines.push(
        kind === 'io'
          ? `      BAR${bar}: I/O at 0x${hex(first, 4)} [0x${hex(last, 4)}].`
          : `      BAR${bar}: ${wide ? 64 : 32} bit${prefetchable ? ' prefetchable' : ''} memory at 0x${hex(first, 8)} [0x${hex(last, 8)}].`,
      );
    }
    if (device.rom) {
      const [first, last] = range(device.rom.address, device.rom.size);
      lines.push(`      BAR6: 32 bit memory at 0x${hex(first, 8)} [0x${hex(last, 8)}].`);
    }
    return [...lines, `      id "${device.id}"`].join('\n');
  }).join('\n'));
