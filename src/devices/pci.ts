// The PCI bus: configuration space of its functions, base address registers, capabilities, INTx wires, interrupt messages, and
// configuration mechanism #1.
// PCI Local Bus Specification 2.2, chapter 6 (configuration space; 6.7 capabilities) and section 3.2.2.3.2 (mechanism #1).

import type { AccessSize, IrqLine, MmioDevice, PortDevice, Snapshotable } from './interfaces.ts';
import { Msix, MSIX_CONTROL_ENABLE, MSIX_CONTROL_MASKALL, MSIX_PBA, MSIX_SIZE, PCI_CAP_ID_MSIX } from './msix.ts';
import { romFor } from './option-rom.ts';

export const CONFIG_ADDRESS = 0xcf8;
export const CONFIG_DATA = 0xcfc;

export const PCI_VENDOR_ID = 0x00;
export const PCI_DEVICE_ID = 0x02;
export const PCI_COMMAND = 0x04;
export const PCI_STATUS = 0x06;
export const PCI_REVISION_ID = 0x08;
export const PCI_CLASS_PROG = 0x09;
export const PCI_CLASS_DEVICE = 0x0a;
export const PCI_HEADER_TYPE = 0x0e;
export const PCI_BASE_ADDRESS_0 = 0x10;
export const PCI_SUBSYSTEM_VENDOR_ID = 0x2c;
export const PCI_SUBSYSTEM_ID = 0x2e;
export const PCI_ROM_ADDRESS = 0x30;
export const PCI_CAPABILITY_LIST = 0x34;
export const PCI_INTERRUPT_LINE = 0x3c;
export const PCI_INTERRUPT_PIN = 0x3d;

export const COMMAND_IO = 0x1;
export const COMMAND_MEMORY = 0x2;
export const COMMAND_MASTER = 0x4;
export const COMMAND_SERR = 0x100;
export const COMMAND_INTX_DISABLE = 0x400;
export const STATUS_INTERRUPT = 0x8;
export const STATUS_CAPABILITIES = 0x10;
/** Bit of the header type. */
const MULTIFUNCTION = 0x80;
/** Bit of the expansion ROM's address register. */
const ROM_ENABLE = 1;
/** Status bits that are cleared by writing ones. */
const STATUS_W1C = 0xf900;

/** What a PCI function's base address registers get mapped into. */
export interface PciAddressSpaces {
  mapPorts(name: string, device: PortDevice, base: number, length: number, width: AccessSize): void;
  unmapPorts(base: number, length: number): void;
  mapMmio(name: string, device: MmioDevice, base: number, length: number): void;
  unmapMmio(base: number, length: number): void;
}

/** A resource behind a base address register. */
export type PciBar =
  /** Sizes are powers of two: at least 4 for ports, 16 for memory. Port numbers that the device sees start at 0. */
  | { kind: 'io'; size: number; device: PortDevice; width?: AccessSize }
  | { kind: 'memory'; size: number; device: MmioDevice; prefetchable?: boolean; wide?: boolean }
  /** Memory behind the device, which it lets appear in the guest's address space and vanish from it. */
  | { kind: 'mapped'; size: number; prefetchable?: boolean; wide?: boolean; map(at: number): void; unmap(at: number): void };

/** First byte of configuration space behind the header. */
const CAPABILITIES = 0x40;

interface Placed {
  bar: PciBar;
  register: number;
  /** Where it is mapped, -1 if it is not. */
  at: number;
}

/** A base address register, and where it is now. */
export interface PciResource {
  /** Its index, 0 to 5. */
  bar: number;
  /** Its offset in configuration space. */
  register: number;
  kind: PciBar['kind'];
  /** Bytes. */
  size: number;
  /** -1 while it is not mapped. */
  address: number;
  wide: boolean;
  prefetchable: boolean;
}

export interface PciIdentity {
  vendor: number;
  device: number;
  /** Base class, subclass: the 16 bits at 0Ah. */
  class: number;
  progIf?: number;
  revision?: number;
  subsystemVendor?: number;
  subsystem?: number;
  /** 1 to 4 for INTA to INTD, 0 for none. */
  interruptPin?: number;
  multifunction?: boolean;
}

