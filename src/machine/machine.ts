// A machine: the PC, its CPU, its clock and what was loaded into it, and the slices in which it runs.
// It does not know where it runs: the owner (host.ts) calls runSlice() again and again, and sleeps when told to.

import { NullBackend } from '../backends/char/null-backend.ts';
import { RingBackend } from '../backends/char/ring-backend.ts';
import { Cpu, Exit, Mem, Seg } from '../core/layout.ts';
import { KVM_CLOCK_FEATURES } from '../devices/kvm-clock.ts';
import type { FileSystem } from '../devices/file-system.ts';
import type { BlockBackend, CharBackend, CpuPort } from '../devices/interfaces.ts';
import { FEATURES } from '../engine/cpuid.ts';
import { dumpCode, dumpRegisters } from '../engine/dump.ts';
import { Vcpu, type VcpuModules } from '../engine/vcpu.ts';
import { VirtioBalloon } from '../virtio/balloon.ts';
import { VirtioPci } from '../virtio/pci.ts';
import { RSDP_ADDRESS } from './acpi.ts';
import type { EntryState, SegmentState } from './boot/entry-state.ts';
import { type FileData, wholeOf } from './boot/file-data.ts';
import { bootKernel, initrdFiles, kernelKind } from './boot/load.ts';
import { LINUX_ROM_PATH, offerLinux } from './boot/linux-rom.ts';
import { moduleNames } from './boot/multiboot.ts';
import { MULTIBOOT_ROM_PATH, offerMultiboot } from './boot/multiboot-rom.ts';
import { RealClock, VirtualClock } from './clock.ts';
import { makeDevice } from './devices.ts';
import { bootDevicePaths, BoardDrives } from './drives.ts';
import { HostEntropy, RepeatableEntropy } from './entropy.ts';
import { isFirmware } from './firmware.ts';
import { MachineLog } from './log.ts';
import { hotThreshold } from './compile-channel.ts';
import { compilesBeside, DEBUGCON_RING, type MachineConfig, optionRomFile, type PciDeviceConfig, type SerialConfig, VGA_ROM } from './options/index.ts';
import { Network, type NetworkParts } from './network.ts';
import { type FirmwareConfig, Pc } from './pc.ts';
import { Control, FIRST_CHARDEV_RING, type MachineFailure } from './protocol.ts';
import { ScreenPublisher } from './screen-block.ts';
import { buildSmbiosFiles } from './smbios.ts';
import type { CompileChannel, CompilerOptions } from '../engine/compile/compiler.ts';
import { MachineInput } from './input.ts';
import { drawScreen, type Picture } from './png.ts';

/** The guest's time-stamp counter: 1 GHz, so that it counts nanoseconds. */
const TSC_FREQUENCY = 1_000_000_000;
/** KVM_FEATURE_NOP_IO_DELAY: the guest need not write to port 80h to wait. */
const KVM_FEATURE_NOP_IO_DELAY = 1 << 1;
/** Instructions of one slice: V8 replaces a running function by its optimised version only between calls. */
const MAX_SLICE = 2_000_000;
const MIN_SLICE = 2_000;
/** Guest instructions a nanosecond that are expected at least. */
const LEAST_RATE = 0.02;
/**
 * Longest time of a slice, ns of the host, aimed at. Shorter than a period of 250 Hz, the tick of many a Linux: its handler arms the next one,
 * and a timer that is due within a slice ends it.
 */
const SLICE_NS = 3_500_000;
/** A timer may be so late, ns: a slice that ends a little too soon for it has another one follow, and each leaves all compiled code. */
const LATE_NS = 20_000;
/** In the midst of a slice it is asked so often whether something has come from outside, ns, so that it need not wait for the slice's end. Each time leaves all compiled code, so it is asked only for so long after something came. */
const STRETCH_NS = 100_000;
const RUNG_NS = 2_000_000_000;
/** Instructions from which the guest's speed is learnt: a slice may be too short to tell, several are not. */
const LEARNT_FROM = 20_000;
/** The date at power-on under -icount, unless -rtc base= gives one: a run must repeat exactly. 2024-01-01. */
const FIXED_DATE_MS = 1_704_067_200_000;
/** Longest wait for the reader of a serial port, which rings when it has read. */
const READER_NS = 100_000_000;
const PAGE_BYTES = 65536;

