// How the machine starts and ends, and what it is called. QEMU: -name -S -no-reboot -no-shutdown -nodefaults.

import type { Draft, Options } from './draft.ts';
import { notYet } from './error.ts';
import { keyValues } from './values.ts';

export const RUN_OPTIONS: Options = {
  name: { argument: 'NAME', help: 'name of the machine', apply: applyName },
  S: { help: 'do not start the CPU before it is told to', apply: (draft) => void (draft.config.startPaused = true) },
  'no-reboot': { help: 'exit when the guest resets', apply: (draft) => void (draft.config.onReset = 'exit') },
  'no-shutdown': { help: 'pause when the guest powers off', apply: (draft) => void (draft.config.onPowerOff = 'pause') },
  nodefaults: { help: 'no default devices', apply: (draft) => void (draft.noDefaults = true) },
  'no-user-config': { help: 'accepted: there are no configuration files', apply: () => {} },
};

function applyName(draft: Draft, value: string, written: string): void {
  for (const [key, text] of keyValues(value, 'guest', written)) {
    if (key === 'guest') draft.config.name = text;
    else throw notYet(written, `${key}=`);
  }
}
