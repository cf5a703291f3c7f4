// ACPI tables: RSDP, RSDT, XSDT, FADT, FACS, MADT and DSDT, put into memory for a machine that boots without firmware, or as files
// that firmware puts into memory. ACPI specification 6.x, chapter 5 (tables); what they describe is the board of QEMU's pc.

import { IOAPIC_ADDRESS } from '../devices/io-apic.ts';
import { APIC_DEFAULT_BASE } from '../devices/local-apic.ts';
import { CENTURY } from '../devices/mc146818.ts';
import { PciBus } from '../devices/pci.ts';
import { RESET_CONTROL } from '../devices/piix3.ts';
import { ACPI_DISABLE, ACPI_ENABLE, GPE0_BASE, GPE0_LENGTH, PM1_CNT, PM1_STS, PM_TMR, SLP_TYP_S5, SMI_COMMAND } from '../devices/piix4-pm.ts';
import { SERIAL_PORTS } from '../devices/serial16550.ts';
import * as aml from './aml.ts';
import { type E820Entry, E820Type } from './boot/e820.ts';
import { TableLoader, Zone } from './table-loader.ts';

/** Where firmware puts the PIIX4's power management ports. */
export const ACPI_PM_BASE = 0x600;
export const SCI_IRQ = 9;
/** Guest-physical address of the RSDP, in the ROM area, where systems search for it. */
export const RSDP_ADDRESS = 0xf0000;
/** ISA interrupts that PCI link devices may be given; those that SeaBIOS uses. */
export const PCI_IRQS = [5, 10, 11];
/** The links' interrupts at the start: LNKA to LNKD. */
export const PIRQ_DEFAULTS = [10, 10, 11, 11];

export interface AcpiOptions {
  ramSize: number;
  cpus: number;
  /** Which serial ports there are, COM1 first. */
  serialPorts: readonly boolean[];
  /** There is a PS/2 mouse. */
  mouse?: boolean;
  /** There is a VGA card. */
  vga?: boolean;
}

/** Where tables go. */
export interface AcpiMemory {
  write(address: number, data: Uint8Array): void;
  writeRom(address: number, data: Uint8Array): void;
}

const HEADER = 36;
const OEM_ID = 'TABVIS';
const OEM_TABLE_ID = 'TABVISOR';

function ascii(view: DataView, at: number, text: string): void {
  for (let i = 0; i < text.length; i++) view.setUint8(at + i, text.charCodeAt(i));
}

function checksum(bytes: Uint8Array, at: number, length = bytes.length): void {
  bytes[at] = 0;
  let sum = 0;
  for (let i = 0; i < length; i++) sum += bytes[i];
  bytes[at] = -sum;
}

/** A table: header and body, with its checksum. */
function table(signature: string, revision: number, body: Uint8Array | aml.Aml): Uint8Array {
  const bytes = new Uint8Array(HEADER + body.length);
  bytes.set(body, HEADER);
  const view = new DataView(bytes.buffer);
  ascii(view, 0, signature);
  view.setUint32(4, bytes.length, true);
  view.setUint8(8, revision);
  ascii(view, 10, OEM_ID);
  ascii(view, 16, OEM_TABLE_ID);
  view.setUint32(24, 1, true);
  ascii(view, 28, 'TABV');
  view.setUint32(32, 1, true);
  checksum(bytes, 9);
  return bytes;
}

