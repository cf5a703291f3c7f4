// Virtio over PCI: the function through which a driver finds and runs a virtio device.
// Virtio 1.2, section 4.1 (Virtio Over PCI Bus); the legacy interface in 4.1.4.10 (Legacy Interfaces: A Note on PCI Device Layout).
//
// A transitional device has both interfaces: the legacy registers in I/O ports, and the structures of virtio 1.0 and later
// in memory. BARs and the order within them are QEMU's: 0 legacy ports, 1 MSI-X, 4 structures.

import type { AccessSize, Clock, GuestMemory, MmioDevice, PortDevice } from '../devices/interfaces.ts';
import { COMMAND_MASTER, PciFunction } from '../devices/pci.ts';
import {
  type CommonFeature, STATUS_DRIVER_OK, STATUS_FEATURES_OK, VIRTIO_F_RING_RESET, VIRTIO_F_VERSION_1, type VirtioDevice, type VirtioTransport,
} from './device.ts';
import type { Virtqueue } from './queue.ts';

export const PCI_VENDOR_ID_VIRTIO = 0x1af4;
const PCI_CAP_ID_VNDR = 0x09;

/** cfg_type of the capabilities, 4.1.4. */
export const VIRTIO_PCI_CAP_COMMON_CFG = 1;
export const VIRTIO_PCI_CAP_NOTIFY_CFG = 2;
export const VIRTIO_PCI_CAP_ISR_CFG = 3;
export const VIRTIO_PCI_CAP_DEVICE_CFG = 4;
export const VIRTIO_PCI_CAP_PCI_CFG = 5;

/** "No vector" (4.1.5.1.2). */
export const VIRTIO_MSI_NO_VECTOR = 0xffff;

export const LEGACY_BAR = 0;
export const MSIX_BAR = 1;
export const MODERN_BAR = 4;

/** Places of the structures in their BAR, a page each. */
export const COMMON = 0x0000;
export const ISR = 0x1000;
export const DEVICE = 0x2000;
export const NOTIFY = 0x3000;
const STRUCTURE = 0x1000;
const MODERN_SIZE = 0x4000;
export const NOTIFY_OFF_MULTIPLIER = 4;

/** struct virtio_pci_common_cfg, 4.1.4.3. */
export const DEVICE_FEATURE_SELECT = 0x00;
export const DEVICE_FEATURE = 0x04;
export const DRIVER_FEATURE_SELECT = 0x08;
export const DRIVER_FEATURE = 0x0c;
export const CONFIG_MSIX_VECTOR = 0x10;
export const NUM_QUEUES = 0x12;
export const DEVICE_STATUS = 0x14;
export const CONFIG_GENERATION = 0x15;
export const QUEUE_SELECT = 0x16;
export const QUEUE_SIZE = 0x18;
export const QUEUE_MSIX_VECTOR = 0x1a;
export const QUEUE_ENABLE = 0x1c;
export const QUEUE_NOTIFY_OFF = 0x1e;
export const QUEUE_DESC = 0x20;
export const QUEUE_DRIVER = 0x28;
export const QUEUE_DEVICE = 0x30;
export const QUEUE_RESET = 0x3a;

/** Legacy registers, 4.1.4.10. */
export const LEGACY_DEVICE_FEATURES = 0x00;
export const LEGACY_DRIVER_FEATURES = 0x04;
export const LEGACY_QUEUE_ADDRESS = 0x08;
export const LEGACY_QUEUE_SIZE = 0x0c;
export const LEGACY_QUEUE_SELECT = 0x0e;
export const LEGACY_QUEUE_NOTIFY = 0x10;
export const LEGACY_DEVICE_STATUS = 0x12;
export const LEGACY_ISR_STATUS = 0x13;
/** The next two, and so what follows, only while MSI-X is enabled. */
export const LEGACY_CONFIG_MSIX_VECTOR = 0x14;
export const LEGACY_QUEUE_MSIX_VECTOR = 0x16;
const LEGACY_CONFIG = 0x14;
const LEGACY_CONFIG_MSIX = 0x18;
/** Legacy rings: alignment of the used ring, and unit of the address. */
const LEGACY_ALIGN = 4096;

/** ISR status bits, 4.1.4.5. */
const ISR_QUEUE = 1;
const ISR_CONFIG = 2;

export interface VirtioPciOptions {
  memory: GuestMemory;
  clock: Clock;
  /** The legacy interface, the modern one: at least one; both by default, as QEMU has it on this bus. */
  legacy?: boolean;
  modern?: boolean;
  /** MSI-X vectors; 0 for none. One for each queue and one for the configuration, unless given. */
  vectors?: number;
  /** Common features that are not offered. */
  withheld?: readonly CommonFeature[];
  /** Option ROM. */
  rom?: Uint8Array;
}

