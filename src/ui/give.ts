// Files that the user gives to the page, by dropping or choosing them: what each is, kept for machine lines, and the line that boots them.

import { joinLine } from '../machine/words.ts';
import { keepLocalFile, LOCAL_PREFIX, localName, type LocalFile } from './local-files.ts';
import { recogniseFile, type Role } from './recognise.ts';

/** One file, and what it is. */
export interface Given {
  /** As the user calls it; as a machine line does. */
  title: string;
  name: string;
  role: Role;
  words: string;
  raw?: true;
  size: number;
  /** It is known for this visit only. */
  visitOnly: boolean;
}

/** Look at files and keep those that a machine can use. */
export function take(files: readonly File[]): Promise<Given[]> {
  return Promise.all(files.map(async (file): Promise<Given> => {
    const known = { title: file.name, name: localName(file.name), size: file.size };
    try {
      const { role, words, raw } = await recogniseFile(file);
      const visitOnly = role !== 'other' && !(await keepLocalFile({ name: known.name, role, words, ...(raw ? { raw } : {}), blob: file, added: Date.now() }));
      return { ...known, role, words, ...(raw ? { raw } : {}), visitOnly };
    } catch (error) {
      return { ...known, role: 'other', words: `not to be read: ${error instanceof Error ? error.message : String(error)}`, visitOnly: false };
    }
  }));
}

type Part = Pick<LocalFile | Given, 'name' | 'role' | 'raw'>;

/** The line that boots these files; undefined if there is nothing to boot among them. */
export function lineFor(files: readonly Part[]): string | undefined {
  const all = (role: Role) => files.filter((file) => file.role === role);
  const [kernel] = all('kernel');
  const [initrd] = all('initrd');
  const disks = all('disk').slice(0, 4);
  const [cdrom] = all('cdrom');
  const floppies = all('floppy').slice(0, 2);
  const [netboot] = all('netboot');
  const comma = (name: string) => name.replaceAll(',', ',,');
  const words: string[] = [];
  // A script finds the other files by TFTP, kernel and initramfs among them.
  if (netboot) words.push('-m', '512', '-nic', `user,model=virtio-net-pci,tftp=local,bootfile=${comma(netboot.name.slice(LOCAL_PREFIX.length))}`);
  else if (kernel) words.push('-m', '256', '-kernel', kernel.name, ...(initrd ? ['-initrd', initrd.name] : []), '-append', 'console=ttyS0');
  else if (!disks.length && !cdrom && !floppies.length) return undefined;
  else words.push('-m', '512');
  let index = 0;
  for (const disk of disks) {
    // Index 2 is the CD-ROM's.
    if (index === 2 && cdrom) index++;
    if (index > 3) break;
    words.push('-drive', `file=${comma(disk.name)},index=${index++},media=disk${disk.raw ? ',format=raw' : ''}`);
  }
  if (cdrom) words.push('-cdrom', cdrom.name);
  floppies.forEach((floppy, n) => words.push('-drive', `file=${comma(floppy.name)},if=floppy,index=${n}${floppy.raw ? ',format=raw' : ''}`));
  if (netboot) words.push('-boot', 'n');
  else if (!kernel && cdrom) words.push('-boot', 'd');
  else if (!kernel && floppies.length && !disks.length) words.push('-boot', 'a');
  return joinLine(words);
}
