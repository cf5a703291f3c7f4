// The machine line: QEMU's command line (QEMU, "Invocation": docs/system/invocation.rst), parsed into a MachineConfig.
// An option that is not supported is refused by name, never ignored. To add one: a line in OPTIONS, a field in MachineConfig.

import { Mem } from '../core/layout.ts';
import { DEBUGCON_IOBASE } from '../devices/isa-debugcon.ts';
import type { BootConfig } from './firmware.ts';
import { MSIX_MAX_VECTORS } from '../devices/msix.ts';
import { CPU_MODELS, FEATURE_ALIASES, SUPPORTED_FEATURES, UNSUPPORTED_FEATURES, type CpuFeature } from './cpu-models.ts';
import type { MachineFailure } from './protocol.ts';
import { QuotingError, splitLine } from './words.ts';

export { joinLine, splitLine } from './words.ts';

/** Where a serial port goes. */
export type SerialConfig =
  /** The runner's terminal; a console in the page. mux: Ctrl-A escapes (QEMU's "mon:stdio" and -nographic); without it Ctrl-C ends the runner, as in QEMU. */
  | { kind: 'stdio'; mux: boolean }
  /** A console in the page; in the runner, which has no window, nowhere. */
  | { kind: 'vc' }
  | { kind: 'file'; path: string }
  /** The port is there, output goes nowhere. */
  | { kind: 'null' };

export type LogItem = 'in_asm' | 'int' | 'exec';

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
  format: 'raw';
  readOnly: boolean;
}

/** What the devices on the PCI bus have in common. */
interface PciDevice {
  id?: string;
  /** Slot and function; without it, the first free slot. */
  addr?: { slot: number; fn: number };
  /** The interfaces of a virtio device: both make it transitional. */
  legacy: boolean;
  modern: boolean;
  /** MSI-X vectors, 0 for none; without it as many as the device can use. */
  vectors?: number;
}

/** A device on the PCI bus, in the order of the line. */
export type PciDeviceConfig = PciDevice & (
  | { driver: 'virtio-rng-pci' }
  /** drive: index in MachineConfig.drives. */
  | { driver: 'virtio-blk-pci'; drive: number; serial?: string }
);

export interface MachineConfig {
  name: string;
  /** Bytes, a multiple of 4096. */
  ramSize: number;
  cpus: number;
  cpu: { model: string; features: ReadonlySet<CpuFeature> };
  /** Files as the line names them. */
  kernel?: string;
  initrd?: string;
  append: string;
  /** Without a kernel, what the machine boots by: a file as the line names it, or one of BUNDLED_FIRMWARE. */
  bios?: string;
  boot: BootConfig;
  /** The VGA card, whose option ROM is VGA_ROM. */
  vga: 'std' | 'none';
  /** One entry a serial port, at most 4; undefined: the port is not there. */
  serial: (SerialConfig | undefined)[];
  /** -nographic: no display, serial port and escapes on the terminal. */
  nographic: boolean;
  /** False: neither -nographic nor -display none was given, so the user expects a window. */
  displayNone: boolean;
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
  drives: DriveConfig[];
  devices: PciDeviceConfig[];
  log: { items: ReadonlySet<LogItem>; file?: string };
  /** Set by -help, -version and the like: this text is to be shown, and nothing run. */
  information?: string;
}

/** An option that cannot be used: which, why, and what to do. */
export class OptionError extends Error implements MachineFailure {
  readonly what: string;

  constructor(
    /** The option as it was written, "-smp 4". */
    readonly option: string,
    readonly why: string,
    readonly advice: string = SEE_HELP,
  ) {
    super(`${option}: ${why}`);
    this.name = 'OptionError';
    this.what = `The option ${option} cannot be used`;
  }
}

const SEE_HELP = '-help lists the options that are supported.';
const MIB = 1024 * 1024;
const PAGE = 4096;
/** As the memory map needs it: all of the first MiB, and something above. */
const MIN_RAM = 2 * MIB;
/** All RAM lies below the PCI hole at 3 GiB, and with what comes before it in the shared memory below 4 GiB. */
const MAX_RAM = Math.min(3 * 1024 * MIB, 2 ** 32 - Mem.RAM);
/** PCI slots that the board leaves. */
const FREE_SLOTS = 30;
export const VERSION = '0.1.0';
const DEFAULT_BIOS = 'bios-256k.bin';
export const VGA_ROM = 'vgabios-stdvga.bin';
/** Firmware that comes with Tabvisor, by QEMU's names. */
export const BUNDLED_FIRMWARE: readonly string[] = [DEFAULT_BIOS, 'bios.bin', VGA_ROM];
/** Number of the ring that carries isa-debugcon's log: behind those of the serial ports. */
export const DEBUGCON_RING = 4;

/** Options being collected. */
interface Draft extends Omit<MachineConfig, 'serial' | 'log' | 'debugcon' | 'vga' | 'drives' | 'devices'> {
  vga?: MachineConfig['vga'];
  debugconTo?: SerialConfig;
  drives: (DriveConfig & { interface: 'virtio' | 'none'; written: string })[];
  /** Devices, some of which need what stands elsewhere in the line. */
  devices: { device: PciDevice; resolve(config: MachineConfig): PciDeviceConfig }[];
  serial: ({ config: SerialConfig | undefined } | undefined)[];
  serialGiven: boolean;
  debugconGiven: boolean;
  debugconIobase?: number;
  chardevs: Map<string, SerialConfig>;
  /** What -device isa-debugcon names, for when all chardevs are known. */
  debugconChardev?: { id: string; written: string };
  appendGiven: boolean;
  noDefaults: boolean;
  monitorNone: boolean;
  logItems: Set<LogItem>;
  logFile?: string;
}

