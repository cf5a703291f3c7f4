// What the machine is: memory, CPUs, board, and how guest code is run. QEMU: -m -smp -cpu -machine -accel.

import { Mem } from '../../core/layout.ts';
import { CPU_MODELS, FEATURE_ALIASES, SUPPORTED_FEATURES, UNSUPPORTED_FEATURES, type CpuFeature } from '../cpu-models.ts';
import { HOT_THRESHOLD, HOT_THRESHOLD_FEW, HOT_THRESHOLD_MAX, MIB } from './config.ts';
import type { Draft, Options } from './draft.ts';
import { notYet, OptionError, unknownKey } from './error.ts';
import { keyValues, onOff, own } from './values.ts';

const PAGE = 4096;
/** As the memory map needs it: all of the first MiB, and something above. */
const MIN_RAM = 2 * MIB;
/** All RAM lies below the PCI hole at 3 GiB, and with what comes before it in the shared memory below 4 GiB. */
const MAX_RAM = Math.min(3 * 1024 * MIB, 2 ** 32 - Mem.RAM);

export const SYSTEM_OPTIONS: Options = {
  m: { argument: '[size=]MEGS', help: 'guest memory: MiB, or with suffix K, M, G (default 128M, at most 3G)', apply: applyMemory },
  smp: { argument: '[cpus=]N', help: 'number of CPUs; only 1 is supported yet', apply: applySmp },
  cpu: { argument: 'MODEL[,+FEATURE][,-FEATURE]', help: 'CPU model and features; -cpu help lists them', apply: applyCpu },
  machine: { argument: 'pc[,accel=jit|interpreter][,vmport=on|off|auto]', help: 'the machine; pc is the only one. vmport: VMware\'s port and its absolute pointer (default on)', apply: applyMachine },
  accel: { argument: 'jit[,threshold=N]|interpreter', help: `how guest code is run: jit compiles what N jumps go to (default ${HOT_THRESHOLD}, in a page with few processors ${HOT_THRESHOLD_FEW})`, apply: applyAccel },
};

function applyMemory(draft: Draft, value: string, written: string): void {
  const fields = keyValues(value, 'size', written);
  for (const key of fields.keys()) {
    if (key === 'slots' || key === 'maxmem') throw notYet(written, `${key}= (memory hotplug)`);
    if (key !== 'size') throw unknownKey(written, key);
  }
  const text = fields.get('size') ?? '';
  const match = /^(\d+(?:\.\d+)?|0x[0-9a-f]+)([bkmgt]?)$/i.exec(text);
  if (!match) throw new OptionError(written, `"${text}" is not a size`, 'Give a number of MiB, or one with a suffix: 512, 512M, 1G.');
  const unit = { '': MIB, b: 1, k: 1024, m: MIB, g: 1024 * MIB, t: 1024 * 1024 * MIB }[match[2].toLowerCase()]!;
  const size = Math.ceil((Number(match[1]) * unit) / PAGE) * PAGE;
  if (size < MIN_RAM) throw new OptionError(written, 'it is less than 2 MiB, the least this PC can have', 'Give more memory, for example -m 128.');
  if (size > MAX_RAM) throw new OptionError(written, 'it is more than 3 GiB, the most that fits into WebAssembly\'s memory', 'Give at most -m 3G.');
  draft.config.ramSize = size;
}

function applySmp(draft: Draft, value: string, written: string): void {
  const keys = ['cpus', 'sockets', 'dies', 'clusters', 'cores', 'threads', 'maxcpus'];
  for (const [key, text] of keyValues(value, 'cpus', written)) {
    if (!keys.includes(key)) throw unknownKey(written, key);
    if (!/^[1-9]\d{0,4}$/.test(text)) throw new OptionError(written, `"${text}" is not a number of CPUs`);
    if (Number(text) !== 1) throw new OptionError(written, 'more than one CPU is not supported yet', 'Leave the option out, or give -smp 1.');
  }
  draft.config.cpus = 1;
}

