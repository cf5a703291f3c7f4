import { beforeEach, describe, expect, it } from 'vitest';
import { I8259 } from './i8259.ts';

let pic: I8259;
let levels: boolean[];
const out = (port: number, value: number) => pic.writePort(port, 1, value);
const inb = (port: number) => pic.readPort(port, 1);

function initialise(icw4 = 0x01): void {
  for (const [port, base] of [[0x20, 0x20], [0xa0, 0x28]]) {
    out(port, 0x11);
    out(port + 1, base);
    out(port + 1, port === 0x20 ? 0x04 : 0x02);
    out(port + 1, icw4);
  }
}

beforeEach(() => {
  levels = [];
  pic = new I8259({ set: (level) => levels.push(level) });
  initialise();
});

describe('8259A pair', () => {
  it('delivers by priority and holds back lower levels until EOI', () => {
    pic.setIrq(4, true);
    pic.setIrq(1, true);
    expect(pic.intr).toBe(true);
    expect(pic.acknowledge()).toBe(0x21);
    expect(pic.intr).toBe(false);
    out(0x20, 0x0b);
    expect(inb(0x20)).toBe(0x02);
    out(0x20, 0x0a);
    expect(inb(0x20)).toBe(0x10);
    out(0x20, 0x20);
    expect(pic.intr).toBe(true);
    expect(pic.acknowledge()).toBe(0x24);
    expect(levels).toEqual([true, false, true, false]);
  });

  it('lets a higher level interrupt a lower one in service', () => {
    pic.setIrq(5, true);
    pic.acknowledge();
    pic.setIrq(6, true);
    expect(pic.intr).toBe(false);
    pic.setIrq(3, true);
    expect(pic.acknowledge()).toBe(0x23);
  });

  it('gives one interrupt for one edge, and repeats level-triggered ones', () => {
    pic.setIrq(10, true);
    expect(pic.acknowledge()).toBe(0x2a);
    out(0xa0, 0x20);
    out(0x20, 0x20);
    expect(pic.intr).toBe(false);
    pic.setIrq(10, false);

    out(0x4d1, 0xff);
    expect(inb(0x4d1)).toBe(0xde);
    out(0x4d0, 0xff);
    expect(inb(0x4d0)).toBe(0xf8);
    pic.setIrq(10, true);
    expect(pic.acknowledge()).toBe(0x2a);
    expect(pic.intr).toBe(false);
    out(0xa0, 0x20);
    out(0x20, 0x20);
    expect(pic.acknowledge()).toBe(0x2a);
    pic.setIrq(10, false);
    out(0xa0, 0x20);
    out(0x20, 0x20);
    expect(pic.intr).toBe(false);
  });

  it('masks with OCW1 and remembers the edge', () => {
    out(0x21, 0x10);
    expect(inb(0x21)).toBe(0x10);
    pic.setIrq(4, true);
    expect(pic.intr).toBe(false);
    out(0x21, 0);
    expect(pic.acknowledge()).toBe(0x24);
  });

  it('answers a vanished request with the spurious vector and sets no ISR bit', () => {
    pic.setIrq(3, true);
    pic.setIrq(3, false);
    expect(pic.acknowledge()).toBe(0x27);
    out(0x20, 0x0b);
    expect(inb(0x20)).toBe(0);
  });

  it('answers a request that vanished from the slave after INTR with the master 7 vector', () => {
    pic.setIrq(12, true);
    pic.setIrq(12, false);
    expect(pic.acknowledge()).toBe(0x27);
  });

  it('specific EOI ends one level, non-specific EOI the most important', () => {
    pic.setIrq(6, true);
    pic.acknowledge();
    pic.setIrq(3, true);
    pic.acknowledge();
    out(0x20, 0x0b);
    expect(inb(0x20)).toBe(0x48);
    out(0x20, 0x66);
    expect(inb(0x20)).toBe(0x08);
    out(0x20, 0x20);
    expect(inb(0x20)).toBe(0);
  });

  it('rotates priorities', () => {
    out(0x20, 0xc0 | 4); // set priority: IRQ4 is the bottom
    pic.setIrq(4, true);
    pic.setIrq(5, true);
    expect(pic.acknowledge()).toBe(0x25);
    out(0x20, 0xa0); // rotate on non-specific EOI: now IRQ5 is the bottom
    pic.setIrq(5, false);
    pic.setIrq(5, true);
    expect(pic.acknowledge()).toBe(0x24);
  });

  it('automatic EOI leaves ISR clear', () => {
    initialise(0x03);
    pic.setIrq(1, true);
    expect(pic.acknowledge()).toBe(0x21);
    out(0x20, 0x0b);
    expect(inb(0x20)).toBe(0);
  });

  it('rotates on automatic EOI', () => {
    initialise(0x03);
    out(0x20, 0x80);
    pic.setIrq(1, true);
    pic.setIrq(3, true);
    expect(pic.acknowledge()).toBe(0x21);
    pic.setIrq(1, false);
    pic.setIrq(1, true);
    expect(pic.acknowledge()).toBe(0x23);
  });

  it('special mask mode lets lower levels in while a masked one is in service', () => {
    pic.setIrq(3, true);
    pic.acknowledge();
    pic.setIrq(6, true);
    out(0x21, 0x08);
    expect(pic.intr).toBe(false);
    out(0x20, 0x68);
    expect(pic.acknowledge()).toBe(0x26);
  });

  it('special fully nested mode lets the slave interrupt itself', () => {
    initialise(0x11);
    pic.setIrq(12, true);
    expect(pic.acknowledge()).toBe(0x2c);
    pic.setIrq(9, true);
    expect(pic.intr).toBe(true);
    expect(pic.acknowledge()).toBe(0x29);
  });

  it('poll command acknowledges without a vector', () => {
    pic.setIrq(6, true);
    out(0x20, 0x0c);
    expect(inb(0x20)).toBe(0x86);
    expect(pic.intr).toBe(false);
    out(0x20, 0x0c);
    expect(inb(0x20)).toBe(0);
  });

  it('ICW1 clears mask, service and requests; the mask is clear afterwards', () => {
    out(0x21, 0xff);
    pic.setIrq(1, true);
    initialise();
    expect(inb(0x21)).toBe(0);
    expect(pic.intr).toBe(false);
    pic.setIrq(1, false);
    pic.setIrq(1, true);
    expect(pic.intr).toBe(true);
  });

  it('goes on from a saved state', () => {
    pic.setIrq(14, true);
    pic.setIrq(5, true);
    pic.acknowledge();
    const other = new I8259({ set: () => {} });
    other.load(pic.save());
    expect(other.save()).toEqual(pic.save());
    expect(other.intr).toBe(pic.intr);
  });
});