interface Option {
  /** How the argument is called in the help; none: the option takes no argument. */
  argument?: string;
  help: string;
  /** `written` is the option as the user wrote it, for errors. */
  apply(draft: Draft, value: string, written: string): void;
}

const OPTIONS: Readonly<Record<string, Option>> = {
  m: { argument: '[size=]MEGS', help: 'guest memory: MiB, or with suffix K, M, G (default 128M, at most 3G)', apply: applyMemory },
  smp: { argument: '[cpus=]N', help: 'number of CPUs; only 1 is supported yet', apply: applySmp },
  cpu: { argument: 'MODEL[,+FEATURE][,-FEATURE]', help: 'CPU model and features; -cpu help lists them', apply: applyCpu },
  machine: { argument: 'pc[,accel=interpreter]', help: 'the machine; pc is the only one', apply: applyMachine },
  accel: { argument: 'interpreter', help: 'how guest code is run', apply: applyAccel },
  kernel: { argument: 'FILE', help: 'kernel: Linux bzImage, or Multiboot', apply: (draft, value) => void (draft.kernel = value) },
  initrd: { argument: 'FILE', help: 'initial RAM disk; Multiboot: modules, "FILE arguments,FILE2 …"', apply: (draft, value) => void (draft.initrd = value) },
  append: {
    argument: 'TEXT', help: 'kernel command line',
    apply: (draft, value) => { draft.append = value; draft.appendGiven = true; },
  },
  bios: { argument: 'FILE', help: `firmware to boot by, without -kernel (default ${DEFAULT_BIOS}, SeaBIOS)`, apply: (draft, value) => void (draft.bios = value) },
  boot: { argument: '[order=]DRIVES[,once=DRIVES][,menu=on|off][,splash-time=MS][,reboot-timeout=MS][,strict=on|off]', help: 'what the firmware boots: a floppy, c disk, d CD-ROM, n network', apply: applyBoot },
  nographic: { help: 'no display: serial port on the terminal, with Ctrl-A escapes', apply: (draft) => { draft.nographic = true; draft.displayNone = true; } },
  display: { argument: 'none', help: 'no display', apply: applyDisplay },
  vga: { argument: 'std|none', help: 'VGA card: std (default without -kernel), or none', apply: applyVga },
  serial: { argument: 'stdio|mon:stdio|vc|file:PATH|null|none', help: 'where the next serial port goes', apply: applySerial },
  monitor: { argument: 'none', help: 'no monitor', apply: (draft, value, written) => { onlyNone(draft, value, written); draft.monitorNone = true; } },
  parallel: { argument: 'none', help: 'no parallel port', apply: onlyNone },
  net: { argument: 'none', help: 'no network', apply: onlyNone },
  nic: { argument: 'none', help: 'no network', apply: onlyNone },
  drive: { argument: 'file=FILE,format=raw,if=virtio|none[,id=ID][,readonly=on]', help: 'a disk; if=none: for a -device with drive=ID', apply: applyDrive },
  device: { argument: 'DRIVER[,PROPERTY=VALUE…]', help: 'a device; -device help lists them, -device DRIVER,help its properties', apply: applyDevice },
  chardev: { argument: 'stdio|file|null,id=ID[,path=FILE]', help: 'where a device\'s characters go', apply: applyChardev },
  debugcon: { argument: 'stdio|file:PATH|null', help: 'where what is written to the debug port goes', apply: applyDebugcon },
  global: { argument: 'isa-debugcon.iobase=PORT', help: 'the debug port (default 0xe9; SeaBIOS writes to 0x402)', apply: applyGlobal },
  rtc: { argument: 'base=utc|localtime|DATE', help: 'date at which the guest\'s clock starts', apply: applyRtc },
  icount: { argument: 'shift=N[,sleep=on|off]', help: 'virtual time: an instruction takes 2^N ns (0 to 10), so that a run repeats exactly', apply: applyIcount },
  d: { argument: 'ITEM[,ITEM…]', help: 'log in_asm, int, exec; -d help explains them', apply: applyLog },
  D: { argument: 'FILE', help: 'write the log to FILE, not to stderr', apply: (draft, value) => void (draft.logFile = value) },
  name: { argument: 'NAME', help: 'name of the machine', apply: applyName },
  S: { help: 'do not start the CPU before it is told to', apply: (draft) => void (draft.startPaused = true) },
  'no-reboot': { help: 'exit when the guest resets', apply: (draft) => void (draft.onReset = 'exit') },
  'no-shutdown': { help: 'pause when the guest powers off', apply: (draft) => void (draft.onPowerOff = 'pause') },
  nodefaults: { help: 'no default devices', apply: (draft) => void (draft.noDefaults = true) },
  'no-user-config': { help: 'accepted: there are no configuration files', apply: () => {} },
  version: { help: 'print the version', apply: (draft) => void (draft.information ??= `Tabvisor ${VERSION}\n`) },
  help: { help: 'print this help', apply: (draft) => void (draft.information ??= helpText()) },
};

