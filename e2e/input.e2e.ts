// Keyboard and pointer of the page as a Linux guest's drivers see them: Debian's atkbd and psmouse (with its vmmouse protocol), read from /dev/input.

import { existsSync } from 'node:fs';
import { type Browser, devices, expect, type Page, test } from '@playwright/test';
import { deviceGuest } from '../bench/device-guest.ts';
import { type PageServer, servePage } from './page-server.ts';
import { consoleText, waitForText } from './room.ts';

const BOOT_MS = 180_000;
/** linux/input-event-codes.h. */
const [EV_KEY, EV_REL, EV_ABS] = [1, 2, 3];
const [REL_X, REL_Y, REL_WHEEL] = [0, 1, 8];
const [BTN_LEFT, BTN_RIGHT] = [0x110, 0x111];
const KEYBOARD = 'AT-Translated-Set-2-keyboard';
const VMMOUSE = 'VirtualPS/2-VMware-VMMouse';
const KEYS = { Escape: 1, 2: 3, Backspace: 14, Tab: 15, Enter: 28, ControlLeft: 29, C: 46, AltLeft: 56, F10: 68, Up: 103, Left: 105, Delete: 111, T: 20, H: 35, E: 18, ShiftLeft: 42, Slash: 53, Space: 57, L: 38, S: 31, X: 45 } as const;
/** Where vmmouse's coordinates end. */
const ABS_MAX = 0xffff;

let server: PageServer;
let line: string;
test.beforeAll(async () => {
  if (!existsSync('dist/index.html')) throw new Error('There is no dist/: run "npm run build" first.');
  const guest = deviceGuest('events', 'i386', ['psmouse', 'evdev'], [], 'events', []);
  server = await servePage({ kernel: guest.kernel, initrd: guest.initrd! }, '');
  line = `-m 128 -vga std -kernel kernel -initrd initrd -append "${guest.append}"`;
});
test.afterAll(() => server.close());

interface InputEvent { device: string; type: number; code: number; value: number }

/** Boot to where events are told, with screen and console beside each other. */
async function boot(page: Page, more = ''): Promise<void> {
  await page.addInitScript(() => localStorage.setItem('tabvisor-panels-console', 'screen console'));
  await page.goto(`${server.url}#${encodeURI(`${line} ${more}`)}`);
  await waitForText(page, /events: ready/, BOOT_MS);
  await page.getByRole('textbox', { name: /^Keyboard of/ }).focus();
}

async function events(page: Page, from = 0): Promise<InputEvent[]> {
  const text = (await consoleText(page)).replaceAll('\r', '');
  const names = new Map([...text.matchAll(/^device (\d+) (\S+)$/gm)].map(([, n, name]) => [n, name]));
  return [...text.matchAll(/^event (\d+) (\d+) (\d+) (-?\d+) ;$/gm)].slice(from)
    .map(([, n, type, code, value]) => ({ device: names.get(n) ?? n, type: Number(type), code: Number(code), value: Number(value) }));
}

/** Do something, and wait until the events that came of it fulfil a condition. */
async function eventsOf(page: Page, action: () => Promise<unknown>, enough: (events: InputEvent[]) => boolean): Promise<InputEvent[]> {
  const from = (await events(page)).length;
  await action();
  let come: InputEvent[] = [];
  await expect.poll(async () => enough((come = await events(page, from))) || come.map((it) => `${it.type} ${it.code} ${it.value}`).join(', '), { timeout: 30_000 }).toBe(true);
  return come;
}

const pressed = (them: InputEvent[]) => them.filter(({ type, value }) => type === EV_KEY && value === 1).map(({ code }) => code);
const screen = (page: Page) => page.getByRole('img', { name: /^Screen of/ });

