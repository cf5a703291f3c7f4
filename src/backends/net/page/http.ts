// HTTP/1.1 messages (RFC 9112) as bytes come: heads, and bodies by length, in chunks, or to the end.

/** A message that cannot be understood. */
export class HttpError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
    this.name = 'HttpError';
  }
}

export interface Head {
  /** "GET /x HTTP/1.1", "HTTP/1.1 200 OK". */
  start: string;
  /** In the order they came, names in lower case. */
  headers: [string, string][];
}

const MAX_HEAD = 64 * 1024;
const MAX_CHUNK_LINE = 256;
/** A body's memory grows by doubling, and by this at most. */
const MOST_AHEAD = 4 << 20;

export const headerOf = (head: Head, name: string): string | undefined => head.headers.find(([key]) => key === name)?.[1];

/** How a body is delimited. */
export type Framing = { kind: 'none' } | { kind: 'length'; length: number } | { kind: 'chunked' } | { kind: 'close' };

/** RFC 9112, 6.3; `otherwise` is what neither header says. */
export function framingOf(head: Head, otherwise: 'none' | 'close'): Framing {
  const coding = headerOf(head, 'transfer-encoding');
  const lengths = new Set(head.headers.filter(([key]) => key === 'content-length').map(([, value]) => value));
  if (coding !== undefined) {
    // Both at once is how requests are smuggled.
    if (lengths.size > 0 || coding.trim().toLowerCase() !== 'chunked') throw new HttpError(400, `the transfer coding "${coding}" is not supported`);
    return { kind: 'chunked' };
  }
  if (lengths.size > 1) throw new HttpError(400, 'there are several lengths');
  for (const text of lengths) {
    if (!/^\d{1,12}$/.test(text)) throw new HttpError(400, `"${text}" is not a length`);
    return { kind: 'length', length: Number(text) };
  }
  return { kind: otherwise };
}

/** Takes bytes and tells of heads, bodies and ends. */
export class HttpReader {
  private pending: Uint8Array = new Uint8Array(0);
  private state: 'head' | 'length' | 'chunk-size' | 'chunk' | 'chunk-end' | 'trailer' | 'close' = 'head';
  private rest = 0;

  /**
   * @param onHead tells how the body is delimited
   * @param onEnd a message is complete
   */
  constructor(
    private readonly onHead: (head: Head) => Framing,
    private readonly onBody: (data: Uint8Array) => void,
    private readonly onEnd: () => void,
  ) {}

  /** @throws HttpError */
  push(data: Uint8Array): void {
    if (this.pending.length > 0) {
      const joined = new Uint8Array(this.pending.length + data.length);
      joined.set(this.pending);
      joined.set(data, this.pending.length);
      data = joined;
    }
    let at = 0;
    while (at < data.length) {
      const used = this.step(data.subarray(at));
      if (used === 0) break;
      at += used;
    }
    this.pending = data.slice(at);
  }

  /** No more bytes come. @returns false if a message was cut off */
  finish(): boolean {
    if (this.state === 'close') {
      this.state = 'head';
      this.onEnd();
      return true;
    }
    return this.state === 'head' && this.pending.length === 0;
  }

  /** @returns bytes used; 0: more are needed */
  private step(data: Uint8Array): number {
    switch (this.state) {
      case 'head': {
        const end = findHeadEnd(data);
        if (end < 0) {
          if (data.length > MAX_HEAD) throw new HttpError(431, 'the head is too long');
          return 0;
        }
        const text = latin1(data.subarray(0, end)).replace(/^(\r?\n)+/, '');
        if (text === '') return end;
        const framing = this.onHead(parseHead(text));
        this.begin(framing);
        return end;
      }
      case 'length': case 'chunk': {
        const part = data.subarray(0, this.rest);
        this.rest -= part.length;
        this.onBody(part);
        if (this.rest === 0) {
          if (this.state === 'chunk') this.state = 'chunk-end';
          else this.complete();
        }
        return part.length;
      }
      case 'close':
        this.onBody(data);
        return data.length;
      case 'chunk-size': case 'chunk-end': case 'trailer': {
        const newline = data.indexOf(10);
        if (newline < 0) {
          if (data.length > MAX_CHUNK_LINE) throw new HttpError(400, 'a line between chunks is too long');
          return 0;
        }
        const line = latin1(data.subarray(0, newline)).trim();
        if (this.state === 'chunk-end') {
          if (line !== '') throw new HttpError(400, 'a chunk is longer than it says');
          this.state = 'chunk-size';
        } else if (this.state === 'trailer') {
          if (line === '') this.complete();
        } else {
          const size = /^([0-9a-f]{1,8})\s*(;.*)?$/i.exec(line);
          if (!size) throw new HttpError(400, 'a chunk has no size');
          this.rest = parseInt(size[1], 16);
          this.state = this.rest === 0 ? 'trailer' : 'chunk';
        }
        return newline + 1;
      }
    }
  }

  private begin(framing: Framing): void {
    switch (framing.kind) {
      case 'chunked':
        this.state = 'chunk-size';
        return;
      case 'close':
        this.state = 'close';
        return;
      case 'length':
        this.rest = framing.length;
        this.state = 'length';
        if (this.rest > 0) return;
        return this.complete();
      case 'none':
        this.complete();
    }
  }

  private complete(): void {
    this.state = 'head';
    this.onEnd();
  }
}

/** Bytes of a body as they come. In one piece, because a sender may cut a body into single bytes, each of which would be an object by itself. */
export class Body {
  private data = new Uint8Array(0);
  length = 0;

  /** Copies. */
  push(bytes: Uint8Array): void {
    const length = this.length + bytes.length;
    if (length > this.data.length) {
      const larger = new Uint8Array(Math.max(length, Math.min(2 * this.data.length, this.data.length + MOST_AHEAD)));
      larger.set(this.data.subarray(0, this.length));
      this.data = larger;
    }
    this.data.set(bytes, this.length);
    this.length = length;
  }

  /** Memory that it takes, bytes. */
  get capacity(): number {
    return this.data.length;
  }

  /** All of it; the body is empty afterwards. */
  take(): Uint8Array<ArrayBuffer> {
    const whole = this.length === this.data.length ? this.data : this.data.slice(0, this.length);
    this.clear();
    return whole;
  }

  clear(): void {
    this.data = new Uint8Array(0);
    this.length = 0;
  }
}

const latin1 = (bytes: Uint8Array): string => {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
};

/** Behind the empty line, or -1. */
function findHeadEnd(data: Uint8Array): number {
  for (let at = 0; at < data.length && at <= MAX_HEAD; at++) {
    if (data[at] !== 10) continue;
    if (data[at + 1] === 10) return at + 2;
    if (data[at + 1] === 13 && data[at + 2] === 10) return at + 3;
  }
  return -1;
}

function parseHead(text: string): Head {
  const [start, ...lines] = text.split(/\r?\n/);
  const headers: [string, string][] = [];
  for (const line of lines) {
    if (line === '') continue;
    const match = /^([!#$%&'*+.^_`|~0-9a-z-]+):[ \t]*(.*?)[ \t]*$/i.exec(line);
    // A folded line or a name with a blank behind it.
    if (!match) throw new HttpError(400, 'a header line is malformed');
    headers.push([match[1].toLowerCase(), match[2]]);
  }
  return { start, headers };
}

export const toBytes = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);
