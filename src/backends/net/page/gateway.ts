// HTTP of a guest, carried by fetch(): the guest's connection ends here, and what it asks for the browser asks for. What a browser lets a
// page read, a guest can read: servers that allow it to all (CORS), and this page's own. Where it does not, the guest gets a page that
// says so.

import { type HostStream, type HostStreamEvents, STREAM_CREDIT } from '../user/host.ts';
import { Body, framingOf, type Head, headerOf, HttpError, HttpReader, toBytes } from './http.ts';

export interface GatewayHost {
  fetch(url: string, init: RequestInit): Promise<Response>;
  /** The page came by https: a browser then fetches nothing by http. */
  isSecure: boolean;
}

const MAX_BODY = 32 * 1024 * 1024;
/** Bodies of all connections that wait to go out. */
const MAX_HELD = 128 * 1024 * 1024;
let held = 0;
/** Requests that a guest may send before the first is answered. */
const MAX_WAITING = 16;
/** Headers that go on: those that need no leave of the server's (Fetch standard, "CORS-safelisted request-header"), and what a request means little without. */
const PASSED = new Set(['accept', 'accept-language', 'content-language', 'content-type', 'range', 'authorization', 'if-none-match', 'if-modified-since']);
/** Of the answer: those that speak of the connection, or of a coding that the browser has undone. */
const DROPPED = new Set(['connection', 'keep-alive', 'transfer-encoding', 'content-encoding', 'content-length', 'upgrade', 'proxy-connection', 'te', 'trailer', 'alt-svc', 'strict-transport-security']);
const PIECE = 32 * 1024;

interface Request {
  method: string;
  /** As the guest means it: http or https. */
  url: URL;
  head: Head;
  isOld: boolean;
  keepsAlive: boolean;
  body: Body;
}

/** A guest's connection to a web server, or to a proxy. */
export class GatewayStream implements HostStream {
  readonly room = STREAM_CREDIT;
  private readonly reader: HttpReader;
  private request: Request | undefined;
  private readonly waiting: Request[] = [];
  private isBusy = false;
  private isOver = false;
  private guestEnded = false;
  /** What comes behind a request that made no sense is not read. */
  private isRefused = false;
  private untaken = 0;
  private onTaken: (() => void) | undefined;
  private readonly abortion = new AbortController();

  /** @param server whom the guest has connected to, "example.org" or "example.org:8080"; undefined: a proxy, whose requests name it */
  constructor(
    private readonly events: HostStreamEvents,
    private readonly server: string | undefined,
    private readonly host: GatewayHost,
  ) {
    this.reader = new HttpReader((head) => this.begin(head), (data) => this.take(data), () => this.complete());
    queueMicrotask(() => {
      if (!this.isOver) events.opened();
    });
  }

  write(data: Uint8Array): void {
    if (this.isOver || this.isRefused) return;
    try {
      this.reader.push(data.slice());
    } catch (error) {
      if (!(error instanceof HttpError)) throw error;
      this.refuse(error.status, 'The request could not be understood', error.message, 'Check the program that sent it.');
    }
    queueMicrotask(() => this.events.writable());
  }

  end(): void {
    this.guestEnded = true;
    if (!this.isBusy && this.waiting.length === 0) this.finish();
  }

  abort(): void {
    this.close();
    this.abortion.abort();
    this.onTaken?.();
  }

  taken(bytes: number): void {
    this.untaken -= bytes;
    this.onTaken?.();
  }

  // ---- the request

  private begin(head: Head): ReturnType<typeof framingOf> {
    const match = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\S+) HTTP\/1\.([01])$/.exec(head.start);
    if (!match) throw new HttpError(400, 'it does not begin as HTTP/1.1 does');
    const [, method, target, minor] = match;
    if (method === 'CONNECT') throw new HttpError(501, 'a page cannot open a tunnel; a proxy\'s request for https://… in full works');
    const server = headerOf(head, 'host') ?? this.server;
    let url: URL;
    try {
      url = new URL(/^https?:\/\//i.test(target) ? target : `http://${server}${target.startsWith('/') ? target : ''}`);
    } catch {
      throw new HttpError(400, 'it names no server');
    }
    const connection = (headerOf(head, 'connection') ?? '').toLowerCase();
    this.request = {
      method, url, head, isOld: minor === '0', body: new Body(),
      keepsAlive: minor === '1' ? !connection.includes('close') : false,
    };
    return framingOf(head, 'none');
  }

  private take(data: Uint8Array): void {
    const { request } = this;
    if (!request) return;
    if (request.body.length + data.length > MAX_BODY) throw new HttpError(413, `the body has more than ${MAX_BODY >> 20} MiB`);
    if (held + data.length > MAX_HELD) throw new HttpError(413, 'too much waits to be sent already');
    held += data.length;
    request.body.push(data);
  }

  private complete(): void {
    if (!this.request) return;
    if (this.waiting.length >= MAX_WAITING) throw new HttpError(400, 'too many requests at once');
    this.waiting.push(this.request);
    this.request = undefined;
    void this.work();
  }

