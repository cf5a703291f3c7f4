// The machine worker: makes a machine of a MachineSpec, runs it slice by slice, sleeps when the guest is idle, and answers its owner.
// Sleeping is Atomics.wait on the doorbell, which no message can end: so a caller rings it, and while calls wait
// (Control.COMMANDS) the loop lets messages in instead of sleeping.

import type { BlockBackend } from '../devices/interfaces.ts';
import { asFailure, MachineError } from './client.ts';
import { SnapshotDisk } from '../backends/block/snapshot.ts';
import { bootSector } from './drives.ts';
import { TrackedFolder } from '../backends/fs/tracked.ts';
import type { HostEnvironment, LogSink } from './environment.ts';
import { initrdFiles, isOneFile, kernelKind } from './boot/load.ts';
import { openCompileChannel } from './compile-channel.ts';
import { MachineLog } from './log.ts';
import type { FileData } from './boot/file-data.ts';
import { Machine } from './machine.ts';
import type { MonitorCalls, MonitorTarget } from './monitor-target.ts';
import { needsIo } from './network-io.ts';
import { compilesBeside, firmwareFiles, type MachineConfig, parse, type DriveConfig } from './options/index.ts';
import { toPng, toPpm } from './png.ts';
import { type BootProgress, Control, type DriveView, type FolderView, type MachineApi, type MachineEvents, type MachineFailure, type MachineFile, type MachineSpec, RunState } from './protocol.ts';

/** Longest time without letting messages and host timers in, ms. */
const YIELD_MS = 50;
/** The same while a caller waits. */
const COMMAND_YIELD_MS = 4;
/** Longest sleep, ms: bounds what a lost wake-up could cost. */
const MAX_SLEEP_MS = 1000;

/** Let messages in. A MessageChannel's turn costs microseconds, a zero timeout a millisecond or more. */
const nextTurn: () => Promise<void> = makeTurn();

function makeTurn(): () => Promise<void> {
  // Node has something better: there a port whose handler posts to it again is served up to a thousand times before any other port is.
  const { setImmediate } = globalThis as { setImmediate?: (callback: () => void) => void };
  if (setImmediate) return () => new Promise((resolve) => setImmediate(resolve));
  const channel = new MessageChannel();
  let turn: (() => void) | null = null;
  channel.port1.onmessage = () => turn?.();
  return () => new Promise((resolve) => {
    turn = resolve;
    channel.port2.postMessage(0);
  });
}

/** Nanoseconds of the host's monotonic clock. */
const hostNow = (): number => performance.now() * 1e6;

class Host implements MachineApi {
  private machine: Machine | null = null;
  private events: MachineEvents | null = null;
  private state = RunState.EMPTY;
  private words!: Int32Array;
  private counters!: BigUint64Array;
  private busyNs = 0;
  private idleNs = 0;
  private running: Promise<void> | null = null;
  private log: LogSink | null = null;
  private isFresh = true;
  /** Its disks are anybody's. */
  private closed = false;
  private monitorCalls: MonitorCalls | null = null;
  /** Those that the line names, as MachineConfig.drives has them. */
  private disks: readonly BlockBackend[] = [];
  /** What is open, to be flushed at the end; and what is about to be anybody's. */
  private readonly open = new Map<BlockBackend, string>();
  private readonly closing = new Set<Promise<void>>();
  /** Taken out, and what the guest wrote could not be kept: they stay as they are until they come back, or the end. By file. */
  private readonly unsaved = new Map<string, BlockBackend>();
  private readonly trackedFolders: { path: string; folder: TrackedFolder }[] = [];
  private files: readonly MachineFile[] = [];

  constructor(private readonly environment: HostEnvironment) {}

