// What stands under Drives in the bar: what is in each drive for media that can be changed, and what can be put there.

import { useRef } from 'react';
import type { DriveView } from '../../machine/protocol.ts';
import { take, type Given } from '../give.ts';
import { LOCAL_PREFIX } from '../local-files.ts';
import { notify } from '../notices.tsx';
import { Item } from './bar.tsx';

export interface DriveItemsProps {
  drives: readonly DriveView[];
  onInsert(drive: string, file: Given): void;
  onEject(drive: string): void;
  /** Show the disks and what was changed. */
  onDisks(): void;
}

export function DriveItems({ drives, onInsert, onEject, onDisks }: DriveItemsProps) {
  const picker = useRef<HTMLInputElement>(null);
  const into = useRef<DriveView>(undefined);
  return (
    <>
      <Item icon="disk" label="Disks…" note="sizes, downloads" onClick={onDisks} />
      {drives.filter((drive) => drive.kind !== 'disk').map((drive) => {
        const name = driveTitle(drive);
        const medium = drive.file?.replace(LOCAL_PREFIX, '').split('/').pop();
        return [
          <Item key={`${drive.name} insert`} icon="disk" label={`Insert into the ${name}…`} note={medium ?? 'empty'} onClick={() => {
            into.current = drive;
            picker.current?.click();
          }} />,
          <Item key={`${drive.name} eject`} icon="up" label={`Eject from the ${name}`} disabled={!drive.file} onClick={() => onEject(drive.name)} />,
        ];
      })}
      <input ref={picker} type="file" hidden aria-label="Medium for the drive" onChange={(event) => {
        const list = [...event.target.files ?? []];
        event.target.value = '';
        const drive = into.current;
        if (!drive) return;
        void take(list).then(([file]) => {
          if (!file) return;
          if (file.role === drive.kind) onInsert(drive.name, file);
          else notify(`${file.title} is ${file.words}: it does not go into the ${driveTitle(drive)}`, 'error');
        });
      }} />
    </>
  );
}

/** "CD-ROM drive", "floppy drive A", "disk ide0-hd0". */
export function driveTitle({ name, kind }: DriveView): string {
  if (kind === 'disk') return `disk ${name}`;
  const number = Number(/\d+$/.exec(name)?.[0] ?? 0);
  return kind === 'floppy' ? `floppy drive ${number === 0 ? 'A' : 'B'}` : name === 'ide1-cd0' ? 'CD-ROM drive' : `CD-ROM drive ${name}`;
}
