import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { RawMemory } from '../backends/block/raw-memory.ts';
import { type BlockBackend, type BlockDone, BlockError, GuestMemoryError } from '../devices/interfaces.ts';
import { STATUS_NEEDS_RESET, VIRTIO_F_RING_RESET, VIRTIO_F_VERSION_1 } from './device.ts';
import {
  SECTOR, VirtioBlk, VIRTIO_BLK_F_CONFIG_WCE, VIRTIO_BLK_F_DISCARD, VIRTIO_BLK_F_FLUSH, VIRTIO_BLK_F_RO, VIRTIO_BLK_F_SEG_MAX, VIRTIO_BLK_F_TOPOLOGY, VIRTIO_BLK_F_WRITE_ZEROES, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_OK,
  VIRTIO_BLK_S_UNSUPP, VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_GET_ID, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_WRITE_ZEROES,
} from './blk.ts';
import { DEVICE, QUEUE_SIZE } from './pci.ts';
import { type TestDriver, TestMemory, TestSlot } from './testing.ts';

const SECTORS = 64;
const ALL = VIRTIO_BLK_F_SEG_MAX | VIRTIO_BLK_F_FLUSH | VIRTIO_BLK_F_DISCARD | VIRTIO_BLK_F_WRITE_ZEROES;
const HEADER = 0x4000;
const STATUS = 0x4100;
const DATA = 0x8000;

/** A disk that writes down what it was asked for, and fails, or keeps requests open, when told to. */
class TestDisk extends RawMemory {
  readv: BlockBackend['readv'];
  writev: BlockBackend['writev'];
  readonly log: string[] = [];
  failing = false;
  /** Requests that wait to be carried out, while `slow`. */
  readonly open: (() => void)[] = [];
  slow = false;
  private note(what: string, done: BlockDone, action: () => void): void {
    this.log.push(what);
    const act = () => (this.failing ? done(new BlockError('test')) : action());
    if (this.slow) this.open.push(act);
    else act();
  }
  override read(offset: number, into: Uint8Array, done: BlockDone): void {
    this.note(`read ${offset} ${into.length}`, done, () => super.read(offset, into, done));
  }
  override write(offset: number, data: Uint8Array, done: BlockDone): void {
    this.note(`write ${offset} ${data.length}`, done, () => super.write(offset, data, done));
  }
  override flush(done: BlockDone): void {
    this.note('flush', done, () => done(null));
  }
  override discard(offset: number, length: number, done: BlockDone): void {
    this.note(`discard ${offset} ${length}`, done, () => done(null));
  }
  override writeZeroes(offset: number, length: number, mayUnmap: boolean, done: BlockDone): void {
    this.note(`zero ${offset} ${length} ${mayUnmap}`, done, () => super.writeZeroes(offset, length, mayUnmap, done));
  }
}

let memory: TestMemory;
let disk: TestDisk;
let slot: TestSlot;
let driver: TestDriver;

function build(features = ALL, readOnly = false): void {
  memory = new TestMemory(0x40000);
  disk = new TestDisk(new Uint8Array(SECTORS * SECTOR).map((_, i) => (i * 7 + (i >> 9)) & 0xff), readOnly);
  slot = new TestSlot(new VirtioBlk(disk, { serial: 'disk-1' }), memory);
  [driver] = slot.start(features);
}

beforeEach(() => build());

/** A request; `out` are bytes that go with it, `room` what the answer may have. @returns its status */
function request(type: number, sector: number | bigint, out: Uint8Array = new Uint8Array(), room = 0): number {
  memory.write32(HEADER, type);
  memory.write32(HEADER + 4, 0);
  memory.write64(HEADER + 8, BigInt(sector));
  memory.write8(STATUS, 0xee);
  memory.write(DATA, out);
  const head = driver.add(
    [{ address: HEADER, length: 16 }, ...(out.length ? [{ address: DATA, length: out.length }] : [])],
    [...(room ? [{ address: DATA, length: room }] : []), { address: STATUS, length: 1 }],
  );
  slot.kick(0);
  expect(driver.used()).toEqual([{ head, written: room + 1 }]);
  return memory.read8(STATUS);
}

