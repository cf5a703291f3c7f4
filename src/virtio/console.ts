// Console device: a bus of ports for characters, some of which are consoles. QEMU's virtio-serial with its virtconsole and
// virtserialport devices.
// Virtio 1.2, section 5.3 (Console Device).
//
// Port n has a receive and a transmit queue; two more queues carry control messages, by which either side tells of ports, their
// names, who has opened them, and the size of a console.

import type { AccessSize, CharBackend } from '../devices/interfaces.ts';
import { NOT_NOW, STATUS_DRIVER_OK, VirtioDevice, VirtioType } from './device.ts';
import type { Chain } from './queue.ts';

export const VIRTIO_CONSOLE_F_SIZE = 1n << 0n;
export const VIRTIO_CONSOLE_F_MULTIPORT = 1n << 1n;
export const VIRTIO_CONSOLE_F_EMERG_WRITE = 1n << 2n;

/** struct virtio_console_config, 5.3.4. */
export const CONFIG_COLS = 0;
export const CONFIG_ROWS = 2;
export const CONFIG_MAX_NR_PORTS = 4;
export const CONFIG_EMERG_WR = 8;

/** Events of control messages, 5.3.6.2. */
export const VIRTIO_CONSOLE_DEVICE_READY = 0;
export const VIRTIO_CONSOLE_DEVICE_ADD = 1;
export const VIRTIO_CONSOLE_DEVICE_REMOVE = 2;
export const VIRTIO_CONSOLE_PORT_READY = 3;
export const VIRTIO_CONSOLE_CONSOLE_PORT = 4;
export const VIRTIO_CONSOLE_RESIZE = 5;
export const VIRTIO_CONSOLE_PORT_OPEN = 6;
export const VIRTIO_CONSOLE_PORT_NAME = 7;

/** Queues, 5.3.2. */
export const CONTROL_RECEIVE = 2;
export const CONTROL_TRANSMIT = 3;
export const receiveQueue = (port: number): number => (port === 0 ? 0 : 2 * port + 2);
export const transmitQueue = (port: number): number => receiveQueue(port) + 1;

/** QEMU's queue sizes. */
const PORT_QUEUE = 128;
const CONTROL_QUEUE = 32;
/** Ports of a device at most: as QEMU, whose functions have room for no more queues. */
export const MAX_PORTS = 511;
/** struct virtio_console_control: le32 id, le16 event, le16 value. */
const CONTROL_HEADER = 8;
/** Bytes that go to the host's end at once, and to the guest. */
const CHUNK = 4096;
/** Control messages that wait for a buffer; a driver that gives none loses the others. */
const MAX_MESSAGES = 4 * MAX_PORTS;

export interface ConsolePortOptions {
  /** Number of the port; 0 is for a console. */
  nr: number;
  /** A console (virtconsole), or a port for programs (virtserialport). */
  console: boolean;
  /** What the guest finds the port by: /dev/virtio-ports/NAME. */
  name?: string;
  /** Without one, what the guest sends is dropped. */
  backend?: CharBackend;
}

/** Columns and rows. */
interface Size {
  cols: number;
  rows: number;
}

interface Port extends ConsolePortOptions {
  /** The guest has the port open. */
  guestConnected: boolean;
  /** The host's end had no room for the buffer that is first in the transmit queue, but for so many bytes of it. */
  blocked: boolean;
  sent: number;
  /** The next character for the guest, taken already; -1: none. */
  next: number;
  /** The size that the guest was told of. */
  size: Size;
}

interface State {
  ports: { nr: number; guestConnected: boolean; blocked: boolean; sent: number; next: number; size: Size }[];
  messages: Uint8Array[];
}

export interface VirtioConsoleOptions {
  ports: readonly ConsolePortOptions[];
  /** As many as the guest is told there may be. */
  maxPorts?: number;
  emergencyWrite?: boolean;
}

export class VirtioConsole extends VirtioDevice {
  private readonly ports = new Map<number, Port>();
  /** Control messages for which the driver had no buffer. */
  private messages: Uint8Array[] = [];

