import { beforeEach, describe, expect, it } from 'vitest';
import { RawMemory } from '../../backends/block/raw-memory.ts';
import { TestMemory } from '../../virtio/testing.ts';
import { I8237 } from '../i8237.ts';
import { SlowDisk } from '../ide/testing.ts';
import { TestLine } from '../testing.ts';
import { FloppyDrive } from './drive.ts';
import { FORMATS, formatOf, formatSectors } from './formats.ts';
import { I82077 } from './i82077.ts';

const BUFFER = 0x8000;
let memory: TestMemory;
let dma: I8237;
let irq: TestLine;
let image: Uint8Array<ArrayBuffer>;
let drive: FloppyDrive;
let fdc: I82077;

function pattern(sectors: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(sectors * 512);
  new Uint32Array(bytes.buffer).forEach((_, i, words) => (words[i] = i * 0x9e3779b1));
  return bytes;
}

beforeEach(() => {
  memory = new TestMemory(1 << 20);
  dma = new I8237(memory);
  irq = new TestLine();
  image = pattern(2880);
  drive = new FloppyDrive(new RawMemory(image));
  fdc = new I82077(irq, dma.channel(2), [drive, null]);
  start();
});

const inb = (port: number) => fdc.readPort(0x3f0 + port, 1);
const out = (port: number, value: number) => fdc.writePort(0x3f0 + port, 1, value);
/** As firmware: reset, take four states, specify, rate. */
function start(rate = 0): void {
  dma.writePort(0xd4, 1, 0);
  out(2, 0x00);
  out(2, 0x1c);
  for (let n = 0; n < 4; n++) command(0x08);
  command(0x03, 0xaf, 0x02);
  out(7, rate);
}

/** Send a command, and take its result. */
function command(...bytes: number[]): number[] {
  for (const byte of bytes) out(5, byte);
  return result();
}

function result(): number[] {
  const bytes: number[] = [];
  while ((inb(4) & 0xd0) === 0xd0) bytes.push(inb(5));
  return bytes;
}

/** Set DMA channel 2 up. @param mode 46h to memory, 4Ah from memory */
function dmaFor(mode: number, bytes: number): void {
  for (const [port, value] of [[0x0a, 6], [0x0c, 0], [0x0b, mode], [0x04, BUFFER & 0xff], [0x04, BUFFER >> 8], [0x81, 0], [0x05, (bytes - 1) & 0xff], [0x05, (bytes - 1) >> 8], [0x0a, 2]]) {
    dma.writePort(port, 1, value);
  }
}

const at = (track: number, head: number, sector: number) => ((track * 2 + head) * 18 + sector - 1) * 512;
const buffer = (bytes: number) => memory.all.slice(BUFFER, BUFFER + bytes);

