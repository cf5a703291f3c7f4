// The two 8237A DMA controllers of a PC and their page registers. Channels 0-3 move bytes, 5-7 words; channel 4 joins the two.
// Intel 8237A datasheet (231466); page registers: 82371SB (PIIX3) datasheet (290550), section 2.5.1.
//
// A device asks for a transfer when it has data; the controller does as much of it as its channel is set up for, at once. A device whose
// channel is masked waits, and is told when that changes.

import { type AccessSize, type GuestMemory, GuestMemoryError, type PortDevice, type Snapshotable } from './interfaces.ts';

/** What a device has of its channel. */
export interface DmaChannel {
  /** False while the channel is masked or its controller is off. */
  readonly ready: boolean;
  /** Called when the channel has become ready. */
  onReady: () => void;
  /** From the device to memory. */
  write(data: Uint8Array): DmaResult;
  /** From memory to the device. */
  read(into: Uint8Array): DmaResult;
}

export interface DmaResult {
  /** Bytes that were moved. */
  moved: number;
  /** Terminal count: the channel has moved all that it was set up for. */
  tc: boolean;
}

const MODE_AUTOINIT = 0x10;
const MODE_DECREMENT = 0x20;
const TRANSFER_VERIFY = 0;
const TRANSFER_WRITE = 1;
const TRANSFER_READ = 2;
const MODE_CASCADE = 3;
const COMMAND_DISABLE = 0x04;

/** Page register (port - 80h) of each channel; those between are plain memory. */
const PAGE_OF_CHANNEL = [0x7, 0x3, 0x1, 0x2, 0xf, 0xb, 0x9, 0xa];

interface Channel {
  baseAddress: number;
  baseCount: number;
  address: number;
  count: number;
  mode: number;
}

interface Controller {
  channels: Channel[];
  command: number;
  mask: number;
  /** TC bits, cleared by reading, and software requests. */
  terminal: number;
  requests: number;
  /** The next byte of an address or count is the high one. */
  flipFlop: boolean;
}

const newController = (): Controller => ({
  channels: Array.from({ length: 4 }, () => ({ baseAddress: 0, baseCount: 0, address: 0, count: 0, mode: 0 })),
  command: 0, mask: 0x0f, terminal: 0, requests: 0, flipFlop: false,
});

export class I8237 implements PortDevice, Snapshotable {
  private controllers = [newController(), newController()];
  private pages = new Uint8Array(16);
  /** Bits 24-31 of addresses, at 480h. */
  private highPages = new Uint8Array(16);
  private readonly lines: DmaChannel[];

  constructor(private readonly memory: GuestMemory) {
    const controller = this;
    this.lines = Array.from({ length: 8 }, (_, n) => ({
      get ready() {
        return controller.isReady(n);
      },
      onReady: () => {},
      write: (data) => this.transfer(n, data, TRANSFER_WRITE),
      read: (into) => this.transfer(n, into, TRANSFER_READ),
    }));
  }

  /** The device's end of a channel. */
  channel(n: number): DmaChannel {
    return this.lines[n];
  }

  private isReady(n: number): boolean {
    const { command, mask } = this.controllers[n >> 2];
    if (command & COMMAND_DISABLE || mask & (1 << (n & 3))) return false;
    // The second controller passes the first one's requests on.
    return n > 3 || (!(this.controllers[1].command & COMMAND_DISABLE) && !(this.controllers[1].mask & 1));
  }

  private transfer(n: number, bytes: Uint8Array, direction: number): DmaResult {
    const controller = this.controllers[n >> 2];
    const channel = controller.channels[n & 3];
    const set = (channel.mode >> 2) & 3;
    if (!this.isReady(n) || channel.mode >> 6 === MODE_CASCADE || (set !== direction && set !== TRANSFER_VERIFY)) return { moved: 0, tc: false };
    const unit = n > 3 ? 2 : 1;
    const units = Math.min(Math.floor(bytes.length / unit), channel.count + 1);
    const down = (channel.mode & MODE_DECREMENT) !== 0;
    const page = (((this.highPages[PAGE_OF_CHANNEL[n]] << 24) | (this.pages[PAGE_OF_CHANNEL[n]] << 16)) >>> 0) & (unit === 2 ? 0xfffe0000 : 0xffff0000);
    for (let done = 0; done < units; ) {
      // Up to where the 16 bits of the address wrap around.
      const part = down ? 1 : Math.min(units - done, 0x10000 - channel.address);
      if (set !== TRANSFER_VERIFY) this.copy((page >>> 0) + channel.address * unit, bytes.subarray(done * unit, (done + part) * unit), direction);
      channel.address = (channel.address + (down ? -1 : part)) & 0xffff;
      done += part;
    }
    const tc = units === channel.count + 1;
    channel.count = (channel.count - units) & 0xffff;
    if (tc) {
      controller.terminal |= 1 << (n & 3);
      if (channel.mode & MODE_AUTOINIT) {
        channel.address = channel.baseAddress;
        channel.count = channel.baseCount;
      } else {
        controller.mask |= 1 << (n & 3);
      }
    }
    return { moved: units * unit, tc };
  }

