import { expect, it } from 'vitest';
import { PostPort } from './post-port.ts';

it('port 80h keeps the last code and answers no reads', () => {
  const port = new PostPort();
  port.writePort(0x80, 1, 0x42);
  expect(port.code).toBe(0x42);
  expect(port.readPort(0x80, 1)).toBe(0xff);
});
