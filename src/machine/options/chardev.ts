// Where characters go: serial ports, the debug port, and what -chardev gives a name. QEMU: -serial -parallel -chardev -debugcon -global.

import { DEBUGCON_IOBASE } from '../../devices/isa-debugcon.ts';
import type { SerialConfig } from './config.ts';
import type { Draft, Options } from './draft.ts';
import { notYet, OptionError, unknownKey } from './error.ts';
import { keyValues, onlyNone, onOff, port } from './values.ts';

export const CHARDEV_OPTIONS: Options = {
  serial: { argument: 'stdio|mon:stdio|vc|file:PATH|null|none', help: 'where the next serial port goes', apply: applySerial },
  parallel: { argument: 'none', help: 'no parallel port', apply: onlyNone },
  chardev: { argument: 'stdio|vc|file|null,id=ID[,path=FILE]', help: 'where a device\'s characters go', apply: applyChardev },
  debugcon: { argument: 'stdio|file:PATH|null', help: 'where what is written to the debug port goes', apply: applyDebugcon },
  global: { argument: 'isa-debugcon.iobase=PORT', help: 'the debug port (default 0xe9; SeaBIOS writes to 0x402)', apply: applyGlobal },
};

/** QEMU's default without -serial, and who has the terminal. */
export function finishChardev(draft: Draft): void {
  const { config, chardevs, debugconChardev } = draft;
  config.serial = draft.serial;
  // With -nographic on the terminal, with escapes unless the monitor was moved elsewhere; as in QEMU.
  if (!draft.serialGiven && config.nographic) config.serial = [{ kind: 'stdio', mux: draft.monitor === undefined }];
  else if (!draft.serialGiven && !draft.noDefaults) config.serial = [{ kind: 'vc' }];
  if (draft.debugconGiven) {
    let to = draft.debugconTo;
    if (debugconChardev) {
      to = chardevs.get(debugconChardev.id);
      if (to?.kind === 'vc') throw new OptionError(debugconChardev.written, 'the debug port cannot go to a vc', 'Use stdio, file or null.');
      if (!to) throw new OptionError(debugconChardev.written, `there is no chardev "${debugconChardev.id}"`, `Add -chardev file,id=${debugconChardev.id || 'ID'},path=FILE.`);
    }
    config.debugcon = { iobase: draft.debugconIobase ?? DEBUGCON_IOBASE, to: to! };
  }
  const terminals = config.serial.filter((port) => port?.kind === 'stdio').length;
  if (terminals > 1) throw new OptionError('-serial stdio', 'only one serial port can use the terminal', 'Send the others to file:PATH or null.');
  const stdio = config.chardevs.filter(({ to }) => to.kind === 'stdio');
  if (stdio.length > 0 && terminals + stdio.length + (config.debugcon?.to.kind === 'stdio' ? 1 : 0) > 1) {
    throw new OptionError(`-chardev stdio,id=${stdio.at(-1)!.id}`, 'the terminal is in use already', 'Give -serial null, or send one of them to a file.');
  }
  if (terminals > 0 && config.debugcon?.to.kind === 'stdio') {
    throw new OptionError('-debugcon stdio', 'a serial port uses the terminal', 'Send one of them to file:PATH or null.');
  }
}

function applySerial(draft: Draft, value: string, written: string): void {
  draft.serialGiven = true;
  if (draft.serial.length === 4) throw new OptionError(written, 'a PC has four serial ports');
  draft.serial.push(serialConfig(value, written));
}

function serialConfig(value: string, written: string): SerialConfig | undefined {
  if (value === 'none') return undefined;
  if (value === 'null') return { kind: 'null' };
  if (value === 'vc' || value === 'mon:vc') return { kind: 'vc' };
  if (value === 'stdio') return { kind: 'stdio', mux: false };
  if (value === 'mon:stdio') return { kind: 'stdio', mux: true };
  if (value.startsWith('file:')) {
    const path = value.slice('file:'.length);
    if (!path) throw new OptionError(written, 'the path is missing', 'Write -serial file:PATH.');
    return { kind: 'file', path };
  }
  throw new OptionError(written, `serial ports to "${value}" are not supported`, 'Use stdio, mon:stdio, file:PATH, null or none.');
}

function claimDebugcon(draft: Draft, written: string): void {
  if (draft.debugconGiven) throw new OptionError(written, 'there is one isa-debugcon already');
  draft.debugconGiven = true;
}

function applyDebugcon(draft: Draft, value: string, written: string): void {
  claimDebugcon(draft, written);
  const to = value === 'vc' || value.startsWith('mon:') ? undefined : serialConfig(value, written);
  if (!to) throw new OptionError(written, `the debug port cannot go to "${value}"`, 'Use stdio, file:PATH or null.');
  draft.debugconTo = to;
}

export function applyDebugconDevice(draft: Draft, fields: Map<string, string>, written: string): void {
  claimDebugcon(draft, written);
  const iobase = fields.get('iobase');
  if (iobase !== undefined) draft.debugconIobase = port(iobase, written);
  draft.debugconChardev = { id: fields.get('chardev') ?? '', written };
}

function applyGlobal(draft: Draft, value: string, written: string): void {
  const match = /^isa-debugcon\.iobase=(.*)$/.exec(value);
  if (!match) throw notYet(written, 'a default of this device', 'The only one is isa-debugcon.iobase=PORT.');
  draft.debugconIobase ??= port(match[1], written);
}

function applyChardev(draft: Draft, value: string, written: string): void {
  const fields = keyValues(value, 'backend', written);
  const backend = fields.get('backend') ?? '';
  const id = fields.get('id');
  if (!id) throw new OptionError(written, 'it has no id', 'Write -chardev file,id=NAME,path=FILE.');
  if (draft.chardevs.has(id)) throw new OptionError(written, `there is a chardev "${id}" already`);
  const path = fields.get('path');
  for (const key of fields.keys()) if (key !== 'backend' && key !== 'id' && !(key === 'path' && backend === 'file') && !(key === 'mux' && backend === 'stdio')) throw unknownKey(written, key);
  if (backend === 'stdio') draft.chardevs.set(id, { kind: 'stdio', mux: onOff(fields.get('mux') ?? 'off', written, 'mux') });
  else if (backend === 'vc') draft.chardevs.set(id, { kind: 'vc' });
  else if (backend === 'null') draft.chardevs.set(id, { kind: 'null' });
  else if (backend !== 'file') throw notYet(written, `the backend "${backend}"`, 'Backends are file, stdio, vc and null.');
  else if (!path) throw new OptionError(written, 'the path is missing', 'Write -chardev file,id=NAME,path=FILE.');
  else draft.chardevs.set(id, { kind: 'file', path });
}