  constructor({ ports, maxPorts = 31, emergencyWrite = true }: VirtioConsoleOptions) {
    const queues = [PORT_QUEUE, PORT_QUEUE, CONTROL_QUEUE, CONTROL_QUEUE];
    for (let n = 1; n < maxPorts; n++) queues.push(PORT_QUEUE, PORT_QUEUE);
    super({
      name: 'virtio-serial',
      type: VirtioType.CONSOLE,
      pciClass: 0x0780,
      queues,
      features: VIRTIO_CONSOLE_F_SIZE | (maxPorts > 1 ? VIRTIO_CONSOLE_F_MULTIPORT : 0n) | (emergencyWrite ? VIRTIO_CONSOLE_F_EMERG_WRITE : 0n),
      configLength: 12,
    });
    new DataView(this.config.buffer).setUint32(CONFIG_MAX_NR_PORTS, maxPorts, true);
    for (const port of ports) this.ports.set(port.nr, { ...port, guestConnected: false, blocked: false, sent: 0, next: -1, size: { cols: 0, rows: 0 } });
  }

  private get multiport(): boolean {
    return (this.features & VIRTIO_CONSOLE_F_MULTIPORT) !== 0n;
  }

  /** Without control messages there is one port, which is open as long as the driver runs. */
  private isOpen(port: Port): boolean {
    return this.multiport ? port.guestConnected : port.nr === 0;
  }

  protected notified(index: number): void {
    if (index === CONTROL_RECEIVE) this.sendMessages();
    else if (index === CONTROL_TRANSMIT) this.serve(index, (chain) => this.control(chain));
    else if (index % 2) this.transmit(index);
    else this.receive(index);
  }

  private portOf(queue: number): Port | undefined {
    return this.ports.get(queue < 2 ? 0 : (queue - 2) >> 1);
  }

  override poll(): void {
    if (!(this.status & STATUS_DRIVER_OK)) return;
    for (const port of this.ports.values()) {
      if (!port.backend) continue;
      if (port.blocked) this.notify(transmitQueue(port.nr));
      this.notify(receiveQueue(port.nr));
      this.follow(port);
    }
  }

  // Characters

  /** From the guest. What the host's end has no room for stays in the queue: poll() goes on with it. */
  private transmit(index: number): void {
    const port = this.portOf(index);
    this.serve(index, (chain) => {
      if (!port?.backend) return 0;
      for (;;) {
        const bytes = chain.read(port.sent, CHUNK);
        if (bytes.length === 0) break;
        for (const byte of bytes) {
          port.blocked = !port.backend.write(byte);
          if (port.blocked) return NOT_NOW;
          port.sent++;
        }
      }
      port.sent = 0;
      return 0;
    });
  }

  /** To the guest: as much as there is, in as many buffers as it takes. */
  private receive(index: number): void {
    const port = this.portOf(index);
    const { backend } = port ?? {};
    if (!port || !backend || !this.isOpen(port) || !this.queues[index].enabled) return;
    // Most polls end here.
    if (port.next < 0) port.next = backend.read();
    if (port.next < 0) return;
    this.serve(index, (chain, queue) => {
      if (chain.writableLength === 0) {
        queue.fail('a receive buffer without room');
        return 0;
      }
      const bytes = new Uint8Array(Math.min(CHUNK, chain.writableLength));
      let length = 0;
      for (; length < bytes.length && port.next >= 0; port.next = backend.read()) bytes[length++] = port.next;
      return length === 0 ? NOT_NOW : chain.write(0, bytes.subarray(0, length));
    });
  }

  // Control messages

  private control(chain: Chain): number {
    const message = new DataView(chain.read(0, CONTROL_HEADER).buffer);
    // QEMU drops what is too short, too.
    if (message.byteLength < CONTROL_HEADER) return 0;
    const port = this.ports.get(message.getUint32(0, true));
    const value = message.getUint16(6, true);
    switch (message.getUint16(4, true)) {
      case VIRTIO_CONSOLE_DEVICE_READY:
        if (value) for (const { nr } of this.ports.values()) this.tell(nr, VIRTIO_CONSOLE_DEVICE_ADD, 1);
        break;
      case VIRTIO_CONSOLE_PORT_READY:
        if (value && port) this.introduce(port);
        break;
      case VIRTIO_CONSOLE_PORT_OPEN:
        if (!port) break;
        port.guestConnected = value !== 0;
        if (value) this.receive(receiveQueue(port.nr));
        break;
    }
    return 0;
  }