/** Differentiated System Description Table: the devices that cannot be found by looking. */
export function buildDsdt(options: AcpiOptions): Uint8Array {
  const { name, integer, defName, device, resources, eisaId } = aml;
  const hid = (id: string) => defName('_HID', eisaId(id));
  const crs = (...descriptors: aml.Aml[]) => defName('_CRS', resources(...descriptors));

  // Slots' pins to links; the power management's INTA is the SCI, which no link can move.
  const routes: aml.Aml[] = [];
  for (let slot = 0; slot < 32; slot++) {
    for (let pin = 0; pin < 4; pin++) {
      const link = slot === 1 && pin === 0 ? 'LNKS' : `LNK${'ABCD'[PciBus.pirqOf(slot, pin)]}`;
      routes.push(aml.packageOf(integer(slot * 0x10000 + 0xffff), integer(pin), name(link), integer(0)));
    }
  }

  const serial = SERIAL_PORTS.flatMap(({ base, irq }, i) =>
    options.serialPorts[i]
      ? [device(`COM${i + 1}`, hid('PNP0501'), defName('_UID', integer(i + 1)), crs(aml.ioPorts(base, 8), aml.isaIrq(irq)))]
      : [],
  );

  const bridge = device(
    'ISA',
    defName('_ADR', integer(0x00010000)),
    aml.operationRegion('P40C', aml.SPACE_PCI_CONFIG, 0x60, 4),
    aml.byteFields('P40C', [['PRQ0', 8], ['PRQ1', 8], ['PRQ2', 8], ['PRQ3', 8]]),
    device('RTC', hid('PNP0B00'), crs(aml.ioPorts(0x70, 8), aml.isaIrq(8))),
    device('KBD', hid('PNP0303'), crs(aml.ioPorts(0x60, 1), aml.ioPorts(0x64, 1), aml.isaIrq(1))),
    ...(options.mouse ? [device('MOU', hid('PNP0F13'), crs(aml.isaIrq(12)))] : []),
    ...serial,
  );

  const pci = device(
    'PCI0',
    hid('PNP0A03'),
    defName('_UID', integer(0)),
    crs(
      aml.busNumbers(0, 0xff),
      aml.ioPorts(0xcf8, 8),
      aml.ioWindow(0, 0xcf7),
      aml.ioWindow(0xd00, 0xffff),
      aml.memoryWindow(0xa0000, 0xbffff, true),
      aml.memoryWindow(options.ramSize, IOAPIC_ADDRESS - 1, false),
    ),
    defName('_PRT', aml.packageOf(...routes)),
    bridge,
    // Ports of the chipset that belong to no other device.
    device(
      'PMIO',
      hid('PNP0C02'),
      defName('_UID', integer(1)),
      crs(aml.ioPorts(ACPI_PM_BASE, 0x40), aml.ioPorts(GPE0_BASE, GPE0_LENGTH), aml.ioPorts(SMI_COMMAND, 2), aml.ioPorts(0x4d0, 2)),
    ),
  );

  const links = [0, 1, 2, 3].map((i) => {
    const route = name(`\\_SB.PCI0.ISA.PRQ${i}`);
    return device(
      `LNK${'ABCD'[i]}`,
      hid('PNP0C0F'),
      defName('_UID', integer(i)),
      defName('_PRS', resources(aml.interrupts(...PCI_IRQS))),
      aml.method('_STA', 0, false, aml.returns(aml.call('IQST', route))),
      aml.method('_DIS', 0, false, aml.or(route, integer(0x80), route)),
      aml.method('_CRS', 0, false, aml.returns(aml.call('IQCR', route))),
      aml.method('_SRS', 1, true, aml.createDWordField(aml.arg(0), 5, 'PRRI'), aml.store(name('PRRI'), route)),
    );
  });
  const sciLink = device(
    'LNKS',
    hid('PNP0C0F'),
    defName('_UID', integer(4)),
    defName('_PRS', resources(aml.interrupts(SCI_IRQ))),
    aml.method('_STA', 0, false, aml.returns(integer(0x0b))),
    aml.method('_DIS', 0, false),
    defName('_CRS', resources(aml.interrupts(SCI_IRQ))),
    aml.method('_SRS', 1, false),
  );

  // A link's status and interrupt from its route register: bit 7 says it is disabled.
  const linkStatus = aml.method(
    'IQST',
    1,
    false,
    aml.ifThen(aml.and(integer(0x80), aml.arg(0)), aml.returns(integer(0x09))),
    aml.returns(integer(0x0b)),
  );
  const linkCurrent = aml.method(
    'IQCR',
    1,
    true,
    defName('PRR0', resources(aml.interrupts(0))),
    aml.createDWordField(name('PRR0'), 5, 'PRRI'),
    aml.ifThen(aml.lessThan(aml.arg(0), integer(0x80)), aml.store(aml.arg(0), name('PRRI'))),
    aml.returns(name('PRR0')),
  );

  const processors = Array.from({ length: options.cpus }, (_, i) =>
    device(`C${i.toString(16).toUpperCase().padStart(3, '0')}`, defName('_HID', aml.string('ACPI0007')), defName('_UID', integer(i))),
  );

  const body = [
    ...aml.scope('\\_SB', pci, linkStatus, linkCurrent, ...links, sciLink, ...processors),
    ...defName('\\_S5', aml.packageOf(integer(SLP_TYP_S5), integer(SLP_TYP_S5), integer(0), integer(0))),
  ];
  return table('DSDT', 1, body);
}

