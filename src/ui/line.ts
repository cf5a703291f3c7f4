// The machine line as it stands after the # of a link. What its options mean is in src/machine/options.

import { moduleNames } from '../machine/boot/multiboot.ts';
import type { PreviewPort } from './preview/address.ts';
import { charRings, DEBUGCON_RING, firmwareFiles, splitLine, type MachineConfig } from '../machine/options/index.ts';

/** What stands after the #: a room of the page. */
export type Room = { kind: 'home' } | { kind: 'help' } | { kind: 'machine'; line: string };

/** The room that a location's hash names. */
export function roomOf(hash: string): Room {
  const raw = hash.replace(/^#/, '');
  let text = raw;
  try {
    text = decodeURIComponent(raw);
  } catch {
    // A lone % of a line typed by hand: taken as it stands.
  }
  text = text.trim();
  if (text === '') return { kind: 'home' };
  if (text === 'help') return { kind: 'help' };
  return { kind: 'machine', line: text };
}

/** The link (from # on) to a machine line, readable, and safe to paste into other texts. */
export function hashOf(line: string): string {
  return '#' + encodeURI(line).replace(/[#'()]/g, (c) => '%' + c.charCodeAt(0).toString(16));
}

/** The words of a line. A leading program name is dropped, so that a line copied from a terminal works. @throws QuotingError */
export function wordsOf(line: string): string[] {
  const words = splitLine(line);
  if (words.length && /^(?:\S*\/)?(?:qemu-system-(?:x86_64|i386)|tabvisor|kvm)$/.test(words[0])) words.shift();
  return words;
}

/** One file that a machine loads before it starts. */
export interface NamedFile { role: 'firmware' | 'kernel' | 'initrd'; name: string }

/** The files that a machine names, each once. */
export function filesOf(config: MachineConfig): NamedFile[] {
  const files: NamedFile[] = [];
  const add = (role: NamedFile['role'], name: string) => {
    if (!files.some((file) => file.name === name)) files.push({ role, name });
  };
  for (const name of firmwareFiles(config)) add('firmware', name);
  if (config.kernel) add('kernel', config.kernel);
  for (const module of moduleNames(config.initrd ?? '')) add('initrd', module.file);
  return files;
}

/** What a console can show of a machine, serial ports first: the number of its rings, and how the user calls it. */
export function consolesOf(config: MachineConfig): { port: number; title: string }[] {
  return charRings(config).flatMap(({ ring, to, title }) => to.kind !== 'null' && ring !== DEBUGCON_RING ? [{ port: ring, title }] : []);
}

/** Ports of the line's user-mode networks that lead to the guest, and that a page can show: TCP. */
export function forwardsOf(config: MachineConfig): PreviewPort[] {
  return config.netdevs.flatMap((netdev) => (netdev.type !== 'user' ? [] : netdev.user.forwards.flatMap(({ protocol, hostPort, guestAddress, guestPort }, index) =>
    (protocol === 'tcp' ? [{ netdev: netdev.id, index, hostPort, guestAddress, guestPort }] : []))));
}

/** Does a user who boots this machine look at its screen first? A kernel that was told to talk to a serial port says nothing elsewhere. */
export function looksAtScreen(config: MachineConfig): boolean {
  if (config.vga === 'none') return false;
  return !(config.kernel !== undefined && /(?:^|\s)console=ttyS\d/.test(config.append));
}