const ALIASES: Readonly<Record<string, string>> = { M: 'machine', h: 'help' };

/** QEMU's other options: they exist, and are not supported (yet). */
const QEMU_OPTIONS: ReadonlySet<string> = new Set((
  'L acpitable action add-fd async-teardown audio audio-help audiodev blockdev cdrom chroot compat '
  + 'daemonize dfilter dtb dump-vmstate echr enable-kvm enable-sync-profile fda fdb fsdev full-screen fw_cfg '
  + 'g gdb hda hdb hdc hdd incoming iscsi k loadvm mem-path mem-prealloc mon msg mtdblock netdev no-acpi '
  + 'no-fd-bootchk no-hpet numa object only-migratable option-rom overcommit pflash pidfile plugin portrait preconfig qmp '
  + 'qmp-pretty readconfig rotate runas run-with s sandbox sd seed set shim singlestep smbios snapshot spice tpmdev trace '
  + 'usb usbdevice uuid virtfs vnc watchdog watchdog-action win2k-hack xen-attach xen-domid xen-domid-restrict'
).split(' '));

/**
 * Parse a machine line, given as words or as one text.
 * @throws OptionError for everything that cannot be done as asked
 */
export function parse(line: readonly string[] | string): MachineConfig {
  let words: readonly string[];
  try {
    words = typeof line === 'string' ? splitLine(line) : line;
  } catch (error) {
    if (!(error instanceof QuotingError)) throw error;
    throw new OptionError(String(line), error.message, 'Close the quote, or write a backslash before it.');
  }
  const draft = newDraft();
  for (let at = 0; at < words.length; at++) {
    const word = words[at];
    if (!word.startsWith('-') || word === '-') {
      throw new OptionError(word, 'it is not an option; QEMU would take it as a disk image, which is not supported yet');
    }
    const written = word.replace(/^--?/, '');
    const option = own(OPTIONS, own(ALIASES, written) ?? written);
    if (!option) throw unknownOption(word, written);
    if (option.argument === undefined) {
      option.apply(draft, '', word);
    } else {
      if (at + 1 >= words.length) throw new OptionError(word, `it requires an argument: ${word} ${option.argument}`);
      const value = words[++at];
      option.apply(draft, value, `${word} ${value}`);
    }
  }
  return finish(draft);
}

/** Files of firmware that a machine needs. */
export function firmwareFiles(config: MachineConfig): string[] {
  return [...(config.bios === undefined ? [] : [config.bios]), ...(config.vga === 'std' ? [VGA_ROM] : [])];
}

function newDraft(): Draft {
  return {
    name: '',
    ramSize: 128 * MIB,
    cpus: 1,
    cpu: { model: 'qemu64', features: new Set(CPU_MODELS.qemu64.features) },
    append: '',
    appendGiven: false,
    boot: { order: 'cad', menu: false, strict: false },
    debugconGiven: false,
    chardevs: new Map(),
    serial: [],
    serialGiven: false,
    nographic: false,
    displayNone: false,
    noDefaults: false,
    monitorNone: false,
    clock: { kind: 'real' },
    rtc: { base: 'utc' },
    onReset: 'reset',
    onPowerOff: 'exit',
    startPaused: false,
    drives: [],
    devices: [],
    logItems: new Set(),
  };
}

/** What only the whole line can tell. */
function finish(draft: Draft): MachineConfig {
  const {
    serial: given, serialGiven, appendGiven, noDefaults, monitorNone, logItems, logFile, debugconGiven, debugconIobase, debugconTo, chardevs,
    debugconChardev, drives, devices, ...rest
  } = draft;
  const config: MachineConfig = {
    ...rest,
    vga: rest.vga ?? (rest.kernel === undefined && !noDefaults ? 'std' : 'none'),
    drives: drives.map(({ interface: _interface, written: _written, ...drive }) => drive),
    devices: [],
    serial: given.map((port) => port?.config),
    log: { items: logItems, ...(logFile === undefined ? {} : { file: logFile }) },
  };
  if (config.information !== undefined) return config;

  if (config.kernel === undefined) {
    for (const [option, isGiven] of [['-append', appendGiven], ['-initrd', config.initrd !== undefined]] as const) {
      if (isGiven) throw new OptionError(option, 'it is only allowed with -kernel', 'Name a kernel with -kernel FILE.');
    }
    config.bios ??= DEFAULT_BIOS;
  } else if (config.vga !== 'none') {
    throw new OptionError(`-vga ${config.vga}`, 'it needs firmware to set it up, and a kernel that -kernel names is loaded directly', 'Leave out -vga, or -kernel.');
  } else if (config.bios !== undefined) {
    throw new OptionError(`-bios ${config.bios}`, 'a kernel that -kernel names is loaded directly, without firmware', 'Leave out -bios, or -kernel.');
  }
  if (debugconGiven) {
    let to = debugconTo;
    if (debugconChardev) {
      to = chardevs.get(debugconChardev.id);
      if (!to) throw new OptionError(debugconChardev.written, `there is no chardev "${debugconChardev.id}"`, `Add -chardev file,id=${debugconChardev.id || 'ID'},path=FILE.`);
    }
    config.debugcon = { iobase: debugconIobase ?? DEBUGCON_IOBASE, to: to! };
  }
  // QEMU's default without -serial; with -nographic on the terminal, with escapes unless the monitor was moved elsewhere.
  if (!serialGiven && config.nographic) config.serial = [{ kind: 'stdio', mux: !monitorNone }];
  else if (!serialGiven && !noDefaults) config.serial = [{ kind: 'vc' }];
  config.devices = resolveDevices(draft, config);
  if (config.devices.length > FREE_SLOTS) throw new OptionError('-device', `there are ${config.devices.length} devices for ${FREE_SLOTS} free PCI slots`);
  const terminals = config.serial.filter((port) => port?.kind === 'stdio').length;
  if (terminals > 1) throw new OptionError('-serial stdio', 'only one serial port can use the terminal', 'Send the others to file:PATH or null.');
  if (terminals > 0 && config.debugcon?.to.kind === 'stdio') {
    throw new OptionError('-debugcon stdio', 'a serial port uses the terminal', 'Send one of them to file:PATH or null.');
  }
  return config;
}

