// How much the browser keeps for this page, and whether it may clear that away by itself.

import { useEffect, useState } from 'react';
import { keepStorage } from '../../backends/block/overlay-store.ts';
import { bytes } from '../format.ts';
import { notify } from '../notices.tsx';
import styles from './disks.module.css';

export function StorageNote() {
  const [known, setKnown] = useState<{ used: number; room: number; kept: boolean }>();
  const look = async () => {
    const { usage = 0, quota = 0 } = await navigator.storage.estimate();
    setKnown({ used: usage, room: Math.max(0, quota - usage), kept: await navigator.storage.persisted() });
  };
  // A browser that does not tell has no note.
  useEffect(() => { look().catch(() => {}); }, []);
  if (!known) return null;
  return (
    <p className={styles.note}>
      {bytes(known.used)} are stored for this page; the browser has room for {bytes(known.room)} more.{' '}
      {known.kept ? 'It keeps them until you clear this page’s data.' : (
        <>
          If this computer runs short of room, the browser may clear them away.{' '}
          <button type="button" className={styles.link} onClick={() => void keepStorage().then((kept) => {
            notify(kept ? 'The browser keeps what is stored here' : 'The browser did not agree; it may after more visits, or when the page is bookmarked or installed');
            return look();
          })}>Ask it not to</button>
        </>
      )}
    </p>
  );
}
