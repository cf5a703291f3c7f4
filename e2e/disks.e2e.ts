// Disks as people have them in the page: a guest writes, the page lists, renames, hands out the whole disk, and takes the changes back.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, type Page, test } from '@playwright/test';
import { linuxGuest } from '../bench/guests.ts';
import { type PageServer, servePage } from './page-server.ts';
import { run, waitForState, waitForText } from './room.ts';

const BOOT_MS = 180_000;
const folder = mkdtempSync(join(tmpdir(), 'tabvisor-disks-'));
/** No whole number of clusters, and no two sectors alike. */
const disk = Buffer.alloc(5 * (1 << 20) + 3 * 512);
for (let n = 0; n < disk.length; n++) disk[n] = (n * 7 + (n >> 9) * 13) & 0xff;

let server: PageServer;
test.beforeAll(async () => {
  if (!existsSync('dist/index.html')) throw new Error('There is no dist/: run "npm run build" first.');
  const guest = linuxGuest('amd64');
  writeFileSync(join(folder, 'data.img'), disk);
  const image = join(folder, 'data.img');
  server = await servePage({ 'data.img': image, 'other.img': image, 'disc.iso': image, kernel: guest.kernel, initrd: guest.initrd }, folder);
});
test.afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Have the next file that the user saves sent to the server, piece by piece as it comes. */
async function pickFile(page: Page, name: string): Promise<void> {
  await page.evaluate((target) => {
    Object.assign(window, {
      showSaveFilePicker: async () => ({
        createWritable: async () => new WritableStream<Uint8Array>({ write: async (bytes) => { await fetch(target, { method: 'POST', body: bytes as BodyInit }); } }),
      }),
    });
  }, name);
}

