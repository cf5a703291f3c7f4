// Before a machine starts whose line shares a folder: which one of the user's it is. A page reaches none by itself.

import { useRef, useState } from 'react';
import { canWriteBack, droppedFolder, MAX_FILES, pickedFiles, pickFolder, type Gift } from '../folders.ts';
import type { WantedFolder } from './session.ts';
import styles from './panel.module.css';

export function FolderPanel({ folder, onGiven }: { folder: WantedFolder; onGiven(gift: Gift): void }) {
  const [problem, setProblem] = useState('');
  const picker = useRef<HTMLInputElement>(null);
  const give = (gift: Gift | undefined) => {
    if (!gift) return;
    if (gift.files.length > MAX_FILES) setProblem(`The folder has more than ${MAX_FILES} files.`);
    else onGiven(gift);
  };
  const failed = (error: Error) => setProblem(`${error.message}.`);
  const writes = canWriteBack() && !folder.readOnly;
  const choose = () => {
    if (canWriteBack()) pickFolder(folder.readOnly).then(give, failed);
    else picker.current?.click();
  };
  return (
    <section className={styles.panel} aria-labelledby="folder-title" onDragOver={(event) => event.preventDefault()} onDrop={(event) => {
      event.preventDefault();
      // The page's own answer to dropped files is for a machine that runs.
      event.stopPropagation();
      droppedFolder(event.dataTransfer.items, folder.readOnly).then(give, failed);
    }}>
      <h1 id="folder-title">This machine wants a folder</h1>
      <p>Its line calls it <code>{folder.path}</code>; the guest mounts it as <code>{folder.tags.join(', ')}</code>. Choose a folder, or drop one here.</p>
      <p className={styles.muted}>
        {folder.readOnly ? 'The guest reads it. '
          : writes ? 'The guest reads it, and what it writes goes into the folder: the browser asks you for leave. '
          : 'The guest reads it. This browser cannot write into folders: what the guest writes stays in this tab’s memory, for you to download. '}
        Nothing is sent anywhere.
      </p>
      {problem && <p role="alert" className={styles.failed}>{problem}</p>}
      <div className={styles.buttons}>
        <button type="button" className="button primary" autoFocus onClick={choose}>Choose a folder</button>
        {writes && <button type="button" className="button" onClick={() => picker.current?.click()}>Choose one, and leave it as it is</button>}
        <button type="button" className="button" onClick={() => give({ files: [] })}>Go on with an empty one</button>
        <input ref={picker} type="file" hidden aria-label={`Folder ${folder.path}`} {...{ webkitdirectory: '' }} onChange={(event) => give({ files: pickedFiles(event.target.files ?? []) })} />
      </div>
    </section>
  );
}
