// Short notices at the foot of the page, read out by screen readers; they go by themselves. They are a popover, so that they are seen over a machine in
// full screen and over a dialog: what comes last into the top layer is on top.

import { useEffect, useRef, useSyncExternalStore } from 'react';
import { Icon } from './icons.tsx';
import styles from './notices.module.css';

interface Action { label: string; run(): void }
interface Notice { id: number; text: string; kind: 'info' | 'error' | 'loss'; action?: Action }

/** What is lost stays said until its user has put it away. */
const SHOWN_MS = { info: 5000, error: 15_000, loss: undefined };
let notices: readonly Notice[] = [];
let nextId = 1;
const listeners = new Set<() => void>();

function change(next: readonly Notice[]): void {
  notices = next;
  for (const listener of listeners) listener();
}

/** @param action what the user may do about it, such as taking it back */
export function notify(text: string, kind: Notice['kind'] = 'info', action?: Action): void {
  const id = nextId++;
  change([...notices.filter((notice) => notice.text !== text).slice(-2), { id, text, kind, action }]);
  const shown = action ? SHOWN_MS.error : SHOWN_MS[kind];
  if (shown !== undefined) setTimeout(() => dismiss(id), shown);
}

function dismiss(id: number): void {
  change(notices.filter((notice) => notice.id !== id));
}

export function Notices() {
  const shown = useSyncExternalStore((listener) => { listeners.add(listener); return () => { listeners.delete(listener); }; }, () => notices);
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const raise = () => {
      const it = place.current!;
      if (it.matches(':popover-open')) it.hidePopover();
      if (shown.length) it.showPopover();
    };
    raise();
    document.addEventListener('fullscreenchange', raise);
    return () => document.removeEventListener('fullscreenchange', raise);
  }, [shown]);
  return (
    <div ref={place} popover="manual" className={styles.notices} role="status" aria-live="polite">
      {shown.map((notice) => (
        <div key={notice.id} className={`${styles.notice} ${notice.kind === 'info' ? '' : styles.error}`}>
          <span>{notice.text}</span>
          {notice.action && <button type="button" className={styles.action} onClick={() => { notice.action!.run(); dismiss(notice.id); }}>{notice.action.label}</button>}
          <button type="button" aria-label="Dismiss" onClick={() => dismiss(notice.id)}><Icon name="close" /></button>
        </div>
      ))}
    </div>
  );
}