/** One function. Subclasses give registers meaning through writableMask and onConfigWrite. */
export class PciFunction implements Snapshotable {
  readonly config = new Uint8Array(256);
  /** Bits that software can write. */
  protected readonly writable = new Uint8Array(256);
  /** Bits that writing ones clears. */
  protected readonly writeOneToClear = new Uint8Array(256);
  private readonly bars: Placed[] = [];
  /** Capabilities with their bytes as after reset. */
  private readonly capabilities: { at: number; body: Uint8Array }[] = [];
  private nextCapability = CAPABILITIES;
  /** Where the capability's Message Control is, if there is one. */
  private msixControl = 0;
  protected msix: Msix | undefined;
  /** Expansion ROM, and where it is mapped, -1 if it is not. */
  private romBytes: Uint8Array | undefined;
  private expansion: { device: MmioDevice; size: number; at: number } | undefined;
  private bus: PciBus | undefined;
  private slot = 0;
  private intxLevel = false;
  private readonly identity: PciIdentity;
  /** As -device id= names it; '' without. */
  id = '';

  constructor(
    readonly name: string,
    identity: PciIdentity,
  ) {
    this.identity = identity;
    this.setIdentity();
    this.writable[PCI_COMMAND] = COMMAND_IO | COMMAND_MEMORY | COMMAND_MASTER;
    this.writable[PCI_COMMAND + 1] = (COMMAND_SERR | COMMAND_INTX_DISABLE) >> 8;
    this.writeOneToClear[PCI_STATUS + 1] = STATUS_W1C >> 8;
    this.writable[PCI_INTERRUPT_LINE] = 0xff;
    this.writable[0x0c] = 0xff; // cache line size
  }

  private setIdentity(): void {
    const { identity } = this;
    this.set16(PCI_VENDOR_ID, identity.vendor);
    this.set16(PCI_DEVICE_ID, identity.device);
    this.config[PCI_REVISION_ID] = identity.revision ?? 0;
    this.config[PCI_CLASS_PROG] = identity.progIf ?? 0;
    this.set16(PCI_CLASS_DEVICE, identity.class);
    this.config[PCI_HEADER_TYPE] = identity.multifunction ? MULTIFUNCTION : 0;
    this.set16(PCI_SUBSYSTEM_VENDOR_ID, identity.subsystemVendor ?? 0x1af4);
    this.set16(PCI_SUBSYSTEM_ID, identity.subsystem ?? 0x1100);
    this.config[PCI_INTERRUPT_PIN] = identity.interruptPin ?? 0;
  }

  protected set16(at: number, value: number): void {
    this.config[at] = value & 0xff;
    this.config[at + 1] = value >> 8;
  }

  get16(at: number): number {
    return this.config[at] | (this.config[at + 1] << 8);
  }

  get32(at: number): number {
    return (this.get16(at) | (this.get16(at + 2) << 16)) >>> 0;
  }

  set32(at: number, value: number): void {
    this.set16(at, value & 0xffff);
    this.set16(at + 2, value >>> 16);
  }

  get command(): number {
    return this.get16(PCI_COMMAND);
  }

  /** Add a base address register; index 0-5. */
  protected addBar(index: number, bar: PciBar): void {
    if (bar.size & (bar.size - 1)) throw new Error(`${this.name}: BAR ${index} has size ${bar.size}, not a power of two`);
    const register = PCI_BASE_ADDRESS_0 + 4 * index;
    const flags = bar.kind === 'io' ? 1 : (bar.wide ? 4 : 0) | (bar.prefetchable ? 8 : 0);
    this.set32(register, flags);
    const mask = ~(bar.size - 1) >>> 0;
    for (let i = 0; i < 4; i++) this.writable[register + i] = (mask >>> (8 * i)) & 0xff;
    if (bar.kind !== 'io' && bar.wide) this.writable.fill(0xff, register + 4, register + 8);
    this.bars.push({ bar, register, at: -1 });
  }

  /**
   * Add a capability at the end of the list.
   * @param body its bytes after ID and next pointer, as after reset
   * @param writable bits of them that software can write
   * @returns its offset in configuration space
   */
  protected addCapability(id: number, body: Uint8Array, writable = new Uint8Array(body.length)): number {
    const at = this.nextCapability;
    // Capabilities are aligned to 4 bytes.
    this.nextCapability = (at + 2 + body.length + 3) & ~3;
    if (this.nextCapability > 256) throw new Error(`${this.name}: no room for another capability`);
    const last = this.capabilities.at(-1);
    this.config[last ? last.at + 1 : PCI_CAPABILITY_LIST] = at;
    this.config[at] = id;
    this.config[at + 1] = 0;
    this.config.set(body, at + 2);
    this.writable.set(writable, at + 2);
    this.config[PCI_STATUS] |= STATUS_CAPABILITIES;
    this.capabilities.push({ at, body: body.slice() });
    return at;
  }

