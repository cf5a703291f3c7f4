// Boot from the network: SeaBIOS starts the card's iPXE, which asks the user-mode network's DHCP, fetches its script by TFTP, and by it
// Debian's kernel and initramfs. QEMU: "-nic user,tftp=,bootfile= -boot n".

import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { guest, killAll, PATIENCE_MS, Running } from '../headless/runner.ts';

const folder = mkdtempSync(join(tmpdir(), 'tabvisor-pxe-'));
afterAll(async () => {
  await killAll();
  rmSync(folder, { recursive: true });
});

it('iPXE of virtio-net-pci boots the Debian kernel by TFTP, to its shell', async () => {
  const { kernel, initrd, append, ready } = guest('amd64');
  copyFileSync(kernel, join(folder, 'vmlinuz'));
  copyFileSync(`${initrd}.gz`, join(folder, 'initrd.gz'));
  writeFileSync(join(folder, 'boot.ipxe'), `#!ipxe\necho script of \${net0/mac} at \${net0/ip}\nkernel vmlinuz ${append} initrd=initrd.gz\ninitrd initrd.gz\nboot\n`);
  const machine = new Running(['-nographic', '-m', '256', '-nic', `user,model=virtio-net-pci,tftp=${folder},bootfile=boot.ipxe`, '-boot', 'n']);
  await machine.until(/script of 52:54:00:12:34:56 at 10\.0\.2\.15/);
  await machine.until(new RegExp(ready));
  await machine.kill();
}, PATIENCE_MS);

it.each(['e1000', 'rtl8139', 'ne2k_pci'])('iPXE of %s fetches its script', async (model) => {
  writeFileSync(join(folder, 'hello.ipxe'), '#!ipxe\necho hello from ${net0/chip} at ${net0/ip}\nsanboot --no-describe --drive 0x80 || poweroff\n');
  const machine = new Running(['-nographic', '-m', '16', '-nic', `user,model=${model},tftp=${folder},bootfile=hello.ipxe`, '-boot', 'n']);
  expect(await machine.until(/hello from \S+ at 10\.0\.2\.15/)).toBeGreaterThan(0);
  await machine.kill();
}, PATIENCE_MS);