  /** Where there is no RAM, nothing is written and all ones are read. */
  private copy(address: number, bytes: Uint8Array, direction: number): void {
    try {
      if (direction === TRANSFER_WRITE) this.memory.write(address, bytes);
      else bytes.set(this.memory.bytes(address, bytes.length));
    } catch (error) {
      if (!(error instanceof GuestMemoryError)) throw error;
      if (direction === TRANSFER_READ) bytes.fill(0xff);
    }
  }

  /** Tell the devices whose channels have become ready. */
  private tellReady(before: boolean[]): void {
    this.lines.forEach((line, n) => {
      if (!before[n] && line.ready) line.onReady();
    });
  }

  readPort(port: number, _size: AccessSize): number {
    if (port >= 0x480) return this.highPages[port & 15];
    if (port >= 0x80 && port < 0x90) return this.pages[port & 15];
    const { controller, register } = this.decode(port);
    if (register < 8) {
      const { address, count } = controller.channels[register >> 1];
      return this.half(controller, register & 1 ? count : address);
    }
    if (register === 8) {
      const value = controller.terminal | (controller.requests << 4);
      controller.terminal = 0;
      return value;
    }
    return register === 15 ? controller.mask : 0;
  }

  private decode(port: number): { controller: Controller; register: number } {
    return port < 0x10 ? { controller: this.controllers[0], register: port } : { controller: this.controllers[1], register: (port - 0xc0) >> 1 };
  }

  private half(controller: Controller, value: number): number {
    controller.flipFlop = !controller.flipFlop;
    return controller.flipFlop ? value & 0xff : value >> 8;
  }

  writePort(port: number, _size: AccessSize, value: number): void {
    if (port >= 0x480) {
      this.highPages[port & 15] = value;
      return;
    }
    if (port >= 0x80 && port < 0x90) {
      this.pages[port & 15] = value;
      return;
    }
    const before = this.lines.map((line) => line.ready);
    const { controller, register } = this.decode(port);
    if (register < 8) this.writeHalf(controller, controller.channels[register >> 1], register & 1 ? 'count' : 'address', value);
    else this.writeControl(controller, register, value);
    this.tellReady(before);
  }

  private writeHalf(controller: Controller, channel: Channel, what: 'address' | 'count', value: number): void {
    controller.flipFlop = !controller.flipFlop;
    const base = what === 'address' ? 'baseAddress' : 'baseCount';
    channel[base] = controller.flipFlop ? (channel[base] & 0xff00) | value : (channel[base] & 0xff) | (value << 8);
    channel[what] = channel[base];
  }

  private writeControl(controller: Controller, register: number, value: number): void {
    const bit = 1 << (value & 3);
    switch (register) {
      case 8:
        controller.command = value;
        break;
      case 9:
        controller.requests = value & 4 ? controller.requests | bit : controller.requests & ~bit;
        break;
      case 10:
        controller.mask = value & 4 ? controller.mask | bit : controller.mask & ~bit;
        break;
      case 11:
        controller.channels[value & 3].mode = value;
        break;
      case 12:
        controller.flipFlop = false;
        break;
      case 13:
        Object.assign(controller, { command: 0, mask: 0x0f, terminal: 0, requests: 0, flipFlop: false });
        break;
      case 14:
        controller.mask = 0;
        break;
      case 15:
        controller.mask = value & 0x0f;
        break;
    }
  }

  reset(): void {
    this.controllers = [newController(), newController()];
    this.pages.fill(0);
    this.highPages.fill(0);
  }

  save(): unknown {
    return structuredClone({ controllers: this.controllers, pages: this.pages, highPages: this.highPages });
  }

  load(state: unknown): void {
    const { controllers, pages, highPages } = structuredClone(state) as { controllers: Controller[]; pages: Uint8Array<ArrayBuffer>; highPages: Uint8Array<ArrayBuffer> };
    Object.assign(this, { controllers, pages, highPages });
  }
}