  async create(spec: MachineSpec, events: MachineEvents): Promise<{ memory: SharedArrayBuffer }> {
    if (this.machine) throw new MachineError({ what: 'This worker has a machine already', why: 'create() was called twice', advice: 'Start another worker.' });
    this.events = events;
    this.setState(RunState.LOADING);
    const config = parse(spec.args);
    this.refuseInPage(config);
    // Its worker takes a while to begin.
    const compiler = compilesBeside(config) ? this.environment.openCompiler?.() : undefined;
    const [[core, interpreter], files] = await Promise.all([this.loadEngine(), this.loadFiles(config, spec.files)]);
    if (config.log.items.size > 0) this.log = this.environment.openLog?.(config.log.file) ?? null;
    const { log: sink } = this;
    this.files = spec.files;
    const disks: BlockBackend[] = [];
    const bootSectors: Uint8Array[] = [];
    for (const drive of config.drives) {
      this.report({ phase: 'loading', name: `disk ${drive.file}`, loaded: 0, total: 0 });
      const disk = await this.openDisk(drive);
      disks.push(disk);
      bootSectors.push(await bootSector(disk));
    }
    this.disks = disks;
    if (config.netdevs.some(needsIo)) this.report({ phase: 'loading', name: 'network', loaded: 0, total: 0 });
    const network = config.netdevs.some(needsIo) ? await this.environment.openNetwork(config.netdevs, (why) => this.networkLost(why)) : null;
    const folders = config.fsdevs.map((fsdev) =>
      this.environment.openFolder(fsdev, spec.folders?.find(({ path }) => path === fsdev.path), () => this.machine?.date() ?? 0n, (failure) => this.tell((events) => events.warned?.(failure))));
    for (const [n, folder] of folders.entries()) if (folder instanceof TrackedFolder) this.trackedFolders.push({ path: config.fsdevs[n].path, folder });
    this.report({ phase: 'loading', name: 'guest memory', loaded: 0, total: config.ramSize });
    const log = sink ? new MachineLog((text) => sink.write(text)) : null;
    const machine = new Machine({
      config,
      modules: { core, interpreter },
      files,
      disks,
      bootSectors,
      network: { channels: network?.channels, tftp: this.environment.tftp },
      ...(compiler ? { openCompiler: (memory) => openCompileChannel(compiler, memory) } : {}),
      folders,
      hostNow,
      poll: () => this.environment.pollDisks?.(),
      date: { epochMs: Date.now(), offsetMs: -new Date().getTimezoneOffset() * 60_000 },
      log,
    });
    this.machine = machine;
    machine.drives.onEjected = (medium) => this.letGo(medium);
    this.monitorCalls = this.environment.monitor(this.monitorTarget(machine));
    const buffer = machine.memory.buffer as unknown as SharedArrayBuffer;
    this.words = new Int32Array(buffer);
    this.environment.attachDisks?.(buffer);
    this.counters = new BigUint64Array(buffer);
    network?.connect(buffer);
    this.report({ phase: 'started', name: config.name, loaded: 0, total: 0 });
    if (config.startPaused) this.setState(RunState.PAUSED);
    else this.go();
    return { memory: buffer };
  }

  /** The guest goes on, with its cables out. */
  private networkLost(why: string): void {
    this.machine?.network.lost();
    const failure = { what: 'The network is gone', why: `Its I/O worker has ended: ${why}`, advice: 'The guest finds its cables out; start the machine again to have them back.' };
    this.tell((events) => events.warned?.(failure));
  }

