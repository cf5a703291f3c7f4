import { beforeEach, expect, it } from 'vitest';
import { KEYS, type InputSender } from '../../machine/input.ts';
import { StickyKeys } from './sticky-keys.ts';

let log: string;
const sender = { key: (key: number, down: boolean) => { log += `${down ? '+' : '-'}${KEYS[key].name} `; return true; } } as InputSender;
let sticky: StickyKeys;
beforeEach(() => {
  log = '';
  sticky = new StickyKeys();
});

it('holds a modifier for one key, and one tapped twice for all', () => {
  sticky.tap('ctrl');
  sticky.press(sender, 'c');
  sticky.press(sender, 'd');
  expect(log).toBe('+ctrl +c -c -ctrl +d -d ');
  log = '';
  sticky.tap('alt');
  sticky.tap('alt');
  sticky.press(sender, 'f1');
  sticky.press(sender, 'f2');
  expect(log).toBe('+alt +f1 -f1 -alt +alt +f2 -f2 -alt ');
  sticky.tap('alt');
  expect(sticky.get().size).toBe(0);
});

it('types with Shift where a character needs it, and with what holds', () => {
  expect(sticky.type(sender, 'aB')).toBe('');
  expect(log).toBe('+a -a +shift +b -b -shift ');
  log = '';
  sticky.tap('ctrl');
  expect(sticky.type(sender, 'cß')).toBe('ß');
  expect(log).toBe('+ctrl +c -c -ctrl ');
});
