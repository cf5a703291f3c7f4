import { describe, expect, it } from 'vitest';
import { RawMemory } from '../../backends/block/raw-memory.ts';
import { TestMemory } from '../../virtio/testing.ts';
import { BlockError } from '../interfaces.ts';
import { ATA_COMMAND, ATA_DEVICE, ATA_LBA_HIGH, ATA_LBA_LOW, ATA_LBA_MID, ATA_SECTOR_COUNT, ATA_STATUS, Command, SECTOR } from './ata.ts';
import { BMIC, BMIS, BMIS_ACTIVE, BMIS_ERROR, BMIS_INTERRUPT } from './bus-master.ts';
import { IdeDisk } from './disk.ts';
import { guessGeometry } from './geometry.ts';
import { SlowDisk, TestChannel } from './testing.ts';

const SECTORS = 4096;
const READY = 0x50;
const DRQ = 0x58;
const BUSY = 0x80;
const ERR = 0x41;

/** Sector n begins with n, and has bytes that tell of their place. */
function pattern(sectors = SECTORS): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(sectors * SECTOR);
  new Uint32Array(bytes.buffer).forEach((_, i, words) => (words[i] = i * 0x9e3779b1));
  return bytes;
}

function setUp(bytes: Uint8Array<ArrayBuffer> = pattern(), readOnly = false) {
  const memory = new TestMemory(1 << 20);
  const backend = new RawMemory(bytes, readOnly);
  const disk = new IdeDisk(backend, { serial: 'QM00001', geometry: guessGeometry(bytes.length / SECTOR, bytes) });
  const channel = new TestChannel(memory, disk);
  return { memory, bytes, disk, ...{ c: channel } };
}

const sector = (bytes: Uint8Array, n: number, count = 1) => bytes.slice(n * SECTOR, (n + count) * SECTOR);
const word = (data: Uint8Array, n: number) => data[2 * n] | (data[2 * n + 1] << 8);

