// A Debian kernel with its console on a virtconsole, and its driver of virtio-serial ports.

import { createHash } from 'node:crypto';
import { beforeAll, expect, it } from 'vitest';
import { buildIfOlder } from '../../scripts/build-core.mjs';
import type { VcpuModules } from '../../src/engine/vcpu.ts';
import { FIRST_CHARDEV_RING, serialRings } from '../../src/machine/protocol.ts';
import { loadModules } from '../oracle/emulator.ts';
import { LinuxConsole } from './linux.ts';

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

let modules: VcpuModules;
beforeAll(async () => {
  await buildIfOlder();
  modules = loadModules();
}, 120_000);

it('a shell on hvc0 as large as its terminal; ports by name; long transfers both ways', { timeout: 300_000 }, () => {
  const linux = new LinuxConsole('amd64', modules, [
    '-device', 'virtio-serial-pci,id=v', '-device', 'virtconsole,name=console,chardev=console', '-chardev', 'vc,id=console',
    '-device', 'virtserialport,chardev=port,name=org.tabvisor.test', '-chardev', 'vc,id=port', '-device', 'virtserialport,nr=9,name=silent',
  ], { ring: FIRST_CHARDEV_RING, append: 'console=hvc0' });
  expect(linux.run('tty; cd /sys/class/virtio-ports; for p in *; do echo $p $(cat $p/name); done; cd')).toBe('/dev/hvc0\nvport0p0 console\nvport0p1 org.tabvisor.test\nvport0p9 silent\ndone 0');

  const port = linux.port(FIRST_CHARDEV_RING + 1);
  const sum = /^([0-9a-f]{64}) /.exec(linux.run('head -c 1000003 /dev/urandom > /tmp/out; sha256sum < /tmp/out'))![1];
  expect(linux.run('cat /tmp/out > /dev/vport0p1')).toBe('done 0');
  expect(port.received.length).toBe(1000003);
  expect(sha256(port.received)).toBe(sum);
  const bytes = new Uint8Array(700001).map((_, i) => Math.imul(i ^ (i >> 9), 0x9e3779b1) >>> 24);
  port.send(bytes);
  expect(linux.run('head -c 700001 /dev/vport0p1 | sha256sum')).toContain(sha256(bytes));
  // Nobody is at the other end of this one: writing waits for somebody, and does not hold the guest up.
  expect(linux.run('timeout 1 sh -c "echo x > /dev/vport0p9"; echo $?')).toContain('143\ndone 0');

  const { toGuest } = serialRings(linux.machine.memory.buffer, FIRST_CHARDEV_RING);
  toGuest.size = { cols: 132, rows: 43 };
  expect(linux.run('sleep 0.1; stty size')).toBe('43 132\ndone 0');
  toGuest.size = { cols: 90, rows: 33 };
  expect(linux.run('sleep 0.1; stty size')).toBe('33 90\ndone 0');
  expect(linux.run('dmesg | grep -iE "virtio.*(fail|error|bad)"')).toBe('done 1');
});
