// The devices of -device on the PCI bus, made from their configuration. To add one is a line here and one in options/device.ts.

import type { FileSystem } from '../devices/file-system.ts';
import type { Geometry } from '../devices/ide/geometry.ts';
import type { BlockBackend, CharBackend, Clock, EntropySource, GuestMemory } from '../devices/interfaces.ts';
import { E1000 } from '../devices/net/e1000.ts';
import { Ne2kPci } from '../devices/net/ne2k-pci.ts';
import type { Nic, NicOptions } from '../devices/net/port.ts';
import { Rtl8139 } from '../devices/net/rtl8139.ts';
import type { PciFunction } from '../devices/pci.ts';
import { Virtio9p } from '../virtio/9p/device.ts';
import { VirtioBalloon } from '../virtio/balloon.ts';
import { VirtioBlk } from '../virtio/blk.ts';
import { VirtioConsole } from '../virtio/console.ts';
import type { VirtioDevice } from '../virtio/device.ts';
import { VirtioNet } from '../virtio/net.ts';
import { VirtioPci } from '../virtio/pci.ts';
import { VirtioRng } from '../virtio/rng.ts';
import type { Network } from './network.ts';
import { type EmulatedNic, NIC_ROMS, type NicConfig, type PciDeviceConfig, type VirtioPciConfig } from './options/index.ts';

/** What devices are built on. */
export interface DeviceParts {
  memory: GuestMemory;
  clock: Clock;
  /** A new source of random bytes. */
  entropy(): EntropySource;
  /** One for each of MachineConfig.drives. */
  disks: readonly BlockBackend[];
  /** How old systems divide them. */
  geometry(drive: number): Geometry;
  /** One for each of MachineConfig.fsdevs. */
  folders: readonly FileSystem[];
  /** The date, nanoseconds since 1970. */
  date(): bigint;
  network: Network;
  /** The bytes of a file that the line names. */
  file(name: string): Uint8Array;
  /** One for each of MachineConfig.chardevs. */
  chars: readonly CharBackend[];
}

function makeVirtio(config: VirtioPciConfig, { memory, entropy, date, disks, geometry, folders, network, chars }: DeviceParts): VirtioDevice {
  switch (config.driver) {
    case 'virtio-rng-pci':
      return new VirtioRng(entropy(), config);
    case 'virtio-blk-pci':
      return new VirtioBlk(disks[config.drive], { ...config, geometry: geometry(config.drive) });
    case 'virtio-net-pci': {
      const { id, netdev, ...options } = config;
      const nic = new VirtioNet({ ...options, mac: macOf(config, entropy), backend: network.backend(netdev) });
      network.add(nic, id, netdev);
      return nic;
    }
    case 'virtio-9p-pci':
      return new Virtio9p(folders[config.fsdev], config.mountTag, date);
    case 'virtio-balloon-pci':
      return new VirtioBalloon({ ...config, ramSize: memory.size });
    case 'virtio-serial-pci':
      return new VirtioConsole({
        ...config,
        ports: config.ports.map(({ chardev, ...port }) => ({ ...port, ...(chardev === undefined ? {} : { backend: chars[chardev] }) })),
      });
  }
}

const NICS: Readonly<Record<EmulatedNic, new (options: NicOptions) => PciFunction & Nic>> = { e1000: E1000, rtl8139: Rtl8139, ne2k_pci: Ne2kPci };

function makeNic(config: PciDeviceConfig & { driver: EmulatedNic } & NicConfig, { memory, clock, network, entropy, file }: DeviceParts): PciFunction {
  const { driver, id, netdev } = config;
  const romfile = config.rombar === false ? undefined : config.romfile;
  const nic = new NICS[driver]({ memory, clock, mac: macOf(config, entropy), backend: network.backend(netdev), rom: romfile === undefined ? undefined : file(romfile) });
  network.add(nic, id, netdev);
  return nic;
}

/** A card's address. */
function macOf({ mac, randomMac }: NicConfig, entropy: () => EntropySource): Uint8Array {
  const address = Uint8Array.from(mac);
  if (randomMac) entropy().fill(address.subarray(3));
  return address;
}

export function makeDevice(config: PciDeviceConfig, parts: DeviceParts): PciFunction {
  const made = make(config, parts);
  // iPXE's ROM of a model serves all cards of it.
  if ('romfile' in config && config.rombar !== false && config.romfile === NIC_ROMS[config.driver]) made.adaptRom();
  return made;
}

function make(config: PciDeviceConfig, parts: DeviceParts): PciFunction {
  if (isEmulatedNic(config)) return makeNic(config, parts);
  const { legacy, modern, vectors, withheld } = config;
  const rom = 'romfile' in config && config.rombar !== false && config.romfile !== undefined ? parts.file(config.romfile) : undefined;
  return new VirtioPci(makeVirtio(config, parts), { memory: parts.memory, clock: parts.clock, legacy, modern, vectors, withheld, rom });
}

function isEmulatedNic(config: PciDeviceConfig): config is Extract<PciDeviceConfig, { driver: EmulatedNic }> {
  return Object.hasOwn(NICS, config.driver);
}
