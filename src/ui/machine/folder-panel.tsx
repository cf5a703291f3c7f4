// Before a machine starts whose line shares a folder: which one of the user's it is. A page reaches none by itself.

import { useRef, useState } from 'react';
import type { GivenFile } from '../../machine/protocol.ts';
import { droppedFiles, MAX_FILES, pickedFiles } from '../folders.ts';
import type { WantedFolder } from './session.ts';
import styles from './panel.module.css';

export function FolderPanel({ folder, onGiven }: { folder: WantedFolder; onGiven(files: GivenFile[]): void }) {
  const [problem, setProblem] = useState('');
  const picker = useRef<HTMLInputElement>(null);
  const give = (files: GivenFile[]) => {
    if (files.length > MAX_FILES) setProblem(`The folder has more than ${MAX_FILES} files.`);
    else onGiven(files);
  };
  return (
    <section className={styles.panel} aria-labelledby="folder-title" onDragOver={(event) => event.preventDefault()} onDrop={(event) => {
      event.preventDefault();
      // The page's own answer to dropped files is for a machine that runs.
      event.stopPropagation();
      droppedFiles(event.dataTransfer.items).then(give, (error: Error) => setProblem(`${error.message}.`));
    }}>
      <h1 id="folder-title">This machine wants a folder</h1>
      <p>Its line calls it <code>{folder.path}</code>; the guest mounts it as <code>{folder.tags.join(', ')}</code>. Choose a folder, or drop one here.</p>
      <p className={styles.muted}>
        {folder.readOnly ? 'The guest reads it. ' : 'The guest reads it; what it writes stays in this tab’s memory and is gone with the machine. '}
        Nothing is sent anywhere.
      </p>
      {problem && <p role="alert" className={styles.failed}>{problem}</p>}
      <div className={styles.buttons}>
        <button type="button" className="button primary" autoFocus onClick={() => picker.current?.click()}>Choose a folder</button>
        <button type="button" className="button" onClick={() => give([])}>Go on with an empty one</button>
        <input ref={picker} type="file" hidden aria-label={`Folder ${folder.path}`} {...{ webkitdirectory: '' }} onChange={(event) => give(pickedFiles(event.target.files ?? []))} />
      </div>
    </section>
  );
}