  /** Add MSI-X, with its table behind a base address register of its own. */
  protected addMsix(bar: number, vectors: number): void {
    const msix = new Msix(vectors, (address, data) => {
      if (this.command & COMMAND_MASTER) this.bus?.onMessage(address, data);
    });
    this.addBar(bar, { kind: 'memory', size: MSIX_SIZE, device: msix });
    const body = new DataView(new ArrayBuffer(10));
    const writable = new Uint8Array(10);
    body.setUint16(0, vectors - 1, true);
    writable[1] = (MSIX_CONTROL_ENABLE | MSIX_CONTROL_MASKALL) >> 8;
    body.setUint32(2, bar, true);
    body.setUint32(6, MSIX_PBA | bar, true);
    this.msixControl = this.addCapability(PCI_CAP_ID_MSIX, new Uint8Array(body.buffer), writable) + 2;
    this.msix = msix;
  }

  /** It is function 0 of a slot with more functions (bit 7 of Header Type, 6.2.1). */
  beFirstOfSeveral(): void {
    this.config[PCI_HEADER_TYPE] |= MULTIFUNCTION;
  }

  /** The expansion ROM came with the card's model, and is to name this card. */
  adaptRom(): void {
    if (this.romBytes) this.addRom(romFor(this.romBytes, this.get16(PCI_VENDOR_ID), this.get16(PCI_VENDOR_ID + 2)));
  }

  /** Add an expansion ROM (6.2.5.2), up to 16 MiB: firmware copies it out, so that it is read as registers are. */
  protected addRom(bytes: Uint8Array): void {
    this.romBytes = bytes;
    const size = 2 ** Math.ceil(Math.log2(Math.max(2048, bytes.length)));
    const device: MmioDevice = {
      readMmio: (offset, width) => {
        let value = 0;
        for (let i = 0; i < width; i++) value |= (bytes[offset + i] ?? 0) << (8 * i);
        return value >>> 0;
      },
      writeMmio: () => {},
    };
    const mask = ~(size - 1) >>> 0;
    for (let i = 0; i < 4; i++) this.writable[PCI_ROM_ADDRESS + i] = (mask >>> (8 * i)) & 0xff;
    this.writable[PCI_ROM_ADDRESS] |= ROM_ENABLE;
    this.expansion = { device, size, at: -1 };
  }

  private mapExpansion(): void {
    const rom = this.expansion;
    const spaces = this.bus?.spaces;
    if (!rom || !spaces) return;
    const register = this.get32(PCI_ROM_ADDRESS);
    const base = (register & ~(rom.size - 1)) >>> 0;
    const at = register & ROM_ENABLE && this.command & COMMAND_MEMORY && base !== 0 && base + rom.size <= 0xffffffff ? base : -1;
    if (at === rom.at) return;
    if (rom.at >= 0) spaces.unmapMmio(rom.at, rom.size);
    rom.at = at;
    if (at >= 0) spaces.mapMmio(`${this.name} rom`, rom.device, at, rom.size);
  }

  /** Called by the bus. */
  attach(bus: PciBus, slot: number): void {
    this.bus = bus;
    this.slot = slot;
  }

  readConfig(offset: number, size: AccessSize): number {
    let value = 0;
    for (let i = 0; i < size; i++) value |= (this.config[offset + i] ?? 0) << (8 * i);
    return value >>> 0;
  }

  writeConfig(offset: number, size: AccessSize, value: number): void {
    for (let i = 0; i < size && offset + i < 256; i++) {
      const at = offset + i;
      const byte = (value >>> (8 * i)) & 0xff;
      const writable = this.writable[at];
      this.config[at] = ((this.config[at] & ~writable) | (byte & writable)) & ~(byte & this.writeOneToClear[at]);
    }
    if (this.msix && offset < this.msixControl + 2 && offset + size > this.msixControl) this.msix.setControl(this.get16(this.msixControl));
    this.onConfigWrite(offset, size);
    if (offset < PCI_STATUS || (offset >= PCI_BASE_ADDRESS_0 && offset < PCI_BASE_ADDRESS_0 + 24)) this.mapBars();
    if (this.expansion && (offset < PCI_STATUS || (offset < PCI_ROM_ADDRESS + 4 && offset + size > PCI_ROM_ADDRESS))) this.mapExpansion();
    this.driveIntx();
  }

