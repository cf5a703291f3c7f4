// What a machine line says, as the machine is built from it. parse() (index.ts) makes it; its defaults stand below.

import type { Format } from '../../backends/block/formats.ts';
import type { VirtioBalloonOptions } from '../../virtio/balloon.ts';
import type { VirtioBlkOptions } from '../../virtio/blk.ts';
import type { CommonFeature } from '../../virtio/device.ts';
import type { NetFeature, VirtioNetOptions } from '../../virtio/net.ts';
import type { VirtioRngOptions } from '../../virtio/rng.ts';
import type { UserNetConfig } from '../../backends/net/user/options.ts';
import type { BootConfig } from '../firmware.ts';
import { FIRST_CHARDEV_RING } from '../protocol.ts';
import { CPU_MODELS, type CpuFeature } from '../cpu-models.ts';

/** Where a serial port goes. */
export type SerialConfig =
  /** The runner's terminal; a console in the page. mux: Ctrl-A escapes (QEMU's "mon:stdio" and -nographic); without it Ctrl-C ends the runner, as in QEMU. */
  | { kind: 'stdio'; mux: boolean }
  /** A console in the page; in the runner, which has no window, nowhere. */
  | { kind: 'vc' }
  | { kind: 'file'; path: string }
  /** The port is there, output goes nowhere. */
  | { kind: 'null' };

export type LogItem = 'in_asm' | 'int' | 'exec' | 'jit';

export type ClockConfig =
  | { kind: 'real' }
  /** One guest instruction takes 2^shift ns. sleep: while the guest is idle, wait as long as the virtual time that passes. */
  | { kind: 'virtual'; shift: number; sleep: boolean };

/** Base of the guest's date; `epochMs` is the date to start at, in ms since 1970 as the guest's clock shows it. */
export type RtcConfig = { base: 'utc' } | { base: 'localtime' } | { base: 'date'; epochMs: number };

/** A disk's contents. */
export interface DriveConfig {
  id?: string;
  /** As the line names it. */
  file: string;
  /** Without one: by its contents. */
  format?: Format;
  readOnly: boolean;
  /** What the guest writes is gone when the machine is. */
  snapshot?: boolean;
}

/** A drive of the board. */
interface BoardDrive {
  /** Under which the monitor knows it. */
  name: string;
  /** Index in MachineConfig.drives; without it the drive is empty. */
  drive?: number;
}

/** A drive on an IDE channel. Only CD-ROM drives can be empty. */
export interface IdeConfig extends BoardDrive {
  kind: 'hd' | 'cd';
  serial: string;
  model?: string;
  /** Bytes that a disk's guest best writes at once, a power of two; without it, a sector. */
  physicalBlockSize?: number;
  /** Its turn among what the firmware tries to boot. */
  bootindex?: number;
}

export interface FloppyConfig extends BoardDrive {
  /** 'auto': as its first diskette needs. */
  type: 'auto' | '120' | '144' | '288';
}

/** What the devices on the PCI bus have in common. */
export interface PciDevice {
  id?: string;
  /** Slot and function; without it, the first free slot. */
  addr?: { slot: number; fn: number };
  /** Function 0 of a slot with more functions. */
  multifunction?: true;
  /** False: the option ROM is no resource of the card's, the firmware gets it as a file. */
  rombar?: false;
}

/** What virtio devices have beside that. */
export interface VirtioDeviceConfig extends PciDevice {
  /** The interfaces of a virtio device: both make it transitional. */
  legacy: boolean;
  modern: boolean;
  /** MSI-X vectors, 0 for none; without it as many as the device can use. */
  vectors?: number;
  /** Features of all virtio devices that this one does not offer. */
  withheld?: readonly CommonFeature[];
}

/** What network cards have. */
export interface NicConfig {
  /** Index in MachineConfig.netdevs; without it the cable leads nowhere. */
  netdev?: number;
  /** Six bytes. */
  mac: readonly number[];
  /** The last three of them are to be random: the line gives none, and others are on the same segment. */
  randomMac?: true;
  /** Option ROM, a file as the line names it; without firmware, which would run it, only if the line names one. */
  romfile?: string;
  /** Its turn among what the firmware tries to boot. */
  bootindex?: number;
}

