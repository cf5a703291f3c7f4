// Entry point of the I/O worker in the browser: owns the disks and the network's far ends of one machine, whose worker started it.

import { expose, proxy, type ProxyMarked } from 'comlink';
import type { Broadcaster } from '../src/backends/net/broadcast.ts';
import { PageNetwork } from '../src/backends/net/page/page-network.ts';
import type { SocketLike } from '../src/backends/net/relay-client.ts';
import { type DiskInfo, type DiskRequest, openDisk } from '../src/backends/block/browser-disks.ts';
import { serveDiskRing } from '../src/backends/block/disk-ring.ts';
import { HandleFolder } from '../src/backends/fs/handle-folder.ts';
import type { BlockBackend } from '../src/devices/interfaces.ts';
import { asFailure } from '../src/machine/client.ts';
import { NetworkServer } from '../src/machine/network-io.ts';
import { type MachineFailure, ringDoorbell } from '../src/machine/protocol.ts';

const disks: BlockBackend[] = [];
/** By the disk's number; what is closed is not there. */
const closing = new Map<number, () => void>();
let machine: ArrayBufferLike | undefined;

const network = new NetworkServer({
  sockets: async ({ user }) => new PageNetwork({ fetch: (url, init) => fetch(url, init), isSecure: location.protocol === 'https:' }, user.forwards),
  webSocket: (url) => new WebSocket(url) as unknown as SocketLike,
  broadcaster: (name) => new BroadcastChannel(name) as unknown as Broadcaster,
});

const api = {
  ...network.api,
  /** A folder that takes what the guest writes. */
  folder(handle: FileSystemDirectoryHandle): HandleFolder & ProxyMarked {
    const folder = new HandleFolder(handle);
    // The machine's worker may sleep: whatever is done, it hears of it at once.
    const told = <A extends unknown[], R>(call: (...args: A) => Promise<R>) => (...args: A): Promise<R> => call.apply(folder, args).finally(() => { if (machine) setTimeout(() => ringDoorbell(machine!)); });
    return proxy({ makeDirectory: told(folder.makeDirectory), remove: told(folder.remove), begin: told(folder.begin), append: told(folder.append), end: told(folder.end) } as HandleFolder);
  },
  /** The page's own port to the network. */
  networkPort(port: MessagePort): void {
    expose(network.port, port);
  },
  /** Serve the requests of this ring. */
  serve(ring: SharedArrayBuffer): void {
    void serveDiskRing(ring, disks, () => machine);
  },
  /** Open a disk: its number in the ring, and what it is. Rejects with a MachineFailure. */
  async open(request: DiskRequest, warn: (failure: MachineFailure | undefined) => void): Promise<{ number: number; info: DiskInfo }> {
    try {
      const { disk, info, close } = await openDisk(request, (failure) => void warn(failure));
      const number = disks.push(disk) - 1;
      closing.set(number, close);
      return { number, info };
    } catch (error) {
      throw asFailure((error as { failure?: MachineFailure }).failure ?? error);
    }
  },
  /** A disk is anybody's. */
  closeDisk(number: number): void {
    closing.get(number)?.();
    closing.delete(number);
  },
  /** The machine is off: all its disks are. */
  close(): void {
    for (const number of [...closing.keys()]) api.closeDisk(number);
  },
  /** The machine's memory, whose doorbell tells it of answers. */
  attach(memory: SharedArrayBuffer): void {
    machine = memory;
    void network.api.attach(memory);
  },
};

export type IoApi = typeof api;

expose(api);
