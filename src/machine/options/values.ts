// How options write their values: QEMU's "value,key=value" notation, numbers, on and off.

import type { Draft } from './draft.ts';
import { notYet, OptionError } from './error.ts';

/**
 * QEMU's "value,key=value" notation: commas in values are doubled; the first word may leave out its key.
 * A word without "=" is KEY=on, with "no" in front KEY=off, as QEMU has it. Of a key given twice the last value counts.
 */
export function keyValues(text: string, firstKey: string, written: string): Map<string, string> {
  return new Map(keyValuePairs(text, firstKey, written));
}

/** The same, for options with keys that may stand several times. */
export function keyValuePairs(text: string, firstKey: string, written: string): [key: string, value: string][] {
  // Split at single commas; a doubled comma is one of the value.
  const parts = text.replaceAll(',,', '\0').split(',').map((part) => part.replaceAll('\0', ','));
  return parts.map((part, index) => {
    const equals = part.indexOf('=');
    if (equals > 0) return [part.slice(0, equals), part.slice(equals + 1)];
    if (index === 0) return [firstKey, part];
    if (part === '') throw new OptionError(written, 'there is nothing between two commas');
    return part.startsWith('no') ? [part.slice(2), 'off'] : [part, 'on'];
  });
}

export function number(text: string, written: string): number {
  if (!/^(0x[0-9a-f]{1,8}|\d{1,10})$/i.test(text)) throw new OptionError(written, `"${text}" is not a number`);
  return Number(text);
}

/** A number of bytes below 4 GiB, with a unit as QEMU writes it: 4096, 4k, 1M. */
export function bytes(text: string, written: string): number {
  const match = /^(0x[0-9a-f]{1,8}|\d{1,10}(?:\.\d{1,9})?)([bkmg]?)$/i.exec(text);
  const value = match ? Number(match[1]) * { b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 }[(match[2].toLowerCase() || 'b') as 'b' | 'k' | 'm' | 'g'] : NaN;
  if (!Number.isInteger(value) || value > 0xffffffff) throw new OptionError(written, `"${text}" is not a number of bytes below 4 GiB`, 'Write it as 4096, 4k or 1M.');
  return value;
}

export function port(text: string, written: string): number {
  const value = number(text, written);
  if (value > 0xffff) throw new OptionError(written, `"${text}" is not a port, 0 to 0xffff`);
  return value;
}

export function onOff(text: string, written: string, key: string): boolean {
  if (/^(on|yes|true|y)$/.test(text)) return true;
  if (/^(off|no|false|n)$/.test(text)) return false;
  throw new OptionError(written, `${key} must be on or off`);
}

/** A property of its own: "constructor" and the like are no options. */
export function own<T>(table: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(table, key) ? table[key] : undefined;
}

/** Options of which only the value that takes a thing away is supported. */
export function onlyNone(_draft: Draft, value: string, written: string): void {
  if (value !== 'none') throw notYet(written, `"${value}"`, `The only value is none.`);
}
