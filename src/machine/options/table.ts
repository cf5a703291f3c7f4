// All options, topic by topic; the help is made from them.

import { BOOT_OPTIONS } from './boot.ts';
import { CHARDEV_OPTIONS } from './chardev.ts';
import { DEVICE_OPTIONS } from './device.ts';
import { DISPLAY_OPTIONS } from './display.ts';
import type { Options } from './draft.ts';
import { DRIVE_OPTIONS } from './drive.ts';
import { LOG_OPTIONS } from './log.ts';
import { MONITOR_OPTIONS } from './monitor.ts';
import { NET_OPTIONS } from './net.ts';
import { OBJECT_OPTIONS } from './object.ts';
import { RUN_OPTIONS } from './run.ts';
import { SYSTEM_OPTIONS } from './system.ts';
import { TIME_OPTIONS } from './time.ts';
import { VIRTFS_OPTIONS } from './virtfs.ts';

export const VERSION = '0.1.0';

export const OPTIONS: Options = {
  ...SYSTEM_OPTIONS,
  ...BOOT_OPTIONS,
  ...DISPLAY_OPTIONS,
  ...CHARDEV_OPTIONS,
  ...MONITOR_OPTIONS,
  ...NET_OPTIONS,
  ...DRIVE_OPTIONS,
  ...DEVICE_OPTIONS,
  ...OBJECT_OPTIONS,
  ...VIRTFS_OPTIONS,
  ...TIME_OPTIONS,
  ...LOG_OPTIONS,
  ...RUN_OPTIONS,
  version: { help: 'print the version', apply: (draft) => void (draft.config.information ??= `Tabvisor ${VERSION}\n`) },
  help: { help: 'print this help', apply: (draft) => void (draft.config.information ??= helpText()) },
};

export const ALIASES: Readonly<Record<string, string>> = { M: 'machine', h: 'help' };

/** QEMU's other options: they exist, and are not supported (yet). */
export const QEMU_OPTIONS: ReadonlySet<string> = new Set((
  'L acpitable action add-fd async-teardown audio audio-help audiodev blockdev chroot compat '
  + 'daemonize dfilter dtb dump-vmstate echr enable-kvm enable-sync-profile full-screen fw_cfg '
  + 'g gdb incoming iscsi k loadvm mem-path mem-prealloc mon msg mtdblock no-acpi '
  + 'no-fd-bootchk no-hpet numa only-migratable option-rom overcommit pflash pidfile plugin portrait preconfig qmp '
  + 'qmp-pretty readconfig rotate runas run-with s sandbox sd seed set shim singlestep smbios spice tpmdev trace '
  + 'usb usbdevice uuid vnc watchdog watchdog-action win2k-hack xen-attach xen-domid xen-domid-restrict'
).split(' '));

function helpText(): string {
  const lines = Object.entries(OPTIONS).map(([name, option]) => {
    const usage = `-${name}${option.argument ? ` ${option.argument}` : ''}`;
    return usage.length < 30 ? `${usage.padEnd(30)} ${option.help}` : `${usage}\n${''.padEnd(30)} ${option.help}`;
  });
  return `Tabvisor ${VERSION}: a PC, with the options of qemu-system-x86_64\n\nusage: tabvisor [options]\n\n${lines.join('\n')}\n
With -nographic the terminal understands:
C-a h    print this help
C-a x    exit the emulator
C-a t    toggle time stamps
C-a b    send break
C-a c    switch between serial port and monitor
C-a C-a  send C-a
`;
}
