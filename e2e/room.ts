// What the tests do to a machine's room, in the words of its user.

import { expect, test, type FrameLocator, type Locator, type Page } from '@playwright/test';
import { RunState } from '../src/machine/protocol.ts';

export interface ListedGuest { name: string; title: string; line: string }

/** The guests that the served page offers. */
export async function guests(page: Page): Promise<ListedGuest[]> {
  const response = await page.request.get('guests/index.json');
  expect(response.ok(), 'guests/index.json').toBe(true);
  return await response.json() as ListedGuest[];
}

/** Open a machine by its link. */
export async function open(page: Page, line: string): Promise<void> {
  await page.goto(`./#${encodeURI(line)}`);
}

export function consoleText(page: Page, port = 0): Promise<string> {
  return page.evaluate((n) => window.tabvisor?.consoleText(n) ?? '', port);
}

/** The smallest file that is a bzImage by its header. */
export function kernelImage(size = 4096): Buffer {
  const image = Buffer.alloc(size);
  image.writeUInt16LE(0xaa55, 0x1fe);
  image.write('HdrS', 0x202, 'latin1');
  image.writeUInt16LE(0x20f, 0x206);
  image.writeUInt16LE(1, 0x236);
  return image;
}

/** Wait until the console's text matches. */
export async function waitForText(page: Page, pattern: RegExp, timeout = 10_000, port = 0): Promise<void> {
  await expect(async () => {
    // A machine that has failed will not write any more.
    const failure = page.getByRole('alert').filter({ has: page.locator('#failure-what') });
    if (await failure.isVisible()) throw new Error(`The machine failed: ${await failure.innerText()}`);
    expect(await consoleText(page, port)).toMatch(pattern);
  }).toPass({ timeout, intervals: [100, 250, 500] });
}

/** Wait for the state, as the bar shows it. */
export async function waitForState(page: Page, state: 'Loading' | 'Running' | 'Paused' | 'Off' | 'Failed', timeout = 10_000): Promise<void> {
  await expect(page.locator('[data-state]')).toHaveAttribute('data-state', state, { timeout });
}

/** Type a command, and give what stands between it and the next prompt. */
export async function run(page: Page, command: string, timeout = 10_000): Promise<string> {
  const before = (await consoleText(page)).length;
  await page.keyboard.type(command);
  await page.keyboard.press('Enter');
  let answer = '';
  await expect(async () => {
    const text = (await consoleText(page)).slice(before);
    const match = /\r?\n([\s\S]*)~ #\s*$/.exec(text);
    expect(match, text).not.toBeNull();
    answer = match![1].trim();
  }).toPass({ timeout, intervals: [50, 100, 250] });
  return answer;
}

/** A live figure of the bar, as a number. */
export async function figure(page: Page, name: 'mips' | 'guest-cpu' | 'host-cpu'): Promise<number> {
  return Number.parseFloat(await page.locator(`[data-figure=${name}]`).innerText());
}

/** The longest task of the page's UI thread, ms: by the clock, and of the CPU's time. */
export interface LongestTask { clock: number; cpu: number }

interface TraceEvent { name: string; ph: string; pid: number; tid: number; dur?: number; tdur?: number; args: { name?: string } }

/** Watch the UI thread by Chromium's own trace while `action` runs. */
export async function longestTask(page: Page, action: () => Promise<void>): Promise<LongestTask> {
  const browser = page.context().browser()!;
  await browser.startTracing(page, { categories: ['toplevel', 'devtools.timeline', 'disabled-by-default-devtools.timeline'] });
  await action();
  const { traceEvents } = JSON.parse((await browser.stopTracing()).toString()) as { traceEvents: TraceEvent[] };
  const thread = (event: TraceEvent) => `${event.pid}:${event.tid}`;
  const threads = new Set(traceEvents.filter((event) => event.name === 'thread_name' && event.args.name === 'CrRendererMain').map(thread));
  const tasks = traceEvents.filter((event) => event.ph === 'X' && /RunTask$/.test(event.name) && threads.has(thread(event)));
  expect(tasks.length, 'tasks in the trace').toBeGreaterThan(10);
  const longest = (times: (number | undefined)[]) => times.reduce<number>((most, time) => Math.max(most, (time ?? 0) / 1000), 0);
  return { clock: longest(tasks.map((task) => task.dur)), cpu: longest(tasks.map((task) => task.tdur)) };
}

/** No task over 100 ms of CPU time. The clock's are told and not asserted: the guest's CPU shares the computer's two cores with the page, and with whatever else runs. */
export function expectShortTasks({ clock, cpu }: LongestTask): void {
  test.info().annotations.push({ type: 'longest task', description: `${clock.toFixed(0)} ms, ${cpu.toFixed(0)} ms of CPU time` });
  expect(cpu, 'CPU time of the longest task of the UI thread, ms').toBeLessThan(100);
}

export { RunState };

/**
 * The page, whose folder picker gives a folder of three files. In place of the user's folder it is one of the browser's own, which the page gets by
 * the same kind of handle.
 */
export async function withPickedFolder(page: Page): Promise<void> {
  await page.addInitScript(() => {
    Object.assign(window, { showDirectoryPicker: async () => (await navigator.storage.getDirectory()).getDirectoryHandle('picked', { create: true }) });
  });
  await page.goto('./');
  await page.evaluate(async () => {
    const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('picked', { create: true });
    const sub = await folder.getDirectoryHandle('sub', { create: true });
    for (const [place, name, text] of [[folder, 'note.txt', 'from the user\n'], [folder, 'old.txt', 'old'], [sub, 'deep.txt', 'deep']] as const) {
      const stream = await (await place.getFileHandle(name, { create: true })).createWritable();
      await stream.write(text);
      await stream.close();
    }
  });
}

/** The preview panel: its document, its field for the path, and the way to another path. */
export function previewPane(page: Page): { preview: Locator; frame: FrameLocator; address: Locator; show(path: string): Promise<void> } {
  const preview = page.getByRole('region', { name: 'Preview' });
  const address = preview.getByRole('textbox', { name: /Path/ });
  const show = async (path: string): Promise<void> => {
    await address.fill(path);
    await address.press('Enter');
  };
  return { preview, frame: preview.frameLocator('iframe'), address, show };
}
