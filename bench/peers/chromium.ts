// Machines in a page, in Debian's Chromium: Tabvisor's built page as `vite preview` serves it, and a page with v86.
// Every run has a browser of its own, started before the clock, so that no cache of an earlier run helps.

import { createServer, type Server } from 'node:http';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { basename, join } from 'node:path';
import { chromium, type Browser, type Page } from '@playwright/test';
import { preview, type PreviewServer } from 'vite';
import { joinLine } from '../../src/machine/words.ts';
import { type Guest, root } from '../guests.ts';
import { firmware } from './firmware.ts';
import type { Counters, Peer, Run } from './peer.ts';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
/** As in playwright.config.ts. Chromium's sandbox refuses to run as root. */
const FLAGS = [
  ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
  '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run', '--disable-quic',
  '--disable-dev-shm-usage',
];
/** How often the page looks at its console, ms: what a time may be too long. */
const LOOK_MS = 20;
/** How often the page is asked what it saw, ms: each time costs Node, the browser and the page some CPU, beside the guest's. */
const ASK_MS = 250;

/** What the watcher in the page keeps. */
interface Watch {
  text: string;
  /** Times of the dots, ms since the page's start (performance.now()). */
  dots: number[];
  seen: Record<string, number>;
  instructions: Record<string, number>;
}

declare global {
  interface Window {
    benchWatch: Watch;
    benchText?: () => string;
    benchInstructions?: () => number;
    /** Notes for PageRun.notes(). */
    benchNotes?: () => string[];
  }
}

class PageRun implements Run {
  constructor(
    private readonly browser: Browser,
    private readonly page: Page,
    /** What came before the page's own clock, s. */
    private readonly offsetS: number,
    private readonly until: string,
    /** Errors that the page did not handle, rejected promises among them. */
    private readonly errors: readonly string[],
  ) {}

  async untilText(text: string, timeoutS: number): Promise<number> {
    const from = performance.now();
    for (;;) {
      const { at, failed } = await this.page.evaluate((wanted) => {
        window.benchWatch.seen[wanted] ??= NaN;
        const time = window.benchWatch.seen[wanted];
        return { at: Number.isNaN(time) ? null : time, failed: document.querySelector<HTMLElement>('#failure-what')?.innerText };
      }, text);
      if (at !== null) return at / 1000 + this.offsetS;
      if (failed !== undefined || performance.now() - from > timeoutS * 1000) {
        const errors = this.errors.map((error) => `; error: ${error}`).join('');
        throw new Error(`${failed ?? `${timeoutS} s were not enough for`} "${text}"; the last it wrote: ${(await this.text()).slice(-300).trim()}${errors}`);
      }
      await new Promise((resolve) => setTimeout(resolve, ASK_MS));
    }
  }

  async counters(): Promise<Counters> {
    const instructions = await this.page.evaluate((wanted) => window.benchWatch.instructions[wanted], this.until);
    return instructions === undefined ? {} : { instructions };
  }

  marks(): [] {
    return [];
  }

  async dots(): Promise<number[]> {
    return (await this.page.evaluate(() => window.benchWatch.dots)).map((ms) => ms / 1000 + this.offsetS);
  }

  text(): Promise<string> {
    return this.page.evaluate(() => window.benchWatch.text);
  }

  async notes(): Promise<string[]> {
    const told = await this.page.evaluate(() => window.benchNotes?.() ?? []);
    return [...told, ...this.errors.map((error) => `BUT an error in the page: ${error}`)];
  }

  async stop(): Promise<void> {
    await this.browser.close();
  }
}

