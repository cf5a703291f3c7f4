// The network. QEMU: -net -nic.

import type { Options } from './draft.ts';
import { onlyNone } from './values.ts';

export const NET_OPTIONS: Options = {
  net: { argument: 'none', help: 'no network', apply: onlyNone },
  nic: { argument: 'none', help: 'no network', apply: onlyNone },
};
