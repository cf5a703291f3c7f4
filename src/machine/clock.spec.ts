import { describe, expect, it } from 'vitest';
import { RealClock, VirtualClock } from './clock.ts';

describe('timers', () => {
  it('run in order of deadline, and of arming where deadlines are equal', () => {
    const clock = new VirtualClock(0);
    const log: string[] = [];
    const timers = ['a', 'b', 'c', 'd', 'e'].map((name) => clock.timer(name, (now) => log.push(`${name}@${now}`)));
    timers[0].arm(30);
    timers[1].arm(10);
    timers[2].arm(20);
    timers[3].arm(10);
    timers[4].arm(40);
    timers[4].disarm();
    timers[2].arm(5);
    expect(clock.nextDeadline()).toBe(5);
    clock.advance(100);
    expect(log).toEqual(['c@5', 'b@10', 'd@10', 'a@30']);
    expect(clock.nextDeadline()).toBe(Infinity);
    expect(clock.now()).toBe(100);
  });

  it('keep their order under many random changes', () => {
    const clock = new VirtualClock(0);
    let seed = 1;
    const random = (n: number) => (seed = (seed * 48271) % 0x7fffffff) % n;
    const log: number[] = [];
    const timers = Array.from({ length: 40 }, (_, i) => clock.timer(`t${i}`, (now) => log.push(now)));
    for (let i = 0; i < 5000; i++) {
      const timer = timers[random(40)];
      if (random(4) === 0) timer.disarm();
      else timer.arm(clock.now() + random(1000));
      if (random(3) === 0) clock.advance(random(50));
      expect(clock.nextDeadline()).toBe(Math.min(...timers.map((t) => t.deadline)));
    }
    expect(log).toEqual([...log].sort((a, b) => a - b));
  });

  it('tell when the earliest deadline moves forward', () => {
    const clock = new VirtualClock(0);
    const told: number[] = [];
    clock.onEarlier = (deadline) => told.push(deadline);
    const a = clock.timer('a', () => {});
    const b = clock.timer('b', () => {});
    a.arm(100);
    b.arm(200);
    b.arm(50);
    expect(told).toEqual([100, 50]);
  });
});

describe('RealClock', () => {
  it('stands still while paused and never goes back', () => {
    let host = 1_000_000;
    const clock = new RealClock(() => host);
    expect(clock.now()).toBe(0);
    clock.resume();
    host += 500;
    expect(clock.now()).toBe(500);
    host -= 100;
    expect(clock.now()).toBe(500);
    host += 300;
    clock.pause();
    host += 10_000;
    expect(clock.now()).toBe(700);
    clock.resume();
    host += 1;
    expect(clock.now()).toBe(701);
  });

  it('runExpired() ends though a timer asks for every nanosecond', () => {
    let host = 0;
    const clock = new RealClock(() => (host += 10));
    clock.resume();
    let calls = 0;
    const timer = clock.timer('every ns', () => {
      calls++;
      timer.arm(clock.now() + 1);
    });
    timer.arm(1);
    clock.runExpired();
    expect(calls).toBe(1);
    clock.runExpired();
    expect(calls).toBe(2);
  });

  it('goes on from a saved time', () => {
    let host = 5;
    const clock = new RealClock(() => host);
    clock.load({ now: 1234 });
    expect(clock.now()).toBe(1234);
    clock.resume();
    host += 6;
    expect(clock.save()).toEqual({ now: 1240 });
  });
});

describe('VirtualClock', () => {
  it('counts instructions, shifted, and idle time', () => {
    let icount = 0;
    const clock = new VirtualClock(3, () => icount);
    icount = 100;
    expect(clock.now()).toBe(800);
    expect(clock.instructionsUntil(817)).toBe(3);
    clock.skipTo(1000);
    expect(clock.now()).toBe(1000);
    clock.skipTo(900);
    expect(clock.now()).toBe(1000);
    icount = 101;
    expect(clock.now()).toBe(1008);
  });

  it('runs a timer early that waits only for more of the same, when the CPU has nothing to do', () => {
    const clock = new VirtualClock(0);
    const ran: string[] = [];
    const late = clock.timer('late', (now) => ran.push(`late ${now}`), true);
    const first = clock.timer('first', (now) => {
      ran.push(`first ${now}`);
      late.disarm();
    }, true);
    const plain = clock.timer('plain', () => ran.push('plain'));
    late.arm(200);
    first.arm(100);
    plain.arm(50);
    clock.skipTo(10);
    expect(clock.runIdle()).toBe(true);
    expect(ran).toEqual(['first 10']);
    expect(clock.runIdle()).toBe(false);
    late.arm(300);
    clock.advance(290);
    expect(ran).toEqual(['first 10', 'plain', 'late 300']);
    expect(clock.runIdle()).toBe(false);
  });

  it('takes an instruction counter later without a jump in time', () => {
    const clock = new VirtualClock(1);
    clock.skipTo(50);
    let icount = 7n;
    clock.setInstructionCounter(() => icount);
    expect(clock.now()).toBe(50);
    icount = 9n;
    expect(clock.now()).toBe(54);
  });
});
