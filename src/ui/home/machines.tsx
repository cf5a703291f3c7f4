// The user's machines as cards: what each showed last, when that was, and what of its disks has changed.

import { useEffect, useState } from 'react';
import type { OverlayInfo } from '../../backends/block/overlay-store.ts';
import { parse } from '../../machine/options/index.ts';
import { Ask } from '../dialog.tsx';
import { ago, bytes } from '../format.ts';
import { Icon } from '../icons.tsx';
import { removeMachine, renameMachine, restoreMachine, savedMachines, type SavedMachine } from '../library.ts';
import { hashOf, wordsOf } from '../line.ts';
import { notify } from '../notices.tsx';
import styles from './home.module.css';

export function Machines({ overlays, onEdit }: { overlays: readonly OverlayInfo[]; onEdit(line: string): void }) {
  const [machines, setMachines] = useState<SavedMachine[]>([]);
  const [renaming, setRenaming] = useState<SavedMachine>();
  const reload = () => savedMachines().then(setMachines);
  useEffect(() => { void reload(); }, []);
  if (!machines.length) return null;

  const remove = async (machine: SavedMachine) => {
    await removeMachine(machine.line);
    await reload();
    notify(`${machine.title} was removed from this list`, 'info', { label: 'Undo', run: () => void restoreMachine(machine).then(reload) });
  };
  return (
    <section aria-labelledby="machines">
      <h2 id="machines">Your machines</h2>
      <ul className={styles.machines}>
        {machines.map((machine) => (
          <li key={machine.line} className={styles.machine}>
            <a href={hashOf(machine.line)} aria-label={`Start ${machine.title}`}>
              <Look machine={machine} />
              <strong>{machine.title}</strong>
              <small>{[ago(machine.used), diskUse(machine.line, overlays)].filter(Boolean).join(' · ')}</small>
            </a>
            <div className={styles.tools}>
              <Tool icon="edit" label={`Edit ${machine.title}`} onClick={() => onEdit(machine.line)} />
              <Tool icon="rename" label={`Rename ${machine.title}`} onClick={() => setRenaming(machine)} />
              <Tool icon="close" label={`Remove ${machine.title} from this list`} onClick={() => void remove(machine)} />
            </div>
          </li>
        ))}
      </ul>
      {renaming && (
        <Ask title={`Rename ${renaming.title}`} label="Name" value={renaming.title} action="Rename" onAnswer={(title) => {
          setRenaming(undefined);
          if (title) void renameMachine(renaming.line, title).then(reload);
        }} />
      )}
    </section>
  );
}

function Look({ machine: { picture, text } }: { machine: SavedMachine }) {
  const [url, setUrl] = useState<string>();
  useEffect(() => {
    if (!picture) return;
    const made = URL.createObjectURL(picture);
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [picture]);
  return <div className={styles.look}>{url ? <img src={url} alt="" /> : text ? <pre aria-hidden="true">{text}</pre> : <Icon name="screen" />}</div>;
}

export function Tool({ icon, label, disabled, onClick }: { icon: Parameters<typeof Icon>[0]['name']; label: string; disabled?: boolean; onClick(): void }) {
  return <button type="button" aria-label={label} title={label} disabled={disabled} onClick={onClick}><Icon name={icon} /></button>;
}

/** "120 MB changed", of all the disks of a line. */
function diskUse(line: string, overlays: readonly OverlayInfo[]): string {
  let files: Set<string>;
  try {
    files = new Set(parse(wordsOf(line)).drives.map((drive) => drive.file));
  } catch {
    // A line of another version.
    return '';
  }
  const used = overlays.filter((overlay) => files.has(overlay.file)).reduce((sum, overlay) => sum + overlay.bytes, 0);
  return used ? `${bytes(used)} changed` : '';
}
