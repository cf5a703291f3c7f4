import { beforeEach, describe, expect, it } from 'vitest';
import type { CharBackend } from '../devices/interfaces.ts';
import {
  CONFIG_EMERG_WR, CONTROL_RECEIVE, CONTROL_TRANSMIT, receiveQueue, transmitQueue, VIRTIO_CONSOLE_CONSOLE_PORT, VIRTIO_CONSOLE_DEVICE_ADD, VIRTIO_CONSOLE_DEVICE_READY,
  VIRTIO_CONSOLE_F_EMERG_WRITE, VIRTIO_CONSOLE_F_MULTIPORT, VIRTIO_CONSOLE_F_SIZE, VIRTIO_CONSOLE_PORT_NAME, VIRTIO_CONSOLE_PORT_OPEN, VIRTIO_CONSOLE_PORT_READY,
  VIRTIO_CONSOLE_RESIZE, VirtioConsole,
} from './console.ts';
import { STATUS_NEEDS_RESET, VIRTIO_F_RING_RESET } from './device.ts';
import { DEVICE, LEGACY_DEVICE_FEATURES } from './pci.ts';
import { type TestDriver, TestMemory, TestSlot } from './testing.ts';

/** A host's end with room for so many bytes. */
class TestEnd implements CharBackend {
  out = '';
  input: number[] = [];
  room = Infinity;
  cols = 0;
  rows = 0;
  write(byte: number): boolean {
    if (this.room === 0) return false;
    this.room--;
    this.out += String.fromCharCode(byte);
    return true;
  }
  read(): number {
    return this.input.shift() ?? -1;
  }
  size() {
    return this.cols ? { cols: this.cols, rows: this.rows } : undefined;
  }
  type(text: string): void {
    this.input.push(...Buffer.from(text));
  }
}

const ALL = VIRTIO_CONSOLE_F_SIZE | VIRTIO_CONSOLE_F_MULTIPORT | VIRTIO_CONSOLE_F_EMERG_WRITE;
const MAX_PORTS = 4;
const DATA = 0x10000;
let memory: TestMemory;
let ends: TestEnd[];
let device: VirtioConsole;
let slot: TestSlot;
let queues: TestDriver[];
/** Buffers for control messages that have come back. */
let taken = 0;

const make = () => new VirtioConsole({
  maxPorts: MAX_PORTS,
  ports: [
    { nr: 0, console: true, backend: ends[0] },
    { nr: 2, console: false, name: 'org.test.2', backend: ends[1] },
    { nr: 3, console: false, name: 'silent' },
  ],
});

beforeEach(() => {
  memory = new TestMemory(0x40000);
  ends = [new TestEnd(), new TestEnd()];
  device = make();
  slot = new TestSlot(device, memory);
});

function start(features = ALL): void {
  queues = slot.start(features, 2 * MAX_PORTS + 2);
  taken = 0;
}

/** Buffers for control messages, so many. */
function offerControl(count: number): void {
  for (let n = 0; n < count; n++) queues[CONTROL_RECEIVE].add([], [{ address: DATA + 64 * n, length: 64 }]);
  slot.kick(CONTROL_RECEIVE);
}

/** The messages that have come. */
function messages(): { id: number; event: number; value: number; body: string }[] {
  return queues[CONTROL_RECEIVE].used().map(({ written }) => {
    const at = DATA + 64 * taken++;
    return { id: memory.read32(at), event: memory.read16(at + 4), value: memory.read16(at + 6), body: Buffer.from(memory.bytes(at + 8, written - 8)).toString('latin1') };
  });
}

function control(id: number, event: number, value: number): void {
  memory.write32(0x8000, id);
  memory.write16(0x8004, event);
  memory.write16(0x8006, value);
  queues[CONTROL_TRANSMIT].add([{ address: 0x8000, length: 8 }], []);
  slot.kick(CONTROL_TRANSMIT);
  expect(queues[CONTROL_TRANSMIT].used()).toHaveLength(1);
}

function send(port: number, text: string, at = 0x9000): void {
  memory.write(at, Buffer.from(text));
  expect(queues[transmitQueue(port)].add([{ address: at, length: text.length }], [])).toBeGreaterThanOrEqual(0);
  slot.kick(transmitQueue(port));
}

