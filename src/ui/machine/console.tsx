// One console: an xterm terminal on a serial port or virtio console of the machine.

import { useEffect, useImperativeHandle, useRef, useState, type Ref } from 'react';
import { Terminal } from '@xterm/xterm';
import { FitAddon } from '@xterm/addon-fit';
import { SearchAddon } from '@xterm/addon-search';
import '@xterm/xterm/css/xterm.css';
import { hasFastWebGl } from '../browser-status.ts';
import type { ConsolePump } from './console-pump.ts';
import { blinkCursor } from './cursor-blink.ts';
import { FindBar } from './find-bar.tsx';
import { allText, lastLines } from './terminal-text.ts';
import { followTheme } from './terminal-theme.ts';
import styles from './console.module.css';

/** DECTCEM. */
const HIDE_CURSOR = '\x1b[?25l';
const SHOW_CURSOR = '\x1b[?25h';

/** What the bar and the touch keys do to a console. */
export interface ConsoleHandle {
  focus(): void;
  find(): void;
  copy(): Promise<boolean>;
  paste(): Promise<void>;
  clear(): void;
  /** Type for the user: bytes as the terminal would send them for a key. */
  type(data: string): void;
  /** Press an arrow key, by the last letter of its sequence (ECMA-48 CUU, CUD, CUF, CUB): A up, B down, C right, D left. */
  arrow(letter: 'A' | 'B' | 'C' | 'D'): void;
  /** What is on the screen and above it, as text. */
  text(): string;
  /** The last lines of it, each cut at a number of columns. */
  lastLines(count: number, columns: number): string;
  /** Start a new line in plain letters: what went before may have ended anywhere. */
  mark(text: string): void;
}

export interface ConsoleProps {
  pump: ConsolePump | undefined;
  port: number;
  title: string;
  /** Seen, of several. */
  active: boolean;
  /** Is there a guest that reads? */
  running: boolean;
  fontSize: number;
  /** Screen readers read the output; costs time for each line. */
  spoken: boolean;
  /** Changes what the user types before it is sent (sticky Ctrl and Alt of the touch keys). */
  filter(data: string): string;
  /** The user wants to leave the console by key. */
  onLeave(): void;
  onTyped(): void;
  ref: Ref<ConsoleHandle>;
}

