// The PC: QEMU's pc machine (i440FX and PIIX3) put together from its devices.
// It knows no CPU: whoever runs the CPUs hands in a CpuPort for each and calls in for ports, MMIO, MSRs and interrupt vectors.

import type { AccessSize, CharBackend, CpuPort, Snapshotable } from '../devices/interfaces.ts';
import { FW_CFG_DMA, FW_CFG_DMA_LENGTH, FW_CFG_LENGTH, FW_CFG_SELECTOR, FwCfg } from '../devices/fw-cfg.ts';
import { FpuError, COPROCESSOR_ERROR } from '../devices/fpu-error.ts';
import type { FloppyDrive } from '../devices/floppy/drive.ts';
import { CMOS_DRIVE_TYPE } from '../devices/floppy/formats.ts';
import { FLOPPY_DMA, FLOPPY_IRQ, FLOPPY_PORTS, I82077 } from '../devices/floppy/i82077.ts';
import { I440fx } from '../devices/i440fx.ts';
import { I8042 } from '../devices/i8042.ts';
import { I8237 } from '../devices/i8237.ts';
import { I8254 } from '../devices/i8254.ts';
import { I8259 } from '../devices/i8259.ts';
import { IDE_CHANNELS } from '../devices/ide/channel.ts';
import { IdeDisk } from '../devices/ide/disk.ts';
import type { IdeDrive } from '../devices/ide/drive.ts';
import { geometryCmos } from '../devices/ide/geometry.ts';
import { IDETIM, IDETIM_DECODE, Piix3Ide } from '../devices/ide/piix3-ide.ts';
import { IoApic, IOAPIC_ADDRESS } from '../devices/io-apic.ts';
import { DEBUG_EXIT_IOBASE, DEBUG_EXIT_IOSIZE, IsaDebugExit } from '../devices/isa-debug-exit.ts';
import { VBE_DISPI_LENGTH, VBE_DISPI_PORTS, Vga, VGA_PORTS, VGA_WINDOW_LENGTH, VGA_WINDOW_START } from '../devices/vga.ts';
import { IsaDebugcon } from '../devices/isa-debugcon.ts';
import { KvmClock } from '../devices/kvm-clock.ts';
import { ApicBus, LocalApic } from '../devices/local-apic.ts';
import { Mc146818 } from '../devices/mc146818.ts';
import { COMMAND_IO, COMMAND_MEMORY, PciBus, type PciFunction, PCI_COMMAND, PCI_INTERRUPT_LINE, PCI_INTERRUPT_PIN } from '../devices/pci.ts';
import { PIRQRCA, Piix3, RESET_CONTROL } from '../devices/piix3.ts';
import { GPE0_BASE, GPE0_LENGTH, PMBASE, PMREGMISC, Piix4Pm, SMI_COMMAND } from '../devices/piix4-pm.ts';
import { Port92, PORT92 } from '../devices/port92.ts';
import { PostPort, POST_PORT } from '../devices/post-port.ts';
import { Ps2Keyboard } from '../devices/ps2-keyboard.ts';
import { Ps2Mouse } from '../devices/ps2-mouse.ts';
import { type CpuRegisters, VMPORT, VMPORT_LENGTH, VmPort } from '../devices/vmport.ts';
import { Serial16550, SERIAL_PORTS } from '../devices/serial16550.ts';
import { ACPI_PM_BASE, type AcpiOptions, installAcpiTables, PIRQ_DEFAULTS, SCI_IRQ } from './acpi.ts';
import type { E820Entry } from './boot/e820.ts';
import { type AccessCount, Bus } from './bus.ts';
import type { ClockBase } from './clock.ts';
import { type BootConfig, bootOrderCmos, bootOrderFile, fillFwCfg } from './firmware.ts';
import { IrqRouting } from './irq.ts';
import { MemoryMap } from './memory-map.ts';

export type { CpuPort } from '../devices/interfaces.ts';

export const MSR_IA32_APIC_BASE = 0x1b;
export const MSR_IA32_TSC_DEADLINE = 0x6e0;

/** Where base address registers get their places from, if there is no firmware to give them some: behind all other ports, and behind the largest RAM. */
const PCI_PORTS = 0xc000;
const PCI_MEMORY = 0xe0000000;
/** First slot that the board leaves free. */
const FIRST_FREE_SLOT = 2;
const SLOTS = 32;

