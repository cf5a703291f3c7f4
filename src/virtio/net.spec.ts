import { beforeEach, describe, expect, it } from 'vitest';
import { ALL_OFFLOADS, checksumRight, NO_OFFLOADS } from '../devices/net/offload.ts';
import { TestNet } from '../devices/net/testing.ts';
import { STATUS_NEEDS_RESET } from './device.ts';
import {
  CONTROLQ, NET_FEATURES as F, NET_HEADER, RECEIVEQ, TRANSMITQ, VirtioNet, type VirtioNetOptions, VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_GUEST_OFFLOADS,
  VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, VIRTIO_NET_CTRL_MAC_TABLE_SET, VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, VIRTIO_NET_CTRL_VLAN_DEL,
  VIRTIO_NET_F_MAC, VIRTIO_NET_F_MTU, VIRTIO_NET_F_SPEED_DUPLEX,
} from './net.ts';
import { VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLMULTI, VIRTIO_NET_CTRL_RX_NOBCAST, VIRTIO_NET_CTRL_RX_PROMISC } from './net-filter.ts';
import { VIRTIO_F_EVENT_IDX, VIRTIO_F_INDIRECT_DESC } from './device.ts';
import { DEVICE, ISR, LEGACY_DEVICE_STATUS, LEGACY_DRIVER_FEATURES, LEGACY_QUEUE_ADDRESS, LEGACY_QUEUE_NOTIFY, LEGACY_QUEUE_SELECT } from './pci.ts';
import { TestDriver, TestMemory, TestSlot } from './testing.ts';

const MAC = Uint8Array.of(0x52, 0x54, 0, 0x12, 0x34, 0x56);
const TX = 0x8000;
const RX = 0x20000;
const CTRL = 0x6000;

let memory: TestMemory;
let net: TestNet;
let slot: TestSlot;
let queues: TestDriver[];
let device: VirtioNet;

function build(features: bigint, { accepts = ALL_OFFLOADS, ...options }: Partial<VirtioNetOptions> & { accepts?: TestNet['accepts'] } = {}): void {
  memory = new TestMemory(1 << 20);
  net = new TestNet(accepts);
  device = new VirtioNet({ mac: MAC, backend: net, ...options });
  slot = new TestSlot(device, memory);
  slot.enableMsix();
  queues = slot.start(features, 3);
}

/** A frame to an address, VLAN tag first if given; longer ones count up. */
function frame(to: readonly number[] | Uint8Array = MAC, length = 64, vlan?: number): Uint8Array {
  const bytes = Uint8Array.from({ length }, (_, i) => i * 3);
  bytes.set(to);
  bytes.set(vlan === undefined ? [8, 0] : [0x81, 0, vlan >> 8, vlan & 0xff, 8, 0], 12);
  return bytes;
}

/** A TCP segment of this much payload with the pseudo header's sum in place. */
function tcp(payload: number): Uint8Array {
  const bytes = frame(MAC, 54 + payload);
  const view = new DataView(bytes.buffer);
  bytes.set([0x45, 0, 0, 0, 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2], 14);
  view.setUint16(16, 40 + payload);
  view.setUint32(46, 0x5010_ffff);
  // 0a00+0001+0a00+0002+6+length
  view.setUint16(50, 0x1409 + 20 + payload);
  return bytes;
}

/** Send through the driver: header, then the frame in `parts` descriptors. @returns whether the buffer came back */
function send(bytes: Uint8Array, header: number[] = [], parts = 1): boolean {
  memory.bytes(TX, NET_HEADER).fill(0);
  memory.write(TX, Uint8Array.from(header));
  memory.write(TX + NET_HEADER, bytes);
  const step = Math.ceil(bytes.length / parts);
  const segments = [{ address: TX, length: NET_HEADER }];
  for (let at = 0; at < bytes.length; at += step) segments.push({ address: TX + NET_HEADER + at, length: Math.min(step, bytes.length - at) });
  queues[TRANSMITQ].add(segments, []);
  slot.kick(TRANSMITQ);
  return queues[TRANSMITQ].used().length === 1;
}

/** Offer receive buffers of this many bytes. */
function refill(count: number, size: number, kick = true): void {
  for (let n = 0; n < count; n++) queues[RECEIVEQ].add([], [{ address: RX + n * size, length: size }]);
  if (kick) slot.kick(RECEIVEQ);
}

