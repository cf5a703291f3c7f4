// The machine line: QEMU's command line (QEMU, "Invocation": docs/system/invocation.rst), parsed into a MachineConfig.
// An option that is not supported is refused by name, never ignored. To add one: a line in its topic's file, a field in config.ts.

import { QuotingError, splitLine } from '../words.ts';
import { finishBoot } from './boot.ts';
import { finishChardev } from './chardev.ts';
import type { MachineConfig } from './config.ts';
import { finishDevices } from './device.ts';
import { finishDisplay } from './display.ts';
import { Draft } from './draft.ts';
import { addDrive, finishDrives } from './drive.ts';
import { OptionError, SEE_HELP } from './error.ts';
import { finishLog } from './log.ts';
import { finishMonitor } from './monitor.ts';
import { finishNet } from './net.ts';
import { finishStorage } from './storage.ts';
import { ALIASES, OPTIONS, QEMU_OPTIONS } from './table.ts';
import { own } from './values.ts';

export { joinLine, splitLine } from '../words.ts';
export {
  BUNDLED_FIRMWARE, charRings, compilesBeside, DEBUGCON_RING, firmwareFiles, NIC_ROMS, VGA_ROM,
  type ClockConfig, type DriveConfig, type FsdevConfig, type FloppyConfig, type IdeConfig, type LogItem, type MachineConfig, type NetdevConfig, type EmulatedNic, type NicConfig, type PciDeviceConfig, type VirtioPciConfig, type RtcConfig, type SerialConfig,
} from './config.ts';
export { OptionError } from './error.ts';
export { optionRomFile } from './pci.ts';
export { VERSION } from './table.ts';

/**
 * Parse a machine line, given as words or as one text.
 * @throws OptionError for everything that cannot be done as asked
 */
export function parse(line: readonly string[] | string): MachineConfig {
  let words: readonly string[];
  try {
    words = typeof line === 'string' ? splitLine(line) : line;
  } catch (error) {
    if (!(error instanceof QuotingError)) throw error;
    throw new OptionError(String(line), error.message, 'Close the quote, or write a backslash before it.');
  }
  const draft = new Draft();
  for (let at = 0; at < words.length; at++) {
    const word = words[at];
    if (!word.startsWith('-')) {
      // As QEMU: the first disk.
      addDrive(draft, { file: word, index: 0 }, word);
      continue;
    }
    const written = word.replace(/^--?/, '');
    const option = own(OPTIONS, own(ALIASES, written) ?? written);
    if (!option) throw unknownOption(word, written);
    if (option.argument === undefined) {
      option.apply(draft, '', word);
    } else {
      if (at + 1 >= words.length) throw new OptionError(word, `it requires an argument: ${word} ${option.argument}`);
      const value = words[++at];
      option.apply(draft, value, `${word} ${value}`);
    }
  }
  return finish(draft);
}

/** What only the whole line can tell. */
function finish(draft: Draft): MachineConfig {
  if (draft.config.information === undefined) {
    finishLog(draft);
    finishDisplay(draft);
    finishBoot(draft);
    finishDrives(draft);
    finishStorage(draft);
    finishNet(draft);
    finishDevices(draft);
    finishChardev(draft);
    finishMonitor(draft);
  }
  return draft.config;
}

function unknownOption(word: string, name: string): OptionError {
  if (QEMU_OPTIONS.has(name)) return new OptionError(word, 'QEMU has this option, Tabvisor does not support it yet');
  const close = Object.keys(OPTIONS).find((known) => known.toLowerCase() === name.toLowerCase());
  return new OptionError(word, 'invalid option', close ? `Did you mean -${close}?` : SEE_HELP);
}