export interface PcOptions {
  /** The shared memory, at its full size. */
  memory: WebAssembly.Memory;
  /** Bytes of RAM, whole pages. */
  ramSize: number;
  clock: ClockBase;
  /** One for each CPU; the first is the boot processor. */
  cpuPorts: CpuPort[];
  /** Backends of COM1 and following; up to four. */
  serial: (CharBackend | undefined)[];
  /** Time-stamp counter of the CPUs, Hz. */
  tscFrequency: number;
  /** Date at time 0 of the clock, milliseconds since 1970 UTC. */
  wallClockMs: number;
  /** What the guest's battery-backed clock shows more than UTC, in ms (-rtc base=localtime). */
  rtcOffsetMs?: number;
  /** The isa-debug-exit device, if there is one. */
  debugExit?: { iobase?: number; iosize?: number };
  /** The isa-debugcon device, if there is one. */
  debugcon?: { iobase: number; backend: CharBackend };
  /** Drives on the IDE channels: primary master and slave, secondary master and slave. */
  ide?: readonly (IdeDrive | null)[];
  /** Drives A and B. */
  floppies?: readonly [FloppyDrive | null, FloppyDrive | null];
  /** Firmware, for a machine that boots by it; without, setUpForDirectBoot() does its work. */
  firmware?: FirmwareConfig;
  /** VMware's port with its pointer, if they are there: the registers of the CPU that reads it. */
  vmport?: CpuRegisters;
  /** The VGA card, if there is one, and its option ROM. */
  vga?: { rom: Uint8Array };
  /** The guest switched the machine off (ACPI S5). Called in the middle of an access: stop the CPUs, then leave. */
  onPowerOff(): void;
  /** The guest asked for a reset. Called in the middle of an access: stop the CPUs, then call reset() and start anew. */
  onReset(): void;
  /** The guest ended the run with an exit status (isa-debug-exit). */
  onExit(status: number): void;
  /** The speaker: whether it sounds, and at which frequency (Hz). */
  onSpeaker?(on: boolean, frequency: number): void;
}

export interface FirmwareConfig {
  /** The image, 4 KiB to 2 MiB in whole pages. */
  image: Uint8Array;
  boot: BootConfig;
  /** Screen output goes to the first serial port. */
  noGraphic: boolean;
}

/** Saved state of all devices, by name. */
export type PcState = Record<string, unknown>;

export class Pc {
  readonly memory: MemoryMap;
  readonly bus = new Bus();
  readonly clock: ClockBase;
  readonly irqs: IrqRouting;
  readonly pic: I8259;
  readonly pit: I8254;
  readonly rtc: Mc146818;
  readonly apicBus = new ApicBus();
  readonly ioApic: IoApic;
  /** One for each CPU. */
  readonly localApics: LocalApic[];
  readonly pci: PciBus;
  readonly hostBridge: I440fx;
  readonly isaBridge: Piix3;
  readonly pm: Piix4Pm;
  readonly ide: Piix3Ide;
  readonly dma: I8237;
  readonly floppy: I82077;
  readonly serial: readonly (Serial16550 | undefined)[];
  readonly keyboard: Ps2Keyboard;
  readonly mouse = new Ps2Mouse();
  readonly vmport: VmPort | undefined;
  readonly i8042: I8042;
  readonly port92: Port92;
  readonly post = new PostPort();
  readonly fpuError: FpuError;
  readonly kvmClock: KvmClock;
  readonly debugcon: IsaDebugcon | undefined;
  readonly fwCfg: FwCfg;
  readonly vga: Vga | undefined;
  /** Accesses to local APICs, which the bus does not see. */
  private localApicReads = 0;
  private localApicWrites = 0;

  private readonly cpuPorts: CpuPort[];
  /** What each CPU was last told about its interrupt request. */
  private readonly pending: boolean[];
  private a20 = true;
  /** All that save() and load() go through, in the order of load(). */
  private readonly snapshotables: [string, Snapshotable][];

