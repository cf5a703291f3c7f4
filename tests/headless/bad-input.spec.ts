// What cannot be run: each with a message that names the cause and what to do, and an exit status of its own. No hang, no stack trace.

import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { guest, killAll, PATIENCE_MS, run, Workshop } from './runner.ts';

const workshop = new Workshop();
const { kernel, initrd, append } = guest('amd64');
let whole: Buffer;

beforeAll(() => {
  whole = readFileSync(kernel);
  writeFileSync(workshop.path('truncated'), whole.subarray(0, whole.length >> 1));
  writeFileSync(workshop.path('header-only'), whole.subarray(0, 0x300));
  writeFileSync(workshop.path('text'), 'This is not a kernel.\n'.repeat(1000));
  writeFileSync(workshop.path('empty'), '');
  writeFileSync(workshop.path('large'), Buffer.alloc(100 * 2 ** 20));
  const damaged = Buffer.from(whole);
  damaged[0x1fe] = 0;
  writeFileSync(workshop.path('damaged'), damaged);
});
afterAll(async () => {
  await killAll();
  workshop.remove();
});

/** Nothing is run: status 1, nothing on stdout, and a message of two lines. */
async function refuses(args: readonly string[], ...says: RegExp[]): Promise<void> {
  const { status, out, err } = await run(args, undefined, workshop.folder);
  expect(err).toMatch(/^tabvisor: .+\n.+\n$/);
  for (const text of says) expect(err).toMatch(text);
  expect({ status, out }).toEqual({ status: 1, out: '' });
}

describe('files', { timeout: PATIENCE_MS }, () => {
  it('a missing kernel, a missing initrd, a folder', async () => {
    await refuses(['-nographic', '-kernel', 'none'], /^tabvisor: none could not be read: ENOENT/, /Check the path/);
    await refuses(['-nographic', '-kernel', kernel, '-initrd', 'none'], /^tabvisor: none could not be read: ENOENT/);
    await refuses(['-nographic', '-kernel', '.'], /^tabvisor: \. could not be read: EISDIR/);
  });

  it('a kernel cut off, in its payload and in its header; a damaged one', async () => {
    await refuses(['-nographic', '-kernel', 'truncated'], /truncated is not complete: The file has \d+ bytes, its header says at least \d+/, /download/);
    await refuses(['-nographic', '-kernel', 'header-only'], /header-only is not complete/);
    await refuses(['-nographic', '-kernel', 'damaged'], /damaged is damaged: The signature 0xAA55/);
  });

  it('a file that is no kernel', async () => {
    await refuses(['-nographic', '-kernel', 'text'], /text is not a kernel that can be started/, /bzImage/);
    await refuses(['-nographic', '-kernel', 'empty'], /empty is not a kernel that can be started: The file is empty/);
    await refuses(['-nographic', '-kernel', initrd], /It is a cpio archive, as used for -initrd/);
  });

  it('a serial port into a folder that is not there', async () => {
    await refuses(['-display', 'none', '-serial', 'file:none/log', '-kernel', kernel], /none\/log cannot be written: ENOENT/);
  });

  it('a server that refuses, and one that is not there', async () => {
    await refuses(['-nographic', '-kernel', 'http://127.0.0.1:9/vmlinuz'], /http:\/\/127\.0\.0\.1:9\/vmlinuz/);
  });
});

describe('memory', { timeout: PATIENCE_MS }, () => {
  it('too little for the kernel, and for the initrd; the advice is right', async () => {
    await refuses(['-nographic', '-m', '8', '-kernel', kernel], /vmlinuz does not fit into the guest's memory/, /at least -m \d+\./);
    await refuses(['-nographic', '-m', '128', '-kernel', kernel, '-initrd', 'large'], /large does not fit into the guest's memory: It has 100 MiB/, /at least -m \d+\./);
    const { err } = await run(['-nographic', '-m', '128', '-kernel', kernel, '-initrd', 'large'], undefined, workshop.folder);
    const enough = /at least -m (\d+)\./.exec(err)![1];
    const { status, out } = await run(['-nographic', '-no-reboot', '-m', enough, '-kernel', kernel, '-initrd', 'large', '-append', `${append} panic=-1`], undefined, workshop.folder);
    // Zeros are no archive, so the kernel panics, and panic=-1 makes that a reset.
    expect(out).toMatch(/Kernel panic - not syncing: VFS: Unable to mount root fs/);
    expect(status).toBe(0);
  });

  it('sizes that cannot be', async () => {
    await refuses(['-nographic', '-m', '0', '-kernel', kernel], /-m 0: it is less than \d+ MiB/);
    await refuses(['-nographic', '-m', '64G', '-kernel', kernel], /-m 64G: it is more than .+ GiB/);
    await refuses(['-nographic', '-m', 'much', '-kernel', kernel], /-m much: "much" is not a size/);
  });
});

describe('options', { timeout: PATIENCE_MS }, () => {
  it('unknown ones, QEMU\'s others, and values that are not supported, by name', async () => {
    await refuses(['-nographic', '-kernel', kernel, '-frobnicate'], /^tabvisor: -frobnicate: invalid option/);
    await refuses(['-nographic', '-kernel', kernel, '-usb'], /^tabvisor: -usb: QEMU has this option, Tabvisor does not support it yet/);
    await refuses(['-nographic', '-kernel', kernel, '-smp', '2'], /^tabvisor: -smp 2: more than one CPU is not supported yet/);
    await refuses(['-nographic', '-kernel', kernel, '-device', 'virtio-scsi-pci'], /^tabvisor: -device virtio-scsi-pci: the device "virtio-scsi-pci" is not supported/);
    await refuses(['-nographic', '-kernel', kernel, '-cpu', 'qemu64,+avx'], /^tabvisor: -cpu qemu64,\+avx: the CPU feature "avx" is not supported yet/);
    await refuses(['-nographic', '-kernel', kernel, '-d', 'op'], /the log item "op" is not supported yet/);
    await refuses(['-nographic', '-kernel'], /^tabvisor: -kernel: it requires an argument/);
    await refuses(['-nographic', '-append', 'quiet'], /^tabvisor: -append: it is only allowed with -kernel/);
    await refuses(['-kernel', kernel], /^tabvisor: -display: it is missing, and the runner has no window/);
    await refuses(['-nographic', 'no-such-disk.img'], /no-such-disk\.img/);
  });

  it('a 64-bit kernel on a 32-bit CPU', async () => {
    await refuses(['-nographic', '-cpu', 'qemu32', '-m', '256', '-kernel', kernel], /vmlinuz cannot be started: It is a 64-bit kernel, and the CPU has no 64-bit mode/);
  });
});
