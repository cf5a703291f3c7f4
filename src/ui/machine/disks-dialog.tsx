// The disks of a machine, over its room: what is in each drive, how much of it was changed, and what can be done with that.

import { useCallback, useEffect, useRef, useState } from 'react';
import { listOverlays, type OverlayInfo } from '../../backends/block/overlay-store.ts';
import type { DriveView } from '../../machine/protocol.ts';
import dialogs from '../dialog.module.css';
import { useDiskActions } from '../disks/disk-actions.tsx';
import { StorageNote } from '../disks/storage-note.tsx';
import styles from '../disks/disks.module.css';
import { bytes } from '../format.ts';
import { LOCAL_PREFIX } from '../local-files.ts';
import { driveTitle } from './drives.tsx';

/** How often the changes of a machine that runs are counted, ms. */
const LOOK_MS = 2000;

export interface DisksDialogProps {
  drives: readonly DriveView[];
  /** The machine has them. */
  running: boolean;
  onClose(): void;
}

export function DisksDialog({ drives, running, onClose }: DisksDialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [overlays, setOverlays] = useState<readonly OverlayInfo[]>([]);
  // Where nothing can be stored, nothing is.
  const look = useCallback(() => { listOverlays().then(setOverlays, () => {}); }, []);
  const { buttons, question } = useDiskActions(look);
  useEffect(() => { dialog.current?.showModal(); }, []);
  useEffect(() => {
    look();
    const looking = setInterval(look, LOOK_MS);
    return () => clearInterval(looking);
  }, [look, running]);

  const rows = drives.map((drive) => ({ drive, overlay: overlays.find(({ file }) => file === drive.file) }));
  return (
    <>
      <dialog ref={dialog} className={`${dialogs.dialog} ${dialogs.large}`} aria-labelledby="disks-dialog" onClose={onClose}
        onClick={(event) => { if (event.target === event.currentTarget) event.currentTarget.close(); }}>
        <div className={dialogs.body}>
          <h2 id="disks-dialog">Disks</h2>
          <ul className={styles.list}>
            {rows.map(({ drive, overlay }) => (
              <li key={drive.name} className={styles.disk}>
                <span className={styles.what}>
                  <strong>{overlay?.title ?? drive.file?.replace(LOCAL_PREFIX, '') ?? capital(driveTitle(drive))}</strong>
                  <small>{drive.file === undefined ? 'empty' : [capital(driveTitle(drive)), drive.size === undefined ? '' : bytes(drive.size), kept(drive, overlay)].filter(Boolean).join(' · ')}</small>
                </span>
                {overlay && drive.kept && buttons(overlay)}
              </li>
            ))}
          </ul>
          {running && rows.some(({ drive }) => drive.kept) && <p className={styles.note}>While the machine runs its disks cannot be downloaded or changed back: switch it off first.</p>}
          <StorageNote />
          <div className={dialogs.buttons}><button type="button" className="button" onClick={() => dialog.current?.close()}>Close</button></div>
        </div>
      </dialog>
      {question}
    </>
  );
}

/** What becomes of what the guest writes. */
function kept(drive: DriveView, overlay: OverlayInfo | undefined): string {
  if (drive.file === undefined || drive.kind === 'cdrom') return '';
  if (drive.kept) return overlay?.bytes ? `${bytes(overlay.bytes)} changed, kept in this browser` : 'unchanged; changes are kept in this browser';
  return drive.readOnly ? 'read only' : 'changes are lost when the machine ends (snapshot=on)';
}

const capital = (words: string): string => words[0].toUpperCase() + words.slice(1);