  constructor(private readonly options: PcOptions) {
    const { clock, cpuPorts, bus } = { clock: options.clock, cpuPorts: options.cpuPorts, bus: this.bus };
    if (cpuPorts.length < 1) throw new RangeError('a PC needs at least one CPU');
    if (options.serial.length > SERIAL_PORTS.length) throw new RangeError(`${options.serial.length} serial ports: there can be ${SERIAL_PORTS.length}`);
    this.clock = clock;
    this.cpuPorts = cpuPorts;
    this.pending = cpuPorts.map(() => false);

    this.memory = new MemoryMap(options.memory, options.ramSize, {
      memoryMapChanged: () => cpuPorts.forEach((cpu) => cpu.memoryMapChanged()),
      invalidateCode: (page) => cpuPorts.forEach((cpu) => cpu.invalidateCode(page)),
    });

    // Interrupts
    this.pic = new I8259({ set: (level) => this.picChanged(level) });
    this.ioApic = new IoApic(this.apicBus);
    this.localApics = cpuPorts.map(
      (cpu, i) => new LocalApic(i, clock, this.apicBus, cpu, options.tscFrequency, () => this.updateInterrupt(i)),
    );
    this.irqs = new IrqRouting({ pic: this.pic, ioApic: this.ioApic });
    bus.mapPorts('i8259', this.pic, 0x20, 2);
    bus.mapPorts('i8259', this.pic, 0xa0, 2);
    bus.mapPorts('i8259 elcr', this.pic, 0x4d0, 2);
    bus.mapMmio('io-apic', this.ioApic, IOAPIC_ADDRESS, 0x1000);

    // Time
    this.pit = new I8254(clock, this.irqs.line(0), (on, frequency) => options.onSpeaker?.(on, frequency));
    bus.mapPorts('i8254', this.pit, 0x40, 4);
    bus.mapPorts('port 61h', this.pit, 0x61, 1);
    this.rtc = new Mc146818(clock, this.irqs.line(8), options.wallClockMs + (options.rtcOffsetMs ?? 0));
    this.rtc.setContents({ ramBelow4G: options.ramSize, ramAbove4G: 0, cpus: cpuPorts.length });
    bus.mapPorts('mc146818', this.rtc, 0x70, 2);
    this.kvmClock = new KvmClock(clock, this.memory, cpuPorts, options.tscFrequency, options.wallClockMs);

    // PCI: CF9h lies among the configuration ports and comes first
    const pirqLines = [0, 1, 2, 3].map(() => new Map<number, ReturnType<IrqRouting['line']>>());
    this.isaBridge = new Piix3(
      (pirq, irq, level) => {
        let line = pirqLines[pirq].get(irq);
        if (!line) pirqLines[pirq].set(irq, (line = this.irqs.line(irq)));
        line.set(level);
      },
      () => options.onReset(),
    );
    bus.mapPorts('reset control', this.isaBridge, RESET_CONTROL, 1);
    this.pci = new PciBus(bus, (pirq, level) => this.isaBridge.setPirq(pirq, level));
    this.pci.onMessage = (address, data) => this.apicBus.deliverMsi(address, data);
    bus.mapPorts('pci', this.pci, 0xcf8, 8, 4);
    this.hostBridge = new I440fx(this.memory);
    this.pm = new Piix4Pm(clock, this.irqs.line(SCI_IRQ), bus, () => options.onPowerOff());
    bus.mapPorts('acpi-gpe', this.pm, GPE0_BASE, GPE0_LENGTH);
    bus.mapPorts('apm', this.pm, SMI_COMMAND, 2);
    this.pci.add(0, 0, this.hostBridge);
    this.pci.add(1, 0, this.isaBridge);
    this.ide = new Piix3Ide(this.memory, [this.irqs.line(IDE_CHANNELS[0].irq), this.irqs.line(IDE_CHANNELS[1].irq)], options.ide ?? []);
    this.ide.channels.forEach((channel, n) => {
      bus.mapPorts(`ide${n}`, channel, IDE_CHANNELS[n].command, 8, 4);
      bus.mapPorts(`ide${n} control`, channel, IDE_CHANNELS[n].control, 1);
    });
    geometryCmos(this.ide.channels.flatMap(({ drives }) => drives.map((drive) => (drive instanceof IdeDisk ? drive.geometry : null))))
      .forEach(([index, value]) => this.rtc.setCmos(index, value));
    this.pci.add(1, 1, this.ide);
    this.pci.add(1, 3, this.pm);
    if (options.vga) {
      const vga = new Vga(clock, this.memory.vgaMemory(options.vga.rom));
      this.vga = vga;
      this.pci.add(2, 0, vga);
      for (const [base, length] of VGA_PORTS) bus.mapPorts('vga', vga, base, length);
      bus.mapPorts('vbe', vga, VBE_DISPI_PORTS, VBE_DISPI_LENGTH, 2);
      bus.mapMmio('vga', vga, VGA_WINDOW_START, VGA_WINDOW_LENGTH);
    }

    // ISA
    this.dma = new I8237(this.memory);
    for (const [base, length] of [[0x00, 0x10], [0xc0, 0x20], [0x81, 3], [0x87, 1], [0x89, 3], [0x8f, 1], [0x481, 3], [0x487, 1], [0x489, 3]]) {
      bus.mapPorts('i8237', this.dma, base, length);
    }
    const floppies = options.floppies ?? [null, null];
    this.floppy = new I82077(this.irqs.line(FLOPPY_IRQ), this.dma.channel(FLOPPY_DMA), floppies);
    // The last but one of its ports is the IDE channel's.
    bus.mapPorts('floppy', this.floppy, FLOPPY_PORTS, 6);
    bus.mapPorts('floppy', this.floppy, FLOPPY_PORTS + 7, 1);
    const [typeA, typeB] = floppies.map((drive) => CMOS_DRIVE_TYPE[drive?.type ?? 'none']);
    this.rtc.setFloppies(typeA, typeB);
    this.serial = options.serial.map((backend, i) => {
      if (!backend) return undefined;
      const { base, irq } = SERIAL_PORTS[i];
      const port = new Serial16550(`serial${i}`, clock, this.irqs.line(irq), backend);
      bus.mapPorts(`serial${i}`, port, base, 8);
      return port;
    });
    this.keyboard = new Ps2Keyboard(clock);
    this.i8042 = new I8042(
      this.irqs.line(1),
      this.irqs.line(12),
      (enabled) => this.setA20(enabled),
      () => options.onReset(),
      this.keyboard,
      this.mouse,
    );
    bus.mapPorts('i8042', this.i8042, 0x60, 1);
    bus.mapPorts('i8042', this.i8042, 0x64, 1);
    if (options.vmport) {
      this.vmport = new VmPort(options.vmport, options.ramSize, () => this.mouse.poke());
      bus.mapPorts('vmport', this.vmport, VMPORT, VMPORT_LENGTH, 4);
    }
    this.port92 = new Port92(
      (enabled) => this.setA20(enabled),
      () => options.onReset(),
    );
    bus.mapPorts('port 92h', this.port92, PORT92, 1);
    bus.mapPorts('port 80h', this.post, POST_PORT, 1);
    this.fpuError = new FpuError(this.irqs.line(13));
    bus.mapPorts('port f0h', this.fpuError, COPROCESSOR_ERROR, 1);
    if (options.debugExit) {
      const { iobase = DEBUG_EXIT_IOBASE, iosize = DEBUG_EXIT_IOSIZE } = options.debugExit;
      bus.mapPorts('isa-debug-exit', new IsaDebugExit((status) => options.onExit(status)), iobase, iosize, 4);
    }

    if (options.debugcon) {
      this.debugcon = new IsaDebugcon(options.debugcon.backend);
      bus.mapPorts('isa-debugcon', this.debugcon, options.debugcon.iobase, 1);
    }

    // Firmware
    this.fwCfg = new FwCfg(this.memory);
    bus.mapPorts('fw_cfg', this.fwCfg, FW_CFG_SELECTOR, FW_CFG_LENGTH, 2);
    bus.mapPorts('fw_cfg dma', this.fwCfg, FW_CFG_DMA, FW_CFG_DMA_LENGTH, 4);
    const { firmware } = options;
    if (firmware) {
      this.memory.loadFirmware(firmware.image);
      fillFwCfg(this.fwCfg, { ...firmware, ...this.acpiOptions() });
      this.setBootOrder(firmware.boot.once ?? firmware.boot.order);
    }

    this.snapshotables = [
      ['pci', this.pci],
      ['i8259', this.pic],
      ['io-apic', this.ioApic],
      ...this.localApics.map((apic, i): [string, Snapshotable] => [`local-apic-${i}`, apic]),
      ['i8254', this.pit],
      ['i8237', this.dma],
      ['floppy', this.floppy],
      ['mc146818', this.rtc],
      ...this.serial.flatMap((port, i): [string, Snapshotable][] => (port ? [[`serial${i}`, port]] : [])),
      ['i8042', this.i8042],
      ['port92', this.port92],
      ...(this.vmport ? [['vmport', this.vmport] as [string, Snapshotable]] : []),
      ['kvm-clock', this.kvmClock],
      ['fw_cfg', this.fwCfg],
    ];
    for (const cpu of cpuPorts) cpu.setA20(true);
  }