const ranges = (...list: [sector: number, sectors: number, flags?: number][]) => {
  const view = new DataView(new ArrayBuffer(16 * list.length));
  list.forEach(([sector, sectors, flags = 0], i) => {
    view.setBigUint64(16 * i, BigInt(sector), true);
    view.setUint32(16 * i + 8, sectors, true);
    view.setUint32(16 * i + 12, flags, true);
  });
  return new Uint8Array(view.buffer);
};

describe('virtio-blk', () => {
  it('tells its capacity and limits', () => {
    expect(slot.modern.read(DEVICE, 4)).toBe(SECTORS);
    expect(slot.modern.read(DEVICE + 12, 4)).toBe(254);
    expect(slot.modern.read(DEVICE + 20, 4)).toBe(512);
    expect(slot.modern.read(DEVICE + 56, 1)).toBe(1);
    expect([slot.modern.read(DEVICE + 26, 2), slot.modern.read(DEVICE + 28, 4)]).toEqual([0, 0]);
  });

  it('offers neither discard nor write zeroes where its user has switched them off, and has as many entries as he wants', () => {
    const fewer = new TestSlot(new VirtioBlk(new TestDisk(new Uint8Array(SECTORS * SECTOR)), { discard: false, writeZeroes: false, queueSize: 8 }), memory);
    expect(fewer.negotiate(VIRTIO_F_VERSION_1 | VIRTIO_BLK_F_DISCARD)).toBe(false);
    expect(fewer.negotiate(VIRTIO_F_VERSION_1 | VIRTIO_BLK_F_WRITE_ZEROES)).toBe(false);
    for (const at of [36, 40, 44, 48, 52]) expect(fewer.modern.read(DEVICE + at, 4)).toBe(0);
    expect(fewer.modern.read(DEVICE + 12, 4)).toBe(6);
    expect(fewer.modern.read(QUEUE_SIZE, 2)).toBe(8);
    const discards = new TestSlot(new VirtioBlk(new TestDisk(new Uint8Array(SECTORS * SECTOR)), { writeZeroes: false }), memory);
    expect([36, 48].map((at) => discards.modern.read(DEVICE + at, 4))).toEqual([0x3fffff, 0]);
    expect(discards.negotiate(VIRTIO_F_VERSION_1 | VIRTIO_BLK_F_DISCARD)).toBe(true);
  });

  it('tells of larger blocks and of what is best moved at once, and takes whole ones only', () => {
    memory = new TestMemory(0x40000);
    // One sector too many for whole blocks.
    disk = new TestDisk(new Uint8Array((SECTORS + 1) * SECTOR));
    slot = new TestSlot(new VirtioBlk(disk, { logicalBlockSize: 4096, physicalBlockSize: 16384, minIoSize: 65535 * 4096, optIoSize: 1 << 20 }), memory);
    [driver] = slot.start(ALL | VIRTIO_BLK_F_TOPOLOGY);
    expect([[0, 4], [20, 4], [24, 1], [25, 1], [26, 2], [28, 4], [44, 4]].map(([at, size]) => slot.modern.read(DEVICE + at, size as 1 | 2 | 4))).toEqual([SECTORS, 4096, 2, 0, 65535, 256, 8]);
    expect(request(VIRTIO_BLK_T_IN, 8, undefined, 4096)).toBe(VIRTIO_BLK_S_OK);
    expect(request(VIRTIO_BLK_T_OUT, 56, new Uint8Array(4096))).toBe(VIRTIO_BLK_S_OK);
    expect(request(VIRTIO_BLK_T_DISCARD, 0, ranges([8, 8]))).toBe(VIRTIO_BLK_S_OK);
    disk.log.length = 0;
    expect(request(VIRTIO_BLK_T_IN, 1, undefined, 4096)).toBe(VIRTIO_BLK_S_IOERR);
    expect(request(VIRTIO_BLK_T_IN, 8, undefined, 512)).toBe(VIRTIO_BLK_S_IOERR);
    expect(request(VIRTIO_BLK_T_OUT, 4, new Uint8Array(4096))).toBe(VIRTIO_BLK_S_IOERR);
    expect(request(VIRTIO_BLK_T_OUT, 64, new Uint8Array(512))).toBe(VIRTIO_BLK_S_IOERR);
    expect(request(VIRTIO_BLK_T_DISCARD, 0, ranges([8, 4]))).toBe(VIRTIO_BLK_S_IOERR);
    expect(request(VIRTIO_BLK_T_WRITE_ZEROES, 0, ranges([4, 8]))).toBe(VIRTIO_BLK_S_IOERR);
    expect(disk.log).toEqual([]);
  });

  it('writes through from the moment that the driver wants it, and back again (5.2.6.2)', () => {
    build(ALL | VIRTIO_BLK_F_CONFIG_WCE);
    const writeback = (): number => slot.modern.read(DEVICE + 32, 1);
    const written = (): string[] => {
      disk.log.length = 0;
      request(VIRTIO_BLK_T_OUT, 0, new Uint8Array(SECTOR));
      return [...disk.log];
    };
    expect([writeback(), ...written()]).toEqual([1, 'write 0 512']);
    slot.modern.write(DEVICE + 32, 1, 0);
    expect([writeback(), ...written()]).toEqual([0, 'write 0 512', 'flush']);
    expect(request(VIRTIO_BLK_T_WRITE_ZEROES, 0, ranges([5, 3]))).toBe(VIRTIO_BLK_S_OK);
    expect(disk.log.slice(2)).toEqual(['zero 2560 1536 false', 'flush']);
    // It is what it was when the write began that counts.
    disk.slow = true;
    disk.log.length = 0;
    memory.write32(HEADER, VIRTIO_BLK_T_OUT);
    memory.write64(HEADER + 8, 1n);
    driver.add([{ address: HEADER, length: 16 }, { address: DATA, length: SECTOR }], [{ address: STATUS, length: 1 }]);
    slot.kick(0);
    slot.modern.write(DEVICE + 32, 1, 0xff);
    for (const act of disk.open.splice(0)) act();
    expect([writeback(), ...disk.log]).toEqual([1, 'write 512 512', 'flush']);
    for (const act of disk.open.splice(0)) act();
    expect(driver.used()).toHaveLength(1);
    disk.slow = false;
    expect(written()).toEqual(['write 0 512']);
    // Nothing beside it can be written, and a reset brings it back.
    slot.modern.write(DEVICE + 32, 1, 0);
    for (let at = 0; at < 60; at++) if (at !== 32) slot.modern.write(DEVICE + at, 1, 0xff);
    expect([writeback(), slot.modern.read(DEVICE, 4), slot.modern.read(DEVICE + 33, 1)]).toEqual([0, SECTORS, 0]);
    const saved = structuredClone(slot.fn.save());
    slot.status = 0;
    expect(writeback()).toBe(1);
    slot.fn.load(saved);
    expect([writeback(), ...written()]).toEqual([0, 'write 0 512', 'flush']);
  });

  it('writes through for who may switch but not flush, and lets nobody switch who has not said so', () => {
    build(VIRTIO_BLK_F_CONFIG_WCE);
    expect(slot.modern.read(DEVICE + 32, 1)).toBe(0);
    request(VIRTIO_BLK_T_OUT, 0, new Uint8Array(SECTOR));
    build();
    slot.modern.write(DEVICE + 32, 1, 0);
    expect(slot.modern.read(DEVICE + 32, 1)).toBe(1);
    request(VIRTIO_BLK_T_OUT, 0, new Uint8Array(SECTOR));
    expect(disk.log).toEqual(['write 0 512']);
    const without = new TestSlot(new VirtioBlk(disk, { configWce: false }), memory);
    expect(without.negotiate(VIRTIO_F_VERSION_1 | VIRTIO_BLK_F_CONFIG_WCE)).toBe(false);
  });

  it('reads and writes sectors', () => {
    expect(request(VIRTIO_BLK_T_IN, 3, undefined, 2 * SECTOR)).toBe(VIRTIO_BLK_S_OK);
    expect(memory.bytes(DATA, 2 * SECTOR)).toEqual(disk.bytes.subarray(3 * SECTOR, 5 * SECTOR));
    const data = new Uint8Array(3 * SECTOR).fill(0x5a);
    expect(request(VIRTIO_BLK_T_OUT, 61, data)).toBe(VIRTIO_BLK_S_OK);
    expect(disk.bytes.subarray(61 * SECTOR)).toEqual(data);
    expect(disk.bytes[61 * SECTOR - 1]).not.toBe(0x5a);
    expect(disk.log).toEqual(['read 1536 1024', 'write 31232 1536']);
  });

  it('flushes when asked, and always for a driver that cannot ask', () => {
    expect(request(VIRTIO_BLK_T_FLUSH, 0)).toBe(VIRTIO_BLK_S_OK);
    expect(disk.log).toEqual(['flush']);
    build(0n);
    request(VIRTIO_BLK_T_OUT, 0, new Uint8Array(SECTOR));
    expect(disk.log).toEqual(['write 0 512', 'flush']);
  });

  it('has a serial number', () => {
    expect(request(VIRTIO_BLK_T_GET_ID, 0, undefined, 20)).toBe(VIRTIO_BLK_S_OK);
    expect(String.fromCharCode(...memory.bytes(DATA, 20))).toBe('disk-1'.padEnd(20, '\0'));
  });

  it('discards and writes zeroes', () => {
    expect(request(VIRTIO_BLK_T_DISCARD, 0, ranges([1, 2], [60, 4]))).toBe(VIRTIO_BLK_S_OK);
    expect(request(VIRTIO_BLK_T_WRITE_ZEROES, 0, ranges([5, 3, 1]))).toBe(VIRTIO_BLK_S_OK);
    expect(disk.log).toEqual(['discard 512 1024', 'discard 30720 2048', 'zero 2560 1536 true']);
    expect(disk.bytes.subarray(5 * SECTOR, 8 * SECTOR).every((byte) => byte === 0)).toBe(true);
    disk.log.length = 0;
    expect(request(VIRTIO_BLK_T_DISCARD, 0, ranges([1, 2, 1]))).toBe(VIRTIO_BLK_S_UNSUPP);
    expect(request(VIRTIO_BLK_T_WRITE_ZEROES, 0, ranges([1, 2, 2]))).toBe(VIRTIO_BLK_S_UNSUPP);
    expect(request(VIRTIO_BLK_T_WRITE_ZEROES, 0, ranges([1, 2], [3, 4]))).toBe(VIRTIO_BLK_S_IOERR);
    expect(request(VIRTIO_BLK_T_WRITE_ZEROES, 0, ranges([1, 0x7fffffff]))).toBe(VIRTIO_BLK_S_IOERR);
    // The second range is wrong: the first is not touched.
    expect(request(VIRTIO_BLK_T_DISCARD, 0, ranges([1, 2], [63, 2]))).toBe(VIRTIO_BLK_S_IOERR);
    expect(request(VIRTIO_BLK_T_DISCARD, 0, new Uint8Array(15))).toBe(VIRTIO_BLK_S_IOERR);
    expect(request(VIRTIO_BLK_T_DISCARD, 0)).toBe(VIRTIO_BLK_S_IOERR);
    expect(disk.log).toEqual([]);
    build(0n);
    expect(request(VIRTIO_BLK_T_DISCARD, 0, ranges([1, 2]))).toBe(VIRTIO_BLK_S_UNSUPP);
  });

  it('answers what it cannot do with an error', () => {
    expect(request(99, 0)).toBe(VIRTIO_BLK_S_UNSUPP);
    for (const [sector, length] of [[63n, 2 * SECTOR], [64n, SECTOR], [0n, 511], [0xffffffffffffffffn, SECTOR], [0x8000000000000000n, SECTOR]] as const) {
      expect(request(VIRTIO_BLK_T_IN, sector, undefined, length)).toBe(VIRTIO_BLK_S_IOERR);
      expect(request(VIRTIO_BLK_T_OUT, sector, new Uint8Array(length))).toBe(VIRTIO_BLK_S_IOERR);
    }
    expect(disk.log).toEqual([]);
    expect(slot.status).toBe(15);
  });

  it('hands the host\'s errors to the guest', () => {
    disk.failing = true;
    expect(request(VIRTIO_BLK_T_IN, 0, undefined, SECTOR)).toBe(VIRTIO_BLK_S_IOERR);
    expect(request(VIRTIO_BLK_T_OUT, 0, new Uint8Array(SECTOR))).toBe(VIRTIO_BLK_S_IOERR);
    expect(request(VIRTIO_BLK_T_FLUSH, 0)).toBe(VIRTIO_BLK_S_IOERR);
    disk.failing = false;
    expect(request(VIRTIO_BLK_T_IN, 0, undefined, SECTOR)).toBe(VIRTIO_BLK_S_OK);
  });

  /** Ask for sector n into DATA + n sectors, status at STATUS + n. */
  function ask(n: number): number {
    memory.write32(HEADER + 16 * n, VIRTIO_BLK_T_IN);
    memory.write64(HEADER + 16 * n + 8, BigInt(n));
    memory.write8(STATUS + n, 0xee);
    return driver.add([{ address: HEADER + 16 * n, length: 16 }], [{ address: DATA + SECTOR * n, length: SECTOR }, { address: STATUS + n, length: 1 }]);
  }

  it('has several requests under way, which end in any order, each with its interrupt', () => {
    disk.slow = true;
    slot.enableMsix();
    const heads = [ask(0), ask(1)];
    slot.kick(0);
    expect([driver.used(), disk.log, slot.messages]).toEqual([[], ['read 0 512', 'read 512 512'], []]);
    disk.open[1]();
    expect(driver.used()).toEqual([{ head: heads[1], written: SECTOR + 1 }]);
    expect(slot.messages).toEqual([1]);
    expect([memory.read8(STATUS), memory.read8(STATUS + 1)]).toEqual([0xee, VIRTIO_BLK_S_OK]);
    expect(memory.bytes(DATA + SECTOR, SECTOR)).toEqual(disk.bytes.subarray(SECTOR, 2 * SECTOR));
    disk.failing = true;
    disk.open[0]();
    expect(driver.used()).toEqual([{ head: heads[0], written: SECTOR + 1 }]);
    expect(memory.read8(STATUS)).toBe(VIRTIO_BLK_S_IOERR);
    expect(slot.messages).toEqual([1, 1]);
  });

  it('forgets what was under way when it is reset: no memory is written, nothing is given back', () => {
    disk.slow = true;
    ask(0);
    slot.kick(0);
    slot.status = 0;
    memory.all.fill(0x77);
    disk.open[0]();
    expect(memory.all.every((byte) => byte === 0x77)).toBe(true);
    // The same head is in use again when the old request ends.
    memory.all.fill(0);
    [driver] = slot.start(ALL);
    const head = ask(1);
    slot.kick(0);
    disk.open[0]();
    expect(driver.used()).toEqual([]);
    disk.open[1]();
    expect(driver.used()).toEqual([{ head, written: SECTOR + 1 }]);
  });

  it('forgets what was under way in a queue that is reset, which begins anew in the same place', () => {
    [driver] = slot.start(ALL | VIRTIO_F_RING_RESET);
    disk.slow = true;
    memory.write32(HEADER, VIRTIO_BLK_T_OUT);
    memory.write64(HEADER + 8, 3n);
    const write = driver.add([{ address: HEADER, length: 16 }, { address: DATA, length: SECTOR }], [{ address: STATUS, length: 1 }]);
    const other = ask(1);
    slot.kick(0);
    slot.resetQueue(0);
    memory.all.fill(0x77);
    for (const end of disk.open.splice(0)) end();
    expect(memory.all.every((byte) => byte === 0x77)).toBe(true);
    // Still so when its heads are in use again.
    memory.all.fill(0);
    driver = slot.setUpQueue(0, driver.places);
    expect([ask(2), ask(1)]).toEqual([write, other]);
    slot.kick(0);
    slot.resetQueue(0);
    memory.all.fill(0);
    driver = slot.setUpQueue(0, driver.places);
    const head = ask(5);
    slot.kick(0);
    const [old, older, asked] = disk.open.splice(0);
    old();
    older();
    expect([driver.used(), slot.status]).toEqual([[], 15]);
    asked();
    expect(driver.used()).toEqual([{ head, written: SECTOR + 1 }]);
    expect(memory.bytes(DATA + 5 * SECTOR, SECTOR)).toEqual(disk.bytes.subarray(5 * SECTOR, 6 * SECTOR));
  });

  it('keeps few of the buffers that many requests had', () => {
    memory = new TestMemory(0x100000);
    const device = new VirtioBlk(disk, { queueSize: 1024 });
    slot = new TestSlot(device, memory);
    slot.negotiate(ALL | VIRTIO_F_VERSION_1);
    driver = slot.setUpQueue(0, { size: 1024, desc: 0x80000, driver: 0x90000, device: 0xa0000 });
    slot.status = 15;
    disk.slow = true;
    for (let n = 0; n < 300; n++) {
      memory.write32(0x40000, VIRTIO_BLK_T_IN);
      driver.add([{ address: 0x40000, length: 16 }], [{ address: DATA, length: SECTOR }, { address: STATUS, length: 1 }]);
    }
    slot.kick(0);
    expect(disk.open).toHaveLength(300);
    for (const end of disk.open.splice(0)) end();
    expect(driver.used()).toHaveLength(300);
    expect((device as unknown as { spare: unknown[] }).spare).toHaveLength(64);
  });

  it('begins requests that were under way anew after its state is loaded', () => {
    disk.slow = true;
    const head = ask(2);
    slot.kick(0);
    const saved = structuredClone(slot.fn.save());
    slot.status = 0;
    slot.fn.load(saved);
    disk.slow = false;
    slot.clock.advance(1);
    slot.clock.runExpired();
    expect(driver.used()).toEqual([{ head, written: SECTOR + 1 }]);
    expect(memory.bytes(DATA + 2 * SECTOR, SECTOR)).toEqual(disk.bytes.subarray(2 * SECTOR, 3 * SECTOR));
  });

  it('does not take a buffer that it has already', () => {
    disk.slow = true;
    const head = ask(0);
    driver.offer(head);
    slot.kick(0);
    expect(slot.status & STATUS_NEEDS_RESET).toBe(STATUS_NEEDS_RESET);
    disk.open[0]();
    expect(memory.read8(STATUS)).toBe(0xee);
  });

  it('moves a long request in parts, without stack', () => {
    memory = new TestMemory(8 << 20);
    disk = new TestDisk(new Uint8Array(4 << 20).map((_, i) => (i * 7 + (i >> 9)) & 0xff));
    slot = new TestSlot(new VirtioBlk(disk), memory);
    [driver] = slot.start(ALL);
    expect(request(VIRTIO_BLK_T_IN, 0, undefined, 4 << 20)).toBe(VIRTIO_BLK_S_OK);
    expect(disk.log).toHaveLength(16);
    expect(Buffer.compare(memory.bytes(DATA, 4 << 20), disk.bytes)).toBe(0);
  });

  it('moves data without a copy where the disk can, and says what it has written', () => {
    const written: [number, number][] = [];
    memory.written = (address?: number, length?: number) => void written.push([address!, length!]);
    const sectors = (pieces: readonly Uint8Array[]) => pieces.map(({ length }) => length).join('+');
    disk.readv = (offset, pieces, done) => {
      disk.log.push(`readv ${offset} ${sectors(pieces)}`);
      for (const piece of pieces) piece.fill(0xab);
      done(disk.failing ? new BlockError('test') : null);
    };
    disk.writev = (offset, pieces, done) => {
      disk.log.push(`writev ${offset} ${sectors(pieces)} ${pieces.map((piece) => piece[0])}`);
      done(null);
    };
    memory.write32(HEADER, VIRTIO_BLK_T_IN);
    memory.write64(HEADER + 8, 3n);
    driver.add([{ address: HEADER, length: 16 }], [{ address: DATA, length: 100 }, { address: DATA + 0x1000, length: 412 }, { address: STATUS, length: 1 }]);
    slot.kick(0);
    expect(driver.used()).toHaveLength(1);
    expect(disk.log).toEqual(['readv 1536 100+412']);
    expect([...memory.bytes(DATA + 99, 2), ...memory.bytes(DATA + 0x1000 + 411, 2)]).toEqual([0xab, 0, 0xab, 0]);
    expect(written).toEqual([[DATA, 100], [DATA + 0x1000, 412]]);
    disk.failing = true;
    expect(request(VIRTIO_BLK_T_IN, 0, undefined, SECTOR)).toBe(VIRTIO_BLK_S_IOERR);
    expect(written).toHaveLength(3);
    expect(request(VIRTIO_BLK_T_OUT, 5, new Uint8Array(2 * SECTOR).fill(9))).toBe(VIRTIO_BLK_S_OK);
    expect(disk.log.at(-1)).toBe('writev 2560 1024 9');
  });

  it('stops where memory of a request that is under way is no RAM any more', () => {
    disk.slow = true;
    const add = () => {
      memory.write32(HEADER, VIRTIO_BLK_T_IN);
      memory.write64(HEADER + 8, 0n);
      driver.add([{ address: HEADER, length: 16 }], [{ address: DATA, length: SECTOR }, { address: STATUS, length: 1 }]);
      slot.kick(0);
    };
    add();
    const { bytes } = memory;
    memory.bytes = (address, length) => {
      if (address >= DATA && address < DATA + SECTOR) throw new GuestMemoryError(address, length);
      return bytes.call(memory, address, length);
    };
    disk.open.shift()!();
    expect(slot.status & STATUS_NEEDS_RESET).not.toBe(0);
    expect(driver.used()).toEqual([]);
  });

  it('does not write to a read-only disk, and says so', () => {
    build(VIRTIO_BLK_F_RO, true);
    expect(() => slot.start(VIRTIO_BLK_F_DISCARD)).toThrow('did not agree');
    [driver] = slot.start(VIRTIO_BLK_F_RO);
    memory.all.fill(0, 0x1000, 0x2000);
    expect(request(VIRTIO_BLK_T_OUT, 0, new Uint8Array(SECTOR))).toBe(VIRTIO_BLK_S_IOERR);
    expect(request(VIRTIO_BLK_T_IN, 0, undefined, SECTOR)).toBe(VIRTIO_BLK_S_OK);
    expect(disk.log).toEqual(['read 0 512']);
  });

  it('takes header and data in any pieces', () => {
    memory.write32(HEADER, VIRTIO_BLK_T_IN);
    driver.add(
      [{ address: HEADER, length: 5 }, { address: HEADER + 5, length: 11 }],
      [{ address: DATA, length: 100 }, { address: DATA + 100, length: SECTOR - 100 + 1 }],
    );
    slot.kick(0);
    expect(driver.used()[0].written).toBe(SECTOR + 1);
    expect(memory.bytes(DATA, SECTOR)).toEqual(disk.bytes.subarray(0, SECTOR));
    expect(memory.read8(DATA + SECTOR)).toBe(0);
  });

  it('stops at a request without room for header or status', () => {
    driver.add([{ address: HEADER, length: 15 }], [{ address: STATUS, length: 1 }]);
    slot.kick(0);
    expect(slot.status & STATUS_NEEDS_RESET).toBe(STATUS_NEEDS_RESET);
    build();
    driver.add([{ address: HEADER, length: 16 }], []);
    slot.kick(0);
    expect(slot.status & STATUS_NEEDS_RESET).toBe(STATUS_NEEDS_RESET);
  });

  it('leaves a batch that moves much for later', () => {
    // Each request zeroes as much as one may, which is a batch.
    memory = new TestMemory(0x40000);
    const large = new TestDisk(new Uint8Array(16 << 20));
    slot = new TestSlot(new VirtioBlk(large), memory);
    [driver] = slot.start(ALL);
    memory.write32(HEADER, VIRTIO_BLK_T_WRITE_ZEROES);
    memory.write(HEADER + 16, ranges([0, (16 << 20) / SECTOR]));
    for (let i = 0; i < 3; i++) driver.add([{ address: HEADER, length: 32 }], [{ address: STATUS + i, length: 1 }]);
    slot.kick(0);
    expect(driver.used()).toHaveLength(1);
    for (let i = 0; i < 2; i++) {
      slot.clock.advance(1);
      slot.clock.runExpired();
    }
    expect(driver.used()).toHaveLength(2);
  });

  it('keeps what a list of requests writes, and survives any of them (10,000 cases)', () => {
    const one = fc.record({
      type: fc.oneof(fc.constantFrom(VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_WRITE_ZEROES, VIRTIO_BLK_T_DISCARD), fc.nat(16)),
      sector: fc.oneof(fc.nat(SECTORS + 1), fc.nat()),
      sectors: fc.nat(4),
      odd: fc.constantFrom(0, 0, 0, 1),
      fill: fc.nat(255),
    });
    const expected = disk.bytes.slice();
    fc.assert(
      fc.property(fc.array(one, { maxLength: 6 }), (requests) => {
        for (const { type, sector, sectors, odd, fill } of requests) {
          const length = sectors * SECTOR + odd;
          const fits = odd === 0 && sector + sectors <= SECTORS;
          if (type === VIRTIO_BLK_T_OUT) {
            expect(request(type, sector, new Uint8Array(length).fill(fill))).toBe(fits ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR);
            if (fits) expected.fill(fill, sector * SECTOR, sector * SECTOR + length);
          } else if (type === VIRTIO_BLK_T_WRITE_ZEROES) {
            const ok = sector + sectors <= SECTORS;
            expect(request(type, 0, ranges([sector, sectors, odd]))).toBe(ok ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR);
            if (ok) expected.fill(0, sector * SECTOR, sector * SECTOR + sectors * SECTOR);
          } else if (type === VIRTIO_BLK_T_IN) {
            memory.all.fill(0xcc, DATA, DATA + length);
            expect(request(type, sector, undefined, length)).toBe(fits ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR);
            if (fits && length) expect(Buffer.compare(memory.bytes(DATA, length), expected.subarray(sector * SECTOR, sector * SECTOR + length))).toBe(0);
          } else {
            request(type, sector, new Uint8Array(length % 100).fill(fill), fill);
          }
        }
        disk.log.length = 0;
      }),
      { numRuns: 10_000 },
    );
    expect(Buffer.compare(disk.bytes, expected)).toBe(0);
    expect(slot.status).toBe(15);
  }, 120_000);
});