test('a guest’s disks are listed with what it changed, renamed, downloaded whole and discarded; another tab is refused', async ({ page, context }) => {
  test.setTimeout(3 * BOOT_MS);
  await page.addInitScript(() => {
    StorageManager.prototype.persist = async () => {
      (window as { persistAsked?: number }).persistAsked = ((window as { persistAsked?: number }).persistAsked ?? 0) + 1;
      return true;
    };
  });
  const line = `-m 128 -kernel kernel -initrd initrd -append "${linuxGuest('amd64').append} quiet" -drive file=data.img,format=raw -drive file=other.img,format=raw,if=virtio,snapshot=on -cdrom disc.iso`;
  await page.goto(`${server.url}#${encodeURI(line)}`);
  await waitForText(page, /~ #$/, BOOT_MS);
  expect(await page.evaluate(() => (window as { persistAsked?: number }).persistAsked)).toBe(1);

  await run(page, 'dmesg -n 1; modprobe -a ata_piix sd_mod virtio_pci virtio_blk', 60_000);
  const expected = Buffer.from(disk);
  for (const [sector, sectors] of [[0, 3], [300, 700], [10242, 1]]) {
    // The mark is put together by the shell, so that the echo of the command is not taken for it.
    expect(await run(page, `yes tabvisor-${sector} | head -c ${sectors * 512} | dd of=/dev/sda bs=512 seek=${sector} conv=fsync 2>/dev/null && echo writ""ten`, 60_000)).toMatch(/^written$/m);
    expected.write(`tabvisor-${sector}\n`.repeat(sectors * 50).slice(0, sectors * 512), sector * 512, 'latin1');
  }
  expect(await run(page, 'yes | head -c 4096 | dd of=/dev/vda conv=fsync 2>/dev/null && echo writ""ten', 60_000)).toMatch(/^written$/m);

  const dialog = page.getByRole('dialog', { name: 'Disks' });
  await test.step('while it runs they are listed, with what was changed', async () => {
    await page.getByRole('button', { name: 'Drives' }).click();
    await page.getByRole('button', { name: /^Disks…/ }).click();
    const rows = dialog.getByRole('listitem');
    await expect(rows).toHaveCount(4);
    // Eight clusters of 64 KiB.
    await expect(rows.filter({ hasText: 'Disk ide0-hd0' })).toContainText(/data\.img.*5\.24 MB · 524 kB changed, kept in this browser/);
    await expect(rows.filter({ hasText: 'Disk virtio0' })).toContainText('changes are lost when the machine ends (snapshot=on)');
    await expect(rows.filter({ hasText: 'CD-ROM drive' })).toContainText('disc.iso');
    await expect(rows.filter({ hasText: 'Floppy drive A' })).toContainText('empty');
    await expect(dialog.getByRole('button', { name: 'Download data.img as raw' })).toBeDisabled();
    await expect(dialog).toContainText('switch it off first');
    await dialog.getByRole('button', { name: 'Close' }).click();
  });

  await test.step('another tab is refused', async () => {
    const second = await context.newPage();
    await second.goto(`${server.url}#${encodeURI(line)}`);
    await expect(second.getByRole('alert')).toContainText('The disk data.img is in use', { timeout: 60_000 });
    await second.close();
  });

  await page.getByRole('button', { name: 'Power', exact: true }).click();
  await page.getByRole('button', { name: 'Pull the plug…' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Pull the plug' }).click();
  await waitForState(page, 'Off');

  await test.step('when it is off they are renamed and downloaded, and are what the guest wrote', async () => {
    await page.getByRole('button', { name: 'Disks…' }).click();
    await dialog.getByRole('button', { name: 'Rename data.img' }).click();
    await page.getByRole('dialog', { name: 'Rename data.img' }).getByRole('textbox').fill('My data');
    await page.keyboard.press('Enter');
    writeFileSync(join(folder, 'expected.img'), expected);
    for (const format of ['raw', 'qcow2'] as const) {
      await pickFile(page, `saved-${format}`);
      await dialog.getByRole('button', { name: `Download My data as ${format}` }).click();
      await expect(page.getByText(`My data.${format === 'raw' ? 'img' : 'qcow2'} is complete`)).toBeVisible({ timeout: 60_000 });
      const saved = join(folder, `saved-${format}`);
      expect(execFileSync('qemu-img', ['compare', '-f', format, '-F', 'raw', saved, join(folder, 'expected.img')], { encoding: 'utf8' })).toContain('identical');
      if (format === 'raw') expect(Buffer.compare(readFileSync(saved), expected)).toBe(0);
      else execFileSync('qemu-img', ['check', saved]);
    }
    await dialog.getByRole('button', { name: 'Close' }).click();
  });

  await test.step('Home lists them, and discards the changes after asking by name', async () => {
    await page.getByRole('link', { name: 'Home' }).click();
    const section = page.getByRole('region', { name: 'Disks' });
    await expect(section.getByRole('listitem')).toContainText(/My data.*data\.img · \d+ kB changed of 5\.24 MB/);
    await expect(section).toContainText(/are stored for this page/);
    await section.getByRole('button', { name: 'Discard the changes to My data…' }).click();
    await page.getByRole('dialog', { name: 'Discard the changes to My data?' }).getByRole('button', { name: 'Discard changes' }).click();
    await expect(section).toBeHidden();
  });
});

test('what is wrong with a disk’s server is told in words: other origins refused, no ranges, a file that changes while the guest reads it', async ({ page }) => {
  /** A diskette whose boot sector reads a sector from its middle (INT 13h) with each key, and shows E if that fails. */
  const floppy = Buffer.alloc(1_474_560);
  floppy.set([
    0x31, 0xc0, 0x8e, 0xc0, // xor ax, ax; mov es, ax
    0xb8, 0x52, 0x0e, 0xbb, 0x07, 0x00, 0xcd, 0x10, // again: mov ax, 0E52h ("R"); mov bx, 7; int 10h
    0x31, 0xc0, 0xcd, 0x16, // xor ax, ax; int 16h
    0xb8, 0x01, 0x02, 0xb9, 0x01, 0x32, 0x31, 0xd2, 0xbb, 0x00, 0x80, 0xcd, 0x13, // mov ax, 0201h; mov cx, 3201h; xor dx, dx; mov bx, 8000h; int 13h
    0x73, 0xe5, // jnc again
    0xb8, 0x45, 0x0e, 0xbb, 0x07, 0x00, 0xcd, 0x10, // mov ax, 0E45h ("E"); mov bx, 7; int 10h
    0xeb, 0xdb, // jmp again
  ]);
  floppy.set([0x55, 0xaa], 510);
  let version = 1;
  const other = createServer((request, response) => {
    response.setHeader('Cross-Origin-Resource-Policy', 'cross-origin');
    if (request.url !== '/closed.img') {
      response.setHeader('Access-Control-Allow-Origin', '*');
      response.setHeader('Access-Control-Allow-Headers', '*');
      response.setHeader('Access-Control-Expose-Headers', 'Content-Range, Content-Length, ETag');
    }
    if (request.method === 'OPTIONS') return void response.writeHead(204).end();
    if (request.url === '/whole.img') return void response.writeHead(200, { 'content-length': 2 ** 30 }).write('x');
    const [from, to] = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '')!.slice(1).map(Number);
    const part = floppy.subarray(from, to + 1);
    response.writeHead(206, { etag: `"${version}"`, 'content-length': part.length, 'content-range': `bytes ${from}-${from + part.length - 1}/${floppy.length}` }).end(part);
  });
  await new Promise<void>((done) => other.listen(0, '127.0.0.1', done));
  const address = `http://127.0.0.1:${(other.address() as AddressInfo).port}`;
  try {
    const open = async (line: string) => {
      await page.goto('about:blank');
      await page.goto(`${server.url}#${encodeURI(line)}`);
    };
    const alert = page.getByRole('alert').filter({ has: page.locator('#failure-what') });
    await open(`-m 16 -cdrom ${address}/closed.img`);
    await expect(alert).toContainText(/The disk .*closed\.img cannot be read.*does not allow pages of other origins to read from it \(CORS\).*Access-Control-Allow-Origin/s, { timeout: 60_000 });
    await open(`-m 16 -cdrom ${address}/whole.img`);
    await expect(alert).toContainText(/The disk .*whole\.img cannot be read.*does not send parts of files \(HTTP ranges\)/s, { timeout: 60_000 });
    await open(`-m 16 -boot a -drive file=${address}/floppy.img,if=floppy,format=raw,readonly=on`);
    const screenText = () => page.evaluate(() => window.tabvisor?.screenText() ?? '');
    await expect.poll(screenText, { timeout: 60_000 }).toMatch(/Booting from Floppy\.\.\.\s*R/);
    version = 2;
    await page.keyboard.press('x');
    await expect(page.getByText(/The disk .*floppy\.img cannot be read: The file on the server was changed while it was in use/)).toBeVisible({ timeout: 30_000 });
    await expect.poll(screenText, { timeout: 60_000 }).toMatch(/RE/);
  } finally {
    other.closeAllConnections();
    other.close();
  }
});