  // What the CPUs call

  /** Read an I/O port. */
  ioRead(port: number, size: AccessSize): number {
    return this.bus.ioRead(port & 0xffff, size);
  }

  ioWrite(port: number, size: AccessSize, value: number): void {
    this.bus.ioWrite(port & 0xffff, size, value);
  }

  /** Read at a guest-physical address that is not memory. Accesses of 8 bytes come as two, low half first. */
  mmioRead(addressLow: number, addressHigh: number, size: AccessSize, cpu = 0): number {
    const address = addressLow >>> 0;
    if (addressHigh === 0) {
      const apic = this.localApics[cpu];
      // The register page: its top 20 bits are the base.
      if ((address & 0xfffff000) >>> 0 === apic.address) {
        this.localApicReads++;
        const value = apic.readMmio(address & 0xfff, size);
        return size === 4 ? value >>> 0 : value & (size === 1 ? 0xff : 0xffff);
      }
      return this.bus.mmioRead(address, size);
    }
    this.bus.unclaimed++;
    return size === 1 ? 0xff : size === 2 ? 0xffff : 0xffffffff;
  }

  /** Does a device answer at this guest-physical address? */
  hasMmio(address: number, cpu = 0): boolean {
    return (address & 0xfffff000) >>> 0 === this.localApics[cpu].address || this.bus.hasMmio(address);
  }

