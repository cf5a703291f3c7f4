// A machine line and a form for what most lines are about. Both are one text: a field writes its option into the line, and reads it there.

import { useEffect, useId, useState, type FormEvent } from 'react';
import { OptionError, parse } from '../machine/options/index.ts';
import { QuotingError, joinLine } from '../machine/words.ts';
import { optionOf, withOption } from './edit-line.ts';
import { wordsOf } from './line.ts';
import { localFiles, type LocalFile } from './local-files.ts';
import styles from './machine-form.module.css';

interface Field {
  label: string;
  /** The option and its other names. */
  options: readonly string[];
  hint: string;
  /** Files of the user's that go there. */
  role?: LocalFile['role'];
  wide?: boolean;
}

const FIELDS: readonly Field[] = [
  { label: 'Name', options: ['-name'], hint: 'what it is called', wide: true },
  { label: 'Memory', options: ['-m'], hint: '128 (MiB), or 1G' },
  { label: 'Boot order', options: ['-boot'], hint: 'dc: CD, then disk' },
  { label: 'Hard disk', options: ['-hda'], hint: 'file or address', role: 'disk', wide: true },
  { label: 'Second hard disk', options: ['-hdb'], hint: 'file or address', role: 'disk', wide: true },
  { label: 'CD-ROM', options: ['-cdrom'], hint: 'file or address', role: 'cdrom', wide: true },
  { label: 'Floppy', options: ['-fda'], hint: 'file or address', role: 'floppy', wide: true },
  { label: 'Kernel', options: ['-kernel'], hint: 'none: boots by BIOS', role: 'kernel', wide: true },
  { label: 'Initial RAM disk', options: ['-initrd'], hint: 'file or address', role: 'initrd', wide: true },
  { label: 'Kernel command line', options: ['-append'], hint: 'console=ttyS0', wide: true },
];

export interface MachineFormProps {
  line: string;
  onLine(line: string): void;
  /** Start what the line says; it can be parsed. */
  onBoot(line: string): void;
  action: string;
  /** Grows when the user's files have changed. */
  filesVersion?: number;
}

export function MachineForm({ line, onLine, onBoot, action, filesVersion = 0 }: MachineFormProps) {
  const [files, setFiles] = useState<LocalFile[]>([]);
  const [tried, setTried] = useState(false);
  const id = useId();
  useEffect(() => { void localFiles().then(setFiles); }, [filesVersion]);

  const { words, problem } = read(line);
  const boot = (event: FormEvent) => {
    event.preventDefault();
    if (problem || !words?.length) setTried(true);
    else onBoot(joinLine(words));
  };
  const shown = problem && (tried || line.trim() !== '') ? problem : '';
  return (
    <form className={styles.form} onSubmit={boot}>
      <div className={styles.fields}>
        {FIELDS.map(({ label, options, hint, role, wide }) => (
          <label key={label} className={wide ? styles.wide : undefined}>
            {label}
            <input type="text" value={words ? optionOf(words, options) : ''} disabled={!words} placeholder={hint} spellCheck={false} autoComplete="off" autoCapitalize="off"
              list={role && `${id}-${role}`}
              onChange={(event) => onLine(joinLine(withOption(words!, options, event.target.value)))} />
          </label>
        ))}
      </div>
      {(['disk', 'cdrom', 'floppy', 'kernel', 'initrd'] as const).map((role) => (
        <datalist key={role} id={`${id}-${role}`}>
          {files.filter((file) => file.role === role).map((file) => <option key={file.name} value={file.name}>{file.words}</option>)}
        </datalist>
      ))}
      <label htmlFor={id}>Machine line, in QEMU’s words</label>
      <textarea id={id} rows={3} value={line} spellCheck={false} autoCapitalize="off" autoComplete="off" placeholder={'-m 256 -kernel https://… -initrd https://… -append "console=ttyS0"'}
        aria-describedby={`${id}-note`} aria-invalid={shown !== ''}
        onChange={(event) => onLine(event.target.value)}
        onKeyDown={(event) => { if (event.key === 'Enter' && !event.shiftKey) { event.preventDefault(); event.currentTarget.form?.requestSubmit(); } }} />
      <p id={`${id}-note`} className={shown ? styles.problem : styles.muted} role={shown && tried ? 'alert' : undefined}>
        {shown || <>Drives, network and all else: <a href="#help" target="_blank" rel="noopener">options</a>. The line becomes the page’s address, so that the link starts the same machine.</>}
      </p>
      <button className="button primary" type="submit">{action}</button>
    </form>
  );
}

/** The words of a line, if it has any; and what is wrong with it. */
function read(line: string): { words?: string[]; problem: string } {
  let words: string[];
  try {
    words = wordsOf(line);
  } catch (error) {
    if (!(error instanceof QuotingError)) throw error;
    return { problem: `The line is not complete: ${error.message}.` };
  }
  if (!words.length) return { words, problem: 'Fill in a field, or type a machine line.' };
  try {
    parse(words);
    return { words, problem: '' };
  } catch (error) {
    if (!(error instanceof OptionError)) throw error;
    return { words, problem: `${error.what}: ${error.why}. ${error.advice.startsWith('-help') ? '' : error.advice}` };
  }
}