  /** Called when configuration bytes have been written. */
  protected onConfigWrite(_offset: number, _size: number): void {}

  /** Bring the mapping of all BARs in line with registers and command. */
  private mapBars(): void {
    const spaces = this.bus?.spaces;
    if (!spaces) return;
    for (const placed of this.bars) {
      const { bar, register } = placed;
      let at = -1;
      const enabled = this.command & (bar.kind === 'io' ? COMMAND_IO : COMMAND_MEMORY);
      if (enabled) {
        const base = (this.get32(register) & ~(bar.size - 1)) >>> 0;
        const high = bar.kind !== 'io' && bar.wide ? this.get32(register + 4) : 0;
        const end = base + bar.size;
        // Address 0, and the all-ones that sizing leaves, are not mapped; as in QEMU.
        if (base !== 0 && high === 0 && end <= (bar.kind === 'io' ? 0x10000 : 0xffffffff)) at = base;
      }
      if (at === placed.at) continue;
      if (placed.at >= 0) {
        if (bar.kind === 'io') spaces.unmapPorts(placed.at, bar.size);
        else if (bar.kind === 'mapped') bar.unmap(placed.at);
        else spaces.unmapMmio(placed.at, bar.size);
      }
      placed.at = at;
      if (at < 0) continue;
      if (bar.kind === 'io') {
        const { device } = bar;
        spaces.mapPorts(
          this.name,
          {
            readPort: (port, size) => device.readPort(port - at, size),
            writePort: (port, size, value) => device.writePort(port - at, size, value),
          },
          at,
          bar.size,
          bar.width ?? 4,
        );
      } else if (bar.kind === 'mapped') {
        bar.map(at);
      } else {
        spaces.mapMmio(this.name, bar.device, at, bar.size);
      }
    }
  }

  /** The function's INTx line. */
  readonly intx: IrqLine = {
    set: (level) => {
      this.intxLevel = level;
      this.driveIntx();
    },
  };

  private driveIntx(): void {
    const pin = this.config[PCI_INTERRUPT_PIN];
    if (pin === 0) return;
    if (this.intxLevel) this.config[PCI_STATUS] |= STATUS_INTERRUPT;
    else this.config[PCI_STATUS] &= ~STATUS_INTERRUPT;
    const level = this.intxLevel && !(this.command & COMMAND_INTX_DISABLE) && !this.msix?.enabled;
    this.bus?.setIntx(this, this.slot, pin - 1, level);
  }

  /** Base address registers, for whoever gives them addresses. */
  get resources(): PciResource[] {
    return this.bars.map(({ register, bar, at }) => {
      const memory = bar.kind === 'io' ? undefined : bar;
      return { bar: (register - PCI_BASE_ADDRESS_0) / 4, register, kind: bar.kind, size: bar.size, address: at, wide: memory?.wide ?? false, prefetchable: memory?.prefetchable ?? false };
    });
  }

  /** The expansion ROM's range, its address -1 while it is off; undefined if there is none. */
  get rom(): { size: number; address: number } | undefined {
    let mask = 0;
    for (let i = 0; i < 4; i++) mask |= this.writable[PCI_ROM_ADDRESS + i] << (8 * i);
    // Bit 0 is the enable bit, below 2 KiB there are no address bits.
    mask &= ~0x7ff;
    if (mask === 0) return undefined;
    const register = this.get32(PCI_ROM_ADDRESS);
    const on = register & 1 && this.command & COMMAND_MEMORY && (register & mask) !== 0;
    return { size: -mask, address: on ? (register & mask) >>> 0 : -1 };
  }

  /** Look at what the host has for the function: called before each slice of the machine. */
  poll(): void {}

  /** RST#: commands off, BARs unmapped. */
  reset(): void {
    for (const { at, body } of this.capabilities) this.config.set(body, at + 2);
    this.msix?.reset();
    this.set16(PCI_COMMAND, 0);
    this.set16(PCI_STATUS, this.get16(PCI_STATUS) & STATUS_CAPABILITIES);
    this.config[PCI_INTERRUPT_LINE] = 0;
    for (const { register, bar } of this.bars) {
      this.set32(register, this.get32(register) & (bar.kind === 'io' ? 3 : 15));
      if (bar.kind !== 'io' && bar.wide) this.set32(register + 4, 0);
    }
    this.intxLevel = false;
    if (this.expansion) this.set32(PCI_ROM_ADDRESS, 0);
    this.mapBars();
    this.mapExpansion();
    this.driveIntx();
  }

