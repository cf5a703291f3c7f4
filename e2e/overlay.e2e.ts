// The page's disks without a machine: what was flushed survives the browser's death, a full store, and being asked for twice.
//   TABVISOR_KILLS=50   how often the browser is killed (6 without it): npm run durability

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, type Page, test } from '@playwright/test';
import { KillableBrowser } from './browser.ts';
import { type DiskServer, serveDisks } from './disk-server.ts';
import { newestLog, tearLog } from './leveldb.ts';

const KILLS = Number(process.env.TABVISOR_KILLS ?? 6);
/** 9 MiB and three sectors. */
const disk: Buffer = Buffer.alloc(9 * (1 << 20) + 1536);
for (let n = 0; n < disk.length; n++) disk[n] = (n * 7 + (n >> 9)) & 0xff;

let server: DiskServer;
let browser: KillableBrowser;
test.beforeAll(async () => { server = await serveDisks(disk); });
test.afterAll(() => server.close());
test.beforeEach(() => { browser = new KillableBrowser(); });
test.afterEach(() => browser.end());

async function load(page: Page): Promise<Page> {
  await page.goto(server.url);
  await page.waitForFunction(() => 'harness' in window);
  return page;
}

test('every flush that was answered is there after the browser was killed', async () => {
  // A browser starts in a second or two where the computer has nothing else to do.
  test.setTimeout(60_000 + KILLS * 120_000);
  let sure = 0;
  for (let kill = 1; kill <= KILLS + 1; kill++) {
    const page = await load(await browser.start());
    expect(await page.evaluate(() => window.harness.open('disk.img'))).toBe('');
    expect(await page.evaluate((upTo) => window.harness.lost(upTo), sure)).toEqual([]);
    if (kill > KILLS) break;
    await page.evaluate((from) => void window.harness.writeOn(from), sure + 1);
    const end = Date.now() + 200 + Math.random() * 1500;
    let last = sure;
    while (Date.now() < end || last === sure) last = Math.max(last, await page.evaluate(() => window.harness.synced));
    await browser.kill();
    sure = last;
  }
  expect(sure).toBeGreaterThan(KILLS);
  console.log(`${KILLS} kills, ${sure} records flushed, none lost`);
});

test('a record that the browser was writing when it was killed takes nothing with it when it is killed again', async () => {
  let tornLog: string | undefined;
  for (const [fill, torn] of [[1, true], [2, false], [3, false]] as const) {
    const page = await load(await browser.start());
    expect(await page.evaluate(() => window.harness.open('disk.img'))).toBe('');
    // Chromium begins the new log when it has nothing better to do (decision 21), which a browser that has just started has.
    if (tornLog) await expect.poll(() => newestLog(browser.profile), { timeout: 30_000 }).not.toBe(tornLog);
    for (let before = 1; before < fill; before++) expect(await page.evaluate((at) => window.harness.byteAt(at), before << 20), `what was flushed at start ${before}`).toBe(before);
    expect(await page.evaluate((byte) => window.harness.write(byte << 20, 512, byte), fill)).toBe('');
    expect(await page.evaluate(() => window.harness.flush())).toBe('');
    await browser.kill();
    if (torn) tornLog = tearLog(browser.profile);
  }
});

