// Keys that a phone's keyboard lacks, above it. Ctrl and Alt hold for the next key.

import type { PointerEvent, ReactNode } from 'react';
import styles from './touch-keys.module.css';

export interface Modifiers { ctrl: boolean; alt: boolean }

/** What a terminal sends for a typed character with modifiers: C0 codes for Ctrl (ECMA-48), ESC before for Alt. */
export function withModifiers(data: string, { ctrl, alt }: Modifiers): string {
  let out = data;
  if (ctrl && data.length === 1) {
    const code = data.toUpperCase().charCodeAt(0);
    if (code >= 0x40 && code <= 0x5f) out = String.fromCharCode(code & 0x1f);
    else if (data === ' ') out = '\0';
    else if (data === '?') out = '\x7f';
  }
  return alt ? `\x1b${out}` : out;
}

export interface TouchKeysProps {
  modifiers: Modifiers;
  onModifiers(modifiers: Modifiers): void;
  type(data: string): void;
  arrow(letter: 'A' | 'B' | 'C' | 'D'): void;
}

export function TouchKeys({ modifiers, onModifiers, type, arrow }: TouchKeysProps) {
  return (
    <div className={styles.keys} role="toolbar" aria-label="Keys">
      <Key label="Escape" onClick={() => type('\x1b')}>Esc</Key>
      <Key label="Tab" onClick={() => type('\t')}>Tab</Key>
      <Key label="Control, for the next key" pressed={modifiers.ctrl} onClick={() => onModifiers({ ...modifiers, ctrl: !modifiers.ctrl })}>Ctrl</Key>
      <Key label="Alt, for the next key" pressed={modifiers.alt} onClick={() => onModifiers({ ...modifiers, alt: !modifiers.alt })}>Alt</Key>
      <Key label="Left" onClick={() => arrow('D')}>←</Key>
      <Key label="Up" onClick={() => arrow('A')}>↑</Key>
      <Key label="Down" onClick={() => arrow('B')}>↓</Key>
      <Key label="Right" onClick={() => arrow('C')}>→</Key>
    </div>
  );
}

function Key({ label, pressed, onClick, children }: { label: string; pressed?: boolean; onClick(): void; children: ReactNode }) {
  // The console keeps the focus, or the phone would take its keyboard away.
  const keepFocus = (event: PointerEvent) => event.preventDefault();
  return <button type="button" aria-label={label} aria-pressed={pressed} onPointerDown={keepFocus} onMouseDown={(event) => event.preventDefault()} onClick={onClick}>{children}</button>;
}
