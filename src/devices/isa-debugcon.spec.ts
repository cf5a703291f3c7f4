import { expect, it } from 'vitest';
import { IsaDebugcon } from './isa-debugcon.ts';

it('writes characters, and reads as E9h', () => {
  let out = '';
  const port = new IsaDebugcon({ write: (byte) => ((out += String.fromCharCode(byte)), true), read: () => -1 });
  expect(port.readPort(0x402, 1)).toBe(0xe9);
  for (const c of 'log') port.writePort(0x402, 1, c.charCodeAt(0));
  expect(out).toBe('log');
});
