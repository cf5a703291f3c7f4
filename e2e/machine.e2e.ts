// The built page with the real engine and the bundled guests: what a visitor with a link does.

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, test, type Page } from '@playwright/test';
import { FIRST_CHARDEV_RING } from '../src/machine/protocol.ts';
import { consoleText, expectShortTasks, figure, guests, longestTask, open, run, waitForState, waitForText, withPickedFolder, type ListedGuest } from './room.ts';
import { serveStatically } from './static-server.ts';

/** Most that a boot to the shell may take here, ms; how long it should take is the benchmark's matter. */
const BOOT_MS = 180_000;

test.beforeAll(() => {
  if (!existsSync('dist/index.html')) throw new Error('There is no dist/: run "npm run build" first.');
});

test('the page without guests is under 1.5 MB compressed', () => {
  const size = readdirSync('dist', { recursive: true, withFileTypes: true })
    .filter((file) => file.isFile() && !join(file.parentPath, file.name).startsWith(join('dist', 'guests')))
    .reduce((sum, file) => sum + gzipSync(readFileSync(join(file.parentPath, file.name))).length, 0);
  test.info().annotations.push({ type: 'size', description: `${size} bytes compressed` });
  expect(size).toBeLessThan(1_500_000);
});

async function guest(page: Page, name: string): Promise<ListedGuest> {
  const found = (await guests(page)).find((it) => it.name === name);
  if (!found) throw new Error(`The built page has no guest "${name}": run "npm run guests" and "npm run build" first.`);
  return found;
}