/** What can be seen of the registers beside what the device has. */
interface State {
  deviceFeatureSelect: number;
  driverFeatureSelect: number;
  /** As written, not yet agreed on. */
  driverFeatures: bigint;
  queueSelect: number;
  configVector: number;
  queueVectors: number[];
  isr: number;
  /** The driver uses the legacy interface. */
  legacy: boolean;
  /** Halves of queue_desc, queue_driver and queue_device as written, three pairs a queue. */
  places: Uint32Array;
}

export class VirtioPci extends PciFunction {
  private s: State;
  /** Offset of the capability VIRTIO_PCI_CAP_PCI_CFG, 0 without. */
  private window = 0;

  constructor(
    readonly device: VirtioDevice,
    options: VirtioPciOptions,
  ) {
    const { name, type, pciClass, queues } = device.identity;
    const { legacy = true, modern = true, vectors = queues.length + 1 } = options;
    if (!legacy && !modern) throw new Error(`${name}: a device needs the legacy or the modern interface`);
    super(`${name}-pci`, {
      vendor: PCI_VENDOR_ID_VIRTIO,
      // 4.1.2: modern devices count from 1040h; transitional ones have numbers of their own, and their type as subsystem.
      device: legacy ? TRANSITIONAL_DEVICE_ID[type] : 0x1040 + type,
      class: pciClass,
      revision: legacy ? 0 : 1,
      subsystemVendor: PCI_VENDOR_ID_VIRTIO,
      subsystem: legacy ? type : 0x1100,
      interruptPin: 1,
    });
    this.s = this.resetState();
    const mastering = (): boolean => (this.command & COMMAND_MASTER) !== 0;
    const transport: VirtioTransport = {
      memory: options.memory,
      clock: options.clock,
      get mastering() {
        return mastering();
      },
      queueInterrupt: (index) => {
        if (this.msix?.enabled) this.msix.notify(this.s.queueVectors[index]);
        else this.setIsr(this.s.isr | ISR_QUEUE);
      },
      configInterrupt: () => {
        this.setIsr(this.s.isr | ISR_CONFIG);
        if (this.msix?.enabled) this.msix.notify(this.s.configVector);
      },
    };
    device.attach(transport);
    device.withhold(options.withheld ?? []);
    if (legacy) {
      // Room for the MSI-X vectors and the device's configuration, rounded up to a power of two.
      const size = 2 ** Math.ceil(Math.log2(Math.max(32, LEGACY_CONFIG_MSIX + device.config.length)));
      this.addBar(LEGACY_BAR, { kind: 'io', size, device: this.legacyRegisters });
    }
    if (options.rom) this.addRom(options.rom);
    if (vectors > 0) this.addMsix(MSIX_BAR, vectors);
    if (modern) {
      this.addBar(MODERN_BAR, { kind: 'memory', size: MODERN_SIZE, device: this.structures, prefetchable: true, wide: true });
      this.addStructure(VIRTIO_PCI_CAP_COMMON_CFG, COMMON);
      this.addStructure(VIRTIO_PCI_CAP_ISR_CFG, ISR);
      if (device.config.length > 0) this.addStructure(VIRTIO_PCI_CAP_DEVICE_CFG, DEVICE);
      this.addStructure(VIRTIO_PCI_CAP_NOTIFY_CFG, NOTIFY, NOTIFY_OFF_MULTIPLIER);
      this.addWindow();
    }
    this.reset();
  }

  private resetState(): State {
    const queues = this.device.identity.queues.length;
    return {
      deviceFeatureSelect: 0,
      driverFeatureSelect: 0,
      driverFeatures: 0n,
      queueSelect: 0,
      configVector: VIRTIO_MSI_NO_VECTOR,
      queueVectors: Array.from({ length: queues }, () => VIRTIO_MSI_NO_VECTOR),
      isr: 0,
      legacy: false,
      places: new Uint32Array(6 * queues),
    };
  }

  /** struct virtio_pci_cap (4.1.4) from its third byte on: cap_len, cfg_type, bar, id, padding, offset, length; and what a type adds. */
  private capability(type: number, bar: number, offset: number, length: number, more?: number): Uint8Array {
    const view = new DataView(new ArrayBuffer(more === undefined ? 14 : 18));
    view.setUint8(0, 2 + view.byteLength);
    view.setUint8(1, type);
    view.setUint8(2, bar);
    view.setUint32(6, offset, true);
    view.setUint32(10, length, true);
    if (more !== undefined) view.setUint32(14, more, true);
    return new Uint8Array(view.buffer);
  }

