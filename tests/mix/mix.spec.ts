// The CPU mix and the programs of bench/guest/mix that write code and make processes, in Linux guests: every part once or a few times,
// interrupted by signals, its sums compared with this computer's own; code that is written and run, and processes and their memory, each
// step of which checks itself. How the engine runs code is a list: every way must do all of it.

import { afterAll, describe, expect, it } from 'vitest';
import { ARCHES, checkParts, partNames, programGuest, readParts, runNative, buildProgram } from '../../bench/mix-guest.ts';
import { killAll, PATIENCE_MS, run } from '../headless/runner.ts';

/**
 * Every way in which guest code can be run. With 100 jumps most of what is executed here is compiled, Linux included; with everything compiled at once
 * (threshold=1) the parts run in lockstep with the interpreter in tests/compiler, without a kernel that takes minutes.
 */
const ACCELS: readonly (readonly string[])[] = [['-accel', 'interpreter'], ['-accel', 'jit,threshold=100']];

const CODE = ['code', 'rounds=300', 'seed=5'] as const;
const PROCESSES = ['processes', 'rounds=40', 'seed=5'] as const;

afterAll(killAll);

describe.each(ARCHES)('%s', { timeout: 2 * PATIENCE_MS }, (arch) => {
  it.each(ACCELS.map((options) => [options.join(' '), options] as const))('%s', async (_title, options) => {
    const guest = programGuest('stress', arch, [['mix', 'units=2', 'alarm=3000'], CODE, PROCESSES]);
    const { status, out, err } = await run(['-nographic', '-no-reboot', '-m', String(guest.memory), '-kernel', guest.kernel, '-initrd', guest.initrd, '-append', guest.append, ...options]);
    expect(out).not.toContain('FAILED');
    const { computing, system } = partNames();
    const parts = readParts(out);
    checkParts(parts, [...computing, ...system]);
    expect(parts.map((part) => part.name)).toEqual([...computing, ...system]);
    expect(Number(/^alarms (\d+)$/m.exec(out)![1])).toBeGreaterThan(3);
    // What these do is the same everywhere, so the line at their end is too.
    const code = /^code 300 \d+ [0-9a-f]{8}$/m.exec(out)?.[0];
    expect(code).toBe(/^code .*$/m.exec(runNative(buildProgram('code', 'amd64'), CODE.slice(1))!)![0]);
    expect(out).toMatch(/^processes 40 \d+ [0-9a-f]{8}$/m);
    expect(out.match(/^ended 0$/gm)).toHaveLength(3);
    expect({ status, err }).toEqual({ status: 0, err: '' });
  });
});
