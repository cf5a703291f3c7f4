// KVM's paravirtual clock: guest and host agree on a scale from time-stamp counter to nanoseconds, so the guest needs no calibration.
// Linux, Documentation/virt/kvm/x86/msr.rst and cpuid.rst; struct pvclock_vcpu_time_info in arch/x86/include/asm/pvclock-abi.h.

import type { Clock, CpuPort, GuestMemory, Snapshotable } from './interfaces.ts';
import { GuestMemoryError } from './interfaces.ts';

export const MSR_KVM_WALL_CLOCK = 0x11;
export const MSR_KVM_SYSTEM_TIME = 0x12;
export const MSR_KVM_WALL_CLOCK_NEW = 0x4b564d00;
export const MSR_KVM_SYSTEM_TIME_NEW = 0x4b564d01;

/** Bits of CPUID leaf 40000001h EAX that say what is here. */
export const KVM_FEATURE_CLOCKSOURCE = 1 << 0;
export const KVM_FEATURE_CLOCKSOURCE2 = 1 << 3;
export const KVM_FEATURE_CLOCKSOURCE_STABLE_BIT = 1 << 24;
export const KVM_CLOCK_FEATURES = KVM_FEATURE_CLOCKSOURCE | KVM_FEATURE_CLOCKSOURCE2 | KVM_FEATURE_CLOCKSOURCE_STABLE_BIT;
export const KVM_CLOCK_MSRS = [MSR_KVM_WALL_CLOCK, MSR_KVM_SYSTEM_TIME, MSR_KVM_WALL_CLOCK_NEW, MSR_KVM_SYSTEM_TIME_NEW] as const;

const SYSTEM_TIME_ENABLE = 1n;

// struct pvclock_vcpu_time_info
const VERSION = 0;
const TSC_TIMESTAMP = 8;
const SYSTEM_TIME = 16;
const TSC_TO_SYSTEM_MUL = 24;
const TSC_SHIFT = 28;
const FLAGS = 29;
const PVCLOCK_TSC_STABLE_BIT = 1;

// struct pvclock_wall_clock
const WALL_SEC = 4;
const WALL_NSEC = 8;

/**
 * Scale from TSC to ns: ns = ((tsc << shift) * mul) >> 32, with a negative shift going right.
 * mul is kept in the upper half of its range, for precision.
 */
export function pvclockScale(tscFrequency: number): { mul: number; shift: number } {
  let shift = 0;
  let scaled = tscFrequency;
  while (scaled > 2e9) {
    scaled /= 2;
    shift--;
  }
  while (scaled <= 1e9) {
    scaled *= 2;
    shift++;
  }
  return { mul: Math.floor((1e9 / scaled) * 2 ** 32), shift };
}

interface State {
  /** System time MSR of each CPU. */
  systemTime: bigint[];
  wallClock: bigint;
  versions: number[];
  wallVersion: number;
}

export class KvmClock implements Snapshotable {
  private s: State;
  private readonly scale: { mul: number; shift: number };

  /**
   * @param wallClockMs date at which the clock stood at 0, milliseconds since 1970 UTC
   */
  constructor(
    private readonly clock: Clock,
    private readonly memory: GuestMemory,
    private readonly cpus: readonly CpuPort[],
    tscFrequency: number,
    private readonly wallClockMs: number,
  ) {
    this.s = this.powerOn();
    this.scale = pvclockScale(tscFrequency);
  }

  private powerOn(): State {
    return { systemTime: this.cpus.map(() => 0n), wallClock: 0n, versions: this.cpus.map(() => 0), wallVersion: 0 };
  }

  /** Value of a clock MSR; undefined if it is not one. */
  readMsr(cpu: number, index: number): bigint | undefined {
    switch (index) {
      case MSR_KVM_SYSTEM_TIME:
      case MSR_KVM_SYSTEM_TIME_NEW:
        return this.s.systemTime[cpu];
      case MSR_KVM_WALL_CLOCK:
      case MSR_KVM_WALL_CLOCK_NEW:
        return this.s.wallClock;
    }
    return undefined;
  }

  /** False if it is not a clock MSR. An address outside RAM is kept but nothing is written there, as in KVM. */
  writeMsr(cpu: number, index: number, value: bigint): boolean {
    switch (index) {
      case MSR_KVM_SYSTEM_TIME:
      case MSR_KVM_SYSTEM_TIME_NEW:
        this.s.systemTime[cpu] = value;
        this.writeTimeInfo(cpu);
        return true;
      case MSR_KVM_WALL_CLOCK:
      case MSR_KVM_WALL_CLOCK_NEW:
        this.s.wallClock = value;
        this.writeWallClock();
        return true;
    }
    return false;
  }

  private guarded(write: () => void): void {
    try {
      write();
    } catch (error) {
      if (!(error instanceof GuestMemoryError)) throw error;
    }
  }

  private writeTimeInfo(cpu: number): void {
    const msr = this.s.systemTime[cpu];
    if (!(msr & SYSTEM_TIME_ENABLE)) return;
    const address = Number(msr & ~SYSTEM_TIME_ENABLE);
    this.guarded(() => {
      this.memory.bytes(address, 32);
      // An odd version tells the reader that the rest is being written.
      const version = ((this.s.versions[cpu] + 2) & ~1) >>> 0;
      this.s.versions[cpu] = version;
      this.memory.write32(address + VERSION, (version - 1) >>> 0);
      this.memory.write64(address + TSC_TIMESTAMP, this.cpus[cpu].tsc());
      this.memory.write64(address + SYSTEM_TIME, BigInt(this.clock.now()));
      this.memory.write32(address + TSC_TO_SYSTEM_MUL, this.scale.mul);
      this.memory.write8(address + TSC_SHIFT, this.scale.shift & 0xff);
      this.memory.write8(address + FLAGS, PVCLOCK_TSC_STABLE_BIT);
      this.memory.write32(address + VERSION, version);
    });
  }

  private writeWallClock(): void {
    const address = Number(this.s.wallClock);
    if (address === 0) return;
    this.guarded(() => {
      this.memory.bytes(address, 12);
      const version = ((this.s.wallVersion + 2) & ~1) >>> 0;
      this.s.wallVersion = version;
      this.memory.write32(address, (version - 1) >>> 0);
      this.memory.write32(address + WALL_SEC, Math.floor(this.wallClockMs / 1000) >>> 0);
      this.memory.write32(address + WALL_NSEC, Math.floor((this.wallClockMs % 1000) * 1e6));
      this.memory.write32(address, version);
    });
  }

  /** Write the time information anew: the relation of clock and TSC may have changed. */
  refresh(): void {
    for (let cpu = 0; cpu < this.cpus.length; cpu++) this.writeTimeInfo(cpu);
  }

  reset(): void {
    this.s = this.powerOn();
  }

  save(): State {
    return structuredClone(this.s);
  }

  load(state: unknown): void {
    this.s = structuredClone(state as State);
    this.refresh();
  }
}
