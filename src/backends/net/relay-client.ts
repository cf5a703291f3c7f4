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
/** How long a relay may take to answer, and how long to take nothing off a full socket: one that is gone without a word looks like that. */
const CONNECT_MS = 20_000;
const STALLED_MS = 20_000;
/** The close code after which trying again is useless (RFC 6455, 7.4.1). */
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
  /** While the socket is full: what it holds back, and since when it has sent nothing of that. */
  private full: { bytes: number; since: number } | undefined;
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
    if (!socket || socket.readyState !== OPEN || socket.bufferedAmount < BUFFERED) {
      this.full = undefined;
      return true;
    }
    const now = this.options.now();
    if (!this.full || socket.bufferedAmount < this.full.bytes) this.full = { bytes: socket.bufferedAmount, since: now };
    else if (now - this.full.since > STALLED_MS) {
      this.drop(socket, `it took nothing for ${STALLED_MS / 1000} s`);
      return true;
    }
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
    const { carrier, now, later } = this.options;
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
      if (this.socket !== socket) return;
      this.openedAt = now();
      carrier.state(true, 'connected');
    };
    socket.onmessage = ({ data }) => {
      const bytes = data instanceof ArrayBuffer ? new Uint8Array(data) : data instanceof Uint8Array ? data : undefined;
      if (this.socket === socket && bytes && bytes.length >= MIN_FRAME && bytes.length <= MAX_FRAME) carrier.deliver(bytes);
    };
    // A close event follows each error.
    socket.onerror = () => {};
    socket.onclose = ({ code, reason }) => {
      if (this.socket !== socket) return;
      if (code === POLICY_VIOLATION && !this.isClosed) {
        this.socket = undefined;
        carrier.state(false, `refused (${reason || `code ${code}`})`);
        return;
      }
      this.lost(`code ${code}${reason ? `, ${reason}` : ''}`);
    };
    later(() => {
      if (this.socket === socket && this.openedAt === Infinity) this.drop(socket, `no answer for ${CONNECT_MS / 1000} s`);
    }, CONNECT_MS);
  }

  /** Give up a connection that does not end by itself. */
  private drop(socket: SocketLike, why: string): void {
    this.lost(why);
    socket.close();
  }

  /** There is no connection any more: make another after a while. */
  private lost(why: string): void {
    this.socket = this.full = undefined;
    if (this.isClosed) return;
    const { carrier, now } = this.options;
    if (now() - this.openedAt > GOOD_MS) this.waitMs = FIRST_WAIT_MS;
    const wait = Math.round(this.waitMs * (0.75 + this.options.random() / 2));
    this.waitMs = Math.min(LONGEST_WAIT_MS, this.waitMs * 2);
    carrier.state(false, `disconnected (${why}), next try in ${(wait / 1000).toFixed(1)} s`);
    // What the guest sends meanwhile is lost, and does not hold it up.
    carrier.look();
    this.options.later(() => this.open(), wait);
  }

  close(): void {
    this.isClosed = true;
    this.socket?.close(1000, 'the machine has ended');
  }
}
