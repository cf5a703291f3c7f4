// What a Linux guest has been told is safe is safe: a guest in the page writes records with fsync, the browser is killed while it does, and after
// each start every record whose fsync had returned is there; the file system is clean. And a store that has no more room is a disk error
// in the guest and a message to its user.
//   TABVISOR_KILLS=50   how often the browser is killed, on each kind of disk in turn (4 without it): npm run durability

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, type Page, test } from '@playwright/test';
import { deviceGuest } from '../bench/device-guest.ts';
import { KillableBrowser } from './browser.ts';
import { damageLog } from './leveldb.ts';
import { type PageServer, servePage } from './page-server.ts';
import { consoleText } from './room.ts';

const KILLS = Number(process.env.TABVISOR_KILLS ?? 4);
const MIB = 32;
/** Of a boot, a recovery of the file system among it, or of a download, ms. */
const PATIENCE_MS = 180_000;

const DISKS = {
  ide: { modules: ['ata_piix', 'sd_mod'], device: '/dev/sda', option: 'if=ide' },
  virtio: { modules: ['virtio_pci', 'virtio_blk'], device: '/dev/vda', option: 'if=virtio' },
} as const;

const folder = mkdtempSync(join(tmpdir(), 'tabvisor-durability-'));
const files: Record<string, string> = {};
let server: PageServer;
let browser: KillableBrowser;

test.beforeAll(async () => {
  if (!existsSync('dist/index.html')) throw new Error('There is no dist/: run "npm run build" first.');
  server = await servePage(files, folder);
});
test.afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true, force: true });
});
test.beforeEach(() => { browser = new KillableBrowser(); });
test.afterEach(() => browser.end());

/** A machine line for a guest that writes records to it. */
function machine(disk: keyof typeof DISKS, image: string, setup: readonly string[], args: readonly string[]): (least: number) => string {
  const { modules, device, option } = DISKS[disk];
  const guest = deviceGuest(`records-${image}`, 'amd64', modules, setup.map((it) => it.replace('DEVICE', device)), 'records', [
    ...args.map((it) => it.replace('DEVICE', device)), 'least=$(cat /proc/cmdline | tr " " "\\n" | sed -n "s/^least=//p")', `mib=${MIB / 2}`,
  ]);
  files[`${image}.kernel`] = guest.kernel;
  files[`${image}.initrd`] = guest.initrd!;
  files[`${image}.img`] = join(folder, `${image}.img`);
  // A boot is short: compiling it would take more of the computer than it saves.
  return (least) => `-m 128 -accel interpreter -kernel ${image}.kernel -initrd ${image}.initrd -append "${guest.append} least=${least}" -drive file=${image}.img,format=raw,${option}`;
}

async function start(page: Page, line: string): Promise<void> {
  // The part behind # alone would not load the page again.
  await page.goto('about:blank');
  await page.goto(`${server.url}#${encodeURI(line)}`);
}

/** What the guest has told: the last records found, safe and refused. */
async function told(page: Page): Promise<{ found?: number; safe: number; refused: number }> {
  const failure = page.locator('#failure-what');
  if (await failure.count()) throw new Error(`the machine failed: ${await failure.innerText()}`);
  // The last line may still be coming.
  const text = (await consoleText(page)).replaceAll('\r', '').replace(/[^\n]*$/, '');
  const wrong = /FAILED[^\n]*|Kernel panic[^\n]*/.exec(text)?.[0];
  if (wrong) throw new Error(`the guest: ${wrong}\n${text.slice(-1500)}`);
  const last = (word: string) => Number([...text.matchAll(new RegExp(`^${word} (\\d+)$`, 'gm'))].at(-1)?.[1] ?? NaN);
  const found = last('found');
  return { found: Number.isNaN(found) ? undefined : found, safe: last('safe') || 0, refused: last('refused') || 0 };
}

async function untilFound(page: Page, least: number): Promise<number> {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const { found } = await told(page);
    if (found !== undefined) {
      expect(found, 'records found after the browser was killed').toBeGreaterThanOrEqual(least);
      return found;
    }
    if (Date.now() > end) throw new Error(`the guest did not come up. Page: ${(await page.locator('main').innerText()).slice(0, 600)}\nConsole: ${(await consoleText(page)).slice(-600)}`);
    await page.waitForTimeout(100);
  }
}

/** Download the disk with its changes, as its user does, by a picker that uploads what it is given. */
async function download(page: Page, image: string, as: 'raw' | 'qcow2'): Promise<string> {
  const name = `${image}-${as}-${Date.now()}`;
  await page.goto('about:blank');
  await page.goto(server.url);
  await page.evaluate((target) => {
    Object.assign(window, {
      showSaveFilePicker: async () => ({
        createWritable: async () => new WritableStream<Uint8Array>({
          write: async (bytes) => { await fetch(target, { method: 'POST', body: bytes as BodyInit }); },
          close: () => { document.title = `saved ${target}`; },
        }),
      }),
    });
  }, name);
  const row = page.getByRole('region', { name: /disks/i }).getByRole('listitem').filter({ hasText: `${image}.img` });
  await expect(row, 'the disk is listed').toBeVisible({ timeout: 30_000 });
  await row.getByRole('button', { name: as }).click();
  await expect(page).toHaveTitle(`saved ${name}`, { timeout: PATIENCE_MS });
  return join(folder, name.replace(/\W/g, '-'));
}

