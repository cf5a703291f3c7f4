// info pic, info irq: the interrupt controllers. QEMU, hw/intc/ioapic_common.c and i8259_common.c.

import { IOREDTBL, PINS, VERSION } from '../../devices/io-apic.ts';
import type { Machine } from '../../machine/machine.ts';
import { hex } from '../format.ts';
import { infoCommand } from './info-command.ts';

const DELIVERY_MODES = ['fixed', 'lowest', 'SMI', '...', 'NMI', 'INIT', '...', 'extINT'];

const LOGICAL = 0x800;
const ACTIVE_LOW = 0x2000;
const REMOTE_IRR = 0x4000;
const LEVEL = 0x8000;
const MASKED = 0x10000;

function bitmap(name: string, bits: number): string {
  const set = Array.from({ length: PINS }, (_, n) => n).filter((n) => bits & (1 << n));
  return `  ${name.padEnd(8)} ${set.length ? set.map((n) => `${String(n).padEnd(2)} `).join('') : '(none)'}`;
}

function ioApic({ pc }: Machine): string[] {
  const s = pc.ioApic.save();
  const entry = s.select !== 0 ? ` (redir[${(s.select - IOREDTBL) >>> 1}])` : '';
  const lines = [`ioapic0: ver=0x${VERSION.toString(16)} id=0x${hex(s.id, 2)} sel=0x${hex(s.select, 2)}${entry}`];
  let remoteIrr = 0;
  for (let pin = 0; pin < PINS; pin++) {
    const low = s.low[pin];
    const destination = (s.high[pin] >>> 24) & (low & LOGICAL ? 0xff : 0xf);
    const trigger = low & LEVEL ? 'level' : 'edge';
    if (low & LEVEL && low & REMOTE_IRR) remoteIrr |= 1 << pin;
    lines.push(
      `  pin ${String(pin).padEnd(2)} 0x${hex(s.high[pin], 8)}${hex(low, 8)} dest=${destination} vec=${String(low & 0xff).padEnd(3)} `
      + `${low & ACTIVE_LOW ? 'active-lo' : 'active-hi'} ${trigger.padEnd(5)} ${(low & MASKED ? 'masked' : '').padEnd(6)} `
      + `${DELIVERY_MODES[(low >> 8) & 7].padEnd(6)} ${low & LOGICAL ? 'logical' : 'physical'}`,
    );
  }
  return [...lines, bitmap('IRR', s.irr), bitmap('Remote IRR', remoteIrr)];
}

function i8259({ pc }: Machine): string[] {
  const { master, slave } = pc.pic.save();
  return [slave, master].map((s, index) =>
    `pic${1 - index}: irr=${hex(s.irr, 2)} imr=${hex(s.imr, 2)} isr=${hex(s.isr, 2)} hprio=${s.highest} irq_base=${hex(s.vectorBase, 2)} `
    + `rr_sel=${s.readIsr ? 1 : 0} elcr=${hex(s.elcr, 2)} fnm=${s.specialFullyNested ? 1 : 0}`);
}

export const pic = infoCommand('pic', 'show PIC state', ({ target: { machine } }) => [...ioApic(machine), ...i8259(machine)].join('\n'));

export const irq = infoCommand('irq', 'show the interrupts statistics (if available)', ({ target: { machine: { pc } } }) => {
  const list = (name: string, counts: readonly number[]): string[] =>
    [`IRQ statistics for ${name}:`, ...counts.flatMap((count, n) => (count > 0 ? [`${String(n).padStart(2)}: ${count}`] : []))];
  // QEMU counts the timer, which is wired to pin 2, as what it is on the ISA bus.
  const pins = [...pc.ioApic.counts];
  pins[0] = pins[2];
  pins[2] = 0;
  return [...list('ioapic', pins), ...list('isa-i8259', pc.pic.counts)].join('\n');
});
