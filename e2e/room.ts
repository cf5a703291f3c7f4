// What the tests do to a machine's room, in the words of its user.

import { expect, type Page } from '@playwright/test';
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

/** Start to watch for tasks of the UI thread over 50 ms (the Long Tasks API's bound); returns how to get the longest, ms. */
export async function watchLongTasks(page: Page): Promise<() => Promise<number>> {
  await page.evaluate(() => {
    const it = window as unknown as { longest: number };
    it.longest = 0;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) it.longest = Math.max(it.longest, entry.duration);
    }).observe({ type: 'longtask' });
  });
  return () => page.evaluate(() => (window as unknown as { longest: number }).longest);
}

export { RunState };
