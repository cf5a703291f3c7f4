// Debian's installers: started by -kernel, and from a CD like Debian's own, which is made here with isolinux and its graphical menu.

import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { VcpuModules } from '../../src/engine/vcpu.ts';
import { serialRings } from '../../src/machine/protocol.ts';
import { picture, QemuPeer } from './beside.ts';
import { MediaMachine } from './media.ts';
import { root } from './runner.ts';

const OUT = join(root, 'guests/out');
/** Enough for the installer to ask for a language at once, instead of saying that memory is low. */
const MEMORY = '-m 1024';
/** The fast way: instructions count as 8 ns, so that what waits by the clock costs little. */
const FAST = '-accel jit -icount shift=3,sleep=off';
/** Instructions from power-on to the first question, about twice of what was seen. */
export const LIMIT = 25e9;
/** QEMU needs about as long as Tabvisor, on the other core, if there is one. */
export const QEMU_PATIENCE_MS = 400_000;

export type Arch = 'amd64' | 'i386';

export function installerFile(arch: Arch, name: 'linux' | 'initrd.gz'): string {
  const path = join(OUT, `installer-${arch}`, name);
  if (!existsSync(path)) throw new Error(`There is no ${path}: run node guests/make.mjs installer-${arch}`);
  return path;
}

export interface Pair {
  pc: MediaMachine;
  qemu: QemuPeer;
  /** What came out of the serial port since it was asked last. */
  serial(): string;
}

/** By -kernel, on both. */
export async function byKernel(modules: VcpuModules, arch: Arch, append: string): Promise<Pair> {
  const kernel = installerFile(arch, 'linux');
  const initrd = installerFile(arch, 'initrd.gz');
  const words = `cryptomgr.notests ${append}`;
  const qemu = await new QemuPeer([...MEMORY.split(' '), '-kernel', kernel, '-initrd', initrd, '-append', words]).start();
  const files = { k: new Uint8Array(readFileSync(kernel)), i: new Uint8Array(readFileSync(initrd)) };
  const pc = new MediaMachine(modules, `${MEMORY} ${FAST} -vga std -serial vc -kernel k -initrd i -append "${words}"`, [], files);
  return { pc, qemu, serial: serialReader(pc) };
}

/** From a CD, on both. */
export async function byCd(modules: VcpuModules, image: string): Promise<Pair> {
  const qemu = await new QemuPeer([...MEMORY.split(' '), '-boot', 'd', '-cdrom', image]).start();
  const pc = new MediaMachine(modules, `${MEMORY} ${FAST} -serial vc -boot d -cdrom cd`, [new Uint8Array(readFileSync(image))]);
  return { pc, qemu, serial: serialReader(pc) };
}

function serialReader(pc: MediaMachine): () => string {
  const decoder = new TextDecoder();
  return () => decoder.decode(serialRings(pc.machine.memory.buffer, 0).toHost.read(), { stream: true });
}

/** Share of the picture that has the grey of the installer's dialogs; in a mode of 16 bits that is 0xadaaad. */
export function dialogShare(pc: MediaMachine): number {
  const { rgba, width, height } = picture(pc);
  const isGrey = (value: number) => Math.abs(value - 0xaa) <= 3;
  let count = 0;
  for (let at = 0; at < rgba.length; at += 4) if (isGrey(rgba[at]) && isGrey(rgba[at + 1]) && isGrey(rgba[at + 2])) count++;
  return count / (width * height);
}

/** Guest instructions between two looks for what comes once in thousands of millions: a picture has a million dots. */
export const LOOK_EVERY = 40e6;

/** Until a dialog covers the most of a graphical screen. */
export function untilDialog(pair: Pair): void {
  pair.pc.until('the first dialog', () => {
    pair.serial();
    return pair.pc.machine.pc.vga!.view.vbe !== null && dialogShare(pair.pc) > 0.5;
  }, LIMIT, LOOK_EVERY);
}

/** Until the language dialog is on a text screen, which is drawn from the top. */
export function untilTextDialog(pair: Pair, isMore: (serial: string) => boolean = () => true): void {
  let serial = '';
  pair.pc.until('the language dialog', () => {
    serial += pair.serial();
    return pair.pc.screen.includes('Choose the language to be used for the installation process') && /English +- +English/.test(pair.pc.screen) && isMore(serial);
  }, LIMIT, LOOK_EVERY);
}

/** The graphical menu of a CD: the third entry starts the installer in text, the second with what is asked for. */
const MENU = (append: string) => `UI vesamenu.c32
MENU TITLE Tabvisor's installation CD
MENU RESOLUTION 640 480
TIMEOUT 0
DEFAULT disk
LABEL disk
  MENU LABEL Boot from the first ^disk
  LOCALBOOT 0x80
LABEL install
  MENU LABEL ^Install
  KERNEL /install/linux
  INITRD /install/initrd.gz
  APPEND ${append}
LABEL text
  MENU LABEL Install in ^text mode
  KERNEL /install/linux
  INITRD /install/initrd.gz
  APPEND cryptomgr.notests vga=normal nomodeset
`;

/** Makes a CD of an installer. @returns its path, in a folder of its own */
export function makeCd(arch: Arch, append: string): { image: string; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), 'installer-cd-'));
  const tree = join(folder, 'cd');
  for (const part of ['isolinux', 'install']) mkdirSync(join(tree, part), { recursive: true });
  for (const file of ['isolinux.bin', 'ldlinux.c32', 'libcom32.c32', 'libutil.c32', 'vesamenu.c32']) copyFileSync(join(OUT, 'media', file), join(tree, 'isolinux', file));
  for (const file of ['linux', 'initrd.gz'] as const) copyFileSync(installerFile(arch, file), join(tree, 'install', file));
  writeFileSync(join(tree, 'isolinux/isolinux.cfg'), MENU(append));
  const image = join(folder, 'cd.iso');
  // As isolinux's documentation asks for: no emulation, four sectors loaded, the boot information table written into the loader.
  execFileSync('xorriso', [
    '-as', 'mkisofs', '-quiet', '-o', image, '-V', 'INSTALL', '-J', '-r', '-b', 'isolinux/isolinux.bin', '-c', 'isolinux/boot.cat', '-no-emul-boot', '-boot-load-size', '4', '-boot-info-table', tree,
  ], { stdio: ['ignore', 'ignore', 'inherit'] });
  return { image, remove: () => rmSync(folder, { recursive: true, force: true }) };
}
