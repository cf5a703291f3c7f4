// A guest's documents and style sheets, made so that they need nothing from the network: in the preview a document has no origin, so that
// no service worker answers for what it loads. What it names is put into it as data: addresses; links and forms are made to stay
// below the preview's address; and frame-script.js, put in front, has what comes later asked for by the page.
//
// The documents are parsed inertly (DOMParser): nothing in them runs or loads here.

import frameScript from './frame-script.js?raw';
import { placeOf, type PreviewPort } from './address.ts';

/** What a guest's server says to a GET for part of a document; undefined: nothing of use. */
export type Loader = (target: string) => Promise<{ type: string; bytes: Uint8Array } | undefined>;

export interface Context {
  /** The document's address. */
  url: string;
  /** Address of the guest's root, without the slash. */
  prefix: string;
  port: PreviewPort;
  load: Loader;
}

/** Parts of one document, and their bytes, at most. */
const MAX_PARTS = 300;
const MAX_BYTES = 32 * 1024 * 1024;
const MAX_IMPORTS = 4;

/** The text of a guest's document, in its encoding. */
export function decodeText(bytes: Uint8Array, type: string): string {
  const head = new TextDecoder('latin1').decode(bytes.subarray(0, 1024));
  const label = /charset=["']?([\w-]+)/i.exec(type)?.[1] ?? /<meta[^>]+charset=["']?([\w-]+)/i.exec(head)?.[1] ?? 'utf-8';
  try {
    return new TextDecoder(label).decode(bytes);
  } catch {
    return new TextDecoder().decode(bytes);
  }
}

/** Part of a document as an address that holds it. Chunks: a call has only so many arguments. */
export function dataUrl(type: string, bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return `data:${type.replace(/[\s,]/g, '') || 'application/octet-stream'};base64,${btoa(text)}`;
}

/** Each part once, a few at a time, and not too many. */
class Parts {
  private readonly known = new Map<string, Promise<string | undefined>>();
  private bytes = 0;

  constructor(private readonly context: Context) {}

  /** @param base of the document or style sheet that names it  @returns what holds it, or undefined if it cannot be had */
  get(url: string, base: string, depth = 0): Promise<string | undefined> {
    const place = placeOf(url, base, this.context.prefix, this.context.port);
    if (!place || !('inside' in place)) return Promise.resolve(undefined);
    const { inside } = place;
    let part = this.known.get(inside);
    if (!part) {
      if (this.known.size >= MAX_PARTS) return Promise.resolve(undefined);
      this.known.set(inside, (part = this.load(inside, depth)));
    }
    return part;
  }

  private async load(target: string, depth: number): Promise<string | undefined> {
    if (this.bytes > MAX_BYTES) return undefined;
    const part = await this.context.load(target);
    if (!part) return undefined;
    this.bytes += part.bytes.length;
    if (this.bytes > MAX_BYTES) return undefined;
    if (!/^text\/css/i.test(part.type)) return dataUrl(part.type, part.bytes);
    if (depth >= MAX_IMPORTS) return undefined;
    return dataUrl('text/css;charset=utf-8', new TextEncoder().encode(await this.css(decodeText(part.bytes, part.type), this.context.prefix + target, depth + 1)));
  }

  /** A style sheet with what it names in it. */
  async css(text: string, base: string, depth = 0): Promise<string> {
    const found: { start: number; end: number; url: string }[] = [];
    const pattern = /url\(\s*(?:"([^"\n]*)"|'([^'\n]*)'|([^"'()\s]+))\s*\)|@import\s+(?:"([^"\n]*)"|'([^'\n]*)')/gi;
    for (let match = pattern.exec(text); match; match = pattern.exec(text)) {
      const url = match.slice(1).find((group) => group !== undefined);
      if (url && !/^(?:data:|#)/i.test(url)) found.push({ start: match.index, end: pattern.lastIndex, url });
    }
    const parts = await Promise.all(found.map(({ url }) => this.get(url, base, depth)));
    let out = '';
    let at = 0;
    found.forEach(({ start, end }, n) => {
      const isImport = /^@import/i.test(text.slice(start, start + 7));
      out += `${text.slice(at, start)}${isImport ? '@import ' : ''}url("${parts[n] ?? 'data:,'}")`;
      at = end;
    });
    return out + text.slice(at);
  }
}

/** Attributes that name a part of the document. */
const PARTS: readonly (readonly [selector: string, attribute: string])[] = [
  ['img[src]', 'src'], ['input[type="image"][src]', 'src'], ['script[src]', 'src'], ['video[src]', 'src'], ['audio[src]', 'src'], ['source[src]', 'src'], ['track[src]', 'src'],
  ['video[poster]', 'poster'], ['link[rel~="stylesheet"][href]', 'href'], ['link[rel~="icon"][href]', 'href'], ['body[background]', 'background'], ['image[href]', 'href'], ['use[href]', 'href'],
];
/** Attributes that lead elsewhere. */
const LINKS: readonly (readonly [selector: string, attribute: string])[] = [['a[href]', 'href'], ['area[href]', 'href'], ['form[action]', 'action'], ['[formaction]', 'formaction']];

/** A guest's document, ready to be shown. */
export async function prepareDocument(html: string, context: Context): Promise<string> {
  const page = new DOMParser().parseFromString(html, 'text/html');
  const { prefix, port } = context;
  const baseElement = page.querySelector('base[href]');
  let base = context.url;
  if (baseElement) {
    const place = placeOf(baseElement.getAttribute('href')!, context.url, prefix, port);
    if (place && 'inside' in place) {
      base = prefix + place.inside;
      baseElement.setAttribute('href', base);
    } else baseElement.removeAttribute('href');
  }
  // It would forbid what holds the parts.
  for (const meta of page.querySelectorAll('meta[http-equiv]')) {
    const name = meta.getAttribute('http-equiv')!.toLowerCase();
    if (name === 'content-security-policy') meta.remove();
    else if (name === 'refresh') {
      const match = /^(\s*[\d.]+\s*[;,]\s*(?:url\s*=\s*)?)["']?([^"']+)["']?\s*$/i.exec(meta.getAttribute('content') ?? '');
      const place = match && placeOf(match[2], base, prefix, port);
      if (place) meta.setAttribute('content', 'inside' in place ? `${match[1]}${prefix}${place.inside}` : '');
    }
  }
  for (const [selector, attribute] of LINKS) {
    for (const element of page.querySelectorAll(selector)) {
      element.removeAttribute('target');
      element.removeAttribute('ping');
      const written = element.getAttribute(attribute)!;
      const place = written.startsWith('#') ? undefined : placeOf(written, base, prefix, port);
      if (place && 'inside' in place) element.setAttribute(attribute, prefix + place.inside + (/#.*$/.exec(written)?.[0] ?? ''));
    }
  }
  for (const frame of page.querySelectorAll('iframe, frame, object, embed')) {
    const note = page.createElement('p');
    note.textContent = `[${frame.localName}: ${frame.getAttribute('src') ?? frame.getAttribute('data') ?? ''} is not shown in a preview]`;
    frame.replaceWith(note);
  }
  const parts = new Parts(context);
  const work: Promise<void>[] = [];
  for (const [selector, attribute] of PARTS) {
    for (const element of page.querySelectorAll(selector)) {
      const written = element.getAttribute(attribute)!;
      if (/^(?:data:|#)/i.test(written)) continue;
      element.removeAttribute('integrity');
      element.removeAttribute('crossorigin');
      element.removeAttribute('srcset');
      work.push(parts.get(written, base).then((held) => {
        if (held) element.setAttribute(attribute, held);
      }));
    }
  }
  for (const style of page.querySelectorAll('style')) work.push(parts.css(style.textContent ?? '', base).then((text) => { style.textContent = text; }));
  for (const element of page.querySelectorAll('[style*="url("]')) work.push(parts.css(element.getAttribute('style')!, base).then((text) => element.setAttribute('style', text)));
  await Promise.all(work);
  const script = page.createElement('script');
  script.textContent = `${frameScript}\n(${JSON.stringify({ prefix, port })});`;
  page.head.prepend(script);
  return `${page.doctype ? '<!doctype html>' : ''}${page.documentElement.outerHTML}`;
}
