// QEMU's pc machine whose devices are driven from here, through the qtest protocol (QEMU, docs/devel/testing/qtest.rst).

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** What a machine offers to who drives its devices: ports, and physical memory. */
export interface Target {
  in(port: number, size: 1 | 2 | 4): Promise<number>;
  out(port: number, size: 1 | 2 | 4, value: number): Promise<void>;
  /** Memory, RAM or a device's. */
  read(address: number, size?: 1 | 2 | 4): Promise<number>;
  write(address: number, value: number, size?: 1 | 2 | 4): Promise<void>;
}

/** @param words of its command line, beside those for a machine that shows nothing; what keeps its CPU from doing anything is among them */
export function startQemu(words: readonly string[]): { target: Target; end(): void } {
  const child = spawn('qemu-system-x86_64', ['-accel', 'tcg', '-qtest', 'stdio', '-machine', 'pc', '-display', 'none', '-vga', 'none', '-nic', 'none', ...words], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const answers: ((line: string) => void)[] = [];
  createInterface(child.stdout).on('line', (line) => {
    // Lines such as "IRQ raise 4" are events.
    if (line.startsWith('OK') || line.startsWith('FAIL') || line.startsWith('ERR')) answers.shift()?.(line);
  });
  child.on('exit', (status) => {
    for (const answer of answers.splice(0)) answer(`QEMU ended with status ${status}`);
  });
  const command = (text: string) =>
    new Promise<string>((resolve, reject) => {
      answers.push((line) => (line.startsWith('OK') ? resolve(line) : reject(new Error(`${text}: ${line}`))));
      child.stdin.write(`${text}\n`);
    });
  const value = (line: string) => Number(BigInt.asUintN(32, BigInt(line.split(' ')[1])));
  const letter = (size: number) => ({ 1: 'b', 2: 'w', 4: 'l' })[size];
  const hex = (n: number) => `0x${n.toString(16)}`;
  return {
    target: {
      in: async (port, size) => value(await command(`in${letter(size)} ${hex(port)}`)),
      out: async (port, size, v) => void (await command(`out${letter(size)} ${hex(port)} ${hex(v)}`)),
      read: async (address, size = 4) => value(await command(`read${letter(size)} ${hex(address)}`)),
      write: async (address, v, size = 4) => void (await command(`write${letter(size)} ${hex(address)} ${hex(v)}`)),
    },
    end: () => void child.kill(),
  };
}