const sentBack = (port: number) => queues[transmitQueue(port)].used().length;

/** What the guest has received on a port, in a buffer of `length` bytes. */
function receive(port: number, length = 16): string {
  const queue = queues[receiveQueue(port)];
  queue.add([], [{ address: 0xa000, length }]);
  slot.kick(receiveQueue(port));
  return queue.used().map(({ written }) => Buffer.from(memory.bytes(0xa000, written)).toString()).join('|');
}

describe('virtio-serial', () => {
  it('tells of its ports, and what they are', () => {
    start();
    expect(slot.modern.read(DEVICE + 4, 4)).toBe(MAX_PORTS);
    control(0xffffffff, VIRTIO_CONSOLE_DEVICE_READY, 1);
    // No buffer yet: they wait.
    offerControl(8);
    expect(messages()).toEqual([0, 2, 3].map((id) => ({ id, event: VIRTIO_CONSOLE_DEVICE_ADD, value: 1, body: '' })));
    for (const id of [0, 2, 3, 1, 77]) control(id, VIRTIO_CONSOLE_PORT_READY, 1);
    expect(messages().map(({ id, event, value, body }) => [id, event, value, body])).toEqual([
      [0, VIRTIO_CONSOLE_CONSOLE_PORT, 1, ''],
      [0, VIRTIO_CONSOLE_PORT_OPEN, 1, ''],
      [2, VIRTIO_CONSOLE_PORT_NAME, 1, 'org.test.2\0'],
      [2, VIRTIO_CONSOLE_PORT_OPEN, 1, ''],
      // Nobody is at its other end.
      [3, VIRTIO_CONSOLE_PORT_NAME, 1, 'silent\0'],
    ]);
  });

  it('carries characters both ways, ports apart, while the guest has them open', () => {
    start();
    send(0, 'hello');
    send(2, 'there');
    send(3, 'nobody');
    send(1, 'no port');
    expect([0, 1, 2, 3].map(sentBack)).toEqual([1, 1, 1, 1]);
    expect(ends.map(({ out }) => out)).toEqual(['hello', 'there']);
    ends[1].type('early');
    expect(receive(2)).toBe('');
    control(2, VIRTIO_CONSOLE_PORT_OPEN, 1);
    expect(queues[receiveQueue(2)].used()).toEqual([{ head: 0, written: 5 }]);
    ends[1].type('more than fits');
    expect(receive(2, 6)).toBe('more t');
    expect(receive(2, 20)).toBe('han fits');
    control(2, VIRTIO_CONSOLE_PORT_OPEN, 0);
    ends[1].type('x');
    expect(receive(2)).toBe('');
  });

  it('gives what is typed to a buffer that waits, at the next poll', () => {
    start();
    control(0, VIRTIO_CONSOLE_PORT_OPEN, 1);
    expect(receive(0)).toBe('');
    slot.enableMsix();
    ends[0].type('ls\n');
    slot.fn.poll();
    expect(queues[0].used()).toEqual([{ head: 0, written: 3 }]);
    expect(slot.messages).toEqual([1]);
    // Nothing there, nothing done.
    slot.fn.poll();
    expect(slot.messages).toEqual([1]);
    // A function that may not master the bus reaches no memory.
    receive(0);
    ends[0].type('y');
    slot.fn.writeConfig(4, 2, 3);
    slot.fn.poll();
    expect(queues[0].used()).toEqual([]);
  });

  it('holds what the host has no room for, and loses nothing', () => {
    start();
    ends[0].room = 3;
    send(0, 'abcdef');
    send(0, 'ghi', 0x9100);
    expect(sentBack(0)).toBe(0);
    slot.fn.poll();
    expect(ends[0].out).toBe('abc');
    ends[0].room = 4;
    slot.fn.poll();
    expect(ends[0].out).toBe('abcdefg');
    expect(sentBack(0)).toBe(1);
    ends[0].room = Infinity;
    slot.fn.poll();
    expect(sentBack(0)).toBe(1);
    expect(ends[0].out).toBe('abcdefghi');
  });

  it('sends all of the first buffer of a queue that was reset in the middle of another', () => {
    start(ALL | VIRTIO_F_RING_RESET);
    ends[0].room = 3;
    send(0, 'abcdef');
    slot.resetQueue(transmitQueue(0));
    ends[0].room = Infinity;
    slot.fn.poll();
    expect(ends[0].out).toBe('abc');
    memory.all.fill(0, queues[transmitQueue(0)].places.desc, queues[transmitQueue(0)].places.desc + 0x1000);
    queues[transmitQueue(0)] = slot.setUpQueue(transmitQueue(0), queues[transmitQueue(0)].places);
    send(0, 'ghijkl');
    expect([sentBack(0), ends[0].out]).toEqual([1, 'abcghijkl']);
  });

  it('goes on from a saved state in the middle of a buffer', () => {
    start();
    control(0, VIRTIO_CONSOLE_PORT_OPEN, 1);
    ends[0].room = 3;
    ends[0].type('in');
    send(0, 'abcdef');
    control(0xffffffff, VIRTIO_CONSOLE_DEVICE_READY, 1);
    const saved = structuredClone(slot.fn.save());
    ends[0].room = Infinity;
    device = make();
    slot = new TestSlot(device, memory);
    slot.fn.load(saved);
    expect(slot.fn.save()).toEqual(saved);
    slot.fn.poll();
    expect(ends[0].out).toBe('abcdef');
    expect(receive(0)).toBe('in');
    offerControl(8);
    expect(messages()).toHaveLength(3);
  });

  it('follows the size of the terminal', () => {
    start();
    offerControl(8);
    Object.assign(ends[0], { cols: 132, rows: 43 });
    control(0, VIRTIO_CONSOLE_PORT_READY, 1);
    expect(messages().map(({ event, body }) => [event, body])).toContainEqual([VIRTIO_CONSOLE_RESIZE, '\x84\0\x2b\0']);
    expect([slot.modern.read(DEVICE, 2), slot.modern.read(DEVICE + 2, 2)]).toEqual([132, 43]);
    const generation = device.configGeneration;
    slot.fn.poll();
    expect(device.configGeneration).toBe(generation);
    ends[0].cols = 80;
    slot.fn.poll();
    expect(slot.modern.read(DEVICE, 2)).toBe(80);
    expect(device.configGeneration).not.toBe(generation);
  });

  it('is one console to a driver without multiport', () => {
    start(0n);
    ends[0].type('a');
    expect(receive(0)).toBe('a');
    send(0, 'b');
    expect(ends[0].out).toBe('b');
    control(0xffffffff, VIRTIO_CONSOLE_DEVICE_READY, 0);
    Object.assign(ends[0], { cols: 100, rows: 30 });
    slot.fn.poll();
    expect(slot.modern.read(DEVICE, 2)).toBe(100);
    offerControl(1);
    expect(messages()).toEqual([]);
  });

  it('writes in an emergency before anything is set up', () => {
    for (const letter of 'oops') slot.modern.write(DEVICE + CONFIG_EMERG_WR, 4, letter.charCodeAt(0));
    slot.legacy.write(0x14 + CONFIG_EMERG_WR, 4, 0x21);
    expect(ends[0].out).toBe('oops!');
    const without = new TestSlot(new VirtioConsole({ maxPorts: 1, emergencyWrite: false, ports: [{ nr: 0, console: true, backend: ends[0] }] }), memory);
    without.modern.write(DEVICE + CONFIG_EMERG_WR, 4, 0x21);
    expect(ends[0].out).toBe('oops!');
    // One port: no multiport.
    expect(without.legacy.read(LEGACY_DEVICE_FEATURES, 4) & 7).toBe(1);
  });

  it('stops at a receive buffer without room, and drops control messages that nobody takes', () => {
    start();
    for (let n = 0; n < 3000; n++) control(0xffffffff, VIRTIO_CONSOLE_DEVICE_READY, 1);
    expect((slot.fn.save() as { device: { device: { messages: unknown[] } } }).device.device.messages.length).toBeLessThan(3000);
    control(2, VIRTIO_CONSOLE_PORT_OPEN, 1);
    ends[1].type('x');
    queues[receiveQueue(2)].add([{ address: DATA, length: 1 }], []);
    slot.kick(receiveQueue(2));
    expect(slot.status & STATUS_NEEDS_RESET).toBe(STATUS_NEEDS_RESET);
  });
});
