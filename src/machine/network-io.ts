// The I/O worker's part in the network: which far ends need it, how the machine's worker starts it, and what it does there. Sockets,
// fetch, WebSockets and BroadcastChannels live in that worker, because the machine's own sleeps in Atomics.wait; between the two are
// rings in shared memory (src/backends/net/channel.ts), and each wakes the other.

import { type Broadcaster, HUB_CHANNEL, joinHub } from '../backends/net/broadcast.ts';
import { ChannelEnd, hostBell, watchBell } from '../backends/net/channel.ts';
import { FrameCarrier } from '../backends/net/link.ts';
import { RelayClient, type SocketLike } from '../backends/net/relay-client.ts';
import { SocketServer } from '../backends/net/remote-sockets.ts';
import type { HostNetwork } from '../backends/net/user/host.ts';
import { asFailure, MachineError } from './client.ts';
import type { NetdevConfig } from './options/index.ts';
import { ringDoorbell } from './protocol.ts';

/** Far ends that need the I/O worker. */
export const needsIo = (config: NetdevConfig): boolean => config.type === 'user' || config.type === 'hub' || config.type === 'relay';

interface IoNetdev {
  config: NetdevConfig;
  channel: SharedArrayBuffer;
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
  sockets(config: Extract<NetdevConfig, { type: 'user' }>): Promise<HostNetwork>;
  /** Throws what makes the address unusable. */
  webSocket(url: string): SocketLike;
  broadcaster(name: string): Broadcaster;
}

/** The I/O worker's side: does what the machine's worker asks for. */
export class NetworkServer {
  private memory: SharedArrayBuffer | undefined;

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
      this.memory = memory;
      ringDoorbell(memory);
    },
  };

  private readonly wake = (): void => {
    if (this.memory) ringDoorbell(this.memory);
  };

  private async start({ config, channel }: IoNetdev): Promise<void> {
    const { environment } = this;
    const end = new ChannelEnd(channel, 'host', this.wake);
    switch (config.type) {
      case 'user': {
        const server = new SocketServer(end, await environment.sockets(config));
        watchBell(channel, () => server.look());
        return;
      }
      case 'hub': {
        const carrier = new FrameCarrier(end);
        joinHub(carrier, environment.broadcaster(HUB_CHANNEL + config.name), config.name);
        watchBell(channel, () => carrier.look());
        return;
      }
      case 'relay': {
        const carrier = new FrameCarrier(end);
        new RelayClient({
          connect: () => environment.webSocket(config.url), carrier, now: () => performance.now(), later: (call, ms) => void setTimeout(call, ms), random: () => Math.random(),
        });
        watchBell(channel, () => carrier.look());
      }
    }
  }
}

/** The machine's end of a channel. */
export function machineEnd(channel: SharedArrayBuffer): ChannelEnd {
  return new ChannelEnd(channel, 'machine', hostBell(channel));
}