  private addStructure(type: number, offset: number, more?: number): void {
    this.addCapability(PCI_CAP_ID_VNDR, this.capability(type, MODERN_BAR, offset, STRUCTURE, more));
  }

  /** The structures through configuration space (4.1.4.9), for a driver that cannot reach the BAR. */
  private addWindow(): void {
    const writable = new Uint8Array(18);
    writable[2] = 0xff;
    writable.fill(0xff, 6);
    this.window = this.addCapability(PCI_CAP_ID_VNDR, this.capability(VIRTIO_PCI_CAP_PCI_CFG, 0, 0, 0, 0), writable);
  }

  /** The access that the window is set to, undefined if it is none. */
  private windowAccess(): { offset: number; size: AccessSize } | undefined {
    const bar = this.config[this.window + 4];
    const offset = this.get32(this.window + 8);
    const size = this.get32(this.window + 12);
    if (bar !== MODERN_BAR || (size !== 1 && size !== 2 && size !== 4) || offset % size || offset + size > MODERN_SIZE) return undefined;
    return { offset, size };
  }

  private inWindow(offset: number, size: number): boolean {
    const data = this.window + 16;
    return this.window !== 0 && offset < data + 4 && offset + size > data;
  }

  override readConfig(offset: number, size: AccessSize): number {
    if (this.inWindow(offset, size)) {
      const access = this.windowAccess();
      if (access) this.set32(this.window + 16, this.structures.readMmio(access.offset, access.size) >>> 0);
    }
    return super.readConfig(offset, size);
  }

  protected override onConfigWrite(offset: number, size: number): void {
    if (!this.inWindow(offset, size)) return;
    const access = this.windowAccess();
    if (access) this.structures.writeMmio(access.offset, access.size, this.get32(this.window + 16) & (2 ** (8 * access.size) - 1));
  }

  // Interrupts

  private setIsr(isr: number): void {
    this.s.isr = isr;
    // The wire follows unless MSI-X is enabled: PciFunction sees to that.
    this.intx.set(isr !== 0);
  }

  /** A read of ISR status clears it and lets go of INTx. */
  private readIsr(): number {
    const { isr } = this.s;
    this.setIsr(0);
    return isr;
  }

  /** A vector as the driver reads it back: what the function does not have is "no vector". */
  private vector(value: number): number {
    return this.msix && value < this.msix.vectors ? value : VIRTIO_MSI_NO_VECTOR;
  }

  // Common to both interfaces

  private get queue(): Virtqueue | undefined {
    return this.device.queues[this.s.queueSelect];
  }

  private resetDevice(): void {
    this.s = this.resetState();
    this.device.reset();
    this.setIsr(0);
  }

  private setStatus(status: number): void {
    if (status === 0) {
      this.resetDevice();
      return;
    }
    if (!this.s.legacy && status & ~this.device.status & STATUS_FEATURES_OK) {
      // 2.2.2: the bit stays clear if the device does not accept what the driver took.
      if (this.acceptable(this.s.driverFeatures)) this.device.setFeatures(this.s.driverFeatures);
      else status &= ~STATUS_FEATURES_OK;
    }
    const begins = (status & ~this.device.status & STATUS_DRIVER_OK) !== 0;
    this.device.setStatus(status);
    if (!begins) return;
    // Drivers may have offered buffers and notified earlier, which had no effect: Linux's balloon does.
    this.device.queues.forEach((queue, index) => {
      if (queue.available > 0) this.notifyQueue(index);
    });
  }

  /** A modern driver must take VERSION_1, and nothing that was not offered. */
  private acceptable(features: bigint): boolean {
    const offered = this.device.offered | VIRTIO_F_VERSION_1;
    return (features & ~offered) === 0n && (features & VIRTIO_F_VERSION_1) !== 0n;
  }

  private notifyQueue(index: number): void {
    // Without bus mastering a function reaches no memory.
    if (!(this.command & COMMAND_MASTER)) return;
    const { status } = this.device;
    // 3.1.1: nothing is consumed before DRIVER_OK; legacy drivers may be earlier (3.1.2).
    const live = this.s.legacy || (status & STATUS_FEATURES_OK && status & STATUS_DRIVER_OK);
    if (live) this.device.notify(index);
  }

  private readDeviceConfig(offset: number, size: AccessSize): number {
    let value = 0;
    for (let i = 0; i < size; i++) value |= (this.device.config[offset + i] ?? 0) << (8 * i);
    return value >>> 0;
  }

  // The modern interface

