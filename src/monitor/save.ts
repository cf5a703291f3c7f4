// Files that commands write.

import type { MonitorTarget } from '../machine/monitor-target.ts';
import { MonitorError } from './command.ts';

/** @throws MonitorError as QEMU words it */
export async function save(target: MonitorTarget, name: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  try {
    await target.saveFile(name, bytes);
  } catch (error) {
    throw new MonitorError(`Error: could not open '${name}': ${error instanceof Error ? error.message : String(error)}`);
  }
}