/** The devices of -device, and behind them one for each -drive that asks for its own, as QEMU orders them. */
function resolveDevices({ devices, drives }: Draft, config: MachineConfig): PciDeviceConfig[] {
  const all = devices.map((device) => device.resolve(config));
  drives.forEach((drive, index) => {
    const same = drives.find((other, at) => at < index && other.file === drive.file && !(other.readOnly && drive.readOnly));
    if (same) throw new OptionError(drive.written, `${drive.file} is open already`, 'Only drives that are all readonly=on can share a file.');
    if (drive.interface === 'virtio') all.push({ driver: 'virtio-blk-pci', legacy: true, modern: true, drive: index });
  });
  const used = new Set<number>();
  for (const device of all) {
    if (device.driver !== 'virtio-blk-pci') continue;
    if (used.has(device.drive)) throw new OptionError(`-device virtio-blk-pci,drive=${config.drives[device.drive].id}`, 'the drive has a device already');
    used.add(device.drive);
  }
  return all;
}

function unknownOption(word: string, name: string): OptionError {
  if (QEMU_OPTIONS.has(name)) return new OptionError(word, 'QEMU has this option, Tabvisor does not support it yet');
  const close = Object.keys(OPTIONS).find((known) => known.toLowerCase() === name.toLowerCase());
  return new OptionError(word, 'invalid option', close ? `Did you mean -${close}?` : SEE_HELP);
}

function applyMemory(draft: Draft, value: string, written: string): void {
  const fields = keyValues(value, 'size', written);
  for (const key of fields.keys()) {
    if (key === 'slots' || key === 'maxmem') throw notYet(written, `${key}= (memory hotplug)`);
    if (key !== 'size') throw unknownKey(written, key);
  }
  const text = fields.get('size') ?? '';
  const match = /^(\d+(?:\.\d+)?|0x[0-9a-f]+)([bkmgt]?)$/i.exec(text);
  if (!match) throw new OptionError(written, `"${text}" is not a size`, 'Give a number of MiB, or one with a suffix: 512, 512M, 1G.');
  const unit = { '': MIB, b: 1, k: 1024, m: MIB, g: 1024 * MIB, t: 1024 * 1024 * MIB }[match[2].toLowerCase()]!;
  const size = Math.ceil((Number(match[1]) * unit) / PAGE) * PAGE;
  if (size < MIN_RAM) throw new OptionError(written, 'it is less than 2 MiB, the least this PC can have', 'Give more memory, for example -m 128.');
  if (size > MAX_RAM) throw new OptionError(written, 'it is more than 3 GiB, the most that fits into WebAssembly\'s memory', 'Give at most -m 3G.');
  draft.ramSize = size;
}

function applySmp(draft: Draft, value: string, written: string): void {
  const keys = ['cpus', 'sockets', 'dies', 'clusters', 'cores', 'threads', 'maxcpus'];
  for (const [key, text] of keyValues(value, 'cpus', written)) {
    if (!keys.includes(key)) throw unknownKey(written, key);
    if (!/^[1-9]\d{0,4}$/.test(text)) throw new OptionError(written, `"${text}" is not a number of CPUs`);
    if (Number(text) !== 1) throw new OptionError(written, 'more than one CPU is not supported yet', 'Leave the option out, or give -smp 1.');
  }
  draft.cpus = 1;
}

function applyCpu(draft: Draft, value: string, written: string): void {
  if (value === 'help' || value === '?') {
    draft.information ??= cpuHelpText();
    return;
  }
  const [model, ...changes] = value.split(',');
  const known = own(CPU_MODELS, model);
  if (!known) {
    throw new OptionError(written, `there is no CPU model "${model}" here`, `Models are ${Object.keys(CPU_MODELS).join(', ')}; -cpu help lists the features.`);
  }
  const features = new Set(known.features);
  for (const change of changes) {
    const match = /^([+-])(.+)$/.exec(change) ?? /^()(.+?)=(on|off|true|false|yes|no|y|n)$/.exec(change);
    if (!match) throw new OptionError(written, `"${change}" is not +FEATURE, -FEATURE or FEATURE=on|off`);
    const on = match[1] === '+' || /^(on|true|yes|y)$/.test(match[3] ?? '');
    const name = own(FEATURE_ALIASES, match[2]) ?? match[2];
    if (SUPPORTED_FEATURES.includes(name as CpuFeature)) {
      if (on) features.add(name as CpuFeature);
      else features.delete(name as CpuFeature);
    } else if (!UNSUPPORTED_FEATURES.includes(name)) {
      throw new OptionError(written, `there is no CPU feature "${match[2]}"`, '-cpu help lists the features.');
    } else if (on) {
      throw new OptionError(written, `the CPU feature "${match[2]}" is not supported yet`, '-cpu help lists the features.');
    }
  }
  draft.cpu = { model, features };
}

