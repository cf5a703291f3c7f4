// TFTP server (RFC 1350), read only, with options blksize, timeout and tsize (RFC 2347, 2348, 2349): what PXE ROMs boot from.

import type { Clock, Timer } from '../../../devices/interfaces.ts';
import { get16, set16 } from './bytes.ts';

export const TFTP_PORT = 69;

const RRQ = 1;
const WRQ = 2;
const DATA = 3;
const ACK = 4;
const ERROR = 5;
const OACK = 6;

const ERROR_UNDEFINED = 0;
const ERROR_NOT_FOUND = 1;
const ERROR_ACCESS = 2;
const ERROR_ILLEGAL = 4;

const DEFAULT_BLOCK = 512;
const MIN_BLOCK = 8;
/** What fits into one Ethernet frame: fragments are no help. */
const MAX_BLOCK = 1468;
const MAX_TRANSFERS = 16;
const RESEND_NS = 1e9;
const MAX_RESENDS = 5;

/** Files of the TFTP server by name: asked once a transfer. `found` gets undefined if there is none; it may be called at once. */
export type TftpFiles = (name: string, found: (bytes: Uint8Array | undefined) => void) => void;

interface Transfer {
  file: Uint8Array;
  blockSize: number;
  /** Number of the block that waits for its ACK, 0 for the OACK; it wraps in the message only. */
  block: number;
  last: Uint8Array;
  resends: number;
  resendNs: number;
  timer: Timer;
  send(message: Uint8Array): void;
}

export class TftpServer {
  private readonly transfers = new Map<string, Transfer>();
  /** What was asked for and is still being fetched, by client: the last request counts, and asking for the same again changes nothing. */
  private readonly wanted = new Map<string, { request: string }>();

  constructor(
    private readonly clock: Clock,
    private readonly files: TftpFiles,
  ) {}

  /**
   * A datagram to the server's port.
   * @param client address and port of who sent it  @param send answers it
   */
  receive(client: string, message: Uint8Array, send: (message: Uint8Array) => void): void {
    if (message.length < 4) return;
    const operation = get16(message, 0);
    if (operation === RRQ) this.request(client, message, send);
    else if (operation === WRQ) send(error(ERROR_ACCESS, 'Files are read only'));
    else if (operation === ACK) this.acknowledged(client, get16(message, 2));
    else if (operation === ERROR) this.end(client);
    else send(error(ERROR_ILLEGAL, 'Illegal operation'));
  }

  private request(client: string, message: Uint8Array, send: (message: Uint8Array) => void): void {
    const text = new TextDecoder('latin1').decode(message.subarray(2));
    if (this.wanted.get(client)?.request === text) return;
    this.end(client);
    const words = text.split('\0');
    // The last word ends with a zero byte as all others.
    if (words.pop() !== '' || words.length < 2) return send(error(ERROR_ILLEGAL, 'The request is malformed'));
    const [name, mode, ...options] = words;
    if (!/^(octet|netascii)$/i.test(mode)) return send(error(ERROR_ILLEGAL, `Mode ${mode.slice(0, 20)} is not supported`));
    if (this.wanted.size >= MAX_TRANSFERS) return send(error(ERROR_UNDEFINED, 'Too many transfers'));
    const wanted = { request: text };
    this.wanted.set(client, wanted);
    this.files(name.replace(/^\/+/, ''), (bytes) => {
      if (this.wanted.get(client) !== wanted) return;
      this.wanted.delete(client);
      if (bytes) this.begin(client, bytes, options, send);
      else send(error(ERROR_NOT_FOUND, 'File not found'));
    });
  }

  private begin(client: string, file: Uint8Array, options: string[], send: (message: Uint8Array) => void): void {
    if (this.transfers.size >= MAX_TRANSFERS) this.end(this.transfers.keys().next().value!);
    const accepted: string[] = [];
    const transfer: Transfer = {
      file, blockSize: DEFAULT_BLOCK, block: 0, last: new Uint8Array(0), resends: 0, resendNs: RESEND_NS, send,
      timer: this.clock.timer(`tftp ${client}`, () => this.resend(client)),
    };
    for (let n = 0; n + 1 < options.length; n += 2) {
      // RFC 2347: numbers are decimal digits.
      const value = /^\d{1,9}$/.test(options[n + 1]) ? Number(options[n + 1]) : NaN;
      switch (options[n].toLowerCase()) {
        case 'blksize':
          if (!(value >= MIN_BLOCK && value <= 65464)) break;
          transfer.blockSize = Math.min(value, MAX_BLOCK);
          accepted.push('blksize', String(transfer.blockSize));
          break;
        case 'timeout':
          if (!(value >= 1 && value <= 255)) break;
          transfer.resendNs = value * 1e9;
          accepted.push('timeout', String(value));
          break;
        case 'tsize':
          accepted.push('tsize', String(file.length));
      }
    }
    this.transfers.set(client, transfer);
    if (accepted.length > 0) this.transmit(transfer, optionsAnswer(accepted));
    else this.sendBlock(transfer, 1);
  }

  private acknowledged(client: string, block: number): void {
    const transfer = this.transfers.get(client);
    if (!transfer || block !== (transfer.block & 0xffff)) return;
    if (transfer.block > 0 && transfer.block * transfer.blockSize > transfer.file.length) return this.end(client);
    this.sendBlock(transfer, transfer.block + 1);
  }

  private sendBlock(transfer: Transfer, block: number): void {
    transfer.block = block;
    const data = transfer.file.subarray((block - 1) * transfer.blockSize, block * transfer.blockSize);
    const message = new Uint8Array(4 + data.length);
    set16(message, 0, DATA);
    set16(message, 2, block & 0xffff);
    message.set(data, 4);
    this.transmit(transfer, message);
  }

  private transmit(transfer: Transfer, message: Uint8Array): void {
    transfer.last = message;
    transfer.resends = 0;
    transfer.timer.arm(this.clock.now() + transfer.resendNs);
    transfer.send(message);
  }

  private resend(client: string): void {
    const transfer = this.transfers.get(client);
    if (!transfer) return;
    if (transfer.resends++ >= MAX_RESENDS) return this.end(client);
    transfer.timer.arm(this.clock.now() + transfer.resendNs);
    transfer.send(transfer.last);
  }

  private end(client: string): void {
    this.transfers.get(client)?.timer.disarm();
    this.transfers.delete(client);
    this.wanted.delete(client);
  }

  endAll(): void {
    for (const client of [...this.transfers.keys(), ...this.wanted.keys()]) this.end(client);
  }
}

function error(code: number, text: string): Uint8Array {
  return Uint8Array.of(0, ERROR, 0, code, ...new TextEncoder().encode(text), 0);
}

function optionsAnswer(words: readonly string[]): Uint8Array {
  return Uint8Array.of(0, OACK, ...words.flatMap((word) => [...new TextEncoder().encode(word), 0]));
}
