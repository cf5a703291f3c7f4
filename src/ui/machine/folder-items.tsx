// What stands under Folders in the bar: the folders that the machine shares, where the guest's changes are, and how to get them.

import { useEffect, useRef } from 'react';
import type { FolderView } from '../../machine/protocol.ts';
import { notify } from '../notices.tsx';
import { Item } from './bar.tsx';
import type { MachineSession } from './session.ts';
import styles from './network-items.module.css';

/** How often it is asked how they are while the menu is open, ms. */
const LOOK_MS = 1000;

export function FolderItems({ session, folders }: { session: MachineSession; folders: readonly FolderView[] }) {
  const list = useRef<HTMLUListElement>(null);
  useEffect(() => {
    const looking = setInterval(() => list.current?.checkVisibility() && void session.refreshFolders().catch(() => {}), LOOK_MS);
    return () => clearInterval(looking);
  }, [session]);
  return (
    <>
      <ul ref={list} className={styles.list} aria-label="Shared folders">
        {folders.map((folder) => (
          <li key={folder.path} className={styles.cable} data-folder={folder.path}>
            <strong>Folder <code>{folder.path}</code></strong>
            <span className={folder.kept === 'memory' && folder.changes ? styles.down : styles.up}>{words(folder)}</span>
          </li>
        ))}
      </ul>
      {folders.map((folder) => folder.changes > 0 && (
        <Item key={folder.path} icon="download" label={`Download changes of ${folder.path}`} note="tar" onClick={() => session.downloadChanges(folder.path).catch((error: Error) => notify(error.message, 'error'))} />
      ))}
    </>
  );
}

function words({ kept, changes, waiting }: FolderView): string {
  const files = changes === 1 ? '1 change' : `${changes} changes`;
  switch (kept) {
    case 'readonly': return 'the guest reads it';
    case 'memory': return changes ? `${files}, in this tab’s memory only` : 'nothing was changed; changes would stay in memory';
    case 'written': return waiting ? `${files}, ${waiting} of them still to be written` : changes ? `${files}, written into your folder` : 'changes go into your folder';
  }
}
