// One run of one machine: starts its worker, follows its events, and forwards the user's commands.
// Holds what the page shows of the machine; the machine itself is in the worker.

import { proxy, wrap, type Remote } from 'comlink';
import MachineWorker from '../../../workers/machine.ts?worker';
import { sendResponse } from '../../machine/response-port.ts';
import { MachineError, asFailure, wrapMachine, type MachineClient } from '../../machine/client.ts';
import { RunState, type BootProgress, type DriveView, type FolderView, type GivenFolder, type MachineFailure, type MachineFile } from '../../machine/protocol.ts';
import { needsIo, type GuestAnswer, type GuestRequest, type NetworkPortApi, type NetworkView } from '../../machine/network-io.ts';
import { keepStorage } from '../../backends/block/overlay-store.ts';
import { InputSender } from '../../machine/input.ts';
import { missingAbilities } from '../browser-status.ts';
import { bundledGuests, type Guest } from '../guests.ts';
import { BUNDLED_FIRMWARE, OptionError, parse, type MachineConfig } from '../../machine/options/index.ts';
import { QuotingError } from '../../machine/words.ts';
import type { PreviewPort } from '../preview/address.ts';
import { consolesOf, filesOf, forwardsOf, looksAtScreen, wordsOf } from '../line.ts';
import type { Gift } from '../folders.ts';
import { LOCAL_PREFIX, localFile } from '../local-files.ts';
import { notify } from '../notices.tsx';
import { save } from '../save-file.ts';
import { ConsolePump } from './console-pump.ts';
import { type EarlyParts, takeEarlyParts } from './early.ts';
import { FigureSampler, SAMPLE_MS, type Figures } from './figures.ts';

/** One thing that is loaded before the machine starts. */
export interface BootPart {
  phase: 'engine' | 'firmware' | 'kernel' | 'initrd';
  /** As the machine line names it; of the engine, nothing. */
  name: string;
  loaded: number;
  /** Bytes to come, 0 while not known. */
  total: number;
  /** What is in it, where known. */
  note: string;
  state: 'waiting' | 'loading' | 'done';
}

/** A folder that the line names, as it does, and what the guest calls it. */
export interface WantedFolder {
  path: string;
  tags: readonly string[];
  readOnly: boolean;
}

/** What the page shows. Never changed in place: a new object for each change. */
export interface SessionView {
  title: string;
  /** Serial ports of the machine, and consoles of virtio, by the number of their rings. */
  ports: readonly number[];
  /** A folder that the machine waits for. */
  wantedFolder: WantedFolder | undefined;
  /** How they are called, by number. */
  portTitles: ReadonlyMap<number, string>;
  /** There is a VGA card; and it is what the user looks at first. */
  screen: boolean;
  screenFirst: boolean;
  /** Its monitor can be opened. */
  monitor: boolean;
  parts: readonly BootPart[];
  /** What goes on between loading and the first instruction. */
  step: string;
  state: RunState;
  failure: MachineFailure | undefined;
  exitStatus: number | undefined;
  /** True once the worker has shared its memory: there is a console. */
  live: boolean;
  /** Folders that it shares, as they were when last asked. */
  folders: readonly FolderView[];
  /** Far ends of its network, as they are now. */
  network: readonly NetworkView[];
  /** Ports that lead to the guest. */
  forwards: readonly PreviewPort[];
  /** Drives of the board, once the machine lives. */
  drives: readonly DriveView[];
  /** The command that waits for its answer. */
  pending: Command | undefined;
}

export type Command = 'pause' | 'resume' | 'reset' | 'powerButton' | 'powerOff';

/** Said when a command itself fails. */
const COMMAND_WORDS: Record<Command, string> = {
  pause: 'pause', resume: 'resume', reset: 'reset', powerButton: 'press the power button of', powerOff: 'switch off',
};

