import { beforeEach, describe, expect, it } from 'vitest';
import { Mem } from '../core/layout.ts';
import { VirtualClock } from '../machine/clock.ts';
import { MemoryMap } from '../machine/memory-map.ts';
import { KVM_CLOCK_FEATURES, KVM_CLOCK_MSRS, KvmClock, pvclockScale } from './kvm-clock.ts';
import { TestCpu } from './testing.ts';

const RAM = 2 << 20;
const memory = new WebAssembly.Memory({ initial: (Mem.RAM + RAM) / 65536, maximum: 65536, shared: true });
let clock: VirtualClock;
let ram: MemoryMap;
let kvm: KvmClock;

beforeEach(() => {
  clock = new VirtualClock(0);
  ram = new MemoryMap(memory, RAM, { memoryMapChanged() {}, invalidateCode() {} });
  ram.bytes(0, 0xa0000).fill(0);
  const cpus = [0, 1].map(() => new TestCpu(() => BigInt(clock.now()) * 3n));
  kvm = new KvmClock(clock, ram, cpus, 3e9, 1_700_000_000_250);
});

describe('scale', () => {
  it('is exact to a nanosecond in a second, at any frequency', () => {
    for (const frequency of [1e6, 33.3e6, 999_999_999, 1e9, 1.0000001e9, 2e9, 2.7e9, 3e9, 5.5e9]) {
      const { mul, shift } = pvclockScale(frequency);
      expect(mul).toBeGreaterThanOrEqual(2 ** 31 - 1);
      expect(mul).toBeLessThan(2 ** 32);
      let tsc = BigInt(Math.round(frequency));
      tsc = shift < 0 ? tsc >> BigInt(-shift) : tsc << BigInt(shift);
      expect(Math.abs(Number((tsc * BigInt(mul)) >> 32n) - 1e9)).toBeLessThanOrEqual(2);
    }
  });
});

describe('system time', () => {
  it('is written when enabled, for each CPU on its own', () => {
    clock.advance(1000);
    expect(kvm.writeMsr(1, 0x4b564d01, 0x1001n)).toBe(true);
    expect(kvm.readMsr(1, 0x12)).toBe(0x1001n);
    expect(kvm.readMsr(0, 0x12)).toBe(0n);
    expect(ram.read64(0x1008)).toBe(3000n);
    expect(ram.read64(0x1010)).toBe(1000n);
    expect(ram.read8(0x101d)).toBe(1);
    expect(ram.read32(0x1000) & 1).toBe(0);
    const version = ram.read32(0x1000);
    clock.advance(1000);
    kvm.refresh();
    expect(ram.read32(0x1000)).toBe(version + 2);
    expect(ram.read64(0x1008)).toBe(6000n);
  });

  it('is not written when disabled', () => {
    kvm.writeMsr(0, 0x12, 0x1000n);
    expect(ram.read64(0x1010)).toBe(0n);
    expect(ram.read32(0x1018)).toBe(0);
  });

  it('an address outside RAM harms nobody', () => {
    for (const address of [BigInt(RAM - 16), 0xa0000n, 0xfffffffffffff000n, 0x9fff0n]) {
      expect(kvm.writeMsr(0, 0x4b564d01, address | 1n)).toBe(true);
    }
  });
});

describe('wall clock', () => {
  it('is the date at time 0', () => {
    clock.advance(5e9);
    kvm.writeMsr(0, 0x4b564d00, 0x2000n);
    expect([ram.read32(0x2004), ram.read32(0x2008)]).toEqual([1_700_000_000, 250_000_000]);
    expect(ram.read32(0x2000) & 1).toBe(0);
    kvm.writeMsr(0, 0x11, 0xffffffff0n);
  });
});

it('knows its MSRs and features', () => {
  expect(KVM_CLOCK_FEATURES).toBe(0x01000009);
  for (const msr of KVM_CLOCK_MSRS) expect(kvm.readMsr(0, msr)).toBe(0n);
  expect(kvm.readMsr(0, 0x4b564d02)).toBeUndefined();
  expect(kvm.writeMsr(0, 0x10, 0n)).toBe(false);
});

it('writes anew after load()', () => {
  kvm.writeMsr(0, 0x4b564d01, 0x1001n);
  const saved = structuredClone(kvm.save());
  clock.advance(500);
  kvm.load(saved);
  expect(ram.read64(0x1010)).toBe(500n);
});
