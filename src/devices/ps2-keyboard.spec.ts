import { beforeEach, describe, expect, it } from 'vitest';
import { VirtualClock } from '../machine/clock.ts';
import { KEYS, keyNamed, keyOfCode, usKey } from './keys.ts';
import { Ps2Keyboard } from './ps2-keyboard.ts';

// The scan codes of all keys are compared with QEMU's in tests/devices/input.spec.ts.

const MS = 1_000_000;
let clock: VirtualClock;
let keyboard: Ps2Keyboard;
const drain = () => {
  const bytes: number[] = [];
  for (let byte = keyboard.read(); byte >= 0; byte = keyboard.read()) bytes.push(byte);
  return bytes.map((byte) => byte.toString(16)).join(' ');
};
const press = (name: string) => keyboard.key(keyNamed(name)!, true);
const release = (name: string) => keyboard.key(keyNamed(name)!, false);
const pass = (ms: number) => {
  clock.skipTo(clock.now() + ms * MS);
  clock.runExpired();
};
const command = (...bytes: number[]) => {
  for (const byte of bytes) keyboard.write(byte);
  drain();
};

beforeEach(() => {
  clock = new VirtualClock(0);
  keyboard = new Ps2Keyboard(clock);
});

describe('keys', () => {
  it('have names and codes of their own', () => {
    expect(new Set(KEYS.map((key) => key.name)).size).toBe(KEYS.length);
    const codes = KEYS.flatMap((key) => key.code || []);
    expect(new Set(codes).size).toBe(codes.length);
    expect(KEYS[keyOfCode('IntlBackslash')!].name).toBe('less');
    expect(keyOfCode('NoSuchKey')).toBeUndefined();
  });

  it('type every character of ASCII that can be seen', () => {
    for (let code = 0x20; code < 0x7f; code++) expect(usKey(String.fromCharCode(code)), String.fromCharCode(code)).toBeDefined();
    expect(usKey('|')).toEqual({ key: keyNamed('backslash'), shift: true });
    expect(usKey('~')).toEqual({ key: keyNamed('grave_accent'), shift: true });
    expect(usKey('ä')).toBeUndefined();
  });
});

describe('keys with sequences of their own', () => {
  it('Pause has no release and does not repeat; with Ctrl it is Break', () => {
    press('pause');
    release('pause');
    pass(2000);
    expect(drain()).toBe('e1 14 77 e1 f0 14 f0 77');
    press('ctrl');
    press('pause');
    expect(drain()).toBe('14 e0 7e e0 f0 7e');
  });

  it('Print Screen depends on Shift, Ctrl and Alt', () => {
    press('print');
    release('print');
    expect(drain()).toBe('e0 12 e0 7c e0 f0 7c e0 f0 12');
    press('shift');
    press('print');
    release('print');
    release('shift');
    expect(drain()).toBe('12 e0 7c e0 f0 7c f0 12');
    press('alt');
    press('print');
    release('print');
    expect(drain()).toBe('11 f0 11 11 84 f0 84 f0 11 11');
  });
});

describe('typematic', () => {
  const repeats = (ms: number) => drain().split(' ').filter((code) => code === '1c').length * (ms > 0 ? 1 : 0);
  /** A host that reads all the time. */
  const hold = (ms: number) => {
    let seen = 0;
    for (let at = 0; at < ms; at++) {
      pass(1);
      seen += repeats(1);
    }
    return seen;
  };

  it('begins after half a second, 10.9 times a second; the last key repeats, until it is released', () => {
    press('a');
    drain();
    expect(hold(499)).toBe(0);
    expect(hold(1001)).toBe(11);
    press('b');
    drain();
    expect(hold(1000)).toBe(0);
    release('b');
    drain();
    expect(hold(2000)).toBe(0);
  });

  it('takes the rate and delay that the host sets', () => {
    command(0xf3, 0x00);
    press('a');
    drain();
    expect(hold(251)).toBe(1);
    expect(hold(1000)).toBe(29);
  });

  it('does not gather while the host does not read', () => {
    press('a');
    pass(10_000);
    expect(drain()).toBe('1c');
  });

  it('goes on after a snapshot', () => {
    press('a');
    drain();
    const saved = structuredClone(keyboard.save());
    const other = keyboard;
    keyboard = new Ps2Keyboard(clock);
    keyboard.load(saved);
    expect(hold(550)).toBe(1);
    other.reset();
  });
});

it('sets 1, 2 and 3', () => {
  const codes = (set: number) => {
    command(0xf0, set);
    press('delete');
    release('delete');
    return drain();
  };
  expect([codes(1), codes(2), codes(3)]).toEqual(['e0 53 e0 d3', 'e0 71 e0 f0 71', '64 f0 64']);
});

it('sends nothing while the host has stopped it', () => {
  command(0xf5);
  press('a');
  expect(drain()).toBe('');
  command(0xf4);
  release('a');
  expect(drain()).toBe('f0 1c');
});
