// Why an option cannot be used.

import type { MachineFailure } from '../protocol.ts';

export const SEE_HELP = '-help lists the options that are supported.';

/** An option that cannot be used: which, why, and what to do. */
export class OptionError extends Error implements MachineFailure {
  readonly what: string;

  constructor(
    /** The option as it was written, "-smp 4". */
    readonly option: string,
    readonly why: string,
    readonly advice: string = SEE_HELP,
  ) {
    super(`${option}: ${why}`);
    this.name = 'OptionError';
    this.what = `The option ${option} cannot be used`;
  }
}

export function notYet(written: string, what: string, advice?: string): OptionError {
  return new OptionError(written, `${what} is not supported yet`, advice);
}

export function unknownKey(written: string, key: string): OptionError {
  return new OptionError(written, `it has no setting "${key}"`);
}
