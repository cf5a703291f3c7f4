// HTTP/1.1 client (RFC 9112) of a page towards a guest's web server: its connections come in at a forwarded port (hostfwd) of the
// user-mode network. One request a connection. A guest is hostile: what it answers is bounded in size and in time.

import { type HostStream, type HostStreamEvents, STREAM_CREDIT } from '../user/host.ts';
import { Body, framingOf, type Head, HttpError, HttpReader, toBytes } from './http.ts';

export interface GuestRequest {
  method: string;
  /** Path and query. */
  target: string;
  headers: readonly (readonly [name: string, value: string])[];
  body?: Uint8Array;
}

export interface GuestResponse {
  status: number;
  reason: string;
  /** As they came, names in lower case. */
  headers: [string, string][];
  body: Uint8Array<ArrayBuffer>;
}

/** What became of a request. `silent`: nobody listens there, or not yet. */
export type GuestAnswer = GuestResponse | { failed: 'silent' | 'broken'; why: string };

const MAX_BODY = 64 * 1024 * 1024;
/** Without a byte for this long, ms. A guest whose network is not up yet shows by it, too. */
const PATIENCE_MS = 60_000;
/** How long a guest may take to close a connection that it has answered on, ms. */
const LINGER_MS = 5000;
const METHOD = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}$/;
const TARGET = /^\/[\x21-\x7e]*$/;
const HEADER = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** Make the head of a request; nothing in it can begin another one. */
export function requestHead({ method, target, headers, body }: GuestRequest): string {
  if (!METHOD.test(method) || !TARGET.test(target)) throw new HttpError(400, 'the request has no form');
  const lines = headers.filter(([name, value]) => HEADER.test(name) && !/[\r\n\0]/.test(value)).map(([name, value]) => `${name}: ${value}\r\n`);
  const length = body && body.length > 0 ? `content-length: ${body.length}\r\n` : /^(?:POST|PUT|PATCH)$/.test(method) ? 'content-length: 0\r\n' : '';
  return `${method} ${target} HTTP/1.1\r\n${lines.join('')}${length}connection: close\r\n\r\n`;
}

/**
 * Ask a guest.
 * @param open connects: the stream is what the guest writes to, what it gives takes what goes to the guest; undefined where it is refused
 */
export function askGuest(request: GuestRequest, open: (stream: HostStream) => HostStreamEvents | undefined, patienceMs = PATIENCE_MS): Promise<GuestAnswer> {
  return new Promise((resolve) => {
    let rest: Uint8Array;
    try {
      const head = toBytes(requestHead(request));
      rest = new Uint8Array(head.length + (request.body?.length ?? 0));
      rest.set(head);
      if (request.body) rest.set(request.body, head.length);
    } catch (error) {
      return resolve({ failed: 'broken', why: error instanceof Error ? error.message : String(error) });
    }
    let isOver = false;
    let events: HostStreamEvents | undefined;
    let response: Omit<GuestResponse, 'body'> | undefined;
    const body = new Body();
    let untaken = 0;
    let timer: ReturnType<typeof setTimeout>;

    const settle = (answer: GuestAnswer): void => {
      if (isOver) return;
      isOver = true;
      clearTimeout(timer);
      if ('failed' in answer) events?.failed('reset');
      else {
        events?.ended();
        // It was asked to close; one that goes on talking, or does not, is cut off.
        timer = setTimeout(cutOff, LINGER_MS);
      }
      resolve(answer);
    };
    const cutOff = (): void => {
      clearTimeout(timer);
      events?.failed('reset');
    };
    const wait = (): void => {
      clearTimeout(timer);
      timer = setTimeout(() => settle({ failed: response ? 'broken' : 'silent', why: `it said nothing for ${patienceMs / 1000} s` }), patienceMs);
    };
    const complete = (): void => {
      if (!response) return;
      settle({ ...response, body: body.take() });
    };
    const reader = new HttpReader(
      (head: Head) => {
        const match = /^HTTP\/1\.[01] ([1-5]\d\d)(?: (.*))?$/.exec(head.start);
        if (!match) throw new HttpError(502, 'its answer is no HTTP');
        const status = Number(match[1]);
        // An interim answer; the real one follows.
        if (status < 200) return { kind: 'none' };
        response = { status, reason: match[2] ?? '', headers: head.headers };
        if (request.method === 'HEAD' || status === 204 || status === 304) return { kind: 'none' };
        return framingOf(head, 'close');
      },
      (data) => {
        if (body.length + data.length > MAX_BODY) throw new HttpError(502, `its answer has more than ${MAX_BODY >> 20} MiB`);
        body.push(data);
      },
      complete,
    );
    const broken = (error: unknown): void => settle({ failed: 'broken', why: error instanceof Error ? error.message : String(error) });

    const send = (): void => {
      const most = Math.min(rest.length, STREAM_CREDIT - untaken);
      if (most <= 0 || !events) return;
      const piece = rest.slice(0, most);
      rest = rest.subarray(most);
      untaken += most;
      events.data(piece);
    };
    const stream: HostStream = {
      room: STREAM_CREDIT,
      write(data) {
        if (isOver) return cutOff();
        wait();
        try {
          reader.push(data);
        } catch (error) {
          broken(error);
        }
        // It is read at once: as much may come again.
        queueMicrotask(() => { if (!isOver) events?.writable(); });
      },
      end() {
        if (isOver) return clearTimeout(timer);
        if (reader.finish() && response) complete();
        else settle(response ? { failed: 'broken', why: 'its answer was cut off' } : { failed: 'silent', why: 'it closed the connection without an answer' });
      },
      abort() {
        if (isOver) return clearTimeout(timer);
        settle(response ? { failed: 'broken', why: 'it broke the connection' } : { failed: 'silent', why: 'it refused the connection' });
      },
      taken(count) {
        untaken -= count;
        if (!isOver) send();
      },
    };
    wait();
    events = open(stream);
    if (!events) return settle({ failed: 'silent', why: 'there are too many connections' });
    send();
  });
}
