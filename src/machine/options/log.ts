// The log. QEMU: -d -D.

import type { LogItem } from './config.ts';
import type { Draft, Options } from './draft.ts';
import { notYet, OptionError } from './error.ts';
import { own } from './values.ts';

export const LOG_OPTIONS: Options = {
  d: { argument: 'ITEM[,ITEM…]', help: 'log in_asm, int, exec, jit; -d help explains them', apply: applyLog },
  D: { argument: 'FILE', help: 'write the log to FILE, not to stderr', apply: (draft, value) => void (draft.logFile = value) },
};

export function finishLog({ config, logItems, logFile }: Draft): void {
  config.log = { items: logItems, ...(logFile === undefined ? {} : { file: logFile }) };
}

/** What -d can log, and QEMU's other items. */
const LOG_ITEMS: Readonly<Record<LogItem, string>> = {
  in_asm: 'guest code, disassembled, when it is first decoded',
  int: 'interrupts and exceptions, with registers',
  exec: 'each piece of code that is run: its address',
  jit: 'compiled regions: address (for the monitor\'s "region") and size as they are made and dropped; at the end how often they were entered, and left why',
};
const QEMU_LOG_ITEMS = 'out_asm op op_opt op_ind cpu fpu mmu pcall cpu_reset unimp guest_errors page nochain plugin strace tid vpu all'.split(' ');

function applyLog(draft: Draft, value: string, written: string): void {
  for (const item of value.split(',')) {
    if (own(LOG_ITEMS, item) !== undefined) {
      draft.logItems.add(item as LogItem);
    } else if (item === 'help' || item === '?') {
      draft.config.information ??= 'Log items (comma separated):\n'
        + Object.entries(LOG_ITEMS).map(([name, text]) => `${name.padEnd(10)} ${text}\n`).join('');
    } else if (QEMU_LOG_ITEMS.includes(item) || item.startsWith('trace:')) {
      throw notYet(written, `the log item "${item}"`, '-d help lists the items.');
    } else {
      throw new OptionError(written, `there is no log item "${item}"`, '-d help lists the items.');
    }
  }
}
