// The monitor. QEMU: -monitor.

import type { SerialConfig } from './config.ts';
import type { Draft, Options } from './draft.ts';
import { notYet, OptionError } from './error.ts';

export const MONITOR_OPTIONS: Options = {
  monitor: { argument: 'stdio|vc|null|none', help: 'where the monitor is: on the terminal, in a panel of the page, nowhere', apply: applyMonitor },
};

function applyMonitor(draft: Draft, value: string, written: string): void {
  if (draft.monitor) throw new OptionError(written, 'there can be one monitor', 'Give -monitor once.');
  // As QEMU's null: there is one, and nobody can reach it.
  if (value === 'none' || value === 'null') draft.monitor = 'none';
  else if (value === 'stdio' || value === 'vc') draft.monitor = value;
  else throw notYet(written, `a monitor on "${value}"`, 'Use stdio, vc or none; -serial mon:stdio puts it on the terminal of a serial port, behind Ctrl-A c.');
}

/** QEMU's default without -monitor. After the serial ports are known. */
export function finishMonitor({ config, monitor }: Draft): void {
  const isMux = (to: SerialConfig | undefined) => to?.kind === 'stdio' && to.mux;
  const mux = config.serial.some(isMux) || (monitor === undefined && config.chardevs.some(({ to }) => isMux(to)));
  const hasTerminal = config.serial.some((port) => port?.kind === 'stdio') || config.debugcon?.to.kind === 'stdio' || config.chardevs.some(({ to }) => to.kind === 'stdio');
  if (monitor === 'stdio' && hasTerminal) {
    throw new OptionError('-monitor stdio', 'another device uses the terminal', 'Leave it out, and give -serial mon:stdio: Ctrl-A c switches between the two.');
  }
  if (mux) config.monitor = 'mux';
  else if (monitor !== undefined) config.monitor = monitor;
  else config.monitor = config.nographic && !hasTerminal ? 'stdio' : 'vc';
}