  /** What the page cannot do: options that write files or to a terminal. */
  private refuseInPage(config: MachineConfig): void {
    if (config.drives.length > 0 && !this.environment.openDisk) {
      throw new MachineError({
        what: 'The option -drive cannot be used',
        why: 'It opens a file of the host, and disks are not supported in a page yet',
        advice: 'Take it out of the machine line, or run the line with bin/tabvisor.',
      });
    }
    if (this.environment.openLog) return;
    if (config.netdevs.some((netdev) => netdev.type === 'user' && netdev.user.forwards.some(({ protocol }) => protocol === 'udp'))) {
      throw new MachineError({
        what: 'The option -netdev user,hostfwd=udp: cannot be used',
        why: 'A page shows what a web server behind a TCP port says, and has no use for UDP',
        advice: 'Take it out of the machine line, or run the line with bin/tabvisor.',
      });
    }
    const option = config.log.items.size > 0 ? '-d'
      : config.serial.some((port) => port?.kind === 'file') ? '-serial file:'
      : config.chardevs.some(({ to }) => to.kind === 'file') ? '-chardev file'
      : config.debugcon && config.debugcon.to.kind !== 'null' ? '-debugcon' : null;
    if (option === null) return;
    throw new MachineError({
      what: `The option ${option} cannot be used`,
      why: 'It writes a file or to a terminal, and a page has neither',
      advice: 'Take it out of the machine line, or run the line with bin/tabvisor; the console of a serial port can be downloaded from the page.',
    });
  }

  private async loadEngine(): Promise<[WebAssembly.Module, WebAssembly.Module]> {
    const progress = { core: [0, 0], interpreter: [0, 0] };
    const load = (name: 'core' | 'interpreter'): Promise<WebAssembly.Module> =>
      this.environment.engine(name, (loaded, total) => {
        progress[name] = [loaded, total];
        this.report({
          phase: 'engine',
          name: 'engine',
          loaded: progress.core[0] + progress.interpreter[0],
          total: progress.core[1] && progress.interpreter[1] ? progress.core[1] + progress.interpreter[1] : 0,
        });
      });
    return Promise.all([load('core'), load('interpreter')]);
  }

  private async loadFiles(config: MachineConfig, given: readonly MachineFile[]): Promise<Map<string, FileData>> {
    const files = new Map<string, FileData>();
    const find = (name: string): MachineFile => {
      const file = given.find((f) => f.name === name);
      if (!file) throw new MachineError({ what: `${name} is missing`, why: 'The machine line names it, but it was not given', advice: 'Drop the file on the page, or use a URL in the line.' });
      return file;
    };
    const read = async (name: string, phase: 'firmware' | 'kernel' | 'initrd'): Promise<void> => {
      if (files.has(name)) return;
      const file = find(name);
      this.report({ phase, name, loaded: 0, total: 0 });
      files.set(name, await this.environment.read(file, (loaded, total) => this.report({ phase, name, loaded, total })));
    };
    // All that is known to be wanted comes at once, unless something of it is not there at all.
    const { kernel, initrd } = config;
    const wanted: [string, 'firmware' | 'kernel' | 'initrd'][] = firmwareFiles(config).map((name) => [name, 'firmware']);
    if (kernel !== undefined) wanted.push([kernel, 'kernel']);
    if (kernel !== undefined && initrd !== undefined && isOneFile(initrd)) wanted.push([initrd, 'initrd']);
    for (const [name] of wanted) find(name);
    await Promise.all(wanted.map(([name, phase]) => read(name, phase)));
    if (kernel === undefined) return files;
    // What else is named by the same option, the kernel's kind tells.
    for (const name of initrdFiles(kernelKind(kernel, files.get(kernel)!), initrd)) await read(name, 'initrd');
    return files;
  }

  // ---- control

  async pause(): Promise<void> {
    const machine = this.made();
    if (this.state !== RunState.RUNNING) return;
    this.setState(RunState.PAUSED);
    await this.running;
    machine.pause();
  }

  async resume(): Promise<void> {
    this.made();
    if (this.state === RunState.PAUSED) this.go();
  }

  async reset(): Promise<void> {
    const machine = this.made();
    if (this.closed) throw new MachineError({ what: 'The machine is off', why: 'Its disks were closed when it went off', advice: 'Start it again.' });
    const wasPaused = this.state === RunState.PAUSED;
    this.setState(RunState.LOADING);
    await this.running;
    machine.reset();
    this.isFresh = true;
    if (wasPaused) this.setState(RunState.PAUSED);
    else this.go();
  }

  async powerButton(): Promise<void> {
    this.made().pc.powerButton();
  }

