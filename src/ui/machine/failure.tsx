// What failed, why, and what to do about it.

import { useEffect, useRef, type ReactNode } from 'react';
import type { MachineFailure } from '../../machine/protocol.ts';
import { notify } from '../notices.tsx';
import styles from './panel.module.css';

export interface FailureProps {
  failure: MachineFailure;
  onRetry(): void;
  /** The machine line, for the copied report. */
  line?: string;
  children?: ReactNode;
}

export function FailurePanel({ failure, onRetry, line, children }: FailureProps) {
  const retry = useRef<HTMLButtonElement>(null);
  useEffect(() => { retry.current?.focus(); }, []);
  const report = [failure.what, failure.why, line && `Machine: ${line}`, navigator.userAgent, failure.details].filter(Boolean).join('\n\n');
  const copy = () => navigator.clipboard.writeText(report).then(() => notify('Details copied'), () => notify('The browser did not allow copying: select the text instead', 'error'));
  return (
    <section className={styles.panel} role="alert" aria-labelledby="failure-what">
      <h1 id="failure-what" className={styles.failed}>{failure.what}</h1>
      <p className={styles.why}>{sentence(failure.why)}</p>
      {failure.advice && <p>{sentence(failure.advice)}</p>}
      {failure.details && (
        <details className={styles.details} open>
          <summary>Details</summary>
          <pre tabIndex={0}>{failure.details}</pre>
        </details>
      )}
      <div className={styles.buttons}>
        <button ref={retry} type="button" className="button primary" onClick={onRetry}>Try again</button>
        <a className="button" href="#">Home</a>
        {children}
        {failure.details && <button type="button" className="button" onClick={() => void copy()}>Copy details</button>}
      </div>
    </section>
  );
}

/** The same where there is no machine to show it over. */
export function FailurePage(props: FailureProps) {
  return <main className={styles.page}><FailurePanel {...props} /></main>;
}

/** With a capital and a full stop: the parts of a failure come without, as the runner puts them into sentences. A file name stays as it is. */
function sentence(text: string): string {
  const start = /^[a-z]+[ ,]/.test(text) ? text.charAt(0).toUpperCase() + text.slice(1) : text;
  return /[.!?…]$/.test(start) ? start : `${start}.`;
}
