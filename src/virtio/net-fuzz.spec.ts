// A driver that keeps to no rule against virtio-net: descriptors, rings, headers, registers and frames at random.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { FrameOffload } from '../devices/interfaces.ts';
import { ALL_OFFLOADS, NO_OFFLOADS } from '../devices/net/offload.ts';
import { TEST_MAC, testFrame, TestNet, testTcp } from '../devices/net/testing.ts';
import { VIRTIO_F_EVENT_IDX, VIRTIO_F_INDIRECT_DESC } from './device.ts';
import { NET_FEATURES, RECEIVEQ, TRANSMITQ, VirtioNet } from './net.ts';
import { fuzzRuns, fuzzSeeded, hostile, hostileSteps, TestMemory, TestSlot } from './testing.ts';

/** Headers of frames that a device would believe, and commands. */
const payload = fc.oneof(
  fc.tuple(fc.nat(3), fc.constantFrom(0, 1, 3, 4, 0x81, 9), fc.nat(80), fc.constantFrom(0, 1, 48, 500, 1448, 65535), fc.constantFrom(0, 34, 54, 65535), fc.constantFrom(0, 6, 16, 65535))
    .map(([flags, type, header, size, start, offset]) => {
      const bytes = new Uint8Array(12 + 3054);
      const view = new DataView(bytes.buffer);
      [flags, type].forEach((value, at) => view.setUint8(at, value));
      [header, size, start, offset, 0].forEach((value, n) => view.setUint16(2 + 2 * n, value, true));
      bytes.set(testTcp(3000), 12);
      return bytes;
    }),
  fc.tuple(fc.nat(6), fc.nat(6), fc.uint8Array({ maxLength: 40 })).map(([group, command, data]) => Uint8Array.of(group, command, ...data)),
  fc.uint8Array({ maxLength: 64 }),
);
const frame = fc.record({
  kind: fc.constant('frame' as const), length: fc.constantFrom(0, 13, 14, 60, 1514, 9014, 65553, 70000),
  offload: fc.option(fc.record({
    csum: fc.record({ start: fc.nat(70), offset: fc.nat(20) }),
    gso: fc.record({ type: fc.constantFrom('tcp4' as const, 'tcp6' as const, 'udp' as const), size: fc.nat(2000), ecn: fc.boolean() }),
    verified: fc.boolean(),
  }), { nil: undefined }),
});
const link = fc.record({ kind: fc.constant('link' as const), up: fc.boolean(), room: fc.boolean() });

it('no driver, however odd, harms the machine', { timeout: fuzzRuns(3000) * 60 + 60_000 }, () => fuzzSeeded((seed) => {
  const memory = new TestMemory(1 << 18);
  const nets = [NO_OFFLOADS, ALL_OFFLOADS].map((accepts) => new TestNet(accepts));
  const slots = nets.map((backend) => new TestSlot(new VirtioNet({ mac: TEST_MAC, backend }), memory));
  const features = fc.tuple(fc.bigInt({ min: 0n, max: (1n << 24n) - 1n }), fc.boolean(), fc.boolean())
    .map(([bits, indirect, eventIdx]) => (bits & Object.values(NET_FEATURES).reduce((all, bit) => all | bit, 0n)) | (indirect ? VIRTIO_F_INDIRECT_DESC : 0n) | (eventIdx ? VIRTIO_F_EVENT_IDX : 0n));
  const steps = fc.array(fc.oneof({ weight: 10, arbitrary: hostileSteps(3, payload) }, { weight: 2, arbitrary: frame }, link), { minLength: 5, maxLength: 40 });
  let cases = 0;
  fc.assert(fc.property(fc.nat(1), features, steps, (which, taken, list) => {
    cases++;
    const slot = slots[which];
    const net = nets[which];
    net.sent.length = 0;
    const drivers = slot.start(taken, 3);
    for (const step of list) {
      if (step.kind === 'frame') net.give(new Uint8Array(step.length), step.offload as FrameOffload | undefined);
      else if (step.kind === 'link') {
        net.canSend = step.room;
        net.plug(step.up);
        if (step.room) net.drain();
      } else hostile(slot, drivers, step);
    }
    slot.clock.advance(5);
    if (cases % 50) return;
    // The machine is still usable.
    memory.all.fill(0);
    net.canSend = true;
    net.plug(true);
    net.sent.length = 0;
    const [receive, transmit] = slot.start(0n, 3);
    memory.write(0x8000 + 12, testFrame());
    transmit.add([{ address: 0x8000, length: 72 }], []);
    slot.kick(TRANSMITQ);
    expect(net.sent.map((one) => one.frame)).toEqual([testFrame()]);
    receive.add([], [{ address: 0x9000, length: 2048 }]);
    slot.kick(RECEIVEQ);
    expect(net.give(testFrame(100))).toBe(true);
    expect(receive.used()).toEqual([{ head: 0, written: 112 }]);
  }), { numRuns: fuzzRuns(3000), seed });
}));