export interface MachineOptions {
  config: MachineConfig;
  modules: VcpuModules;
  /** The files that the line names. */
  files: ReadonlyMap<string, FileData>;
  /** One for each drive of the line. */
  disks?: readonly BlockBackend[];
  /** The first sector of each, for those whose backend does not answer at once. */
  bootSectors?: readonly (Uint8Array | undefined)[];
  /** What the network's far ends need of the host. */
  network?: Omit<NetworkParts, 'clock'>;
  /** A worker that compiles guest code; without it the vCPU's thread does. */
  openCompiler?(memory: WebAssembly.Memory): CompileChannel;
  /** One for each folder of the line. */
  folders?: readonly FileSystem[];
  /** Monotonic time of the host, ns. */
  hostNow(): number;
  /** Give what else has come from the host to the machine's devices. */
  poll?(): void;
  /** The host's date, ms since 1970 UTC, and its offset from UTC, ms. */
  date: { epochMs: number; offsetMs: number };
  log: MachineLog | null;
}

/** What a slice ended with. */
export type SliceResult =
  | { kind: 'run' }
  /** Nothing to do for this many ns (Infinity: until input comes). */
  | { kind: 'idle'; ns: number }
  | { kind: 'off' }
  | { kind: 'exit'; status: number }
  | { kind: 'failed'; failure: MachineFailure };

/** The shared memory of a machine, and an error that says so if the host has no room for it. */
function allocate(ramSize: number): WebAssembly.Memory {
  try {
    return new WebAssembly.Memory({ initial: Math.ceil((Mem.RAM + ramSize) / PAGE_BYTES), maximum: 65536, shared: true });
  } catch (error) {
    throw {
      what: `There is no room for ${ramSize / 2 ** 20} MiB of guest memory`,
      why: error instanceof Error ? error.message : String(error),
      advice: 'Give the guest less memory with -m, or close other tabs.',
    } satisfies MachineFailure;
  }
}

export class Machine {
  readonly memory: WebAssembly.Memory;
  readonly pc: Pc;
  readonly network: Network;
  readonly vcpu: Vcpu;
  readonly clock: RealClock | VirtualClock;
  /** Drives of the board, and those whose medium can be changed. */
  readonly drives: BoardDrives;
  get config(): MachineConfig {
    return this.options.config;
  }
  /** Those of serial ports and chardevs, and all. */
  private readonly rings: { ring: RingBackend; port: number }[] = [];
  private readonly outputs: RingBackend[] = [];
  private readonly startDate: bigint;
  private resetRequested = false;
  private powerOffRequested = false;
  private exitStatus: number | null = null;
  /** How the machine ended, while output has still to leave. */
  private ending: SliceResult | null = null;
  /** Guest instructions a nanosecond, a running average: how long a slice may be. */
  private rate = 0.02;
  /** Executed since it was learnt, and how long that took, ns. */
  private executed = 0;
  private executedNs = 0;
  /** When the slice under way ends by itself, at the latest; -Infinity between two: how long the next may be is reckoned when all timers are armed. */
  private sliceEnd = -Infinity;
  /** Control.DOORBELL, what it was when it was looked at last, and when it had rung, ns of the host. */
  private readonly doorbell: Int32Array;
  private rung = 0;
  private rungAt = -Infinity;
  /** ns of the host spent in guest code and its devices. */
  guestNs = 0;
  private screen: ScreenPublisher | undefined;
  private readonly channel: CompileChannel | undefined;
  readonly input: MachineInput;

