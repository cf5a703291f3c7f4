import { beforeEach, describe, expect, it } from 'vitest';
import { I440fx } from './i440fx.ts';

let shadow: Map<number, string>;
let smram: boolean;
let bridge: I440fx;

beforeEach(() => {
  shadow = new Map();
  smram = false;
  bridge = new I440fx({
    setShadow(start, length, read, write) {
      for (let at = start; at < start + length; at += 0x4000) shadow.set(at, (read ? 'r' : '-') + (write ? 'w' : '-'));
    },
    setSmram: (open) => (smram = open),
  });
});

describe('82441FX', () => {
  it('has its identity and reset values', () => {
    expect(bridge.get32(0)).toBe(0x12378086);
    expect(bridge.get16(4)).toBe(0x0006);
    expect(bridge.get16(0x0a)).toBe(0x0600);
    expect(bridge.config[8]).toBe(2);
    expect(bridge.config[0x72]).toBe(0x02);
    expect([...shadow.values()].every((access) => access === '--')).toBe(true);
    expect(shadow.size).toBe(16);
  });

  it('PAM registers cover C0000-FFFFF in order', () => {
    const expected: [register: number, value: number, address: number][] = [
      [0x59, 0x10, 0xf0000],
      [0x5a, 0x01, 0xc0000],
      [0x5a, 0x10, 0xc4000],
      [0x5b, 0x01, 0xc8000],
      [0x5c, 0x10, 0xd4000],
      [0x5d, 0x01, 0xd8000],
      [0x5e, 0x01, 0xe0000],
      [0x5f, 0x10, 0xec000],
    ];
    for (const [register, value, address] of expected) {
      bridge.writeConfig(register, 1, value);
      expect(shadow.get(address)).toBe('r-');
      bridge.writeConfig(register, 1, value * 3);
      expect(shadow.get(address)).toBe('rw');
      bridge.writeConfig(register, 1, 0);
      expect(shadow.get(address)).toBe('--');
    }
    bridge.writeConfig(0x59, 1, 0x30);
    for (const address of [0xf0000, 0xf4000, 0xf8000, 0xfc000]) expect(shadow.get(address)).toBe('rw');
  });

  it('opens SMRAM until it is locked', () => {
    bridge.writeConfig(0x72, 1, 0x4a);
    expect(smram).toBe(true);
    bridge.writeConfig(0x72, 1, 0x1a);
    expect(smram).toBe(false);
    bridge.writeConfig(0x72, 1, 0x4a);
    expect(smram).toBe(false);
    expect(bridge.config[0x72] & 0x10).toBe(0x10);
  });
});
