// What the machine boots. QEMU: -kernel -initrd -append -bios -boot.

import { DEFAULT_BIOS } from './config.ts';
import type { Draft, Options } from './draft.ts';
import { notYet, OptionError, unknownKey } from './error.ts';
import { keyValues, number, onOff } from './values.ts';

export const BOOT_OPTIONS: Options = {
  kernel: { argument: 'FILE', help: 'kernel: Linux bzImage, or Multiboot; with -vga std or -bios by way of the firmware', apply: (draft, value) => void (draft.config.kernel = value) },
  initrd: { argument: 'FILE', help: 'initial RAM disk; Multiboot: modules, "FILE arguments,FILE2 …"', apply: (draft, value) => void (draft.config.initrd = value) },
  append: {
    argument: 'TEXT', help: 'kernel command line',
    apply: (draft, value) => { draft.config.append = value; draft.appendGiven = true; },
  },
  bios: { argument: 'FILE', help: `firmware to boot by (default ${DEFAULT_BIOS}, SeaBIOS; with -kernel none, unless there is a screen)`, apply: (draft, value) => void (draft.config.bios = value) },
  boot: { argument: '[order=]DRIVES[,once=DRIVES][,menu=on|off][,splash-time=MS][,reboot-timeout=MS][,strict=on|off]', help: 'what the firmware boots: a floppy, c disk, d CD-ROM, n network', apply: applyBoot },
};

/** Firmware boots, or a kernel is loaded directly; with a screen, or -bios, firmware boots the kernel. */
export function finishBoot({ config, appendGiven }: Draft): void {
  if (config.kernel === undefined) {
    for (const [option, isGiven] of [['-append', appendGiven], ['-initrd', config.initrd !== undefined]] as const) {
      if (isGiven) throw new OptionError(option, 'it is only allowed with -kernel', 'Name a kernel with -kernel FILE.');
    }
    config.bios ??= DEFAULT_BIOS;
  } else if (config.vga !== 'none') {
    // A screen needs firmware that sets it up: it boots the kernel then.
    config.bios ??= DEFAULT_BIOS;
  }
}

function applyBoot(draft: Draft, value: string, written: string): void {
  const { boot } = draft.config;
  const drives = (text: string): string => {
    if (!/^[acdn]{0,3}$/.test(text)) throw new OptionError(written, `"${text}" is no order of drives`, 'Give up to three of a (floppy), c (disk), d (CD-ROM) and n (network), each once.');
    if (new Set(text).size !== text.length) throw new OptionError(written, `"${text}" names a drive twice`);
    return text;
  };
  const time = (text: string, most: number): number => {
    const ms = number(text, written);
    if (ms > most) throw new OptionError(written, `${text} ms is too long: ${most} at most`);
    return ms;
  };
  for (const [key, text] of keyValues(value, 'order', written)) {
    if (key === 'order') boot.order = drives(text);
    else if (key === 'once') boot.once = drives(text);
    else if (key === 'menu') boot.menu = onOff(text, written, key);
    else if (key === 'strict') boot.strict = onOff(text, written, key);
    else if (key === 'splash-time') boot.splashTime = time(text, 0xffff);
    else if (key === 'reboot-timeout') boot.rebootTimeout = text === '-1' ? undefined : time(text, 0xffff);
    else if (key === 'splash') throw notYet(written, 'splash= (a picture)');
    else throw unknownKey(written, key);
  }
}
