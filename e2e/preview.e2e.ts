// The preview of a guest's web server, with a stand-in for the machine (fake-machine.ts) that answers as the guest would: what browsers do with
// links, forms and files, and what a hostile guest can do to the page, which is nothing.

import { expect, test } from '@playwright/test';
import { kernelImage, open, previewPane } from './room.ts';

test('the preview of a guest\'s web server, and a hostile one', async ({ page }) => {
  test.setTimeout(120_000);
  await page.route('**/kernel.bin', (route) => route.fulfill({ body: kernelImage(), contentType: 'application/octet-stream' }));
  await open(page, '-kernel kernel.bin -append console=ttyS0 -netdev user,id=net,hostfwd=tcp::8080-:80,hostfwd=tcp::8081-:8081 -device virtio-net-pci,netdev=net');
  const { preview, frame, address, show } = previewPane(page);

  await test.step('it waits for the server, and then shows it by itself', async () => {
    await expect(preview.getByText(/Nothing answers on the guest’s port 80 yet/)).toBeVisible();
    await expect(frame.getByRole('heading', { name: 'Served by the guest' })).toBeVisible({ timeout: 20_000 });
    await expect(frame.getByRole('heading')).toHaveCSS('color', 'rgb(1, 2, 3)');
    expect(await frame.locator('#pic').evaluate((image: HTMLImageElement) => image.naturalWidth)).toBe(40);
    await expect(frame.locator('#fetched')).toHaveText('200 POST a=b posted');
    await expect(frame.locator('#late')).toHaveText('late image 40');
    await page.screenshot({ path: 'test-results/preview-light.png' });
  });

  await test.step('links, forms, cookies, redirects, status codes, files', async () => {
    await frame.getByRole('link', { name: 'relative' }).click();
    await expect(frame.locator('#here')).toHaveText('deep page');
    await expect(address).toHaveValue('/deep/page.html');
    await frame.getByRole('link', { name: 'back up' }).click();
    await frame.getByRole('link', { name: 'from the root' }).click();
    await expect(address).toHaveValue('/deep/page.html?x=1');
    await preview.getByRole('button', { name: 'Back' }).click();
    await expect(frame.getByRole('heading', { name: 'Served by the guest' })).toBeVisible();
    await frame.getByRole('link', { name: 'redirected' }).click();
    await expect(address).toHaveValue('/deep/page.html');
    await show('/');
    await frame.getByRole('textbox').fill('a b');
    await frame.getByRole('button', { name: 'Send' }).click();
    await expect(frame.locator('#got')).toHaveText('POST word=a+b');
    await frame.getByRole('link', { name: 'cookie' }).click();
    await expect(frame.locator('body')).toHaveText('cookie: seen=word=a+b host: localhost:8080');
    await show('/missing.html');
    await expect(preview.getByText('answered with status 404')).toBeVisible();
    await show('index.html');
    await frame.getByRole('link', { name: 'a file' }).click();
    await expect(preview.getByText('data.bin, 10 B')).toBeVisible();
    const coming = page.waitForEvent('download');
    await preview.getByRole('button', { name: 'Save' }).click();
    expect((await coming).suggestedFilename()).toBe('data.bin');
    await show('/');
    await frame.getByRole('link', { name: 'outside' }).click();
    await expect(preview.getByRole('link', { name: 'Open in a new tab' })).toHaveAttribute('href', 'https://example.org/x');
    await show('pictures/box.svg');
    await expect(address).toHaveValue('/pictures/box.svg');
  });

  await test.step('dark, and as wide as a phone', async () => {
    await show('/');
    await expect(frame.getByRole('heading', { name: 'Served by the guest' })).toBeVisible({ timeout: 20_000 });
    await page.emulateMedia({ colorScheme: 'dark' });
    await page.screenshot({ path: 'test-results/preview-dark.png' });
    await page.getByRole('button', { name: 'Network' }).click();
    await page.screenshot({ path: 'test-results/network-menu.png' });
    await page.keyboard.press('Escape');
    await page.setViewportSize({ width: 390, height: 800 });
    await page.screenshot({ path: 'test-results/preview-phone.png' });
    await page.emulateMedia({ colorScheme: 'light' });
    await page.setViewportSize({ width: 1200, height: 760 });
  });

  await test.step('a hostile page has no origin, no storage, no way to the page or out, and cannot hang it', async () => {
    await page.evaluate(() => localStorage.setItem('secret', 'of the page'));
    const outside: string[] = [];
    page.on('request', (request) => { if (!request.url().startsWith(new URL('./', page.url()).href) && !/^(?:data|blob):/.test(request.url())) outside.push(request.url()); });
    await show('/evil.html');
    await expect(frame.locator('#report')).toContainText('{', { timeout: 20_000 });
    const report = JSON.parse(await frame.locator('#report').innerText()) as Record<string, string>;
    expect(report).toMatchObject({ origin: 'null', storage: 'null', cookie: 'refused', database: 'refused', parent: 'refused', handle: 'refused', top: 'refused', app: 'refused', elsewhere: 'refused', worker: 'refused' });
    expect(page.url()).toContain('#');
    expect(await page.evaluate(() => localStorage.getItem('secret'))).toBe('of the page');
    expect(outside).toEqual([]);
    // The page itself in the guest's frame would be a page of the user's.
    await show('/away.html');
    await page.waitForTimeout(1000);
    expect(page.frames().filter((one) => /index\.html/.test(one.url()) && one.parentFrame())).toEqual([]);
    await show('/loop.html');
    await page.waitForTimeout(1000);
    await page.getByRole('button', { name: 'Network' }).click();
    await expect(page.getByRole('button', { name: /Preview of the guest/ })).toBeVisible();
    await page.keyboard.press('Escape');
    await show('/deep/page.html');
    await expect(address).toHaveValue('/deep/page.html', { timeout: 20_000 });
  });
});
