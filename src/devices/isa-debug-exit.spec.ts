import { expect, it } from 'vitest';
import { IsaDebugExit } from './isa-debug-exit.ts';

it('isa-debug-exit: status (v << 1) | 1, as a process has it', () => {
  const statuses: number[] = [];
  const device = new IsaDebugExit((status) => statuses.push(status));
  for (const value of [0, 0x10, 0x80]) device.writePort(0xf4, 4, value);
  expect(statuses).toEqual([1, 0x21, 1]);
  expect(device.readPort(0xf4, 4)).toBe(0);
});
