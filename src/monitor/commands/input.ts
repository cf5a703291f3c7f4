// sendkey, mouse_move, mouse_button: what a user's hands do. QEMU, ui/input.c and ui/ui-hmp-cmds.c.

import { KEYS, keyNamed } from '../../devices/keys.ts';
import { SET2_TO_SET1 } from '../../devices/scan-codes.ts';
import { command, MonitorError } from '../command.ts';
import { integer, optionalInteger, optionalText, text } from '../parameters.ts';

/** A key's number by its QKeyCode, or by its scan code of set 1 as "0x1e", where 80h stands for the prefix E0h. */
function keyOf(name: string): number | undefined {
  // As an older interface had it.
  if (name === '<') return keyNamed('less');
  if (!/^0x[0-9a-f]+$/i.test(name)) return keyNamed(name);
  const index = KEYS.findIndex(({ set2 }) => set2 !== 0 && (SET2_TO_SET1[set2 & 0xff] | (set2 > 0xff ? 0x80 : 0)) === Number(name));
  return index < 0 ? undefined : index;
}

export const sendkey = command({
  names: ['sendkey'],
  parameters: { keys: text('string', () => KEYS.map((key) => key.name)), hold: optionalInteger() },
  usage: 'keys [hold_ms]',
  help: "send keys to the VM (e.g. 'sendkey ctrl-alt-f1', default hold time=100 ms)",
  run({ target: { machine } }, { keys, hold }) {
    const numbers = keys.split('-').map((name) => {
      const key = keyOf(name);
      if (key === undefined) throw new MonitorError(`invalid parameter: ${name}`);
      return key;
    });
    // Zero is no time at all: the default, as in QEMU.
    if (!machine.input.sendKeys(numbers, hold !== undefined && hold > 0 ? hold * 1e6 : undefined)) throw new MonitorError('Error: too many keys are waiting');
    return '';
  },
});

const count = (value: string): number => Math.max(-32768, Math.min(32767, Math.trunc(Number.parseInt(value) || 0)));

export const mouseMove = command({
  names: ['mouse_move'],
  parameters: { dx: text(), dy: text(), dz: optionalText() },
  usage: 'dx dy [dz]',
  help: 'send mouse move events',
  run({ target: { machine: { input } } }, { dx, dy, dz }) {
    input.moveBy(count(dx), count(dy));
    const steps = count(dz ?? '0');
    // A positive one is the wheel's turn away from the user; one step, however large.
    if (steps !== 0) input.wheel(-Math.sign(steps));
    return '';
  },
});

export const mouseButton = command({
  names: ['mouse_button'],
  parameters: { state: integer() },
  usage: 'state',
  help: 'change mouse button state (1=L, 2=R, 4=M)',
  run({ target: { machine } }, { state }) {
    machine.input.setButtons(state);
    return '';
  },
});
