// Tests in Debian's Chromium, in two projects:
//   page     the page alone, with a stand-in for the machine worker (e2e/fake-machine.ts); builds itself
//   machine  the built page (npm run build) with the real engine and the bundled guests

import { existsSync } from 'node:fs';
import { defineConfig } from '@playwright/test';

export const FAKE_PORT = Number(process.env.TABVISOR_FAKE_PORT ?? 41731);
/** The test server of e2e/network.e2e.ts. */
export const WEB_PORT = Number(process.env.TABVISOR_WEB_PORT ?? 41732);
export const PORT = Number(process.env.TABVISOR_PORT ?? 41730);

const built = existsSync(new URL('./dist/index.html', import.meta.url));
const root = process.getuid?.() === 0;

export default defineConfig({
  testDir: 'e2e',
  outputDir: 'test-results',
  // A guest takes a core, and its boot is timed.
  workers: 1,
  fullyParallel: false,
  forbidOnly: Boolean(process.env.CI),
  reporter: [['list']],
  timeout: 60_000,
  expect: { timeout: 10_000 },
  use: {
    browserName: 'chromium',
    launchOptions: {
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: [
        // Chromium's sandbox refuses to run as root, as in many containers.
        ...(root ? ['--no-sandbox'] : []),
        '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run', '--disable-quic',
        '--disable-dev-shm-usage',
        // Servers that a guest reaches by name (e2e/network.e2e.ts).
        `--host-resolver-rules=MAP open.test 127.0.0.1:${WEB_PORT}, MAP closed.test 127.0.0.1:${WEB_PORT}`,
      ],
    },
    permissions: ['clipboard-read', 'clipboard-write'],
    // A trace takes pictures of the page's DOM, in tasks of the page that would count as its own.
    trace: 'off',
    screenshot: 'only-on-failure',
    viewport: { width: 1200, height: 760 },
  },
  projects: [
    { name: 'page', testMatch: /(page|preview)\.e2e\.ts/, use: { baseURL: `http://127.0.0.1:${FAKE_PORT}/` } },
    { name: 'machine', testMatch: /(machine|overlay|durability|disks|input|screen|network|media)\.e2e\.ts/, timeout: 240_000, use: { baseURL: `http://127.0.0.1:${PORT}/` } },
  ],
  webServer: [
    {
      command: `npx vite build --mode fake-machine --logLevel warn && npx vite preview --mode fake-machine --host 127.0.0.1 --port ${FAKE_PORT} --strictPort`,
      url: `http://127.0.0.1:${FAKE_PORT}/`, reuseExistingServer: false, stdout: 'ignore', timeout: 120_000,
    },
    // Without a build the machine tests say so themselves.
    ...(built ? [{
      command: `npx vite preview --host 127.0.0.1 --port ${PORT} --strictPort`,
      url: `http://127.0.0.1:${PORT}/`, reuseExistingServer: false, stdout: 'ignore' as const, timeout: 60_000,
    }] : []),
  ],
});
