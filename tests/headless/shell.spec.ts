// bin/tabvisor boots the bundled guests to the shell, which can be used through pipes; how a guest ends is how the runner ends.

import { createHash } from 'node:crypto';
import { afterAll, describe, expect, it } from 'vitest';
import { FEATURES } from '../../src/engine/cpuid.ts';
import { cpuSeconds, guest, killAll, PATIENCE_MS, run, Running, Shell, commandLine } from './runner.ts';

afterAll(killAll);

/** Names of features in /proc/cpuinfo where they differ from QEMU's (Linux, arch/x86/include/asm/cpufeatures.h). */
const LINUX_NAMES: Record<string, string | null> = {
  'tsc-deadline': 'tsc_deadline_timer', 'lahf-lm': 'lahf_lm', invtsc: null,
  // Linux shows no name of its own for these, or clears what this kernel does not use.
  sep: null, mtrr: null, erms: null, fsrm: null, 'auto-ibrs': null,
};

function harmonic(): string {
  let sum = 0;
  for (let i = 1; i <= 1000; i++) sum += i / 7 - 3 / (i * i);
  return `${sum.toFixed(9)} ${(sum * sum).toFixed(3)}`;
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe.each(['amd64', 'i386'])('%s', (name) => {
  const it64 = name === 'amd64';
  let shell: Shell;
  let busy = 0;

  it('boots to the shell', async () => {
    const from = performance.now();
    shell = await Shell.boot(guest(name));
    busy = cpuSeconds(shell.running.pid) / ((performance.now() - from) / 1000);
    expect(await shell.command('uname -m')).toBe(guest(name).machine);
    expect(await shell.command('uname -r')).toBe(guest(name).release);
  }, PATIENCE_MS);

  it('sees the CPU that CPUID offers', async () => {
    const cpuinfo = await shell.command('cat /proc/cpuinfo');
    expect(cpuinfo).toMatch(/^processor\t: 0$/m);
    expect(cpuinfo).toMatch(/^vendor_id\t: AuthenticAMD$/m);
    expect(cpuinfo).not.toMatch(/^processor\t: 1$/m);
    const flags = new Set(/^flags\t+: (.*)$/m.exec(cpuinfo)![1].split(' '));
    const wanted = Object.keys(FEATURES).map((feature) => (feature in LINUX_NAMES ? LINUX_NAMES[feature] : feature)).filter((flag) => flag !== null);
    expect(wanted.filter((flag) => !flags.has(flag))).toEqual([]);
    // What is not there must not be offered.
    expect(['sse4_1', 'sse4_2', 'avx', 'avx2', 'xsave', 'aes', 'rdrand', 'bmi1', 'fma', 'svm', 'vmx', 'smep', 'smap', 'x2apic'].filter((flag) => flags.has(flag))).toEqual([]);
    // Automatic IBRS is used in place of retpolines.
    expect(await shell.command('cat /sys/devices/system/cpu/vulnerabilities/spectre_v2')).toMatch(/^Mitigation: Enhanced \/ Automatic IBRS;/);
    const devices = await shell.command('cat /proc/interrupts; cat /sys/devices/system/clocksource/clocksource0/current_clocksource');
    expect(devices).toMatch(/ttyS0/);
    expect(devices).toMatch(/^(kvm-clock|tsc)$/m);
  }, PATIENCE_MS);

  it('computes what the host computes', async () => {
    const text = Array.from({ length: 3000 }, (_, n) => `${n} ${(n * n) % 7919}\n`).join('');
    await shell.command('i=0; while [ $i -lt 3000 ]; do echo $i $((i * i % 7919)); i=$((i + 1)); done > /tmp/text');
    for (const hash of ['md5', 'sha1', 'sha256', 'sha512']) {
      expect(await shell.command(`${hash}sum < /tmp/text`)).toBe(`${createHash(hash).update(text).digest('hex')}  -`);
    }
    expect(await shell.command('gzip -c /tmp/text | gunzip -c | cmp - /tmp/text && echo same')).toBe('same');
    expect(await shell.command('echo $((123456789 * 987654321 / 1000003 % 99991))')).toBe(String((123456789n * 987654321n / 1000003n) % 99991n));
    // Floating point: busybox' awk, without its mathematical functions, adds up in double precision.
    expect(await shell.command(`awk 'BEGIN { for (i = 1; i <= 1000; i++) s += i / 7 - 3 / (i * i); printf "%.9f %.3f\\n", s, s * s }'`)).toBe(harmonic());
  }, PATIENCE_MS);

  it('keeps the time of the host', async () => {
    const before = Date.now();
    const shown = Number(await shell.command('date +%s')) * 1000;
    expect(shown).toBeGreaterThan(before - 30_000);
    expect(shown).toBeLessThan(Date.now() + 30_000);
  }, PATIENCE_MS);

  it('sleeps while the guest is idle', async () => {
    const share = async (ms: number): Promise<number> => {
      const from = performance.now();
      const before = cpuSeconds(shell.running.pid);
      await sleep(ms);
      return (cpuSeconds(shell.running.pid) - before) / ((performance.now() - from) / 1000);
    };
    // Of the share of a core that the boot had. Debian's 32-bit kernel has no dynamic ticks: it wakes 250 times a second.
    const most = busy * (it64 ? 0.2 : 0.5);
    // What the boot left to compile comes behind all else, and may come later where others are busy.
    let idle = await share(4000);
    for (let tries = 0; idle >= most && tries < 8; tries++) idle = await share(4000);
    expect(idle).toBeLessThan(most);
    // Awake at once all the same.
    expect(await shell.command('echo awake')).toBe('awake');
  }, PATIENCE_MS);

  it('has nothing to complain of in the kernel log', async () => {
    expect(await shell.command('dmesg | grep -E "BUG|WARNING|Oops|Call Trace|unchecked MSR|Unable to handle|RIP:|segfault|traps:"')).toBe('');
    expect(await shell.command('dmesg | grep -c .')).toMatch(/^[1-9]\d\d$/);
    if (it64) expect(await shell.command('dmesg | grep -i "hypervisor detected"')).toMatch(/KVM/);
  }, PATIENCE_MS);

  it('powers off: exit status 0', async () => {
    expect(await shell.last('poweroff -f')).toMatchObject({ status: 0, err: '' });
    expect(shell.running.out).toMatch(/reboot: Power down\n$/);
  }, PATIENCE_MS);

  it('reboots: with -no-reboot that ends the machine, exit status 0', async () => {
    const { status, out, err } = await run(['-nographic', '-no-reboot', ...commandLine(guest(name), 'reboot -f')]);
    expect({ status, err }).toEqual({ status: 0, err: '' });
    expect(out).toMatch(/reboot: Restarting system\n/);
    expect(out.match(/Linux version/g)).toHaveLength(1);
  }, PATIENCE_MS);
});

describe('a guest that has booted', () => {
  it('boots again when it reboots; Ctrl-A x ends the runner', async () => {
    const running = new Running(['-nographic', ...commandLine(guest('amd64'), 'reboot -f')]);
    const restarted = await running.until(/reboot: Restarting system\n/);
    await running.until(/Run \/bin\/busybox as init process/, restarted);
    running.type('\x01x');
    const { status, err } = await running.ended;
    expect({ status, err }).toEqual({ status: 0, err: '\ntabvisor: Terminated\n' });
  }, PATIENCE_MS);

  it('ends with SIGTERM', async () => {
    const running = new Running(['-nographic', ...guest('amd64').args]);
    await running.until(/Linux version/);
    running.signal('SIGTERM');
    const { status, err } = await running.ended;
    expect({ status, err }).toEqual({ status: 0, err: '\ntabvisor: terminating on signal SIGTERM\n' });
  }, PATIENCE_MS);
});