  /** @throws MachineFailure-shaped errors: what cannot be loaded, what does not fit */
  constructor(private readonly options: MachineOptions) {
    const { config } = options;
    this.memory = allocate(config.ramSize);
    const { buffer } = this.memory;
    if (compilesBeside(config)) this.channel = options.openCompiler?.(this.memory);
    this.doorbell = new Int32Array(buffer, Control.DOORBELL, 1);
    const clock = config.clock;
    this.clock = clock.kind === 'virtual' ? new VirtualClock(clock.shift) : new RealClock(() => options.hostNow());
    const kvm = config.cpu.features.has('kvmclock');
    const port: CpuPort = {
      setInterruptPending: (level) => this.vcpu.setInterruptPending(level),
      nmi: () => this.vcpu.nmi(),
      // One CPU: INIT to itself is a reset of the CPU alone.
      init: () => this.vcpu.init(),
      sipi: () => {},
      tsc: () => this.tsc(),
      wake: () => {},
      setA20: (enabled) => this.vcpu?.setA20(enabled),
      memoryMapChanged: () => this.vcpu.memoryMapChanged(),
      invalidateCode: (page) => this.vcpu.cache.invalidate(page),
    };
    const charBackend = (to: SerialConfig, n: number): CharBackend => {
      if (to.kind === 'null') return new NullBackend();
      const ring = new RingBackend(buffer, n, clock.kind === 'virtual');
      this.rings.push({ ring, port: n });
      this.outputs.push(ring);
      return ring;
    };
    const serial = config.serial.map((to, n) => to && charBackend(to, n));
    const chars = config.chardevs.map(({ to }, n) => charBackend(to, FIRST_CHARDEV_RING + n));
    const debugconRing = config.debugcon && config.debugcon.to.kind !== 'null' ? new RingBackend(buffer, DEBUGCON_RING) : null;
    if (debugconRing) this.outputs.push(debugconRing);
    this.drives = new BoardDrives(config, options.disks ?? [], options.bootSectors ?? []);
    const rtc = config.rtc;
    const today = clock.kind === 'virtual' ? FIXED_DATE_MS : options.date.epochMs;
    this.pc = new Pc({
      memory: this.memory,
      ramSize: config.ramSize,
      clock: this.clock,
      cpuPorts: [port],
      serial,
      tscFrequency: TSC_FREQUENCY,
      wallClockMs: rtc.base === 'date' ? rtc.epochMs : today,
      rtcOffsetMs: rtc.base === 'localtime' ? options.date.offsetMs : 0,
      debugExit: config.debugExit,
      debugcon: config.debugcon && { iobase: config.debugcon.iobase, backend: debugconRing ?? new NullBackend() },
      ide: this.drives.ide,
      floppies: this.drives.floppies,
      firmware: config.bios === undefined ? undefined : this.firmware(),
      vmport: config.vmport ? { get: (n) => this.vcpu.get32(Cpu.GPR + 8 * n), set: (n, value) => this.vcpu.set64(Cpu.GPR + 8 * n, BigInt(value >>> 0)) } : undefined,
      vga: config.vga === 'std' ? { rom: wholeOf(options.files.get(VGA_ROM)!) } : undefined,
      onPowerOff: () => {
        this.powerOffRequested = true;
        this.vcpu.requestExit();
      },
      onReset: () => {
        this.resetRequested = true;
        this.vcpu.requestExit();
      },
      onExit: (status) => {
        this.exitStatus ??= status;
        this.vcpu.requestExit();
      },
    });
    const { pc } = this;
    this.network = new Network(config.netdevs, { clock: this.clock, ...options.network });
    if (pc.vga) this.screen = new ScreenPublisher(buffer, pc.vga);
    this.input = new MachineInput(buffer, this.clock, pc);
    this.startDate = BigInt(Math.round(today)) * 1_000_000n;
    const entropy = () => (clock.kind === 'virtual' ? new RepeatableEntropy() : new HostEntropy());
    const places = new Map<PciDeviceConfig, { slot: number; fn: number }>();
    // Those with a place first: the others take what is left.
    for (const device of [...config.devices].sort((a, b) => Number(!a.addr) - Number(!b.addr))) {
      const plugged = makeDevice(device, { memory: pc.memory, clock: this.clock, entropy, disks: options.disks ?? [], geometry: (n) => this.drives.geometry(n), folders: options.folders ?? [], date: () => this.date(), network: this.network, chars, file: (name) => wholeOf(options.files.get(name)!) });
      plugged.id = device.id ?? '';
      if (device.multifunction) plugged.beFirstOfSeveral();
      places.set(device, pc.plug(plugged, device.addr));
      if (device.rombar === false && 'romfile' in device && device.romfile !== undefined && config.bios !== undefined) pc.fwCfg.addFile(optionRomFile(device.romfile), wholeOf(options.files.get(device.romfile)!));
    }
    const bootPaths = bootDevicePaths(config, places);
    if (config.bios !== undefined && config.kernel !== undefined) bootPaths.unshift(this.offerKernel(config.kernel));
    pc.setBootDevices(bootPaths, config.boot.strict);
    this.vcpu = new Vcpu(
      this.memory,
      options.modules,
      {
        ioRead: (port, size) => pc.ioRead(port, size as 1 | 2 | 4),
        ioWrite: (port, size, value) => pc.ioWrite(port, size as 1 | 2 | 4, value),
        mmioRead: (low, high, size) => pc.mmioRead(low, high, size as 1 | 2 | 4),
        mmioWrite: (low, high, size, value) => pc.mmioWrite(low, high, size as 1 | 2 | 4, value),
        readMsr: (index) => pc.readMsr(0, index),
        writeMsr: (index, value) => pc.writeMsr(0, index, value),
        tsc: () => Math.floor(this.clock.now()),
        isTscVirtual: this.clock instanceof VirtualClock,
        acknowledgeInterrupt: () => pc.acknowledgeInterrupt(0),
        fpuError: () => pc.raiseFpuError(),
      },
      0,
      {
        without: Object.keys(FEATURES).filter((name) => !(config.cpu.features as ReadonlySet<string>).has(name)),
        kvmFeatures: kvm ? KVM_CLOCK_FEATURES | KVM_FEATURE_NOP_IO_DELAY : null,
        apicId: 0,
        cpus: config.cpus,
      },
      this.compilerOptions(),
    );
    if (config.bios !== undefined) {
      const [signature, , , features] = this.vcpu.cpuid.query(1, 0);
      for (const [name, bytes] of buildSmbiosFiles({ ramSize: config.ramSize, cpus: config.cpus, signature, features })) pc.fwCfg.addFile(name, bytes);
    }
    if (this.clock instanceof VirtualClock) this.clock.setInstructionCounter(() => this.vcpu.currentIcount);
    // A timer armed in the middle of a slice may be due before its end.
    this.clock.onEarlier = (deadline) => {
      if (deadline < this.sliceEnd) this.vcpu.requestExit();
    };
    if (options.log) options.log.attach(this.vcpu, config.log.items);
    this.start();
  }

