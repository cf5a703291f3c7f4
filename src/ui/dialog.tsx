// A question that must be answered before something is lost. A native modal dialog: focus, Escape and inertness are the browser's.

import { useEffect, useRef, type ReactNode } from 'react';
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
