// The monitor. QEMU: -monitor.

import type { Options } from './draft.ts';
import { onlyNone } from './values.ts';

export const MONITOR_OPTIONS: Options = {
  monitor: { argument: 'none', help: 'no monitor', apply: (draft, value, written) => { onlyNone(draft, value, written); draft.monitorNone = true; } },
};