test('amd64: from Home to the shell; pause, resume, reset, power-off, start again', async ({ page }) => {
  test.setTimeout(4 * BOOT_MS);
  const { title } = await guest(page, 'amd64');
  await page.goto('./');
  const from = Date.now();
  await page.getByRole('link', { name: title }).click();
  await expect(page.getByRole('heading', { name: title })).not.toHaveCount(0);
  await waitForText(page, /~ #$/, BOOT_MS);
  test.info().annotations.push({ type: 'boot', description: `amd64 to the shell in ${((Date.now() - from) / 1000).toFixed(1)} s` });
  expect(await run(page, 'uname -m')).toBe('x86_64');
  await test.step('it is on the network by itself', async () => {
    expect(await run(page, 'until ping -c 1 10.0.2.2 >/dev/null; do sleep 0.5; done; ip addr show eth0', 30_000)).toContain('10.0.2.15/24');
  });

  await test.step('pause and resume', async () => {
    await page.keyboard.type('while true; do echo tick; done\n');
    await waitForText(page, /tick\ntick\n/);
    await expect.poll(() => figure(page, 'mips')).toBeGreaterThan(1);
    await page.getByRole('button', { name: 'Pause' }).click();
    await waitForState(page, 'Paused');
    await page.waitForTimeout(500);
    const paused = await consoleText(page);
    await page.waitForTimeout(1000);
    expect(await consoleText(page)).toBe(paused);
    expect(await figure(page, 'mips')).toBe(0);
    await page.getByRole('button', { name: 'Resume' }).click();
    await waitForState(page, 'Running');
    await expect.poll(async () => (await consoleText(page)).length).toBeGreaterThan(paused.length);
    await page.keyboard.press('Control+c');
    await waitForText(page, /~ #$/, 20_000);
  });

  await test.step('an idle guest leaves the host alone', async () => {
    // A guest that waits for a key: the figures are over the last second.
    await page.waitForTimeout(3000);
    expect(await figure(page, 'host-cpu')).toBeLessThan(25);
  });

  await test.step('reset boots again', async () => {
    await page.getByRole('button', { name: 'Reset' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Reset' }).click();
    await waitForText(page, /— reset —[\s\S]*~ #$/, BOOT_MS);
    expect(await run(page, 'uname -m')).toBe('x86_64');
  });

  await test.step('power-off from the guest', async () => {
    await page.keyboard.type('poweroff -f\n');
    await waitForState(page, 'Off', 60_000);
    await page.getByRole('button', { name: 'Start again' }).click();
    await waitForState(page, 'Running', 60_000);
  });
});

test('i386: boots by its link, and no task of the page takes 100 ms while the guest is busy', async ({ page }) => {
  test.setTimeout(2 * BOOT_MS);
  const from = Date.now();
  const { line } = await guest(page, 'i386');
  await withPickedFolder(page);
  await open(page, `${line} -virtfs local,path=docs,mount_tag=docs,security_model=none -virtfs local,path=work,mount_tag=work,security_model=none -device virtio-serial-pci -device virtconsole,chardev=second -chardev vc,id=second`);
  await page.getByLabel('Folder docs').setInputFiles('docs/decisions');
  await expect(page.getByText('what it writes goes into the folder')).toBeVisible();
  await page.screenshot({ path: 'test-results/folder-panel.png' });
  await page.getByRole('button', { name: 'Choose a folder' }).click();
  await waitForText(page, /~ #$/, BOOT_MS);
  test.info().annotations.push({ type: 'boot', description: `i386 to the shell in ${((Date.now() - from) / 1000).toFixed(1)} s` });
  expect(await run(page, 'uname -m')).toBe('i686');
  await test.step('a folder of the user is mounted; what is written over it stays in memory', async () => {
    const name = readdirSync('docs/decisions').find((file) => file.endsWith('.md'))!;
    const text = readFileSync(join('docs/decisions', name));
    // The kernel's own messages go to the same console.
    await run(page, 'dmesg -n 1; modprobe -a virtio_pci 9pnet_virtio 9p', 60_000);
    await run(page, 'mkdir -p /mnt; mount -t 9p -o trans=virtio,version=9p2000.L docs /mnt', 30_000);
    expect(await run(page, 'ls /mnt | wc -l')).toBe(String(readdirSync('docs/decisions').length));
    expect(await run(page, `sha256sum < /mnt/${name}`)).toContain(createHash('sha256').update(text).digest('hex'));
    await run(page, `echo more >> /mnt/${name}`);
    expect(await run(page, `tail -n 1 /mnt/${name}; umount /mnt`)).toBe('more');
    expect(readFileSync(join('docs/decisions', name))).toEqual(text);
    await page.getByRole('button', { name: 'Folders' }).click();
    await expect(page.locator('[data-folder=docs]')).toContainText('1 change, in this tab’s memory only');
    await page.screenshot({ path: 'test-results/folders-menu.png' });
    const coming = page.waitForEvent('download');
    await page.getByRole('button', { name: /Download changes of docs/ }).click();
    const archive = await (await coming).path();
    expect(execFileSync('tar', ['xOf', archive, name]).equals(Buffer.concat([text, Buffer.from('more\n')]))).toBe(true);
  });
  await test.step('a folder that the user picked has what the guest wrote, when it has asked for it to be safe', async () => {
    await page.getByRole('textbox', { name: /console|terminal/i }).first().focus();
    await run(page, 'mkdir -p /w; mount -t 9p -o trans=virtio,version=9p2000.L work /w', 30_000);
    expect(await run(page, 'cat /w/note.txt /w/sub/deep.txt')).toBe('from the user\ndeep');
    await run(page, 'echo of the guest >> /w/note.txt; mkdir /w/made; seq 1 20000 | dd of=/w/made/numbers bs=16k 2>/dev/null; mv /w/sub /w/moved; rm /w/old.txt; sync; fsync /w/made/numbers /w/note.txt', 60_000);
    expect(await run(page, 'md5sum < /w/made/numbers')).toBe(`${createHash('md5').update(Array.from({ length: 20_000 }, (_, n) => `${n + 1}\n`).join('')).digest('hex')}  -`);
    const there = () => page.evaluate(async () => {
      const found: Record<string, string> = {};
      const look = async (folder: FileSystemDirectoryHandle, path: string) => {
        for await (const [name, entry] of folder as unknown as AsyncIterable<[string, FileSystemHandle]>) {
          if (entry.kind === 'directory') await look(entry as FileSystemDirectoryHandle, `${path}${name}/`);
          else found[path + name] = (await (await (entry as FileSystemFileHandle).getFile()).text()).slice(-30);
        }
      };
      await look(await (await navigator.storage.getDirectory()).getDirectoryHandle('picked'), '');
      return found;
    });
    await expect.poll(there).toEqual({ 'note.txt': 'from the user\nof the guest\n', 'made/numbers': expect.stringMatching(/19999\n20000\n$/), 'moved/deep.txt': 'deep' });
    await page.getByRole('button', { name: 'Folders' }).click();
    await expect(page.locator('[data-folder=work]')).toContainText('written into your folder');
    await page.keyboard.press('Escape');
    await page.getByRole('textbox', { name: /console|terminal/i }).first().focus();
    await run(page, 'umount /w');
  });
  await test.step('a virtio console has a tab of its own, and the guest its size', async () => {
    await run(page, 'modprobe virtio_console; sleep 1; echo hello from hvc0 > /dev/hvc0', 30_000);
    await waitForText(page, /hello from hvc0/, 10_000, FIRST_CHARDEV_RING);
    // Linux sets the size from a work queue after the console was opened (hvc_set_winsz), so the first look may come before it.
    expect(await run(page, '{ sleep 1; stty size; } < /dev/hvc0')).toMatch(/^[1-9]\d* [1-9]\d+$/m);
    await page.getByRole('tab', { name: 'second' }).click();
    await page.getByRole('tab', { name: 'serial0' }).click();
  });
  expectShortTasks(await longestTask(page, async () => {
    await page.keyboard.type('while :; do :; done\n');
    await page.waitForTimeout(5000);
    await expect.poll(() => figure(page, 'guest-cpu')).toBeGreaterThan(30);
  }));
  await page.keyboard.press('Control+c');
  await waitForText(page, /\^C\s*~ #$/, 20_000);
  expectShortTasks(await longestTask(page, async () => {
    await page.keyboard.type('yes 0123456789\n');
    await page.waitForTimeout(5000);
    await page.keyboard.press('Control+c');
  }));
  await waitForText(page, /~ #$/, 20_000);
  const broken = (await consoleText(page)).split('\n').filter((it) => it.startsWith('0123') && !/^0123456789(\^C)?$/.test(it));
  // The last line may be cut by Ctrl-C.
  expect(broken.length).toBeLessThanOrEqual(1);

  await test.step('the power button asks the guest, which shuts down', async () => {
    await page.getByRole('button', { name: 'Power', exact: true }).click();
    await page.getByRole('button', { name: 'Press the power button' }).click();
    await waitForState(page, 'Off', 60_000);
  });
});

test('firmware boots to its screen, keys open its menu; a dropped diskette is put in and booted; a second panel, a screenshot of the dots', async ({ page }) => {
  await open(page, '-m 16 -boot menu=on,splash-time=2000');
  const screenText = () => page.evaluate(() => window.tabvisor?.screenText() ?? '');
  await expect.poll(screenText, { timeout: BOOT_MS }).toMatch(/SeaBIOS[\s\S]*Press ESC for boot menu/);
  // Without a click.
  await page.keyboard.press('Escape');
  await expect.poll(screenText).toContain('Select boot device');
  await page.getByRole('button', { name: 'Keyboard' }).click();
  // For a second and a half SeaBIOS takes a second Esc for one too many of the first.
  await expect(async () => {
    await page.getByRole('group', { name: 'PC keyboard' }).getByRole('button', { name: 'Escape' }).last().click();
    await expect.poll(screenText, { timeout: 2000 }).toContain('Booting from');
  }).toPass({ timeout: 30_000 });
  await expect.poll(screenText, { timeout: 60_000 }).toContain('No bootable device');
  await page.getByRole('button', { name: 'Keyboard' }).click();
  await expect(page.locator('[data-screen]')).toHaveAttribute('data-screen', '720x400');
  // As wide as high as on a monitor, whatever the dots.
  const box = (await page.getByRole('img', { name: /Screen of/ }).boundingBox())!;
  expect(box.width / box.height).toBeCloseTo(4 / 3, 2);
  // A diskette whose boot sector prints a text by the BIOS (INT 10h), dropped on the machine.
  await page.evaluate(() => {
    const image = new Uint8Array(1_474_560);
    image.set([0x31, 0xc0, 0x8e, 0xd8, 0xfc, 0xbe, 0x19, 0x7c, 0xac, 0x84, 0xc0, 0x74, 0x09, 0xb4, 0x0e, 0xbb, 0x07, 0x00, 0xcd, 0x10, 0xeb, 0xf2, 0xf4, 0xeb, 0xfd]);
    image.set(new TextEncoder().encode('Hello from the diskette'), 25);
    image.set([0x55, 0xaa], 510);
    const data = new DataTransfer();
    data.items.add(new File([image], 'hello.ima'));
    document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
  });
  await expect(page.getByRole('status', { name: 'Dropped files' })).toContainText('floppy of 1.44 MB, boots by BIOS');
  await page.getByRole('button', { name: 'Insert into the floppy drive A' }).click();
  await expect(page.getByText('hello.ima is in the drive')).toBeVisible();
  await page.getByRole('button', { name: 'Reset' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Reset' }).click();
  await expect.poll(screenText, { timeout: 60_000 }).toContain('Hello from the diskette');
  await page.getByRole('button', { name: 'Drives' }).click();
  await page.getByRole('button', { name: 'Eject from the floppy drive A' }).click();
  await page.getByRole('button', { name: 'Drives' }).click();
  await expect(page.getByRole('button', { name: /Insert into the floppy drive A/ })).toContainText('empty');
  await page.keyboard.press('Escape');
  const coming = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Screenshot' }).click();
  const chunks: Buffer[] = [];
  for await (const chunk of await (await coming).createReadStream()) chunks.push(chunk as Buffer);
  const png = Buffer.concat(chunks);
  // The header's width and height (PNG, 11.2.2).
  expect([png.toString('latin1', 1, 4), png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual(['PNG', 720, 400]);

  await page.getByRole('button', { name: 'View' }).click();
  await page.getByRole('button', { name: /^Console/ }).click();
  const border = page.getByRole('separator', { name: 'Border between Screen and Console' });
  const before = (await border.boundingBox())!.x;
  await border.press('ArrowRight');
  expect((await border.boundingBox())!.x).toBeGreaterThan(before);

  await test.step('the monitor is a panel, with completion and history', async () => {
    await page.getByRole('button', { name: 'View' }).click();
    await page.getByRole('button', { name: /^Monitor/ }).click();
    await page.getByRole('textbox', { name: 'Monitor' }).focus();
    const monitorText = () => page.evaluate(() => window.tabvisor?.monitorText() ?? '');
    await page.keyboard.type('stop\ninfo sta\t\n');
    await expect.poll(monitorText).toMatch(/monitor - type 'help'[^]*\(qemu\) stop\n\(qemu\) info status\s*\nVM status: paused\n\(qemu\)$/);
    await waitForState(page, 'Paused');
    const dumping = page.waitForEvent('download');
    await page.keyboard.type('screendump dots.png -f png\n');
    expect((await dumping).suggestedFilename()).toBe('dots.png');
    // The drive takes files by their names in a line, again and again, also after some that are not there.
    const unwrapped = async () => (await monitorText()).replace(/\s/g, '');
    await page.keyboard.type('change floppy0 local/none.ima\n');
    await expect.poll(unwrapped).toMatch(/Error:Couldnotopen'local\/none\.ima':Nosuchfilewasgiventothepage\(qemu\)$/);
    await page.keyboard.type('change floppy0 none.img\n');
    await expect.poll(unwrapped).toMatch(/Error:Couldnotopen'none\.img':Thereisnosuchfileontheserver\(qemu\)$/);
    await page.keyboard.type('system_reset\ncont\n');
    await expect.poll(screenText, { timeout: 60_000 }).toContain('No bootable device');
    for (let n = 0; n < 2; n++) {
      await page.keyboard.type('change floppy0 local/hello.ima\n');
      await expect.poll(unwrapped).toMatch(/\(qemu\)changefloppy0local\/hello\.ima\(qemu\)$/);
    }
    await page.keyboard.type('eject floppy0\nchange floppy0 local/hello.ima\ninfo block floppy0\n');
    await expect.poll(unwrapped).toMatch(/infoblockfloppy0floppy0:local\/hello\.ima\(bycontents\)[^]*\(qemu\)$/);
    await page.keyboard.type('system_reset\n');
    await expect.poll(screenText, { timeout: 60_000 }).toContain('Hello from the diskette');
    await page.keyboard.type('stop\ncont\n');
    await waitForState(page, 'Running');
    for (let n = 0; n < 2; n++) await page.keyboard.press('ArrowUp');
    await page.keyboard.press('Enter');
    await waitForState(page, 'Paused');
    // The names of instructions are loaded when compiled code is shown for the first time.
    await page.keyboard.type('info jit\n');
    await expect.poll(unwrapped).toMatch(/Thelargestregions\([^)]*\):0x[0-9a-f]{8}:/);
    const [, address] = /Thelargestregions\([^)]*\):(0x[0-9a-f]{8}):/.exec(await unwrapped())!;
    await page.keyboard.type(`region ${address}\n`);
    await expect.poll(unwrapped).toMatch(/Whereitisleft:unreachableend[^]*\(qemu\)$/);
  });

  await page.reload();
  await expect(page.getByRole('region', { name: 'Console' })).toBeVisible();
  await expect(page.getByRole('region', { name: 'Screen' })).toBeVisible();
});

test('a static host without headers, under a path: starts the guest', async ({ page }) => {
  const { line } = await guest(page, 'i386');
  const host = await serveStatically('dist');
  try {
    await page.goto(`${host.url}#${encodeURI(line)}`);
    await waitForText(page, /Linux version/, BOOT_MS);
  } finally {
    host.close();
  }
});

test('a link loads the machine’s parts side by side, and starts one worker for the machine', async ({ page }) => {
  const workers: string[] = [];
  page.on('worker', (worker) => { if (/\/assets\/machine-[^/]*$/.test(worker.url())) workers.push(worker.url()); });
  const asked: string[] = [];
  page.on('request', (request) => { asked.push(new URL(request.url()).pathname.replace(/.*\//, '')); });
  const { line } = await guest(page, 'i386');
  asked.length = 0;
  await open(page, line);
  await waitForText(page, /Linux version/, BOOT_MS);
  expect(workers).toHaveLength(1);
  expect(asked.filter((name) => /^machine-room-.*css$/.test(name)), 'asked for once').toHaveLength(1);
  const first = asked.slice(0, asked.findIndex((name) => name.startsWith('icon')));
  // All of these before any of them could have asked for another: icon.svg is asked for by the page's program.
  for (const name of [/^index-.*js$/, /^machine-room-.*js$/, /^index\.json$/, /^vmlinuz$/, /^initrd\.cpio\.gz$/]) expect(first.filter((it) => name.test(it)), `${name} in ${first.join(' ')}`).toHaveLength(1);
  expect(asked.filter((name) => /^(?:vmlinuz|initrd.*)$/.test(name)), 'asked for once').toHaveLength(2);
  await test.step('a second machine has a worker of its own', async () => {
    await open(page, `${line} -name second`);
    await waitForText(page, /Linux version/, BOOT_MS);
    expect(workers).toHaveLength(2);
  });
});

test('a kernel that is still coming is not waited for by who goes Home, and one of the browser’s own is not asked for', async ({ page }) => {
  const ended: string[] = [];
  page.on('requestfailed', (request) => { ended.push(new URL(request.url()).pathname.replace(/.*\//, '')); });
  const asked: string[] = [];
  // Never answered.
  await page.route(/vmlinuz|local\//, (route) => { asked.push(new URL(route.request().url()).pathname.replace(/.*\//, '')); });
  const { line, title } = await guest(page, 'i386');
  await open(page, line);
  await expect.poll(() => asked).toEqual(['vmlinuz']);
  // The machine's room takes what the head of the page has begun.
  await expect(page.getByRole('heading', { name: title })).not.toHaveCount(0);
  await page.evaluate(() => { location.hash = ''; });
  await expect.poll(() => ended).toContain('vmlinuz');
  await open(page, '-kernel local/nothing');
  await page.reload();
  await expect(page.getByRole('alert')).toContainText('local/nothing is not here', { timeout: 30_000 });
  expect(asked).toEqual(['vmlinuz']);
});

test('bad input: a missing file, a file that is no kernel, too little memory, an unknown option', async ({ page }) => {
  const { line } = await guest(page, 'i386');
  await open(page, '-kernel guests/none');
  await expect(page.getByRole('alert')).toContainText(/404.*guests\/none/, { timeout: 30_000 });
  await open(page, '-kernel icon.svg');
  await expect(page.getByRole('alert')).toContainText('icon.svg is not a kernel', { timeout: 30_000 });
  await open(page, line.replace(/-m \d+/, '-m 8'));
  await expect(page.getByRole('alert')).toContainText(/memory/i, { timeout: 60_000 });
  await open(page, `${line} -netdev user,id=n,hostfwd=udp::8080-:80 -device virtio-net-pci,netdev=n`);
  await expect(page.getByRole('alert')).toContainText('hostfwd=udp:');
  await open(page, `${line} -frobnicate`);
  await expect(page.getByRole('alert')).toContainText('-frobnicate');
});
