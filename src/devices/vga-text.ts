// What stands on a VGA card's text screen, as characters: for tests, screen readers and the clipboard.
// IBM, "Personal System/2 Hardware Interface Technical Reference", Video Subsystem, alphanumeric modes.

import { screenSize, type VgaView } from './vga-picture.ts';

/** A text screen. */
export interface TextScreen {
  columns: number;
  rows: number;
  /** Character codes, and attributes, row by row. */
  characters: Uint8Array;
  attributes: Uint8Array;
  /** Cell of the cursor, counted from the top left; -1 if it is off. */
  cursor: number;
}

/** The text screen, or null in graphics modes and while the screen is dark. */
export function textScreen(view: VgaView): TextScreen | null {
  const { crtc, graphics, vram } = view;
  if (!view.enabled || view.vbe || graphics[0x06] & 1) return null;
  const columns = crtc[0x01] + 1;
  const height = ((crtc[0x09] & 0x1f) + 1) * (crtc[0x09] & 0x80 ? 2 : 1);
  const rows = Math.floor(screenSize(view).height / height);
  const start = (crtc[0x0c] << 8) | crtc[0x0d];
  const pitch = 2 * crtc[0x13];
  const characters = new Uint8Array(columns * rows);
  const attributes = new Uint8Array(columns * rows);
  const cursorAddress = (crtc[0x0e] << 8) | crtc[0x0f];
  let cursor = -1;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      // 64 KiB a plane, in which addresses wrap.
      const address = (start + row * pitch + column) & 0xffff;
      const cell = row * columns + column;
      characters[cell] = vram[4 * address];
      attributes[cell] = vram[4 * address + 1];
      if (address === cursorAddress && !(crtc[0x0a] & 0x20)) cursor = cell;
    }
  }
  return { columns, rows, characters, attributes, cursor };
}

/** Code page 437, the characters of the BIOS font, as Unicode. */
const CP437 =
  ' ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼' +
  Array.from({ length: 95 }, (_, i) => String.fromCharCode(0x20 + i)).join('') +
  '⌂ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■ ';

/** A text screen as lines of text, without blanks at their ends. */
export function screenText(screen: TextScreen): string {
  const lines: string[] = [];
  for (let row = 0; row < screen.rows; row++) {
    const codes = screen.characters.subarray(row * screen.columns, (row + 1) * screen.columns);
    lines.push(Array.from(codes, (code) => CP437[code]).join('').trimEnd());
  }
  return `${lines.join('\n').trimEnd()}\n`;
}