function command(group: number, number: number, data: Uint8Array | number[]): number {
  memory.write(CTRL, Uint8Array.from([group, number, ...data]));
  memory.write8(CTRL + 0xfff, 0xee);
  queues[CONTROLQ].add([{ address: CTRL, length: 2 + data.length }], [{ address: CTRL + 0xfff, length: 1 }]);
  slot.kick(CONTROLQ);
  expect(queues[CONTROLQ].used()).toHaveLength(1);
  return memory.read8(CTRL + 0xfff);
}

const CTRL_ALL = F.ctrl_vq | F.ctrl_rx | F.ctrl_vlan | F.ctrl_rx_extra | F.ctrl_mac_addr;

describe('virtio-net', () => {
  beforeEach(() => build(F.csum | F.host_tso4 | F.status | CTRL_ALL | VIRTIO_NET_F_MAC));

  it('shows address, link, and what the line says of MTU and speed', () => {
    expect(Array.from({ length: 10 }, (_, i) => slot.modern.read(DEVICE + i, 1))).toEqual([...MAC, 1, 0, 1, 0]);
    build(VIRTIO_NET_F_MTU | VIRTIO_NET_F_SPEED_DUPLEX, { hostMtu: 9000, speed: 10000, duplex: 'full' });
    expect(slot.modern.read(DEVICE + 10, 2)).toBe(9000);
    expect([slot.modern.read(DEVICE + 12, 4), slot.modern.read(DEVICE + 16, 1)]).toEqual([10000, 1]);
  });

  it('offers nothing that needs what is switched off', () => {
    const { offered } = new VirtioNet({ mac: MAC, without: ['csum', 'guest_tso4', 'guest_tso6', 'ctrl_vq'] });
    expect(offered & (F.csum | F.host_tso4 | F.host_tso6 | F.host_ecn | F.host_ufo | F.gso)).toBe(0n);
    expect(offered & (F.guest_ecn | F.ctrl_rx | F.ctrl_vlan | F.ctrl_mac_addr | F.guest_announce | F.ctrl_guest_offloads)).toBe(0n);
    expect(offered & F.guest_csum).not.toBe(0n);
  });

  it('sends frames, whole or in parts', () => {
    expect(send(frame(MAC, 1514))).toBe(true);
    expect(send(frame(MAC, 60), [], 5)).toBe(true);
    expect(net.sent.map((one) => one.frame)).toEqual([frame(MAC, 1514), frame(MAC, 60)]);
    expect(net.sent[0].offload).toBeUndefined();
  });

  it('gathers what was sent for one interrupt: when nothing else is to be done, after a while, or when it is much', () => {
    send(frame());
    expect(slot.messages).toEqual([]);
    expect(slot.clock.runIdle()).toBe(true);
    expect(slot.messages).toEqual([TRANSMITQ + 1]);
    expect(slot.clock.runIdle()).toBe(false);
    send(frame());
    slot.clock.advance(999_999);
    expect(slot.messages).toHaveLength(1);
    slot.clock.advance(1);
    expect(slot.messages).toHaveLength(2);
    for (let n = 0; n < device.queues[TRANSMITQ].size / 4; n++) send(frame());
    expect(slot.messages).toHaveLength(3);
    slot.clock.advance(1e9);
    expect(slot.messages).toHaveLength(3);
  });

  /** Put a frame into the queue without a notification. */
  const queue = (): void => {
    memory.bytes(TX, NET_HEADER).fill(0);
    memory.write(TX + NET_HEADER, frame());
    queues[TRANSMITQ].add([{ address: TX, length: NET_HEADER + frame().length }], []);
  };
  /** Whether the driver has to give notice of the next frame. */
  const wantsNotice = (): boolean => memory.read16(device.queues[TRANSMITQ].device) === 0;

  it('wants notice of each frame from a driver that sends now and then', () => {
    for (let n = 0; n < 10; n++) {
      send(frame());
      expect(wantsNotice()).toBe(true);
      slot.clock.advance(100_000);
    }
    expect(net.sent).toHaveLength(10);
  });

  it('looks by itself after a driver that sends and sends, in its order, until that sends little', () => {
    send(frame());
    slot.clock.advance(99_999);
    send(frame());
    expect(wantsNotice()).toBe(false);
    for (let n = 0; n < 3; n++) queue();
    expect(net.sent).toHaveLength(2);
    slot.clock.advance(199_999);
    expect(net.sent).toHaveLength(2);
    slot.clock.advance(1);
    expect(net.sent).toHaveLength(5);
    expect(wantsNotice()).toBe(false);
    queue();
    slot.clock.advance(200_000);
    expect(net.sent).toHaveLength(6);
    expect(wantsNotice()).toBe(true);
    // Nothing more is due.
    queue();
    slot.clock.advance(1e9);
    expect(net.sent).toHaveLength(6);
    slot.kick(TRANSMITQ);
    expect(net.sent).toHaveLength(7);
  });

  it('sends at once what waits when the CPU has nothing else to do', () => {
    send(frame());
    send(frame());
    queue();
    queue();
    expect(slot.clock.runIdle()).toBe(true);
    expect(net.sent).toHaveLength(4);
    expect(wantsNotice()).toBe(true);
  });

  it('forgets nothing that a driver put there without notice: not by EVENT_IDX, a backend without room, bus mastering that was off, nor a snapshot', () => {
    build(VIRTIO_F_EVENT_IDX | VIRTIO_NET_F_MAC);
    send(frame());
    send(frame());
    expect(queues[TRANSMITQ].availEvent).toBe(1);
    queue();
    slot.clock.advance(200_000);
    expect(net.sent).toHaveLength(3);
    expect(queues[TRANSMITQ].availEvent).toBe(3);

    send(frame());
    send(frame());
    queue();
    queue();
    net.canSend = false;
    slot.clock.advance(200_000);
    expect(net.sent).toHaveLength(5);
    net.canSend = true;
    net.receiver!.drained();
    expect(net.sent).toHaveLength(7);

    slot.clock.advance(1e9);
    send(frame());
    send(frame());
    queue();
    slot.fn.writeConfig(4, 2, 0);
    slot.clock.advance(1e9);
    expect(net.sent).toHaveLength(9);
    slot.fn.writeConfig(4, 2, 7);
    slot.fn.poll();
    expect(net.sent).toHaveLength(10);

    send(frame());
    send(frame());
    queue();
    const other = new VirtioNet({ mac: MAC, backend: net });
    const there = new TestSlot(other, memory);
    there.fn.load(slot.fn.save());
    there.clock.advance(200_000);
    expect(net.sent).toHaveLength(13);
  });

  it('gives the interrupt that a snapshot came before', () => {
    send(frame());
    const other = new VirtioNet({ mac: MAC, backend: net });
    const there = new TestSlot(other, memory);
    there.fn.load(slot.fn.save());
    expect(there.messages).toEqual([]);
    there.clock.advance(1e6);
    expect(there.messages).toEqual([TRANSMITQ + 1]);
  });

  it('hands unfinished frames to a backend that takes them', () => {
    send(tcp(3000), [1, 1, 54, 0, 0xe8, 3, 34, 0, 16, 0]);
    expect(net.sent).toEqual([{ frame: tcp(3000), offload: { csum: { start: 34, offset: 16 }, gso: { type: 'tcp4', size: 1000, ecn: false } } }]);
  });

  it('finishes them for one that does not', () => {
    build(F.csum | F.host_tso4, { accepts: NO_OFFLOADS });
    send(tcp(3000), [1, 1, 54, 0, 0xe8, 3, 34, 0, 16, 0]);
    send(tcp(100), [1, 0, 0, 0, 0, 0, 34, 0, 16, 0]);
    expect(net.sent.map((one) => one.frame.length)).toEqual([1054, 1054, 1054, 154]);
    expect(net.sent.every((one) => !one.offload && checksumRight(one.frame))).toBe(true);
  });

  it('drops what makes no sense, and goes on', () => {
    send(new Uint8Array(13));
    send(tcp(100), [1, 0, 0, 0, 0, 0, 34, 0, 200, 0]); // the checksum's place is outside
    send(tcp(100), [1, 0x20, 0, 0, 100, 0, 34, 0, 16, 0]); // no such type
    send(tcp(100), [0, 1, 0, 0, 100, 0, 34, 0, 16, 0]); // to be cut without a checksum
    send(new Uint8Array(70000), [], 2);
    expect(net.sent).toEqual([]);
    expect(device.port.counters.dropped).toBe(5);
    expect(send(frame())).toBe(true);
    expect(net.sent).toHaveLength(1);
  });

  it('breaks over a buffer without a whole header', () => {
    queues[TRANSMITQ].add([{ address: TX, length: NET_HEADER - 1 }], []);
    slot.kick(TRANSMITQ);
    expect(slot.status & STATUS_NEEDS_RESET).not.toBe(0);
    expect(net.give(frame())).toBe(false);
  });

  it('waits while the backend has no room', () => {
    net.canSend = false;
    expect(send(frame())).toBe(false);
    expect(net.sent).toEqual([]);
    net.drain();
    expect(net.sent).toHaveLength(1);
    expect(queues[TRANSMITQ].used()).toHaveLength(1);
  });

  it('receives into a buffer, and interrupts', () => {
    refill(2, 2048);
    expect(net.readies).toBeGreaterThan(0);
    expect(net.give(frame(MAC, 1514))).toBe(true);
    expect(queues[RECEIVEQ].used()).toEqual([{ head: 0, written: NET_HEADER + 1514 }]);
    expect([...memory.bytes(RX, NET_HEADER)]).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
    expect(memory.bytes(RX + NET_HEADER, 1514)).toEqual(frame(MAC, 1514));
    expect(slot.messages).toEqual([RECEIVEQ + 1]);
  });

  it('leaves the frame with the backend while there is no buffer, and only then wants to be told of new ones', () => {
    refill(1, 2048);
    expect(queues[RECEIVEQ].usedFlags).toBe(1);
    expect(net.give(frame())).toBe(true);
    // One that came without notification is found.
    refill(1, 2048, false);
    expect(net.give(frame())).toBe(true);
    expect(net.give(frame())).toBe(false);
    expect(queues[RECEIVEQ].usedFlags).toBe(0);
    const before = net.readies;
    refill(1, 2048);
    expect(net.readies).toBe(before + 1);
    expect(net.give(frame())).toBe(true);
  });

  it('loses a frame that the buffers are too small for, but no buffer', () => {
    refill(2, 100);
    expect(net.give(frame(MAC, 200))).toBe(true);
    expect(queues[RECEIVEQ].used()).toEqual([]);
    expect(net.give(frame(MAC, 88))).toBe(true);
    expect(queues[RECEIVEQ].used()).toEqual([{ head: 0, written: 100 }]);
  });

  it('receives nothing before DRIVER_OK, nor while it may not reach memory', () => {
    refill(1, 2048);
    slot.fn.writeConfig(4, 2, 3);
    expect(net.give(frame())).toBe(false);
    slot.fn.writeConfig(4, 2, 7);
    expect(net.give(frame())).toBe(true);
    slot.status = 0;
    expect(net.give(frame())).toBe(false);
  });

  it('spreads a frame over merged buffers, or leaves them all alone', () => {
    build(F.mrg_rxbuf | F.guest_csum | F.guest_tso4);
    refill(3, 1000);
    expect(net.give(frame(MAC, 3000))).toBe(false);
    expect(queues[RECEIVEQ].used()).toEqual([]);
    queues[RECEIVEQ].add([], [{ address: RX + 3000, length: 1000 }]);
    const offload = { csum: { start: 34, offset: 16 }, gso: { type: 'tcp4', size: 1448, ecn: false } } as const;
    expect(net.give(tcp(2946), offload)).toBe(true);
    const used = queues[RECEIVEQ].used();
    expect(used.map(({ written }) => written)).toEqual([1000, 1000, 1000, 12]);
    expect([...memory.bytes(RX, NET_HEADER)]).toEqual([1, 1, 54, 0, 0xa8, 5, 34, 0, 16, 0, 4, 0]);
    expect(memory.bytes(RX + NET_HEADER, 3000)).toEqual(tcp(2946));
  });

  it('says that a checksum was verified only to a driver that wants to know', () => {
    for (const [features, flags] of [[F.guest_csum, 2], [F.csum, 0]] as const) {
      build(features);
      refill(1, 2048);
      net.give(frame(), { verified: true });
      expect(memory.read8(RX)).toBe(flags);
    }
  });

  it('finishes a checksum that the driver does not want to make', () => {
    refill(1, 2048);
    expect(net.receiver!.accepts).toEqual(NO_OFFLOADS);
    net.give(tcp(100), { csum: { start: 34, offset: 16 } });
    expect(memory.read8(RX)).toBe(0);
    expect(checksumRight(memory.bytes(RX + NET_HEADER, 154))).toBe(true);
  });

  it('filters by address, group and VLAN as the driver asks', () => {
    refill(7, 2048);
    const multicast = [0x33, 0x33, 0, 0, 0, 1];
    const other = [0x52, 0x54, 0, 0xff, 0xff, 0xff];
    const broadcast = [255, 255, 255, 255, 255, 255];
    /** Whether it got through. */
    const passes = (bytes: Uint8Array): boolean => {
      net.give(bytes);
      const got = queues[RECEIVEQ].used().length > 0;
      if (got) refill(1, 2048, false);
      return got;
    };
    expect(passes(frame(other))).toBe(true);
    expect(command(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, [0])).toBe(0);
    expect([MAC, other, multicast, broadcast].map((to) => passes(frame(to)))).toEqual([true, false, false, true]);
    expect(command(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, [1, 0, 0, 0, ...other, 1, 0, 0, 0, ...multicast])).toBe(0);
    expect([other, multicast, [0x33, 0x33, 0, 0, 0, 2]].map((to) => passes(frame(to)))).toEqual([true, true, false]);
    command(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLMULTI, [1]);
    command(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_NOBCAST, [1]);
    expect([[0x33, 0x33, 0, 0, 0, 2], broadcast].map((to) => passes(frame(to)))).toEqual([true, false]);
    expect(passes(frame(MAC, 64, 0x123))).toBe(false);
    expect(command(VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, [0x23, 1])).toBe(0);
    expect(passes(frame(MAC, 64, 0x5123))).toBe(true);
    command(VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_DEL, [0x23, 1]);
    expect(passes(frame(MAC, 64, 0x123))).toBe(false);
    expect(command(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, [2, 0, 0, 0, 0, 9])).toBe(0);
    command(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, [0, 0, 0, 0, 0, 0, 0, 0]);
    expect([MAC, [2, 0, 0, 0, 0, 9]].map((to) => passes(frame(to)))).toEqual([false, true]);
    // More addresses than the table has room for: all pass.
    command(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, [65, 0, 0, 0, ...Array.from({ length: 65 * 6 }, () => 0), 0, 0, 0, 0]);
    expect(passes(frame(other))).toBe(true);
  });

  it('answers wrong commands with an error', () => {
    expect(command(VIRTIO_NET_CTRL_RX, 9, [1])).toBe(1);
    expect(command(VIRTIO_NET_CTRL_RX, 0, [1, 1])).toBe(1);
    expect(command(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, [255, 255, 255, 255, 1])).toBe(1);
    expect(command(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, [1])).toBe(1);
    expect(command(VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, [0, 16])).toBe(1);
    expect(command(VIRTIO_NET_CTRL_ANNOUNCE, 0, [])).toBe(1);
    expect(command(77, 0, [])).toBe(1);
  });

  it('switches the guest\'s offloads, within what was negotiated', () => {
    build(F.guest_csum | F.guest_tso4 | CTRL_ALL | F.ctrl_guest_offloads);
    expect(net.receiver!.accepts).toMatchObject({ csum: true, tso4: true, tso6: false });
    expect(command(VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, [2, 0, 0, 0, 0, 0, 0, 0])).toBe(0);
    expect(net.receiver!.accepts).toMatchObject({ csum: true, tso4: false });
    expect(command(VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, [2, 1, 0, 0, 0, 0, 0, 0])).toBe(1);
    // What still waits to be cut is lost.
    refill(1, 2048);
    expect(net.give(tcp(1000), { csum: { start: 34, offset: 16 }, gso: { type: 'tcp4', size: 500, ecn: false } })).toBe(true);
    expect(queues[RECEIVEQ].used()).toEqual([]);
  });

  it('tells of a link that goes down and up', () => {
    refill(2, 2048);
    const generation = slot.modern.read(0x15, 1);
    net.plug(false);
    expect([slot.modern.read(DEVICE + 6, 2), slot.modern.read(ISR, 1)]).toEqual([0, 2]);
    expect(slot.modern.read(0x15, 1)).not.toBe(generation);
    expect(net.give(frame())).toBe(true);
    expect(queues[RECEIVEQ].used()).toEqual([]);
    send(frame());
    expect(net.sent).toEqual([]);
    device.port.setLink(false);
    net.plug(true);
    expect(slot.modern.read(DEVICE + 6, 2)).toBe(0);
    device.port.setLink(true);
    expect(slot.modern.read(DEVICE + 6, 2)).toBe(1);
  });

  it('suppresses notifications by event index', () => {
    build(VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC);
    refill(4, 2048);
    const event = queues[RECEIVEQ].availEvent;
    for (let n = 0; n < 3; n++) net.give(frame());
    // Nobody is to notify while there are buffers.
    expect(queues[RECEIVEQ].availEvent).toBe(event);
    net.give(frame());
    expect(net.give(frame())).toBe(false);
    expect(queues[RECEIVEQ].availEvent).toBe(4);
    // used_event stands at 0: one interrupt for the first, none for those behind.
    expect(slot.messages).toEqual([RECEIVEQ + 1]);
  });

  it('keeps its state in a snapshot, and announces itself afterwards', () => {
    build(CTRL_ALL | F.status | F.guest_announce | F.mrg_rxbuf);
    command(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, [0]);
    command(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, [2, 0, 0, 0, 0, 9]);
    refill(2, 2048);
    const state = structuredClone(slot.fn.save());
    const again = new TestNet();
    const other = new TestSlot(new VirtioNet({ mac: MAC, backend: again }), memory);
    other.fn.load(state);
    again.give(frame());
    expect(queues[RECEIVEQ].used()).toEqual([]);
    expect(again.give(frame([2, 0, 0, 0, 0, 9]))).toBe(true);
    expect(queues[RECEIVEQ].used()).toHaveLength(1);
    other.clock.advance(1e9);
    expect(other.modern.read(DEVICE + 6, 2)).toBe(3);
    slot = other;
    expect(command(VIRTIO_NET_CTRL_ANNOUNCE, 0, [])).toBe(0);
    expect(other.modern.read(DEVICE + 6, 2)).toBe(1);
  });

  it('is as it was after a reset', () => {
    command(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, [2, 0, 0, 0, 0, 9]);
    slot.status = 0;
    expect(Array.from({ length: 6 }, (_, i) => slot.modern.read(DEVICE + i, 1))).toEqual([...MAC]);
  });
});

