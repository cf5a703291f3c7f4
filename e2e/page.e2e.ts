// The page alone, with a stand-in for the machine worker: what the user sees of loading, running, ending and failing.

import { expect, test, type Page } from '@playwright/test';
import { consoleText, expectShortTasks, figure, guests, kernelImage, longestTask, open, run, waitForState, waitForText, withPickedFolder } from './room.ts';
import { serveStatically } from './static-server.ts';

/** A line whose files the page has beside it, whether or not guests were built. */
const LINE = '-m 256 -kernel kernel.bin -append "console=ttyS0"';

const serveKernel = (page: Page) => page.route('**/kernel.bin', (route) => route.fulfill({ body: kernelImage(), contentType: 'application/octet-stream' }));

async function boot(page: Page, line = LINE): Promise<void> {
  await serveKernel(page);
  await open(page, line);
  await waitForText(page, /~ #$/);
}

test.beforeEach(({ page }) => {
  page.on('pageerror', (error) => { test.info().annotations.push({ type: 'pageerror', description: error.message }); });
});

test('Home offers every bundled guest as a link with its line', async ({ page }) => {
  await page.goto('./');
  await expect(page.getByRole('heading', { name: 'Tabvisor' })).toBeVisible();
  const list = await guests(page);
  for (const guest of list) {
    const card = page.getByRole('link', { name: guest.title });
    await expect(card).toBeVisible();
    expect(decodeURIComponent((await card.getAttribute('href'))!)).toBe(`#${guest.line}`);
  }
  if (!list.length) await expect(page.getByText('came without guests')).toBeVisible();
});

test('a line typed on Home becomes the address and boots', async ({ page }) => {
  await serveKernel(page);
  await page.goto('./');
  await page.getByRole('textbox', { name: /Machine line/ }).fill('qemu-system-x86_64 -kernel "kernel.bin');
  await page.getByRole('button', { name: 'Boot' }).click();
  await expect(page.getByRole('alert')).toContainText('never closed');
  await page.getByRole('textbox', { name: /Machine line/ }).fill('qemu-system-x86_64 -kernel "kernel.bin"');
  await page.keyboard.press('Enter');
  await waitForText(page, /~ #$/);
  expect(decodeURIComponent(new URL(page.url()).hash)).toBe('#-kernel kernel.bin');
});

test('a chosen kernel is recognised by content, boots, and is still there after a reload', async ({ page }) => {
  await page.goto('./');
  await page.getByLabel('Disk, CD, floppy, kernel and initramfs files').setInputFiles([
    { name: 'my kernel.img', mimeType: '', buffer: kernelImage() },
    { name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('not a kernel') },
    { name: 'root.cpio', mimeType: '', buffer: Buffer.from('070701') },
  ]);
  const given = page.getByRole('region', { name: 'What you gave' });
  await expect(given).toContainText('notes.txt (12 bytes) is neither a disk');
  await expect(given).toContainText('my kernel.img (4.10 kB) is a Linux kernel, 64-bit');
  await expect(given.getByRole('link', { name: 'Boot' })).toBeFocused();
  await page.keyboard.press('Enter');
  await waitForText(page, /~ #$/);
  expect(decodeURIComponent(page.url())).toContain('-kernel local/my_kernel.img -initrd local/root.cpio');
  await page.reload();
  await waitForText(page, /~ #$/);
});

test('an image dropped on Home is recognised and has a line that boots it; form and line are one', async ({ page }) => {
  await page.goto('./');
  // A CD with a boot record, as El Torito has it.
  await page.evaluate(() => {
    const image = new Uint8Array(0x9000);
    const put = (at: number, text: string) => image.set(new TextEncoder().encode(text), at);
    put(0x8001, 'CD001');
    put(0x8028, 'RESCUE');
    put(0x8801, 'CD001');
    put(0x8807, 'EL TORITO SPECIFICATION');
    const data = new DataTransfer();
    data.items.add(new File([image], 'rescue.bin'));
    for (const type of ['dragover', 'drop']) document.body.dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }));
  });
  const given = page.getByRole('region', { name: 'What you gave' });
  await expect(given).toContainText('is a CD “RESCUE”, boots by BIOS');
  expect(decodeURIComponent((await given.getByRole('link', { name: 'Boot' }).getAttribute('href'))!)).toBe('#-m 512 -cdrom local/rescue.bin -boot d');
  await given.getByRole('button', { name: 'Change the machine first' }).click();
  const line = page.getByRole('textbox', { name: /Machine line/ });
  await expect(line).toHaveValue('-m 512 -cdrom local/rescue.bin -boot d');
  await page.getByRole('textbox', { name: 'Memory' }).fill('1G');
  await page.getByRole('textbox', { name: 'Boot order' }).fill('');
  await expect(line).toHaveValue('-m 1G -cdrom local/rescue.bin');
  await line.fill('-m 64 -cdrom x.iso -name "My PC"');
  await expect(page.getByRole('textbox', { name: 'Memory' })).toHaveValue('64');
  await expect(page.getByRole('textbox', { name: 'Name', exact: true })).toHaveValue('My PC');
  await line.fill('-m 64 -frobnicate');
  await expect(page.getByText('The option -frobnicate cannot be used')).toBeVisible();
});

test('a machine that ran is a card on Home: renamed, removed, and back; a file dropped on its room is said', async ({ page }) => {
  await boot(page);
  await page.waitForTimeout(4500);
  await page.evaluate(() => {
    const data = new DataTransfer();
    data.items.add(new File([new Uint8Array(737_280)], 'disk.ima'));
    document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
  });
  await expect(page.getByRole('status', { name: 'Dropped files' })).toContainText('disk.ima floppy of 720 KB');
  await page.getByRole('button', { name: 'Boot in a new machine' }).click();
  await expect(page.getByRole('dialog', { name: 'Leave kernel.bin?' })).toBeVisible();
  await page.getByRole('button', { name: 'Cancel' }).click();
  await page.getByRole('button', { name: 'Home' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Leave' }).click();
  const card = page.getByRole('listitem').filter({ has: page.getByRole('link', { name: 'Start kernel.bin' }) });
  await expect(card).toContainText('Tabvisor guest ready');
  await card.getByRole('button', { name: 'Rename kernel.bin' }).click();
  await page.getByRole('dialog').getByRole('textbox').fill('My kernel');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('link', { name: 'Start My kernel' })).toBeVisible();
  await page.getByRole('button', { name: 'Remove My kernel' }).click();
  await expect(page.getByRole('link', { name: 'Start My kernel' })).toBeHidden();
  await page.getByRole('button', { name: 'Undo' }).click();
  await page.getByRole('link', { name: 'Start My kernel' }).click();
  await waitForText(page, /~ #$/);
});

test('says what it boots and how much comes before any of it has come, and names each part', async ({ page }) => {
  let send = () => {};
  const isSent = new Promise<void>((resolve) => { send = resolve; });
  await page.route('**/kernel.bin', async (route) => {
    // The size is asked for first, and the file itself waits until all has been looked at.
    if (route.request().method() === 'HEAD') return route.fulfill({ headers: { 'content-length': '4096' } });
    await isSent;
    return route.fulfill({ body: kernelImage(), contentType: 'application/octet-stream' });
  });
  await page.goto('./');
  await open(page, `${LINE} -name "Test machine"`);
  await expect(page.getByRole('heading', { name: 'Starting Test machine' })).toBeVisible();
  await expect(page.getByText(/to load$/)).toBeVisible();
  for (const part of ['Engine', 'Kernel']) await expect(page.getByRole('progressbar', { name: part })).toBeVisible();
  await expect(page.getByRole('listitem').filter({ hasText: 'Kernel' })).toContainText('4.10 kB');
  await expect(page.locator('.xterm-screen')).toBeVisible();
  await expect(page.locator('.xterm-cursor'), 'nothing to type into yet').toHaveCount(0);
  send();
  await waitForText(page, /~ #$/);
  await expect(page.getByRole('heading', { name: /Starting/ })).toBeHidden();
  await expect(page.locator('.xterm-cursor')).toHaveCount(1);
});

test('the console has the keyboard without a click; pause stops the figures, resume goes on', async ({ page }) => {
  await boot(page);
  expect(await run(page, 'uname -m')).toBe('x86_64');
  // The cursor blinks without an animation, which would cost frames all the time.
  const cursor = page.locator('.xterm-cursor');
  await expect(cursor).toHaveCSS('animation-name', 'none');
  await expect(cursor).toHaveCSS('background-color', 'rgba(0, 0, 0, 0)');
  await expect(cursor).not.toHaveCSS('background-color', 'rgba(0, 0, 0, 0)');
  await expect.poll(() => figure(page, 'mips')).toBeGreaterThan(1);
  await page.getByRole('button', { name: 'Pause' }).click();
  await waitForState(page, 'Paused');
  expect(await figure(page, 'mips')).toBe(0);
  await page.getByRole('button', { name: 'Resume' }).click();
  await waitForState(page, 'Running');
  expect(await run(page, 'uname -m')).toBe('x86_64');
  await expect.poll(() => figure(page, 'mips')).toBeGreaterThan(1);
});

test('reset and pulling the plug are asked by name; a machine that is off starts again', async ({ page }) => {
  await boot(page);
  await page.getByRole('button', { name: 'Reset' }).click();
  await expect(page.getByRole('dialog', { name: 'Reset kernel.bin?' })).toBeVisible();
  await page.keyboard.press('Escape');
  await run(page, 'uname -m');
  await page.getByRole('button', { name: 'Reset' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Reset' }).click();
  await waitForText(page, /— reset —[\s\S]*Linux version[\s\S]*~ #$/);
  await run(page, 'uname -m');
  await page.getByRole('button', { name: 'Power', exact: true }).click();
  await page.getByRole('button', { name: 'Pull the plug…' }).click();
  await page.getByRole('dialog', { name: 'Pull the plug of kernel.bin?' }).getByRole('button', { name: 'Pull the plug' }).click();
  await waitForState(page, 'Off');
  await page.getByRole('button', { name: 'Start again' }).click();
  await waitForText(page, /~ #$/);
});

test('power-off from the guest keeps its last screen', async ({ page }) => {
  await boot(page);
  await page.keyboard.type('poweroff -f\n');
  await waitForState(page, 'Off');
  await expect(page.getByRole('button', { name: 'Start again' })).toBeFocused();
  expect(await consoleText(page)).toContain('Power down');
});

test('a power button that the guest ignores is a notice, not the end', async ({ page }) => {
  await boot(page);
  await page.getByRole('button', { name: 'Power', exact: true }).click();
  await page.getByRole('button', { name: 'Press the power button' }).click();
  await expect(page.getByRole('status').filter({ hasText: 'Could not press the power button' })).toBeVisible();
  expect(await run(page, 'uname -m')).toBe('x86_64');
});

test('a flood of output blocks no task of the page for 100 ms, and loses nothing', async ({ page }) => {
  await boot(page);
  expectShortTasks(await longestTask(page, async () => {
    await page.keyboard.type('flood\n');
    await page.waitForTimeout(4000);
    // The page still answers, and the guest still hears. (Reading all text, below, is a long task of the test's own.)
    await page.keyboard.press('Control+c');
    await page.waitForTimeout(500);
  }));
  await waitForText(page, /\^C\s+~ #$/, 20_000);
  const lines = (await consoleText(page)).split('\n').filter((line) => line.startsWith('flood'));
  expect(lines.length).toBeGreaterThan(500);
  expect(lines.filter((line) => !/^flood \d+ x{60}$/.test(line))).toEqual([]);
});

test('each serial port has a tab', async ({ page }) => {
  await boot(page, `${LINE} -serial stdio -serial file:log`);
  await page.getByRole('tab', { name: 'serial1' }).click();
  await waitForText(page, /second port/, 10_000, 1);
  await page.getByRole('tab', { name: 'serial1' }).press('ArrowLeft');
  await expect(page.getByRole('tab', { name: 'serial0' })).toHaveAttribute('aria-selected', 'true');
});

test('a line that shares a folder asks for it before anything starts', async ({ page }) => {
  await serveKernel(page);
  await open(page, `${LINE} -virtfs local,path=work,mount_tag=share,security_model=none`);
  await expect(page.getByRole('heading', { name: 'This machine wants a folder' })).toBeVisible();
  await expect(page.getByText('share', { exact: true })).toBeVisible();
  await page.getByRole('button', { name: 'Go on with an empty one' }).click();
  await waitForState(page, 'Running');
});

test('what a machine writes into a folder that the user picked is there; of others the changes are a download', async ({ page }) => {
  await withPickedFolder(page);
  await serveKernel(page);
  const line = `${LINE} -virtfs local,path=work,mount_tag=share,security_model=none`;
  await open(page, line);
  await expect(page.getByText('what it writes goes into the folder')).toBeVisible();
  await page.getByRole('button', { name: 'Choose a folder' }).click();
  await waitForText(page, /~ #$/);
  expect(await run(page, 'write')).toBe('written');
  expect(await page.evaluate(async () => {
    const found: Record<string, string> = {};
    const look = async (folder: FileSystemDirectoryHandle, path: string) => {
      for await (const [name, entry] of folder as unknown as AsyncIterable<[string, FileSystemHandle]>) {
        if (entry.kind === 'directory') await look(entry as FileSystemDirectoryHandle, `${path}${name}/`);
        else {
          const file = await (entry as FileSystemFileHandle).getFile();
          found[path + name] = `${file.size} ${(await file.slice(-27).text()).replace(/\0/g, '')}`;
        }
      }
    };
    await look(await (await navigator.storage.getDirectory()).getDirectoryHandle('picked'), '');
    return found;
  })).toEqual({ 'note.txt': '27 FROM the user\nof the guest\n', 'made/big': '3000003 end', 'made/moved/deep.txt': '4 deep' });
  await page.getByRole('button', { name: 'Folders' }).click();
  await expect(page.locator('[data-folder=work]')).toContainText('written into your folder');
  await page.keyboard.press('Escape');

  await page.reload();
  await page.getByLabel('Folder work').setInputFiles('e2e');
  await waitForText(page, /~ #$/);
  await page.getByRole('button', { name: 'Folders' }).click();
  await expect(page.locator('[data-folder=work]')).toContainText('changes would stay in memory');
});

test('finds text in the console', async ({ page }) => {
  await boot(page);
  await page.keyboard.press('Control+Shift+F');
  await page.keyboard.type('device 7');
  await expect(page.getByText('1 of 1')).toBeVisible();
  await page.keyboard.press('Escape');
  expect(await run(page, 'uname -m')).toBe('x86_64');
});

test('copies and pastes, downloads the log, copies the link', async ({ page }) => {
  await boot(page);
  await page.evaluate(() => navigator.clipboard.writeText('uname -m'));
  await page.getByRole('button', { name: 'Console', exact: true }).click();
  await page.getByRole('button', { name: /^Paste/ }).click();
  // The clipboard is read in its own time: Enter comes when its text is seen, as a user's does.
  await waitForText(page, /~ # uname -m$/);
  expect(await run(page, '')).toBe('x86_64');
  const coming = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Console', exact: true }).click();
  await page.getByRole('button', { name: /Download console log/ }).click();
  const log = await (await coming).createReadStream();
  let text = '';
  for await (const chunk of log) text += chunk;
  expect(text).toContain('device 39');
  expect((await coming).suggestedFilename()).toBe('kernel.bin-serial0.log');
  await page.getByRole('button', { name: 'Copy link' }).click();
  await expect(page.getByText('Link copied.')).toBeVisible();
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(page.url());
});

test('the bar is reached by key', async ({ page }) => {
  await boot(page);
  await page.keyboard.press('Control+Shift+L');
  await expect(page.getByRole('button', { name: 'Home' })).toBeFocused();
  await page.keyboard.press('Tab');
  await expect(page.getByRole('button', { name: 'Pause' })).toBeFocused();
});

test('Back does not end a machine without asking, once something was typed', async ({ page }) => {
  await page.goto('./');
  await boot(page);
  await run(page, 'uname -m');
  await page.goBack();
  await expect(page.getByRole('dialog', { name: 'Leave kernel.bin?' })).toBeVisible();
  await page.getByRole('button', { name: 'Cancel' }).click();
  expect(await run(page, 'uname -m')).toBe('x86_64');
  await page.goBack();
  await page.getByRole('button', { name: 'Leave' }).click();
  await expect(page.getByRole('heading', { name: 'Tabvisor' })).toBeVisible();
});

test('a failed download names the address, the status and the cause', async ({ page }) => {
  await open(page, '-kernel guests/none/vmlinuz');
  const failure = page.getByRole('alert');
  await expect(failure).toContainText('guests/none/vmlinuz could not be downloaded');
  await expect(failure).toContainText(/404 Not Found for http:\S+\/guests\/none\/vmlinuz/);
  await waitForState(page, 'Failed');
});

test('a connection that fails names the address', async ({ page }) => {
  await page.route('**/kernel.bin', (route) => route.abort());
  await open(page, LINE);
  await expect(page.getByRole('alert')).toContainText(/No answer for http:\S+\/kernel\.bin/);
  await page.unroute('**/kernel.bin');
  await serveKernel(page);
  await page.getByRole('button', { name: 'Try again' }).click();
  await waitForText(page, /~ #$/);
});

test('a file that is no kernel, a broken line, a file of another browser: said in words', async ({ page }) => {
  await open(page, '-kernel icon.svg');
  await expect(page.getByRole('alert')).toContainText('icon.svg is not a kernel');
  await open(page, '-kernel "x');
  await expect(page.getByRole('alert')).toContainText('The machine line cannot be read');
  await open(page, '-kernel icon.svg -frobnicate');
  await expect(page.getByRole('alert')).toContainText('The option -frobnicate cannot be used');
  await open(page, '-kernel local/gone');
  await expect(page.getByRole('alert')).toContainText('local/gone is not here');
});

test('a crash of the guest shows its registers, to be copied', async ({ page }) => {
  await boot(page);
  await page.keyboard.type('crash\n');
  await expect(page.getByRole('alert')).toContainText('triple fault');
  await expect(page.getByRole('alert')).toContainText('RIP=ffffffff81000000');
  await page.getByRole('button', { name: 'Copy details' }).click();
  await expect.poll(() => page.evaluate(() => navigator.clipboard.readText())).toContain('RIP=ffffffff81000000');
  expect(await consoleText(page)).toContain('~ # crash');
});

test('a worker that dies is a failure with its reason', async ({ page }) => {
  await boot(page);
  await page.keyboard.type('die\n');
  await expect(page.getByRole('alert')).toContainText('the worker is made to die');
  await page.getByRole('button', { name: 'Try again' }).click();
  await waitForText(page, /~ #$/);
});

test('an error of the page itself gives an error page, not a blank one', async ({ page }) => {
  // A browser without getBattery would not matter; one whose Intl or WebAssembly is broken in this way would.
  await page.addInitScript(() => {
    Object.defineProperty(Navigator.prototype, 'hardwareConcurrency', { get() { throw new Error('broken on purpose'); } });
  });
  await page.goto('./#help');
  await expect(page.getByRole('heading', { name: 'The page made an error' })).toBeVisible();
  await expect(page.getByRole('alert')).toContainText('broken on purpose');
  await expect(page.getByRole('button', { name: 'Reload' })).toBeFocused();
});

test('a program that cannot be loaded is said, not a blank page', async ({ page }) => {
  await page.route('**/assets/index-*.js', (route) => route.abort());
  await page.goto('./');
  await expect(page.getByRole('alert')).toContainText('could not be loaded from');
});

test('a missing ability is named', async ({ page }) => {
  await page.addInitScript(() => {
    const validate = WebAssembly.validate;
    // The SIMD probe is the only one with the prefix 0xfd.
    WebAssembly.validate = (bytes) => !new Uint8Array(bytes as ArrayBuffer).includes(0xfd) && validate(bytes);
  });
  await open(page, LINE);
  await expect(page.getByRole('alert')).toContainText('Missing: WebAssembly SIMD');
  await page.goto('./#help');
  await expect(page.getByRole('row', { name: /WebAssembly SIMD/ })).toContainText('missing');
});

test('a static host without headers, under a path: the service worker isolates the page', async ({ page }) => {
  const host = await serveStatically('build/fake-page');
  try {
    await page.goto(host.url);
    await expect.poll(() => page.evaluate(() => crossOriginIsolated).catch(() => false)).toBe(true);
    await page.route('**/kernel.bin', (route) => route.fulfill({ body: kernelImage(), contentType: 'application/octet-stream' }));
    await page.goto(`${host.url}#${encodeURI('-kernel icon.svg')}`);
    // The worker ran and loaded the file: it knows that it is no kernel.
    await expect(page.getByRole('alert')).toContainText('icon.svg is not a kernel');
  } finally {
    host.close();
  }
});

test('where no service worker may run, the page says what is missing and what to do, and does not load again and again', async ({ browser }) => {
  const host = await serveStatically('build/fake-page');
  const context = await browser.newContext({ serviceWorkers: 'block' });
  try {
    const page = await context.newPage();
    let loads = 0;
    page.on('request', (request) => { if (request.isNavigationRequest()) loads++; });
    await page.goto(`${host.url}#${encodeURI(LINE)}`);
    await expect(page.getByRole('alert')).toContainText('cannot share memory with its machine', { timeout: 20_000 });
    await expect(page.getByRole('alert')).toContainText('Cross-Origin-Opener-Policy');
    expect(loads).toBeLessThanOrEqual(2);
  } finally {
    await context.close();
    host.close();
  }
});

test('an insecure origin is told to use https', async ({ page }) => {
  await page.addInitScript(() => {
    Object.defineProperty(window, 'isSecureContext', { value: false });
    Object.defineProperty(window, 'crossOriginIsolated', { value: false });
  });
  await open(page, LINE);
  await expect(page.getByRole('alert')).toContainText('Open the page over https');
});