function applyCpu(draft: Draft, value: string, written: string): void {
  if (value === 'help' || value === '?') {
    draft.config.information ??= cpuHelpText();
    return;
  }
  const [model, ...changes] = value.split(',');
  const known = own(CPU_MODELS, model);
  if (!known) {
    throw new OptionError(written, `there is no CPU model "${model}" here`, `Models are ${Object.keys(CPU_MODELS).join(', ')}; -cpu help lists the features.`);
  }
  const features = new Set(known.features);
  for (const change of changes) {
    const match = /^([+-])(.+)$/.exec(change) ?? /^()(.+?)=(on|off|true|false|yes|no|y|n)$/.exec(change);
    if (!match) throw new OptionError(written, `"${change}" is not +FEATURE, -FEATURE or FEATURE=on|off`);
    const on = match[1] === '+' || /^(on|true|yes|y)$/.test(match[3] ?? '');
    const name = own(FEATURE_ALIASES, match[2]) ?? match[2];
    if (SUPPORTED_FEATURES.includes(name as CpuFeature)) {
      if (on) features.add(name as CpuFeature);
      else features.delete(name as CpuFeature);
    } else if (!UNSUPPORTED_FEATURES.includes(name)) {
      throw new OptionError(written, `there is no CPU feature "${match[2]}"`, '-cpu help lists the features.');
    } else if (on) {
      throw new OptionError(written, `the CPU feature "${match[2]}" is not supported yet`, '-cpu help lists the features.');
    }
  }
  draft.config.cpu = { model, features };
}

function cpuHelpText(): string {
  const models = Object.entries(CPU_MODELS).map(([name, model]) => `x86 ${name.padEnd(12)} ${model.description}\n`).join('');
  const rows: string[] = [];
  for (let at = 0; at < SUPPORTED_FEATURES.length; at += 12) rows.push(`  ${SUPPORTED_FEATURES.slice(at, at + 12).join(' ')}\n`);
  return `Available CPUs:\n${models}\nRecognized CPU features:\n${rows.join('')}`;
}

function applyMachine(draft: Draft, value: string, written: string): void {
  if (value === 'help' || value === '?') {
    draft.config.information ??= 'Supported machines are:\npc      PC with i440FX and PIIX3 (default)\n';
    return;
  }
  for (const [key, text] of keyValues(value, 'type', written)) {
    if (key === 'accel') applyAccel(draft, text, written);
    else if (key === 'vmport') draft.config.vmport = text === 'auto' || onOff(text, written, key);
    else if (key !== 'type') throw notYet(written, `${key}=`);
    else if (text !== 'pc') throw new OptionError(written, `the machine "${text}" is not supported`, 'The only machine is pc.');
  }
}

function applyAccel(draft: Draft, value: string, written: string): void {
  const fields = keyValues(value, 'accel', written);
  const name = fields.get('accel') ?? '';
  if (name === 'help') {
    draft.config.information ??= 'Accelerators supported:\ninterpreter\njit\n';
    return;
  }
  if (name !== 'interpreter' && name !== 'jit') throw new OptionError(written, `there is no accelerator "${name}" here`, 'There are jit and interpreter.');
  let threshold: number | null = null;
  for (const [key, text] of fields) {
    if (key === 'accel') continue;
    if (key !== 'threshold' || name !== 'jit') throw unknownKey(written, key);
    threshold = Number(text);
    if (!/^\d{1,5}$/.test(text) || threshold < 1 || threshold > HOT_THRESHOLD_MAX) {
      throw new OptionError(written, `"${text}" is not a number of jumps`, `Give a number from 1, which compiles everything at once, to ${HOT_THRESHOLD_MAX}.`);
    }
  }
  draft.config.accel = name === 'jit' ? { kind: 'jit', threshold } : { kind: 'interpreter' };
}