function applyMachine(draft: Draft, value: string, written: string): void {
  if (value === 'help' || value === '?') {
    draft.information ??= 'Supported machines are:\npc      PC with i440FX and PIIX3 (default)\n';
    return;
  }
  for (const [key, text] of keyValues(value, 'type', written)) {
    if (key === 'accel') applyAccel(draft, text, written);
    else if (key !== 'type') throw notYet(written, `${key}=`);
    else if (text !== 'pc') throw new OptionError(written, `the machine "${text}" is not supported`, 'The only machine is pc.');
  }
}

function applyAccel(draft: Draft, value: string, written: string): void {
  for (const [key, text] of keyValues(value, 'accel', written)) {
    if (key !== 'accel') throw unknownKey(written, key);
    if (text === 'interpreter') continue;
    if (text === 'jit') throw new OptionError(written, 'the compiler is not supported yet', 'Leave the option out, or give -accel interpreter.');
    if (text === 'help') {
      draft.information ??= 'Accelerators supported:\ninterpreter\n';
      continue;
    }
    throw new OptionError(written, `there is no accelerator "${text}" here`, 'Leave the option out, or give -accel interpreter.');
  }
}

function applyDisplay(draft: Draft, value: string, written: string): void {
  onlyNone(draft, value, written);
  draft.displayNone = true;
}

/** Options of which only the value that takes a thing away is supported. */
function onlyNone(_draft: Draft, value: string, written: string): void {
  if (value !== 'none') throw notYet(written, `"${value}"`, `The only value is none.`);
}

function applyVga(draft: Draft, value: string, written: string): void {
  if (value === 'help' || value === '?') draft.information ??= 'none                 no graphic card\nstd                  standard VGA\n';
  else if (value !== 'std' && value !== 'none') throw notYet(written, `"${value}"`, 'Use std or none.');
  else draft.vga = value;
}

function applySerial(draft: Draft, value: string, written: string): void {
  draft.serialGiven = true;
  if (draft.serial.length === 4) throw new OptionError(written, 'a PC has four serial ports');
  draft.serial.push({ config: serialConfig(value, written) });
}

function serialConfig(value: string, written: string): SerialConfig | undefined {
  if (value === 'none') return undefined;
  if (value === 'null') return { kind: 'null' };
  if (value === 'vc' || value === 'mon:vc') return { kind: 'vc' };
  if (value === 'stdio') return { kind: 'stdio', mux: false };
  if (value === 'mon:stdio') return { kind: 'stdio', mux: true };
  if (value.startsWith('file:')) {
    const path = value.slice('file:'.length);
    if (!path) throw new OptionError(written, 'the path is missing', 'Write -serial file:PATH.');
    return { kind: 'file', path };
  }
  throw new OptionError(written, `serial ports to "${value}" are not supported`, 'Use stdio, mon:stdio, file:PATH, null or none.');
}

/** Properties by name, each with what it takes. */
type Properties = Readonly<Record<string, string>>;

interface DeviceDriver {
  bus: 'ISA' | 'PCI';
  help: string;
  properties: Properties;
  apply(draft: Draft, fields: Map<string, string>, written: string): void;
}

const PCI_PROPERTIES: Properties = { addr: 'slot[.function], hexadecimal; default: the first free slot' };
const VIRTIO_PROPERTIES: Properties = {
  ...PCI_PROPERTIES,
  'disable-legacy': 'on|off: leave the interface of before virtio 1.0 out (default off)',
  'disable-modern': 'on|off: leave the interface of virtio 1.0 out (default off)',
  vectors: 'MSI-X vectors; 0: the INTx line only',
};

/** To add a device: a line here, and one in devices.ts. */
const DEVICES: Readonly<Record<string, DeviceDriver>> = {
  'isa-debug-exit': {
    bus: 'ISA', help: 'a port that ends the machine with exit status (value << 1) | 1',
    properties: { iobase: 'port (default 0x501)', iosize: '1, 2 or 4 ports (default 2)' },
    apply: applyDebugExit,
  },
  'isa-debugcon': {
    bus: 'ISA', help: 'a port whose bytes go to a -chardev',
    properties: { iobase: 'port (default 0xe9; SeaBIOS writes to 0x402)', chardev: 'id of a -chardev' },
    apply: applyDebugconDevice,
  },
  'virtio-rng-pci': { bus: 'PCI', help: 'random numbers', properties: VIRTIO_PROPERTIES, apply: applyRng },
  'virtio-blk-pci': {
    bus: 'PCI', help: 'a disk',
    properties: { drive: 'id of a -drive with if=none', serial: 'serial number, up to 20 bytes', ...VIRTIO_PROPERTIES },
    apply: applyBlk,
  },
};

