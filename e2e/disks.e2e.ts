// Disks in the page: read by HTTP ranges, written into an overlay that survives the browser's death.
//   TABVISOR_KILLS=50   how often the browser is killed (2 without it): npm run durability

import { expect, test } from '@playwright/test';
import { KillableBrowser } from './browser.ts';
import { consoleText, guests, open, run, waitForText } from './room.ts';

const KILLS = Number(process.env.TABVISOR_KILLS ?? 2);
const BOOT_MS = 200_000;
/** Served beside the page: any file is a disk. */
const DISK = 'guests/amd64/initrd.cpio';

const browser = new KillableBrowser();
test.afterAll(() => browser.end());

/** The last record whose fsync had returned in the guest. */
const synced = (text: string): number => Number([...text.matchAll(/synced (\d+)\r?\n/g)].at(-1)?.[1] ?? 0);

test('every write whose fsync had returned is there after the browser was killed', async ({ baseURL }) => {
  test.setTimeout((KILLS + 1) * (BOOT_MS + 60_000));
  let page = await browser.start();
  await page.goto(baseURL!);
  const guest = (await guests(page)).find(({ name }) => name === 'amd64')!;
  const line = `${guest.line} -drive file=${DISK},if=virtio,format=raw`;
  const description = (await (await page.request.get('guests/amd64/guest.json')).json()) as { initrd: { sha256: string } };
  const boot = async (): Promise<void> => {
    await page.goto(baseURL!);
    await open(page, line);
    await waitForText(page, /~ # $/, BOOT_MS);
    await page.getByRole('textbox').first().focus();
    await run(page, 'modprobe -a virtio_pci virtio_blk', 60_000);
  };
  await boot();
  // All of it by ranges, as it is on the server.
  expect(await run(page, 'sha256sum < /dev/vda', 60_000)).toContain(description.initrd.sha256);

  let sure = 0;
  for (let kill = 1; kill <= KILLS; kill++) {
    // Records of a sector each, at places all over the disk, each safe before the next.
    const program = `i=${sure}; while true; do i=$((i+1)); printf "record %06d" $i | dd of=/dev/vda bs=512 seek=$((i*37%5000)) conv=sync,fsync,notrunc 2>/dev/null && echo "synced $i"; done`;
    await page.keyboard.type(program);
    await page.keyboard.press('Enter');
    const until = sure + 5 + Math.floor(Math.random() * 40);
    let last = sure;
    await expect(async () => {
      last = synced(await consoleText(page));
      expect(last).toBeGreaterThanOrEqual(until);
    }).toPass({ timeout: 120_000, intervals: [50] });
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 300));
    last = Math.max(last, synced(await consoleText(page)));
    await browser.kill();

    page = await browser.start();
    await boot();
    const check = `for i in $(seq 1 ${last}); do dd if=/dev/vda bs=512 count=1 skip=$((i*37%5000)) 2>/dev/null | grep -q "record $(printf %06d $i)" || echo "lost $i"; done; echo "checked ${last}"`;
    const answer = await run(page, check, 120_000);
    expect(answer).toContain(`checked ${last}`);
    expect(answer.replace(/^.*echo.*$/m, '')).not.toMatch(/lost \d/);
    console.log(`kill ${kill}: ${last} records, none lost`);
    sure = last;
  }

  // The same disk in another tab is refused while this machine has it.
  const second = await browser.newPage();
  await second.goto(baseURL!);
  await open(second, line);
  await expect(second.locator('#failure-what')).toContainText(`The disk ${DISK} is in use`, { timeout: 60_000 });
  await second.close();
});