  private compilerOptions(): CompilerOptions | null {
    const { accel } = this.options.config;
    if (accel.kind !== 'jit') return null;
    return { threshold: accel.threshold ?? hotThreshold(this.channel?.share), ...(this.channel ? { channel: this.channel } : {}) };
  }

  /** Time-stamp counter since power-on: nanoseconds. */
  private tsc(): bigint {
    return BigInt(Math.floor(this.clock.now()));
  }

  /** Power-on: reset state; then the firmware begins, or the kernel is loaded and the CPU is at its entry. */
  private start(): void {
    const { config, files } = this.options;
    this.vcpu.reset();
    this.pc.reset();
    // The CPU is at the reset vector.
    if (config.bios !== undefined) return;
    const memoryMap = this.pc.setUpForDirectBoot();
    const bytes = (name: string): FileData => files.get(name)!;
    const name = config.kernel!;
    const kernel = { name, bytes: bytes(name) };
    const entry = bootKernel({
      memory: this.pc.memory,
      kernel,
      initrd: config.initrd,
      initrdBytes: initrdFiles(kernelKind(kernel.name, kernel.bytes), config.initrd).map(bytes),
      append: config.append,
      memoryMap,
      rsdp: RSDP_ADDRESS,
      longMode: this.vcpu.cpuid.has('lm'),
    });
    this.enter(entry);
  }

