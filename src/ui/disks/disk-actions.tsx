// What people do with the changes that a disk's machine has made: give them another name, take the whole disk home as a file, discard them.

import { useState, type ReactNode } from 'react';
import { exportDisk } from '../../backends/block/export.ts';
import { discardOverlay, renameOverlay, type OverlayInfo } from '../../backends/block/overlay-store.ts';
import { asFailure } from '../../machine/client.ts';
import { Ask, Confirm } from '../dialog.tsx';
import { bytes } from '../format.ts';
import { Icon } from '../icons.tsx';
import { diskSource } from '../local-files.ts';
import { notify } from '../notices.tsx';
import { saveStream } from '../save-file.ts';
import styles from './disks.module.css';

export interface DiskActions {
  /** Buttons for a disk. */
  buttons(overlay: OverlayInfo): ReactNode;
  /** The question that waits for an answer. */
  question: ReactNode;
}

const FORMATS = ['raw', 'qcow2'] as const;

const report = (error: unknown) => {
  const { what, why, advice } = asFailure(error);
  notify(`${what}: ${why}. ${advice}`, 'error');
};

/** @param onChanged the list is another now */
export function useDiskActions(onChanged: () => void): DiskActions {
  const [renaming, setRenaming] = useState<OverlayInfo>();
  const [discarding, setDiscarding] = useState<OverlayInfo>();
  /** Files that are being written, and how much of each is. */
  const [saving, setSaving] = useState<ReadonlyMap<string, number>>(new Map());

  const download = async (overlay: OverlayInfo, format: (typeof FORMATS)[number]) => {
    const note = (share: number | undefined) => setSaving((before) => {
      const next = new Map(before);
      if (share === undefined) next.delete(overlay.file);
      else next.set(overlay.file, share);
      return next;
    });
    const name = `${overlay.title.replace(/^.*[/]/, '').replace(/\.\w+$/, '')}.${format === 'raw' ? 'img' : 'qcow2'}`;
    try {
      const source = await diskSource(overlay.file);
      if (await saveStream(name, () => exportDisk({ file: overlay.file, source }, format), note)) notify(`${name} is complete`);
    } catch (error) {
      report(error);
    } finally {
      note(undefined);
      onChanged();
    }
  };

  return {
    buttons: (overlay) => {
      const share = saving.get(overlay.file);
      const busy = overlay.inUse || share !== undefined;
      return (
        <span className={styles.actions}>
          <button type="button" className={styles.tool} aria-label={`Rename ${overlay.title}`} title="Rename" onClick={() => setRenaming(overlay)}><Icon name="rename" /></button>
          {share !== undefined
            ? <span className={styles.saving} role="status">Saving, {Math.floor(100 * share)} %</span>
            : FORMATS.map((format) => (
              <button key={format} type="button" className="button" disabled={busy} aria-label={`Download ${overlay.title} as ${format}`} title={`Download the whole disk with its changes, ${format}`} onClick={() => void download(overlay, format)}>
                <Icon name="download" />{format}
              </button>
            ))}
          <button type="button" className="button" disabled={busy} aria-label={`Discard the changes to ${overlay.title}…`} onClick={() => setDiscarding(overlay)}>Discard…</button>
        </span>
      );
    },
    question: (
      <>
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
      </>
    ),
  };
}
