// Network cards: -device virtio-net-pci and its like, and those that -nic and -net nic put on the board. docs/network.md.

import { isFirmwareFile } from '../../devices/fw-cfg.ts';
import { NET_FEATURES, type NetFeature } from '../../virtio/net.ts';
import { EMULATED_NICS, NIC_ROMS, type EmulatedNic, type NicConfig, type PciDeviceConfig } from './config.ts';
import type { Draft } from './draft.ts';
import { OptionError } from './error.ts';
import { optionRomFile, PCI_PROPERTIES, pciProperties } from './pci.ts';
import { BOOTINDEX, bootindex } from './storage.ts';
import { number, onOff } from './values.ts';
import { VIRTIO_PROPERTIES, virtioProperties } from './virtio.ts';

/** What all cards take. */
export const NIC_PROPERTIES = { netdev: 'id of a -netdev', mac: 'address, six bytes in hexadecimal with colons; default 52:54:00:12:34:56 and up, on a hub or a relay at random', romfile: 'option ROM to boot from the network by (default iPXE, where firmware boots the machine and rombar is not 0; empty: none)', ...BOOTINDEX };

const FEATURE_HELP: Readonly<Record<NetFeature, string>> = {
  csum: 'the guest leaves checksums to the card',
  guest_csum: 'the card leaves checksums to the guest',
  ctrl_guest_offloads: 'the driver can switch what it leaves to the card',
  gso: 'the guest leaves cutting to the card, as old drivers ask for it',
  guest_tso4: 'the card gives the guest uncut TCP segments over IPv4',
  guest_tso6: 'the same over IPv6',
  guest_ecn: 'the same with ECN',
  guest_ufo: 'the card gives the guest uncut UDP datagrams',
  host_tso4: 'the guest leaves cutting TCP over IPv4 to the card',
  host_tso6: 'the same over IPv6',
  host_ecn: 'the same with ECN',
  host_ufo: 'the guest leaves cutting UDP to the card',
  mrg_rxbuf: 'a frame may fill several buffers',
  status: 'the driver sees the link go up and down',
  ctrl_vq: 'control queue',
  ctrl_rx: 'modes of reception',
  ctrl_vlan: 'VLAN filter',
  ctrl_rx_extra: 'more modes of reception',
  guest_announce: 'the driver announces itself after a snapshot was loaded',
  ctrl_mac_addr: 'the driver can change the address',
};

export const VIRTIO_NET_PROPERTIES = {
  ...NIC_PROPERTIES,
  ...Object.fromEntries(Object.entries(FEATURE_HELP).map(([name, help]) => [name, `on|off: ${help} (default on)`])),
  host_mtu: 'MTU to advise the driver of, 68 to 65535',
  rx_queue_size: 'entries of the receive queue: 256, 512 or 1024 (default 256)',
  tx_queue_size: 'entries of the transmit queue (default 256)',
  speed: 'Mb/s that the link claims',
  duplex: 'half|full',
  ...VIRTIO_PROPERTIES,
};

export const EMULATED_NIC_PROPERTIES = { ...NIC_PROPERTIES, ...PCI_PROPERTIES };

/** Every card, by QEMU's name of it. */
export type NicModel = 'virtio-net-pci' | EmulatedNic;
export const NIC_MODELS: readonly NicModel[] = ['virtio-net-pci', ...EMULATED_NICS];

/** Six bytes of an address, as QEMU takes it. */
export function parseMac(text: string, written: string): number[] {
  const parts = text.split(/[:-]/);
  if (parts.length !== 6 || !parts.every((part) => /^[0-9a-f]{1,2}$/i.test(part))) throw new OptionError(written, `"${text}" is not a MAC address`, 'Write six bytes, for example mac=52:54:00:12:34:56.');
  const mac = parts.map((part) => parseInt(part, 16));
  if (mac[0] & 1) throw new OptionError(written, `${text} is a multicast address, and a card needs one of its own`);
  return mac;
}

/** QEMU's address for cards without mac=: the first from 52:54:00:12:34:56 on that no card has. */
function defaultMac(draft: Draft): number[] {
  for (let last = 0x56; ; last++) {
    const mac = [0x52, 0x54, 0x00, 0x12, 0x34, last & 0xff];
    if (!draft.macs.some((taken) => taken.join() === mac.join())) return mac;
  }
}

/** A card of -device. Its far end, and its address if it has none of its own, are settled when the whole line is known. */
export function applyNic(model: NicModel): (draft: Draft, fields: Map<string, string>, written: string) => void {
  return (draft, fields, written) => addNic(draft, model, fields, written);
}

