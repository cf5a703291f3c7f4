// The machine's screen: a canvas as large as its place allows, in the shape of a monitor.

import { useEffect, useImperativeHandle, useRef, useState, type Ref } from 'react';
import { ScreenView, type ScreenSize } from './screen-view.ts';
import styles from './screen.module.css';

/** What the bar does to the screen. */
export interface ScreenHandle {
  focus(): void;
  /** The text on it; empty in graphics modes. */
  text(): string;
  png(): Promise<Blob | null>;
  /** Dots; 0 before there is a picture. */
  size(): { width: number; height: number };
}

export interface ScreenProps {
  memory: SharedArrayBuffer | undefined;
  title: string;
  /** Large dots with hard edges, in place of smooth ones. */
  crisp: boolean;
  /** The user wants to leave the screen by key. */
  onLeave(): void;
  ref: Ref<ScreenHandle>;
}

export function Screen(props: ScreenProps) {
  const { memory, title, crisp, ref } = props;
  const place = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const keys = useRef<HTMLTextAreaElement>(null);
  const view = useRef<ScreenView>(undefined);
  const [size, setSize] = useState<ScreenSize>();
  const [room, setRoom] = useState({ width: 0, height: 0 });

  useEffect(() => {
    if (!memory) return;
    const it = new ScreenView(canvas.current!, memory, setSize);
    view.current = it;
    it.start();
    return () => it.stop();
  }, [memory]);

  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => setRoom(entry.contentRect));
    observer.observe(place.current!);
    return () => observer.disconnect();
  }, []);

  useImperativeHandle(ref, () => ({
    focus: () => keys.current?.focus({ preventScroll: true }),
    text: () => view.current?.text() ?? '',
    png: () => view.current?.png() ?? Promise.resolve(null),
    size: () => ({ width: size?.width ?? 0, height: size?.height ?? 0 }),
  }), [size]);

  return (
    <div ref={place} className={styles.place} data-screen={size ? `${size.width}x${size.height}` : ''}>
      <canvas ref={canvas} className={`${styles.canvas} ${crisp ? styles.crisp : ''}`} style={fitted(size, room, crisp)} role="img" aria-label={`Screen of ${title}`} />
      <textarea ref={keys} className={styles.keys} aria-label={`Keyboard of ${title}`} autoCapitalize="off" autoComplete="off" autoCorrect="off" spellCheck={false} rows={1} />
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
