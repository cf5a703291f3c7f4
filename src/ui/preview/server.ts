// Answers for a guest's web server in the preview: what the service worker (public/preview-sw.js) asks for documents, and the documents
// themselves (frame-script.js) for the rest, goes to the guest through the machine's user-mode network.
// A guest is hostile: all that it can ask for here are pages of its own.

import type { GuestAnswer, GuestRequest, GuestResponse } from '../../machine/network-io.ts';
import { hostHeader, placeOf, type PreviewPort } from './address.ts';
import { dataUrl, decodeText, prepareDocument } from './content.ts';
import { CookieJar } from './cookies.ts';

/** How a document came, for who shows it. */
export type Outcome =
  | { kind: 'shown'; target: string; status: number }
  /** Nobody answers at the port, or not in HTTP. */
  | { kind: 'silent' | 'broken'; target: string; why: string }
  /** The server sends to another one. */
  | { kind: 'leaves'; url: string }
  | { kind: 'file'; name: string; type: string; bytes: Uint8Array<ArrayBuffer> };

export interface PreviewHost {
  ask(port: PreviewPort, request: GuestRequest): Promise<GuestAnswer>;
  /** A document was asked for: what became of it. */
  outcome(port: number, outcome: Outcome): void;
}

/** What goes to the service worker. `location`: below its scope. */
interface Answer {
  status: number;
  headers: [string, string][];
  body?: Uint8Array<ArrayBuffer> | string;
  location?: string;
}

const SCOPE = 'preview/';
const MAX_REDIRECTS = 5;
/** A document that is longer is offered as a file: making it ready would hold the page up. */
const MAX_DOCUMENT = 4 * 1024 * 1024;
/** Requests of documents' own that may wait at once. */
const MAX_WAITING = 64;
/** What browsers show by themselves. A sandboxed document shows no PDF. */
const SHOWN = /^(?:text\/|image\/|audio\/|video\/|application\/(?:json|xml|xhtml\+xml|javascript|ecmascript)\b|.*\+(?:json|xml)\b)/i;
/** Headers that a guest's script may not make up. */
const OWN_HEADERS = new Set(['host', 'cookie', 'connection', 'content-length', 'transfer-encoding', 'keep-alive', 'upgrade', 'te', 'trailer', 'expect', 'accept-encoding', 'origin', 'referer', 'proxy-connection']);
/** Of an answer to a script: not the ones of the connection. */
const DROPPED_HEADERS = new Set(['connection', 'keep-alive', 'transfer-encoding', 'content-length', 'set-cookie', 'upgrade']);

const headerOf = ({ headers }: GuestResponse, name: string): string | undefined => headers.find(([key]) => key === name)?.[1];

export class PreviewServer {
  private readonly id = crypto.randomUUID();
  private readonly jar = new CookieJar();
  private readonly scope = new URL(SCOPE, document.baseURI).href;
  private waiting = 0;
  private isReady: Promise<void> | undefined;

  constructor(
    private readonly ports: readonly PreviewPort[],
    private readonly host: PreviewHost,
  ) {}

  /** Resolves when documents can be asked for. Rejects with an Error that says why not. */
  start(): Promise<void> {
    return this.isReady ??= this.begin();
  }

  private async begin(): Promise<void> {
    if (!('serviceWorker' in navigator)) throw new Error('This browser or window offers no service worker, which the preview needs');
    navigator.serviceWorker.addEventListener('message', this.onRequest);
    navigator.serviceWorker.startMessages();
    const registration = await navigator.serviceWorker.register(new URL('preview-sw.js', document.baseURI), { scope: this.scope });
    const worker = registration.active ?? registration.waiting ?? registration.installing;
    await new Promise<void>((resolve, reject) => {
      const look = () => {
        if (worker?.state === 'activated') resolve();
        else if (worker?.state === 'redundant') reject(new Error('The service worker of the preview could not be started'));
      };
      worker?.addEventListener('statechange', look);
      look();
    });
    confineFrames(this.scope);
  }

  stop(): void {
    navigator.serviceWorker?.removeEventListener('message', this.onRequest);
  }

  /** Address of a guest's page in the browser. */
  address(port: number, target: string): string {
    return this.prefix(port) + target;
  }

  private prefix(port: number): string {
    return `${this.scope}${this.id}/${port}`;
  }

