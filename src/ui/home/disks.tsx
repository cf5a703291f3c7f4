// Disks that machines have written to: what of them is kept in this browser. Changes can be discarded, or given another name.

import { useState } from 'react';
import { exportDisk } from '../../backends/block/export.ts';
import { discardOverlay, renameOverlay, type OverlayInfo } from '../../backends/block/overlay-store.ts';
import { asFailure } from '../../machine/client.ts';
import { Ask, Confirm } from '../dialog.tsx';
import { ago, bytes } from '../format.ts';
import { diskSource } from '../local-files.ts';
import { notify } from '../notices.tsx';
import { saveStream } from '../save-file.ts';
import { Tool } from './machines.tsx';
import styles from './home.module.css';

export function Disks({ overlays, onChanged }: { overlays: readonly OverlayInfo[]; onChanged(): void }) {
  const [renaming, setRenaming] = useState<OverlayInfo>();
  const [discarding, setDiscarding] = useState<OverlayInfo>();
  if (!overlays.length) return null;
  const report = (error: unknown) => {
    const { what, why, advice } = asFailure(error);
    notify(`${what}: ${why}. ${advice}`, 'error');
  };
  return (
    <section aria-labelledby="disks">
      <h2 id="disks">Changed disks</h2>
      <p className={styles.muted}>What machines wrote to their disks is kept in this browser, beside the files themselves, which stay as they are.</p>
      <ul className={styles.files}>
        {overlays.map((overlay) => (
          <li key={overlay.file} className={styles.file}>
            <span><strong>{overlay.title}</strong> <small>{[overlay.title === overlay.file ? '' : overlay.file, `${bytes(overlay.bytes)} changed of ${bytes(overlay.size)}`, ago(overlay.changed), overlay.inUse ? 'in use' : ''].filter(Boolean).join(' · ')}</small></span>
            <Tool icon="rename" label={`Rename ${overlay.title}`} onClick={() => setRenaming(overlay)} />
            {(['raw', 'qcow2'] as const).map((format) => (
              <button key={format} type="button" className="button" disabled={overlay.inUse} title={`Download the disk with its changes, ${format}`} onClick={() => void download(overlay, format).catch(report)}>{format}</button>
            ))}
            <button type="button" className="button" disabled={overlay.inUse} onClick={() => setDiscarding(overlay)}>Discard changes…</button>
          </li>
        ))}
      </ul>
      {renaming && (
        <Ask title={`Rename ${renaming.title}`} label="Name" value={renaming.title} action="Rename" onAnswer={(title) => {
          setRenaming(undefined);
          if (title) renameOverlay(renaming.file, title).then(onChanged, report);
        }} />
      )}
      {discarding && (
        <Confirm title={`Discard the changes to ${discarding.title}?`} action="Discard changes" onAnswer={(yes) => {
          setDiscarding(undefined);
          if (yes) discardOverlay(discarding.file).then(onChanged, report);
        }}>All that machines wrote to it, {bytes(discarding.bytes)}, is lost. The disk is then as it was at first.</Confirm>
      )}
    </section>
  );
}

/** The whole disk, with what machines wrote, as a file. */
async function download(overlay: OverlayInfo, as: 'raw' | 'qcow2'): Promise<void> {
  const source = await diskSource(overlay.file);
  await saveStream(`${overlay.title.replace(/^.*[/]/, '').replace(/\.\w+$/, '')}.${as === 'raw' ? 'img' : 'qcow2'}`, () => exportDisk({ file: overlay.file, source }, as));
}
