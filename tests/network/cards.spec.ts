// Debian's kernel with its own drivers of every network card: link, ping, bulk transfers both ways, MTU, drivers that come and go.
// The cards sit on one hub of the machine. One of them, a virtio-net, is moved to a network namespace of its own and answers.

import { beforeAll, describe, expect, it } from 'vitest';
import { buildIfOlder } from '../../scripts/build-core.mjs';
import type { VcpuModules } from '../../src/engine/vcpu.ts';
import { loadModules } from '../oracle/emulator.ts';
import { LinuxConsole } from '../virtio/linux.ts';

let modules: VcpuModules;
beforeAll(async () => {
  await buildIfOlder();
  modules = loadModules();
}, 120_000);

/** Cards under test: QEMU's model, Linux's module, an MTU that the driver allows beside 1500. */
const CARDS = [
  ['virtio-net-pci', 'virtio_net', 9000],
  ['e1000', 'e1000', 9000],
  ['rtl8139', '8139cp', 1200],
  ['ne2k_pci', 'ne2k_pci', 1200],
] as const;
const BULK = 1 << 20;

describe('Debian\'s kernel', () => {
  it('reaches the network by every card', { timeout: 600_000 }, () => {
    const linux = new LinuxConsole('i386', modules, CARDS.flatMap(([model]) => ['-net', `nic,model=${model}`]).concat(['-net', 'nic,model=virtio,macaddr=52:54:00:00:00:01']));
    const ok = (command: string, limit?: number): string => {
      const text = linux.run(command, limit);
      expect(text).toMatch(/done 0$/);
      return text.replace(/\n?done 0$/, '');
    };
    /** Interface of a card by its address. */
    const interfaceOf = (mac: string): string => ok(`grep -l ${mac} /sys/class/net/*/address | cut -d/ -f5`);

    ok('modprobe -a virtio_pci virtio_net; ip link set lo up');
    ok(`head -c ${BULK} /dev/urandom > /tmp/bulk`);
    const sum = ok('sha256sum < /tmp/bulk');
    // The one that answers: port 2 gives the bulk, port 1 tells the sum of what it got.
    ok('(unshare -n sh -c "echo \\$\\$ > /tmp/pid; while [ ! -e /tmp/go ]; do usleep 10000; done; ip addr add 10.0.0.1/24 dev peer; ip link set peer up mtu 9000; '
      + 'nc -ll -p 2 -e cat /tmp/bulk & nc -ll -p 1 -e sha256sum & wait" >/dev/null 2>&1 &); usleep 300000');
    ok(`P=${interfaceOf('52:54:00:00:00:01')}; ip link set $P name peer; ip link set peer netns $(cat /tmp/pid); touch /tmp/go; usleep 300000`);

    CARDS.forEach(([model, module, mtu], index) => {
      const mac = `52:54:00:12:34:${(0x56 + index).toString(16)}`;
      // Drivers come and go: that of virtio-net serves the other end, too, and so is taken from this card alone.
      const [load, unload] = module === 'virtio_net'
        ? ['echo virtio0 > /sys/bus/virtio/drivers/virtio_net/bind', 'echo virtio0 > /sys/bus/virtio/drivers/virtio_net/unbind']
        : [`modprobe ${module}`, `modprobe -r ${module}`];
      if (module !== 'virtio_net') ok(load);
      ok(`for n in 1 2 3; do ${unload} && ${load} || exit 1; done; usleep 50000`);
      const card = interfaceOf(mac);
      ok(`ip link set ${card} up; ip addr add 10.0.0.2/24 dev ${card}; usleep 300000`);
      expect(ok(`cat /sys/class/net/${card}/carrier`), model).toBe('1');
      expect(ok('ping -c 2 -i 0.1 10.0.0.1'), model).toContain('2 packets received');
      expect(ok('nc 10.0.0.1 2 </dev/null | sha256sum'), model).toBe(sum);
      expect(ok('nc 10.0.0.1 1 </tmp/bulk'), model).toBe(sum);
      ok(`ip link set ${card} mtu ${mtu}; usleep 300000`);
      // With a small MTU the request goes in pieces, and the answer in a frame that is longer than the MTU.
      expect(ok(`ping -c 1 -s ${mtu > 1500 ? 8000 : 1400} 10.0.0.1`), model).toContain('1 packets received');
      // The plug is pulled, and put back.
      const { port } = linux.machine.network.cards[index].nic;
      port.setLink(false);
      // e1000's driver looks every two seconds.
      expect(linux.run('sleep 3; ping -c 1 -W 1 10.0.0.1'), model).toContain('done 1');
      if (module !== 'ne2k_pci') expect(ok(`cat /sys/class/net/${card}/carrier`), model).toBe('0');
      port.setLink(true);
      expect(ok('sleep 3; ping -c 1 10.0.0.1'), model).toContain('1 packets received');
      expect(ok(`cat /sys/class/net/${card}/statistics/rx_errors /sys/class/net/${card}/statistics/tx_errors /sys/class/net/${card}/statistics/collisions`), model).toBe('0\n0\n0');
      ok(`ip link set ${card} down; ip addr flush dev ${card}`);
      expect(port.counters.sentBytes, model).toBeGreaterThan(BULK);
      expect(port.counters.receivedBytes, model).toBeGreaterThan(BULK);
    });
    expect(linux.run('dmesg | grep -iE "timed out|unit hang|hw csum|BUG:|WARNING:"')).toBe('done 1');
    expect(ok('cat /proc/interrupts')).toMatch(/PCI-MSI.*virtio0-input/);
  });
});