  /** Let the firmware boot the kernel. @returns what bootorder calls it */
  private offerKernel(name: string): string {
    const { config, files } = this.options;
    const kernel = { name, bytes: wholeOf(files.get(name)!) };
    if (kernelKind(name, kernel.bytes) === 'multiboot') {
      const modules = moduleNames(config.initrd ?? '').map(({ file, text }) => ({ text, bytes: wholeOf(files.get(file)!) }));
      offerMultiboot(this.pc.fwCfg, { kernel, modules, append: config.append, ramSize: config.ramSize });
      return MULTIBOOT_ROM_PATH;
    }
    const initrd = config.initrd === undefined ? undefined : { name: config.initrd, bytes: wholeOf(files.get(config.initrd)!) };
    offerLinux(this.pc.fwCfg, { kernel, initrd, append: config.append, ramSize: config.ramSize });
    return LINUX_ROM_PATH;
  }

  /** The firmware that the line names, if it can be one. */
  private firmware(): FirmwareConfig {
    const { config, files } = this.options;
    const image = wholeOf(files.get(config.bios!)!);
    if (!isFirmware(image)) {
      throw {
        what: `${config.bios} cannot be used as firmware`,
        why: `It has ${image.length} bytes, and firmware has whole pages of 4 KiB, at most 2 MiB, with code at its end`,
        advice: 'Leave out -bios to boot by SeaBIOS.',
      } satisfies MachineFailure;
    }
    return { image, boot: config.boot, noGraphic: config.nographic };
  }

  private enter(entry: EntryState): void {
    const { vcpu } = this;
    const segment = (field: number, s: SegmentState): void => {
      vcpu.set32(field + Seg.SELECTOR, s.selector);
      vcpu.set32(field + Seg.ATTR, s.attr);
      vcpu.set64(field + Seg.BASE, BigInt(s.base));
      vcpu.set32(field + Seg.LIMIT, s.limit);
    };
    for (let n = 0; n < 16; n++) vcpu.set64(Cpu.GPR + n * 8, 0n);
    const { rax, rbx, rsi, rsp } = entry.registers;
    vcpu.set64(Cpu.RAX, BigInt(rax ?? 0));
    vcpu.set64(Cpu.RBX, BigInt(rbx ?? 0));
    vcpu.set64(Cpu.RSI, BigInt(rsi ?? 0));
    vcpu.set64(Cpu.RSP, BigInt(rsp ?? 0));
    vcpu.set64(Cpu.RIP, BigInt(entry.rip));
    segment(Cpu.CS, entry.cs);
    for (const field of [Cpu.DS, Cpu.ES, Cpu.SS, Cpu.FS, Cpu.GS]) segment(field, entry.data);
    vcpu.set64(Cpu.GDTR_BASE, BigInt(entry.gdt.base));
    vcpu.set32(Cpu.GDTR_LIMIT, entry.gdt.limit);
    vcpu.set64(Cpu.IDTR_BASE, BigInt(entry.idt.base));
    vcpu.set32(Cpu.IDTR_LIMIT, entry.idt.limit);
    vcpu.set64(Cpu.CR0, BigInt(entry.cr0));
    vcpu.set64(Cpu.CR3, BigInt(entry.cr3));
    vcpu.set64(Cpu.CR4, BigInt(entry.cr4));
    vcpu.set64(Cpu.EFER, BigInt(entry.efer));
    vcpu.modeChanged();
  }

  /** The guest switched itself off, and was not reset since. */
  get isPoweredOff(): boolean {
    return this.powerOffRequested;
  }

  /** What the log says at the end. */
  finishLog(): void {
    this.options.log?.finish();
  }