  private readonly structures: MmioDevice = {
    readMmio: (offset, size) => {
      const at = offset % STRUCTURE;
      switch (offset - at) {
        case COMMON:
          return this.readCommon(at);
        case ISR:
          return at === 0 ? this.readIsr() : 0;
        case DEVICE:
          return this.readDeviceConfig(at, size);
        default:
          return 0;
      }
    },
    writeMmio: (offset, size, value) => {
      const at = offset % STRUCTURE;
      if (offset - at === COMMON) this.writeCommon(at, value);
      else if (offset - at === DEVICE) this.device.writeConfig(at, size, value);
      else if (offset - at === NOTIFY && at % NOTIFY_OFF_MULTIPLIER === 0) this.notifyQueue(at / NOTIFY_OFF_MULTIPLIER);
    },
  };

  private readCommon(offset: number): number {
    const { s, device, queue } = this;
    switch (offset) {
      case DEVICE_FEATURE_SELECT:
        return s.deviceFeatureSelect;
      case DEVICE_FEATURE:
        return word(device.offered | VIRTIO_F_VERSION_1, s.deviceFeatureSelect);
      case DRIVER_FEATURE_SELECT:
        return s.driverFeatureSelect;
      case DRIVER_FEATURE:
        return word(s.driverFeatures, s.driverFeatureSelect);
      case CONFIG_MSIX_VECTOR:
        return s.configVector;
      case NUM_QUEUES:
        return device.queues.length;
      case DEVICE_STATUS:
        return device.status;
      case CONFIG_GENERATION:
        return device.configGeneration;
      case QUEUE_SELECT:
        return s.queueSelect;
      case QUEUE_SIZE:
        return queue?.size ?? 0;
      case QUEUE_MSIX_VECTOR:
        return queue ? s.queueVectors[s.queueSelect] : VIRTIO_MSI_NO_VECTOR;
      case QUEUE_ENABLE:
        return queue?.enabled ? 1 : 0;
      case QUEUE_NOTIFY_OFF:
        return queue ? s.queueSelect : 0;
    }
    if (offset >= QUEUE_DESC && offset < QUEUE_DEVICE + 8 && offset % 4 === 0 && queue) return s.places[6 * s.queueSelect + (offset - QUEUE_DESC) / 4];
    return 0;
  }

  private writeCommon(offset: number, value: number): void {
    const { s, device, queue } = this;
    switch (offset) {
      case DEVICE_FEATURE_SELECT:
        s.deviceFeatureSelect = value;
        return;
      case DRIVER_FEATURE_SELECT:
        s.driverFeatureSelect = value;
        return;
      case DRIVER_FEATURE:
        // Once agreed on they stay (2.2.1).
        if (s.driverFeatureSelect < 2 && !(device.status & STATUS_FEATURES_OK)) {
          const shift = BigInt(32 * s.driverFeatureSelect);
          s.driverFeatures = (s.driverFeatures & ~(0xffffffffn << shift)) | (BigInt(value) << shift);
        }
        return;
      case CONFIG_MSIX_VECTOR:
        s.configVector = this.vector(value);
        return;
      case DEVICE_STATUS:
        this.setStatus(value & 0xff);
        return;
      case QUEUE_SELECT:
        s.queueSelect = value & 0xffff;
        return;
    }
    if (!queue) return;
    switch (offset) {
      case QUEUE_SIZE:
        queue.configure({ size: value & 0xffff });
        return;
      case QUEUE_MSIX_VECTOR:
        s.queueVectors[s.queueSelect] = this.vector(value);
        return;
      case QUEUE_ENABLE:
        // A queue that is enabled stays so until it or the device is reset.
        if (value & 1) this.enableQueue(queue);
        return;
      case QUEUE_RESET:
        // 2.6.1: done at once, so that it never reads 1. The vector goes too, as in QEMU.
        if ((value & 0xffff) === 1 && device.features & VIRTIO_F_RING_RESET) {
          device.resetQueue(s.queueSelect);
          s.queueVectors[s.queueSelect] = VIRTIO_MSI_NO_VECTOR;
          s.places.fill(0, 6 * s.queueSelect, 6 * s.queueSelect + 6);
        }
        return;
    }
    if (offset >= QUEUE_DESC && offset < QUEUE_DEVICE + 8 && offset % 4 === 0 && !queue.enabled) s.places[6 * s.queueSelect + (offset - QUEUE_DESC) / 4] = value;
  }

  private enableQueue(queue: Virtqueue): void {
    // Queues are set up after the features were agreed on (3.1.1).
    if (!(this.device.status & STATUS_FEATURES_OK)) return;
    const { places, queueSelect } = this.s;
    const place = (n: number) => places[6 * queueSelect + 2 * n] + places[6 * queueSelect + 2 * n + 1] * 2 ** 32;
    queue.configure({ desc: place(0), driver: place(1), device: place(2) });
    queue.enable();
  }

