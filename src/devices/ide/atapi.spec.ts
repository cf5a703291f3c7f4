import { describe, expect, it } from 'vitest';
import { RawMemory } from '../../backends/block/raw-memory.ts';
import { TestMemory } from '../../virtio/testing.ts';
import { ATA_DEVICE, ATA_ERROR, ATA_LBA_HIGH, ATA_LBA_LOW, ATA_LBA_MID, ATA_SECTOR_COUNT, ATA_STATUS, Command } from './ata.ts';
import { IdeCd } from './atapi.ts';
import { CD_SECTOR } from './mmc.ts';
import { SlowDisk, TestChannel } from './testing.ts';

const SECTORS = 500;

function disc(sectors = SECTORS): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(sectors * CD_SECTOR);
  new Uint32Array(bytes.buffer).forEach((_, i, words) => (words[i] = i * 0x9e3779b1));
  return bytes;
}

function setUp(medium: Uint8Array<ArrayBuffer> | null = disc()) {
  const memory = new TestMemory(1 << 20);
  const cd = new IdeCd(medium && new RawMemory(medium, true), { serial: 'QM00003' });
  return { memory, cd, c: new TestChannel(memory, cd), medium: medium! };
}

const TEST_UNIT_READY = [0x00];
const sense = (c: TestChannel) => {
  const { data } = c.packet([0x03, 0, 0, 0, 18]);
  return [data[2], data[12]];
};
const read10 = (lba: number, count: number) => [0x28, 0, lba >>> 24, (lba >> 16) & 0xff, (lba >> 8) & 0xff, lba & 0xff, 0, count >> 8, count & 0xff];

