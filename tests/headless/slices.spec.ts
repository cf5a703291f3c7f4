// How the machine cuts the guest's running into slices (src/machine/machine.ts): each slice leaves all compiled code, so there are no more of
// them than timers ask for. The host's time is the guest's instructions here, so that nothing depends on this computer.

import { beforeAll, describe, expect, it } from 'vitest';
import { buildIfOlder } from '../../scripts/build-core.mjs';
import type { Timer } from '../../src/devices/interfaces.ts';
import type { VcpuModules } from '../../src/engine/vcpu.ts';
import { Machine } from '../../src/machine/machine.ts';
import { parse } from '../../src/machine/options/index.ts';
import { ringDoorbell } from '../../src/machine/protocol.ts';
import { loadModules } from '../oracle/emulator.ts';

let modules: VcpuModules;
beforeAll(async () => {
  await buildIfOlder();
  modules = loadModules();
}, 120_000);

const US = 1e3;

/** A machine whose firmware is these instructions, at the reset vector; `speed` is in instructions a nanosecond. */
function machineOf(code: readonly number[], more = '', poll?: () => void) {
  const image = new Uint8Array(65536);
  image.set(code, image.length - 16);
  const config = parse('-m 16 -accel interpreter -nic none -display none -vga none -serial null -bios loop ' + more);
  const host = { speed: 0.2, ns: 0, counted: 0 };
  let machine: Machine | undefined;
  const hostNow = (): number => {
    const count = machine?.vcpu?.currentIcount ?? 0;
    host.ns += (count - host.counted) / host.speed;
    host.counted = count;
    return host.ns;
  };
  machine = new Machine({ config, modules, files: new Map([['loop', image]]), hostNow, ...(poll ? { poll } : {}), date: { epochMs: 0, offsetMs: 0 }, log: null });
  machine.resume();
  const slicesUntil = (ns: number): number => {
    let slices = 0;
    for (; machine.clock.now() < ns; slices++) expect(machine.runSlice().kind).toBe('run');
    return slices;
  };
  return { machine, host, slicesUntil };
}

/** JMP to itself. */
const LOOP = [0xeb, 0xfe];
/** OUT 80h, AL; JMP back to it: each round comes to a device, as it were. */
const DEVICE_LOOP = [0xe6, 0x80, 0xeb, 0xfc];

