// A name server for a page, which cannot look names up: every name gets an address of its own from 198.18.0.0/15, which is set aside for
// tests (RFC 2544), and whoever connects there is asked by name. DNS messages: RFC 1035, section 4.

import type { IpAddress } from '../user/address.ts';
import { get16, set16, set32 } from '../user/bytes.ts';

const TYPE_A = 1;
const TYPE_PTR = 12;
const TYPE_ANY = 255;
const CLASS_IN = 1;
const FLAG_RESPONSE = 0x8000;
const FLAGS_ECHOED = 0x7900;
const FLAG_RECURSION_AVAILABLE = 0x80;
const NOT_IMPLEMENTED = 4;
const NAME_ERROR = 3;
const FORMAT_ERROR = 1;
/** A guest asks again after this, seconds; the address stays the same for as long as it is remembered. */
const TTL = 60;
/** Names remembered; the one asked for longest ago goes. 198.18.0.0/15 has room for more. */
const MAX_NAMES = 4096;
const FIRST = 0xc612_0001;

export interface Question {
  /** In lower case, without the dot at its end. */
  name: string;
  type: number;
  class: number;
  /** Where it ends in the message. */
  end: number;
}

/** @returns undefined for what is malformed */
export function parseQuestion(message: Uint8Array): Question | undefined {
  const labels: string[] = [];
  let at = 12;
  let length = 0;
  for (;;) {
    const size = message[at];
    // A question has no pointers to follow.
    if (size === undefined || size > 63 || at + 1 + size > message.length) return undefined;
    at++;
    if (size === 0) break;
    length += size + 1;
    if (length > 255) return undefined;
    labels.push(String.fromCharCode(...message.subarray(at, at + size)).toLowerCase());
    at += size;
  }
  if (at + 4 > message.length) return undefined;
  return { name: labels.join('.'), type: get16(message, at), class: get16(message, at + 2), end: at + 4 };
}

export class PageNames {
  private readonly byName = new Map<string, number>();
  private readonly byAddress = new Map<number, string>();
  private next = 0;

  /** The address that stands for a name. */
  addressOf(name: string): number {
    let number = this.byName.get(name);
    if (number !== undefined) this.byName.delete(name);
    else {
      if (this.byName.size >= MAX_NAMES) {
        const [oldest, address] = this.byName.entries().next().value!;
        this.byName.delete(oldest);
        this.byAddress.delete(address);
      }
      number = FIRST + (this.next++ % 0x1fffe);
      this.byAddress.set(number, name);
    }
    this.byName.set(name, number);
    return number;
  }

  /** The name that an address stands for. */
  nameOf(address: IpAddress): string | undefined {
    return address.length === 4 ? this.byAddress.get(((address[0] << 24) | (address[1] << 16) | (address[2] << 8) | address[3]) >>> 0) : undefined;
  }

  /** The answer to a query; undefined for what is none. */
  answer(query: Uint8Array): Uint8Array | undefined {
    if (query.length < 12 || get16(query, 2) & FLAG_RESPONSE) return undefined;
    const flags = get16(query, 2);
    const question = get16(query, 4) === 1 ? parseQuestion(query) : undefined;
    const opcode = (flags >> 11) & 15;
    const head = (code: number, answers: number, end: number, more = 0): Uint8Array => {
      const message = new Uint8Array(end + more);
      message.set(query.subarray(0, end));
      set16(message, 2, FLAG_RESPONSE | (flags & FLAGS_ECHOED) | FLAG_RECURSION_AVAILABLE | code);
      set16(message, 4, end > 12 ? 1 : 0);
      set16(message, 6, answers);
      set16(message, 8, 0);
      set16(message, 10, 0);
      return message;
    };
    if (opcode !== 0) return head(NOT_IMPLEMENTED, 0, 12);
    if (!question) return head(FORMAT_ERROR, 0, 12);
    const { name, type, end } = question;
    if (question.class !== CLASS_IN) return head(NOT_IMPLEMENTED, 0, end);
    // Names that no fetch reaches: single words, and addresses asked for their names.
    if (type === TYPE_PTR || !name.includes('.') || name.endsWith('.arpa') || name.endsWith('.local')) return head(NAME_ERROR, 0, end);
    if (type !== TYPE_A && type !== TYPE_ANY) return head(0, 0, end);
    const message = head(0, 1, end, 16);
    // A pointer to the name in the question.
    set16(message, end, 0xc00c);
    set16(message, end + 2, TYPE_A);
    set16(message, end + 4, CLASS_IN);
    set32(message, end + 6, TTL);
    set16(message, end + 10, 4);
    set32(message, end + 12, this.addressOf(name));
    return message;
  }
}
