// A PS/2 mouse with wheel and five buttons: IBM PS/2 Hardware Interface Technical Reference, "Mouse"; Microsoft's IntelliMouse and IntelliMouse
// Explorer extensions, which a host unlocks by three sample rates in a row. What a command does not say is as in QEMU.

import type { Ps2Device } from './i8042.ts';

const ACK = 0xfa;
const RESEND = 0xfe;
const SELF_TEST_PASSED = 0xaa;
/** Bytes kept while the host does not take them: some packets, and answers behind them. */
const PACKETS_SIZE = 64;
const QUEUE_SIZE = 128;

const STATUS_REMOTE = 0x40;
const STATUS_ENABLED = 0x20;
const STATUS_SCALE21 = 0x10;

/** Device numbers. */
const STANDARD = 0;
const INTELLIMOUSE = 3;
const EXPLORER = 4;

const DEFAULT_RATE = 100;
/** 4 counts per mm. */
const DEFAULT_RESOLUTION = 2;

interface State {
  queue: number[];
  /** Command that waits for its parameter, 0 for none. */
  command: number;
  status: number;
  resolution: number;
  rate: number;
  /** All bytes but FFh and ECh come back. */
  wrap: boolean;
  type: number;
  /** How far the host has come in unlocking, and the last byte sent. */
  knock: number;
  lastSent: number;
  /** Movement that no packet has told yet; y upwards. */
  dx: number;
  dy: number;
  dz: number;
  /** Bits: 0 left, 1 right, 2 middle, 3 side, 4 extra; and those of the last packet. */
  buttons: number;
  told: number;
}

const powerOn = (): State => ({
  queue: [], command: 0, status: 0, resolution: DEFAULT_RESOLUTION, rate: DEFAULT_RATE, wrap: false, type: STANDARD, knock: 0, lastSent: 0,
  dx: 0, dy: 0, dz: 0, buttons: 0, told: 0,
});

const clamp = (value: number, least: number, most: number) => Math.max(least, Math.min(most, value));

export class Ps2Mouse implements Ps2Device {
  private s = powerOn();
  onData: () => void = () => {};

  /** The host wants packets. */
  get isEnabled(): boolean {
    return (this.s.status & STATUS_ENABLED) !== 0;
  }

  /** Movement in counts, y downwards; wheel steps, positive towards the user. */
  move(dx: number, dy: number, dz = 0): void {
    const { s } = this;
    if (!(s.status & STATUS_ENABLED)) return;
    // Far more than a host that reads lets gather.
    s.dx = clamp(s.dx + dx, -0x7fff, 0x7fff);
    s.dy = clamp(s.dy - dy, -0x7fff, 0x7fff);
    s.dz = clamp(s.dz + dz, -0x7f, 0x7f);
    if (s.queue.length === 0) this.sendMovement();
  }

  /** Buttons that are held. */
  press(buttons: number): void {
    const { s } = this;
    s.buttons = buttons & 0x1f;
    if (!(s.status & STATUS_ENABLED) || s.status & STATUS_REMOTE) return;
    // Each change has its packet, or a quick click would be lost; if the host reads none, the last one counts.
    if (s.buttons !== s.told && s.queue.length <= PACKETS_SIZE) this.sendPacket();
    this.onData();
  }

  /** A packet without a reason: it tells a driver that there is something elsewhere (vmmouse). */
  poke(): void {
    this.move(1, 0);
  }

  /** Packets of the stream mode, while there is something to tell and room for a little. */
  private sendMovement(): void {
    const { s } = this;
    if (s.status & STATUS_REMOTE) return;
    while ((s.dx || s.dy || s.dz || s.buttons !== s.told) && s.queue.length < 8) this.sendPacket();
    this.onData();
  }

