// Files that were dropped on a machine's room: what they are, and what can be done with them.

import { bytes } from '../format.ts';
import { lineFor, type Given } from '../give.ts';
import { Icon } from '../icons.tsx';
import styles from './dropped.module.css';

export interface DroppedProps {
  files: readonly Given[];
  /** Start another machine with this line. */
  onBoot(line: string): void;
  onClose(): void;
}

export function Dropped({ files, onBoot, onClose }: DroppedProps) {
  const line = lineFor(files);
  return (
    <section className={styles.dropped} role="status" aria-label="Dropped files">
      <ul>
        {files.map((file) => (
          <li key={file.name}><strong>{file.title}</strong> <small>{file.words}, {bytes(file.size)}</small></li>
        ))}
      </ul>
      {line && <button type="button" className="button" onClick={() => onBoot(line)}>Boot in a new machine</button>}
      <button type="button" className={styles.close} aria-label="Dismiss" onClick={onClose}><Icon name="close" /></button>
    </section>
  );
}