  /** The reset button. */
  reset(): void {
    this.resetRequested = false;
    this.powerOffRequested = false;
    this.exitStatus = null;
    this.ending = null;
    this.pc.endBootOnce();
    this.input.reset();
    this.start();
  }

  pause(): void {
    if (this.clock instanceof RealClock) this.clock.pause();
  }

  resume(): void {
    if (this.clock instanceof RealClock) this.clock.resume();
  }

  /** Run for a few milliseconds at most. */
  runSlice(): SliceResult {
    if (this.waitsForReader()) return { kind: 'idle', ns: READER_NS };
    const result = this.ending ?? this.slice();
    this.ending = null;
    if (result.kind === 'run' || result.kind === 'idle' || !this.waitsForReader()) return result;
    this.ending = result;
    return { kind: 'idle', ns: READER_NS };
  }

  /** In virtual time the guest stands still while the reader of a serial port has not caught up. */
  private waitsForReader(): boolean {
    for (const { ring } of this.rings) {
      if (!ring.isFull) continue;
      ring.flush();
      if (ring.isFull) return true;
    }
    return false;
  }

  private slice(): SliceResult {
    const { clock, vcpu, pc } = this;
    const began = this.options.hostNow();
    // Before what has come is taken, so that nothing is missed.
    const rings = Atomics.load(this.doorbell, 0);
    if (rings !== this.rung) this.rungAt = began;
    this.rung = rings;
    this.options.poll?.();
    clock.runExpired();
    for (const { ring, port } of this.rings) if (ring.takeBreak()) pc.serial[port]?.receiveBreak();
    pc.poll();
    this.network.poll();
    this.input.poll();
    const budget = this.budget();
    const before = vcpu.icount;
    const entered = this.options.hostNow();
    let reason: Exit;
    try {
      reason = this.runGuest(budget, began);
    } catch (error) {
      return { kind: 'failed', failure: this.failure('The emulator stopped', error instanceof Error ? error.message : String(error)) };
    } finally {
      this.sliceEnd = -Infinity;
    }
    this.learn(vcpu.icount - before, this.options.hostNow() - entered);
    this.screen?.publish();
    this.guestNs += this.options.hostNow() - began;
    for (const ring of this.outputs) ring.flush();
    if (this.exitStatus !== null) return { kind: 'exit', status: this.exitStatus };
    if (this.powerOffRequested) return { kind: 'off' };
    if (this.resetRequested) {
      if (this.options.config.onReset === 'exit') return { kind: 'exit', status: 0 };
      this.reset();
      return { kind: 'run' };
    }
    if (reason === Exit.SHUTDOWN) {
      return { kind: 'failed', failure: this.failure('The guest crashed', 'Its CPU met a triple fault: an exception whose handlers fault themselves') };
    }
    if (reason === Exit.HALT && !vcpu.wakes) return this.idle();
    return { kind: 'run' };
  }

  /** For so many instructions, or until the doorbell has rung again. In virtual time a slice ends where it must, whatever comes: runs repeat. */
  private runGuest(budget: number, began: number): Exit {
    const { vcpu } = this;
    const isWhole = this.clock instanceof VirtualClock || began - this.rungAt > RUNG_NS;
    const stretch = isWhole ? budget : Math.max(MIN_SLICE, Math.floor(STRETCH_NS * this.rate));
    for (let left = budget; ;) {
      const before = vcpu.icount;
      // The last one is not made a little one.
      const wanted = left < 1.5 * stretch ? left : stretch;
      const reason = vcpu.run(wanted);
      const executed = vcpu.icount - before;
      left -= executed;
      // A device wants the slice to end: fewer were executed.
      if (reason !== Exit.BUDGET || executed < wanted || left <= 0 || Atomics.load(this.doorbell, 0) !== this.rung) return reason;
    }
  }

