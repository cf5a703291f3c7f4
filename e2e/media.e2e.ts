// What Debian packages for PCs, booted in the page by firmware, by a link that names the medium: GRUB's rescue CD with commands typed.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, type Page } from '@playwright/test';
import { KEYS, usKey } from '../src/devices/keys.ts';
import { type FileServer, serveFiles } from './file-server.ts';
import { open } from './room.ts';

const GUESTS = 'guests/out';
const FILES = { 'grub.iso': 'media/grub-cdrom.iso' };
const BOOT_MS = 600_000;

let files: FileServer;
test.beforeAll(async () => {
  if (!existsSync('dist/index.html')) throw new Error('There is no dist/: run "npm run build" first.');
  const paths = Object.fromEntries(Object.entries(FILES).map(([name, path]) => [name, join(GUESTS, path)]));
  for (const path of Object.values(paths)) if (!existsSync(path)) throw new Error(`There is no ${path}: run node guests/make.mjs media`);
  files = await serveFiles(paths);
});
test.afterAll(() => files?.close());

const screenText = (page: Page) => page.evaluate(() => window.tabvisor?.screenText() ?? '');

/** Press keys as a person does on a US keyboard: Playwright types a character without the Shift that it needs. */
async function type(page: Page, text: string): Promise<void> {
  for (const character of text) {
    const { key, shift } = usKey(character)!;
    await page.keyboard.press(`${shift ? 'Shift+' : ''}${KEYS[key].code}`);
    await page.waitForTimeout(40);
  }
}

/** Type a command until its answer comes: on a busy computer a key may be held so long that it repeats, and then the line is another one. */
async function command(page: Page, text: string, answer: RegExp): Promise<void> {
  await expect(async () => {
    await type(page, `${text}\n`);
    await expect.poll(() => screenText(page), { timeout: 20_000 }).toMatch(answer);
  }).toPass({ timeout: 240_000 });
}

test('GRUB\'s rescue CD: commands typed on the page\'s keyboard are answered on the screen', async ({ page }) => {
  test.setTimeout(BOOT_MS);
  await open(page, `-m 64 -boot d -cdrom ${files.url('grub.iso')}`);
  await expect.poll(() => screenText(page), { timeout: BOOT_MS }).toContain('*GNU/Linux');
  await page.keyboard.press('c');
  await expect.poll(() => screenText(page), { timeout: 60_000 }).toContain('grub>');
  await command(page, 'echo "[$grub_platform]"', /^\[pc\]$/m);
  await command(page, 'ls (cd)/boot/grub/', /^.*i386-pc\//m);
});
