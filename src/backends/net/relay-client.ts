// A machine's cable to a relay: raw Ethernet frames over a WebSocket (RFC 6455), one binary message a frame, as the relays of v86 and
// jor1k have them ("websockproxy"). Text messages are ignored. When the connection is lost it is made again, after a time that
// doubles from half a second to half a minute, with some chance in it so that all guests of a relay do not come back at once.

import { MAX_FRAME, MIN_FRAME } from '../../devices/interfaces.ts';
import type { FrameCarrier } from './link.ts';

/** What WebSocket has, in a browser and in `ws`. */
export interface SocketLike {
  binaryType: string;
  readonly readyState: number;
  readonly bufferedAmount: number;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
  onerror: ((event: never) => void) | null;
  send(data: Uint8Array<ArrayBuffer>): void;
  close(code?: number, reason?: string): void;
}

const OPEN = 1;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 30_000;
/** A connection that held this long was a good one: the next wait is short again. */
const GOOD_MS = 10_000;
/** Bytes that the socket may hold back; above, frames stay in the ring and then with the guest. */
const BUFFERED = 256 * 1024;
/** How soon the socket is asked again whether it has sent them. */
const DRAIN_MS = 5;
/** Close codes after which trying again is useless: "policy violation" and the range of applications' own (RFC 6455, 7.4). */
const POLICY_VIOLATION = 1008;

export interface RelayClientOptions {
  /** Make a connection. */
  connect(): SocketLike;
  carrier: FrameCarrier;
  now(): number;
  later(call: () => void, ms: number): void;
  /** 0 to 1. */
  random(): number;
}

export class RelayClient {
  private socket: SocketLike | undefined;
  private waitMs = FIRST_WAIT_MS;
  private openedAt = 0;
  private isDraining = false;
  private isClosed = false;

  constructor(private readonly options: RelayClientOptions) {
    const { carrier } = options;
    carrier.hasRoom = () => this.hasRoom();
    carrier.onFrame = (frame) => {
      // While there is no connection frames are lost, as when a cable is out.
      if (this.socket?.readyState === OPEN) this.socket.send(frame);
    };
    this.open();
  }

  private hasRoom(): boolean {
    const { socket } = this;
    if (!socket || socket.readyState !== OPEN || socket.bufferedAmount < BUFFERED) return true;
    if (!this.isDraining) {
      this.isDraining = true;
      this.options.later(() => {
        this.isDraining = false;
        this.options.carrier.look();
      }, DRAIN_MS);
    }
    return false;
  }

  private open(): void {
    if (this.isClosed) return;
    const { carrier, now } = this.options;
    carrier.state(false, 'connecting');
    let socket: SocketLike;
    try {
      socket = this.options.connect();
    } catch (error) {
      // A wrong address, or one that a page may not connect to: it will not get better.
      carrier.state(false, `failed (${error instanceof Error ? error.message : String(error)})`);
      return;
    }
    this.socket = socket;
    this.openedAt = Infinity;
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => {
      this.openedAt = now();
      carrier.state(true, 'connected');
    };
    socket.onmessage = ({ data }) => {
      const bytes = data instanceof ArrayBuffer ? new Uint8Array(data) : data instanceof Uint8Array ? data : undefined;
      if (bytes && bytes.length >= MIN_FRAME && bytes.length <= MAX_FRAME) carrier.deliver(bytes);
    };
    // A close event follows each error.
    socket.onerror = () => {};
    socket.onclose = ({ code, reason }) => {
      if (this.socket !== socket) return;
      this.socket = undefined;
      if (this.isClosed) return;
      if (code === POLICY_VIOLATION) {
        carrier.state(false, `refused (${reason || `code ${code}`})`);
        return;
      }
      if (now() - this.openedAt > GOOD_MS) this.waitMs = FIRST_WAIT_MS;
      const wait = Math.round(this.waitMs * (0.75 + this.options.random() / 2));
      this.waitMs = Math.min(LONGEST_WAIT_MS, this.waitMs * 2);
      carrier.state(false, `disconnected (code ${code}${reason ? `, ${reason}` : ''}), next try in ${(wait / 1000).toFixed(1)} s`);
      // What the guest sends meanwhile is lost, and does not hold it up.
      carrier.look();
      this.options.later(() => this.open(), wait);
    };
  }

  close(): void {
    this.isClosed = true;
    this.socket?.close(1000, 'the machine has ended');
  }
}