  /** The guest has a port: say what it is, in QEMU's order. */
  private introduce(port: Port): void {
    if (port.console) this.tell(port.nr, VIRTIO_CONSOLE_CONSOLE_PORT, 1);
    // The name ends in a zero byte, as QEMU's does.
    if (port.name !== undefined) this.tell(port.nr, VIRTIO_CONSOLE_PORT_NAME, 1, new TextEncoder().encode(`${port.name}\0`));
    if (port.backend) this.tell(port.nr, VIRTIO_CONSOLE_PORT_OPEN, 1);
    port.size = { cols: 0, rows: 0 };
    this.follow(port);
  }

  /** Tell the guest when a console's size is another. */
  private follow(port: Port): void {
    const size = port.console ? port.backend?.size?.() : undefined;
    if (!size || (size.cols === port.size.cols && size.rows === port.size.rows)) return;
    port.size = { cols: size.cols, rows: size.rows };
    if (port.nr === 0) {
      this.changeConfig((config) => {
        config.setUint16(CONFIG_COLS, size.cols, true);
        config.setUint16(CONFIG_ROWS, size.rows, true);
      });
    }
    if (!this.multiport) return;
    // cols before rows, as 5.3.6.2 has it; Linux before its correction of 2025 took them the other way round.
    const body = new DataView(new ArrayBuffer(4));
    body.setUint16(0, size.cols, true);
    body.setUint16(2, size.rows, true);
    this.tell(port.nr, VIRTIO_CONSOLE_RESIZE, 0, new Uint8Array(body.buffer));
  }

  private tell(nr: number, event: number, value: number, body: Uint8Array = new Uint8Array()): void {
    if (this.messages.length >= MAX_MESSAGES) return;
    const bytes = new Uint8Array(CONTROL_HEADER + body.length);
    const message = new DataView(bytes.buffer);
    message.setUint32(0, nr, true);
    message.setUint16(4, event, true);
    message.setUint16(6, value, true);
    bytes.set(body, CONTROL_HEADER);
    this.messages.push(bytes);
    this.sendMessages();
  }

  private sendMessages(): void {
    if (this.messages.length === 0 || !this.queues[CONTROL_RECEIVE].enabled) return;
    this.serve(CONTROL_RECEIVE, (chain) => {
      const message = this.messages.shift();
      // One that does not fit is cut off, as in QEMU.
      return message ? chain.write(0, message) : NOT_NOW;
    });
  }

  // Configuration space

  /** A character at any time, even before the driver has set the device up (5.3.4, "emerg_wr"). */
  override writeConfig(offset: number, _size: AccessSize, value: number): void {
    if (offset === CONFIG_EMERG_WR && this.offered & VIRTIO_CONSOLE_F_EMERG_WRITE) this.ports.get(0)?.backend?.write(value & 0xff);
  }

  protected override onReset(): void {
    this.messages = [];
    for (const port of this.ports.values()) Object.assign(port, { guestConnected: false, blocked: false, sent: 0, size: { cols: 0, rows: 0 } });
  }

  protected override onQueueReset(index: number): void {
    const port = this.portOf(index);
    // The next buffer is another one, and all of it is to be sent.
    if (port && index === transmitQueue(port.nr)) port.sent = 0;
  }

  protected override saveDevice(): State {
    const ports = [...this.ports.values()].map(({ nr, guestConnected, blocked, sent, next, size }) => ({ nr, guestConnected, blocked, sent, next, size: { ...size } }));
    return { ports, messages: this.messages.map((message) => message.slice()) };
  }

  protected override loadDevice(state: unknown): void {
    const { ports, messages } = state as State;
    this.messages = messages.map((message) => message.slice());
    for (const { nr, ...saved } of ports) Object.assign(this.ports.get(nr) ?? {}, { ...saved, size: { ...saved.size } });
  }
}