  save(): unknown {
    return { config: this.config.slice(), intx: this.intxLevel, msix: this.msix?.save() };
  }

  load(state: unknown): void {
    const { config, intx, msix } = state as { config: Uint8Array; intx: boolean; msix: unknown };
    this.config.set(config);
    this.msix?.load(msix);
    this.intxLevel = intx;
    this.mapBars();
    this.mapExpansion();
    this.driveIntx();
  }
}

/** Bus 0, and the two ports through which its configuration space is reached. */
export class PciBus implements PortDevice, Snapshotable {
  private readonly functions = new Map<number, PciFunction>();
  private address = 0;
  /** Called with each interrupt message: the guest-physical address it is written to, and 32 bits of data. */
  onMessage: (address: number, data: number) => void = () => {};
  /** Functions that hold each of the four PIRQ wires up. */
  private readonly pirq: Set<PciFunction>[] = [new Set(), new Set(), new Set(), new Set()];

  /**
   * @param onPirq called with the level of PIRQ A-D (0-3) when it changes
   */
  constructor(
    readonly spaces: PciAddressSpaces,
    private readonly onPirq: (pirq: number, level: boolean) => void,
  ) {}

  /** Plug a function in. */
  add(slot: number, fn: number, device: PciFunction): void {
    const key = (slot << 3) | fn;
    if (this.functions.has(key)) throw new Error(`PCI slot ${slot}.${fn} already holds ${this.functions.get(key)!.name}, cannot add ${device.name}`);
    this.functions.set(key, device);
    device.attach(this, slot);
  }

  /** The function in a slot. */
  get(slot: number, fn: number): PciFunction | undefined {
    return this.functions.get((slot << 3) | fn);
  }

  /** All functions with their places, by place. */
  list(): { slot: number; fn: number; device: PciFunction }[] {
    return [...this.functions].sort(([a], [b]) => a - b).map(([key, device]) => ({ slot: key >> 3, fn: key & 7, device }));
  }

  /** PIRQ wire of a slot's interrupt pin (0 INTA): each slot is turned by one, as on QEMU's i440FX board. */
  static pirqOf(slot: number, pin: number): number {
    return (pin + slot - 1) & 3;
  }

  /** Called by the functions. */
  setIntx(device: PciFunction, slot: number, pin: number, level: boolean): void {
    const pirq = PciBus.pirqOf(slot, pin);
    const holders = this.pirq[pirq];
    const before = holders.size > 0;
    if (level) holders.add(device);
    else holders.delete(device);
    if (holders.size > 0 !== before) this.onPirq(pirq, level);
  }

  /** Function and register that CONFIG_ADDRESS selects, if it is enabled and there is one. */
  private selected(): PciFunction | undefined {
    if (this.address < 0x80000000 || (this.address >>> 16) & 0xff) return undefined;
    return this.functions.get((this.address >>> 8) & 0xff);
  }

  readPort(port: number, size: AccessSize): number {
    // CONFIG_ADDRESS is a register of 32 bits only: other accesses are ordinary I/O cycles that nobody answers.
    if (port < CONFIG_DATA) return port === CONFIG_ADDRESS && size === 4 ? this.address : 0xffffffff;
    const device = this.selected();
    if (!device) return 0xffffffff;
    return device.readConfig((this.address & 0xfc) + (port & 3), size);
  }

  writePort(port: number, size: AccessSize, value: number): void {
    if (port < CONFIG_DATA) {
      if (port === CONFIG_ADDRESS && size === 4) this.address = (value & 0x80fffffc) >>> 0;
      return;
    }
    this.selected()?.writeConfig((this.address & 0xfc) + (port & 3), size, value);
  }

  reset(): void {
    this.address = 0;
    for (const device of this.functions.values()) device.reset();
  }

  save(): unknown {
    return { address: this.address, functions: [...this.functions].map(([key, device]) => [key, device.save()]) };
  }

  load(state: unknown): void {
    const { address, functions } = state as { address: number; functions: [number, unknown][] };
    this.address = address;
    for (const [key, saved] of functions) {
      const device = this.functions.get(key);
      if (!device) throw new Error(`the snapshot has a PCI function at ${key >> 3}.${key & 7}, this machine has none`);
      device.load(saved);
    }
  }
}