  mmioWrite(addressLow: number, addressHigh: number, size: AccessSize, value: number, cpu = 0): void {
    const address = addressLow >>> 0;
    if (addressHigh !== 0) {
      this.bus.unclaimed++;
      return;
    }
    const apic = this.localApics[cpu];
    if ((address & 0xfffff000) >>> 0 === apic.address) {
      this.localApicWrites++;
      apic.writeMmio(address & 0xfff, size, size === 4 ? value >>> 0 : value & (size === 1 ? 0xff : 0xffff));
      return;
    }
    if (this.memory.writeHidden(address, size, value)) return;
    this.bus.mmioWrite(address, size, value);
  }

  /** A model-specific register that belongs to a device; undefined if there is none (#GP). */
  readMsr(cpu: number, index: number): bigint | undefined {
    switch (index) {
      case MSR_IA32_APIC_BASE:
        return this.localApics[cpu].base;
      case MSR_IA32_TSC_DEADLINE:
        return this.localApics[cpu].tscDeadline;
    }
    return this.kvmClock.readMsr(cpu, index);
  }

  /** Write such a register; false if there is none or the value is not allowed (#GP). */
  writeMsr(cpu: number, index: number, value: bigint): boolean {
    switch (index) {
      case MSR_IA32_APIC_BASE:
        return this.localApics[cpu].writeBase(value);
      case MSR_IA32_TSC_DEADLINE:
        this.localApics[cpu].tscDeadline = value;
        return true;
    }
    return this.kvmClock.writeMsr(cpu, index, value);
  }

  /** CR8: the local APIC's task priority class. */
  readCr8(cpu: number): number {
    return this.localApics[cpu].cr8;
  }

  writeCr8(cpu: number, value: number): void {
    this.localApics[cpu].cr8 = value;
  }