  private async work(): Promise<void> {
    if (this.isBusy) return;
    this.isBusy = true;
    for (let request = this.waiting.shift(); request && !this.isOver; request = this.waiting.shift()) {
      await this.answer(request);
      if (!request.keepsAlive) return this.finish();
    }
    this.isBusy = false;
    if (this.guestEnded) this.finish();
  }

  private async answer(request: Request): Promise<void> {
    const { method, url, head } = request;
    held -= request.body.length;
    const whole = request.body.take();
    const init: RequestInit = {
      method, headers: head.headers.filter(([name]) => PASSED.has(name)), credentials: 'omit', referrerPolicy: 'no-referrer', cache: 'no-store', signal: this.abortion.signal,
      ...(whole.length > 0 && method !== 'GET' && method !== 'HEAD' ? { body: whole } : {}),
    };
    // A page that came by https may fetch nothing by http; and most servers of today have https.
    const secure = new URL(url);
    secure.protocol = 'https:';
    const tries = url.protocol === 'https:' || this.host.isSecure ? [secure] : [url, secure];
    let why = '';
    for (const one of tries) {
      let response: Response;
      try {
        response = await this.host.fetch(one.href, init);
      } catch (error) {
        why = error instanceof Error ? error.message : String(error);
        continue;
      }
      return this.send(request, response);
    }
    if (this.isOver) return;
    await this.page(request, 502, `${url.host} could not be reached from this page`,
      `The browser says "${why}". A browser lets a page read only from servers that allow it to every page (CORS), and this one does not, or is not there.`,
      'Use a server that sends "Access-Control-Allow-Origin: *", run the machine line with bin/tabvisor, whose network has real sockets, or join a relay: -netdev relay,id=n0,url=wss://…');
  }

  private async send(request: Request, response: Response): Promise<void> {
    const hasBody = request.method !== 'HEAD' && response.body !== null && ![204, 304].includes(response.status);
    // Where the browser has undone a coding the length is not that of what follows.
    const length = response.headers.has('content-encoding') ? null : response.headers.get('content-length');
    let head = `HTTP/1.1 ${response.status} ${response.statusText || 'OK'}\r\n`;
    response.headers.forEach((value, name) => {
      if (!DROPPED.has(name)) head += `${name}: ${value}\r\n`;
    });
    const isChunked = hasBody && length === null && !request.isOld;
    if (length !== null) head += `content-length: ${length}\r\n`;
    else if (!hasBody && response.status !== 204 && response.status !== 304) head += 'content-length: 0\r\n';
    if (isChunked) head += 'transfer-encoding: chunked\r\n';
    if (hasBody && length === null && request.isOld) request.keepsAlive = false;
    head += request.keepsAlive ? '\r\n' : 'connection: close\r\n\r\n';
    await this.put(toBytes(head));
    if (!hasBody) return;
    const reader = response.body!.getReader();
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done || this.isOver) break;
        if (isChunked) await this.put(toBytes(`${value.length.toString(16)}\r\n`));
        for (let at = 0; at < value.length; at += PIECE) await this.put(value.subarray(at, at + PIECE));
        if (isChunked) await this.put(toBytes('\r\n'));
      }
      if (isChunked) await this.put(toBytes('0\r\n\r\n'));
    } catch {
      // It broke off in the middle: so does this.
      if (!this.isOver) {
        this.close();
        this.events.failed('reset');
      }
    }
  }

  /** Bytes for the guest, as fast as it takes them. */
  private async put(bytes: Uint8Array): Promise<void> {
    while (!this.isOver && this.untaken + bytes.length > STREAM_CREDIT) await new Promise<void>((resolve) => { this.onTaken = resolve; });
    if (this.isOver) return;
    this.untaken += bytes.length;
    this.events.data(bytes.slice());
  }

  /** An answer of our own: what, why, and what to do. */
  private async page(request: Request | undefined, status: number, what: string, why: string, advice: string): Promise<void> {
    const escape = (text: string): string => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
    const body = toBytes(`<!doctype html><title>${escape(what)}</title><h1>${escape(what)}</h1><p>${escape(why)}</p><p>${escape(advice)}</p>\n`);
    const names: Record<number, string> = { 400: 'Bad Request', 413: 'Content Too Large', 431: 'Request Header Fields Too Large', 501: 'Not Implemented', 502: 'Bad Gateway' };
    if (request) request.keepsAlive = false;
    const head = toBytes(`HTTP/1.1 ${status} ${names[status] ?? 'Error'}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: ${body.length}\r\nconnection: close\r\nx-tabvisor: ${what.replace(/[^ -~]/g, '?')}\r\n\r\n`);
    await this.put(head);
    if (request?.method !== 'HEAD') await this.put(body);
  }

  private refuse(status: number, what: string, why: string, advice: string): void {
    this.isRefused = true;
    void this.page(undefined, status, what, why, advice).then(() => this.finish());
  }

  private release(request: Request): void {
    held -= request.body.length;
    request.body.clear();
  }

  private close(): void {
    this.isOver = true;
    for (const request of [...this.waiting, ...(this.request ? [this.request] : [])]) this.release(request);
    this.waiting.length = 0;
    this.request = undefined;
  }

  private finish(): void {
    if (this.isOver) return;
    this.close();
    this.events.ended();
  }
}