/** Looks at the console every LOOK_MS, in the page. */
function watcher({ lookMs, texts }: { lookMs: number; texts: string[] }): void {
  const watch: Watch = { text: '', dots: [], seen: {}, instructions: {} };
  window.benchWatch = watch;
  for (const text of texts) watch.seen[text] = NaN;
  let length = -1;
  setInterval(() => {
    const text = window.benchText?.() ?? (window as unknown as { tabvisor?: { consoleText(port: number): string } }).tabvisor?.consoleText(0);
    if (text === undefined) return;
    const now = performance.now();
    watch.text = text;
    if (text.length === length) return;
    length = text.length;
    const dots = text.split('.').length - 1;
    while (watch.dots.length < dots) watch.dots.push(now);
    for (const wanted of Object.keys(watch.seen)) {
      if (!Number.isNaN(watch.seen[wanted]) || !text.includes(wanted)) continue;
      watch.seen[wanted] = now;
      if (window.benchInstructions) watch.instructions[wanted] = window.benchInstructions();
    }
  }, lookMs);
}

async function openPage(url: string, texts: string[], prepare: (page: Page) => Promise<void> = async () => {}): Promise<PageRun> {
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
  try {
    const page = await browser.newPage({ viewport: { width: 1200, height: 760 } });
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(error.message));
    await page.addInitScript(watcher, { lookMs: LOOK_MS, texts });
    await prepare(page);
    const asked = Date.now();
    await page.goto(url, { waitUntil: 'commit' });
    const offsetS = (await page.evaluate(() => performance.timeOrigin) - asked) / 1000;
    return new PageRun(browser, page, offsetS, texts[texts.length - 1], errors);
  } catch (error) {
    await browser.close();
    throw error;
  }
}

let version: string | null | undefined;
function chromiumVersion(): string | null {
  if (version === undefined) {
    const { stdout, status } = spawnSync(CHROMIUM, [...FLAGS, '--version'], { encoding: 'utf8' });
    version = status === 0 ? /[\d.]+/.exec(stdout)![0] : null;
  }
  return version;
}
const noChromium = () => (chromiumVersion() === null ? `${CHROMIUM} is not installed` : undefined);

let previewing: Promise<PreviewServer> | undefined;
let serving: Promise<Server> | undefined;

/** End the servers. */
export async function closeServers(): Promise<void> {
  await (await previewing)?.close();
  const server = await serving;
  server?.closeAllConnections();
  server?.close();
}

export const tabvisorChromium: Peer = {
  name: 'tabvisor-chromium',
  title: 'Tabvisor, Chromium',
  missing: () => noChromium() ?? (existsSync(join(root, 'dist/index.html')) ? undefined : 'the page is not built: npm run build'),
  refuses: () => undefined,
  version: () => `Chromium ${chromiumVersion()}`,
  async start(guest, until = '') {
    previewing ??= preview({ root, configFile: join(root, 'vite.config.ts'), logLevel: 'warn', preview: { host: '127.0.0.1', port: 0 } });
    const url = (await previewing).resolvedUrls!.local[0];
    // What is bundled by the path that the page has it under, so that it comes as a visitor gets it; other files beside them.
    const bundled = join(root, 'guests/out/');
    const path = (file: string) => `guests/${file.startsWith(bundled) ? file.slice(bundled.length) : basename(file)}`;
    const words = [
      '-m', String(guest.memory), '-kernel', path(guest.kernel), ...(guest.initrd ? ['-initrd', path(guest.initrd)] : []),
      ...(guest.append ? ['-append', guest.append] : []), ...(guest.tabvisor ?? []),
    ];
    return openPage(`${url}#${encodeURI(joinLine(words))}`, until === '' ? [] : [until], async (page) => {
      for (const file of [guest.kernel, guest.initrd]) {
        if (file === undefined || file.startsWith(bundled)) continue;
        await page.context().route(`**/${path(file)}`, (route) => route.fulfill({
          body: readFileSync(file), contentType: 'application/octet-stream',
          headers: { 'cross-origin-resource-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' },
        }));
      }
    });
  },
};

