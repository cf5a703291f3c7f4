// The screen. QEMU: -nographic -display -vga.

import type { Draft, Options } from './draft.ts';
import { notYet } from './error.ts';
import { onlyNone } from './values.ts';

export const DISPLAY_OPTIONS: Options = {
  nographic: { help: 'no display: serial port on the terminal, with Ctrl-A escapes', apply: (draft) => { draft.config.nographic = true; draft.config.displayNone = true; } },
  display: { argument: 'none', help: 'no display', apply: applyDisplay },
  vga: { argument: 'std|none', help: 'VGA card: std (default without -kernel), or none', apply: applyVga },
};

export function finishDisplay({ config, vga, noDefaults }: Draft): void {
  config.vga = vga ?? (config.kernel === undefined && !noDefaults ? 'std' : 'none');
}

function applyDisplay(draft: Draft, value: string, written: string): void {
  onlyNone(draft, value, written);
  draft.config.displayNone = true;
}

function applyVga(draft: Draft, value: string, written: string): void {
  if (value === 'help' || value === '?') draft.config.information ??= 'none                 no graphic card\nstd                  standard VGA\n';
  else if (value !== 'std' && value !== 'none') throw notYet(written, `"${value}"`, 'Use std or none.');
  else draft.vga = value;
}
