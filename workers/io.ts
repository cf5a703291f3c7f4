// Entry point of the I/O worker in the browser: owns the disks of one machine, whose worker started it.

import { expose } from 'comlink';
import { type DiskInfo, type DiskRequest, openDisk } from '../src/backends/block/browser-disks.ts';
import { serveDiskRing } from '../src/backends/block/disk-ring.ts';
import type { BlockBackend } from '../src/devices/interfaces.ts';
import { asFailure } from '../src/machine/client.ts';
import type { MachineFailure } from '../src/machine/protocol.ts';

const disks: BlockBackend[] = [];
let machine: ArrayBufferLike | undefined;

const api = {
  /** Serve the requests of this ring. */
  serve(ring: SharedArrayBuffer): void {
    void serveDiskRing(ring, disks, () => machine);
  },
  /** Open a disk; it gets the next number. Rejects with a MachineFailure. */
  async open(request: DiskRequest, warn: (failure: MachineFailure | undefined) => void): Promise<DiskInfo> {
    try {
      const { disk, info } = await openDisk(request, (failure) => void warn(failure));
      disks.push(disk);
      return info;
    } catch (error) {
      throw asFailure((error as { failure?: MachineFailure }).failure ?? error);
    }
  },
  /** The machine's memory, whose doorbell tells it of answers. */
  attach(memory: SharedArrayBuffer): void {
    machine = memory;
  },
};

export type IoApi = typeof api;

expose(api);