describe('IdeDisk', () => {
  it('shows its signature after reset', () => {
    const { c } = setUp();
    expect([ATA_SECTOR_COUNT, ATA_LBA_LOW, ATA_LBA_MID, ATA_LBA_HIGH].map((r) => c.in(r))).toEqual([1, 1, 0, 0]);
    expect(c.in(ATA_STATUS)).toBe(READY);
    c.out(ATA_LBA_MID, 0x55);
    c.control(0x04);
    expect(c.alternateStatus).toBe(BUSY);
    c.control(0);
    expect([c.alternateStatus, c.in(ATA_LBA_MID), c.error]).toEqual([READY, 0, 1]);
  });

  it('identifies itself', () => {
    const { c } = setUp();
    expect(c.command(Command.IDENTIFY_DEVICE)).toBe(DRQ);
    expect(c.takeInterrupt().edges).toBe(1);
    const data = c.read(SECTOR);
    expect(c.alternateStatus).toBe(READY);
    expect([word(data, 1), word(data, 3), word(data, 6)]).toEqual([4, 16, 63]);
    expect(word(data, 60) | (word(data, 61) << 16)).toBe(SECTORS);
    expect(word(data, 100)).toBe(SECTORS);
    // Characters stand in pairs, the first in the high byte.
    expect(String.fromCharCode(...[...data.subarray(54, 94)].map((_, i, a) => a[i ^ 1])).trim()).toBe('QEMU HARDDISK');
  });

  it('reads by PIO: an interrupt for each sector, none at the end', () => {
    const { c, bytes } = setUp();
    expect(c.command(Command.READ_SECTORS, { lba: 7, count: 3 })).toBe(DRQ);
    for (let n = 0; n < 3; n++) {
      expect(c.takeInterrupt()).toEqual({ edges: n + 1, status: DRQ });
      expect(c.read(SECTOR)).toEqual(sector(bytes, 7 + n));
    }
    expect(c.takeInterrupt()).toEqual({ edges: 3, status: READY });
    expect(c.read(2)).toEqual(Uint8Array.of(0, 0));
  });

  it('reads blocks with READ MULTIPLE', () => {
    const { c, bytes } = setUp();
    expect(c.command(Command.SET_MULTIPLE_MODE, { count: 3 })).toBe(ERR);
    expect(c.command(Command.SET_MULTIPLE_MODE, { count: 4 })).toBe(READY);
    c.takeInterrupt();
    const before = c.irq.edges;
    c.command(Command.READ_MULTIPLE, { lba: 100, count: 6 });
    expect(c.takeInterrupt().edges).toBe(before + 1);
    expect(c.read(4 * SECTOR)).toEqual(sector(bytes, 100, 4));
    expect(c.takeInterrupt().edges).toBe(before + 2);
    expect(c.read(2 * SECTOR)).toEqual(sector(bytes, 104, 2));
    expect(c.takeInterrupt()).toEqual({ edges: before + 2, status: READY });
    c.command(Command.SET_MULTIPLE_MODE, { count: 0 });
    expect(c.command(Command.READ_MULTIPLE, { lba: 0, count: 1 })).toBe(ERR);
  });

  it('writes by PIO: the first interrupt is after the first sector', () => {
    const { c, bytes } = setUp();
    const data = pattern(9).subarray(5 * SECTOR, 7 * SECTOR);
    expect(c.command(Command.WRITE_SECTORS, { lba: 40, count: 2 })).toBe(DRQ);
    expect(c.irq.edges).toBe(0);
    c.write(data.subarray(0, SECTOR));
    expect(c.takeInterrupt()).toEqual({ edges: 1, status: DRQ });
    c.write(data.subarray(SECTOR));
    expect(c.takeInterrupt()).toEqual({ edges: 2, status: READY });
    expect(sector(bytes, 40, 2)).toEqual(data);
  });

  it('finds sectors by cylinder, head and sector, and by 48 bits', () => {
    const { c, bytes } = setUp();
    c.out(ATA_DEVICE, 0xa2); // head 2
    c.out(ATA_SECTOR_COUNT, 1);
    c.out(ATA_LBA_LOW, 5); // sector
    c.out(ATA_LBA_MID, 1); // cylinder
    c.out(ATA_LBA_HIGH, 0);
    c.out(ATA_COMMAND, Command.READ_SECTORS);
    expect(c.read(SECTOR)).toEqual(sector(bytes, (1 * 16 + 2) * 63 + 4));
    // Sector 0 does not exist.
    c.out(ATA_LBA_LOW, 0);
    c.out(ATA_LBA_MID, 0);
    c.out(ATA_DEVICE, 0xa0);
    c.out(ATA_COMMAND, Command.READ_SECTORS);
    expect(c.alternateStatus).toBe(ERR);
    c.command48(Command.READ_SECTORS_EXT, SECTORS - 1, 1);
    expect(c.read(SECTOR)).toEqual(sector(bytes, SECTORS - 1));
    expect(c.command48(Command.READ_SECTORS_EXT, 2 ** 40, 1)).toBe(ERR);
  });

  it('knows its end', () => {
    const { c } = setUp();
    expect(c.command(Command.READ_SECTORS, { lba: SECTORS - 1, count: 2 })).toBe(ERR);
    expect(c.error).toBe(0x04);
    expect(c.command(Command.WRITE_DMA, { lba: SECTORS, count: 1 })).toBe(ERR);
    expect(c.command(Command.READ_VERIFY, { lba: SECTORS - 1, count: 1 })).toBe(READY);
    // A count of 0 means 256 sectors, 65536 with 48 bits.
    expect(c.command(Command.READ_VERIFY, { lba: SECTORS - 256, count: 0 })).toBe(READY);
    expect(c.command(Command.READ_VERIFY, { lba: SECTORS - 255, count: 0 })).toBe(ERR);
    expect(c.command48(Command.READ_VERIFY_EXT, 0, 0)).toBe(ERR);
    c.command(Command.READ_NATIVE_MAX_ADDRESS);
    expect(c.in(ATA_LBA_LOW) | (c.in(ATA_LBA_MID) << 8)).toBe(SECTORS - 1);
  });

  it('moves data by DMA, scattered as the table says', () => {
    const { c, bytes, memory } = setUp();
    // 512 bytes at 8000h, 1024 at 9000h, the last
    memory.write32(0x1000, 0x8000);
    memory.write32(0x1004, 512);
    memory.write32(0x1008, 0x9000);
    memory.write32(0x100c, 0x80000000 | 1024);
    expect(c.command(Command.READ_DMA, { lba: 10, count: 3 })).toBe(DRQ);
    expect(c.irq.edges).toBe(0);
    c.startDma(0x1000, 8);
    expect(c.channel.dma.readPort(BMIS, 1)).toBe(BMIS_INTERRUPT);
    expect(c.takeInterrupt()).toEqual({ edges: 1, status: READY });
    expect(memory.all.slice(0x8000, 0x8200)).toEqual(sector(bytes, 10));
    expect(memory.all.slice(0x9000, 0x9400)).toEqual(sector(bytes, 11, 2));
    // And back, to another place, the engine being started before the command.
    c.channel.dma.writePort(BMIC, 1, 0);
    c.startDma(0x1000, 0);
    expect(c.channel.dma.readPort(BMIS, 1)).toBe(BMIS_ACTIVE);
    c.command48(Command.WRITE_DMA_EXT, 500, 3);
    expect(sector(bytes, 500, 3)).toEqual(sector(bytes, 10, 3));
  });

  it('sees a table that is too long, too short, or not in RAM', () => {
    const { c, memory } = setUp();
    memory.write32(0x1000, 0x8000);
    memory.write32(0x1004, 0x80000000 | 2048);
    c.command(Command.READ_DMA, { lba: 0, count: 1 });
    c.startDma(0x1000, 8);
    // The drive had less than the table describes: active, with an interrupt.
    expect(c.channel.dma.readPort(BMIS, 1)).toBe(BMIS_ACTIVE | BMIS_INTERRUPT);
    c.takeInterrupt();
    c.channel.dma.writePort(BMIC, 1, 0);
    // It had more: neither.
    c.command(Command.READ_DMA, { lba: 0, count: 5 });
    c.startDma(0x1000, 8);
    expect(c.channel.dma.readPort(BMIS, 1)).toBe(0);
    expect(c.irq.edges).toBe(1);
    memory.write32(0x1000, 0x7ffffff0);
    c.command(Command.READ_DMA, { lba: 0, count: 1 });
    c.startDma(0x1000, 8);
    expect(c.channel.dma.readPort(BMIS, 1) & (BMIS_ERROR | BMIS_ACTIVE)).toBe(BMIS_ERROR);
    expect(c.alternateStatus).toBe(ERR);
    // A table without an end, in nowhere.
    c.command(Command.WRITE_DMA, { lba: 0, count: 1 });
    c.startDma(0xfffffff0, 0);
    expect(c.alternateStatus).toBe(READY);
  });

  it('discards what TRIM names, and nothing that is not on the disk', () => {
    const { c, bytes, memory } = setUp();
    const view = new DataView(memory.all.buffer, 0x8000);
    memory.write32(0x1000, 0x8000);
    memory.write32(0x1004, 0x80000000 | 512);
    [[8, 2], [100, 1]].forEach(([lba, count], n) => {
      view.setUint32(8 * n, lba, true);
      view.setUint16(8 * n + 6, count, true);
    });
    const trim = (features: number) => {
      c.out(1, features);
      c.command48(Command.DATA_SET_MANAGEMENT, 0, 1);
      c.startDma(0x1000, 0);
      return c.takeInterrupt().status;
    };
    expect(trim(1)).toBe(READY);
    expect([7, 8, 9, 10, 99, 100, 101].map((n) => sector(bytes, n).some((byte) => byte !== 0))).toEqual([true, false, false, true, true, false, true]);
    view.setUint16(4, 1, true);
    expect(trim(1)).toBe(ERR);
    expect(trim(0)).toBe(ERR);
  });

  it('is busy while its backend works, and a reset forgets what was asked', () => {
    const memory = new TestMemory(1 << 20);
    const slow = new SlowDisk(pattern(64));
    const make = () => new IdeDisk(slow, { serial: 'x', geometry: { cylinders: 2, heads: 1, sectors: 32, translation: 0 } });
    const c = new TestChannel(memory, make());
    c.command(Command.READ_SECTORS, { lba: 3, count: 1 });
    expect(c.busy).toBe(true);
    expect(c.irq.edges).toBe(0);
    // Nothing else is taken meanwhile.
    c.out(ATA_SECTOR_COUNT, 9);
    c.out(ATA_COMMAND, Command.IDENTIFY_DEVICE);
    slow.answer();
    expect(c.takeInterrupt()).toEqual({ edges: 1, status: DRQ });
    expect(c.read(SECTOR)).toEqual(sector(slow.bytes, 3));
    c.command(Command.READ_SECTORS, { lba: 3, count: 1 });
    c.control(4);
    c.control(0);
    slow.answer();
    expect([c.alternateStatus, c.irq.edges]).toEqual([READY, 1]);
    // A state that is saved in the middle goes on elsewhere.
    memory.write32(0x1000, 0x8000);
    memory.write32(0x1004, 0x80000000 | 1024);
    memory.all.fill(0x77, 0x8000, 0x8400);
    c.command(Command.WRITE_DMA, { lba: 8, count: 2 });
    c.startDma(0x1000, 0);
    expect(slow.waiting.length).toBe(1);
    const state = c.channel.save();
    slow.waiting.length = 0;
    const other = new TestChannel(memory, make());
    memory.all.fill(0, 0x8000, 0x8400);
    other.channel.load(structuredClone(state));
    slow.answer();
    expect(other.takeInterrupt()).toEqual({ edges: 1, status: READY });
    expect(slow.bytes.subarray(8 * SECTOR, 10 * SECTOR).every((byte) => byte === 0x77)).toBe(true);
  });

  it('stops DMA when it is told to, and starts again from the table\'s beginning', () => {
    const memory = new TestMemory(1 << 20);
    const slow = new SlowDisk(pattern(64));
    const c = new TestChannel(memory, new IdeDisk(slow, { serial: 'x', geometry: { cylinders: 2, heads: 1, sectors: 32, translation: 0 } }));
    memory.write32(0x1000, 0x8000);
    memory.write32(0x1004, 0x80000000 | 512);
    c.command(Command.READ_DMA, { lba: 5, count: 1 });
    c.startDma(0x1000, 8);
    c.channel.dma.writePort(BMIC, 1, 8);
    slow.answer();
    expect([c.irq.edges, memory.all[0x8001]]).toEqual([0, 0]);
    c.startDma(0x1000, 8);
    slow.answer();
    expect(c.irq.edges).toBe(1);
    expect(memory.all.slice(0x8000, 0x8200)).toEqual(sector(slow.bytes, 5));
  });

  it('tells the guest what the host could not do', () => {
    const slow = new SlowDisk(pattern(64));
    const c = new TestChannel(new TestMemory(1 << 16), new IdeDisk(slow, { serial: 'x', geometry: { cylinders: 2, heads: 1, sectors: 32, translation: 0 } }));
    slow.error = new BlockError('full');
    c.command(Command.READ_SECTORS, { lba: 3, count: 1 });
    slow.answer();
    expect([c.takeInterrupt().status, c.error]).toEqual([ERR, 0x40]);
    c.command(Command.WRITE_SECTORS, { lba: 3, count: 1 });
    c.write(new Uint8Array(SECTOR));
    slow.answer();
    expect([c.takeInterrupt().status, c.error]).toEqual([ERR, 0x04]);
    c.command(Command.FLUSH_CACHE);
    slow.answer();
    expect(c.takeInterrupt().status).toBe(ERR);
    slow.error = null;
    c.command(Command.FLUSH_CACHE_EXT);
    expect(c.busy).toBe(true);
    slow.answer();
    expect([c.takeInterrupt().status, slow.flushes]).toEqual([READY, 1]);
  });

  it('without its write cache has written when it says so', () => {
    const slow = new SlowDisk(pattern(64));
    const c = new TestChannel(new TestMemory(1 << 16), new IdeDisk(slow, { serial: 'x', geometry: { cylinders: 2, heads: 1, sectors: 32, translation: 0 } }));
    c.command(Command.SET_FEATURES, { features: 0x82 });
    slow.answer();
    expect(slow.flushes).toBe(1);
    c.command(Command.WRITE_SECTORS, { lba: 0, count: 1 });
    c.write(new Uint8Array(SECTOR));
    slow.waiting.shift()!();
    expect(c.busy).toBe(true);
    slow.answer();
    expect([c.busy, slow.flushes]).toEqual([false, 2]);
  });

  it('knows features, power modes and SMART, and aborts what it does not know', () => {
    const { c } = setUp();
    for (const [features, count, status] of [[0x03, 0x42, READY], [0x03, 0x46, ERR], [0x03, 0x22, READY], [0x03, 0x0c, READY], [0xaa, 0, READY], [0x99, 0, ERR]]) {
      expect(c.command(Command.SET_FEATURES, { features, count })).toBe(status);
    }
    c.command(Command.SET_FEATURES, { features: 0x03, count: 0x45 });
    c.command(Command.IDENTIFY_DEVICE);
    expect(word(c.read(SECTOR), 88)).toBe(0x203f);
    c.command(Command.CHECK_POWER_MODE);
    expect(c.in(ATA_SECTOR_COUNT)).toBe(0xff);
    expect(c.command(Command.SMART, { features: 0xd0 })).toBe(ERR);
    c.out(ATA_LBA_MID, 0x4f);
    c.out(ATA_LBA_HIGH, 0xc2);
    expect(c.command(Command.SMART, { features: 0xd0 })).toBe(DRQ);
    expect(c.read(SECTOR).reduce((sum, byte) => (sum + byte) & 0xff, 0)).toBe(0);
    expect(c.command(Command.SMART, { features: 0xda })).toBe(READY);
    expect([c.in(ATA_LBA_MID), c.in(ATA_LBA_HIGH)]).toEqual([0x4f, 0xc2]);
    for (const code of [0xa0, 0xa1, 0xf1, 0xf5, 0xf9, 0x92, 0x00, 0xff]) expect([code, c.command(code)]).toEqual([code, ERR]);
    expect(c.command(Command.EXECUTE_DEVICE_DIAGNOSTIC)).toBe(READY);
    expect(c.error).toBe(1);
  });

  it('can be read-only', () => {
    const { c } = setUp(pattern(64), true);
    expect(c.command(Command.WRITE_SECTORS, { lba: 0, count: 1 })).toBe(ERR);
  });

  it('leaves the slave\'s place empty', () => {
    const { c } = setUp();
    c.out(ATA_DEVICE, 0xb0);
    expect([c.in(ATA_STATUS), c.alternateStatus, c.error]).toEqual([0, 0, 0]);
    c.out(ATA_COMMAND, Command.IDENTIFY_DEVICE);
    expect(c.irq.edges).toBe(0);
    const empty = new TestChannel(new TestMemory(4096), null);
    expect([0, 1, 2, 3, 4, 5, 6, 7].map((r) => empty.in(r))).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
  });

  it('keeps interrupts back while nIEN is set', () => {
    const { c } = setUp();
    c.control(2);
    c.command(Command.READ_VERIFY, { lba: 0, count: 1 });
    expect(c.irq.edges).toBe(0);
    c.control(0);
    c.command(Command.READ_VERIFY, { lba: 0, count: 1 });
    expect(c.irq.edges).toBe(1);
  });
});

describe('geometry', () => {
  it('is QEMU\'s', () => {
    const none = new Uint8Array(512);
    expect(guessGeometry(4096, none)).toEqual({ cylinders: 4, heads: 16, sectors: 63, translation: 0 });
    expect(guessGeometry(20_000_000, none)).toEqual({ cylinders: 16383, heads: 16, sectors: 63, translation: 1 });
    expect(guessGeometry(100, none).cylinders).toBe(2);
    const boot = new Uint8Array(512);
    boot.set([0x55, 0xaa], 510);
    boot.set([0, 1, 1, 0, 6, 7, 17, 30, 17, 0, 0, 0, 1, 2, 0, 0], 0x1be); // ends at head 7, sector 17
    expect(guessGeometry(8 * 17 * 100, boot)).toEqual({ cylinders: 100, heads: 8, sectors: 17, translation: 0 });
    boot[0x1be + 5] = 254;
    boot[0x1be + 6] = 63;
    expect(guessGeometry(255 * 63 * 20, boot)).toEqual({ cylinders: 318, heads: 16, sectors: 63, translation: 2 });
  });
});