/** Multiple APIC Description Table. */
export function buildMadt(cpus: number): Uint8Array {
  const body: number[] = [];
  const u16 = (value: number) => [value & 0xff, value >> 8];
  const u32 = (value: number) => [...u16(value & 0xffff), ...u16(value >>> 16)];
  // The board also has 8259s.
  body.push(...u32(APIC_DEFAULT_BASE), ...u32(1));
  for (let i = 0; i < cpus; i++) body.push(0, 8, i, i, ...u32(1));
  body.push(1, 12, 0, 0, ...u32(IOAPIC_ADDRESS), ...u32(0));
  const override = (irq: number, gsi: number, flags: number) => body.push(2, 10, 0, irq, ...u32(gsi), ...u16(flags));
  override(0, 2, 0);
  for (const irq of [5, SCI_IRQ, 10, 11]) override(irq, irq, 0x0d); // level, active high
  body.push(4, 6, 0xff, ...u16(0), 1); // NMI at LINT1 of all CPUs
  return table('APIC', 1, body);
}

/** Fixed ACPI Description Table, revision 3. */
export function buildFadt(facs: number, dsdt: number, vga: boolean): Uint8Array {
  const body = new Uint8Array(244 - HEADER);
  const view = new DataView(body.buffer);
  const u8 = (at: number, value: number) => view.setUint8(at - HEADER, value);
  const u16 = (at: number, value: number) => view.setUint16(at - HEADER, value, true);
  const u32 = (at: number, value: number) => view.setUint32(at - HEADER, value, true);
  /** Generic address structure of I/O ports. */
  const address = (at: number, port: number, bits: number, access: number) => {
    u8(at, 1);
    u8(at + 1, bits);
    u8(at + 3, access);
    u32(at + 4, port);
  };
  u32(36, facs);
  u32(40, dsdt);
  u8(44, 1);
  u16(46, SCI_IRQ);
  u32(48, SMI_COMMAND);
  u8(52, ACPI_ENABLE);
  u8(53, ACPI_DISABLE);
  u32(56, ACPI_PM_BASE + PM1_STS);
  u32(64, ACPI_PM_BASE + PM1_CNT);
  u32(76, ACPI_PM_BASE + PM_TMR);
  u32(80, GPE0_BASE);
  u8(88, 4);
  u8(89, 2);
  u8(91, 4);
  u8(92, GPE0_LENGTH);
  u16(96, 0xfff); // no C2
  u16(98, 0xfff); // no C3
  u8(108, CENTURY);
  // Legacy devices, 8042, and whether one may look for VGA.
  u16(109, 0x0003 | (vga ? 0 : 0x0004));
  // WBINVD, PROC_C1, SLP_BUTTON (there is none), RESET_REG_SUP; the PM timer has 24 bits.
  u32(112, 0x0001 | 0x0004 | 0x0020 | 0x0400);
  address(116, RESET_CONTROL, 8, 1);
  u8(128, 0x06);
  u32(140, dsdt);
  address(148, ACPI_PM_BASE + PM1_STS, 32, 2);
  address(172, ACPI_PM_BASE + PM1_CNT, 16, 2);
  address(208, ACPI_PM_BASE + PM_TMR, 32, 3);
  address(220, GPE0_BASE, 8 * GPE0_LENGTH, 1);
  return table('FACP', 3, body);
}

function buildFacs(): Uint8Array {
  const bytes = new Uint8Array(64);
  const view = new DataView(bytes.buffer);
  ascii(view, 0, 'FACS');
  view.setUint32(4, 64, true);
  bytes[32] = 1;
  return bytes;
}

function buildRsdp(rsdt: number, xsdt: number): Uint8Array {
  const bytes = new Uint8Array(36);
  const view = new DataView(bytes.buffer);
  ascii(view, 0, 'RSD PTR ');
  ascii(view, 9, OEM_ID);
  bytes[15] = 2;
  view.setUint32(16, rsdt, true);
  view.setUint32(20, 36, true);
  view.setUint32(24, xsdt, true);
  checksum(bytes, 8, 20);
  checksum(bytes, 32);
  return bytes;
}

/**
 * Put the tables into the top of RAM and the RSDP into the ROM area.
 * Returns the memory map that the loader must present to the kernel, by address.
 */