// v86 does compile in Chromium, about as many modules as in Node, but its code comes late where processors are few or busy: it has one module on
// its way at a time and interprets until that is there. V8 optimises the functions of those that it has, up to 130 kB each and 0.1 to 0.5 s of work, in the
// renderer's three background threads, which have the priority of the guest's; a new module waits behind them, up to seconds where other programs
// have the processors. Parts of a second then show the interpreter: a twentieth. So the modules are told, and how long they took, and mix.ts tells
// what others had of the processors. Nothing else holds the page back: it is visible, its timers and its priority are not throttled (Playwright's own flags),
// no debugger is on (its WebAssembly code is TurboFan's), and without Playwright it is as fast.
const V86_PAGE = `<!doctype html><meta charset="utf-8"><title>v86</title>
<script type="module">
import { V86 } from './libv86.mjs';
// v86 tells of no module, and not of one that failed.
const { instantiate } = WebAssembly;
const took = [];
let asked = 0;
WebAssembly.instantiate = (...words) => {
  const from = performance.now();
  const made = instantiate(...words);
  asked++;
  made.then(() => took.push(performance.now() - from), () => {});
  return made;
};
window.benchNotes = () => {
  const sorted = took.toSorted((a, b) => a - b);
  const ms = (share) => sorted[Math.ceil(share * sorted.length) - 1].toFixed(0);
  return [took.length + ' of ' + asked + ' modules compiled, half within ' + ms(0.5) + ' ms, nine of ten within ' + ms(0.9) + ' ms'];
};
const given = JSON.parse(decodeURIComponent(location.hash.slice(1)));
const emulator = new V86({
  wasm_path: 'v86.wasm', memory_size: given.memory * 2 ** 20, vga_memory_size: 2 ** 21,
  bios: { url: 'bios' }, vga_bios: { url: 'vgabios' },
  ...(given.multiboot ? { multiboot: { url: 'kernel' } } : { bzimage: { url: 'kernel' }, initrd: { url: 'initrd' } }),
  cmdline: given.append, disable_keyboard: true, disable_mouse: true, disable_speaker: true, autostart: true,
});
let text = '';
emulator.add_listener('serial0-output-byte', (byte) => { text += String.fromCharCode(byte); });
window.benchText = () => text;
window.benchInstructions = () => emulator.get_instruction_counter();
</script>`;

/** Serves v86 and one guest at a time. */
let v86Files: Record<string, string> = {};

function v86Server(): Promise<Server> {
  return new Promise((resolve) => {
    const server = createServer((request, response) => {
      const name = request.url!.slice(1);
      if (name === '') {
        response.setHeader('content-type', 'text/html');
        return void response.end(V86_PAGE);
      }
      const file = v86Files[name];
      if (!file) {
        response.statusCode = 404;
        return void response.end();
      }
      response.setHeader('content-type', name.endsWith('.wasm') ? 'application/wasm' : name.endsWith('.mjs') ? 'text/javascript' : 'application/octet-stream');
      response.setHeader('content-length', statSync(file).size);
      response.end(readFileSync(file));
    });
    server.listen(0, '127.0.0.1', () => resolve(server));
  });
}

export const v86Chromium: Peer = {
  name: 'v86-chromium',
  title: 'v86, Chromium',
  missing: () => noChromium() ?? (existsSync(join(root, 'node_modules/v86')) ? firmware().missing : 'the npm package v86 is not installed'),
  refuses: (guest: Guest) => (guest.bits === 64 ? 'v86 has no 64-bit mode' : undefined),
  version: () => `Chromium ${chromiumVersion()}`,
  async start(guest, until = '') {
    serving ??= v86Server();
    const { bios, vgaBios } = firmware();
    v86Files = {
      'libv86.mjs': join(root, 'node_modules/v86/build/libv86.mjs'), 'v86.wasm': join(root, 'node_modules/v86/build/v86.wasm'),
      bios, vgabios: vgaBios, kernel: guest.kernel, ...(guest.initrd ? { initrd: guest.initrd } : {}),
    };
    const given = { memory: guest.memory, append: guest.append, multiboot: !guest.initrd };
    const { port } = (await serving).address() as AddressInfo;
    return openPage(`http://127.0.0.1:${port}/#${encodeURIComponent(JSON.stringify(given))}`, until === '' ? [] : [until]);
  },
};