export function Console(props: ConsoleProps) {
  const { pump, port, active, running, fontSize, spoken, ref } = props;
  const place = useRef<HTMLDivElement>(null);
  const [terminal, setTerminal] = useState<{ it: Terminal; fit: FitAddon; search: SearchAddon }>();
  const [finding, setFinding] = useState(false);
  const latest = useRef(props);
  latest.current = props;

  useEffect(() => {
    let remove = () => {};
    // In a task of its own: the room is drawn before, and several consoles do not come in one.
    const timer = setTimeout(() => { remove = makeTerminal(); });
    return () => {
      clearTimeout(timer);
      remove();
    };
    // A terminal belongs to one port for its whole life; all else reaches it through `latest`.
  }, [port]);

  /** @returns what takes it away again */
  function makeTerminal(): () => void {
    const isBlinking = !matchMedia('(prefers-reduced-motion: reduce)').matches;
    const it = new Terminal({
      allowProposedApi: true,
      cursorBlink: isBlinking,
      fontFamily: getComputedStyle(document.documentElement).getPropertyValue('--mono'),
      fontSize: latest.current.fontSize,
      // Less, and some fonts' underscores are cut off.
      lineHeight: 1.2,
      minimumContrastRatio: 4.5,
      scrollback: 10_000,
    });
    const fit = new FitAddon();
    const search = new SearchAddon();
    it.loadAddon(fit);
    it.loadAddon(search);
    it.open(place.current!);
    it.textarea?.setAttribute('aria-label', `Console ${latest.current.title}`);
    void useWebGl(it);
    it.attachCustomKeyEventHandler((event) => ownKey(event, it));
    const encoder = new TextEncoder();
    const send = (bytes: Uint8Array) => {
      const { pump, running, port } = latest.current;
      if (!running) return;
      latest.current.onTyped();
      pump?.send(port, bytes);
    };
    it.onData((data) => send(encoder.encode(latest.current.filter(data))));
    it.onBinary((data) => send(Uint8Array.from(data, (c) => c.charCodeAt(0))));
    const stopFollowing = followTheme(it);
    const stopBlinking = isBlinking ? blinkCursor(it, place.current!, styles.cursorHidden) : () => {};
    // Until there is a machine that could put it anywhere.
    it.write(HIDE_CURSOR);
    setTerminal({ it, fit, search });
    return () => {
      stopBlinking();
      stopFollowing();
      it.dispose();
    };
  }

  /** Keys that the page takes, with Ctrl+Shift so that none is the guest's; Help lists them. False: xterm shall not send it. */
  function ownKey(event: KeyboardEvent, it: Terminal): boolean {
    if (!event.ctrlKey || !event.shiftKey || event.altKey || event.metaKey) return true;
    const down = event.type === 'keydown';
    switch (event.code) {
      case 'KeyF': if (down) setFinding(true); break;
      case 'KeyC': if (down && it.hasSelection()) void navigator.clipboard.writeText(it.getSelection()); break;
      // The browser pastes into the terminal by itself.
      case 'KeyV': return false;
      case 'KeyL': if (down) latest.current.onLeave(); break;
      default: return true;
    }
    event.preventDefault();
    return false;
  }

  useEffect(() => {
    if (!terminal || !pump) return;
    // The machine's virtio consoles follow the window's size.
    const tell = ({ cols, rows }: { cols: number; rows: number }) => pump.resize(port, cols, rows);
    tell(terminal.it);
    terminal.it.write(SHOW_CURSOR);
    const resizing = terminal.it.onResize(tell);
    const detach = pump.attach(port, terminal.it);
    return () => {
      resizing.dispose();
      detach();
    };
  }, [terminal, pump, port]);

  useEffect(() => {
    if (!terminal || !active) return;
    const refit = () => { if (place.current?.clientHeight) terminal.fit.fit(); };
    refit();
    const observer = new ResizeObserver(() => requestAnimationFrame(refit));
    observer.observe(place.current!);
    terminal.it.focus();
    return () => observer.disconnect();
  }, [terminal, active]);

  useEffect(() => {
    if (!terminal) return;
    terminal.it.options.fontSize = fontSize;
    if (active) terminal.fit.fit();
  }, [terminal, fontSize, active]);

  useEffect(() => {
    if (terminal) terminal.it.options.disableStdin = !running;
  }, [terminal, running]);

  useEffect(() => {
    if (terminal) terminal.it.options.screenReaderMode = spoken;
  }, [terminal, spoken]);

  useImperativeHandle(ref, () => ({
    focus: () => terminal?.it.focus(),
    find: () => setFinding(true),
    async copy() {
      const text = terminal?.it.getSelection();
      if (!text) return false;
      await navigator.clipboard.writeText(text);
      return true;
    },
    async paste() {
      const text = await navigator.clipboard.readText();
      terminal?.it.paste(text);
      terminal?.it.focus();
    },
    clear: () => terminal?.it.clear(),
    type: (data) => { terminal?.it.input(data); },
    arrow: (letter) => { terminal?.it.input(`\x1b${terminal.it.modes.applicationCursorKeysMode ? 'O' : '['}${letter}`); },
    text: () => terminal ? allText(terminal.it.buffer.active) : '',
    lastLines: (count, columns) => terminal ? lastLines(terminal.it.buffer.active, count, columns) : '',
    // Soft reset (DECSTR), attributes off, cursor on; then the text, faint.
    mark: (text) => terminal?.it.write(`\x1b[!p\x1b[0m\x1b[?25h\r\n\x1b[2m${text}\x1b[0m\r\n`),
  }), [terminal]);

  return (
    <div className={`${styles.console} ${active ? '' : styles.away}`} data-port={port}>
      {finding && terminal && (
        <FindBar terminal={terminal.it} search={terminal.search} onClose={() => { setFinding(false); terminal.it.focus(); }} />
      )}
      <div ref={place} className={styles.place} />
    </div>
  );
}

/** Draw by GPU where there is one; when the GPU is taken away, xterm goes on with the DOM by itself. */
async function useWebGl(terminal: Terminal): Promise<void> {
  if (!hasFastWebGl()) return;
  try {
    const { WebglAddon } = await import('@xterm/addon-webgl');
    const addon = new WebglAddon();
    addon.onContextLoss(() => addon.dispose());
    terminal.loadAddon(addon);
  } catch {
    // The DOM renderer is at work already.
  }
}
