// What the firmware finds in fw_cfg beside the numbers of CPUs and bytes: memory map, ACPI tables, and how to boot.
// QEMU, hw/i386/fw_cfg.c and softmmu/bootdevice.c; SeaBIOS, docs/Runtime_config.md.

import { FW_CFG_BOOT_MENU, FW_CFG_MAX_CPUS, FW_CFG_NB_CPUS, FW_CFG_NOGRAPHIC, FW_CFG_RAM_SIZE, type FwCfg } from '../devices/fw-cfg.ts';
import { type AcpiOptions, buildAcpiFiles } from './acpi.ts';
import { type E820Entry, E820Type } from './boot/e820.ts';

/** Sizes that images of firmware have, bytes. */
export const MAX_FIRMWARE_BYTES = 0x200000;
const PAGE = 4096;

/** How the firmware is to boot (-boot). */
export interface BootConfig {
  /** Drives in the order of trying: a floppy, c hard disk, d CD-ROM, n network. */
  order: string;
  /** The order of the first boot alone. */
  once?: string;
  /** Ask the user. */
  menu: boolean;
  /** How long the question stands, ms. */
  splashTime?: number;
  /** Start anew so many ms after nothing could be booted; without it the firmware waits for ever. */
  rebootTimeout?: number;
  /** Try nothing but what is named. */
  strict: boolean;
}

export interface FirmwareOptions extends AcpiOptions {
  /** Screen output goes to the first serial port. */
  noGraphic: boolean;
  boot: BootConfig;
}

/** True if these bytes can be firmware: whole pages, and a jump at the reset vector, 16 bytes before the end. */
export function isFirmware(image: Uint8Array): boolean {
  if (image.length === 0 || image.length > MAX_FIRMWARE_BYTES || image.length % PAGE) return false;
  return image.subarray(-16).some((byte) => byte !== 0 && byte !== 0xff);
}

/** Put into fw_cfg what the firmware asks for. */
export function fillFwCfg(fw: FwCfg, options: FirmwareOptions): void {
  const { ramSize, cpus, boot } = options;
  fw.addInteger(FW_CFG_RAM_SIZE, ramSize, 8);
  fw.addInteger(FW_CFG_NB_CPUS, cpus, 2);
  fw.addInteger(FW_CFG_MAX_CPUS, cpus, 2);
  fw.addInteger(FW_CFG_NOGRAPHIC, options.noGraphic ? 1 : 0, 2);
  fw.addInteger(FW_CFG_BOOT_MENU, boot.menu ? 1 : 0, 2);
  fw.addFile('etc/e820', e820File([{ address: 0, size: ramSize, type: E820Type.RAM }]));
  for (const [name, bytes] of buildAcpiFiles(options)) fw.addFile(name, bytes);
  if (boot.splashTime !== undefined) fw.addFile('etc/boot-menu-wait', little(boot.splashTime, 2));
  fw.addFile('etc/boot-fail-wait', little(boot.rebootTimeout ?? 0xffffffff, 4));
}

/**
 * The file bootorder: what the firmware tries, in order.
 * @param paths Open Firmware paths, as SeaBIOS makes them (src/boot.c)
 * @param strict nothing else is tried
 */
export function bootOrderFile(paths: readonly string[], strict: boolean): Uint8Array {
  const lines = strict ? [...paths, 'HALT'] : paths;
  return Uint8Array.from(lines.length > 0 ? `${lines.join('\n')}\0` : '', (c) => c.charCodeAt(0));
}

/** etc/e820: entries of 20 bytes. */
function e820File(entries: readonly E820Entry[]): Uint8Array {
  const bytes = new Uint8Array(20 * entries.length);
  const view = new DataView(bytes.buffer);
  entries.forEach(({ address, size, type }, i) => {
    view.setBigUint64(20 * i, BigInt(address), true);
    view.setBigUint64(20 * i + 8, BigInt(size), true);
    view.setUint32(20 * i + 16, type, true);
  });
  return bytes;
}

function little(value: number, size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => value >>> (8 * i));
}

/** CMOS bytes 3Dh and 38h: the first three drives to try, a digit each. */
export function bootOrderCmos(order: string): { x3d: number; x38: number } {
  const [first = 0, second = 0, third = 0] = [...order].map((letter) => ({ a: 1, b: 1, c: 2, d: 3, n: 4 })[letter] ?? 0);
  return { x3d: first | (second << 4), x38: third << 4 };
}
