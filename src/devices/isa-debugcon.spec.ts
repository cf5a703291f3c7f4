import { expect, it } from 'vitest';
import { IsaDebugcon } from './isa-debugcon.ts';

it('writes characters, and reads as E9h', () => {
  let out = '';
  const port = new IsaDebugcon({ write: (byte) => ((out += String.fromCharCode(byte)), true), read: () => -1 });
  expect(port.readPort(0x402, 1)).toBe(0xe9);
  for (const c of 'log') port.writePort(0x402, 1, c.charCodeAt(0));
  expect(out).toBe('log');
});

it('keeps what does not fit, in order, up to a limit', () => {
  let out = '';
  let room = 2;
  const port = new IsaDebugcon({ write: (byte) => room > 0 && (room--, (out += String.fromCharCode(byte)), true), read: () => -1 });
  for (const c of 'abcd') port.writePort(0xe9, 1, c.charCodeAt(0));
  expect(out).toBe('ab');
  room = 1;
  port.writePort(0xe9, 1, 0x65);
  expect(out).toBe('abc');
  for (let n = 0; n < 100_000; n++) port.writePort(0xe9, 1, 0x7a);
  room = Infinity;
  port.poll();
  expect(out.slice(0, 7)).toBe('abcdezz');
  expect(out.length).toBe(3 + (1 << 16));
});