/** @param place at the end of the devices, or before them (-nic: cards of the board come first) */
export function addNic(draft: Draft, model: NicModel, fields: Map<string, string>, written: string, at = draft.devices.length): void {
  const own = fields.get('mac');
  const mac = own === undefined ? undefined : parseMac(own, written);
  // What others may not get by default.
  if (mac) draft.macs.push(mac);
  const hasNoRomBar = fields.has('rombar') && number(fields.get('rombar')!, written) === 0;
  /** What is settled later. */
  const nic = (): NicConfig => {
    // QEMU's own file, which holds EFI's ROM too, is too large for the firmware without rombar: nobody sees it.
    const romfile = fields.get('romfile') ?? (draft.config.bios === undefined || hasNoRomBar ? '' : NIC_ROMS[model]);
    if (romfile && hasNoRomBar && !isFirmwareFile(optionRomFile(romfile))) throw new OptionError(written, `${romfile}: the firmware takes no file of such a name`, 'Give the file a name of 47 ASCII characters at most.');
    const settled = { ...(romfile ? { romfile } : {}), ...bootindex(fields, written), mac: mac ?? defaultMac(draft), ...netdevOf(draft, fields.get('netdev'), written), ...(mac ? {} : randomMac(draft, fields.get('netdev'))) };
    if (!mac) draft.macs.push(settled.mac);
    return settled;
  };
  if (model === 'virtio-net-pci') {
    const device = virtioProperties(draft, fields, written);
    const properties = virtioNetProperties(fields, written);
    draft.devices.splice(at, 0, { device, resolve: () => ({ driver: model, ...device, ...properties, ...nic() }) });
  } else {
    const device = pciProperties(draft, fields, written);
    draft.devices.splice(at, 0, { device, resolve: () => ({ driver: model, ...device, ...nic() }) });
  }
}

/** Index of the far end that a card names. */
function netdevOf(draft: Draft, id: string | undefined, written: string): { netdev?: number } {
  if (id === undefined) return {};
  const netdev = draft.netdevs.findIndex((candidate) => candidate.id === id);
  if (netdev < 0) throw new OptionError(written, `there is no netdev with id "${id}"`, `Add -netdev TYPE,id=${id}.`);
  connect(draft, id, written);
  return { netdev };
}

/** Machines that meet on a hub or a relay come from the same line as often as not: QEMU's address would be the address of all of them. */
function randomMac({ config }: Draft, id: string | undefined): { randomMac?: true } {
  const type = config.netdevs.find((netdev) => netdev.id === id)?.type;
  return type === 'hub' || type === 'relay' ? { randomMac: true } : {};
}

/** A cable has two ends. */
export function connect(draft: Draft, id: string, written: string): void {
  if (draft.connected.has(id)) throw new OptionError(written, `the netdev "${id}" is in use`, 'For more than one card, use a hub: -netdev hubport,hubid=N,id=ID for each end.');
  draft.connected.add(id);
}

function virtioNetProperties(fields: ReadonlyMap<string, string>, written: string): Omit<Extract<PciDeviceConfig, { driver: 'virtio-net-pci' }>, 'driver' | keyof NicConfig | 'legacy' | 'modern'> {
  const limited = (key: string, least: number, most: number): number | undefined => {
    const text = fields.get(key);
    if (text === undefined) return undefined;
    const value = number(text, written);
    if (value < least || value > most) throw new OptionError(written, `${key} must be ${least} to ${most}`);
    return value;
  };
  const queueSize = (key: string): number | undefined => {
    const size = limited(key, 256, 1024);
    if (size !== undefined && size & (size - 1)) throw new OptionError(written, `${key} must be 256, 512 or 1024`);
    return size;
  };
  const duplex = (['half', 'full'] as const).find((value) => value === fields.get('duplex'));
  if (fields.has('duplex') && !duplex) throw new OptionError(written, 'duplex must be half or full');
  const optional = {
    hostMtu: limited('host_mtu', 68, 65535), rxQueueSize: queueSize('rx_queue_size'), txQueueSize: queueSize('tx_queue_size'),
    speed: limited('speed', 0, 0x7fffffff), duplex,
  };
  return {
    without: (Object.keys(NET_FEATURES) as NetFeature[]).filter((name) => !onOff(fields.get(name) ?? 'on', written, name)),
    ...(Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined)) as Partial<typeof optional>),
  };
}
