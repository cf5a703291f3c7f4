import { beforeEach, describe, expect, it } from 'vitest';
import { gsiOfIsa, IrqRouting } from './irq.ts';

let log: string[];
let irqs: IrqRouting;

beforeEach(() => {
  log = [];
  irqs = new IrqRouting({
    pic: { setIrq: (irq, level) => log.push(`pic ${irq} ${level}`) },
    ioApic: { setPin: (pin, level) => log.push(`gsi ${pin} ${level}`) },
  });
});

describe('ISA interrupts', () => {
  it('reach 8259 and I/O APIC, the timer at pin 2', () => {
    irqs.line(0).set(true);
    irqs.line(9).set(true);
    expect(log).toEqual(['pic 0 true', 'gsi 2 true', 'pic 9 true', 'gsi 9 true']);
    expect(gsiOfIsa(0)).toBe(2);
  });

  it('are up while any of their sources is', () => {
    const [a, b] = [irqs.line(4), irqs.line(4)];
    a.set(true);
    a.set(true);
    b.set(true);
    a.set(false);
    expect(irqs.level(4)).toBe(true);
    b.set(false);
    expect(log).toEqual(['pic 4 true', 'gsi 4 true', 'pic 4 false', 'gsi 4 false']);
  });

  it('are 0 to 15 without the cascade', () => {
    for (const irq of [-1, 2, 16]) expect(() => irqs.line(irq)).toThrow(RangeError);
  });
});
