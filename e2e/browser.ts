// A browser of its own, with a profile that outlives it, that can be killed as a power cut would.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, chromium, type Page, test } from '@playwright/test';

/** Of a start, on a computer that does other things, ms. */
const PATIENCE_MS = 180_000;

export class KillableBrowser {
  readonly profile = mkdtempSync(join(tmpdir(), 'tabvisor-profile-'));
  private process: ChildProcess | undefined;
  private browser: Browser | undefined;

  /** @returns a page of it */
  async start(): Promise<Page> {
    const child = spawn(
      process.env.CHROMIUM ?? '/usr/bin/chromium',
      [
        '--headless=new', '--remote-debugging-port=0', `--user-data-dir=${this.profile}`, ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
        '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run', '--disable-dev-shm-usage', 'about:blank',
      ],
      // A group of its own, so that all of its processes can be killed at once.
      { detached: true, stdio: ['ignore', 'ignore', 'pipe'] },
    );
    this.process = child;
    const address = await new Promise<string>((resolve, reject) => {
      let text = '';
      child.stderr!.on('data', (bytes: Buffer) => {
        text += bytes.toString();
        const found = /DevTools listening on (ws:\S+)/.exec(text);
        if (found) resolve(found[1]);
      });
      child.on('exit', () => reject(new Error(`the browser did not start:\n${text}`)));
    });
    this.browser = await chromium.connectOverCDP(address, { timeout: PATIENCE_MS });
    const [context] = this.browser.contexts();
    return context.pages()[0] ?? (await context.newPage());
  }

  async newPage(): Promise<Page> {
    return this.browser!.contexts()[0].newPage();
  }

  /** SIGKILL to all of its processes. */
  async kill(): Promise<void> {
    const child = this.process;
    if (!child?.pid || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    process.kill(-child.pid, 'SIGKILL');
    await ended;
    // After a power cut nothing of the old browser runs beside the new one.
    for (let isThere = true; isThere; ) {
      try {
        process.kill(-child.pid, 0);
        await new Promise((resolve) => setTimeout(resolve, 20));
      } catch {
        isThere = false;
      }
    }
    this.process = undefined;
  }

  async end(): Promise<void> {
    await this.kill();
    const { status, expectedStatus } = test.info();
    // What a browser has left behind is all there is to learn from.
    if (status !== expectedStatus) return console.log(`the browser's profile is kept: ${this.profile}`);
    rmSync(this.profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
  }
}