  /** Slower at once, faster by and by: compiled code is 50 times as fast as code that was never seen, and a slice must not be late. */
  private learn(executed: number, ns: number): void {
    this.executed += executed;
    this.executedNs += ns;
    if (this.executed < LEARNT_FROM || this.executedNs <= 0) return;
    const rate = this.executed / this.executedNs;
    this.rate = Math.max(LEAST_RATE, rate < this.rate ? rate : 0.8 * this.rate + 0.2 * rate);
    this.executed = this.executedNs = 0;
  }

  /** Instructions of the next slice. */
  private budget(): number {
    const { clock } = this;
    const deadline = clock.nextDeadline();
    if (clock instanceof VirtualClock) {
      this.sliceEnd = Infinity;
      return Math.max(1, Math.min(MAX_SLICE, clock.instructionsUntil(deadline)));
    }
    const now = clock.now();
    const ns = Math.min(SLICE_NS, Math.max(0, deadline - now) + LATE_NS);
    this.sliceEnd = now + ns;
    return Math.max(MIN_SLICE, Math.min(MAX_SLICE, Math.floor(ns * this.rate)));
  }

  /** The CPU is halted. */
  private idle(): SliceResult {
    const { clock } = this;
    if (clock.runIdle()) return { kind: 'run' };
    const deadline = clock.nextDeadline();
    if (clock instanceof VirtualClock && deadline !== Infinity) {
      const config = this.options.config.clock;
      const ns = deadline - clock.now();
      clock.skipTo(deadline);
      return config.kind === 'virtual' && config.sleep ? { kind: 'idle', ns } : { kind: 'run' };
    }
    return { kind: 'idle', ns: Math.max(0, deadline - clock.now()) };
  }

  /** What a developer needs to see why the guest stopped. */
  private failure(what: string, why: string): MachineFailure {
    return {
      what,
      why,
      advice: 'The registers and the code below show where. Start the machine again to try once more.',
      details: `${this.registers()}\n${this.code()}`,
    };
  }

  /** What is on the screen, as a monitor shows it at this moment; undefined without a VGA card. */
  picture(): Picture | undefined {
    return this.pc.vga && drawScreen(this.pc.vga.view, { cursor: true, text: true });
  }

  /** The date, nanoseconds since 1970: that of the host at power-on, and the machine's time since. */
  date(): bigint {
    return this.startDate + BigInt(Math.floor(this.clock.now()));
  }

  /** What takes memory from the guest, if the line names one. */
  get balloon(): VirtioBalloon | undefined {
    for (const { device } of this.pc.pci.list()) if (device instanceof VirtioPci && device.device instanceof VirtioBalloon) return device.device;
    return undefined;
  }

  registers(): string {
    return dumpRegisters(this.memory.buffer, this.vcpu.base);
  }

  private code(): string {
    return dumpCode(this.memory.buffer, this.vcpu.base, (address, length) => this.vcpu.readLinear(address, length), 12);
  }

  /** The instruction count, and a hash of RAM and CPU state. */
  stateHash(): { icount: number; hash: string } {
    const { buffer } = this.memory;
    let a = 0x9747b28c;
    let b = 0x1b873593;
    const mix = (words: Uint32Array): void => {
      for (let n = 0; n < words.length; n++) {
        a = Math.imul(a ^ words[n], 0x85ebca6b);
        a = (a << 13) | (a >>> 19);
        b = (Math.imul(b ^ a, 0xc2b2ae35) + n) | 0;
      }
    };
    // BUDGET and what follows it up to the segments is bookkeeping of the run, not state of the guest's CPU.
    mix(new Uint32Array(buffer, this.vcpu.base, Cpu.TLB / 4));
    mix(new Uint32Array(buffer, this.vcpu.base + Cpu.SEG, (Cpu.STATE_SIZE - Cpu.SEG) / 4));
    mix(new Uint32Array(buffer, Mem.RAM, this.options.config.ramSize / 4));
    const hex = (v: number): string => (v >>> 0).toString(16).padStart(8, '0');
    return { icount: this.vcpu.icount, hash: hex(a) + hex(b) };
  }
}
