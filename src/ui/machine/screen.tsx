// The machine's screen: a canvas as large as its place allows, in the shape of a monitor; keyboard and pointer over it are the machine's.

import { useEffect, useImperativeHandle, useRef, useState, type Ref } from 'react';
import type { InputSender } from '../../machine/input.ts';
import { notify } from '../notices.tsx';
import { ScreenClient } from './screen-client.ts';
import { ScreenInput } from './screen-input.ts';
import type { ScreenSize } from './screen-view.ts';
import type { StickyKeys } from './sticky-keys.ts';
import styles from './screen.module.css';

/** What the bar does to the screen. */
export interface ScreenHandle {
  focus(): void;
  /** The text on it; empty in graphics modes. */
  text(): string;
  png(): Promise<Blob | null>;
  /** Small, `width` dots wide. */
  thumbnail(width: number): Promise<Blob | null>;
  /** Dots; 0 before there is a picture. */
  size(): { width: number; height: number };
}

export interface ScreenProps {
  memory: SharedArrayBuffer | undefined;
  sender: InputSender | undefined;
  sticky: StickyKeys;
  /** Is there a guest that listens? */
  running: boolean;
  /** The system's keyboard may come when the screen has the focus (on touch screens). */
  systemKeyboard: boolean;
  title: string;
  /** Large dots with hard edges, in place of smooth ones. */
  crisp: boolean;
  /** The user wants to leave the screen by key; did something that leaving would lose; pasted a text that is to be typed. */
  onLeave(): void;
  onUsed(): void;
  onPaste(text: string): void;
  ref: Ref<ScreenHandle>;
}

export function Screen(props: ScreenProps) {
  const { memory, sender, sticky, running, systemKeyboard, title, crisp, ref } = props;
  const latest = useRef(props);
  latest.current = props;
  const place = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const keys = useRef<HTMLTextAreaElement>(null);
  const view = useRef<ScreenClient>(undefined);
  const [size, setSize] = useState<ScreenSize>();
  const [captured, setCaptured] = useState(false);
  const [absolute, setAbsolute] = useState(false);
  const [room, setRoom] = useState({ width: 0, height: 0 });

  useEffect(() => {
    const it = new ScreenClient(canvas.current!, setSize);
    view.current = it;
    return () => it.end();
  }, []);

  useEffect(() => { view.current!.show(memory); }, [memory]);

  useEffect(() => {
    if (!sender || !running) return;
    const input = new ScreenInput(canvas.current!, keys.current!, sender, sticky, {
      onUsed: () => latest.current.onUsed(),
      onLeave: () => latest.current.onLeave(),
      onPaste: (text) => latest.current.onPaste(text),
      onCapture: setCaptured,
      onUnknown: (characters) => notify(`A US keyboard has no key for ${characters}`),
    });
    const looking = setInterval(() => setAbsolute(sender.isAbsolute), 250);
    return () => {
      clearInterval(looking);
      input.dispose();
      setCaptured(false);
    };
  }, [sender, sticky, running]);

  // A touch screen's keyboard comes with the focus, where it is wanted; to change that takes a new focus.
  useEffect(() => {
    const field = keys.current!;
    if (document.activeElement !== field) return;
    field.blur();
    field.focus({ preventScroll: true });
  }, [systemKeyboard]);

  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => setRoom(entry.contentRect));
    observer.observe(place.current!);
    return () => observer.disconnect();
  }, []);

  useImperativeHandle(ref, () => ({
    focus: () => keys.current?.focus({ preventScroll: true }),
    text: () => view.current?.text() ?? '',
    png: () => view.current?.png() ?? Promise.resolve(null),
    thumbnail: (width) => view.current?.thumbnail(width) ?? Promise.resolve(null),
    size: () => ({ width: size?.width ?? 0, height: size?.height ?? 0 }),
  }), [size]);

  return (
    <div ref={place} className={styles.place} data-screen={size ? `${size.width}x${size.height}` : ''}>
      <canvas ref={canvas} className={`${styles.canvas} ${crisp ? styles.crisp : ''} ${absolute ? styles.guestPointer : ''}`} style={fitted(size, room, crisp)} role="img" aria-label={`Screen of ${title}`} />
      <textarea ref={keys} className={styles.keys} aria-label={`Keyboard of ${title}`} autoCapitalize="off" autoComplete="off" autoCorrect="off" spellCheck={false} rows={1} inputMode={systemKeyboard ? 'text' : 'none'} />
      {captured && <p className={styles.captured} role="status">The mouse is the guest’s. <kbd>Esc</kbd> gives it back.</p>}
    </div>
  );
}

/** Size of the canvas on the page, CSS pixels. */
function fitted(size: ScreenSize | undefined, room: { width: number; height: number }, crisp: boolean): { width: number; height: number } | undefined {
  if (!size || !room.width || !room.height) return undefined;
  let width = Math.min(room.width, room.height * size.aspect);
  // Square dots stay square and all as large as each other when each takes a whole number of the display's.
  const times = Math.floor((width * devicePixelRatio) / size.width);
  if (crisp && times >= 1 && Math.abs(size.aspect - size.width / size.height) < 0.01) width = (times * size.width) / devicePixelRatio;
  return { width, height: width / size.aspect };
}