  // The legacy interface

  private readonly legacyRegisters: PortDevice = {
    readPort: (port, size) => this.readLegacy(port, size),
    writePort: (port, size, value) => this.writeLegacy(port, size, value),
  };

  private readLegacy(offset: number, size: AccessSize): number {
    const { s, device, queue } = this;
    const msix = this.msix?.enabled ?? false;
    const config = msix ? LEGACY_CONFIG_MSIX : LEGACY_CONFIG;
    if (offset >= config) return this.readDeviceConfig(offset - config, size);
    switch (offset) {
      case LEGACY_DEVICE_FEATURES:
        return word(device.offeredLegacy, 0);
      case LEGACY_DRIVER_FEATURES:
        return word(device.features, 0);
      case LEGACY_QUEUE_ADDRESS:
        return queue?.enabled ? Math.floor(queue.desc / LEGACY_ALIGN) : 0;
      case LEGACY_QUEUE_SIZE:
        return queue?.size ?? 0;
      case LEGACY_QUEUE_SELECT:
        return s.queueSelect;
      case LEGACY_DEVICE_STATUS:
        return device.status;
      case LEGACY_ISR_STATUS:
        return this.readIsr();
      case LEGACY_CONFIG_MSIX_VECTOR:
        return s.configVector;
      case LEGACY_QUEUE_MSIX_VECTOR:
        return queue ? s.queueVectors[s.queueSelect] : VIRTIO_MSI_NO_VECTOR;
    }
    return 0;
  }

  private writeLegacy(offset: number, size: AccessSize, value: number): void {
    const { s, device, queue } = this;
    const config = this.msix?.enabled ? LEGACY_CONFIG_MSIX : LEGACY_CONFIG;
    if (offset >= config) {
      device.writeConfig(offset - config, size, value);
      return;
    }
    switch (offset) {
      case LEGACY_DRIVER_FEATURES:
        s.legacy = true;
        device.setFeatures(BigInt(value) & device.offeredLegacy);
        return;
      case LEGACY_QUEUE_ADDRESS:
        if (!queue) return;
        s.legacy = true;
        if (value === 0) device.resetQueue(s.queueSelect);
        else this.enableLegacy(queue, value * LEGACY_ALIGN);
        return;
      case LEGACY_QUEUE_SELECT:
        s.queueSelect = value & 0xffff;
        return;
      case LEGACY_QUEUE_NOTIFY:
        this.notifyQueue(value & 0xffff);
        return;
      case LEGACY_DEVICE_STATUS:
        this.setStatus(value & 0xff);
        return;
    }
    if (!this.msix?.enabled) return;
    if (offset === LEGACY_CONFIG_MSIX_VECTOR) s.configVector = this.vector(value & 0xffff);
    else if (offset === LEGACY_QUEUE_MSIX_VECTOR && queue) s.queueVectors[s.queueSelect] = this.vector(value & 0xffff);
  }

  /** 2.7.2: the three parts one behind the other, the used ring at the next page. */
  private enableLegacy(queue: Virtqueue, desc: number): void {
    const driver = desc + 16 * queue.size;
    const device = Math.ceil((driver + 6 + 2 * queue.size) / LEGACY_ALIGN) * LEGACY_ALIGN;
    queue.configure({ desc, driver, device });
    queue.enable();
  }

  // The machine's

  override poll(): void {
    // Without bus mastering a function reaches no memory.
    if (this.command & COMMAND_MASTER) this.device.poll();
  }

  override reset(): void {
    super.reset();
    this.s = this.resetState();
    this.device.reset();
  }

  override save(): unknown {
    return { function: super.save(), registers: structuredClone(this.s), device: this.device.save() };
  }

  override load(state: unknown): void {
    const saved = state as { function: unknown; registers: State; device: unknown };
    super.load(saved.function);
    this.s = structuredClone(saved.registers);
    this.device.load(saved.device);
  }
}

/** Device numbers of transitional devices by type, 4.1.2.1. */
const TRANSITIONAL_DEVICE_ID: Readonly<Record<number, number>> = { 1: 0x1000, 2: 0x1001, 3: 0x1003, 4: 0x1005, 5: 0x1002, 9: 0x1009 };

/** 32 bits of a feature set; none above the second word. */
function word(features: bigint, select: number): number {
  return select < 2 ? Number((features >> BigInt(32 * select)) & 0xffffffffn) : 0;
}
