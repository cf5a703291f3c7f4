// Runs the runner in a pseudo terminal (script of util-linux) and compares the terminal's settings before and after.

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const CLI = fileURLToPath(new URL('./fake-cli.ts', import.meta.url));

/** @param words the machine line  @param steps [text to wait for, text to type then]  @param kill signal for the runner when the guest is there  @returns all that the terminal showed */
function session(words: string, steps: [string, string][] = [], kill?: NodeJS.Signals): Promise<string> {
  const runner = `${process.execPath} --import tsx ${CLI} ${words}`;
  // The shell's process becomes the runner's.
  const killable = kill ? `sh -c 'echo pid=$$; exec ${runner}'` : runner;
  const command = `before=$(stty -g); ${killable}; echo status=$?; test "$before" = "$(stty -g)" && echo same || echo changed`;
  const child = spawn('script', ['-qefc', command, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] });
  let out = '';
  child.stdout.on('data', (data: Buffer) => {
    out += data.toString();
    if (kill && out.includes('hello')) {
      process.kill(Number(/pid=(\d+)/.exec(out)![1]), kill);
      kill = undefined;
    }
    while (steps.length && out.includes(steps[0][0])) child.stdin.write(steps.shift()![1]);
  });
  return new Promise((resolve) => child.on('close', () => resolve(out)));
}

describe('the terminal', () => {
  it('is raw while the guest runs, and restored after Ctrl-A x', async () => {
    const out = await session('-nographic -kernel echo', [['hello', '\x03k'], ['K', '\x01x']]);
    // Ctrl-C went to the guest, and the terminal did not echo.
    expect(out).toContain('\x03K');
    expect(out).not.toContain('k');
    expect(out).toMatch(/status=0\s+same/);
  });

  it('is restored when the guest ends, the runner is killed, or breaks', async () => {
    const all = await Promise.all([
      session('-nographic -kernel 35'), session('-nographic -kernel echo', [], 'SIGTERM'), session('-nographic -kernel echo throw'), session('-nographic -kernel crash'),
    ]);
    expect(all[0]).toMatch(/status=35\s+same/);
    expect(all[1]).toMatch(/terminating on signal SIGTERM\s+status=0\s+same/);
    expect(all[2]).toMatch(/runner broke[^]*status=[1-9]\d*\s+same/);
    expect(all[3]).toMatch(/worker broke[^]*status=2\s+same/);
  });

  it('ends at Ctrl-C without the multiplexer', async () => {
    expect(await session('-display none -serial stdio -kernel echo', [['hello', '\x03']])).toMatch(/SIGINT\s+status=0\s+same/);
  });
}, 30_000);