test('one machine at a time; changes are listed, renamed, exported and discarded', async () => {
  const page = await load(await browser.start());
  expect(await page.evaluate(() => window.harness.open('disk.img'))).toBe('');
  const expected = Buffer.from(disk);
  for (const [at, length, fill] of [[512, 70_000 - (70_000 % 512), 1], [5 << 20, 65536, 2], [disk.length - 512, 512, 3]]) {
    expect(await page.evaluate(([offset, size, byte]) => window.harness.write(offset, size, byte), [at, length, fill])).toBe('');
    expected.fill(fill, at, at + length);
  }
  expect(await page.evaluate(() => window.harness.flush())).toBe('');

  const second = await load(await browser.newPage());
  expect(await second.evaluate(() => window.harness.open('disk.img'))).toContain('The disk disk.img is in use: Another machine has it open');
  // Without keeping changes it is free for all, and without them.
  expect(await second.evaluate(() => window.harness.open('disk.img', true))).toBe('');
  expect(await second.evaluate(() => window.harness.byteAt(512))).toBe(disk[512]);
  expect(await second.evaluate(() => window.harness.discard('disk.img'))).toContain('in use');
  expect(await second.evaluate(() => window.harness.list())).toMatchObject([{ file: 'disk.img', title: 'disk.img', size: disk.length, bytes: 4 * 65536, inUse: true }]);

  // It is free when its page has gone.
  await page.goto('about:blank');
  await second.evaluate(() => window.harness.rename('disk.img', 'My disk'));
  await expect(async () => {
    expect(await second.evaluate(() => window.harness.list())).toMatchObject([{ title: 'My disk', inUse: false }]);
  }).toPass({ timeout: 10_000 });
  expect(await second.evaluate(() => window.harness.export('disk.img', 'raw'))).toBe('');
  expect(Buffer.compare(server.uploaded, expected)).toBe(0);
  expect(await second.evaluate(() => window.harness.export('disk.img', 'qcow2'))).toBe('');
  const folder = mkdtempSync(join(tmpdir(), 'export-'));
  try {
    writeFileSync(join(folder, 'disk.qcow2'), server.uploaded);
    writeFileSync(join(folder, 'disk.raw'), expected);
    execFileSync('qemu-img', ['check', join(folder, 'disk.qcow2')]);
    expect(execFileSync('qemu-img', ['compare', join(folder, 'disk.qcow2'), '-f', 'qcow2', '-F', 'raw', join(folder, 'disk.raw')], { encoding: 'utf8' })).toContain('identical');
  } finally {
    rmSync(folder, { recursive: true });
  }

  // The file behind the changes is another now.
  server.disk = Buffer.concat([disk, Buffer.alloc(512)]);
  const third = await load(await browser.newPage());
  expect(await third.evaluate(() => window.harness.open('disk.img'))).toContain('The changes to disk.img belong to another version of it');
  server.disk = disk;
  expect(await third.evaluate(() => window.harness.discard('disk.img'))).toBe('');
  expect(await third.evaluate(() => window.harness.list())).toEqual([]);
  expect(await (await load(third)).evaluate(async () => [await window.harness.open('disk.img'), await window.harness.byteAt(512)])).toEqual(['', disk[512]]);
});

test('a full store: the guest gets an error, the user a message, and nothing is lost', async () => {
  let page = await load(await browser.start());
  const session = await page.context().newCDPSession(page);
  const quota = (size?: number) => session.send('Storage.overrideQuotaForOrigin', { origin: new URL(server.url).origin, quotaSize: size });
  await quota(1_000_000);
  expect(await page.evaluate(() => window.harness.open('disk.img'))).toBe('');
  expect(await page.evaluate(() => window.harness.write(0, 512, 1))).toBe('');
  expect(await page.evaluate(() => window.harness.flush())).toBe('');
  // The browser looks only now and then how much room there is left.
  let fill = 1;
  await expect(async () => {
    expect(await page.evaluate((byte) => window.harness.writeNoise(1 << 20, 2 << 20, byte), ++fill)).toBe('');
    expect(await page.evaluate(() => window.harness.flush())).toContain('QuotaExceededError');
  }).toPass({ timeout: 60_000, intervals: [1000] });
  expect(await page.evaluate(() => window.harness.warnings.at(-1))).toMatchObject({ what: 'Changes to disk.img could not be stored', why: 'The browser gives this page no more room' });
  // What was safe is, and what was written is still read.
  expect(await page.evaluate(async () => [await window.harness.byteAt(0), await window.harness.byteAt(2 << 20)])).toEqual([1, fill]);
  await quota();
  expect(await page.evaluate(() => window.harness.flush())).toBe('');
  expect(await page.evaluate(() => window.harness.warnings.at(-1))).toBeUndefined();
  await browser.kill();
  page = await load(await browser.start());
  expect(await page.evaluate(() => window.harness.open('disk.img'))).toBe('');
  expect(await page.evaluate(async () => [await window.harness.byteAt(0), await window.harness.byteAt(2 << 20)])).toEqual([1, fill]);
});