export class MachineSession {
  private view: SessionView = {
    title: 'Machine', ports: [0], portTitles: new Map(), wantedFolder: undefined, screen: false, screenFirst: false, monitor: false, parts: [], step: '', state: RunState.LOADING, failure: undefined, exitStatus: undefined, live: false, folders: [], network: [], forwards: [], drives: [], pending: undefined,
  };
  private figures: Figures = { instructions: 0, guest: 0, host: 0 };
  private readonly listeners = new Set<() => void>();
  private worker: Worker | undefined;
  /** Begun already, for this machine if it is the page's first. */
  private early: EarlyParts | undefined;
  private client: MachineClient | undefined;
  private sampling: ReturnType<typeof setInterval> | undefined;
  private disposed = false;
  private readonly engineFiles = new Map<string, BootProgress>();
  /** The console's bytes, once the machine lives. */
  pump: ConsolePump | undefined;
  /** The machine's memory, once it lives. */
  memory: SharedArrayBuffer | undefined;
  /** Where keys and pointer go, once it lives. */
  input: InputSender | undefined;

  constructor(readonly line: string) {}

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => { this.listeners.delete(listener); };
  };
  readonly getView = (): SessionView => this.view;
  readonly getFigures = (): Figures => this.figures;

  /** Load and start the machine. Whatever goes wrong becomes the view's failure. */
  async start(): Promise<void> {
    try {
      this.early = takeEarlyParts();
      const { words, config } = this.read();
      const wanted = filesOf(config);
      this.change({
        title: config.name || wanted.find((file) => file.role !== 'firmware')?.name.split('/').pop() || 'PC',
        ports: consolesOf(config).map(({ port }) => port),
        portTitles: new Map(consolesOf(config).map(({ port, title }) => [port, title])),
        screen: config.vga !== 'none',
        screenFirst: looksAtScreen(config),
        monitor: config.monitor !== 'none',
        forwards: forwardsOf(config),
        parts: [
          { phase: 'engine', name: '', loaded: 0, total: 0, note: '', state: 'waiting' },
          ...wanted.map((file): BootPart => ({ phase: file.role, name: file.name, loaded: 0, total: 0, note: '', state: 'waiting' })),
        ],
      });
      this.requireBrowser();
      // The worker starts while the page asks what the files are.
      const client = this.startWorker();
      const guests = await bundledGuests();
      if (this.disposed) return;
      const guest = guests.find((candidate) => candidate.files.some((file) => file.name === wanted[0]?.name));
      if (guest && !config.name) this.change({ title: guest.title });
      // A name with a comma or a blank may be one file or several modules; which, the kernel decides, once it is here.
      const names = new Set([...wanted.map((file) => file.name), ...(config.initrd ? [config.initrd] : [])]);
      // Disks are not loaded: the machine reads of them what it needs.
      const disks = new Set(config.drives.map((drive) => drive.file));
      const files = await Promise.all([
        ...[...names].filter((name) => !disks.has(name)).map((name) => this.locate(name, guests)),
        ...[...disks].map((name) => this.locate(name, guests, true)),
      ]);
      if (this.disposed) return;
      const folders = await this.askForFolders(config);
      if (this.disposed) return;
      const { memory } = await client.create({ args: words, files, folders }, {
        progress: (progress) => this.progress(progress),
        state: (state) => this.follow(state),
        failed: (failure) => this.fail(failure),
        saved: (name, bytes) => save(new Blob([bytes]), name),
        exited: (status) => { this.change({ exitStatus: status }); },
        warned: ({ what, why, advice }) => notify(`${what}: ${why}. ${advice}`, 'error'),
      });
      if (this.disposed) return;
      this.connect(memory);
      if (config.netdevs.some(needsIo)) this.connectNetwork(client);
      // Some browsers ask their user; only the page can ask.
      if (config.drives.some((drive) => !drive.readOnly && !drive.snapshot)) void keepStorage();
    } catch (error) {
      this.fail(asFailure(error));
    } finally {
      // A line that cannot be started has no use for it.
      this.early?.forget();
      this.early = undefined;
    }
  }

  private networkPort: Remote<NetworkPortApi> | undefined;

  /** See what the network does, and have the guest's servers asked. */
  private connectNetwork(client: MachineClient): void {
    const { port1, port2 } = new MessageChannel();
    const port = wrap<NetworkPortApi>(port1);
    this.networkPort = port;
    client.connectNetwork(port2).catch(() => {});
    void port.watch(proxy((network: NetworkView[]) => {
      if (!this.disposed) this.change({ network });
    }));
    void port.introduce(this.view.title);
  }

  /** Ask the guest's web server at a forwarded port. */
  async askGuest({ netdev, index }: PreviewPort, request: GuestRequest): Promise<GuestAnswer> {
    if (!this.networkPort || this.disposed) return { failed: 'silent', why: 'the machine is not running' };
    return this.networkPort.ask(netdev, index, request);
  }

  /** The folders that the line names, one after the other, from the user. */
  private async askForFolders({ fsdevs, devices }: MachineConfig): Promise<GivenFolder[]> {
    const folders: GivenFolder[] = [];
    for (const { path, readOnly } of fsdevs) {
      if (folders.some((folder) => folder.path === path)) continue;
      const tags = devices.flatMap((device) => (device.driver === 'virtio-9p-pci' && fsdevs[device.fsdev].path === path ? [device.mountTag] : []));
      const gift = await new Promise<Gift>((resolve) => {
        this.giveFolder = resolve;
        this.change({ wantedFolder: { path, tags, readOnly } });
      });
      this.change({ wantedFolder: undefined });
      folders.push({ path, ...gift });
    }
    return folders;
  }

  /** The user gave the folder that SessionView.wantedFolder asks for. */
  giveFolder: (gift: Gift) => void = () => {};

  /** End the machine and free its memory. */
  dispose(): void {
    this.disposed = true;
    this.stopSampling();
    this.pump?.stop();
    this.client?.abandon({ what: 'The machine was closed', why: 'the page left it', advice: '' });
    this.worker?.terminate();
    this.early?.forget();
    this.listeners.clear();
  }

  /** Rejects with an Error to show when the machine does not do it; the machine goes on. */
  async command(command: Command): Promise<void> {
    if (!this.client || this.view.pending) return;
    this.change({ pending: command });
    try {
      await this.client[command]();
    } catch (error) {
      // When the worker has failed, the view says so already.
      if (this.disposed || this.view.failure) return;
      const { what, why } = asFailure(error);
      throw new Error(`Could not ${COMMAND_WORDS[command]} ${this.view.title}. ${what}: ${why}`);
    } finally {
      this.change({ pending: undefined });
    }
  }

  /** Ask what the guest has changed in its folders. */
  async refreshFolders(): Promise<void> {
    const folders = await this.client?.folders();
    if (folders && !this.disposed) this.change({ folders });
  }

  /** Save what the guest has changed in a folder. Rejects with an Error to show. */
  async downloadChanges(path: string): Promise<void> {
    const archive = await this.client?.folderChanges(path);
    if (archive) save(new Blob([archive], { type: 'application/x-tar' }), `${path.replace(/[^\w.-]+/g, '-').replace(/^-+|-+$/g, '') || 'folder'}-changes.tar`);
  }

  /** Ask what is in the drives. */
  async refreshDrives(): Promise<void> {
    const drives = await this.client?.drives();
    if (drives) this.change({ drives });
  }

  /** Put a file of the user's into a drive. Rejects with an Error to show. */
  async insert(drive: string, file: { name: string; raw?: true }): Promise<void> {
    if (!this.client) return;
    await this.client.insert(drive, await this.locate(file.name, await bundledGuests(), true), file.raw === true);
    await this.refreshDrives();
  }

  async eject(drive: string, force: boolean): Promise<void> {
    await this.client?.eject(drive, force);
    await this.refreshDrives();
  }

  /** Type a text on the machine's keyboard; gives what to tell the user about it. */
  async type(text: string): Promise<string> {
    if (!this.client || !text) return 'There is no text to type';
    const { unknown, refused } = await this.client.typeText(text);
    const notes = [
      ...(unknown.length ? [`A US keyboard has no key for ${unknown.slice(0, 20).join(' ')}: left out`] : []),
      ...(refused ? [`The text is too long: its last ${refused} characters were left out`] : []),
    ];
    return notes.join('. ');
  }

  /** Do a line of the monitor; the answer, or why there is none, as text. */
  async monitor(line: string): Promise<string> {
    if (!this.client) return 'There is no machine.\n';
    return this.client.monitor(line).catch((error: Error) => `${error.message}\n`);
  }

  /** What the last word of a monitor's line can become. */
  async monitorCompletions(line: string): Promise<readonly string[]> {
    return this.client?.monitorCompletions(line).catch(() => []) ?? [];
  }

  /** The line's words, and what they mean: read here too, so that a line that cannot work is refused before anything loads. */
  private read(): { words: string[]; config: MachineConfig } {
    try {
      const words = wordsOf(this.line);
      const config = parse(words);
      if (config.information !== undefined) {
        throw new MachineError({
          what: 'This line asks for information and starts no machine', why: 'it is shown below', advice: '', details: config.information,
        });
      }
      return { words, config };
    } catch (error) {
      if (error instanceof QuotingError) {
        throw new MachineError({ what: 'The machine line cannot be read', why: error.message, advice: 'Correct the quoting and open the link again.' });
      }
      if (error instanceof OptionError) {
        const { what, why, advice } = error;
        throw new MachineError({ what, why, advice: advice.startsWith('-help') ? 'Correct the machine line in the address. Help lists the options.' : advice });
      }
      throw error;
    }
  }

  private requireBrowser(): void {
    const missing = missingAbilities();
    if (!missing.length) return;
    throw new MachineError({
      what: 'This browser cannot run the machine here',
      why: `Missing: ${missing.join(', ')}`,
      advice: missing.includes('Secure context')
        ? 'Open the page over https, or from this computer itself as http://localhost.'
        : missing.some((name) => name.startsWith('WebAssembly'))
          ? 'Use a current version of Chromium, Firefox or Safari.'
          : 'Help, “Cross-origin isolation”, says what the server or the browser has to do.',
    });
  }

  private startWorker(): MachineClient {
    const worker = this.early?.takeWorker() ?? new MachineWorker({ name: 'machine' });
    const client = wrapMachine(worker);
    const died = (why: string, details?: string) => {
      const failure = {
        what: 'The machine’s worker failed', why, advice: 'Try again. If it happens again, please report it with the details.',
        ...(details ? { details } : {}),
      };
      client.abandon(failure);
      this.fail(failure);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      died(event.message || 'its program could not be loaded', event.filename ? `${event.filename}:${event.lineno}` : undefined);
    };
    worker.onmessageerror = () => died('it sent a message that cannot be read');
    this.worker = worker;
    this.client = client;
    return client;
  }

  /** Where the file that the line calls `name` is. */
  private async locate(name: string, guests: readonly Guest[], isDisk = false): Promise<MachineFile> {
    if (name.startsWith(LOCAL_PREFIX)) {
      const file = await localFile(name);
      if (!file) {
        throw new MachineError({
          what: `${name} is not here`,
          why: 'The machine line names a file that somebody gave to the page in another browser, or that was forgotten in this one',
          advice: `Go Home and drop the file ${name.slice(LOCAL_PREFIX.length)} on the page again.`,
        });
      }
      if (isDisk) return { name, source: { blob: file.blob } };
      this.describe(name, { total: file.blob.size, note: file.words });
      try {
        return { name, source: { bytes: new Uint8Array(await file.blob.arrayBuffer()) } };
      } catch (error) {
        throw new MachineError({
          what: `${name} could not be read`, why: error instanceof Error ? error.message : String(error),
          advice: 'The file may have been changed or moved since it was given: drop it on Home again.',
        });
      }
    }
    const bundled = guests.flatMap((guest) => guest.files).find((file) => file.name === name);
    const url = BUNDLED_FIRMWARE.includes(name) ? new URL(`guests/firmware/${name}`, document.baseURI) : bundled ? new URL(bundled.url, document.baseURI) : URL.canParse(name, document.baseURI) ? new URL(name, document.baseURI) : undefined;
    if (!url || !/^https?:$/.test(url.protocol)) {
      throw new MachineError({
        what: `${name} cannot be loaded`,
        why: 'It is neither a file beside the page nor an http address',
        advice: 'Use a path relative to the page, an http(s) address, or drop the file on Home.',
      });
    }
    const early = isDisk ? undefined : this.early?.file(name);
    if (bundled) this.describe(name, { total: bundled.transfer });
    else if (!isDisk && !early) void this.askSize(name, url);
    return { name, source: { url: url.href, ...(early ? { early: sendResponse(early) } : {}) } };
  }

  /** So that the page can say at once how much will come, even while an earlier file still loads. */
  private async askSize(name: string, url: URL): Promise<void> {
    const response = await fetch(url, { method: 'HEAD' }).catch(() => undefined);
    const size = response?.ok && !response.headers.has('content-encoding') ? Number(response.headers.get('content-length') ?? 0) : 0;
    if (size && !this.disposed) this.describe(name, { total: size });
  }

  private describe(name: string, known: { total?: number; note?: string }): void {
    this.change({ parts: this.view.parts.map((part) => part.name === name && part.state === 'waiting' ? { ...part, ...known } : part) });
  }

  private progress(progress: BootProgress): void {
    if (this.disposed) return;
    if (progress.phase === 'started' || progress.phase === 'loading') {
      this.change({
        step: progress.phase === 'started' ? '' : `Preparing: ${progress.name}`,
        parts: this.view.parts.map((part) => ({ ...part, state: 'done' })),
      });
      return;
    }
    let { loaded, total } = progress;
    if (progress.phase === 'engine') {
      // It comes in several files, shown as one.
      this.engineFiles.set(progress.name, progress);
      loaded = total = 0;
      for (const file of this.engineFiles.values()) {
        loaded += file.loaded;
        total += file.total;
      }
    }
    const named = this.view.parts.some((part) => part.phase === progress.phase && part.name === progress.name);
    this.change({
      parts: this.view.parts.map((part) => part.phase !== progress.phase || (named && part.name !== progress.name) ? part : {
        ...part, loaded, total: total || Math.max(part.total, loaded), state: total > 0 && loaded >= total ? 'done' : 'loading',
      }),
    });
  }

  private connect(memory: SharedArrayBuffer): void {
    this.memory = memory;
    this.input = new InputSender(memory);
    this.pump = new ConsolePump(memory, this.view.ports);
    this.pump.start();
    const sampler = new FigureSampler(memory);
    sampler.sample();
    this.sampling = setInterval(() => {
      this.figures = sampler.sample();
      this.tell();
    }, SAMPLE_MS);
    this.refreshDrives().catch(() => {});
    this.refreshFolders().catch(() => {});
    this.change({ live: true, step: '', parts: this.view.parts.map((part) => ({ ...part, state: 'done' })) });
  }

  private stopSampling(): void {
    clearInterval(this.sampling);
    this.sampling = undefined;
  }

  private follow(state: RunState): void {
    if (this.disposed) return;
    this.change({ state });
    // The pump goes on: the worker may still hold output that the ring had no room for.
    if (state !== RunState.OFF) return;
    this.stopSampling();
    // What is still to be saved.
    if (this.view.folders.length) this.refreshFolders().catch(() => {});
  }

  private fail(failure: MachineFailure): void {
    // The first failure is the cause; later ones, of commands that waited, follow from it.
    if (this.disposed || this.view.failure) return;
    this.change({ failure, state: RunState.FAILED });
    this.stopSampling();
  }

  private change(change: Partial<SessionView>): void {
    this.view = { ...this.view, ...change };
    this.tell();
  }

  private tell(): void {
    for (const listener of this.listeners) listener();
  }
}
