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
