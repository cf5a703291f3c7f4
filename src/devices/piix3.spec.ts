import { beforeEach, describe, expect, it } from 'vitest';
import { Piix3 } from './piix3.ts';

let log: string[];
let resets: number;
let piix: Piix3;

beforeEach(() => {
  log = [];
  resets = 0;
  piix = new Piix3(
    (pirq, irq, level) => log.push(`${'ABCD'[pirq]}${irq}${level ? '+' : '-'}`),
    () => resets++,
  );
});

describe('PIRQ routing', () => {
  it('is disabled after reset', () => {
    expect(piix.get32(0x60)).toBe(0x80808080);
    piix.setPirq(0, true);
    expect(log).toEqual([]);
  });

  it('carries a level to the chosen interrupt and follows changes of the route', () => {
    piix.writeConfig(0x60, 1, 10);
    piix.setPirq(0, true);
    piix.writeConfig(0x60, 1, 11);
    piix.writeConfig(0x60, 1, 0x8b);
    piix.writeConfig(0x60, 4, 0x8080800b);
    piix.setPirq(0, false);
    expect(log).toEqual(['A10+', 'A10-', 'A11+', 'A11-', 'A11+', 'A11-']);
  });

  it('ignores interrupts that are reserved', () => {
    for (const irq of [0, 1, 2, 8, 13]) {
      piix.writeConfig(0x63, 1, irq);
      piix.setPirq(3, true);
      piix.setPirq(3, false);
    }
    expect(log).toEqual([]);
  });
});

describe('reset control', () => {
  it('resets on the rising edge of RCPU', () => {
    piix.writePort(0xcf9, 1, 0x02);
    expect(resets).toBe(0);
    piix.writePort(0xcf9, 1, 0x06);
    piix.writePort(0xcf9, 1, 0x06);
    expect(resets).toBe(1);
    expect(piix.readPort(0xcf9, 1)).toBe(0x06);
  });
});

it('is a multifunction ISA bridge', () => {
  expect(piix.get32(0)).toBe(0x70008086);
  expect(piix.get16(0x0a)).toBe(0x0601);
  expect(piix.config[0x0e]).toBe(0x80);
  expect(piix.get16(4)).toBe(0x0007);
});

it('goes on from a saved state', () => {
  piix.writeConfig(0x61, 1, 5);
  piix.setPirq(1, true);
  const saved = structuredClone(piix.save());
  const again: string[] = [];
  const other = new Piix3(
    (pirq, irq, level) => again.push(`${pirq} ${irq} ${level}`),
    () => {},
  );
  other.load(saved);
  expect(again).toEqual(['1 5 true']);
});