  /** The CPU takes an interrupt: its vector, or -1 if the request has gone. */
  acknowledgeInterrupt(cpu: number): number {
    const apic = this.localApics[cpu];
    const vector = apic.acknowledge();
    if (vector >= 0) return vector;
    if (!this.pic.intr || !apic.acceptsPic()) {
      this.updateInterrupt(cpu);
      return -1;
    }
    apic.picAcknowledged();
    const picVector = this.pic.acknowledge();
    this.updateInterrupt(cpu);
    return picVector;
  }

  /** The CPU's FERR# while CR0.NE is clear. */
  raiseFpuError(): void {
    this.fpuError.raise();
  }

  // Inside

  private picChanged(level: boolean): void {
    for (const apic of this.localApics) apic.setLint0(level);
    for (let cpu = 0; cpu < this.localApics.length; cpu++) this.updateInterrupt(cpu);
  }

  private updateInterrupt(cpu: number): void {
    const apic = this.localApics[cpu];
    const level = apic.interruptRequest() >= 0 || (this.pic.intr && apic.acceptsPic());
    if (level === this.pending[cpu]) return;
    this.pending[cpu] = level;
    this.cpuPorts[cpu].setInterruptPending(level);
    if (level) this.cpuPorts[cpu].wake();
  }

  /** What the ACPI tables are to say. */
  private acpiOptions(): AcpiOptions {
    const serialPorts = this.serial.map((port) => port !== undefined);
    return { ramSize: this.options.ramSize, cpus: this.cpuPorts.length, serialPorts, mouse: true, vga: this.vga !== undefined };
  }

  /** The first boot is over: from now on -boot once= does not count. */
  endBootOnce(): void {
    if (this.options.firmware) this.setBootOrder(this.options.firmware.boot.order);
  }

  /** What the firmware tries first, by paths of devices; call after all are plugged in. */
  setBootDevices(paths: readonly string[], strict: boolean): void {
    if (this.options.firmware) this.fwCfg.addFile('bootorder', bootOrderFile(paths, strict));
  }

  private setBootOrder(order: string): void {
    const { x3d, x38 } = bootOrderCmos(order);
    this.rtc.setCmos(0x3d, x3d);
    this.rtc.setCmos(0x38, x38);
  }

  private setA20(enabled: boolean): void {
    if (enabled === this.a20) return;
    this.a20 = enabled;
    for (const cpu of this.cpuPorts) cpu.setA20(enabled);
  }

  // What the machine's owner calls

  /** What plug() added. */
  private readonly plugged: PciFunction[] = [];

  /**
   * Plug a function in before the machine runs.
   * @param place slot and function; without it, the first free slot, as QEMU does
   * @returns its place
   */
  plug(device: PciFunction, place?: { slot: number; fn: number }): { slot: number; fn: number } {
    let slot = place?.slot ?? FIRST_FREE_SLOT;
    if (!place) while (slot < SLOTS && this.pci.get(slot, 0)) slot++;
    if (slot >= SLOTS) throw new Error(`there is no free PCI slot for ${device.name}`);
    const fn = place?.fn ?? 0;
    this.pci.add(slot, fn, device);
    this.plugged.push(device);
    return { slot, fn };
  }

  /** Take what serial backends have for the guest, and give them what had to wait: to be called when there may be something. */
  poll(): void {
    for (const port of this.serial) port?.poll();
    this.debugcon?.poll();
    for (const device of this.plugged) device.poll();
  }

  /** The ACPI power button. */
  powerButton(): void {
    this.pm.powerButton();
  }

  /** A pulse on the NMI line, unless the guest masks it at port 70h. */
  nmi(): void {
    if (this.rtc.nmiMasked) return;
    for (const apic of this.localApics) {
      apic.setLint1(true);
      apic.setLint1(false);
    }
  }

  /** The reset line: all devices as after power-on, memory as it is. The CPUs are the caller's. */
  reset(): void {
    this.pci.reset();
    this.pit.reset();
    this.dma.reset();
    this.floppy.reset();
    this.rtc.reset();
    for (const port of this.serial) port?.reset();
    this.i8042.reset();
    this.vmport?.reset();
    this.port92.reset();
    this.fpuError.writePort(COPROCESSOR_ERROR, 1, 0);
    this.pic.reset();
    this.ioApic.reset();
    for (const apic of this.localApics) apic.reset();
    this.kvmClock.reset();
    this.fwCfg.reset();
    this.setA20(true);
    this.poll();
  }

