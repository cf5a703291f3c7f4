// The network of guests in the page: the user-mode network with HTTP by fetch, a guest's web server in the preview, two tabs on a hub, two browsers on a relay.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, expect, test, type Page } from '@playwright/test';
import config from '../playwright.config.ts';
import { Relay } from '../relay/server.ts';
import { serveFiles } from './file-server.ts';
import { guests, open, previewPane, run, waitForText } from './room.ts';
import { SITE } from './site.ts';
import { serveWeb } from './web-server.ts';

const BOOT_MS = 180_000;

async function line(page: Page, more: string): Promise<string> {
  const guest = (await guests(page)).find(({ name }) => name === 'amd64');
  if (!guest) throw new Error('The built page has no guest "amd64": run "npm run guests" and "npm run build" first.');
  // Its card goes, and others come.
  return `${guest.line.replace('-nic user,model=virtio-net-pci', '').replace(' ip=dhcp', '')} ${more}`;
}

/** Boot to the shell, with the driver of virtio's cards. */
async function boot(page: Page, more: string): Promise<void> {
  await page.goto('./');
  await open(page, await line(page, more));
  await waitForText(page, /~ #$/, BOOT_MS);
  await page.getByRole('textbox', { name: /console|terminal/i }).first().focus();
  await run(page, 'dmesg -n 1; modprobe -a virtio_pci virtio_net; sleep 1', 30_000);
}


const screenText = (page: Page) => page.evaluate(() => window.tabvisor?.screenText() ?? '');
/** What a script says, and the next one that it goes on with. */
const SCRIPTS = { 'boot.ipxe': '#!ipxe\necho first at ${net0/ip}\nchain next.ipxe\n', 'next.ipxe': '#!ipxe\necho second of ${net0/mac}\nprompt Here it waits.\n' };
const answers = (page: Page) => expect.poll(() => screenText(page), { timeout: BOOT_MS }).toMatch(/first at 10\.0\.2\.15[^]*second of 52:54:00:12:34:56[^]*Here it waits\./);

test('boot from the network: iPXE runs the scripts that were dropped, and those of a folder by its address', async ({ page }) => {
  test.setTimeout(2 * BOOT_MS);
  await page.goto('./');
  await page.getByLabel('Disk, CD, floppy, kernel and initramfs files').setInputFiles(Object.entries(SCRIPTS).map(([name, text]) => ({ name, mimeType: '', buffer: Buffer.from(text) })));
  const given = page.getByRole('region', { name: 'What you gave' });
  await expect(given).toContainText('boot.ipxe (48 bytes) is an iPXE script');
  await given.getByRole('link', { name: 'Boot' }).click();
  expect(decodeURIComponent(page.url())).toContain('tftp=local,bootfile=boot.ipxe');
  await answers(page);

  const folder = mkdtempSync(join(tmpdir(), 'tabvisor-tftp-'));
  const files = await serveFiles(Object.fromEntries(Object.keys(SCRIPTS).map((name) => [name, join(folder, name)])));
  try {
    for (const [name, text] of Object.entries(SCRIPTS)) writeFileSync(join(folder, name), text);
    await page.goto('about:blank');
    await open(page, `-m 32 -nic user,model=e1000,tftp=${files.url('')},bootfile=boot.ipxe -boot n`);
    await answers(page);
  } finally {
    files.close();
    rmSync(folder, { recursive: true });
  }
});

test('user network: DHCP, names, ping, HTTP by fetch; a guest\'s web server in the preview', async ({ page }) => {
  test.setTimeout(3 * BOOT_MS);
  const web = await serveWeb(SITE);
  try {
    await boot(page, '-netdev user,id=net,hostname=carol,hostfwd=tcp::8080-:80,hostfwd=tcp::8081-:8081 -device virtio-net-pci,netdev=net');

    await test.step('address, names, echo', async () => {
      expect(await run(page, 'udhcpc -i eth0 -n -q 2>&1 | grep obtained', 30_000)).toContain('lease of 10.0.2.15 obtained from 10.0.2.2');
      expect(await run(page, 'ping -c 2 10.0.2.2', 20_000)).toContain('2 packets received');
      expect(await run(page, 'nslookup open.test | grep Address', 20_000)).toMatch(/198\.18\.0\.\d/);
    });

    await test.step('HTTP where CORS allows it, and a clear answer where not', async () => {
      expect(await run(page, 'wget -q -O - http://open.test/', 20_000)).toBe('hello from open.test');
      expect(await run(page, 'wget -q -O - http://closed.test/; echo "exit $?"', 20_000)).toMatch(/502 Bad Gateway[^]*exit 1/);
      expect(await run(page, 'printf "GET / HTTP/1.0\\r\\nHost: closed.test\\r\\n\\r\\n" | nc closed.test 80 | tail -n 1', 20_000)).toMatch(/could not be reached from this page.*CORS/);
      expect(await run(page, 'http_proxy=http://10.0.2.2:3128 wget -q -O - http://open.test/by-proxy', 20_000)).toBe('hello from open.test');
      expect(await run(page, 'nc open.test 443 </dev/null 2>&1', 20_000)).toContain('refused');
      await expect(page.getByRole('button', { name: 'Network' })).toBeVisible();
    });

    const { preview, frame, address, show } = previewPane(page);

    await test.step('the preview waits for the server, and then shows it by itself', async () => {
      await expect(preview.getByText(/Nothing answers on the guest’s port 80 yet/)).toBeVisible({ timeout: 30_000 });
      await page.screenshot({ path: 'test-results/preview-waiting.png' });
      await page.getByRole('textbox', { name: /console|terminal/i }).first().focus();
      await run(page, 'cd /tmp; wget -q -O - http://open.test/site.tar | tar x; cd; httpd -h /tmp/www', 30_000);
      await expect(frame.getByRole('heading', { name: 'Served by the guest' })).toBeVisible({ timeout: 20_000 });
      await expect(frame.getByRole('heading')).toHaveCSS('color', 'rgb(1, 2, 3)');
      expect(await frame.locator('#pic').evaluate((image: HTMLImageElement) => image.naturalWidth)).toBe(40);
      await expect(frame.locator('#fetched')).toHaveText('200 POST a=b posted', { timeout: 20_000 });
      await expect(frame.locator('#late')).toHaveText('late image 40', { timeout: 20_000 });
      await page.screenshot({ path: 'test-results/preview-light.png' });
    });

    await test.step('links, forms, redirects, status codes', async () => {
      await frame.getByRole('link', { name: 'from the root' }).click();
      await expect(address).toHaveValue('/deep/page.html?x=1', { timeout: 20_000 });
      await frame.getByRole('link', { name: 'back up' }).click();
      await frame.getByRole('link', { name: 'redirected' }).click();
      await expect(frame.locator('#here')).toHaveText('deep page', { timeout: 20_000 });
      await show('/');
      await frame.getByRole('textbox').fill('a b');
      await frame.getByRole('button', { name: 'Send' }).click();
      await expect(frame.locator('#got')).toHaveText('POST word=a+b', { timeout: 20_000 });
      await frame.getByRole('link', { name: 'cookie' }).click();
      await expect(frame.locator('body')).toHaveText('cookie: seen=word=a+b host: localhost:8080', { timeout: 20_000 });
      await show('/missing.html');
      await expect(preview.getByText('answered with status 404')).toBeVisible({ timeout: 20_000 });
      await page.screenshot({ path: 'test-results/preview-404.png' });
    });

  } finally {
    web.close();
  }
});

test('two tabs on a hub ping one another and see who is there; two browsers on a relay, which goes and comes back', async ({ page, context }) => {
  test.setTimeout(4 * BOOT_MS);
  const relay = { now: new Relay({ port: 0 }) };
  const port = await relay.now.listen();
  const second = await chromium.launch(config.use!.launchOptions);
  const other = await context.newPage();
  try {
    const lan = '-netdev hub,id=lan,name=lan -device virtio-net-pci,netdev=lan';
    const wan = `-netdev relay,id=wan,url=ws://127.0.0.1:${port}/room -device virtio-net-pci,netdev=wan`;
    await boot(page, `-name alice ${lan} ${wan}`);
    await boot(other, `-name bob ${lan}`);
    const cable = (on: Page, id: string) => on.locator(`[data-netdev=${id}]`);

    await test.step('two tabs of one browser', async () => {
      await run(page, 'ip addr add 10.8.0.1/24 dev eth0; ip link set eth0 up; ip addr add 10.9.0.1/24 dev eth1; ip link set eth1 up', 20_000);
      await run(other, 'ip addr add 10.8.0.2/24 dev eth0; ip link set eth0 up', 20_000);
      expect(await run(page, 'ping -c 3 10.8.0.2', 30_000)).toContain('3 packets received');
      expect(await run(other, 'ping -c 3 10.8.0.1', 30_000)).toContain('3 packets received');
      await page.getByRole('button', { name: 'Network' }).click();
      await expect(cable(page, 'lan').getByRole('list')).toContainText(/^bob 52:54:00:/);
      await expect(cable(page, 'wan')).toContainText('connected');
      await page.screenshot({ path: 'test-results/network-hub.png' });
      await page.keyboard.press('Escape');
      await other.close();
      await page.getByRole('button', { name: 'Network' }).click();
      await expect(cable(page, 'lan')).toContainText('no other machine is there', { timeout: 20_000 });
      await page.keyboard.press('Escape');
    });

    await test.step('two browsers over a relay', async () => {
      const far = await second.newPage({ baseURL: config.projects![1].use!.baseURL });
      await boot(far, `-name carol ${wan}`);
      await run(far, 'ip addr add 10.9.0.2/24 dev eth0; ip link set eth0 up', 20_000);
      expect(await run(far, 'ping -c 3 10.9.0.1', 30_000)).toContain('3 packets received');
      await relay.now.close();
      await expect(page.getByRole('button', { name: 'Network: connecting' })).toBeVisible({ timeout: 10_000 });
      await page.getByRole('button', { name: 'Network' }).click();
      await expect(cable(page, 'wan')).toContainText(/disconnected .* next try in/);
      await page.screenshot({ path: 'test-results/network-relay-gone.png' });
      await page.keyboard.press('Escape');
      // Nothing hangs, and the guests see that the cable is out.
      await page.getByRole('textbox', { name: /console|terminal/i }).first().focus();
      expect(await run(page, 'until [ "$(cat /sys/class/net/eth1/carrier)" = 0 ]; do sleep 0.1; done; echo out', 20_000)).toMatch(/out$/);
      expect(await run(far, 'ping -c 1 -W 1 10.9.0.1 | tail -n 1; echo alive', 20_000)).toContain('alive');
      relay.now = new Relay({ port });
      await relay.now.listen();
      expect(await run(far, 'until [ "$(cat /sys/class/net/eth0/carrier)" = 1 ]; do sleep 0.1; done; until ping -c 1 -W 1 10.9.0.1 >/dev/null; do :; done; echo back', 60_000)).toMatch(/back$/);
      await page.getByRole('button', { name: 'Network' }).click();
      await expect(cable(page, 'wan')).toHaveText(/connected$/);
      await page.keyboard.press('Escape');
    });
  } finally {
    await second.close();
    await relay.now.close();
  }
});
