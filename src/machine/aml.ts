// Writing ACPI Machine Language: typed functions that return its bytes.
// ACPI specification 6.x, chapter 20 (ACPI Machine Language) and section 6.4 (resource data types).

/** Encoded AML. */
export type Aml = readonly number[];

const bytes16 = (value: number): number[] => [value & 0xff, (value >> 8) & 0xff];
const bytes32 = (value: number): number[] => [...bytes16(value & 0xffff), ...bytes16(value >>> 16)];

/** A name or path as in ASL: `\_SB.PCI0`, `PRQ0`, `^X`. Segments are padded with underscores. */
export function name(path: string): Aml {
  const [, prefix, rest] = /^([\\^]*)(.*)$/.exec(path)!;
  const segments = rest === '' ? [] : rest.split('.');
  const encoded = segments.flatMap((segment) => {
    if (!/^[A-Z_][A-Z0-9_]{0,3}$/.test(segment)) throw new Error(`${path} is no ACPI name`);
    return [...segment.padEnd(4, '_')].map((c) => c.charCodeAt(0));
  });
  const lead = [...prefix].map((c) => c.charCodeAt(0));
  if (segments.length === 0) return [...lead, 0];
  if (segments.length === 1) return [...lead, ...encoded];
  if (segments.length === 2) return [...lead, 0x2e, ...encoded];
  return [...lead, 0x2f, segments.length, ...encoded];
}

/** PkgLength, which counts itself, before a body. */
function withLength(body: Aml): Aml {
  const length = body.length;
  if (length + 1 < 0x40) return [length + 1, ...body];
  for (let extra = 1; extra <= 3; extra++) {
    const total = length + 1 + extra;
    if (total >= 2 ** (4 + 8 * extra)) continue;
    const lead = [(extra << 6) | (total & 0xf)];
    for (let i = 0; i < extra; i++) lead.push((total >> (4 + 8 * i)) & 0xff);
    return [...lead, ...body];
  }
  throw new Error(`AML object of ${length} bytes is too long`);
}

/** An integer of up to 32 bits. */
export function integer(value: number): Aml {
  if (value === 0) return [0x00];
  if (value === 1) return [0x01];
  if (value <= 0xff) return [0x0a, value];
  if (value <= 0xffff) return [0x0b, ...bytes16(value)];
  return [0x0c, ...bytes32(value)];
}

/** A compressed EISA identifier such as PNP0A03. */
export function eisaId(id: string): Aml {
  const letter = (i: number) => id.charCodeAt(i) - 0x40;
  const vendor = (letter(0) << 10) | (letter(1) << 5) | letter(2);
  const product = parseInt(id.slice(3), 16);
  return [0x0c, vendor >> 8, vendor & 0xff, product >> 8, product & 0xff];
}

export const string = (text: string): Aml => [0x0d, ...[...text].map((c) => c.charCodeAt(0)), 0];
export const buffer = (data: Aml): Aml => [0x11, ...withLength([...integer(data.length), ...data])];
export const packageOf = (...items: Aml[]): Aml => [0x12, ...withLength([items.length, ...items.flat()])];
export const defName = (path: string, value: Aml): Aml => [0x08, ...name(path), ...value];
export const scope = (path: string, ...body: Aml[]): Aml => [0x10, ...withLength([...name(path), ...body.flat()])];
export const device = (path: string, ...body: Aml[]): Aml => [0x5b, 0x82, ...withLength([...name(path), ...body.flat()])];

/** A method; `serialized` if it makes named objects. */
export function method(path: string, args: number, serialized: boolean, ...body: Aml[]): Aml {
  return [0x14, ...withLength([...name(path), args | (serialized ? 8 : 0), ...body.flat()])];
}

export const SPACE_PCI_CONFIG = 2;
export const operationRegion = (path: string, space: number, offset: number, length: number): Aml => [
  0x5b,
  0x80,
  ...name(path),
  space,
  ...integer(offset),
  ...integer(length),
];

/** Fields of a region, accessed by bytes, other bits preserved: names with their widths in bits. */
export function byteFields(region: string, fields: [name: string, bits: number][]): Aml {
  const elements = fields.flatMap(([field, bits]) => {
    if (bits >= 0x40) throw new Error(`field ${field}: only widths up to 63 bits`);
    return [...name(field), bits];
  });
  return [0x5b, 0x81, ...withLength([...name(region), 0x01, ...elements])];
}

export const arg = (n: number): Aml => [0x68 + n];
export const returns = (value: Aml): Aml => [0xa4, ...value];
export const store = (value: Aml, target: Aml): Aml => [0x70, ...value, ...target];
export const and = (a: Aml, b: Aml, target: Aml = [0]): Aml => [0x7b, ...a, ...b, ...target];
export const or = (a: Aml, b: Aml, target: Aml = [0]): Aml => [0x7d, ...a, ...b, ...target];
export const lessThan = (a: Aml, b: Aml): Aml => [0x95, ...a, ...b];
export const ifThen = (condition: Aml, ...body: Aml[]): Aml => [0xa0, ...withLength([...condition, ...body.flat()])];
export const otherwise = (...body: Aml[]): Aml => [0xa1, ...withLength(body.flat())];
export const call = (path: string, ...args: Aml[]): Aml => [...name(path), ...args.flat()];
export const createDWordField = (source: Aml, offset: number, path: string): Aml => [0x8a, ...source, ...integer(offset), ...name(path)];

// Resource descriptors

/** A buffer of resource descriptors with its end tag. */
export const resources = (...descriptors: Aml[]): Aml => buffer([...descriptors.flat(), 0x79, 0x00]);

/** Fixed I/O ports. */
export const ioPorts = (base: number, length: number): Aml => [0x47, 0x01, ...bytes16(base), ...bytes16(base), 0x01, length];

/** An ISA interrupt: edge, active high, not shared. */
export const isaIrq = (irq: number): Aml => [0x22, ...bytes16(1 << irq)];

/** Level-triggered, active high, shared interrupts by GSI number. */
export const interrupts = (...gsis: number[]): Aml => [0x89, ...bytes16(2 + 4 * gsis.length), 0x09, gsis.length, ...gsis.flatMap(bytes32)];

const PRODUCER_FIXED = 0x0c;

export const busNumbers = (first: number, last: number): Aml => [
  0x88,
  ...bytes16(13),
  2,
  PRODUCER_FIXED,
  0,
  ...[0, first, last, 0, last - first + 1].flatMap(bytes16),
];

/** A window of I/O ports that a bridge passes on. */
export const ioWindow = (first: number, last: number): Aml => [
  0x88,
  ...bytes16(13),
  1,
  PRODUCER_FIXED,
  3,
  ...[0, first, last, 0, last - first + 1].flatMap(bytes16),
];

/** A window of memory that a bridge passes on; read-write, cacheable only where said. */
export const memoryWindow = (first: number, last: number, cacheable: boolean): Aml => [
  0x87,
  ...bytes16(23),
  0,
  PRODUCER_FIXED,
  cacheable ? 3 : 1,
  ...[0, first, last, 0, last - first + 1].flatMap(bytes32),
];