test('vmmouse: the pointer’s place, buttons and wheel, without a capture; keys; pasted text is typed; full screen with the browser’s keys and notices', async ({ page }) => {
  test.setTimeout(2 * BOOT_MS);
  await boot(page);
  expect(await consoleText(page)).toContain(VMMOUSE);
  const box = (await screen(page).boundingBox())!;

  await test.step('pointer', async () => {
    const place = (events: InputEvent[], code: number) => events.filter((it) => it.device === VMMOUSE && it.type === EV_ABS && it.code === code).at(-1)?.value ?? NaN;
    for (const [x, y] of [[0.25, 0.75], [0.8, 0.1]]) {
      const come = await eventsOf(page, () => page.mouse.move(box.x + box.width * x, box.y + box.height * y), (them) => them.some((it) => it.type === EV_ABS && it.code === 1));
      expect(place(come, 0) / ABS_MAX).toBeCloseTo(x, 2);
      expect(place(come, 1) / ABS_MAX).toBeCloseTo(y, 2);
    }
    const clicks = await eventsOf(page, async () => {
      await page.mouse.click(box.x + 50, box.y + 50);
      await page.mouse.click(box.x + 50, box.y + 50, { button: 'right' });
      await page.mouse.wheel(0, 100);
    }, (them) => them.some((it) => it.type === EV_REL && it.code === REL_WHEEL));
    expect(clicks.filter(({ type }) => type === EV_KEY).map(({ code, value }) => [code, value])).toEqual([[BTN_LEFT, 1], [BTN_LEFT, 0], [BTN_RIGHT, 1], [BTN_RIGHT, 0]]);
    // Towards the user is down.
    expect(clicks.find((it) => it.type === EV_REL && it.code === REL_WHEEL)!.value).toBe(-1);
    expect(await page.evaluate(() => document.pointerLockElement)).toBeNull();
  });

  await test.step('pasted text is typed', async () => {
    await page.evaluate(() => navigator.clipboard.writeText('ls /X'));
    const typed = await eventsOf(page, () => page.keyboard.press('Control+Shift+V'), (them) => pressed(them).includes(KEYS.X));
    expect(pressed(typed).filter((code) => code !== 29)).toEqual([KEYS.ShiftLeft, KEYS.L, KEYS.S, KEYS.Space, KEYS.Slash, KEYS.ShiftLeft, KEYS.X]);
  });

  await test.step('full screen: only the machine, its notices over it, and Escape is the guest’s', async () => {
    await page.evaluate(() => {
      const keyboard = (navigator as unknown as { keyboard: { lock(): Promise<void> } }).keyboard;
      const lock = keyboard.lock.bind(keyboard);
      keyboard.lock = () => {
        (window as { keysLocked?: boolean }).keysLocked = true;
        return lock();
      };
    });
    await page.getByRole('button', { name: 'View' }).click();
    await page.getByRole('button', { name: 'Full screen' }).click();
    await expect.poll(() => page.evaluate(() => document.fullscreenElement !== null)).toBe(true);
    const notice = page.getByText('Hold Esc to leave the full screen');
    await expect(notice).toBeVisible();
    // Not only in the document: on top.
    await expect.poll(() => notice.evaluate((it) => {
      const { x, y, width, height } = it.getBoundingClientRect();
      return it.contains(document.elementFromPoint(x + width / 2, y + height / 2));
    })).toBe(true);
    expect(await page.evaluate(() => (window as { keysLocked?: boolean }).keysLocked)).toBe(true);
    await expect(page.getByRole('button', { name: 'Home' })).toBeHidden();
    const keys = await eventsOf(page, () => page.keyboard.press('Escape'), (them) => pressed(them).includes(KEYS.Escape));
    expect(keys.every(({ device }) => device === KEYBOARD)).toBe(true);
    await page.evaluate(() => document.exitFullscreen());
    await expect(page.getByRole('button', { name: 'Home' })).toBeVisible();
  });
});

test('PS/2 mouse: a click captures the mouse, movement goes to the guest, and it comes back', async ({ page }) => {
  test.setTimeout(2 * BOOT_MS);
  await boot(page, '-machine vmport=off');
  expect(await consoleText(page)).not.toContain(VMMOUSE);
  const box = (await screen(page).boundingBox())!;
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  // Who is not captured moves nothing.
  await page.mouse.move(x, y);
  await page.mouse.click(x, y);
  await expect.poll(() => page.evaluate(() => document.pointerLockElement?.tagName)).toBe('CANVAS');
  await expect(page.getByText('The mouse is the guest’s.')).toBeVisible();
  const moved = await eventsOf(page, async () => {
    await page.mouse.move(x + 30, y - 20);
    await page.mouse.down();
    await page.mouse.up();
  }, (them) => them.some((it) => it.type === EV_KEY && it.code === BTN_LEFT && it.value === 0));
  const sum = (code: number) => moved.filter((it) => it.type === EV_REL && it.code === code).reduce((all, { value }) => all + value, 0);
  expect([sum(REL_X), sum(REL_Y)]).toEqual([30, -20]);
  await page.evaluate(() => document.exitPointerLock());
  await expect(page.getByText('The mouse is the guest’s.')).toBeHidden();
  const from = (await events(page)).length;
  await page.mouse.move(x - 100, y);
  await page.keyboard.press('h');
  await expect.poll(async () => pressed(await events(page, from))).toEqual([KEYS.H]);
  expect((await events(page, from)).filter(({ type }) => type === EV_REL)).toEqual([]);
});

/** A page as a phone has it. */
async function phone(browser: Browser): Promise<Page> {
  const { defaultBrowserType: _, ...pixel } = devices['Pixel 7'];
  const context = await browser.newContext(pixel);
  return context.newPage();
}