/** The far end of a NIC's cable (-netdev). To add one: a member here, a line in NETDEV_TYPES (net.ts), and where it is made (../network.ts). */
export type NetdevConfig = { id: string } & (
  /** A port of a hub within this machine; `netdev`, another of MachineConfig.netdevs, is plugged in there instead of a NIC. */
  | { type: 'hubport'; hubid: number; netdev?: number }
  /** The user-mode network. */
  | { type: 'user'; user: UserNetConfig }
  /** An Ethernet segment of all machines of one browser, or of one Node process. */
  | { type: 'hub'; name: string }
  /** A relay, by its ws: or wss: address. */
  | { type: 'relay'; url: string }
);

/** A folder of the host. */
export interface FsdevConfig {
  id: string;
  /** As the line names it. */
  path: string;
  readOnly: boolean;
  securityModel: 'none' | 'passthrough';
}

/** A port of virtio-serial-pci: virtconsole or virtserialport. */
export interface SerialPortConfig {
  nr: number;
  console: boolean;
  name?: string;
  /** Index in MachineConfig.chardevs. */
  chardev?: number;
}

/** A device on the PCI bus, in the order of the line. */
export type PciDeviceConfig = VirtioPciConfig | (PciDevice & { driver: EmulatedNic } & NicConfig);

/** Network cards that any guest has a driver for. */
export const EMULATED_NICS = ['e1000', 'rtl8139', 'ne2k_pci'] as const;
export type EmulatedNic = (typeof EMULATED_NICS)[number];

/** Virtio devices. */
export type VirtioPciConfig = VirtioDeviceConfig & (
  | ({ driver: 'virtio-rng-pci' } & VirtioRngOptions)
  /** drive: index in MachineConfig.drives. */
  | ({ driver: 'virtio-blk-pci'; drive: number; bootindex?: number } & VirtioBlkOptions)
  | ({ driver: 'virtio-net-pci'; without: NetFeature[] } & NicConfig & Pick<VirtioNetOptions, 'hostMtu' | 'rxQueueSize' | 'txQueueSize' | 'speed' | 'duplex'>)
  | ({ driver: 'virtio-balloon-pci' } & Omit<VirtioBalloonOptions, 'ramSize'>)
  /** fsdev: index in MachineConfig.fsdevs. */
  | { driver: 'virtio-9p-pci'; fsdev: number; mountTag: string }
  | { driver: 'virtio-serial-pci'; maxPorts: number; emergencyWrite: boolean; ports: SerialPortConfig[] }
);

export interface MachineConfig {
  name: string;
  /** Bytes, a multiple of 4096. */
  ramSize: number;
  cpus: number;
  /** How guest code is run. threshold: jumps to a place before it is compiled; null: as the host has processors for it. */
  accel: { kind: 'interpreter' } | { kind: 'jit'; threshold: number | null };
  cpu: { model: string; features: ReadonlySet<CpuFeature> };
  /** Files as the line names them. */
  kernel?: string;
  initrd?: string;
  append: string;
  /** The firmware that the machine boots by, if it does: a file as the line names it, or one of BUNDLED_FIRMWARE. It boots the kernel, if there is one. */
  bios?: string;
  boot: BootConfig;
  /** VMware's port, and with it the absolute pointer. */
  vmport: boolean;
  /** The VGA card, whose option ROM is VGA_ROM. */
  vga: 'std' | 'none';
  /** One entry a serial port, at most 4; undefined: the port is not there. */
  serial: (SerialConfig | undefined)[];
  /** -nographic: no display, serial port and escapes on the terminal. */
  nographic: boolean;
  /** False: neither -nographic nor -display none was given, so the user expects a window. */
  displayNone: boolean;
  /** mux: on the terminal of a serial port, behind Ctrl-A c. vc: in a panel of the page; the runner, which has no window, has none then. */
  monitor: 'stdio' | 'mux' | 'vc' | 'none';
  clock: ClockConfig;
  rtc: RtcConfig;
  /** What a guest's reset does (-no-reboot: exit). */
  onReset: 'reset' | 'exit';
  /** What a guest's power-off does (-no-shutdown: pause). */
  onPowerOff: 'exit' | 'pause';
  /** -S: wait for resume() before the first instruction. */
  startPaused: boolean;
  debugExit?: { iobase: number; iosize: 1 | 2 | 4 };
  /** isa-debugcon: its port, and where its log goes. */
  debugcon?: { iobase: number; to: SerialConfig };
  /** Those of -chardev that a port of virtio-serial-pci uses. */
  chardevs: { id: string; to: SerialConfig }[];
  drives: DriveConfig[];
  /** Primary master and slave, secondary master and slave. */
  ide: (IdeConfig | undefined)[];
  /** Drives A and B. */
  floppies: (FloppyConfig | undefined)[];
  fsdevs: FsdevConfig[];
  devices: PciDeviceConfig[];
  netdevs: NetdevConfig[];
  log: { items: ReadonlySet<LogItem>; file?: string };
  /** Set by -help, -version and the like: this text is to be shown, and nothing run. */
  information?: string;
}

