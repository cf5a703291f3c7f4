// A link that boots a machine needs the page's program, that of its room, its worker, the engine, the list of guests, kernel and initrd, each of which
// asks for the next. By a script at the head of the page they come side by side: on a slow line that is four ways to the server less, on a fast one half a
// second, and kernel and initrd begin 0.7 s earlier (docs/performance-history.md, What a boot waits for).

import type { Plugin } from 'vite';
import type { Begun } from '../machine/early.ts';
import { LOCAL_PREFIX } from '../local-files.ts';
import { readGuests } from './guests.ts';

interface Parts {
  /** Programs and style sheets of the machine's room. */
  readonly modules: readonly string[];
  readonly styles: readonly string[];
  /** What is fetched by JavaScript, as it is fetched there. */
  readonly files: readonly string[];
  /** Program of the machine's worker. */
  readonly worker: string | undefined;
  /** Where bundled guests' files are that have another name in a machine line. */
  readonly places: Readonly<Record<string, string>>;
  /** What a machine line calls files that the user gave to the page begins so. */
  readonly local: string;
}

/** Runs in the page, before anything else, in any browser; src/ui/machine/early.ts has what it leaves. */
function early(parts: Parts): void {
  const room = location.hash.slice(1);
  // Without isolation the page is loaded again.
  if (room === '' || room === 'help' || !self.crossOriginIsolated) return;
  const link = (rel: string, href: string, as: string): void => {
    const element = document.createElement('link');
    element.rel = rel;
    element.href = href;
    if (as) element.setAttribute('as', as);
    // As fetch() and Vite's loader ask for them; otherwise they are loaded twice.
    if (as) element.crossOrigin = 'anonymous';
    document.head.appendChild(element);
  };
  parts.modules.forEach((href) => link('modulepreload', href, ''));
  parts.styles.forEach((href) => link('preload', href, 'style'));
  parts.files.forEach((href) => link('preload', href, 'fetch'));
  if (!parts.worker) return;
  const worker = new Worker(parts.worker, { type: 'module', name: 'machine' });
  // The line's quotes and its modules are read later; what this does not understand is fetched then.
  const files: Record<string, Promise<Response>> = {};
  const end = new AbortController();
  const words = /(?:^|\s|%20)-(?:kernel|initrd)(?:\s|%20)+([\w./:~-]+)(?=\s|%20|$)/g;
  for (let found = words.exec(room); found; found = words.exec(room)) {
    const name = found[1];
    if (name.startsWith(parts.local)) continue;
    // All that comes is taken at once; a body that nobody reads would stop after half a megabyte.
    files[name] = fetch(parts.places[name] ?? name, { priority: 'low', signal: end.signal })
      .then((response) => response.body ? new Response(response.body.pipeThrough(new TransformStream({}, undefined, { highWaterMark: Infinity })), response) : response);
    files[name].catch(() => {});
  }
  const left: Begun = { worker, hasFailed: false, files, end };
  worker.onerror = (event) => {
    // Whoever starts the machine tries again, and says why.
    event.preventDefault();
    left.hasFailed = true;
  };
  (self as unknown as { tabvisorEarly: Begun }).tabvisorEarly = left;
}

/** @param guests guests/out */
export function earlyPlugin(guests: string): Plugin {
  return {
    name: 'tabvisor-early',
    apply: 'build',
    enforce: 'post',
    generateBundle: {
      order: 'post',
      handler(_options, bundle) {
        const html = bundle['index.html'];
        if (html?.type !== 'asset') return this.error('there is no index.html among what is built');
        const room = Object.values(bundle).find((it) => it.type === 'chunk' && it.facadeModuleId?.endsWith('/machine-room.tsx'));
        if (room?.type !== 'chunk') return this.error('the machine’s room is no file of its own');
        const parts: Parts = {
          modules: [room.fileName, ...room.imports],
          styles: [...(room.viteMetadata?.importedCss ?? [])],
          files: ['guests/index.json'],
          places: Object.fromEntries(readGuests(guests).flatMap(({ files }) => files.filter(({ name, url }) => name !== url).map(({ name, url }) => [name, url]))),
          local: LOCAL_PREFIX,
          worker: Object.keys(bundle).find((name) => /^assets\/machine-(?!room)[\w-]+\.js$/.test(name)),
        };
        const script = `<script>(${early.toString()})(${JSON.stringify(parts)})</script>`;
        const text = String(html.source);
        const at = text.indexOf('<script type="module"');
        if (at < 0) return this.error('index.html has no program');
        html.source = text.slice(0, at) + script + text.slice(at);
      },
    },
  };
}
