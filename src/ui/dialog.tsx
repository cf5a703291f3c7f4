// A question that must be answered before something is lost. A native modal dialog: focus, Escape and inertness are the browser's.

import { useEffect, useId, useRef, useState, type ReactNode } from 'react';
import styles from './dialog.module.css';

export interface ConfirmProps {
  title: string;
  children: ReactNode;
  /** The button that does it, named by the deed. */
  action: string;
  onAnswer(yes: boolean): void;
}

export function Confirm({ title, children, action, onAnswer }: ConfirmProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => { dialog.current?.showModal(); }, []);
  return (
    <dialog
      ref={dialog}
      className={styles.dialog}
      aria-labelledby="confirm-title"
      aria-describedby="confirm-text"
      onClose={(event) => onAnswer(event.currentTarget.returnValue === 'yes')}
      onClick={(event) => { if (event.target === event.currentTarget) event.currentTarget.close(); }}
    >
      <form method="dialog" className={styles.body}>
        <h2 id="confirm-title">{title}</h2>
        <p id="confirm-text">{children}</p>
        <div className={styles.buttons}>
          <button className="button" value="no" autoFocus>Cancel</button>
          <button className="button danger" value="yes">{action}</button>
        </div>
      </form>
    </dialog>
  );
}

export interface AskProps {
  title: string;
  label: string;
  value: string;
  action: string;
  /** The text, trimmed and not empty; undefined: nothing is to be done. */
  onAnswer(text: string | undefined): void;
}

/** A question for a line of text. */
export function Ask({ title, label, value, action, onAnswer }: AskProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [text, setText] = useState(value);
  const id = useId();
  useEffect(() => { dialog.current?.showModal(); }, []);
  return (
    <dialog ref={dialog} className={styles.dialog} aria-labelledby={`${id}-title`}
      onClose={(event) => onAnswer(event.currentTarget.returnValue === 'yes' && text.trim() ? text.trim() : undefined)}>
      <form method="dialog" className={styles.body}>
        <h2 id={`${id}-title`}>{title}</h2>
        <label className={styles.label}>{label} <input type="text" value={text} autoFocus onFocus={(event) => event.target.select()} onChange={(event) => setText(event.target.value)} /></label>
        <div className={styles.buttons}>
          <button className="button primary" value="yes" disabled={!text.trim()}>{action}</button>
          <button className="button" value="no">Cancel</button>
        </div>
      </form>
    </dialog>
  );
}
