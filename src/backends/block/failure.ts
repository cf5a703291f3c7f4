// What goes wrong with a disk, in words for its user: what, why, what to do.

import { BlockError } from '../../devices/interfaces.ts';
import type { MachineFailure } from '../../machine/protocol.ts';

export class DiskFailure extends BlockError {
  constructor(readonly failure: MachineFailure) {
    super(`${failure.what}: ${failure.why}`);
    this.name = 'DiskFailure';
  }
}

/** Any error as a failure; `what` and `advice` are for those that bring none. */
export function diskFailure(error: unknown, what: string, advice: string): DiskFailure {
  if (error instanceof DiskFailure) return error;
  return new DiskFailure({ what, why: error instanceof Error ? error.message : String(error), advice });
}
