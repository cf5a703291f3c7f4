// i, o: I/O ports, as the CPU would access them.

import type { AccessSize } from '../../devices/interfaces.ts';
import { command } from '../command.ts';
import { hex } from '../format.ts';
import { dottedInteger, type Format, format, integer } from '../parameters.ts';

/** A port takes 32 bits at most. */
const width = ({ size }: Format): AccessSize => (size === 8 ? 4 : (size as AccessSize));
const SUFFIXES = { 1: 'b', 2: 'w', 4: 'l' };

export const i = command({
  names: ['i'],
  parameters: { format: format(), address: integer(), index: dottedInteger() },
  usage: '/fmt addr',
  help: 'I/O port read',
  run({ target: { machine } }, { format: shown, address, index }) {
    let port = address & 0xffff;
    // A register behind an index port, which comes right before it.
    if (index !== undefined) {
      machine.pc.ioWrite(port, 1, index & 0xff);
      port = (port + 1) & 0xffff;
    }
    const size = width(shown);
    const value = machine.pc.ioRead(port, size);
    return `port${SUFFIXES[size]}[0x${hex(port, 4)}] = 0x${hex(value, 2 * size)}`;
  },
});

export const o = command({
  names: ['o'],
  parameters: { format: format(), address: integer(), value: integer() },
  usage: '/fmt addr value',
  help: 'I/O port write',
  run({ target: { machine } }, { format: shown, address, value }) {
    machine.pc.ioWrite(address & 0xffff, width(shown), value >>> 0);
    return '';
  },
});
