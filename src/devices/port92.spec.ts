import { expect, it } from 'vitest';
import { Port92 } from './port92.ts';

it('port 92h: A20 in bit 1, reset on a rising bit 0', () => {
  const a20: boolean[] = [];
  let resets = 0;
  const port = new Port92(
    (enabled) => a20.push(enabled),
    () => resets++,
  );
  expect(port.readPort(0x92, 1)).toBe(0x02);
  port.writePort(0x92, 1, 0x00);
  port.writePort(0x92, 1, 0x03);
  port.writePort(0x92, 1, 0x03);
  expect(a20).toEqual([false, true, true]);
  expect(resets).toBe(1);
  port.reset();
  expect(port.readPort(0x92, 1)).toBe(0x02);
});
