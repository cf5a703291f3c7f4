// While a machine loads: what it is, how much comes, and how far each part is.

import { bytes } from '../format.ts';
import type { BootPart, SessionView } from './session.ts';
import styles from './panel.module.css';

const LABELS: Record<BootPart['phase'], string> = { engine: 'Engine', firmware: 'Firmware', kernel: 'Kernel', initrd: 'Initial RAM disk' };

export function BootPanel({ view, line }: { view: SessionView; line: string }) {
  const known = view.parts.filter((part) => part.phase !== 'engine').every((part) => part.total > 0);
  const total = view.parts.reduce((sum, part) => sum + part.total, 0);
  const current = view.parts.find((part) => part.state === 'loading');
  return (
    <section className={styles.panel} aria-labelledby="boot-title">
      <h1 id="boot-title">Starting {view.title}</h1>
      <p className={styles.muted}>{total > 0 ? `${known ? '' : 'At least '}${bytes(total)} to load` : 'Looking what there is to load'}</p>
      <ul className={styles.parts}>
        {view.parts.map((part) => <Part key={`${part.phase} ${part.name}`} part={part} />)}
      </ul>
      <p className={styles.muted} aria-live="polite">{view.step || (current ? `Loading: ${LABELS[current.phase].toLowerCase()}` : 'Getting ready')}</p>
      <p className={styles.line}><code>{line}</code></p>
    </section>
  );
}

function Part({ part }: { part: BootPart }) {
  const share = part.state === 'done' ? 1 : part.total > 0 ? Math.min(1, part.loaded / part.total) : 0;
  const label = LABELS[part.phase];
  return (
    <li className={styles.part}>
      <span className={styles.name} title={part.name}>{label} <small>{part.note || part.name}</small></span>
      <span className={styles.amount}>{amount(part)}</span>
      <div className={styles.track} role="progressbar" aria-label={label} aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(share * 100)}>
        <div className={styles.fill} style={{ width: `${share * 100}%` }} />
      </div>
    </li>
  );
}

function amount(part: BootPart): string {
  if (part.state === 'done') return bytes(Math.max(part.loaded, part.total));
  if (part.state === 'waiting') return part.total > 0 ? bytes(part.total) : '';
  return part.total > 0 ? `${bytes(part.loaded)} of ${bytes(part.total)}` : bytes(part.loaded);
}