describe('IdeCd', () => {
  it('shows the signature of a packet device', () => {
    const { c } = setUp();
    expect([ATA_SECTOR_COUNT, ATA_LBA_LOW, ATA_LBA_MID, ATA_LBA_HIGH, ATA_STATUS].map((r) => c.in(r))).toEqual([1, 1, 0x14, 0xeb, 0]);
    c.out(ATA_LBA_MID, 0);
    expect(c.command(Command.IDENTIFY_DEVICE, { device: 0xa0 })).toBe(0x41);
    expect([c.in(ATA_LBA_MID), c.in(ATA_LBA_HIGH), c.error]).toEqual([0x14, 0xeb, 0x04]);
    expect(c.command(Command.IDENTIFY_PACKET_DEVICE, { device: 0xa0 })).toBe(0x58);
    const data = c.read(512);
    expect(data[0] | (data[1] << 8)).toBe(0x85c0);
  });

  it('reads sectors in blocks of the host\'s limit', () => {
    const { c, medium } = setUp();
    const { data, blocks, status } = c.packet(read10(16, 3), { limit: 2048 });
    expect(data).toEqual(medium.slice(16 * CD_SECTOR, 19 * CD_SECTOR));
    expect([blocks, status]).toEqual([[2048, 2048, 2048], 0x50]);
    // Interrupts: one for each block, and one for the end. 8.23.5: an odd limit counts as the even one below it.
    expect(c.irq.edges).toBe(4);
    expect(c.packet(read10(0, 1), { limit: 1001 }).blocks).toEqual([1000, 1000, 48]);
    expect(c.in(ATA_SECTOR_COUNT) & 7).toBe(3);
    expect(c.packet(read10(499, 2)).status).toBe(0x41);
    expect(sense(c)).toEqual([5, 0x21]);
  });

  it('reads by DMA, and a long read in parts', () => {
    const { c, memory, medium } = setUp();
    for (let i = 0; i < 5; i++) {
      memory.write32(0x1000 + 8 * i, 0x10000 + 0x10000 * i);
      memory.write32(0x1004 + 8 * i, i === 4 ? 0x80000000 : 0);
    }
    c.out(ATA_DEVICE, 0xa0);
    c.out(ATA_ERROR, 1);
    c.out(0x7, Command.PACKET);
    c.write(Uint8Array.from([...read10(7, 160), 0, 0, 0]));
    expect(c.irq.edges).toBe(0);
    c.startDma(0x1000, 8);
    expect(c.takeInterrupt()).toEqual({ edges: 1, status: 0x50 });
    expect(Buffer.compare(memory.all.slice(0x10000, 0x60000), medium.slice(7 * CD_SECTOR, 167 * CD_SECTOR))).toBe(0);
  });

  it('says what it is and what is in it', () => {
    const { c } = setUp();
    const inquiry = c.packet([0x12, 0, 0, 0, 36]).data;
    expect([inquiry[0], inquiry[1]]).toEqual([5, 0x80]);
    expect(String.fromCharCode(...inquiry.subarray(8, 32))).toBe('QEMU    QEMU DVD-ROM    ');
    expect([...c.packet([0x25]).data]).toEqual([0, 0, 0x01, 0xf3, 0, 0, 8, 0]);
    const toc = [...c.packet([0x43, 0, 0, 0, 0, 0, 0, 0, 0xff]).data];
    expect(toc).toEqual([0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0, 0, 0x16, 0xaa, 0, 0, 0, 0x01, 0xf4]);
    // 500 frames after the two seconds before the first: 00:08:50
    expect([...c.packet([0x43, 2, 0, 0, 0, 0, 0, 0, 0xff]).data].slice(-4)).toEqual([0, 0, 8, 50]);
    expect(c.packet([0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 0xff]).data.length).toBe(30);
    expect([...c.packet([0x46, 0, 0, 0, 0, 0, 0, 0, 8]).data]).toEqual([0, 0, 0, 36, 0, 0, 0, 8]);
    expect(c.packet([0x99]).status).toBe(0x41);
    expect(sense(c)).toEqual([5, 0x20]);
  });

  it('reads raw sectors', () => {
    const { c, medium } = setUp();
    const { data } = c.packet([0xbe, 0, 0, 0, 0, 20, 0, 0, 1, 0xf8]);
    expect(data.length).toBe(2352);
    // Sector 20 is at 00:02:20, mode 1.
    expect([...data.subarray(0, 16)]).toEqual([0, ...new Array(10).fill(255), 0, 0x00, 0x02, 0x20, 1]);
    expect(data.slice(16, 16 + CD_SECTOR)).toEqual(medium.slice(20 * CD_SECTOR, 21 * CD_SECTOR));
    expect(c.packet([0xbe, 0, 0, 0, 0, 20, 0, 0, 1, 0x10]).data).toEqual(medium.slice(20 * CD_SECTOR, 21 * CD_SECTOR));
  });

  it('is empty, gets a disc, and gives it back', () => {
    const { c, cd } = setUp(null);
    expect(c.packet(TEST_UNIT_READY).status).toBe(0x41);
    expect(sense(c)).toEqual([2, 0x3a]);
    const medium = disc(10);
    cd.insert(new RawMemory(medium, true));
    // The guest sees it come: no medium, medium changed, ready.
    const seen = [0, 1, 2].map(() => {
      const { error } = c.packet(TEST_UNIT_READY);
      return error >> 4;
    });
    expect(seen).toEqual([2, 6, 6]);
    expect(sense(c)).toEqual([6, 0x28]);
    expect(c.packet(TEST_UNIT_READY).status).toBe(0x50);
    expect([...c.packet([0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8]).data]).toEqual([0, 6, 4, 0x10, 2, 2, 0, 0]);
    expect(c.packet(read10(9, 1)).data).toEqual(medium.slice(9 * CD_SECTOR));
    // Locked, it stays, and the guest hears of the wish.
    c.packet([0x1e, 0, 0, 0, 1]);
    expect([cd.locked, cd.eject(), cd.medium === null]).toEqual([true, false, false]);
    expect([...c.packet([0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8]).data].slice(4, 6)).toEqual([1, 2]);
    expect(c.packet([0x1b, 0, 0, 0, 2]).status).toBe(0x41);
    c.packet([0x1e, 0, 0, 0, 0]);
    expect([cd.eject(), cd.trayOpen]).toEqual([true, true]);
    expect(c.packet(read10(0, 1)).status).toBe(0x41);
  });

  it('opens and closes its tray for the guest', () => {
    const { c, cd } = setUp();
    expect(c.packet([0x1b, 0, 0, 0, 2]).status).toBe(0x50);
    expect(cd.trayOpen).toBe(true);
    expect(c.packet(TEST_UNIT_READY).error >> 4).toBe(2);
    c.packet([0x1b, 0, 0, 0, 3]);
    expect(cd.trayOpen).toBe(false);
    const keys = [0, 1].map(() => c.packet(TEST_UNIT_READY).error >> 4);
    expect(keys).toEqual([2, 6]);
    sense(c);
    expect(c.packet(read10(0, 1)).status).toBe(0x50);
  });

  it('ends a read whose disc is taken out, and forgets it on DEVICE RESET', () => {
    const memory = new TestMemory(1 << 16);
    const slow = new SlowDisk(disc(20), true);
    const cd = new IdeCd(slow, { serial: 'x' });
    const c = new TestChannel(memory, cd);
    c.packet(read10(3, 1));
    expect(c.busy).toBe(true);
    cd.eject(true);
    expect(c.alternateStatus).toBe(0x41);
    slow.answer();
    expect(c.alternateStatus).toBe(0x41);
    cd.insert(slow);
    for (let i = 0; i < 3; i++) c.packet(TEST_UNIT_READY);
    sense(c);
    c.packet(read10(3, 1));
    expect(c.busy).toBe(true);
    c.out(7, Command.DEVICE_RESET);
    expect([c.alternateStatus, c.in(ATA_LBA_HIGH)]).toEqual([0, 0xeb]);
    slow.answer();
    expect(c.alternateStatus).toBe(0);
  });
});
