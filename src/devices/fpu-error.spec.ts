import { expect, it } from 'vitest';
import { FpuError } from './fpu-error.ts';
import { TestLine } from './testing.ts';

it('FERR# raises IRQ 13 until port F0h is written', () => {
  const irq13 = new TestLine();
  const device = new FpuError(irq13);
  device.raise();
  expect(irq13.level).toBe(true);
  device.writePort(0xf0, 1, 0);
  expect(irq13.level).toBe(false);
});