  async powerOff(): Promise<void> {
    const machine = this.made();
    this.setState(RunState.OFF);
    await this.running;
    machine.pause();
    await this.closeDisks();
  }

  async registers(cpu: number): Promise<string> {
    const machine = this.made();
    if (cpu !== 0) throw new MachineError({ what: `There is no CPU ${cpu}`, why: 'The machine has one CPU', advice: 'Ask for CPU 0.' });
    return machine.registers();
  }

  async drives(): Promise<DriveView[]> {
    const { config, drives } = this.made();
    const view = (name: string, kind: DriveView['kind'], fixed?: number): DriveView => {
      const removable = drives.removable.get(name);
      const what = removable ? drives.media.get(name) : fixed === undefined ? undefined : config.drives[fixed];
      const disk = removable ? removable.medium : fixed === undefined ? undefined : this.disks[fixed];
      const locked = removable?.locked ?? false;
      if (!what || !disk) return { name, kind, locked };
      return { name, kind, locked, file: what.file, size: disk.size, kept: !disk.readOnly && !what.snapshot, readOnly: disk.readOnly };
    };
    let virtio = 0;
    return [
      ...config.ide.flatMap((drive) => (drive ? [view(drive.name, drive.kind === 'cd' ? 'cdrom' : 'disk', drive.drive)] : [])),
      ...config.floppies.flatMap((drive) => (drive ? [view(drive.name, 'floppy')] : [])),
      ...config.devices.flatMap((device) => (device.driver === 'virtio-blk-pci' ? [view(device.id ?? `virtio${virtio++}`, 'disk', device.drive)] : [])),
    ];
  }

  async insert(name: string, file: MachineFile, raw: boolean): Promise<void> {
    const { drives } = this.made();
    const kind = await this.removableKind(name);
    if (!this.environment.openDisk) throw new MachineError({ what: `${file.name} cannot be opened`, why: 'There are no files for disks here', advice: 'Name it in the machine line.' });
    const holder = (await this.drives()).find((drive) => drive.file === file.name);
    if (holder?.name === name) return;
    if (holder) throw new MachineError({ what: `${file.name} is in use`, why: `It is in the drive ${holder.name}`, advice: 'Eject it there first.' });
    this.files = [...this.files.filter((other) => other.name !== file.name), file];
    const what: DriveConfig = { file: file.name, readOnly: kind === 'cdrom', ...(raw ? { format: 'raw' as const } : {}) };
    const medium = await this.openDisk(what);
    try {
      if (drives.media.has(name)) await this.eject(name, false);
    } catch (error) {
      this.letGo(medium);
      throw error;
    }
    drives.insert(name, medium, what);
  }

  async eject(name: string, force: boolean): Promise<void> {
    const { drives } = this.made();
    await this.removableKind(name);
    if (drives.eject(name, force)) return;
    throw new MachineError({ what: `The medium in ${name} is in use`, why: 'The guest keeps it in; it has been told that you want it out', advice: 'Unmount it in the guest, or take it out by force.' });
  }

  private async removableKind(name: string): Promise<DriveView['kind']> {
    const drive = (await this.drives()).find((candidate) => candidate.name === name && candidate.kind !== 'disk');
    if (drive) return drive.kind;
    throw new MachineError({ what: `There is no drive ${name} for media that can be changed`, why: 'The machine line has no such CD-ROM or floppy drive', advice: 'Its drives are listed under Drives.' });
  }

  async typeText(text: string): Promise<{ unknown: string[]; refused: number }> {
    return this.made().input.type(text);
  }

  async screendump(format: 'ppm' | 'png'): Promise<Uint8Array> {
    const picture = this.made().picture();
    if (!picture) throw new MachineError({ what: 'There is no screen', why: 'The machine has no VGA card', advice: 'Add -vga std.' });
    return format === 'png' ? toPng(picture) : toPpm(picture);
  }

  async monitor(line: string): Promise<string> {
    this.made();
    return this.monitorCalls!.execute(line);
  }

