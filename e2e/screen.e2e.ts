// A guest that draws on the largest screen, 2560x1600 dots of 32 bits: the page shows it, and draws what has changed.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, type Page, test, type Worker } from '@playwright/test';
import { type PageServer, servePage } from './page-server.ts';
import { expectShortTasks, longestTask, waitForText } from './room.ts';

const folder = mkdtempSync(join(tmpdir(), 'tabvisor-screen-'));
let server: PageServer;
test.beforeAll(async () => {
  if (!existsSync('dist/index.html')) throw new Error('There is no dist/: run "npm run build" first.');
  const image = join(folder, 'picture.img');
  execFileSync('nasm', ['-f', 'bin', '-o', image, join(import.meta.dirname, 'picture.asm')]);
  truncateSync(image, 1_474_560);
  server = await servePage({ 'picture.img': image }, folder);
});
test.afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

interface Drawn { top: number; height: number }
declare global {
  /** In the screen's worker. */
  var drawn: Drawn[];
  var framesAsked: number;
  /** In the page. */
  interface Window { sizes: (string | undefined)[] }
}

const screenWorker = (page: Page): Worker => page.workers().find((it) => /\/screen-[^/]*\.js/.test(it.url()))!;

/** Have the worker keep what it draws, in `drawn`. */
const recordDrawing = (worker: Worker): Promise<void> => worker.evaluate(() => {
  globalThis.drawn = [];
  const { putImageData } = OffscreenCanvasRenderingContext2D.prototype;
  OffscreenCanvasRenderingContext2D.prototype.putImageData = function put(this: OffscreenCanvasRenderingContext2D, ...given: unknown[]) {
    globalThis.drawn.push({ top: given[4] as number, height: given[6] as number });
    (putImageData as (...all: unknown[]) => void).apply(this, given);
  } as typeof putImageData;
});

/** How many frames the screen's worker asks the browser for in a second. */
async function framesOf(page: Page): Promise<number> {
  const worker = screenWorker(page);
  await worker.evaluate(() => {
    if (globalThis.framesAsked === undefined) {
      const request = globalThis.requestAnimationFrame;
      globalThis.requestAnimationFrame = (then) => (globalThis.framesAsked++, request(then));
    }
    globalThis.framesAsked = 0;
  });
  await page.waitForTimeout(1000);
  return worker.evaluate(() => globalThis.framesAsked);
}

/** Dots of the screen's picture: two corners, and how many of a row through the square are the square's. */
const dots = (page: Page) => page.evaluate(() => {
  // Its own canvas belongs to the worker.
  const canvas = document.querySelector<HTMLCanvasElement>('[data-screen] canvas')!;
  const context = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true })!;
  context.drawImage(canvas, 0, 0);
  const at = (x: number, y: number) => context.getImageData(x, y, 1, 1).data.join();
  const row = context.getImageData(0, 830, canvas.width, 1).data;
  let orange = 0;
  for (let x = 0; x < canvas.width; x++) if (row[4 * x] === 0xff && row[4 * x + 1] === 0x80 && row[4 * x + 2] === 0) orange++;
  return [at(0, 0), at(2559, 1599), orange];
});
/** The ground, and the square. */
const WHOLE = ['1,1,1,255', '1,1,1,255', 64];

test('of a large framebuffer only rows that changed are drawn, and not by the page\'s own thread', async ({ page }) => {
  test.setTimeout(240_000);
  await page.addInitScript(() => {
    // Some sizes are gone before anybody could look.
    window.sizes = [];
    new MutationObserver(() => window.sizes.push(document.querySelector<HTMLElement>('[data-screen]')?.dataset.screen))
      .observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ['data-screen'] });
  });
  await page.goto(`${server.url}#${encodeURI('-m 32 -drive file=picture.img,if=floppy,format=raw,snapshot=on -boot a')}`);
  await waitForText(page, /full/, 120_000);
  await waitForText(page, /square/, 120_000);
  await expect(page.locator('[data-screen="2560x1600"]')).toBeVisible();
  expect(await page.evaluate(() => window.sizes), 'the text screen comes first').toContain('720x400');
  // Both the ground and the square have come, sooner or later, and then nothing but the square's rows is drawn.
  await expect.poll(() => dots(page), { timeout: 60_000 }).toEqual(WHOLE);
  const worker = screenWorker(page);
  await recordDrawing(worker);
  await expect.poll(async () => {
    await worker.evaluate(() => { globalThis.drawn = []; });
    await page.waitForTimeout(1000);
    const drawn = await worker.evaluate(() => globalThis.drawn);
    return drawn.length > 1 && drawn.filter(({ top, height }) => top < 800 || top + height > 864).length;
  }, { timeout: 60_000 }).toBe(0);
  await expect.poll(() => framesOf(page), { timeout: 30_000 }).toBeGreaterThan(2);

  // All of it once more: text, the new mode, the whole ground many times, a small picture of it for Home.
  expectShortTasks(await longestTask(page, async () => {
    await page.getByRole('button', { name: 'Reset' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Reset' }).click();
    await waitForText(page, /— reset —[^]*full[^]*square/, 120_000);
    await page.waitForTimeout(1000);
  }));
  await expect.poll(() => dots(page), { timeout: 60_000 }).toEqual(WHOLE);
});

test('a screen on which nothing but the cursor changes asks for no frames', async ({ page }) => {
  test.setTimeout(120_000);
  await page.goto(`${server.url}#${encodeURI('-m 32')}`);
  await expect.poll(() => page.evaluate(() => window.tabvisor?.screenText() ?? ''), { timeout: 60_000 }).toContain('No bootable device');
  await expect.poll(() => framesOf(page), { timeout: 30_000 }).toBe(0);
  // And what comes then is seen.
  await recordDrawing(screenWorker(page));
  await page.getByRole('button', { name: 'Reset' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Reset' }).click();
  await expect.poll(() => screenWorker(page).evaluate(() => Math.max(0, ...globalThis.drawn.map(({ height }) => height))), { timeout: 60_000 }).toBeGreaterThan(32);
});