/** Is guest code compiled beside the vCPU? In virtual time a run repeats exactly, and so when something gets compiled must too. */
export function compilesBeside({ accel, clock }: MachineConfig): boolean {
  return accel.kind === 'jit' && accel.threshold !== 1 && clock.kind === 'real';
}

/** Jumps to a place before what is there is compiled. */
export const HOT_THRESHOLD = 3_000;
/**
 * The same where compiling takes from the guest what it would execute (CompileChannel.share): half as much is compiled before it is known to be
 * worth it (docs/performance-history.md, Less to compile).
 */
export const HOT_THRESHOLD_FEW = 6_000;
export const HOT_THRESHOLD_MAX = 65535;
export const MIB = 1024 * 1024;
/** SeaBIOS. */
export const DEFAULT_BIOS = 'bios-256k.bin';
export const VGA_ROM = 'vgabios-stdvga.bin';
/** Option ROMs of network cards: iPXE, which boots from the network. QEMU's are the same with a part for EFI. */
export const NIC_ROMS: Readonly<Record<'virtio-net-pci' | EmulatedNic, string>> = {
  'virtio-net-pci': 'pxe-virtio.rom', e1000: 'pxe-e1000.rom', rtl8139: 'pxe-rtl8139.rom', ne2k_pci: 'pxe-ne2k_pci.rom',
};
/** Firmware that comes with Tabvisor, by QEMU's names. */
export const BUNDLED_FIRMWARE: readonly string[] = [DEFAULT_BIOS, 'bios.bin', VGA_ROM, ...Object.values(NIC_ROMS)];
/** Number of the ring that carries isa-debugcon's log: behind those of the serial ports. */
export const DEBUGCON_RING = 4;

/** All that goes through rings in shared memory, with the number of its rings; `title` names it for the user. */
export function charRings(config: MachineConfig): { ring: number; to: SerialConfig; title: string }[] {
  return [
    ...config.serial.flatMap((to, n) => (to ? [{ ring: n, to, title: `serial${n}` }] : [])),
    ...(config.debugcon ? [{ ring: DEBUGCON_RING, to: config.debugcon.to, title: 'debugcon' }] : []),
    ...config.chardevs.map(({ id, to }, n) => ({ ring: FIRST_CHARDEV_RING + n, to, title: id })),
  ];
}

/** What an empty line says, before the defaults that depend on other options (finish… in the topics' files). */
export function newConfig(): MachineConfig {
  return {
    name: '',
    ramSize: 128 * MIB,
    cpus: 1,
    accel: { kind: 'jit', threshold: null },
    cpu: { model: 'qemu64', features: new Set(CPU_MODELS.qemu64.features) },
    append: '',
    boot: { order: 'cad', menu: false, strict: false },
    vmport: true,
    vga: 'none',
    serial: [],
    nographic: false,
    displayNone: false,
    monitor: 'vc',
    clock: { kind: 'real' },
    rtc: { base: 'utc' },
    onReset: 'reset',
    onPowerOff: 'exit',
    startPaused: false,
    chardevs: [],
    drives: [],
    ide: [],
    floppies: [],
    fsdevs: [],
    devices: [],
    netdevs: [],
    log: { items: new Set() },
  };
}

/** Files of firmware that a machine needs. */
export function firmwareFiles(config: MachineConfig): string[] {
  const roms = config.devices.flatMap((device) => ('romfile' in device && device.romfile !== undefined ? [device.romfile] : []));
  return [...new Set([...(config.bios === undefined ? [] : [config.bios]), ...(config.vga === 'std' ? [VGA_ROM] : []), ...roms])];
}