  async monitorCompletions(line: string): Promise<string[]> {
    this.made();
    return this.monitorCalls!.complete(line);
  }

  private monitorTarget(machine: Machine): MonitorTarget {
    const state = (): RunState => this.state;
    const isFresh = (): boolean => this.isFresh;
    return {
      machine,
      get state() { return state(); },
      get isFresh() { return isFresh(); },
      pause: () => this.pause(),
      resume: () => this.resume(),
      reset: () => this.reset(),
      powerButton: () => this.powerButton(),
      quit: async () => {
        await this.powerOff();
        this.tell((events) => events.exited(0));
      },
      openDisk: async (drive) => {
        if (!this.environment.openDisk) throw new Error('there are no files for disks here');
        return this.openDisk(drive);
      },
      closeDisk: (disk) => this.letGo(disk),
      saveFile: async (name, bytes) => {
        if (this.environment.saveFile) await this.environment.saveFile(name, bytes);
        else this.tell((events) => events.saved?.(name, bytes));
      },
    };
  }

  async folders(): Promise<FolderView[]> {
    return this.trackedFolders.map(({ path, folder }) => ({ path, kept: folder.readOnly ? 'readonly' : folder.isWrittenBack ? 'written' : 'memory', changes: folder.changes.length, waiting: folder.waiting }));
  }

  async folderChanges(path: string): Promise<Uint8Array<ArrayBuffer>> {
    const folder = this.trackedFolders.find((one) => one.path === path)?.folder;
    if (!folder) throw new MachineError({ what: `There is no folder ${path}`, why: 'The machine line names no such', advice: 'Its folders are listed under Folders.' });
    return folder.changesArchive();
  }

  async connectNetwork(port: MessagePort): Promise<void> {
    if (!this.environment.connectNetwork) throw new MachineError({ what: 'The network cannot be shown', why: 'There is no page here', advice: 'The monitor has it: info network.' });
    this.environment.connectNetwork(port);
  }

  async stateHash(): Promise<{ icount: number; hash: string }> {
    return this.made().stateHash();
  }

  private made(): Machine {
    if (!this.machine) throw new MachineError({ what: 'There is no machine yet', why: 'create() has not finished', advice: 'Wait for it.' });
    return this.machine;
  }

  // ---- the loop

  private go(): void {
    this.setState(RunState.RUNNING);
    this.made().resume();
    this.isFresh = false;
    this.running = this.loop().catch((error: unknown) => this.fail(asFailure(error)));
  }

  private async loop(): Promise<void> {
    const machine = this.made();
    let turned = performance.now();
    while (this.state === RunState.RUNNING) {
      const doorbell = Atomics.load(this.words, Control.DOORBELL >> 2);
      const began = hostNow();
      const result = machine.runSlice();
      const ended = hostNow();
      this.busyNs += ended - began;
      if (result.kind === 'idle') this.sleep(doorbell, result.ns);
      this.publish(machine, hostNow() - ended);
      if (result.kind === 'exit') return this.end(result.status);
      if (result.kind === 'off') return this.poweredOff();
      if (result.kind === 'failed') return this.fail(result.failure);
      const waiting = Atomics.load(this.words, Control.COMMANDS >> 2) !== 0;
      if (machine.vcpu.compiler.waiting || (result.kind === 'idle' && this.environment.awaitsMessages) || performance.now() - turned >= (waiting ? COMMAND_YIELD_MS : YIELD_MS) || (waiting && result.kind === 'idle')) {
        await nextTurn();
        turned = performance.now();
      }
    }
  }

  /** Until the doorbell rings, for at most this long. */
  private sleep(doorbell: number, ns: number): void {
    if (Atomics.load(this.words, Control.COMMANDS >> 2) !== 0) return;
    const ms = Math.min(MAX_SLEEP_MS, ns / 1e6);
    if (ms <= 0) return;
    this.log?.flush();
    Atomics.wait(this.words, Control.DOORBELL >> 2, doorbell, ms);
  }

