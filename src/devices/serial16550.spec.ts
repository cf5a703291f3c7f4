import { beforeEach, describe, expect, it } from 'vitest';
import { VirtualClock } from '../machine/clock.ts';
import { Serial16550 } from './serial16550.ts';
import { TestLine } from './testing.ts';

let clock: VirtualClock;
let irq: TestLine;
let output: number[];
let input: number[];
let room: number;
let uart: Serial16550;
const [THR, IER, FCR, LCR, MCR, LSR, MSR, SCR] = [0, 1, 2, 3, 4, 5, 6, 7];
const write = (register: number, value: number) => uart.writePort(0x3f8 + register, 1, value);
const read = (register: number) => uart.readPort(0x3f8 + register, 1);
const feed = (...bytes: number[]) => {
  input.push(...bytes);
  uart.poll();
};

beforeEach(() => {
  clock = new VirtualClock(0);
  irq = new TestLine();
  output = [];
  input = [];
  room = Infinity;
  const backend = {
    write(byte: number) {
      if (output.length >= room) return false;
      output.push(byte);
      return true;
    },
    read: () => input.shift() ?? -1,
  };
  uart = new Serial16550('com1', clock, irq, backend);
});

describe('registers', () => {
  it('after reset: transmitter empty, modem lines up, no interrupt', () => {
    expect([IER, FCR, LCR, LSR, MSR].map(read)).toEqual([0, 0x01, 0, 0x60, 0xb0]);
  });

  it('scratch, and the divisor behind DLAB', () => {
    write(SCR, 0x5a);
    write(LCR, 0x83);
    write(THR, 0x34);
    write(IER, 0x12);
    expect([read(THR), read(IER)]).toEqual([0x34, 0x12]);
    write(LCR, 0x03);
    expect(read(IER)).toBe(0);
    expect(read(SCR)).toBe(0x5a);
    expect(output).toEqual([]);
  });

  it('FIFO enable shows in IIR; clearing it hides it', () => {
    write(FCR, 0x01);
    expect(read(FCR)).toBe(0xc1);
    write(FCR, 0x00);
    expect(read(FCR)).toBe(0x01);
  });
});

describe('transmitter', () => {
  it('interrupts when its interrupt is enabled, and when it has become empty', () => {
    write(IER, 0x02);
    expect(irq.level).toBe(true);
    expect(read(FCR)).toBe(0x02);
    expect(irq.level).toBe(false);
    expect(read(FCR)).toBe(0x01);
    write(THR, 65);
    expect(irq.level).toBe(true);
    expect(output).toEqual([65]);
  });

  it('waits for a backend that is full, losing nothing', () => {
    write(LCR, 0x83);
    write(THR, 1);
    write(IER, 0);
    write(LCR, 0x03);
    write(FCR, 0x01);
    room = 1;
    for (const byte of [1, 2, 3]) write(THR, byte);
    expect(output).toEqual([1]);
    expect(read(LSR) & 0x60).toBe(0);
    room = Infinity;
    clock.advance(100_000);
    expect(output).toEqual([1, 2, 3]);
    expect(read(LSR) & 0x60).toBe(0x60);
  });
});

describe('receiver', () => {
  it('without FIFO takes one byte at a time', () => {
    write(IER, 0x01);
    feed(1, 2, 3);
    expect(input).toEqual([2, 3]);
    expect(irq.level).toBe(true);
    expect(read(FCR)).toBe(0x04);
    expect([read(THR), read(THR), read(THR)]).toEqual([1, 2, 3]);
    expect(irq.level).toBe(false);
    expect(read(LSR) & 1).toBe(0);
  });

  it('with FIFO interrupts at the trigger level', () => {
    write(FCR, 0x81);
    write(IER, 0x01);
    feed(1, 2, 3, 4, 5, 6, 7);
    expect(irq.level).toBe(false);
    feed(8);
    expect(read(FCR)).toBe(0xc4);
    read(THR);
    expect(irq.level).toBe(false);
  });

  it('takes 16 bytes and leaves the rest with the backend', () => {
    write(FCR, 0xc1);
    feed(...Array.from({ length: 40 }, (_, i) => i));
    expect(input.length).toBe(24);
    const got: number[] = [];
    while (read(LSR) & 1) got.push(read(THR));
    expect(got).toEqual(Array.from({ length: 40 }, (_, i) => i));
  });

  it('reports a FIFO below its level after four character times', () => {
    write(LCR, 0x83);
    write(THR, 1);
    write(IER, 0);
    write(LCR, 0x03); // 115200 8N1: 10 bits, 86.8 us a character
    write(FCR, 0xc1);
    write(IER, 0x01);
    feed(9, 10);
    clock.advance(347_000);
    expect(irq.level).toBe(false);
    clock.advance(1_000);
    expect(read(FCR)).toBe(0xcc);
    read(THR);
    expect(read(FCR)).toBe(0xc1);
    clock.advance(350_000);
    expect(read(FCR)).toBe(0xcc);
    read(THR);
    clock.advance(1e9);
    expect(irq.level).toBe(false);
  });

  it('reports a break as line status', () => {
    write(IER, 0x04);
    uart.receiveBreak();
    expect(read(FCR)).toBe(0x06);
    expect(read(LSR) & 0x11).toBe(0x11);
    expect(irq.level).toBe(false);
    expect(read(THR)).toBe(0);
  });

  it('receiver reset empties the FIFO', () => {
    write(FCR, 0x01);
    feed(1, 2, 3);
    write(FCR, 0x03);
    expect(read(LSR) & 1).toBe(0);
  });
});

describe('loopback', () => {
  it('turns data and modem lines round', () => {
    write(MCR, 0x1a);
    expect(read(MSR) & 0xf0).toBe(0x90);
    write(MCR, 0x1f);
    expect(read(MSR) & 0xf0).toBe(0xf0);
    write(LCR, 0x03);
    write(THR, 0x5a);
    expect(read(THR)).toBe(0x5a);
    expect(output).toEqual([]);
    feed(7);
    expect(input).toEqual([7]);
    write(MCR, 0x0b);
    expect(read(THR)).toBe(7);
  });

  it('shows changes of the lines once, with an interrupt', () => {
    write(MCR, 0x10);
    read(MSR);
    write(IER, 0x08);
    write(MCR, 0x12);
    expect(read(FCR)).toBe(0x00);
    expect(read(MSR)).toBe(0x11);
    expect(read(MSR)).toBe(0x10);
    expect(irq.level).toBe(false);
    write(MCR, 0x14);
    read(MSR);
    write(MCR, 0x10); // trailing edge of RI
    expect(read(MSR)).toBe(0x04);
  });

  it('overruns a full FIFO', () => {
    write(FCR, 0x01);
    write(LCR, 0x03);
    write(MCR, 0x10);
    for (let i = 0; i < 17; i++) write(THR, i);
    expect(read(LSR) & 0x02).toBe(0x02);
    expect(read(LSR) & 0x02).toBe(0);
    expect(Array.from({ length: 16 }, () => read(THR))).toEqual(Array.from({ length: 16 }, (_, i) => i));
  });
});

it('goes on from a saved state', () => {
  write(FCR, 0xc1);
  write(IER, 0x01);
  feed(1, 2);
  const other = new Serial16550('com1b', clock, irq, { write: () => true, read: () => -1 });
  other.load(structuredClone(uart.save()));
  expect(other.save()).toEqual(uart.save());
  expect(other.readPort(0x3f8, 1)).toBe(1);
});
