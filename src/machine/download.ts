// Gets a file over HTTP with progress, and says in words what went wrong when it does not come.
// Uses only what browsers and Node share: fetch and streams.

import { MachineError } from './client.ts';

/** Called as bytes arrive, at most every 100 ms and once at the end. total is 0 where the server does not say. */
export type DownloadProgress = (loaded: number, total: number) => void;

const PROGRESS_INTERVAL_MS = 100;

/**
 * All bytes behind `url`.
 * A file may be kept on the server compressed: when the URL ends in .gz and the name it has in the machine line does not,
 * it is decompressed here. Content decides, not the URL, because many servers then send "Content-Encoding: gzip" and the
 * browser has decompressed it already. Progress counts the bytes that arrive.
 * @param name what to call the file in messages
 * @param early a request for it that is under way already
 * @throws MachineError
 */
export async function download(url: string, name: string, progress: DownloadProgress = () => {}, early?: Promise<Response>): Promise<Uint8Array> {
  let response: Response;
  try {
    // Why an early one failed is told by one that fails now.
    response = await early?.catch(() => undefined) ?? await fetch(url);
  } catch (error) {
    throw unreachable(url, name, error);
  }
  if (!response.ok) {
    const status = `${response.status}${response.statusText ? ` ${response.statusText}` : ''}`;
    throw new MachineError({
      what: `${name} could not be downloaded`,
      why: `The server answered ${status} for ${url}`,
      advice: response.status === 404
        ? 'Check the file name in the machine line; it is relative to the page.'
        : 'Check the address, or try again later.',
    });
  }
  if (/^text\/html\b/i.test(response.headers.get('content-type') ?? '') && !/\.html?$/i.test(name)) {
    throw new MachineError({
      what: `${name} could not be downloaded`,
      why: `The server answered ${response.status} for ${url}, but sent a web page in place of the file`,
      advice: 'Check the file name in the machine line; it is relative to the page.',
    });
  }
  const bytes = await readAll(response, url, name, progress);
  const packed = new URL(url, 'http://relative.invalid/').pathname.endsWith('.gz') && !name.endsWith('.gz');
  return packed && isGzip(bytes) ? gunzip(bytes, url, name) : bytes;
}

async function readAll(response: Response, url: string, name: string, progress: DownloadProgress): Promise<Uint8Array> {
  // With a Content-Encoding, Content-Length counts other bytes than those we get.
  const total = response.headers.has('content-encoding') ? 0 : Number(response.headers.get('content-length') ?? 0);
  let bytes = new Uint8Array(total || 1 << 20);
  let loaded = 0;
  let told = 0;
  progress(0, total);
  const reader = response.body!.getReader();
  for (;;) {
    let step: ReadableStreamReadResult<Uint8Array>;
    try {
      step = await reader.read();
    } catch (error) {
      throw new MachineError({
        what: `${name} could not be downloaded`,
        why: `The connection broke after ${loaded} of ${total || 'an unknown number of'} bytes of ${url} (${text(error)})`,
        advice: 'Check the network and try again.',
      });
    }
    if (step.done) break;
    if (loaded + step.value.length > bytes.length) {
      const larger = new Uint8Array(Math.max(bytes.length * 2, loaded + step.value.length));
      larger.set(bytes.subarray(0, loaded));
      bytes = larger;
    }
    bytes.set(step.value, loaded);
    loaded += step.value.length;
    const now = performance.now();
    if (now - told >= PROGRESS_INTERVAL_MS) {
      told = now;
      progress(loaded, total);
    }
  }
  if (total && loaded < total) {
    throw new MachineError({
      what: `${name} could not be downloaded`,
      why: `The server sent ${loaded} of ${total} bytes of ${url}`,
      advice: 'Check the network and try again.',
    });
  }
  progress(loaded, total || loaded);
  return loaded === bytes.length ? bytes : bytes.slice(0, loaded);
}

/** RFC 1952 section 2.3.1: ID1, ID2, CM. */
function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b && bytes[2] === 8;
}

async function gunzip(bytes: Uint8Array, url: string, name: string): Promise<Uint8Array> {
  try {
    const stream = new Blob([bytes as BlobPart]).stream().pipeThrough(new DecompressionStream('gzip'));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  } catch (error) {
    throw new MachineError({
      what: `${name} could not be decompressed`,
      why: `${url} is damaged (${text(error)})`,
      advice: 'Make the file again, or get a fresh copy.',
    });
  }
}

/** fetch says no more than "Failed to fetch" for everything that is no answer; name what it may be. */
function unreachable(url: string, name: string, error: unknown): MachineError {
  const elsewhere = typeof location !== 'undefined' && URL.canParse(url) && new URL(url).origin !== location.origin;
  const offline = typeof navigator !== 'undefined' && 'onLine' in navigator && navigator.onLine === false;
  return new MachineError({
    what: `${name} could not be downloaded`,
    why: `No answer for ${url} (${text(error)})`,
    advice: offline ? 'This computer is offline: connect it and try again.'
      : elsewhere ? 'The file is on another server. It must be reachable and allow this page to read it (Access-Control-Allow-Origin).'
      : 'Check that the server is running and the network works, then try again.',
  });
}

/** An error's message, with the cause that Node's fetch hides below it. */
function text(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