const environment = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };

/** The file system is clean once its journal is replayed, as a mount does it. */
function expectClean(path: string): void {
  const run = (...args: string[]) => spawnSync('e2fsck', [...args, path], { encoding: 'utf8', env: environment });
  const replay = run('-y', '-E', 'journal_only');
  expect([0, 1], replay.stdout + replay.stderr).toContain(replay.status);
  const check = run('-fn');
  expect(check.status, check.stdout + check.stderr).toBe(0);
}

for (const disk of ['ide', 'virtio'] as const) {
  test(`${disk}: every record whose fsync returned in the guest is there after the browser was killed, and the file system is clean`, async () => {
    const kills = Math.ceil(KILLS / 2);
    test.setTimeout(PATIENCE_MS * (2 + kills));
    const image = `ext4-${disk}`;
    execFileSync('mke2fs', ['-q', '-F', '-t', 'ext4', join(folder, `${image}.img`), `${MIB}M`], { env: environment });
    const line = machine(disk, image, ['mkdir -p /disk', 'until mount -t ext4 DEVICE /disk 2>/dev/null; do sleep 0.1; done', 'mkdir -p /disk/files'], ['log=/disk/log', 'folder=/disk/files']);
    let sure = 0;
    let checks = 0;
    for (let kill = 1; kill <= kills; kill++) {
      const page = await browser.start();
      await start(page, line(sure));
      // Some are killed before they have written anything: while the page loads, or the file system is recovered.
      if (kill % 5 === 0) await page.waitForTimeout(Math.random() * 8000);
      else {
        const found = await untilFound(page, sure);
        const end = Date.now() + 100 + Math.random() * 2500;
        while (Date.now() < end || sure <= found) {
          sure = Math.max(sure, (await told(page)).safe);
          if (Date.now() > end + PATIENCE_MS) throw new Error(`the guest wrote nothing: ${(await consoleText(page)).slice(-600)}`);
          await page.waitForTimeout(20);
        }
      }
      await browser.kill();
      if (kill % 10 === 0) {
        expectClean(await download(await browser.start(), image, 'raw'));
        checks++;
        await browser.kill();
      }
    }
    let page = await browser.start();
    await start(page, line(sure));
    const found = await untilFound(page, sure);
    await browser.kill();
    page = await browser.start();
    expectClean(await download(page, image, 'raw'));
    console.log(`${disk}: ${kills} kills, ${sure} records safe and ${found} found, none lost; the file system was clean ${checks + 1} times`);
  });
}

test('a browser that finds its store damaged throws it away, and the page says so', async () => {
  const lost = (page: Page) => page.getByText(/found what it had stored for this page damaged, and threw it away \(.*checksum mismatch\)/);
  for (const damaged of [false, true, false]) {
    const page = await browser.start();
    await page.goto(server.url);
    if (damaged) await expect(lost(page)).toBeVisible();
    else {
      await expect(page.getByRole('heading', { name: 'Ready to boot' })).toBeVisible();
      // The databases are there once their lists are.
      await page.waitForFunction(async () => (await indexedDB.databases()).length >= 3);
      await expect(lost(page)).toHaveCount(0);
    }
    await browser.kill();
    if (!damaged) damageLog(browser.profile);
  }
});

test('a full store: the guest gets a disk error, the user a message, and nothing that was safe is lost', async () => {
  test.setTimeout(5 * PATIENCE_MS);
  execFileSync('truncate', ['-s', `${MIB}M`, join(folder, 'plain.img')]);
  const line = machine('virtio', 'plain', [], ['log=DEVICE']);
  let page = await browser.start();
  const session = await page.context().newCDPSession(page);
  const quota = (size?: number) => session.send('Storage.overrideQuotaForOrigin', { origin: new URL(server.url).origin, quotaSize: size });
  // Before the first write: how much room there is Chromium may believe for half a minute, in which a fast guest has written all that it wants to.
  await quota(6_000_000);
  await start(page, line(0));
  await untilFound(page, 0);
  await expect.poll(async () => (await told(page)).safe, { timeout: PATIENCE_MS }).toBeGreaterThan(5);
  await expect.poll(async () => (await told(page)).refused, { timeout: PATIENCE_MS }).toBeGreaterThan(0);
  await expect(page.getByText(/Changes to plain\.img could not be stored: The browser gives this page no more room/).first()).toBeVisible();
  const { refused } = await told(page);
  await quota();
  await expect.poll(async () => (await told(page)).safe, { timeout: PATIENCE_MS }).toBeGreaterThan(refused + 3);
  const { safe } = await told(page);
  await browser.kill();
  page = await browser.start();
  await start(page, line(safe));
  await untilFound(page, safe);
});
