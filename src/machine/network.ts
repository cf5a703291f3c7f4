// The network as the machine is wired: far ends, hubs, and the cards at their cables. To add a type of -netdev: a case in make().

import { Hub, HubPort } from '../backends/net/hub.ts';
import { LinkBackend } from '../backends/net/link.ts';
import { RemoteSockets } from '../backends/net/remote-sockets.ts';
import { UserNetwork } from '../backends/net/user/network.ts';
import type { TftpFiles } from '../backends/net/user/tftp.ts';
import type { Clock, NetBackend } from '../devices/interfaces.ts';
import type { Nic } from '../devices/net/port.ts';
import { machineEnd, needsIo } from './network-io.ts';
import type { NetdevConfig } from './options/index.ts';

/** What far ends are built on. */
export interface NetworkParts {
  clock: Clock;
  /** To the I/O worker, by index of the netdev; those of types that need it (needsIo). */
  channels?: ReadonlyMap<number, SharedArrayBuffer>;
  /** Files of the TFTP server, by the folder that the line names. */
  tftp?(folder: string): TftpFiles;
}

/** A card, and the names that a monitor knows it and its cable by. */
export interface NetworkCard {
  id: string;
  nic: Nic;
  netdev?: string;
}

/** QEMU's spelling of an address. */
export function macText(mac: Uint8Array): string {
  return Array.from(mac, (byte) => byte.toString(16).padStart(2, '0')).join(':');
}

export class Network {
  readonly netdevs: readonly { config: NetdevConfig; backend: NetBackend }[];
  readonly cards: NetworkCard[] = [];
  private readonly hubs = new Map<number, Hub>();

  constructor(
    configs: readonly NetdevConfig[],
    private readonly parts: NetworkParts,
  ) {
    // Those that others are plugged into come last.
    const backends = new Map<number, NetBackend>();
    const order = configs.map((config, index) => ({ config, index })).sort((a, b) => Number(nested(a.config)) - Number(nested(b.config)));
    for (const { config, index } of order) backends.set(index, this.make(config, index, backends));
    this.netdevs = configs.map((config, index) => ({ config, backend: backends.get(index)! }));
  }

  private make(config: NetdevConfig, index: number, others: ReadonlyMap<number, NetBackend>): NetBackend {
    const channel = (): ReturnType<typeof machineEnd> => {
      const buffer = this.parts.channels?.get(index);
      if (!buffer) throw new Error(`netdev ${config.id} has no channel to the I/O worker`);
      return machineEnd(buffer);
    };
    switch (config.type) {
      case 'user': {
        const { tftp } = config.user;
        return new UserNetwork(config.user, this.parts.clock, new RemoteSockets(channel()), tftp === undefined ? undefined : this.parts.tftp?.(tftp));
      }
      case 'hub':
        return new LinkBackend(channel(), `hub,name=${config.name}`);
      case 'relay':
        return new LinkBackend(channel(), `relay,url=${config.url}`);
      case 'hubport':
        return new HubPort(this.hub(config.hubid), this.parts.clock, config.netdev === undefined ? undefined : others.get(config.netdev));
    }
  }

  private hub(id: number): Hub {
    let hub = this.hubs.get(id);
    if (!hub) this.hubs.set(id, (hub = new Hub(id)));
    return hub;
  }

  /** Far end of a card by its index in the configuration. */
  backend(index: number | undefined): NetBackend | undefined {
    return index === undefined ? undefined : this.netdevs[index].backend;
  }

  /** A card that was made. Without an id it gets QEMU's name for it, "e1000.0". */
  add(nic: Nic, id: string | undefined, netdev: number | undefined): void {
    const count = this.cards.filter((card) => card.nic.model === nic.model).length;
    this.cards.push({ id: id ?? `${nic.model}.${count}`, nic, ...(netdev === undefined ? {} : { netdev: this.netdevs[netdev].config.id }) });
  }

  /** Take what the host brought: called between slices of the guest's running. */
  poll(): void {
    for (const { backend } of this.netdevs) backend.poll?.();
  }

  /** The I/O worker has ended: what needs it is gone for good. */
  lost(): void {
    for (const { config, backend } of this.netdevs) if (needsIo(config)) backend.lost?.();
  }

  /** Pull a card's plug, or put it back (set_link). @param name of a card or of its netdev @returns false if there is none of this name */
  setLink(name: string, up: boolean): boolean {
    const card = this.cards.find(({ id, netdev }) => id === name || netdev === name);
    card?.nic.port.setLink(up);
    return card !== undefined;
  }

  /** What QEMU's `info usernet` says. */
  describeUser(): string {
    return this.netdevs.map(({ config, backend }) => {
      if (!(backend instanceof UserNetwork)) return '';
      const port = this.netdevs.find((other) => other.config.type === 'hubport' && this.netdevs[other.config.netdev ?? -1]?.config.id === config.id);
      return `Hub ${port?.config.type === 'hubport' ? port.config.hubid : -1} (${config.id}):\n${backend.connections()}`;
    }).join('');
  }

  /** What QEMU's `info network` says. */
  describe(): string {
    const line = ({ id, nic }: NetworkCard): string => `${id}: index=0,type=nic,model=${nic.model},macaddr=${macText(nic.mac)}\n`;
    const far = (index: number): string => `${this.netdevs[index].config.id}: index=0,${this.netdevs[index].backend.describe()}\n`;
    let text = '';
    for (const hub of [...this.hubs.keys()].sort((a, b) => a - b)) {
      text += `hub ${hub}\n`;
      for (const { config } of this.netdevs) {
        if (config.type !== 'hubport' || config.hubid !== hub) continue;
        const card = this.cards.find(({ netdev }) => netdev === config.id);
        text += ` \\ ${config.id}: ${config.netdev !== undefined ? far(config.netdev) : card ? line(card) : '\n'}`;
      }
    }
    const inHub = new Set(this.netdevs.flatMap(({ config }) => (config.type === 'hubport' && config.netdev !== undefined ? [config.netdev] : [])));
    this.netdevs.forEach(({ config }, index) => {
      if (config.type === 'hubport' || inHub.has(index)) return;
      const card = this.cards.find(({ netdev }) => netdev === config.id);
      text += card ? `${line(card)} \\ ${far(index)}` : far(index);
    });
    for (const card of this.cards) if (card.netdev === undefined) text += line(card);
    return text;
  }
}

const nested = (config: NetdevConfig): boolean => config.type === 'hubport' && config.netdev !== undefined;