  // ---- documents, by way of the service worker

  private readonly onRequest = (event: MessageEvent): void => {
    const { tabvisorPreview, rest, method, headers, body } = (event.data ?? {}) as { tabvisorPreview?: string; rest: string; method: string; headers: [string, string][]; body?: Uint8Array };
    const [reply] = event.ports;
    if (tabvisorPreview !== this.id || !reply) return;
    reply.postMessage('mine');
    const match = /^(\d{1,3})(\/.*)?$/.exec(rest);
    const port = match ? this.ports[Number(match[1])] : undefined;
    if (!match || !port) return reply.postMessage({ status: 404, headers: [], body: 'No such port.' } satisfies Answer);
    this.document(Number(match[1]), port, { method, target: match[2] ?? '/', headers, ...(body ? { body } : {}) }).then(
      (answer) => reply.postMessage(answer),
      (error: Error) => reply.postMessage({ status: 500, headers: [], body: error.message } satisfies Answer),
    );
  };

  private async document(n: number, port: PreviewPort, request: GuestRequest): Promise<Answer> {
    const { target } = request;
    const answer = await this.ask(port, request);
    if ('failed' in answer) {
      this.host.outcome(n, { kind: answer.failed, target, why: answer.why });
      return note('');
    }
    const to = headerOf(answer, 'location');
    if ([301, 302, 303, 307, 308].includes(answer.status) && to !== undefined) return this.redirect(n, port, request, answer, to);
    const type = headerOf(answer, 'content-type') ?? 'text/html';
    const disposition = headerOf(answer, 'content-disposition') ?? '';
    const isDocument = /^(?:text\/html|application\/xhtml\+xml)/i.test(type);
    if (/^\s*attachment/i.test(disposition) || !SHOWN.test(type) || (isDocument && answer.body.length > MAX_DOCUMENT)) {
      const name = /filename="?([^";]+)/i.exec(disposition)?.[1] ?? target.replace(/\?.*/, '').split('/').pop() ?? '';
      this.host.outcome(n, { kind: 'file', name: name.replace(/[^\w.+-]+/g, '_') || 'file', type, bytes: answer.body });
      return note('This is a file; the bar above saves it.');
    }
    let { body }: { body: Uint8Array<ArrayBuffer> | string } = answer;
    if (isDocument) {
      const prefix = this.prefix(n);
      body = await prepareDocument(decodeText(answer.body, type), { url: prefix + target, prefix, port, load: (part) => this.part(port, part) });
    }
    this.host.outcome(n, { kind: 'shown', target, status: answer.status });
    return { status: answer.status === 304 ? 200 : answer.status, headers: [['content-type', isDocument ? 'text/html; charset=utf-8' : type]], body };
  }

  /** The browser follows it with a new request, so that the address is right. */
  private redirect(n: number, port: PreviewPort, request: GuestRequest, answer: GuestResponse, to: string): Promise<Answer> | Answer {
    const prefix = this.prefix(n);
    const place = placeOf(to, prefix + request.target, prefix, port);
    if (place && 'inside' in place) {
      const again = (answer.status === 307 || answer.status === 308) && request.body;
      // The method stays, and the body: a browser would ask for it again, and the worker no longer has it.
      if (again) return this.document(n, port, { ...request, target: place.inside });
      return { status: 303, headers: [], location: `${this.id}/${n}${place.inside}` };
    }
    if (place) this.host.outcome(n, { kind: 'leaves', url: place.outside });
    return note('The guest’s server sends you elsewhere.');
  }

  // ---- what documents ask for themselves

  /** A message of a document in the preview. @param say answers it  @returns what else it says */
  message(n: number, data: unknown, say: (answer: object) => void): { title?: string; leaves?: string } {
    const { asks, method, target, headers, body, shows, leaves } = (data ?? {}) as Record<string, unknown>;
    if (typeof shows === 'string') return { title: shows.slice(0, 200) };
    if (typeof leaves === 'string') return /^(?:https?|mailto):/i.test(leaves) ? { leaves: leaves.slice(0, 2000) } : {};
    const port = this.ports[n];
    if (typeof asks !== 'number' || typeof method !== 'string' || typeof target !== 'string' || !port) return {};
    if (this.waiting >= MAX_WAITING) {
      say({ answers: asks });
      return {};
    }
    this.waiting++;
    void (method === 'PART' ? this.held(n, port, target) : this.scripted(port, {
      method, target: target.replace(/#.*/, ''), headers: Array.isArray(headers) ? headers.filter(isHeader) : [], ...(body instanceof Uint8Array ? { body } : {}),
    })).then((answer) => say({ answers: asks, ...answer }), () => say({ answers: asks })).finally(() => { this.waiting--; });
    return {};
  }

  private async scripted(port: PreviewPort, request: GuestRequest): Promise<object> {
    const { answer, target } = await this.follow(port, request);
    if ('failed' in answer) return {};
    return { status: answer.status, reason: answer.reason, headers: answer.headers.filter(([name]) => !DROPPED_HEADERS.has(name)), body: answer.body, target };
  }

  private async held(n: number, port: PreviewPort, target: string): Promise<object> {
    const part = await this.part(port, target);
    if (!part) return {};
    if (!/^text\/css/i.test(part.type)) return { held: dataUrl(part.type, part.bytes) };
    const prefix = this.prefix(n);
    const page = await prepareDocument(`<style>${decodeText(part.bytes, part.type).replace(/<\/style/gi, '')}</style>`, { url: prefix + target, prefix, port, load: (inner) => this.part(port, inner) });
    const text = /<style>([^]*)<\/style>/.exec(page)?.[1] ?? '';
    return { held: dataUrl('text/css;charset=utf-8', new TextEncoder().encode(text)) };
  }

  private async part(port: PreviewPort, target: string): Promise<{ type: string; bytes: Uint8Array } | undefined> {
    const { answer } = await this.follow(port, { method: 'GET', target, headers: [['accept', '*/*']] });
    if ('failed' in answer || answer.status >= 400) return undefined;
    return { type: headerOf(answer, 'content-type') ?? 'application/octet-stream', bytes: answer.body };
  }

  private async follow(port: PreviewPort, request: GuestRequest): Promise<{ answer: GuestAnswer; target: string }> {
    let { target } = request;
    let { method, body } = request;
    for (let n = 0; ; n++) {
      const answer = await this.ask(port, { method, target, headers: request.headers, ...(body ? { body } : {}) });
      const to = 'failed' in answer || ![301, 302, 303, 307, 308].includes(answer.status) ? undefined : headerOf(answer as GuestResponse, 'location');
      const place = to === undefined || n >= MAX_REDIRECTS ? undefined : placeOf(to, `http://${hostHeader(port)}${target}`, `http://${hostHeader(port)}`, port);
      if (!place || !('inside' in place)) return { answer, target };
      target = place.inside;
      if ((answer as GuestResponse).status < 304 && method !== 'HEAD') {
        method = 'GET';
        body = undefined;
      }
    }
  }

  private async ask(port: PreviewPort, { method, target, headers, body }: GuestRequest): Promise<GuestAnswer> {
    const path = target.replace(/\?.*/, '');
    const cookies = this.jar.header(path);
    const answer = await this.host.ask(port, {
      method, target, ...(body ? { body } : {}),
      headers: [['host', hostHeader(port)], ...headers.filter(([name]) => !OWN_HEADERS.has(name.toLowerCase())), ...(cookies ? [['cookie', cookies] as const] : [])],
    });
    if (!('failed' in answer)) for (const [name, value] of answer.headers) if (name === 'set-cookie') this.jar.set(value, path);
    return answer;
  }
}

const isHeader = (pair: unknown): pair is [string, string] => Array.isArray(pair) && pair.length === 2 && pair.every((text) => typeof text === 'string');

/** A document of our own, where there is none of the guest's. */
function note(text: string): Answer {
  return { status: 200, headers: [['content-type', 'text/html; charset=utf-8']], body: `<!doctype html><meta name="color-scheme" content="light dark"><body style="font:1rem/1.5 system-ui,sans-serif;margin:2rem">${text}` };
}

/** From now on no frame of this page shows anything but previews: a guest's document could otherwise load this page itself in its frame. */
function confineFrames(scope: string): void {
  if (document.head.querySelector('meta[data-preview]')) return;
  const policy = document.createElement('meta');
  policy.httpEquiv = 'Content-Security-Policy';
  policy.content = `frame-src ${scope}`;
  policy.dataset.preview = '';
  document.head.append(policy);
}
