// The headless runner: a machine line in, the guest's serial port on the terminal, an exit status out, as QEMU does it.

import { resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { pathToFileURL } from 'node:url';
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';
import { moduleNames } from '../machine/boot/multiboot.ts';
import { asFailure, isFailure, type MachineClient, MachineError, wrapMachine } from '../machine/client.ts';
import { BUNDLED_FIRMWARE, charRings, compilesBeside, DEBUGCON_RING, firmwareFiles, type MachineConfig, OptionError, parse, type SerialConfig } from '../machine/options/index.ts';
import type { MachineFailure, MachineFile } from '../machine/protocol.ts';
import { Escapes, Timestamps } from './escapes.ts';
import { MonitorConsole } from './monitor-console.ts';
import { discard, fileSink, followSize, InputPump, OutputPump, type Sink, streamSink } from './ports.ts';
import { Terminal } from './terminal.ts';
import { startWorkers } from './workers.ts';

/** Exit statuses beside the guest's own (isa-debug-exit's are odd). */
export const enum ExitStatus {
  OK = 0,
  /** The machine could not be started: bad options, missing or bad files. */
  NOT_STARTED = 1,
  /** The guest crashed (triple fault), or Tabvisor did. */
  FAILED = 2,
}

export interface RunnerHost {
  /** Script of the machine worker, and of the compiler's. */
  worker: URL;
  compiler: URL;
  /** Folder of the firmware that comes with Tabvisor. */
  firmware: URL;
  stdin: Readable;
  stdout: NodeJS.WritableStream;
  stderr: NodeJS.WritableStream;
}

/** Keys that are signals on a terminal that is not multiplexed (termios VINTR, VQUIT, VSUSP). */
const CTRL_C = 0x03;
const CTRL_BACKSLASH = 0x1c;
const CTRL_Z = 0x1a;
/** Longest wait for the disks at the end. */
const FLUSH_MS = 5000;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;

/** Run a machine line to its end. @returns the exit status */
export async function run(args: readonly string[], host: RunnerHost): Promise<number> {
  const complain = (text: string) => host.stderr.write(`tabvisor: ${text}\n`);
  let config: MachineConfig;
  let sinks: (Sink | undefined)[];
  const timestamps = new Timestamps();
  const show = streamSink(host.stdout, (bytes) => timestamps.output(bytes, performance.now()));
  try {
    config = parse(args);
    if (config.information !== undefined) {
      host.stdout.write(config.information);
      return ExitStatus.OK;
    }
    if (!config.displayNone) {
      throw new OptionError('-display', 'it is missing, and the runner has no window', 'Give -nographic, or -display none.');
    }
    const sink = (port: SerialConfig | undefined) => (port?.kind === 'stdio' ? show : port?.kind === 'file' ? openFile(port.path) : port && discard);
    sinks = [];
    for (const { ring, to } of charRings(config)) sinks[ring] = sink(to);
  } catch (error) {
    if (error instanceof OptionError) complain(`${error.message}\n${error.advice}`);
    else if (isFailure(error)) complain(describe(error));
    else throw error;
    return ExitStatus.NOT_STARTED;
  }
  return new Session(args, config, sinks, timestamps, host, complain).run().finally(() => sinks.forEach((sink) => sink?.close()));
}

/** One machine from start to end. */
class Session {
  private readonly terminal: Terminal;
  /** What has the terminal. */
  private readonly stdio: { ring: number; to: SerialConfig } | undefined;
  private readonly input: InputPump;
  private readonly monitor: MonitorConsole;
  private output: { pump: OutputPump; ended: Promise<void> } | undefined;
  private status: number | undefined;
  private onFinish: () => void = () => {};
  private stopFollowing: () => void = () => {};

  constructor(
    private readonly args: readonly string[],
    private readonly config: MachineConfig,
    private readonly sinks: readonly (Sink | undefined)[],
    private readonly timestamps: Timestamps,
    private readonly host: RunnerHost,
    private readonly complain: (text: string) => void,
  ) {
    this.terminal = new Terminal(host.stdin);
    this.stdio = charRings(config).find(({ ring, to }) => to.kind === 'stdio' && ring !== DEBUGCON_RING);
    this.monitor = new MonitorConsole((text) => void host.stdout.write(text));
    this.input = new InputPump((isHeld) => void (isHeld ? host.stdin.pause() : host.stdin.resume()));
  }

  async run(): Promise<number> {
    const finished = new Promise<void>((resolve) => { this.onFinish = resolve; });
    const workers = startWorkers(this.host.worker, compilesBeside(this.config) ? this.host.compiler : undefined);
    const machine = wrapMachine(nodeEndpoint(workers.machine));
    const died = (failure: MachineFailure) => {
      this.fail(failure, ExitStatus.FAILED);
      machine.abandon(failure);
    };
    workers.onEnd = (why) => died(typeof why === 'number' ? { what: 'A worker of the machine ended', why: `Its exit code is ${why}`, advice: 'Please report it.' } : asFailure(why));

    const onSignal = (signal: NodeJS.Signals) => this.terminate(`terminating on signal ${signal}`);
    for (const signal of SIGNALS) process.on(signal, onSignal);
    // Whoever read our output is gone: nobody is left to run for.
    let onBroken!: () => void;
    const broken = new Promise<void>((resolve) => { onBroken = resolve; });
    const onOutputError = () => {
      this.finish(ExitStatus.OK);
      onBroken();
    };
    this.host.stdout.on('error', onOutputError);
    const stopInput = this.startInput();
    try {
      void this.start(machine);
      await finished;
      stopInput();
      this.stopFollowing();
      this.output?.pump.end();
      await Promise.race([this.output?.ended, broken]);
      return this.status!;
    } finally {
      // Disks get what the guest wrote, however the run ended; a worker that does not answer any more is not waited for.
      if (this.config.drives.length > 0) await Promise.race([machine.powerOff().catch(() => {}), new Promise((resolve) => setTimeout(resolve, FLUSH_MS).unref())]);
      await workers.terminate();
      this.terminal.restore();
      for (const signal of SIGNALS) process.off(signal, onSignal);
    }
  }

  private async start(machine: MachineClient): Promise<void> {
    let memory: SharedArrayBuffer;
    // A guest may end before create() has answered; its output is not lost for that.
    let onConnected!: () => void;
    const connected = new Promise<void>((resolve) => { onConnected = resolve; });
    try {
      ({ memory } = await machine.create({ args: [...this.args], files: filesOf(this.config, this.host.firmware) }, {
        progress: () => {},
        state: () => {},
        failed: (failure) => void connected.then(() => this.fail(failure, ExitStatus.FAILED)),
        exited: (status) => void connected.then(() => this.finish(status)),
        warned: (failure) => this.complain(describe(failure)),
      }));
    } catch (error) {
      this.fail(asFailure(error), ExitStatus.NOT_STARTED);
      return;
    }
    const pump = new OutputPump(memory, this.sinks);
    this.output = { pump, ended: pump.run() };
    onConnected();
    if (this.status !== undefined) return;
    if (this.stdio) this.input.connect(memory, this.stdio.ring);
    if (this.stdio) this.stopFollowing = followSize(memory, this.stdio.ring, this.host.stdout);
    this.monitor.connect(machine);
    if (this.config.startPaused && !this.hasMonitor) this.complain('-S: the machine waits before its first instruction; without -monitor stdio nothing can let it go on.');
  }

  /** Ends the session; only the first call counts. */
  private finish(status: number): void {
    if (this.status !== undefined) return;
    this.status = status;
    this.onFinish();
  }

  private fail(failure: MachineFailure, status: number): void {
    if (this.status !== undefined) return;
    this.finish(status);
    this.complain(describe(failure));
  }

  private get hasMonitor(): boolean {
    return this.config.monitor === 'stdio' || this.config.monitor === 'mux';
  }

  /** Reads the terminal or whatever stdin is. @returns a function that stops it */
  private startInput(): () => void {
    const { stdin } = this.host;
    const port = this.stdio?.to;
    // Whose the keys are.
    let isMonitor = this.config.monitor === 'stdio';
    if (port?.kind !== 'stdio' && !isMonitor) return () => {};
    const isMux = port?.kind === 'stdio' && port.mux;
    const pass = (bytes: Uint8Array): void => (isMonitor ? this.monitor.input(bytes) : this.input.input(bytes));
    const isTty = (stdin as Readable & Partial<NodeJS.ReadStream>).isTTY === true;
    const escapes = new Escapes({
      pass,
      toggleMonitor: () => {
        isMonitor = !isMonitor;
        if (isMonitor) this.monitor.focus();
      },
      quit: () => this.terminate('Terminated'),
      say: (text) => void this.host.stdout.write(text),
      sendBreak: () => this.input.sendBreak(),
      toggleTimestamps: () => this.timestamps.toggle(performance.now()),
    });
    const onData = (data: Buffer) => {
      if (isMux) escapes.input(data);
      else pass(isTty ? this.signalKeys(data) : data);
    };
    if (isMonitor) this.monitor.focus();
    this.terminal.raw();
    stdin.on('data', onData);
    return () => {
      stdin.off('data', onData);
      this.input.stop();
      this.monitor.stop();
      stdin.pause();
      // An open terminal or pipe would keep the process alive.
      (stdin as Readable & Partial<NodeJS.ReadStream>).unref?.();
    };
  }

  /** Without the multiplexer the terminal's own keys keep their meaning. */
  private signalKeys(data: Uint8Array): Uint8Array {
    if (data.includes(CTRL_C)) this.terminate('terminating on signal SIGINT');
    else if (data.includes(CTRL_BACKSLASH)) this.terminate('terminating on signal SIGQUIT');
    else if (data.includes(CTRL_Z)) this.terminal.suspend();
    return data.filter((byte) => byte !== CTRL_C && byte !== CTRL_BACKSLASH && byte !== CTRL_Z);
  }

  private terminate(why: string): void {
    this.host.stderr.write(`\ntabvisor: ${why}\n`);
    this.finish(ExitStatus.OK);
  }
}

/** The files a line may need. Which of them -initrd means is known when the kernel has been looked at. */
function filesOf(config: MachineConfig, firmware: URL): MachineFile[] {
  const names = new Set<string>();
  if (config.kernel !== undefined) names.add(config.kernel);
  if (config.initrd !== undefined) {
    names.add(config.initrd);
    for (const module of moduleNames(config.initrd)) names.add(module.file);
  }
  const files = [...names].map((name): MachineFile => ({ name, source: { url: locationOf(name) } }));
  for (const name of firmwareFiles(config)) files.push({ name, source: { url: BUNDLED_FIRMWARE.includes(name) ? new URL(name, firmware).href : locationOf(name) } });
  return files;
}

function locationOf(name: string): string {
  return /^https?:\/\//.test(name) ? name : pathToFileURL(resolve(name)).href;
}

function openFile(path: string): Sink {
  try {
    return fileSink(path);
  } catch (error) {
    throw new MachineError({ what: `${path} cannot be written`, why: (error as Error).message, advice: 'Give another path.' });
  }
}

/** A failure as text for a terminal. */
export function describe(failure: MachineFailure): string {
  const details = failure.details ? `\n${failure.details.trimEnd()}` : '';
  return `${failure.what}: ${failure.why}\n${failure.advice}${details}`;
}
