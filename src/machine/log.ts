// The log of -d: code as it is decoded (in_asm), exceptions and interrupts as they are delivered (int), instructions as they
// are executed (exec), compiled regions (jit). Named and laid out as QEMU's (QEMU, "-d help").

import { Cpu } from '../core/layout.ts';
import type { RegionInfo } from '../engine/compile/compiler.ts';
import { dumpRegisters } from '../engine/dump.ts';
import type { Vcpu } from '../engine/vcpu.ts';
import { disassemble } from '../x86/disassemble.ts';
import type { LogItem } from './options/index.ts';

const hex = (value: bigint | number, digits = 8): string => value.toString(16).padStart(digits, '0');

export class MachineLog {
  private interrupts = 0;
  /** Instructions that were logged when they were stepped, by linear address: their bytes. */
  private readonly stepped = new Map<bigint, string>();

  /** @param write takes text with its line ends */
  constructor(private readonly write: (text: string) => void) {}

  /** What is said at the end. */
  private readonly ends: (() => void)[] = [];

  /** The machine ends. */
  finish(): void {
    for (const end of this.ends.splice(0)) end();
  }

  /** Log what a vCPU does. */
  attach(vcpu: Vcpu, items: ReadonlySet<LogItem>): void {
    if (items.has('in_asm')) {
      vcpu.cache.listener = {
        decoded: (linear, bytes, mode) => this.code(linear, bytes, mode as 16 | 32 | 64),
        // Without exec, what is stepped is also decoded as part of a block.
        stepped: (linear, bytes, mode) => {
          if (!items.has('exec')) return;
          const text = `${mode} ${bytes.join()}`;
          if (this.stepped.get(linear) === text) return;
          this.stepped.set(linear, text);
          this.code(linear, bytes, mode as 16 | 32 | 64);
        },
      };
    }
    if (items.has('int')) {
      vcpu.setTrace(true);
      vcpu.trace.interrupt = (cpu, vector, kind, error) => {
        const registers = dumpRegisters(cpu.memory.buffer, cpu.base);
        this.write(
          `${String(this.interrupts++).padStart(6)}: v=${hex(vector, 2)} e=${hex(error ?? 0, 4)} ${kind} cpl=${cpu.get32(Cpu.CPL)} ` +
            `IP=${hex(cpu.get32(Cpu.CS), 4)}:${hex(cpu.get64(Cpu.RIP), 16)} pc=${hex(cpu.get64(Cpu.RIP), 16)}` +
            `${vector === 14 ? ` CR2=${hex(cpu.get64(Cpu.CR2), 16)}` : ''}\n${registers}\n`,
        );
      };
    }
    if (items.has('jit')) this.regions(vcpu);
    if (items.has('exec')) {
      vcpu.trace.execute = (cpu) => this.write(`Trace ${cpu.index}: ${hex(cpu.get64(Cpu.RIP), 16)} [${hex(cpu.get32(Cpu.MODE))}]\n`);
    }
  }

  /** Compiled regions as they come and go, by the address that the monitor's "region" shows their code by, with their counts; and at the end those that are there. */
  private regions(vcpu: Vcpu): void {
    const { compiler } = vcpu;
    const causesOf = (exits: Record<string, number>): string => Object.entries(exits).filter(([, count]) => count > 0).map(([name, count]) => `${name} ${count}`).join(', ') || 'nothing';
    const line = ({ rip, linear, instructions, pages, bytes, counts }: RegionInfo, what: string): void =>
      this.write(
        `jit: ${hex(linear, 16)}: ${what}${rip === linear ? '' : `IP=${hex(rip)}, `}${instructions} instructions, ${pages} page${pages === 1 ? '' : 's'}, ${bytes} bytes` +
          `${counts && counts.entries > 0 ? `; entered ${counts.entries} times, left by ${causesOf(counts.exits)}` : ''}\n`,
      );
    compiler.listener = { made: (region) => line(region, ''), dropped: (region) => line(region, 'dropped: ') };
    this.ends.push(() => {
      for (const region of compiler.regions.sort((a, b) => (b.counts?.entries ?? 0) - (a.counts?.entries ?? 0))) line(region, 'at the end: ');
      const { entries, exits } = compiler.counts;
      this.write(
        `jit: ${compiler.compiled} regions of ${compiler.instructions} instructions in ${compiler.modules} modules of ${compiler.bytes} bytes, ` +
          `${compiler.dropped} dropped, ${compiler.stale} too late; compiling took ${compiler.milliseconds.toFixed(0)} ms\n` +
          `jit: entered ${entries} times by the interpreter; left for it by ${causesOf(exits)}\n`,
      );
    });
  }

  private code(linear: bigint, bytes: Uint8Array, mode: 16 | 32 | 64): void {
    let text = '----------------\nIN:\n';
    for (let at = 0; at < bytes.length; ) {
      const { text: line, length } = disassemble(bytes, at, mode, linear + BigInt(at));
      if (length === 0) break;
      const raw = [...bytes.subarray(at, at + length)].map((b) => hex(b, 2)).join(' ');
      text += `0x${hex(linear + BigInt(at))}:  ${raw.padEnd(24)} ${line}\n`;
      at += length;
    }
    this.write(`${text}\n`);
  }
}
