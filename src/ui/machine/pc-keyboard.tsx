// A PC's keyboard on the screen: for phones the keys that theirs lack, above it; where there is room all of them. Modifiers hold for
// the next key, and tapped twice until they are tapped again.

import { useState, useSyncExternalStore, type PointerEvent } from 'react';
import type { InputSender } from '../../machine/input.ts';
import { Icon } from '../icons.tsx';
import { MODIFIERS, type StickyKeys } from './sticky-keys.ts';
import styles from './pc-keyboard.module.css';

/** name, label, width where it is not 1; a label of two is what is typed with Shift, too. */
type KeyRow = readonly (readonly [name: string, label: string, width?: number])[];

const letters = (text: string): KeyRow => [...text].map((letter) => [letter, letter.toUpperCase()] as const);
const functions: KeyRow = Array.from({ length: 12 }, (_, i) => [`f${i + 1}`, `F${i + 1}`] as const);

/** What a phone's keyboard lacks: always, and behind "more". */
const BASIC: KeyRow = [['esc', 'Esc'], ['tab', 'Tab'], ['ctrl', 'Ctrl'], ['alt', 'Alt'], ['left', '←'], ['up', '↑'], ['down', '↓'], ['right', '→']];
const EDITING: KeyRow = [['insert', 'Ins'], ['delete', 'Del'], ['home', 'Home'], ['end', 'End'], ['pgup', 'PgUp'], ['pgdn', 'PgDn'], ['print', 'PrtSc'], ['pause', 'Pause']];
const MAIN: readonly KeyRow[] = [
  [['grave_accent', '`'], ...letters('1234567890'), ['minus', '-'], ['equal', '='], ['backspace', '⌫', 2]],
  [['tab', 'Tab', 1.5], ...letters('qwertyuiop'), ['bracket_left', '['], ['bracket_right', ']'], ['backslash', '\\', 1.5]],
  [['caps_lock', 'Caps', 1.8], ...letters('asdfghjkl'), ['semicolon', ';'], ['apostrophe', '\''], ['ret', 'Enter', 2.2]],
  [['shift', 'Shift', 2.3], ...letters('zxcvbnm'), ['comma', ','], ['dot', '.'], ['slash', '/'], ['up', '↑'], ['shift_r', 'Shift', 1.7]],
  [['ctrl', 'Ctrl', 1.4], ['meta_l', '⊞', 1.2], ['alt', 'Alt', 1.2], ['spc', 'Space', 5.2], ['alt_r', 'AltGr', 1.2], ['compose', '☰', 1], ['left', '←'], ['down', '↓'], ['right', '→']],
];
/** The names that a screen reader says for labels that are signs. */
const SPOKEN: Record<string, string> = {
  left: 'Left', up: 'Up', down: 'Down', right: 'Right', backspace: 'Backspace', meta_l: 'Windows', compose: 'Menu', grave_accent: 'Grave accent',
  minus: 'Minus', equal: 'Equals', bracket_left: 'Left bracket', bracket_right: 'Right bracket', backslash: 'Backslash', semicolon: 'Semicolon',
  apostrophe: 'Apostrophe', comma: 'Comma', dot: 'Dot', slash: 'Slash', esc: 'Escape',
};
const LAMPS: Record<string, number> = { caps_lock: 4 };

export interface PcKeyboardProps {
  sender: InputSender;
  sticky: StickyKeys;
  /** Bits as the machine's keyboard has them: 0 Scroll, 1 Num, 2 Caps Lock. */
  leds: number;
  /** The system's keyboard is asked for; undefined: it has none to show. */
  system: boolean | undefined;
  onSystem(shown: boolean): void;
  onUsed(): void;
}

export function PcKeyboard({ sender, sticky, leds, system, onSystem, onUsed }: PcKeyboardProps) {
  const holds = useSyncExternalStore(sticky.subscribe, sticky.get);
  const [more, setMore] = useState(false);

  const key = ([name, label, width = 1]: KeyRow[number], n: number) => {
    const modifier = MODIFIERS.includes(name);
    const hold = holds.get(name);
    return (
      <button key={`${name} ${n}`} type="button" tabIndex={-1} style={{ flexGrow: width }} aria-label={SPOKEN[name] ?? label}
        aria-pressed={modifier ? hold !== undefined : LAMPS[name] === undefined ? undefined : (leds & LAMPS[name]) !== 0} data-hold={hold}
        {...keepFocus}
        onClick={() => {
          if (modifier) sticky.tap(name);
          else sticky.press(sender, name);
          onUsed();
        }}>{label}</button>
    );
  };
  const row = (keys: KeyRow, name: string) => <div key={name} className={`${styles.row} ${styles[name] ?? ''}`}>{keys.map(key)}</div>;
  return (
    <div className={styles.keyboard} role="group" aria-label="PC keyboard">
      <div className={`${styles.row} ${styles.tools}`}>
        {BASIC.map(key)}
        {system !== undefined && (
          <button type="button" tabIndex={-1} aria-label="Letters: this device’s keyboard" aria-pressed={system} {...keepFocus} onClick={() => onSystem(!system)}><Icon name="keyboard" /></button>
        )}
        <button type="button" tabIndex={-1} aria-label="More keys" aria-expanded={more} {...keepFocus} onClick={() => setMore(!more)}>{more ? '▾' : '▴'}</button>
      </div>
      <div className={styles.rest} data-more={more}>
        <div className={`${styles.row} ${styles.functions}`}>{key(['esc', 'Esc'], 0)}{functions.map(key)}</div>
        <div className={`${styles.row} ${styles.editing}`}>
          {EDITING.map(key)}
          <button type="button" tabIndex={-1} style={{ flexGrow: 2.4 }} {...keepFocus} onClick={() => { sticky.press(sender, 'ctrl', 'alt', 'delete'); onUsed(); }}>Ctrl+Alt+Del</button>
        </div>
        <div className={`${styles.row} ${styles.phoneOnly}`}>{key(['shift', 'Shift'], 0)}{key(['meta_l', '⊞'], 1)}{key(['alt_r', 'AltGr'], 2)}{key(['caps_lock', 'Caps'], 3)}{key(['ret', 'Enter'], 4)}{key(['backspace', '⌫'], 5)}</div>
        <div className={styles.main}>{MAIN.map((keys, n) => row(keys, `main${n}`))}</div>
      </div>
    </div>
  );
}

/** The screen keeps the focus, or a phone would take its own keyboard away. */
const keepFocus = {
  onPointerDown: (event: PointerEvent) => event.preventDefault(),
  onMouseDown: (event: { preventDefault(): void }) => event.preventDefault(),
};
