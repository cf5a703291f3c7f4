// The devices of -device on the PCI bus, made from their configuration. To add one is a line here and one in options.ts.

import type { Clock, EntropySource, GuestMemory } from '../devices/interfaces.ts';
import type { PciFunction } from '../devices/pci.ts';
import type { VirtioDevice } from '../virtio/device.ts';
import { VirtioPci } from '../virtio/pci.ts';
import { VirtioRng } from '../virtio/rng.ts';
import type { PciDeviceConfig } from './options.ts';

/** What devices are built on. */
export interface DeviceParts {
  memory: GuestMemory;
  clock: Clock;
  /** A new source of random bytes. */
  entropy(): EntropySource;
}

const VIRTIO: Record<PciDeviceConfig['driver'], (config: PciDeviceConfig, parts: DeviceParts) => VirtioDevice> = {
  'virtio-rng-pci': (_config, { entropy }) => new VirtioRng(entropy()),
};

export function makeDevice(config: PciDeviceConfig, parts: DeviceParts): PciFunction {
  const { legacy, modern, vectors } = config;
  return new VirtioPci(VIRTIO[config.driver](config, parts), { memory: parts.memory, clock: parts.clock, legacy, modern, vectors });
}
