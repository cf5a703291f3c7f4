import { describe, expect, it } from 'vitest';
import { OptionError, parse } from './index.ts';

const config = (line: string) => parse(`-kernel k ${line}`);
const refusal = (line: string): string => {
  try {
    config(line);
  } catch (error) {
    expect(error).toBeInstanceOf(OptionError);
    return (error as OptionError).why;
  }
  throw new Error(`"${line}" was accepted`);
};
const mac = (last: number) => [0x52, 0x54, 0, 0x12, 0x34, last];

describe('network options', () => {
  it('without any, a machine that firmware boots has QEMU\'s card on a user-mode network', () => {
    const { devices, netdevs } = parse('-m 16');
    expect(devices).toEqual([{ driver: 'e1000', netdev: 0, mac: mac(0x56), romfile: 'pxe-e1000.rom' }]);
    expect(netdevs).toMatchObject([{ type: 'user' }]);
    // Beside a card that hangs on nothing, as in QEMU.
    expect(parse('-device rtl8139').devices).toMatchObject([{ driver: 'e1000', netdev: 0 }, { driver: 'rtl8139' }]);
    for (const line of ['-nodefaults', '-nic none', '-net none', '-netdev hubport,id=x,hubid=0', '-kernel k']) expect(parse(line).devices).toEqual([]);
  });

  it('a card has its model\'s iPXE where firmware runs it, or the ROM that the line names; and a turn in the order of boot', () => {
    expect(parse('-nic hubport,hubid=0,model=virtio').devices).toMatchObject([{ romfile: 'pxe-virtio.rom' }]);
    expect(parse('-device ne2k_pci,romfile=x.rom,bootindex=3 -nic none').devices).toMatchObject([{ romfile: 'x.rom', bootindex: 3 }]);
    expect(parse('-device ne2k_pci,romfile= -nic none').devices[0]).not.toHaveProperty('romfile');
    expect(config('-device ne2k_pci').devices[0]).not.toHaveProperty('romfile');
  });

  it('cards that meet others\' get an address at random, unless the line gives one', () => {
    expect(config('-nic hub -nic relay,url=ws://h/ -nic hub,mac=02:00:00:00:00:01 -nic user').devices.map((device) => 'randomMac' in device)).toEqual([true, true, false, false]);
  });

  it('-device takes a card, its far end before or behind it', () => {
    const { devices, netdevs } = config('-device virtio-net-pci,netdev=n0,mac=02:00:00:00:00:0A,id=nic,addr=5,csum=off,mrg_rxbuf=off,host_mtu=9000,rx_queue_size=512,speed=1000,duplex=full,vectors=0 -netdev hubport,id=n0,hubid=3');
    expect(netdevs).toEqual([{ id: 'n0', type: 'hubport', hubid: 3 }]);
    expect(devices).toEqual([{
      driver: 'virtio-net-pci', id: 'nic', addr: { slot: 5, fn: 0 }, legacy: true, modern: true, vectors: 0, netdev: 0, mac: [2, 0, 0, 0, 0, 10],
      without: ['csum', 'mrg_rxbuf'], hostMtu: 9000, rxQueueSize: 512, speed: 1000, duplex: 'full',
    }]);
  });

  it('gives QEMU\'s addresses to cards without one, those of the board first', () => {
    const { devices } = config('-device virtio-net-pci,mac=52:54:00:12:34:57 -device virtio-net-pci -device virtio-rng-pci -net nic,model=virtio');
    expect(devices.map((device) => device.driver)).toEqual(['virtio-net-pci', 'virtio-net-pci', 'virtio-net-pci', 'virtio-rng-pci']);
    expect(devices.flatMap((device) => ('mac' in device ? [device.mac] : []))).toEqual([mac(0x56), mac(0x57), mac(0x58)]);
  });

  it('-nic is a card and its far end', () => {
    const { devices, netdevs } = config('-nic hubport,hubid=1,model=virtio-net-pci,mac=52-54-00-12-34-60 -nic hubport,hubid=1,model=virtio,id=x');
    expect(netdevs).toEqual([{ id: 'nic0', type: 'hubport', hubid: 1 }, { id: 'x', type: 'hubport', hubid: 1 }]);
    expect(devices).toMatchObject([{ netdev: 0, mac: mac(0x60) }, { netdev: 1, mac: mac(0x56) }]);
    expect(config('-nic none -net none').devices).toEqual([]);
  });

  it('-net joins everything on hub 0', () => {
    const { devices, netdevs } = config('-net nic,model=virtio,macaddr=52:54:00:12:34:99,name=eth,addr=7,vectors=2 -net nic,model=virtio');
    expect(netdevs).toEqual([{ id: 'hub0port0', type: 'hubport', hubid: 0 }, { id: 'hub0port1', type: 'hubport', hubid: 0 }]);
    expect(devices).toMatchObject([{ id: 'eth', netdev: 0, mac: mac(0x99), addr: { slot: 7, fn: 0 }, vectors: 2 }, { netdev: 1, mac: mac(0x56) }]);
  });

  it('puts QEMU\'s card where none is named', () => {
    expect(config('-nic hubport,hubid=0,id=x -device e1000,netdev=y,mac=02:00:00:00:00:01,addr=9 -netdev hubport,id=y,hubid=0').devices).toEqual([
      { driver: 'e1000', netdev: 0, mac: mac(0x56) },
      { driver: 'e1000', netdev: 1, mac: [2, 0, 0, 0, 0, 1], addr: { slot: 9, fn: 0 } },
    ]);
    expect(refusal('-device e1000,vectors=2')).toContain('vectors');
    expect(refusal('-net nic,model=e1000,vectors=2')).toContain('no MSI-X');
  });

  it('lists types, cards and properties', () => {
    for (const line of ['-netdev help', '-nic help', '-net ?']) expect(parse(line).information).toContain('hubport');
    for (const line of ['-nic model=help', '-nic user,model=?', '-net nic,model=?']) expect(parse(line).information).toMatch(/virtio-net-pci\ne1000/);
    expect(parse('-device virtio-net-pci,help').information).toContain('host_mtu');
  });

  it('refuses what makes no sense, by name', () => {
    expect(refusal('-netdev hubport,hubid=0')).toContain('id=ID is missing');
    expect(refusal('-netdev hubport,id=a')).toContain('hubid=N is missing');
    expect(refusal('-netdev tap,id=a')).toContain('"tap" is not supported');
    expect(refusal('-netdev constructor,id=a')).toContain('not supported');
    expect(refusal('-netdev hubport,id=a,hubid=0,queues=2')).toContain('queues');
    expect(refusal('-netdev hubport,id=a,hubid=0 -netdev hubport,id=a,hubid=0')).toContain('already');
    expect(refusal('-netdev hubport,id=a,hubid=0 -netdev hubport,id=b,hubid=1,netdev=a')).toContain('hub cannot be plugged');
    expect(refusal('-netdev hubport,id=b,hubid=1,netdev=a')).toContain('no netdev with id "a"');
    expect(refusal('-device virtio-net-pci,netdev=x')).toContain('no netdev with id "x"');
    expect(refusal('-netdev hubport,id=a,hubid=0 -device virtio-net-pci,netdev=a -device virtio-net-pci,netdev=a')).toContain('in use');
    expect(refusal('-device virtio-net-pci,mac=01:00:00:00:00:00')).toContain('multicast');
    expect(refusal('-device virtio-net-pci,mac=52:54')).toContain('not a MAC address');
    expect(refusal('-device virtio-net-pci,host_mtu=60')).toContain('68 to 65535');
    expect(refusal('-device virtio-net-pci,rx_queue_size=300')).toContain('256, 512 or 1024');
    expect(refusal('-device virtio-net-pci,mq=on')).toContain('mq');
    expect(refusal('-nic hubport,hubid=0,model=pcnet')).toContain('pcnet');
    expect(refusal('-nic none,model=virtio')).toContain('none takes no properties');
    expect(refusal('-net nic,model=virtio,foo=1')).toContain('foo');
    expect(refusal('-net vde')).toContain('vde');
  });
});