describe('slices', () => {
  it('are one or two for each timer, also after the host was slow for a moment', () => {
    const { machine, host, slicesUntil } = machineOf(LOOP);
    const { clock } = machine;
    let ticks = 0;
    const late: number[] = [];
    const timer = clock.timer('every 200 us', (now) => {
      late.push(now - due);
      ticks++;
      timer.arm((due = now + 200 * US));
    });
    let due = clock.now() + 200 * US;
    timer.arm(due);
    slicesUntil(20_000 * US);
    // As if the host had something else to do: the guest's speed is a fiftieth.
    host.speed = 0.004;
    slicesUntil(21_000 * US);
    host.speed = 0.2;
    slicesUntil(60_000 * US);
    ticks = 0;
    late.length = 0;
    const slices = slicesUntil(100_000 * US);
    expect(ticks).toBeGreaterThan(150);
    expect(slices / ticks).toBeLessThanOrEqual(2);
    // And what they wait for comes soon.
    expect(Math.max(...late)).toBeLessThan(50 * US);
  });

  it('are not cut short by timers and interrupts of the time between them', () => {
    const { machine, slicesUntil } = machineOf(DEVICE_LOOP);
    slicesUntil(50_000 * US);
    const timer = machine.clock.timer('between', () => {});
    const lengths = Array.from({ length: 20 }, () => {
      const before = machine.vcpu.icount;
      timer.arm(machine.clock.now() + 300 * US);
      // An interrupt that the guest does not take, as its RFLAGS.IF is clear.
      machine.vcpu.setInterruptPending(true);
      machine.runSlice();
      machine.vcpu.setInterruptPending(false);
      return machine.vcpu.icount - before;
    });
    // 300 us are 60,000 instructions here.
    for (const length of lengths) expect(length).toBeGreaterThan(50_000);
  });

  it('end at once for a timer that is armed within and due before their end', () => {
    const { machine, slicesUntil } = machineOf(DEVICE_LOOP);
    slicesUntil(50_000 * US);
    let armedAt = 0;
    let ranAt = 0;
    const timer = machine.clock.timer('within', (now) => void (ranAt = now));
    const write = machine.pc.ioWrite.bind(machine.pc);
    machine.pc.ioWrite = (port, size, value) => {
      if (armedAt === 0) {
        armedAt = machine.clock.now();
        timer.arm(armedAt + 100 * US);
      }
      write(port, size, value);
    };
    slicesUntil(machine.clock.now() + 5_000 * US);
    expect(ranAt - armedAt).toBeGreaterThanOrEqual(100 * US);
    expect(ranAt - armedAt).toBeLessThan(150 * US);
  });

  /** A machine that comes to a device all the time; `accessed` is called then, and `polled` before each slice. */
  const ringing = (more: string, accessed: (now: number, ring: () => void) => void, polled: (now: number) => void) => {
    const made = machineOf(DEVICE_LOOP, more, () => polled(made.machine.clock.now()));
    const { machine } = made;
    const write = machine.pc.ioWrite.bind(machine.pc);
    machine.pc.ioWrite = (port, size, value) => {
      accessed(machine.clock.now(), () => ringDoorbell(machine.memory.buffer));
      write(port, size, value);
    };
    return made;
  };

  it('end soon when the doorbell rings, where it has rung of late', () => {
    // When it rings, and when that was answered.
    let [next, from, answered] = [Infinity, 0, 0];
    const { machine, slicesUntil } = ringing('', (now, ring) => {
      if (now < next) return;
      [next, from] = [Infinity, now];
      ring();
    }, (now) => {
      if (from > 0) answered ||= now - from;
    });
    /** How long it waits in the midst of a slice, which would have milliseconds left. */
    const waits = (): number => {
      [from, answered, next] = [0, 0, machine.clock.now() + 700 * US];
      for (let slices = 0; answered === 0; slices++) {
        expect(slices).toBeLessThan(100);
        machine.runSlice();
      }
      return answered;
    };
    slicesUntil(10_000 * US);
    expect(waits()).toBeGreaterThan(2_000 * US);
    for (let n = 0; n < 3; n++) expect(waits()).toBeLessThan(200 * US);
    // And the next one is a whole one.
    const before = machine.vcpu.icount;
    machine.runSlice();
    expect(machine.vcpu.icount - before).toBeGreaterThanOrEqual(600_000);
  });

  it('are whole where a tick of 250 Hz is armed in their midst', () => {
    let timer: Timer | undefined;
    const { machine, slicesUntil } = ringing('', (now) => timer?.arm(now + 3_900 * US), () => {});
    slicesUntil(10_000 * US);
    timer = machine.clock.timer('tick', () => {});
    const before = machine.vcpu.icount;
    machine.runSlice();
    expect(machine.vcpu.icount - before).toBeGreaterThanOrEqual(500_000);
  });

  it('are not cut to nothing by a doorbell that rings and rings', () => {
    let [waiting, longest] = [Infinity, 0];
    const { slicesUntil } = ringing('', (now, ring) => {
      waiting = Math.min(waiting, now);
      ring();
    }, (now) => {
      if (waiting !== Infinity) longest = Math.max(longest, now - waiting);
      waiting = Infinity;
    });
    slicesUntil(10_000 * US);
    longest = 0;
    const slices = slicesUntil(20_000 * US);
    expect(slices).toBeGreaterThan(60);
    expect(slices).toBeLessThanOrEqual(10_000 / 100 + 2);
    expect(longest).toBeLessThan(150 * US);
  });

  it('end where they must in virtual time, whatever comes from outside', () => {
    const lengths = (rings: boolean): number[] => {
      const { machine } = ringing('-icount shift=0', (_now, ring) => rings && ring(), () => {});
      return Array.from({ length: 3 }, () => {
        const before = machine.vcpu.icount;
        machine.runSlice();
        return machine.vcpu.icount - before;
      });
    };
    expect(lengths(true)).toEqual(lengths(false));
  });
});
