// Files that were dropped on a machine's room: what they are, and what can be done with them.

import type { DriveView } from '../../machine/protocol.ts';
import { bytes } from '../format.ts';
import { lineFor, type Given } from '../give.ts';
import { driveTitle } from './drives.tsx';
import { Icon } from '../icons.tsx';
import styles from './dropped.module.css';

export interface DroppedProps {
  files: readonly Given[];
  /** Drives of the machine that runs. */
  drives: readonly DriveView[];
  onInsert(drive: string, file: Given): void;
  /** Start another machine with this line. */
  onBoot(line: string): void;
  onClose(): void;
}

export function Dropped({ files, drives, onInsert, onBoot, onClose }: DroppedProps) {
  const line = lineFor(files);
  return (
    <section className={styles.dropped} role="status" aria-label="Dropped files">
      <ul>
        {files.map((file) => (
          <li key={file.name}><strong>{file.title}</strong> <small>{file.words}, {bytes(file.size)}</small></li>
        ))}
      </ul>
      {files.flatMap((file) => drives.filter((drive) => drive.kind === file.role && drive.kind !== 'disk').map((drive) => (
        <button key={`${file.name} ${drive.name}`} type="button" className="button primary" onClick={() => onInsert(drive.name, file)}>Insert into the {driveTitle(drive)}</button>
      )))}
      {line && <button type="button" className="button" onClick={() => onBoot(line)}>Boot in a new machine</button>}
      <button type="button" className={styles.close} aria-label="Dismiss" onClick={onClose}><Icon name="close" /></button>
    </section>
  );
}