describe('virtio-net, legacy interface', () => {
  it('has a header of 10 bytes, and its address can be written', () => {
    memory = new TestMemory(1 << 20);
    net = new TestNet();
    slot = new TestSlot(new VirtioNet({ mac: MAC, backend: net, rxQueueSize: 256 }), memory);
    slot.legacy.write(LEGACY_DEVICE_STATUS, 1, 3);
    slot.legacy.write(LEGACY_DRIVER_FEATURES, 4, Number(F.csum));
    const drivers = [0, 1].map((index) => {
      slot.legacy.write(LEGACY_QUEUE_SELECT, 2, index);
      const desc = 0x10000 + 0x4000 * index;
      slot.legacy.write(LEGACY_QUEUE_ADDRESS, 4, desc / 4096);
      return new TestDriver(memory, { size: 256, desc, driver: desc + 4096, device: desc + 8192 });
    });
    slot.legacy.write(LEGACY_DEVICE_STATUS, 1, 7);
    slot.legacy.write(0x14, 1, 0xaa);
    expect(slot.legacy.read(0x14, 1)).toBe(0xaa);
    memory.write(TX, new Uint8Array(10));
    memory.write(TX + 10, frame(MAC, 100));
    drivers[1].add([{ address: TX, length: 110 }], []);
    slot.legacy.write(LEGACY_QUEUE_NOTIFY, 2, 1);
    expect(net.sent.map((one) => one.frame)).toEqual([frame(MAC, 100)]);
    drivers[0].add([], [{ address: RX, length: 10 }, { address: RX + 0x100, length: 1514 }]);
    net.give(frame(MAC, 99));
    expect(drivers[0].used()).toEqual([{ head: 0, written: 109 }]);
    expect(memory.bytes(RX + 0x100, 99)).toEqual(frame(MAC, 99));
  });
});