export function installAcpiTables(memory: AcpiMemory, options: AcpiOptions): E820Entry[] {
  const { ramSize, cpus } = options;
  const PAGE = 4096;
  const dsdt = buildDsdt(options);
  const madt = buildMadt(cpus);
  const align = (value: number) => Math.ceil(value / 64) * 64;

  // FACS, which systems keep, in the last page; the other tables, which they may free, before it.
  const facsAddress = ramSize - PAGE;
  const sizes = [dsdt.length, 244, madt.length, HEADER + 8, HEADER + 16];
  const start = facsAddress - Math.ceil(sizes.reduce((sum, size) => sum + align(size), 0) / PAGE) * PAGE;
  let next = start;
  const place = (bytes: Uint8Array): number => {
    const at = next;
    memory.write(at, bytes);
    next = at + align(bytes.length);
    return at;
  };
  memory.write(facsAddress, buildFacs());
  const dsdtAddress = place(dsdt);
  const fadtAddress = place(buildFadt(facsAddress, dsdtAddress, options.vga ?? false));
  const madtAddress = place(madt);
  const pointers = [fadtAddress, madtAddress];
  const rsdt = new Uint8Array(4 * pointers.length);
  const xsdt = new Uint8Array(8 * pointers.length);
  pointers.forEach((pointer, i) => {
    new DataView(rsdt.buffer).setUint32(4 * i, pointer, true);
    new DataView(xsdt.buffer).setUint32(8 * i, pointer, true);
  });
  const rsdtAddress = place(table('RSDT', 1, rsdt));
  const xsdtAddress = place(table('XSDT', 1, xsdt));
  memory.writeRom(RSDP_ADDRESS, buildRsdp(rsdtAddress, xsdtAddress));

  return [
    { address: 0, size: 0x9fc00, type: E820Type.RAM },
    { address: 0x9fc00, size: 0x400, type: E820Type.RESERVED },
    { address: 0xf0000, size: 0x10000, type: E820Type.RESERVED },
    { address: 0x100000, size: start - 0x100000, type: E820Type.RAM },
    { address: start, size: facsAddress - start, type: E820Type.ACPI },
    { address: facsAddress, size: PAGE, type: E820Type.NVS },
  ];
}

/** Files of fw_cfg from which the firmware makes the tables. */
export const ACPI_TABLES_FILE = 'etc/acpi/tables';
export const ACPI_RSDP_FILE = 'etc/acpi/rsdp';
export const ACPI_LOADER_FILE = 'etc/table-loader';

/** The tables as files, with the script that tells the firmware where to put them and which addresses in them to correct. */
export function buildAcpiFiles(options: AcpiOptions): [name: string, bytes: Uint8Array][] {
  const ALIGN = 64;
  const parts: Uint8Array[] = [];
  let length = 0;
  const place = (bytes: Uint8Array): number => {
    const at = length;
    parts.push(bytes);
    length = Math.ceil((at + bytes.length) / ALIGN) * ALIGN;
    return at;
  };
  // Addresses are offsets in the file for now.
  const facs = place(buildFacs());
  const dsdt = place(buildDsdt(options));
  const fadt = place(buildFadt(facs, dsdt, options.vga ?? false));
  const pointers = [fadt, place(buildMadt(options.cpus))];
  const rsdtBody = new Uint8Array(4 * pointers.length);
  const xsdtBody = new Uint8Array(8 * pointers.length);
  pointers.forEach((pointer, i) => {
    new DataView(rsdtBody.buffer).setUint32(4 * i, pointer, true);
    new DataView(xsdtBody.buffer).setUint32(8 * i, pointer, true);
  });
  const rsdt = place(table('RSDT', 1, rsdtBody));
  const xsdt = place(table('XSDT', 1, xsdtBody));
  const tables = new Uint8Array(length);
  for (let i = 0, at = 0; i < parts.length; at = Math.ceil((at + parts[i].length) / ALIGN) * ALIGN, i++) tables.set(parts[i], at);

  const loader = new TableLoader();
  loader.allocate(ACPI_RSDP_FILE, 16, Zone.FSEG);
  loader.allocate(ACPI_TABLES_FILE, ALIGN, Zone.HIGH);
  const inTables = (at: number, size: 4 | 8) => loader.addPointer(ACPI_TABLES_FILE, ACPI_TABLES_FILE, at, size);
  inTables(fadt + 36, 4);
  inTables(fadt + 40, 4);
  inTables(fadt + 140, 8);
  pointers.forEach((_, i) => {
    inTables(rsdt + HEADER + 4 * i, 4);
    inTables(xsdt + HEADER + 8 * i, 8);
  });
  for (const at of [fadt, rsdt, xsdt]) loader.addChecksum(ACPI_TABLES_FILE, at + 9, at, new DataView(tables.buffer).getUint32(at + 4, true));
  loader.addPointer(ACPI_RSDP_FILE, ACPI_TABLES_FILE, 16, 4);
  loader.addPointer(ACPI_RSDP_FILE, ACPI_TABLES_FILE, 24, 8);
  loader.addChecksum(ACPI_RSDP_FILE, 8, 0, 20);
  loader.addChecksum(ACPI_RSDP_FILE, 32, 0, 36);
  return [
    [ACPI_TABLES_FILE, tables],
    [ACPI_RSDP_FILE, buildRsdp(rsdt, xsdt)],
    [ACPI_LOADER_FILE, loader.bytes()],
  ];
}