test('a phone: what its keyboard composes and corrects is typed, keys above it are pressed, and nothing of the page is cut off', async ({ browser }) => {
  test.setTimeout(2 * BOOT_MS);
  const page = await phone(browser);
  try {
    await boot(page);
    const cdp = await page.context().newCDPSession(page);
    // A keyboard that composes: no keys, but text that changes while it is typed, and a correction of the word.
    const compose = (text: string) => cdp.send('Input.imeSetComposition', { text, selectionStart: text.length, selectionEnd: text.length });
    const typed = await eventsOf(page, async () => {
      for (const text of ['t', 'th', 'ths', 'the']) await compose(text);
      await cdp.send('Input.insertText', { text: 'the ' });
    }, (them) => pressed(them).includes(KEYS.Space));
    expect(pressed(typed)).toEqual([KEYS.T, KEYS.H, KEYS.S, KEYS.Backspace, KEYS.E, KEYS.Space]);
    // Its Backspace is a change of the text, too.
    const deleted = await eventsOf(page, () => page.evaluate(() => document.execCommand('delete')), (them) => pressed(them).length > 0);
    expect(pressed(deleted)).toEqual([KEYS.Backspace]);
    // Keys of such a keyboard have names but no places; and what it composes comes as a key that says nothing.
    const keyWithout = async (key: string, windowsVirtualKeyCode: number, text?: string, modifiers = 0) => {
      await cdp.send('Input.dispatchKeyEvent', { type: text ? 'keyDown' : 'rawKeyDown', key, code: '', windowsVirtualKeyCode, text, modifiers });
      await cdp.send('Input.dispatchKeyEvent', { type: 'keyUp', key, code: '', windowsVirtualKeyCode, modifiers });
    };
    const named = await eventsOf(page, async () => {
      await keyWithout('Unidentified', 229);
      await compose('x');
      await keyWithout('Unidentified', 229);
      await compose('');
      await keyWithout('ArrowUp', 38);
      await keyWithout('c', 67, undefined, 2);
      await keyWithout('Enter', 13, '\r');
      await keyWithout('Backspace', 8);
      await keyWithout('Tab', 9);
    }, (them) => pressed(them).includes(KEYS.Tab));
    expect(pressed(named)).toEqual([KEYS.X, KEYS.Backspace, KEYS.Up, KEYS.ControlLeft, KEYS.C, KEYS.Enter, KEYS.Backspace, KEYS.Tab]);
    // A finger's way over its space bar moves the caret. What is typed then stands behind it, not in front of what is there.
    const after = await eventsOf(page, async () => {
      await cdp.send('Input.insertText', { text: 's' });
      await page.getByRole('textbox', { name: /^Keyboard of/ }).evaluate((it) => (it as HTMLTextAreaElement).setSelectionRange(1, 1));
      await expect.poll(() => page.getByRole('textbox', { name: /^Keyboard of/ }).evaluate((it) => (it as HTMLTextAreaElement).selectionStart)).toBe(3);
      await cdp.send('Input.insertText', { text: 'h' });
    }, (them) => pressed(them).includes(KEYS.H));
    expect(pressed(after)).toEqual([KEYS.S, KEYS.Left, KEYS.Left, KEYS.H]);
    const above = await eventsOf(page, async () => {
      const keyboard = page.getByRole('group', { name: 'PC keyboard' });
      await keyboard.getByRole('button', { name: 'More keys' }).tap();
      await keyboard.getByRole('button', { name: 'F10', exact: true }).tap();
      await keyboard.getByRole('button', { name: 'Ctrl', exact: true }).first().tap();
      await keyboard.getByRole('button', { name: 'Escape' }).first().tap();
    }, (them) => pressed(them).includes(KEYS.Escape));
    expect(pressed(above)).toEqual([KEYS.F10, KEYS.ControlLeft, KEYS.Escape]);
    expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBe(0);
    // A finger on the screen is the guest's pointer.
    const box = (await screen(page).boundingBox())!;
    const touched = await eventsOf(page, () => page.touchscreen.tap(box.x + box.width * 0.5, box.y + box.height * 0.25), (them) => them.some((it) => it.code === BTN_LEFT && it.value === 0));
    expect(touched.filter((it) => it.type === EV_ABS && it.code === 1).at(-1)!.value / ABS_MAX).toBeCloseTo(0.25, 1);
    const three = await eventsOf(page, () => page.getByRole('button', { name: 'Ctrl+Alt+Del' }).tap(), (them) => pressed(them).includes(KEYS.Delete));
    expect(pressed(three)).toEqual([KEYS.ControlLeft, KEYS.AltLeft, KEYS.Delete]);
  } finally {
    await page.context().close();
  }
});

test('a phone: a file of one’s own and a dropped one keep their buttons in one line', async ({ browser }) => {
  const page = await phone(browser);
  try {
    await page.goto(server.url);
    await page.getByLabel('Disk, CD, floppy, kernel and initramfs files').setInputFiles({ name: 'a-diskette-with-a-rather-long-name.ima', mimeType: '', buffer: Buffer.alloc(737_280) });
    const row = page.getByRole('listitem').filter({ has: page.getByRole('button', { name: /^Forget/ }) });
    await expect(row.locator('a, button')).toHaveCount(3);
    const tops = await row.locator('a, button').evaluateAll((them) => them.map((it) => {
      const { top, height } = it.getBoundingClientRect();
      return top + height / 2;
    }));
    expect(Math.max(...tops) - Math.min(...tops)).toBeLessThan(4);
    expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBe(0);
  } finally {
    await page.context().close();
  }
});
