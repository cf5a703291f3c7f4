// Modifier keys that hold for the next key (one tap) or until they are tapped again (two taps), for keyboards under one finger; and
// keys and typed text with them.

import { keyNamed, usKey, type InputSender } from '../../machine/input.ts';

export type Hold = 'once' | 'locked';
export type Holds = ReadonlyMap<string, Hold>;

/** Names of the keys that hold. */
export const MODIFIERS: readonly string[] = ['ctrl', 'alt', 'shift', 'meta_l', 'alt_r'];

export class StickyKeys {
  private holds: Holds = new Map();
  private readonly listeners = new Set<() => void>();

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => { this.listeners.delete(listener); };
  };
  readonly get = (): Holds => this.holds;

  /** A modifier was tapped: once, then locked, then not at all. */
  tap(name: string): void {
    const holds = new Map(this.holds);
    const now = holds.get(name);
    if (now === undefined) holds.set(name, 'once');
    else if (now === 'once') holds.set(name, 'locked');
    else holds.delete(name);
    this.change(holds);
  }

  /** Press keys together, and release them: with those that hold. */
  press(sender: InputSender, ...names: string[]): void {
    const keys = [...this.holds.keys(), ...names].map((name) => keyNamed(name)!);
    for (const key of keys) sender.key(key, true);
    for (const key of keys.reverse()) sender.key(key, false);
    this.used();
  }

  /** Type characters as on a US keyboard; those that no key types are left out and given back. */
  type(sender: InputSender, text: string): string {
    let unknown = '';
    for (const character of text) {
      const it = usKey(character);
      if (!it) {
        unknown += character;
        continue;
      }
      const keys = [...this.holds.keys(), ...(it.shift && !this.holds.has('shift') ? ['shift'] : [])].map((name) => keyNamed(name)!);
      keys.push(it.key);
      for (const key of keys) sender.key(key, true);
      for (const key of keys.reverse()) sender.key(key, false);
      this.used();
    }
    return unknown;
  }

  private used(): void {
    const locked = new Map([...this.holds].filter(([, hold]) => hold === 'locked'));
    if (locked.size !== this.holds.size) this.change(locked);
  }

  private change(holds: Holds): void {
    this.holds = holds;
    for (const listener of this.listeners) listener();
  }
}
