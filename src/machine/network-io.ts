// The I/O worker's part in the network: which far ends need it, how the machine's worker starts it, and what it does there. Sockets,
// fetch, WebSockets and BroadcastChannels live in that worker, because the machine's own sleeps in Atomics.wait; between the two are
// rings in shared memory (src/backends/net/channel.ts), and each wakes the other.

import { type Broadcaster, HUB_CHANNEL, HubMember, type HubPeer, PRESENCE_MS } from '../backends/net/broadcast.ts';
import { ChannelEnd, hostBell, watchBell } from '../backends/net/channel.ts';
import { FrameCarrier } from '../backends/net/link.ts';
import { RelayClient, type SocketLike } from '../backends/net/relay-client.ts';
import { SocketServer } from '../backends/net/remote-sockets.ts';
import type { GuestAnswer, GuestRequest } from '../backends/net/page/guest-http.ts';
export type { GuestAnswer, GuestRequest, GuestResponse } from '../backends/net/page/guest-http.ts';
import { formatAddress } from '../backends/net/user/address.ts';
import type { HostNetwork } from '../backends/net/user/host.ts';
import { asFailure, MachineError } from './client.ts';
import type { NetdevConfig } from './options/index.ts';
import { doorbell } from './protocol.ts';

/** Far ends that need the I/O worker. */
export const needsIo = (config: NetdevConfig): boolean => config.type === 'user' || config.type === 'hub' || config.type === 'relay';

interface IoNetdev {
  config: NetdevConfig;
  channel: SharedArrayBuffer;
}

/** A far end, as the page shows it. */
export interface NetworkView {
  id: string;
  type: 'user' | 'hub' | 'relay';
  /** Where it leads: the network, the hub's name, the relay's address. */
  to: string;
  up: boolean;
  /** Its state in words. */
  state: string;
  /** Other machines on a hub. */
  peers: readonly HubPeer[];
}

/** What the page asks of its machine's network, at its own port to the I/O worker. */
export interface NetworkPortApi {
  /** Call this whenever a state changes, and at once. */
  watch(changed: (views: NetworkView[]) => void): void;
  /** What others on a hub shall call this machine. */
  introduce(title: string): void;
  /** Ask the guest's web server behind the forwarded port number `index` of a user-mode network. */
  ask(netdev: string, index: number, request: GuestRequest): Promise<GuestAnswer>;
}

/** A way out that can ask the guest (a page's: it cannot listen). */
export interface GuestAsker {
  ask(index: number, request: GuestRequest): Promise<GuestAnswer>;
}

/** What the I/O worker does for the network; called through comlink. */
export interface NetworkIoApi {
  /** Start far ends. Rejects with a MachineFailure. */
  startNetwork(netdevs: IoNetdev[]): Promise<void>;
  /** The machine has been built: its doorbell is there. */
  attach(memory: SharedArrayBuffer): void | Promise<void>;
}

/** The machine's side. */
export interface NetworkIo {
  /** Channels of the far ends that need one, by index of the netdev. */
  readonly channels: ReadonlyMap<number, SharedArrayBuffer>;
  /** The machine is built. */
  connect(memory: SharedArrayBuffer): void;
}

/** Start the far ends of a machine in an I/O worker. Rejects with a MachineError. */
export async function startNetworkIo(netdevs: readonly NetdevConfig[], io: NetworkIoApi): Promise<NetworkIo> {
  const channels = new Map<number, SharedArrayBuffer>();
  netdevs.forEach((config, index) => {
    if (needsIo(config)) channels.set(index, ChannelEnd.allocate());
  });
  try {
    await io.startNetwork([...channels].map(([index, channel]) => ({ config: netdevs[index], channel })));
  } catch (error) {
    throw new MachineError(asFailure(error));
  }
  return { channels, connect: (memory) => void io.attach(memory) };
}

/** What the I/O worker needs of the place it runs in. */
export interface IoEnvironment {
  /** The way out of a user-mode network; its ports that lead to guests are open when this ends. Rejects with a MachineError. */
  sockets(config: Extract<NetdevConfig, { type: 'user' }>): Promise<HostNetwork & Partial<GuestAsker>>;
  /** Throws what makes the address unusable. */
  webSocket(url: string): SocketLike;
  broadcaster(name: string): Broadcaster;
}