function applyDevice(draft: Draft, value: string, written: string): void {
  if (value === 'help' || value === '?') {
    draft.information ??= Object.entries(DEVICES).map(([name, { bus, help }]) => `name "${name}", bus ${bus}, desc "${help}"\n`).join('');
    return;
  }
  const fields = keyValues(value, 'driver', written);
  const name = fields.get('driver') ?? '';
  const driver = own(DEVICES, name);
  if (!driver) throw new OptionError(written, `the device "${name}" is not supported`, '-device help lists the devices.');
  if (fields.has('help') || fields.has('?')) {
    draft.information ??= `${name} options:\n${Object.entries(driver.properties).map(([key, help]) => `  ${key.padEnd(20)} ${help}\n`).join('')}`;
    return;
  }
  for (const key of fields.keys()) {
    if (key === 'driver' || key === 'id' || own(driver.properties, key) !== undefined) continue;
    throw new OptionError(written, `it has no property "${key}" here`, `-device ${name},help lists the properties.`);
  }
  driver.apply(draft, fields, written);
}

function applyDebugExit(draft: Draft, fields: Map<string, string>, written: string): void {
  if (draft.debugExit) throw new OptionError(written, 'there is one isa-debug-exit already');
  const iobase = number(fields.get('iobase') ?? '0x501', written);
  const iosize = number(fields.get('iosize') ?? '2', written);
  if (iosize !== 1 && iosize !== 2 && iosize !== 4) throw new OptionError(written, 'iosize must be 1, 2 or 4');
  if (iobase + iosize > 0x10000) throw new OptionError(written, 'iobase must be a port, 0 to 0xffff');
  draft.debugExit = { iobase, iosize };
}

function claimDebugcon(draft: Draft, written: string): void {
  if (draft.debugconGiven) throw new OptionError(written, 'there is one isa-debugcon already');
  draft.debugconGiven = true;
}

function applyDebugconDevice(draft: Draft, fields: Map<string, string>, written: string): void {
  claimDebugcon(draft, written);
  const iobase = fields.get('iobase');
  if (iobase !== undefined) draft.debugconIobase = port(iobase, written);
  draft.debugconChardev = { id: fields.get('chardev') ?? '', written };
}

function applyDebugcon(draft: Draft, value: string, written: string): void {
  claimDebugcon(draft, written);
  const to = value === 'vc' || value.startsWith('mon:') ? undefined : serialConfig(value, written);
  if (!to) throw new OptionError(written, `the debug port cannot go to "${value}"`, 'Use stdio, file:PATH or null.');
  draft.debugconTo = to;
}

function applyGlobal(draft: Draft, value: string, written: string): void {
  const match = /^isa-debugcon\.iobase=(.*)$/.exec(value);
  if (!match) throw notYet(written, 'a default of this device', 'The only one is isa-debugcon.iobase=PORT.');
  draft.debugconIobase ??= port(match[1], written);
}

function applyChardev(draft: Draft, value: string, written: string): void {
  const fields = keyValues(value, 'backend', written);
  const backend = fields.get('backend') ?? '';
  const id = fields.get('id');
  if (!id) throw new OptionError(written, 'it has no id', 'Write -chardev file,id=NAME,path=FILE.');
  if (draft.chardevs.has(id)) throw new OptionError(written, `there is a chardev "${id}" already`);
  const path = fields.get('path');
  for (const key of fields.keys()) if (key !== 'backend' && key !== 'id' && !(key === 'path' && backend === 'file')) throw unknownKey(written, key);
  if (backend === 'stdio') draft.chardevs.set(id, { kind: 'stdio', mux: false });
  else if (backend === 'null') draft.chardevs.set(id, { kind: 'null' });
  else if (backend !== 'file') throw notYet(written, `the backend "${backend}"`, 'Backends are file, stdio and null.');
  else if (!path) throw new OptionError(written, 'the path is missing', 'Write -chardev file,id=NAME,path=FILE.');
  else draft.chardevs.set(id, { kind: 'file', path });
}

