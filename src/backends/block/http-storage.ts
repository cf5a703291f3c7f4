// A file behind a URL, read by HTTP range requests: RFC 9110, section 14. The file must stay as it is while it is used; ETag and
// Last-Modified say whether it did.

import { CHUNK, ChunkedStorage } from './chunked-storage.ts';
import { DiskFailure } from './failure.ts';

/** A file up to this size is taken whole from a server that knows no ranges. */
const WHOLE = 16 << 20;
/** Tries of one request, and the pause before the second, which doubles. */
const TRIES = 4;
const PAUSE_MS = 250;
/** How long a server may take to begin an answer. How long the answer takes is the network's matter. */
const ANSWER_MS = 30_000;

/** What is remembered of a file, to know it again. */
export interface Fingerprint {
  size: number;
  /** ETag, or Last-Modified where there is none; empty where the server tells neither. */
  version: string;
}

export interface HttpFile {
  storage: ChunkedStorage;
  fingerprint: Fingerprint;
}

const versionOf = (response: Response): string => response.headers.get('etag') ?? response.headers.get('last-modified') ?? '';

/**
 * Look at what a URL names. Rejects with a DiskFailure.
 * @param name as the machine line calls it
 * @param answerMs how long an answer may take to begin
 */
export async function openHttp(url: string, name: string, get: typeof fetch = (...args) => fetch(...args), answerMs = ANSWER_MS): Promise<HttpFile> {
  const fail = (why: string, advice: string): never => {
    throw new DiskFailure({ what: `The disk ${name} cannot be read`, why, advice });
  };
  const foreign = typeof location !== 'undefined' && new URL(url).origin !== location.origin;
  const request = async (offset: number, length: number, method = 'GET'): Promise<Response> => {
    for (let attempt = 1; ; attempt++) {
      const abort = new AbortController();
      const timer = setTimeout(() => abort.abort(), answerMs);
      try {
        const headers: Record<string, string> = method === 'GET' ? { range: `bytes=${offset}-${offset + length - 1}` } : {};
        // Chunks are kept here; the browser's own store would only hold them twice, or serve parts of an older file.
        const response = await get(url, { method, headers, cache: 'no-store', signal: abort.signal });
        if (response.status < 500 && response.status !== 429) return response;
        if (attempt === TRIES) return fail(`The server answered with status ${response.status}`, 'Try again later.');
      } catch (error) {
        if (error instanceof DiskFailure) throw error;
        if (attempt === TRIES && abort.signal.aborted) return fail('The server takes the request and does not answer', 'Try again later, or download the file and drop it on the page.');
        if (attempt === TRIES) {
          return fail(
            foreign ? 'The server could not be reached, or does not allow pages of other origins to read from it (CORS)' : 'The server could not be reached',
            foreign
              ? 'Check the address and the network. The server has to send Access-Control-Allow-Origin; where it does not, download the file and drop it on the page.'
              : 'Check the address and the network, then try again.',
          );
        }
      } finally {
        clearTimeout(timer);
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS * 2 ** (attempt - 1)));
    }
  };

  const first = await request(0, CHUNK);
  if (first.status === 404 || first.status === 410) fail('There is no such file on the server', 'Check the address in the machine line.');
  if (first.status === 416) fail('The file is empty', 'Check the address in the machine line.');
  if (!first.ok) fail(`The server answered with status ${first.status}`, first.status === 401 || first.status === 403 ? 'It asks for a permission that this page has not: download the file and drop it on the page.' : 'Check the address in the machine line.');
  if (first.headers.get('content-encoding')) {
    void first.body?.cancel();
    fail(`The server sends it compressed (${first.headers.get('content-encoding')}), so that places in it mean nothing`, 'Switch compression off for this file on the server, or download the file and drop it on the page.');
  }
  const version = versionOf(first);
  if (first.status === 200) {
    const length = Number(first.headers.get('content-length') ?? NaN);
    if (!(length <= WHOLE)) {
      void first.body?.cancel();
      fail('Its server does not send parts of files (HTTP ranges), and the file is too large to be loaded whole', 'Use a server that supports ranges, as most do, or download the file and drop it on the page.');
    }
    const bytes = new Uint8Array(await first.arrayBuffer());
    return { storage: new ChunkedStorage(bytes.length, async (offset, size) => bytes.slice(offset, offset + size)), fingerprint: { size: bytes.length, version } };
  }
  if (first.status !== 206) fail(`The server answered with status ${first.status}`, 'Check the address in the machine line.');

  // The size stands in Content-Range, which a server of another origin must allow to be seen; Content-Length always may be.
  let size = Number(/\/(\d+)$/.exec(first.headers.get('content-range') ?? '')?.[1] ?? NaN);
  let head: Uint8Array | undefined = new Uint8Array(await first.arrayBuffer());
  if (Number.isNaN(size) && head.length < CHUNK) size = head.length;
  if (Number.isNaN(size)) {
    const answer = await request(0, 0, 'HEAD');
    size = Number(answer.headers.get('content-length') ?? NaN);
    if (!answer.ok || Number.isNaN(size)) fail('The server does not tell how large it is', 'The server has to send Access-Control-Expose-Headers: Content-Range; or download the file and drop it on the page.');
  }
  const changed = (): never =>
    fail('The file on the server was changed while it was in use', 'Start the machine again, to work on the new file. What the guest wrote belongs to the old one.');
  const storage = new ChunkedStorage(size, async (offset, length) => {
    if (offset === 0 && head && length <= head.length) {
      const bytes = head.slice(0, length);
      head = undefined;
      return bytes;
    }
    const response = await request(offset, length);
    if (response.status === 416) changed();
    if (response.status !== 206) fail(`The server answered with status ${response.status}`, 'Check that the file is still there.');
    const total = Number(/\/(\d+)$/.exec(response.headers.get('content-range') ?? '')?.[1] ?? size);
    if (total !== size || versionOf(response) !== version) changed();
    const bytes = new Uint8Array(await response.arrayBuffer());
    if (bytes.length !== length) fail(`The server sent ${bytes.length} bytes where ${length} were asked for`, 'Try again; if it happens again, the server is at fault.');
    return bytes;
  });
  return { storage, fingerprint: { size, version } };
}