/** The I/O worker's side: does what the machine's worker asks for. */
export class NetworkServer {
  private ring: (() => void) | undefined;
  private readonly views = new Map<string, NetworkView>();
  private readonly members: HubMember[] = [];
  private readonly askers = new Map<string, GuestAsker>();
  private changed: ((views: NetworkView[]) => void) | undefined;

  constructor(private readonly environment: IoEnvironment) {}

  /** For comlink, whose errors lose all but their message. */
  readonly api: NetworkIoApi = {
    startNetwork: async (netdevs) => {
      try {
        await Promise.all(netdevs.map((netdev) => this.start(netdev)));
      } catch (error) {
        throw asFailure(error);
      }
    },
    attach: (memory) => {
      this.ring = doorbell(memory);
      this.ring();
    },
  };

  /** For the page. */
  readonly port: NetworkPortApi = {
    watch: (changed) => {
      this.changed = changed;
      this.tell();
    },
    introduce: (title) => {
      for (const member of this.members) member.introduce(String(title));
    },
    ask: async (netdev, index, request) => this.askers.get(netdev)?.ask(index, request) ?? { failed: 'broken', why: `there is no network ${netdev}` },
  };

  private tell(): void {
    this.changed?.([...this.views.values()]);
  }

  private show(id: string, change: Partial<NetworkView>): void {
    const view = this.views.get(id);
    if (!view) return;
    this.views.set(id, { ...view, ...change });
    this.tell();
  }

  private carrier({ id }: NetdevConfig, end: ChannelEnd): FrameCarrier {
    const carrier = new FrameCarrier(end);
    carrier.onState = (up, state) => this.show(id, { up, state });
    return carrier;
  }

  private readonly wake = (): void => {
    this.ring?.();
  };

  private async start({ config, channel }: IoNetdev): Promise<void> {
    const { environment } = this;
    const end = new ChannelEnd(channel, 'host', this.wake);
    const { id } = config;
    const view = (type: NetworkView['type'], to: string): void => void this.views.set(id, { id, type, to, up: type === 'user', state: type === 'user' ? 'ready' : 'connecting', peers: [] });
    switch (config.type) {
      case 'user': {
        view('user', config.user.ipv4 ? `${formatAddress(config.user.net)}/${config.user.netBits}` : `${formatAddress(config.user.prefix6)}/${config.user.prefix6Bits}`);
        const sockets = await environment.sockets(config);
        if (sockets.ask) this.askers.set(id, sockets as GuestAsker);
        const server = new SocketServer(end, sockets);
        watchBell(channel, () => server.look());
        return;
      }
      case 'hub': {
        view('hub', config.name);
        const carrier = this.carrier(config, end);
        const member = new HubMember({
          carrier, channel: environment.broadcaster(HUB_CHANNEL + config.name), name: config.name, id: crypto.randomUUID(), now: () => performance.now(), onPeers: (peers) => this.show(id, { peers }),
        });
        this.members.push(member);
        // Under Node the worker ends with its machine, whatever goes on in it.
        setInterval(() => member.tick(), PRESENCE_MS);
        watchBell(channel, () => carrier.look());
        return;
      }
      case 'relay': {
        view('relay', withoutToken(config.url));
        const carrier = this.carrier(config, end);
        new RelayClient({
          connect: () => environment.webSocket(config.url), carrier, now: () => performance.now(), later: (call, ms) => void setTimeout(call, ms), random: () => Math.random(),
        });
        watchBell(channel, () => carrier.look());
      }
    }
  }
}

/** An address to show: what lets one in stays out of pictures and sight. */
function withoutToken(address: string): string {
  return address.replace(/([?&]token=)[^&]*/, '$1…');
}

/** The machine's end of a channel. */
export function machineEnd(channel: SharedArrayBuffer): ChannelEnd {
  return new ChannelEnd(channel, 'machine', hostBell(channel));
}
