// Home: the user's machines, the bundled guests, files of one's own, changed disks, and a machine line of one's own.

import { useCallback, useEffect, useRef, useState } from 'react';
import { listOverlays, type OverlayInfo } from '../../backends/block/overlay-store.ts';
import { useDrop } from '../drop.ts';
import { bytes } from '../format.ts';
import { lineFor, take, type Given } from '../give.ts';
import { bundledGuests, type Guest } from '../guests.ts';
import { Icon } from '../icons.tsx';
import { hashOf } from '../line.ts';
import { forgetLocalFile, keepLocalFile, localFiles, LOCAL_PREFIX, type LocalFile } from '../local-files.ts';
import { MachineForm } from '../machine-form.tsx';
import { notify } from '../notices.tsx';
import { Disks } from './disks.tsx';
import { Machines, Tool } from './machines.tsx';
import styles from './home.module.css';

export function Home() {
  const [given, setGiven] = useState<Given[]>([]);
  const [line, setLine] = useState('');
  const [overlays, setOverlays] = useState<OverlayInfo[]>([]);
  const form = useRef<HTMLElement>(null);
  const onFiles = useCallback((files: File[]) => { void take(files).then(setGiven); }, []);
  const dropping = useDrop(onFiles);
  // Without storage there are none.
  const look = useCallback(() => { listOverlays().then(setOverlays, () => {}); }, []);
  useEffect(look, [look]);

  const edit = (wanted: string) => {
    setLine(wanted);
    form.current?.scrollIntoView({ block: 'start' });
    form.current?.querySelector<HTMLElement>('input')?.focus({ preventScroll: true });
  };
  return (
    <div className={styles.home}>
      <header className={styles.head}>
        <h1>Tabvisor</h1>
        <p>A 64-bit PC in this tab. Choose a system, or drop a disk, CD or floppy image anywhere here, and it boots: nothing is installed, and it runs on your own computer.</p>
        <nav aria-label="Page"><a href="#help">Help</a></nav>
      </header>
      <main className={styles.rooms}>
        <JustGiven given={given} onEdit={edit} />
        <Machines overlays={overlays} onEdit={edit} />
        <Guests />
        <OwnFiles given={given} onFiles={onFiles} onEdit={edit} />
        <Disks overlays={overlays} onChanged={look} />
        <section ref={form} aria-labelledby="own">
          <h2 id="own">A machine of your own</h2>
          <MachineForm line={line} onLine={setLine} onBoot={(wanted) => { location.hash = hashOf(wanted); }} action="Boot" filesVersion={given.length ? given[0].size + given.length : 0} />
        </section>
      </main>
      {dropping && <div className={styles.dropping} aria-hidden="true">Drop a disk, a CD, a floppy or a kernel</div>}
    </div>
  );
}

function Guests() {
  const [guests, setGuests] = useState<Guest[]>();
  useEffect(() => { void bundledGuests().then(setGuests); }, []);
  return (
    <section aria-labelledby="guests">
      <h2 id="guests">Ready to boot</h2>
      {guests?.length === 0 && (
        <p className={styles.muted}>This copy of the page came without guests. (<code>npm run guests</code> makes them on a Debian system; <code>npm run build</code> takes them in.)</p>
      )}
      <ul className={styles.cards}>
        {guests?.map((guest) => (
          <li key={guest.name}>
            <a className={styles.card} href={hashOf(guest.line)}>
              <strong>{guest.title}</strong>
              <span>{guest.description}</span>
              <small>{bytes(guest.files.reduce((sum, file) => sum + file.transfer, 0))} to load</small>
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** What was dropped or chosen last: what it is, and a button that boots it. */
function JustGiven({ given, onEdit }: { given: readonly Given[]; onEdit(line: string): void }) {
  const boot = useRef<HTMLAnchorElement>(null);
  useEffect(() => {
    boot.current?.scrollIntoView({ block: 'nearest' });
    boot.current?.focus({ preventScroll: true });
  }, [given]);
  if (!given.length) return null;
  const line = lineFor(given);
  return (
    <section className={styles.given} aria-labelledby="given">
      <h2 id="given" className="hidden">What you gave</h2>
      <ul role="status">
        {given.map((file) => (
          <li key={file.name} className={file.role === 'other' ? styles.problem : undefined}>
            <strong>{file.title}</strong> ({bytes(file.size)}) is {article(file.words)}.
            {file.visitOnly && ' It is too large to be kept here: after a reload, drop it again.'}
          </li>
        ))}
      </ul>
      {line && (
        <div className={styles.buttons}>
          <a ref={boot} className="button primary" href={hashOf(line)}>Boot</a>
          <button type="button" className="button" onClick={() => onEdit(line)}>Change the machine first</button>
          <code className={styles.line}>{line}</code>
        </div>
      )}
    </section>
  );
}

/** "a qcow2 disk". */
function article(words: string): string {
  if (/^(?:a|an|neither|not|the) /.test(words)) return words;
  return /^(?:initramfs|VHD|[aeio])/i.test(words) && !/^VHD|^VDI|^VMDK/.test(words) ? `an ${words}` : `a ${words}`;
}

/** The files that are kept in this browser. */
function OwnFiles({ given, onFiles, onEdit }: { given: readonly Given[]; onFiles(files: File[]): void; onEdit(line: string): void }) {
  const [files, setFiles] = useState<LocalFile[]>([]);
  const picker = useRef<HTMLInputElement>(null);
  const reload = () => localFiles().then(setFiles);
  useEffect(() => { void reload(); }, [given]);

  const forget = async (file: LocalFile) => {
    await forgetLocalFile(file.name);
    await reload();
    notify(`${shortName(file)} was removed from this browser`, 'info', { label: 'Undo', run: () => void keepLocalFile(file).then(reload) });
  };
  return (
    <section aria-labelledby="files">
      <h2 id="files">Your own files</h2>
      <div className={styles.drop}>
        <p>Drop an image of a disk (raw, qcow2, VMDK, VDI, VHD, VHDX), a CD or a floppy, or a Linux or multiboot kernel with its initramfs, anywhere on this page. They stay in this browser.</p>
        <button type="button" className="button" onClick={() => picker.current?.click()}><Icon name="file" />Choose files</button>
        <input ref={picker} type="file" multiple hidden aria-label="Disk, CD, floppy, kernel and initramfs files" onChange={(event) => {
          const list = [...event.target.files ?? []];
          event.target.value = '';
          onFiles(list);
        }} />
      </div>
      {files.length > 0 && (
        <ul className={styles.files}>
          {files.map((file) => {
            const line = lineFor([file]);
            return (
              <li key={file.name} className={styles.file}>
                <span><code>{shortName(file)}</code> <small>{file.words}, {bytes(file.blob.size)}</small></span>
                <span className={styles.actions}>
                  {line && <Tool icon="edit" label={`Edit a machine with ${shortName(file)}`} onClick={() => onEdit(line)} />}
                  {line && <a className="button" href={hashOf(line)} aria-label={`Boot ${shortName(file)}`}>Boot</a>}
                  <Tool icon="close" label={`Forget ${shortName(file)}`} onClick={() => void forget(file)} />
                </span>
              </li>
            );
          })}
        </ul>
      )}
    </section>
  );
}

const shortName = (file: LocalFile) => file.name.slice(LOCAL_PREFIX.length);