function applyBoot(draft: Draft, value: string, written: string): void {
  const { boot } = draft;
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

function applyRng(draft: Draft, fields: Map<string, string>, written: string): void {
  const device = virtioProperties(draft, fields, written);
  draft.devices.push({ device, resolve: () => ({ driver: 'virtio-rng-pci', ...device }) });
}

function applyBlk(draft: Draft, fields: Map<string, string>, written: string): void {
  const device = virtioProperties(draft, fields, written);
  const id = fields.get('drive');
  const serial = fields.get('serial');
  if (id === undefined) throw new OptionError(written, 'drive=ID is missing', 'Add -drive if=none,id=ID,file=FILE,format=raw and name its ID.');
  if (serial !== undefined && new TextEncoder().encode(serial).length > 20) throw new OptionError(written, 'a serial number has 20 bytes at most');
  draft.devices.push({
    device,
    // The -drive may come later in the line.
    resolve: ({ drives }) => {
      const drive = drives.findIndex((candidate) => candidate.id === id);
      if (drive < 0) throw new OptionError(written, `there is no drive with id "${id}"`, `Add -drive if=none,id=${id},file=FILE,format=raw.`);
      return { driver: 'virtio-blk-pci', ...device, drive, ...(serial === undefined ? {} : { serial }) };
    },
  });
}

/** Properties of QEMU's -drive beside those that applyDrive() reads. */
const QEMU_DRIVE_KEYS = 'bus unit index snapshot cache aio discard detect-zeroes copy-on-read rerror werror driver node-name cyls heads secs trans addr'.split(' ');

function applyDrive(draft: Draft, value: string, written: string): void {
  const fields = keyValues(value, 'file', written);
  for (const key of fields.keys()) {
    if (['file', 'id', 'if', 'format', 'media', 'readonly', 'read-only'].includes(key)) continue;
    throw QEMU_DRIVE_KEYS.includes(key) || /^(throttling|iops|bps)/.test(key) ? notYet(written, `${key}=`) : unknownKey(written, key);
  }
  const file = fields.get('file');
  if (!file) throw new OptionError(written, 'file=FILE is missing', 'Drives without a medium are not supported.');
  const kind = fields.get('if') ?? 'ide';
  if (kind !== 'virtio' && kind !== 'none') throw notYet(written, `if=${kind}${fields.has('if') ? '' : ', the default,'}`, 'Write if=virtio.');
  const format = fields.get('format');
  // Without a format QEMU looks at the contents, which the guest may have written: it warns about that, too.
  if (format === undefined) throw new OptionError(written, 'the format is missing', 'Write format=raw.');
  if (format !== 'raw') throw notYet(written, `format=${format}`, 'The only format is raw.');
  if ((fields.get('media') ?? 'disk') !== 'disk') throw notYet(written, `media=${fields.get('media')}`);
  const id = fields.get('id');
  if (id !== undefined && draft.drives.some((drive) => drive.id === id)) throw new OptionError(written, `there is a drive with id "${id}" already`);
  const readOnly = onOff(fields.get('readonly') ?? fields.get('read-only') ?? 'off', written, 'readonly');
  draft.drives.push({ file, format: 'raw', readOnly, interface: kind, written, ...(id === undefined ? {} : { id }) });
}

/** What all virtio devices have. */
function virtioProperties(draft: Draft, fields: Map<string, string>, written: string): PciDevice {
  const id = fields.get('id');
  if (id !== undefined && draft.devices.some(({ device }) => device.id === id)) throw new OptionError(written, `there is a device with id "${id}" already`);
  const legacy = !onOff(fields.get('disable-legacy') ?? 'off', written, 'disable-legacy');
  const modern = !onOff(fields.get('disable-modern') ?? 'off', written, 'disable-modern');
  if (!legacy && !modern) throw new OptionError(written, 'a device needs one of its interfaces', 'Leave out disable-legacy=on or disable-modern=on.');
  const addr = fields.get('addr');
  const vectors = fields.get('vectors');
  if (vectors !== undefined && number(vectors, written) > MSIX_MAX_VECTORS) throw new OptionError(written, `there can be ${MSIX_MAX_VECTORS} vectors at most`);
  return {
    legacy,
    modern,
    ...(id === undefined ? {} : { id }),
    ...(addr === undefined ? {} : { addr: pciAddress(draft, addr, written) }),
    ...(vectors === undefined ? {} : { vectors: number(vectors, written) }),
  };
}

/** QEMU's notation of a place on the PCI bus, "5" or "5.0" in hexadecimal. */
function pciAddress(draft: Draft, text: string, written: string): { slot: number; fn: number } {
  const match = /^(?:0x)?([0-9a-f]{1,2})(?:\.([0-7]))?$/i.exec(text);
  const slot = parseInt(match?.[1] ?? '', 16);
  const fn = Number(match?.[2] ?? 0);
  if (!match || slot > 31) throw new OptionError(written, `"${text}" is not a place on the PCI bus`, 'Write slot or slot.function, for example addr=5.');
  // Functions beside the first are found only behind a first one that says so, and none here does.
  if (fn !== 0) throw notYet(written, 'a function other than 0');
  if (slot < 2) throw new OptionError(written, `PCI slot ${slot} belongs to the board`, 'Slots from 2 to 1f are free.');
  if (draft.devices.some(({ device }) => device.addr?.slot === slot)) throw new OptionError(written, `PCI slot ${slot.toString(16)} is taken already`);
  return { slot, fn };
}

function applyRtc(draft: Draft, value: string, written: string): void {
  for (const [key, text] of keyValues(value, 'base', written)) {
    if (key === 'base') draft.rtc = rtcBase(text, written);
    else if (key === 'clock') {
      if (text !== 'vm') throw notYet(written, `clock=${text}`, 'The date runs on the machine\'s own clock: clock=vm.');
    } else if (key === 'driftfix') {
      if (text !== 'none') throw notYet(written, `driftfix=${text}`);
    } else {
      throw unknownKey(written, key);
    }
  }
}

function rtcBase(text: string, written: string): RtcConfig {
  if (text === 'utc' || text === 'localtime') return { base: text };
  const match = /^(\d{4})-(\d\d?)-(\d\d?)(?:T(\d\d?):(\d\d?):(\d\d?))?$/.exec(text);
  const fields = match?.slice(1).map((field) => Number(field ?? 0));
  const epochMs = fields ? Date.UTC(fields[0], fields[1] - 1, fields[2], fields[3], fields[4], fields[5]) : NaN;
  const date = new Date(epochMs);
  // Date.UTC takes February 30 for March 1 or 2; so compare.
  const isDate = fields && [date.getUTCFullYear(), date.getUTCMonth() + 1, date.getUTCDate(), date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()]
    .every((part, index) => part === fields[index]);
  if (!isDate) throw new OptionError(written, `"${text}" is not a date`, 'Write base=utc, base=localtime, base=2006-06-17 or base=2006-06-17T16:01:21.');
  return { base: 'date', epochMs };
}

function applyIcount(draft: Draft, value: string, written: string): void {
  const fields = keyValues(value, 'shift', written);
  const shift = fields.get('shift') ?? '';
  let sleep = true;
  for (const [key, text] of fields) {
    if (key === 'shift') continue;
    if (key === 'sleep') sleep = onOff(text, written, key);
    else if (key === 'align') {
      if (onOff(text, written, key)) throw notYet(written, 'align=on');
    } else if (key === 'rr' || key === 'rrfile' || key === 'rrsnapshot') throw notYet(written, `${key}= (record and replay)`);
    else throw unknownKey(written, key);
  }
  if (shift === 'auto') throw notYet(written, 'shift=auto', 'Give a number: -icount shift=0.');
  if (!/^(\d|10)$/.test(shift)) throw new OptionError(written, `shift must be a number from 0 to 10`, 'For example -icount shift=0: an instruction takes 1 ns.');
  draft.clock = { kind: 'virtual', shift: Number(shift), sleep };
}

/** What -d can log, and QEMU's other items. */
const LOG_ITEMS: Readonly<Record<LogItem, string>> = {
  in_asm: 'guest code, disassembled, when it is first decoded',
  int: 'interrupts and exceptions, with registers',
  exec: 'each piece of code that is run: its address',
};
const QEMU_LOG_ITEMS = 'out_asm op op_opt op_ind cpu fpu mmu pcall cpu_reset unimp guest_errors page nochain plugin strace tid vpu all'.split(' ');

function applyLog(draft: Draft, value: string, written: string): void {
  for (const item of value.split(',')) {
    if (own(LOG_ITEMS, item) !== undefined) {
      draft.logItems.add(item as LogItem);
    } else if (item === 'help' || item === '?') {
      draft.information ??= 'Log items (comma separated):\n'
        + Object.entries(LOG_ITEMS).map(([name, text]) => `${name.padEnd(10)} ${text}\n`).join('');
    } else if (QEMU_LOG_ITEMS.includes(item) || item.startsWith('trace:')) {
      throw notYet(written, `the log item "${item}"`, '-d help lists the items.');
    } else {
      throw new OptionError(written, `there is no log item "${item}"`, '-d help lists the items.');
    }
  }
}

function applyName(draft: Draft, value: string, written: string): void {
  for (const [key, text] of keyValues(value, 'guest', written)) {
    if (key === 'guest') draft.name = text;
    else throw notYet(written, `${key}=`);
  }
}

/**
 * QEMU's "value,key=value" notation: commas in values are doubled; the first word may leave out its key.
 * A word without "=" is KEY=on, with "no" in front KEY=off, as QEMU has it.
 */
function keyValues(text: string, firstKey: string, written: string): Map<string, string> {
  const fields = new Map<string, string>();
  // Split at single commas; a doubled comma is one of the value.
  const parts = text.replaceAll(',,', '\0').split(',').map((part) => part.replaceAll('\0', ','));
  parts.forEach((part, index) => {
    const equals = part.indexOf('=');
    if (equals > 0) fields.set(part.slice(0, equals), part.slice(equals + 1));
    else if (index === 0) fields.set(firstKey, part);
    else if (part === '') throw new OptionError(written, 'there is nothing between two commas');
    else fields.set(part.startsWith('no') ? part.slice(2) : part, part.startsWith('no') ? 'off' : 'on');
  });
  return fields;
}

function number(text: string, written: string): number {
  if (!/^(0x[0-9a-f]{1,8}|\d{1,10})$/i.test(text)) throw new OptionError(written, `"${text}" is not a number`);
  return Number(text);
}

function port(text: string, written: string): number {
  const value = number(text, written);
  if (value > 0xffff) throw new OptionError(written, `"${text}" is not a port, 0 to 0xffff`);
  return value;
}

function onOff(text: string, written: string, key: string): boolean {
  if (/^(on|yes|true|y)$/.test(text)) return true;
  if (/^(off|no|false|n)$/.test(text)) return false;
  throw new OptionError(written, `${key} must be on or off`);
}

function notYet(written: string, what: string, advice?: string): OptionError {
  return new OptionError(written, `${what} is not supported yet`, advice);
}

function unknownKey(written: string, key: string): OptionError {
  return new OptionError(written, `it has no setting "${key}"`);
}

/** A property of its own: "constructor" and the like are no options. */
function own<T>(table: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(table, key) ? table[key] : undefined;
}

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
C-a C-a  send C-a
`;
}

function cpuHelpText(): string {
  const models = Object.entries(CPU_MODELS).map(([name, model]) => `x86 ${name.padEnd(12)} ${model.description}\n`).join('');
  const rows: string[] = [];
  for (let at = 0; at < SUPPORTED_FEATURES.length; at += 12) rows.push(`  ${SUPPORTED_FEATURES.slice(at, at + 12).join(' ')}\n`);
  return `Available CPUs:\n${models}\nRecognized CPU features:\n${rows.join('')}`;
}