  /**
   * Do what firmware does before it starts a kernel, for a kernel that is loaded directly: interrupt routing, power management
   * ports, places for PCI devices, masked 8259s, ACPI tables. Call after construction and after each reset().
   * Returns the memory map for the kernel; it finds the RSDP at acpi.ts's RSDP_ADDRESS.
   */
  setUpForDirectBoot(): E820Entry[] {
    PIRQ_DEFAULTS.forEach((irq, pirq) => this.isaBridge.writeConfig(PIRQRCA + pirq, 1, irq));
    this.pm.writeConfig(PMBASE, 4, ACPI_PM_BASE | 1);
    this.pm.writeConfig(PMREGMISC, 1, 1);
    for (const n of [0, 1]) this.ide.writeConfig(IDETIM + 2 * n, 2, IDETIM_DECODE);
    for (const { slot, device } of this.pci.list()) {
      const pin = device.config[PCI_INTERRUPT_PIN];
      if (pin) device.writeConfig(PCI_INTERRUPT_LINE, 1, PIRQ_DEFAULTS[PciBus.pirqOf(slot, pin - 1)]);
    }
    this.placeBars();
    // The power management's pin is wired to the SCI.
    this.pm.writeConfig(PCI_INTERRUPT_LINE, 1, SCI_IRQ);
    const levels = (1 << SCI_IRQ) | PIRQ_DEFAULTS.reduce((mask, irq) => mask | (1 << irq), 0);
    const ports: [port: number, value: number][] = [
      [0x4d0, levels & 0xff],
      [0x4d1, levels >> 8],
      [0x20, 0x11],
      [0x21, 0x08],
      [0x21, 0x04],
      [0x21, 0x01],
      [0xa0, 0x11],
      [0xa1, 0x70],
      [0xa1, 0x02],
      [0xa1, 0x01],
      [0x21, 0xfb],
      [0xa1, 0xff],
      // DMA channels 0-3 go through channel 4, in cascade mode
      [0xd6, 0xc0],
      [0xd4, 0x00],
      // 18.2 interrupts a second, masked for now
      [0x43, 0x34],
      [0x40, 0x00],
      [0x40, 0x00],
    ];
    for (const [port, value] of ports) this.bus.ioWrite(port, 1, value);
    return installAcpiTables(this.memory, this.acpiOptions());
  }

  /** Give every base address register a place, largest first so that each is aligned, and let the functions answer there. */
  private placeBars(): void {
    const bars = this.pci.list().flatMap(({ device }) => device.resources.map((bar) => ({ ...bar, device })));
    bars.sort((a, b) => b.size - a.size);
    const next = { io: PCI_PORTS, memory: PCI_MEMORY };
    for (const { device, register, kind, size } of bars) {
      const space = kind === 'io' ? 'io' : 'memory';
      device.writeConfig(register, 4, next[space]);
      next[space] += size;
    }
    for (const device of new Set(bars.map((bar) => bar.device))) device.writeConfig(PCI_COMMAND, 2, device.command | COMMAND_IO | COMMAND_MEMORY);
  }

  /** Accesses of each device so far. */
  statistics(): AccessCount[] {
    const localApic: AccessCount = {
      name: 'local-apic',
      kind: 'memory',
      base: this.localApics[0].address,
      length: 0x1000,
      reads: this.localApicReads,
      writes: this.localApicWrites,
    };
    return [...this.bus.statistics(), localApic];
  }

  /** State of all devices. The clock is saved by its owner, and loaded before. */
  save(): PcState {
    return { a20: this.a20, ...Object.fromEntries(this.snapshotables.map(([name, device]) => [name, device.save()])) };
  }

  /** Take back what save() of a machine built the same way gave. */
  load(state: PcState): void {
    for (const [name, device] of this.snapshotables) {
      if (!(name in state)) throw new Error(`the snapshot has no ${name}`);
      device.load(state[name]);
    }
    this.a20 = state.a20 as boolean;
    for (const cpu of this.cpuPorts) cpu.setA20(this.a20);
    for (let cpu = 0; cpu < this.pending.length; cpu++) {
      this.updateInterrupt(cpu);
      this.cpuPorts[cpu].setInterruptPending(this.pending[cpu]);
    }
  }
}
