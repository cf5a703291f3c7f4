// SMBIOS tables as QEMU makes them for its pc machine: DMTF DSP0134, "System Management BIOS Reference Specification" 2.8, section 7; QEMU,
// hw/smbios/smbios.c. The firmware finds them in fw_cfg, puts its own structure (type 0) in front, places them, and completes the entry point.

/** MachineClass.desc and name of QEMU's machine that this one is. */
const PRODUCT = 'Standard PC (i440FX + PIIX, 1996)';
const VERSION = 'pc-i440fx-7.2';
const MANUFACTURER = 'QEMU';

const KIB = 1024;
const MIB = 1 << 20;
/** Handle of the physical memory array. */
const MEMORY_ARRAY = 0x1000;
/** "No error information structure". */
const NOT_PROVIDED = 0xfffe;

export interface SmbiosOptions {
  /** Bytes, below 4 GiB. */
  ramSize: number;
  cpus: number;
  /** CPUID leaf 1: EAX, EDX. */
  signature: number;
  features: number;
}

/** Field of a structure: a number with its size in bytes. */
type Field = readonly [size: 1 | 2 | 4 | 8 | 16, value: number];
const byte = (value: number): Field => [1, value];
const word = (value: number): Field => [2, value];
const dword = (value: number): Field => [4, value];

/** A structure with its strings, which fields name by number, from 1 on (6.1.3). */
function structure(type: number, handle: number, fields: readonly Field[], strings: readonly string[] = []): Uint8Array {
  const length = 4 + fields.reduce((sum, [size]) => sum + size, 0);
  const set = strings.length > 0 ? `${strings.join('\0')}\0\0` : '\0\0';
  const bytes = new Uint8Array(length + set.length);
  const view = new DataView(bytes.buffer);
  bytes.set([type, length, handle & 0xff, handle >> 8]);
  let at = 4;
  for (const [size, value] of fields) {
    if (size === 1) view.setUint8(at, value);
    else if (size === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += size;
  }
  bytes.set(Uint8Array.from(set, (c) => c.charCodeAt(0)), length);
  return bytes;
}

/** The structures, in QEMU's order. */
function structures({ ramSize, cpus, signature, features }: SmbiosOptions): Uint8Array[] {
  return [
    // System information (7.2): manufacturer, product, version, no serial number, no UUID, woken by the power switch.
    structure(1, 0x100, [byte(1), byte(2), byte(3), byte(0), [16, 0], byte(6), byte(0), byte(0)], [MANUFACTURER, PRODUCT, VERSION]),
    // Enclosure (7.4): type "other", all states safe, security unknown.
    structure(3, 0x300, [byte(1), byte(1), byte(2), byte(0), byte(0), byte(3), byte(3), byte(3), byte(2), dword(0), byte(0), byte(0), byte(0), byte(0), byte(0)], [MANUFACTURER, VERSION]),
    // Processor (7.5): socket, central processor, family "other", manufacturer, identification, version; 2,000 MHz; populated and enabled.
    structure(4, 0x400, [
      byte(1), byte(3), byte(1), byte(2), dword(signature), dword(features), byte(3), byte(0), word(0), word(2000), word(2000), byte(0x41), byte(1),
      word(0xffff), word(0xffff), word(0xffff), byte(0), byte(0), byte(0), byte(cpus), byte(cpus), byte(cpus), word(2), word(1),
    ], ['CPU 0', MANUFACTURER, VERSION]),
    // Physical memory array (7.17): on the board, system memory, ECC of several bits, one device.
    structure(16, MEMORY_ARRAY, [byte(1), byte(3), byte(6), dword(ramSize / KIB), word(NOT_PROVIDED), word(1), [8, 0]]),
    // Memory device (7.18): a DIMM of RAM, widths unknown.
    structure(17, 0x1100, [
      word(MEMORY_ARRAY), word(NOT_PROVIDED), word(0xffff), word(0xffff), word(ramSize / MIB), byte(9), byte(0), byte(1), byte(0), byte(7), word(2), word(0),
      byte(2), byte(0), byte(0), byte(0), byte(0), dword(0), word(0), word(0), word(0), word(0),
    ], ['DIMM 0', MANUFACTURER]),
    // Where it is (7.20).
    structure(19, 0x1300, [dword(0), dword(ramSize / KIB - 1), word(MEMORY_ARRAY), byte(1), [8, 0], [8, 0]]),
    // System boot information (7.33): no errors.
    structure(32, 0x2000, [dword(0), word(0), byte(0)]),
    // The end (7.45).
    structure(127, 0x7f00, []),
  ];
}

/** The files of fw_cfg: the structures, and the entry point (5.2.1), whose address and checksums the firmware fills in. */
export function buildSmbiosFiles(options: SmbiosOptions): Map<string, Uint8Array> {
  const all = structures(options);
  const tables = new Uint8Array(all.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const it of all) {
    tables.set(it, at);
    at += it.length;
  }
  const anchor = new Uint8Array(31);
  const view = new DataView(anchor.buffer);
  const text = (offset: number, letters: string) => anchor.set(Uint8Array.from(letters, (c) => c.charCodeAt(0)), offset);
  text(0, '_SM_');
  anchor.set([anchor.length, 2, 8], 5);
  view.setUint16(8, Math.max(...all.map(({ length }) => length)), true);
  text(0x10, '_DMI_');
  view.setUint16(0x16, tables.length, true);
  view.setUint16(0x1c, all.length, true);
  anchor[0x1e] = 0x28;
  return new Map([['etc/smbios/smbios-tables', tables], ['etc/smbios/smbios-anchor', anchor]]);
}