  private publish(machine: Machine, slept: number): void {
    this.idleNs += slept;
    this.counters[Control.ICOUNT >> 3] = BigInt(machine.vcpu.icount);
    this.counters[Control.BUSY_NS >> 3] = BigInt(Math.floor(this.busyNs));
    this.counters[Control.IDLE_NS >> 3] = BigInt(Math.floor(this.idleNs));
    this.counters[Control.GUEST_NS >> 3] = BigInt(Math.floor(machine.guestNs));
    this.counters[Control.DEVICE_EXITS >> 3] = BigInt(machine.vcpu.deviceExits);
  }

  private async openDisk(drive: DriveConfig): Promise<BlockBackend> {
    const file = this.files.find(({ name }) => name === drive.file);
    // One that has just been taken out may be wanted again.
    await Promise.all(this.closing);
    const unsaved = this.unsaved.get(drive.file);
    if (unsaved) {
      this.unsaved.delete(drive.file);
      return unsaved;
    }
    const opened = await this.environment.openDisk!(drive, file, (failure) => this.tell((events) => events.warned?.(failure)));
    const disk = drive.snapshot ? new SnapshotDisk(opened) : opened;
    this.open.set(disk, drive.file);
    return disk;
  }

  /** A disk that no drive has any more: what the guest wrote is made safe, and others may have it. */
  private letGo(disk: BlockBackend): void {
    const closed = new Promise<void>((resolve, reject) => disk.flush((error) => (error ? reject(error) : resolve())))
      .then(() => {
        this.open.delete(disk);
        return disk.close?.();
      })
      // The backend has told why.
      .catch(() => { if (this.open.has(disk)) this.unsaved.set(this.open.get(disk)!, disk); })
      .then(() => void this.closing.delete(closed));
    this.closing.add(closed);
  }

  /** What the guest wrote stays, also what it did not flush: as when QEMU ends. */
  private async flushDisks(): Promise<void> {
    // What could not be kept was said when it failed.
    await Promise.all(this.trackedFolders.map(({ folder }) => folder.bring().catch(() => {})));
    await Promise.all([...this.open.keys()].map((disk) => new Promise<void>((resolve) => disk.flush(() => resolve()))));
    await Promise.all(this.closing);
  }

  private async closeDisks(): Promise<void> {
    await this.flushDisks();
    if (!this.environment.closeDisks) return;
    this.closed = true;
    await this.environment.closeDisks();
  }

  private async poweredOff(): Promise<void> {
    const { config } = this.made();
    this.made().pause();
    if (config.onPowerOff === 'pause') {
      await this.flushDisks();
      return this.setState(RunState.PAUSED);
    }
    await this.closeDisks();
    this.made().finishLog();
    this.setState(RunState.OFF);
    this.tell((events) => events.exited(0));
  }

  private async end(status: number): Promise<void> {
    this.made().pause();
    await this.closeDisks();
    this.made().finishLog();
    this.setState(RunState.OFF);
    this.tell((events) => events.exited(status));
  }

  private async fail(failure: MachineFailure): Promise<void> {
    this.machine?.pause();
    await this.closeDisks();
    this.machine?.finishLog();
    this.setState(RunState.FAILED);
    this.tell((events) => events.failed(failure));
  }

  private setState(state: RunState): void {
    this.log?.flush();
    this.state = state;
    if (this.words) Atomics.store(this.words, Control.STATE >> 2, state);
    this.tell((events) => events.state(state));
  }

  private report(progress: BootProgress): void {
    this.tell((events) => events.progress(progress));
  }

  /** Events are one-way: an owner that has gone must not stop the machine. */
  private tell(call: (events: MachineEvents) => unknown): void {
    if (this.events) void Promise.resolve(call(this.events)).catch(() => {});
  }
}

/** The machine of a worker; `environment` is what differs between the browser and Node. */
export function createMachineHost(environment: HostEnvironment): MachineApi {
  return new Host(environment);
}
