// A kernel that cannot be started: what happened, why, and what to do.

import type { MachineFailure } from '../protocol.ts';

export class BootError extends Error implements MachineFailure {
  constructor(
    readonly what: string,
    readonly why: string,
    readonly advice: string,
  ) {
    super(`${what}: ${why}`);
    this.name = 'BootError';
  }
}

/** Bytes as a user reads them. */
export function inMiB(bytes: number): string {
  const mib = bytes / (1024 * 1024);
  return `${mib < 10 ? Math.ceil(mib * 10) / 10 : Math.ceil(mib)} MiB`;
}
