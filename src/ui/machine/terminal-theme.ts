// Colours of terminals, dark and light, as the system has it.

import type { ITheme, Terminal } from '@xterm/xterm';

const DARK: ITheme = {
  background: '#0c0e10', foreground: '#d9dcdf', cursor: '#74b4ff', cursorAccent: '#0c0e10', selectionBackground: '#2f5f94',
  black: '#1b1e22', red: '#ff7b72', green: '#62c97c', yellow: '#e3b341', blue: '#74b4ff', magenta: '#d2a8ff', cyan: '#56d4dd', white: '#d9dcdf',
  brightBlack: '#8b939b', brightRed: '#ffa198', brightGreen: '#7ee290', brightYellow: '#f2cc60', brightBlue: '#a5d0ff', brightMagenta: '#e2c5ff', brightCyan: '#8be9f0', brightWhite: '#ffffff',
};
const LIGHT: ITheme = {
  background: '#fdfdfc', foreground: '#1c1e21', cursor: '#0a62bf', cursorAccent: '#ffffff', selectionBackground: '#b6d5f7',
  black: '#1c1e21', red: '#b3261e', green: '#1a7f37', yellow: '#8a5a00', blue: '#0a62bf', magenta: '#8036b8', cyan: '#0e6f7a', white: '#5b6066',
  brightBlack: '#6b7178', brightRed: '#c9352b', brightGreen: '#1f8a3f', brightYellow: '#946300', brightBlue: '#1f74d1', brightMagenta: '#9145c9', brightCyan: '#117c88', brightWhite: '#1c1e21',
};

/** Give a terminal the colours of the system's choice, and keep it in them. @returns a function that stops it */
export function followTheme(terminal: Terminal): () => void {
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const recolour = () => { terminal.options.theme = dark.matches ? DARK : LIGHT; };
  recolour();
  dark.addEventListener('change', recolour);
  return () => dark.removeEventListener('change', recolour);
}
