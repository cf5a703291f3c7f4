// Disks that machines have written to: what of them is kept in this browser.

import type { OverlayInfo } from '../../backends/block/overlay-store.ts';
import { useDiskActions } from '../disks/disk-actions.tsx';
import { StorageNote } from '../disks/storage-note.tsx';
import disks from '../disks/disks.module.css';
import { ago, bytes } from '../format.ts';
import styles from './home.module.css';

export function Disks({ overlays, onChanged }: { overlays: readonly OverlayInfo[]; onChanged(): void }) {
  const { buttons, question } = useDiskActions(onChanged);
  if (!overlays.length) return null;
  return (
    <section aria-labelledby="disks">
      <h2 id="disks">Disks</h2>
      <p className={styles.muted}>What machines wrote to their disks is kept in this browser, beside the files themselves, which stay as they are.</p>
      <ul className={disks.list}>
        {overlays.map((overlay) => (
          <li key={overlay.file} className={disks.disk}>
            <span className={disks.what}>
              <strong>{overlay.title}</strong>
              <small>{[overlay.title === overlay.file ? '' : overlay.file, `${bytes(overlay.bytes)} changed of ${bytes(overlay.size)}`, ago(overlay.changed), overlay.inUse ? 'in use by a machine' : ''].filter(Boolean).join(' · ')}</small>
            </span>
            {buttons(overlay)}
          </li>
        ))}
      </ul>
      <StorageNote />
      {question}
    </section>
  );
}
