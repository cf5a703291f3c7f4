// Home: the bundled guests, a machine line of one's own, and files of one's own.

import { useEffect, useId, useRef, useState, type FormEvent } from 'react';
import { bytes } from '../format.ts';
import { bundledGuests, type Guest } from '../guests.ts';
import { Icon } from '../icons.tsx';
import { QuotingError, joinLine } from '../../machine/words.ts';
import { hashOf, wordsOf } from '../line.ts';
import { forgetLocalFile, keepLocalFile, localFiles, localName, type LocalFile } from '../local-files.ts';
import { RECOGNISE_BYTES, recognise } from '../recognise.ts';
import styles from './home.module.css';

export function Home() {
  const [dropping, setDropping] = useState(false);
  const [given, setGiven] = useState<Given>();

  // The whole page is the drop area.
  useEffect(() => {
    const holdsFiles = (event: DragEvent) => event.dataTransfer?.types.includes('Files') ?? false;
    const over = (event: DragEvent) => {
      if (!holdsFiles(event)) return;
      event.preventDefault();
      setDropping(true);
    };
    const leave = (event: DragEvent) => { if (!event.relatedTarget) setDropping(false); };
    const drop = (event: DragEvent) => {
      if (!holdsFiles(event)) return;
      event.preventDefault();
      setDropping(false);
      void take([...event.dataTransfer!.files]).then(setGiven);
    };
    addEventListener('dragover', over);
    addEventListener('dragleave', leave);
    addEventListener('drop', drop);
    return () => {
      removeEventListener('dragover', over);
      removeEventListener('dragleave', leave);
      removeEventListener('drop', drop);
    };
  }, []);

  return (
    <div className={styles.home}>
      <header className={styles.head}>
        <h1>Tabvisor</h1>
        <p>A 64-bit PC in this tab. Choose a system, and it boots here: nothing is installed, and it runs on your own computer.</p>
        <nav aria-label="Page"><a href="#help">Help</a></nav>
      </header>
      <main className={styles.rooms}>
        <Guests />
        <OwnFiles given={given} onGiven={setGiven} />
        <OwnLine />
      </main>
      {dropping && <div className={styles.dropping} aria-hidden="true">Drop a kernel and an initramfs</div>}
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

function OwnLine() {
  const [line, setLine] = useState('');
  const [problem, setProblem] = useState('');
  const id = useId();
  const boot = (event: FormEvent) => {
    event.preventDefault();
    try {
      const words = wordsOf(line);
      if (!words.length) setProblem('Type a machine line first.');
      else location.hash = hashOf(joinLine(words));
    } catch (error) {
      if (!(error instanceof QuotingError)) throw error;
      setProblem(`The line is not complete: ${error.message}.`);
    }
  };
  return (
    <section aria-labelledby={`${id}-title`}>
      <h2 id={`${id}-title`}>A machine of your own</h2>
      <form className={styles.form} onSubmit={boot}>
        <label htmlFor={id}>Machine line, in QEMU’s words</label>
        <textarea id={id} rows={3} value={line} spellCheck={false} autoCapitalize="off" autoComplete="off" placeholder={'-m 256 -kernel https://… -initrd https://… -append "console=ttyS0"'}
          aria-describedby={`${id}-note`} aria-invalid={problem !== ''}
          onChange={(event) => { setLine(event.target.value); setProblem(''); }}
          onKeyDown={(event) => { if (event.key === 'Enter' && !event.shiftKey) { event.preventDefault(); event.currentTarget.form?.requestSubmit(); } }} />
        <p id={`${id}-note`} className={problem ? styles.problem : styles.muted} role={problem ? 'alert' : undefined}>
          {problem || <>The line becomes the page’s address, so that the link boots the same machine. <a href="#help">Options</a></>}
        </p>
        <button className="button primary" type="submit">Boot</button>
      </form>
    </section>
  );
}

interface Taken { name: string; words: string; size: number; role: 'kernel' | 'initrd' | 'other' }

/** What the user gave in one go. */
interface Given { files: Taken[] }

async function take(files: File[]): Promise<Given> {
  const taken: Taken[] = [];
  for (const file of files) {
    try {
      const { role, words } = recognise(new Uint8Array(await file.slice(0, RECOGNISE_BYTES).arrayBuffer()));
      taken.push({ name: file.name, words, size: file.size, role });
      if (role !== 'other') await keepLocalFile({ name: localName(file.name), role, words, blob: file, added: Date.now() });
    } catch (error) {
      taken.push({ name: file.name, words: `it could not be read: ${error instanceof Error ? error.message : String(error)}`, size: file.size, role: 'other' });
    }
  }
  return { files: taken };
}

const CONSOLE_ON_SERIAL = 'console=ttyS0';

function OwnFiles({ given, onGiven }: { given: Given | undefined; onGiven(given: Given): void }) {
  const [files, setFiles] = useState<LocalFile[]>([]);
  const [memory, setMemory] = useState('256');
  const [append, setAppend] = useState(CONSOLE_ON_SERIAL);
  const [chosen, setChosen] = useState<{ kernel?: string; initrd?: string }>({});
  const picker = useRef<HTMLInputElement>(null);
  const id = useId();

  useEffect(() => {
    void localFiles().then((list) => {
      setFiles(list);
      const newest = (role: 'kernel' | 'initrd') => given?.files.find((file) => file.role === role)?.name;
      setChosen((was) => ({
        kernel: newest('kernel') ? localName(newest('kernel')!) : was.kernel ?? list.find((file) => file.role === 'kernel')?.name,
        initrd: newest('initrd') ? localName(newest('initrd')!) : was.initrd,
      }));
    });
  }, [given]);

  const forget = (name: string) => {
    void forgetLocalFile(name).then(localFiles).then(setFiles);
    setChosen((was) => ({ kernel: was.kernel === name ? undefined : was.kernel, initrd: was.initrd === name ? undefined : was.initrd }));
  };
  const boot = (event: FormEvent) => {
    event.preventDefault();
    location.hash = hashOf(joinLine([
      '-m', memory, '-kernel', chosen.kernel!, ...(chosen.initrd ? ['-initrd', chosen.initrd] : []), ...(append ? ['-append', append] : []),
    ]));
  };
  const kernels = files.filter((file) => file.role === 'kernel');
  const initrds = files.filter((file) => file.role === 'initrd');
  const refused = given?.files.filter((file) => file.role === 'other') ?? [];
  return (
    <section aria-labelledby={`${id}-title`}>
      <h2 id={`${id}-title`}>Your own kernel</h2>
      <div className={styles.drop}>
        <p>Drop a Linux kernel (bzImage, vmlinuz) or a multiboot kernel, and an initramfs, anywhere on this page. They stay in this browser.</p>
        <button type="button" className="button" onClick={() => picker.current?.click()}><Icon name="file" />Choose files</button>
        <input ref={picker} type="file" multiple hidden aria-label="Kernel and initramfs files" onChange={(event) => {
          const list = [...event.target.files ?? []];
          event.target.value = '';
          void take(list).then(onGiven);
        }} />
      </div>
      <div role="status">
        {refused.map((file) => <p key={file.name} className={styles.problem}>{file.name} ({bytes(file.size)}) is {file.words}.</p>)}
      </div>
      {files.length > 0 && (
        <form className={styles.form} onSubmit={boot}>
          <Choice legend="Kernel" files={kernels} chosen={chosen.kernel} onChoose={(kernel) => setChosen({ ...chosen, kernel })} onForget={forget} />
          <Choice legend="Initramfs" files={initrds} chosen={chosen.initrd} none="none" onChoose={(initrd) => setChosen({ ...chosen, initrd })} onForget={forget} />
          <div className={styles.row}>
            <label>Memory, MiB <input type="number" min={16} max={2048} value={memory} required onChange={(event) => setMemory(event.target.value)} /></label>
            <label className={styles.wide}>Kernel command line <input type="text" value={append} spellCheck={false} autoComplete="off" autoCapitalize="off" onChange={(event) => setAppend(event.target.value)} /></label>
          </div>
          <button className="button primary" type="submit" disabled={!chosen.kernel}>Boot</button>
        </form>
      )}
    </section>
  );
}

interface ChoiceProps {
  legend: string;
  files: LocalFile[];
  chosen: string | undefined;
  /** Label of choosing none, where that is possible. */
  none?: string;
  onChoose(name: string | undefined): void;
  onForget(name: string): void;
}

function Choice({ legend, files, chosen, none, onChoose, onForget }: ChoiceProps) {
  const group = useId();
  if (!files.length) return null;
  return (
    <fieldset className={styles.choice}>
      <legend>{legend}</legend>
      {none && <label className={styles.file}><input type="radio" name={group} checked={chosen === undefined} onChange={() => onChoose(undefined)} /><span>{none}</span></label>}
      {files.map((file) => (
        <div key={file.name} className={styles.file}>
          <label>
            <input type="radio" name={group} checked={chosen === file.name} onChange={() => onChoose(file.name)} />
            <span><code>{file.name.slice('local/'.length)}</code> <small>{file.words}, {bytes(file.blob.size)}</small></span>
          </label>
          <button type="button" aria-label={`Forget ${file.name.slice('local/'.length)}`} title="Forget: remove it from this browser" onClick={() => onForget(file.name)}><Icon name="close" /></button>
        </div>
      ))}
    </fieldset>
  );
}