describe('I82077', () => {
  it('tells of all four drives after a reset', () => {
    out(2, 0);
    expect(inb(4)).toBe(0);
    out(2, 0x0c);
    expect(irq.level).toBe(true);
    expect([0, 1, 2, 3].map(() => command(0x08)[0])).toEqual([0xc0, 0xc1, 0xc2, 0xc3]);
    expect(irq.level).toBe(false);
    expect(command(0x08)).toEqual([0x80]);
    expect(command(0x1f)).toEqual([0x80]);
  });

  it('seeks, and shows the disk change line until it has', () => {
    expect(inb(7)).toBe(0x80);
    expect(command(0x0f, 0, 5)).toEqual([]);
    expect(irq.level).toBe(true);
    expect(command(0x08)).toEqual([0x20, 5]);
    expect(inb(7)).toBe(0);
    command(0x07, 0);
    expect(command(0x08)).toEqual([0x20, 0]);
    expect(command(0x04, 0)).toEqual([0x38]);
    drive.insert(new RawMemory(image, true));
    expect(inb(7)).toBe(0x80);
    expect(command(0x04, 0)).toEqual([0x78]);
    drive.eject();
    command(0x0f, 0, 3);
    expect(inb(7)).toBe(0x80);
  });

  it('reads a sector, and many over both sides', () => {
    dmaFor(0x46, 512);
    expect(command(0xe6, 0, 3, 0, 7, 2, 18, 0x1b, 0xff)).toEqual([0, 0, 0, 3, 0, 8, 2]);
    expect(irq.level).toBe(false);
    expect(buffer(512)).toEqual(image.slice(at(3, 0, 7), at(3, 0, 8)));
    // From sector 17 of side 0 to sector 3 of side 1
    dmaFor(0x46, 5 * 512);
    expect(command(0xe6, 0, 3, 0, 17, 2, 18, 0x1b, 0xff)).toEqual([4, 0, 0, 3, 1, 4, 2]);
    expect(buffer(5 * 512)).toEqual(image.slice(at(3, 0, 17), at(3, 1, 4)));
    // Without multi-track it ends with the side.
    dmaFor(0x46, 5 * 512);
    expect(command(0x46, 0, 3, 0, 17, 2, 18, 0x1b, 0xff)).toEqual([0x40, 0x80, 0, 4, 0, 1, 2]);
    // The cylinder's last sector with terminal count is no error.
    dmaFor(0x46, 512);
    expect(command(0xe6, 4, 79, 1, 18, 2, 18, 0x1b, 0xff)).toEqual([0, 0, 0, 80, 0, 1, 2]);
  });

  it('waits for a DMA channel that is masked', () => {
    for (const byte of [0xe6, 0, 0, 0, 1, 2, 18, 0x1b, 0xff]) out(5, byte);
    expect([inb(4), irq.level]).toEqual([0x10, false]);
    dmaFor(0x46, 512);
    expect(irq.level).toBe(true);
    expect(result()[0]).toBe(0);
    expect(buffer(512)).toEqual(image.slice(0, 512));
  });

  it('writes, and fills a sector that is not given whole with zeros', () => {
    memory.all.fill(0x5a, BUFFER, BUFFER + 1024);
    dmaFor(0x4a, 600);
    expect(command(0xc5, 0, 1, 0, 1, 2, 18, 0x1b, 0xff)).toEqual([0, 0, 0, 1, 0, 3, 2]);
    expect(image.subarray(at(1, 0, 1), at(1, 0, 1) + 600).every((byte) => byte === 0x5a)).toBe(true);
    expect(image.subarray(at(1, 0, 1) + 600, at(1, 0, 3)).every((byte) => byte === 0)).toBe(true);
    drive.insert(new RawMemory(image, true));
    dmaFor(0x4a, 512);
    expect(command(0xc5, 0, 1, 0, 1, 2, 18, 0x1b, 0xff).slice(0, 2)).toEqual([0x40, 0x02]);
  });

  it('formats a track', () => {
    const ids = Array.from({ length: 18 }, (_, n) => [2, 1, n + 1, 2]).flat();
    memory.all.set(ids, BUFFER);
    command(0x0f, 4, 2);
    command(0x08);
    dmaFor(0x4a, ids.length);
    expect(command(0x4d, 4, 2, 18, 0x54, 0xf6).slice(0, 3)).toEqual([4, 0, 0]);
    expect(image.subarray(at(2, 1, 1), at(2, 1, 1) + 18 * 512).every((byte) => byte === 0xf6)).toBe(true);
    expect(image[at(3, 0, 1) + 1]).not.toBe(0xf6);
  });

  it('moves data through the FIFO without DMA', () => {
    command(0x03, 0xaf, 0x03);
    for (const byte of [0x46, 0, 0, 0, 2, 2, 2, 0x1b, 0xff]) out(5, byte);
    expect([inb(4), irq.level]).toEqual([0xf0, true]);
    const bytes = Uint8Array.from({ length: 512 }, () => inb(5));
    expect(bytes).toEqual(image.slice(512, 1024));
    expect(result()).toEqual([0x40, 0x80, 0, 1, 0, 1, 2]);
    for (const byte of [0x45, 0, 0, 0, 2, 2, 2, 0x1b, 0xff]) out(5, byte);
    expect(inb(4)).toBe(0xb0);
    for (let n = 0; n < 512; n++) out(5, 0x33);
    result();
    expect(image.subarray(512, 1024).every((byte) => byte === 0x33)).toBe(true);
  });

  it('verifies, scans and reads IDs', () => {
    expect(command(0xb6, 0x80, 0, 0, 1, 2, 18, 0x1b, 4).slice(0, 3)).toEqual([0, 0, 0]);
    memory.all.set(image.subarray(at(0, 0, 3), at(0, 0, 4)), BUFFER);
    dmaFor(0x4a, 512);
    expect(command(0x51, 0, 0, 0, 3, 2, 18, 0x1b, 1).slice(0, 3)).toEqual([0, 0, 0x08]);
    dmaFor(0x4a, 512);
    expect(command(0x51, 0, 0, 0, 4, 2, 4, 0x1b, 1)[2]).toBe(0x04);
    command(0x0f, 0, 9);
    command(0x08);
    expect(command(0x4a, 4)).toEqual([4, 0, 0, 9, 1, 2, 2]);
  });

  it('finds nothing at the wrong rate, beyond the format, or without a diskette', () => {
    dmaFor(0x46, 512);
    expect(command(0xe6, 0, 0, 0, 19, 2, 36, 0x1b, 0xff).slice(0, 2)).toEqual([0x40, 0x04]);
    expect(command(0xe6, 0, 80, 0, 1, 2, 18, 0x1b, 0xff).slice(0, 2)).toEqual([0x40, 0x04]);
    out(7, 2);
    expect(command(0xe6, 0, 0, 0, 1, 2, 18, 0x1b, 0xff).slice(0, 2)).toEqual([0x40, 0x01]);
    expect(command(0x4a, 0).slice(0, 2)).toEqual([0x40, 0x01]);
    out(7, 0);
    expect(command(0xe6, 1, 0, 0, 1, 2, 18, 0x1b, 0xff).slice(0, 2)).toEqual([0x41, 0x01]);
    drive.eject();
    expect(command(0x4a, 0).slice(0, 2)).toEqual([0x40, 0x01]);
  });

  it('keeps its configuration over a reset when it is locked', () => {
    command(0x13, 0, 0x57, 0x20);
    expect(command(0x94)).toEqual([0x10]);
    out(4, 0x80);
    expect(command(0x0e).slice(7)).toEqual([0x80, 0x57, 0x20]);
    expect(command(0x14)).toEqual([0]);
    out(2, 0);
    out(2, 0x0c);
    expect(command(0x0e).slice(8)).toEqual([0x20, 0]);
    expect(command(0x10)).toEqual([0x90]);
  });

  it('goes on with a saved transfer whose medium has not answered', () => {
    const slow = new SlowDisk(pattern(2880));
    const make = () => new I82077(irq, dma.channel(2), [new FloppyDrive(slow), null]);
    fdc = make();
    start();
    dmaFor(0x46, 512);
    for (const byte of [0xe6, 0, 0, 0, 5, 2, 18, 0x1b, 0xff]) out(5, byte);
    expect([irq.level, slow.waiting.length]).toEqual([false, 1]);
    const state = structuredClone(fdc.save());
    slow.waiting.length = 0;
    fdc = make();
    fdc.load(state);
    slow.answer();
    expect(irq.level).toBe(true);
    expect(result()).toEqual([0, 0, 0, 0, 0, 6, 2]);
    expect(buffer(512)).toEqual(slow.bytes.slice(4 * 512, 5 * 512));
  });
});

describe('formats', () => {
  it('are found by size', () => {
    const shape = (kib: number) => {
      const { drive: type, sectors, cylinders, heads } = formatOf(kib * 1024, 'auto');
      return [type, sectors, cylinders, heads];
    };
    expect([160, 180, 320, 360, 720, 1200, 1440, 2880].map(shape)).toEqual([
      ['120', 8, 40, 1], ['120', 9, 40, 1], ['120', 8, 40, 2], ['120', 9, 40, 2], ['144', 9, 80, 2], ['120', 15, 80, 2], ['144', 18, 80, 2], ['288', 36, 80, 2],
    ]);
    // A 2.88 MB drive reads what a 1.44 MB drive does; what has no size of its own is a short one.
    expect(formatOf(1440 * 1024, '288').sectors).toBe(18);
    expect(formatOf(1296384, 'auto').sectors).toBe(18);
    expect(new Set(FORMATS.map(formatSectors)).size).toBeGreaterThan(25);
    expect(new FloppyDrive(null).type).toBe('288');
  });
});