  private sendPacket(): void {
    const { s } = this;
    const dx = clamp(s.dx, -127, 127);
    const dy = clamp(s.dy, -127, 127);
    s.dx -= dx;
    s.dy -= dy;
    s.told = s.buttons;
    s.queue.push(0x08 | (s.buttons & 7) | (dx < 0 ? 0x10 : 0) | (dy < 0 ? 0x20 : 0), dx & 0xff, dy & 0xff);
    if (s.type === INTELLIMOUSE) {
      s.queue.push(s.dz & 0xff);
      s.dz = 0;
    } else if (s.type === EXPLORER) {
      const dz = clamp(s.dz, -7, 7);
      s.dz -= dz;
      s.queue.push((dz & 0x0f) | ((s.buttons & 0x18) << 1));
    } else {
      s.dz = 0;
    }
  }

  private reply(...bytes: number[]): void {
    if (this.s.queue.length + bytes.length <= QUEUE_SIZE) this.s.queue.push(...bytes);
    this.onData();
  }

  write(byte: number): void {
    const { s } = this;
    const command = s.command;
    s.command = 0;
    if (command === 0xe8) {
      s.resolution = byte;
      this.reply(ACK);
      return;
    }
    if (command === 0xf3) {
      s.rate = byte;
      this.knock(byte);
      this.reply(ACK);
      return;
    }
    if (s.wrap && byte !== 0xff && byte !== 0xec) {
      this.reply(byte);
      return;
    }
    switch (byte) {
      case 0xe6:
        s.status &= ~STATUS_SCALE21;
        break;
      case 0xe7:
        s.status |= STATUS_SCALE21;
        break;
      case 0xe8:
      case 0xf3:
        s.command = byte;
        break;
      case 0xe9: {
        // Left, middle and right, in another order than in packets.
        const buttons = ((s.buttons & 1) << 2) | ((s.buttons & 4) >> 1) | ((s.buttons & 2) >> 1);
        this.reply(ACK, s.status | buttons, s.resolution, s.rate);
        return;
      }
      case 0xea:
        s.status &= ~STATUS_REMOTE;
        break;
      case 0xeb:
        s.queue.push(ACK);
        this.sendPacket();
        this.trim();
        this.onData();
        return;
      case 0xec:
        s.wrap = false;
        break;
      case 0xee:
        s.wrap = true;
        break;
      case 0xf0:
        s.status |= STATUS_REMOTE;
        break;
      case 0xf2:
        this.reply(ACK, s.type);
        return;
      case 0xf4:
        s.status |= STATUS_ENABLED;
        break;
      case 0xf5:
        s.status &= ~STATUS_ENABLED;
        break;
      case 0xf6:
        s.rate = DEFAULT_RATE;
        s.resolution = DEFAULT_RESOLUTION;
        s.status = 0;
        break;
      case 0xfe:
        this.reply(s.lastSent);
        return;
      case 0xff: {
        const { buttons } = s;
        this.s = { ...powerOn(), buttons };
        this.reply(ACK, SELF_TEST_PASSED, STANDARD);
        return;
      }
      default:
        this.reply(RESEND);
        return;
    }
    this.reply(ACK);
  }

  /** 200, 100, 80 make it an IntelliMouse; 200, 200, 80 then an Explorer. */
  private knock(rate: number): void {
    const { s } = this;
    if (rate === 80 && s.knock === 2) s.type = INTELLIMOUSE;
    else if (rate === 80 && s.knock === 3) s.type = EXPLORER;
    s.knock = rate === 200 ? (s.knock === 1 ? 3 : 1) : rate === 100 && s.knock === 1 ? 2 : 0;
  }

  /** A host that asks and does not read loses what it asked first. */
  private trim(): void {
    const { queue } = this.s;
    if (queue.length > QUEUE_SIZE) queue.splice(0, queue.length - QUEUE_SIZE);
  }

  read(): number {
    const { s } = this;
    const byte = s.queue.shift();
    if (byte === undefined) return -1;
    s.lastSent = byte;
    if (s.queue.length === 0 && s.status & STATUS_ENABLED && !(s.status & STATUS_REMOTE)) {
      // What gathered meanwhile. Not through onData: the controller is about to look again.
      while ((s.dx || s.dy || s.dz || s.buttons !== s.told) && s.queue.length < 8) this.sendPacket();
    }
    return byte;
  }

  reset(): void {
    this.s = powerOn();
  }

  save(): State {
    return structuredClone(this.s);
  }

  load(state: unknown): void {
    this.s = structuredClone(state as State);
  }
}
