// info lapic: the local APIC. QEMU, target/i386/cpu-dump.c (x86_cpu_dump_local_apic_state).

import {
  APIC_APR, APIC_CURRENT_COUNT, APIC_DFR, APIC_DIVIDE, APIC_ESR, APIC_ICR_HIGH, APIC_ICR_LOW, APIC_INITIAL_COUNT, APIC_IRR, APIC_ISR, APIC_LDR,
  APIC_LVT_ERROR, APIC_LVT_LINT0, APIC_LVT_LINT1, APIC_LVT_PERFORMANCE, APIC_LVT_THERMAL, APIC_LVT_TIMER, APIC_PPR, APIC_SVR, APIC_TMR, APIC_TPR, type LocalApic,
} from '../../devices/local-apic.ts';
import { command, MonitorError } from '../command.ts';
import { hex } from '../format.ts';
import { optionalInteger } from '../parameters.ts';

const DELIVERY_MODES = ['Fixed', '...', 'SMI', '...', 'NMI', 'INIT', '...', 'ExtINT'];
const SHORTHANDS = ['no-shorthand', 'self', 'all-self', 'all'];
const TIMER_MODES = ['one-shot', 'periodic', 'tsc-deadline', ''];
const NMI = 4;

function dump(apic: LocalApic): string[] {
  const read = (register: number): number => apic.readMmio(register, 4) >>> 0;
  const lvt = (name: string, register: number): string => {
    const value = read(register);
    const mode = (value >> 8) & 7;
    const cells = [
      name + '\t', `0x${hex(value, 8)}`, value & 0x2000 ? 'active-lo' : 'active-hi', (value & 0x8000 ? 'level' : 'edge').padEnd(5),
      (value & 0x10000 ? 'masked' : '').padEnd(6), (value & 0x1000 ? 'pending' : '').padEnd(7),
      (register === APIC_LVT_TIMER ? TIMER_MODES[(value >> 17) & 3] : '').padEnd(12), DELIVERY_MODES[mode].padEnd(6),
    ];
    return cells.join(' ') + (mode === NMI ? '' : ` (vec ${value & 0xff})`);
  };
  const map = (name: string, register: number): string => {
    const set = Array.from({ length: 256 }, (_, n) => n).filter((n) => read(register + (n >> 5) * 16) & (1 << (n & 31)));
    const shown = set.map((n) => `${n}${read(APIC_TMR + (n >> 5) * 16) & (1 << (n & 31)) ? '(level)' : ''} `).join('');
    return `${name}\t ${shown || '(none)'}`;
  };
  const divide = read(APIC_DIVIDE) & 0xf;
  const shift = (((divide & 3) | ((divide >> 1) & 4)) + 1) & 7;
  const spiv = read(APIC_SVR);
  return [
    lvt('LVT0', APIC_LVT_LINT0), lvt('LVT1', APIC_LVT_LINT1), lvt('LVTPC', APIC_LVT_PERFORMANCE), lvt('LVTERR', APIC_LVT_ERROR),
    lvt('LVTTHMR', APIC_LVT_THERMAL), lvt('LVTT', APIC_LVT_TIMER),
    `Timer\t DCR=0x${divide.toString(16)} (divide by ${1 << shift}) initial_count = ${read(APIC_INITIAL_COUNT)} current_count = ${read(APIC_CURRENT_COUNT)}`,
    `SPIV\t 0x${hex(spiv, 8)} APIC ${spiv & 0x100 ? 'enabled' : 'disabled'}, focus=${spiv & 0x200 ? 'on' : 'off'}, spurious vec ${spiv & 0xff}`,
    ...interruptCommand(read), `ESR\t 0x${hex(read(APIC_ESR), 8)}`, map('ISR', APIC_ISR), map('IRR', APIC_IRR), '', priorities(read),
  ];
}

function interruptCommand(read: (register: number) => number): string[] {
  const low = read(APIC_ICR_LOW);
  const high = read(APIC_ICR_HIGH);
  const shorthand = (low >> 18) & 3;
  const logical = (low & 0x800) !== 0;
  const destination = high >>> 24;
  const flat = read(APIC_DFR) >>> 28 === 0xf;
  const binary = (value: number, digits: number): string => value.toString(2).padStart(digits, '0');
  const to = shorthand !== 0 ? ''
    : !logical ? ` cpu ${destination} (APIC ID)`
    : flat ? ` mask ${binary(destination, 8)} (APIC ID)`
    : ` cluster ${destination >> 4} mask ${binary(destination & 0xf, 4)} (APIC ID)`;
  return [
    `ICR\t 0x${hex(low, 8)} ${logical ? 'logical' : 'physical'} ${low & 0x8000 ? 'level' : 'edge'} ${low & 0x4000 ? 'assert' : 'de-assert'} ${SHORTHANDS[shorthand]}`,
    `ICR2\t 0x${hex(high, 8)}${to}`,
  ];
}

function priorities(read: (register: number) => number): string {
  const byte = (value: number): string => `0x${hex(value & 0xff, 2)}`;
  const mode = read(APIC_DFR) >>> 28;
  const ldr = read(APIC_LDR) >>> 24;
  const cluster = mode === 0 ? `(cluster ${ldr >> 4}: id ${ldr & 0xf})` : '';
  return `APR ${byte(read(APIC_APR))} TPR ${byte(read(APIC_TPR))} DFR ${byte(mode)} LDR ${byte(ldr)}${cluster} PPR ${byte(read(APIC_PPR))}`;
}

export const lapic = command({
  names: ['lapic'],
  parameters: { id: optionalInteger() },
  usage: '[apic-id]',
  help: 'show local apic state (apic-id: local apic to read, default is which of current CPU)',
  run({ target: { machine: { pc } } }, { id }) {
    const index = id ?? 0;
    const apic = pc.localApics[index];
    if (!apic) throw new MonitorError('No CPU available');
    return [`dumping local APIC state for CPU ${String(index).padEnd(2)}`, '', ...dump(apic)].join('\n');
  },
});
