// What needs no QEMU beside it: the machine is a real one, that never runs.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { Cpu, Mem } from '../core/layout.ts';
import { keyNamed } from '../devices/keys.ts';
import { Machine } from '../machine/machine.ts';
import { parse } from '../machine/options/index.ts';
import { RunState } from '../machine/protocol.ts';
import { Monitor } from './monitor.ts';

const build = (name: string): WebAssembly.Module => new WebAssembly.Module(readFileSync(fileURLToPath(new URL(`../../build/${name}.wasm`, import.meta.url))) as BufferSource);
const modules = { core: build('core'), interpreter: build('interpreter') };
const firmware = new Uint8Array(65536);

let log: string[];
let machine: Machine;
let monitor: Monitor;

function make(line: string): void {
  const config = parse(`-m 16 -bios test -vga none -nic none ${line}`);
  machine = new Machine({ config, modules, files: new Map([['test', firmware]]), hostNow: () => 0, date: { epochMs: 0, offsetMs: 0 }, log: null });
  const note = (what: string) => async (): Promise<void> => void log.push(what);
  monitor = new Monitor({
    machine,
    state: RunState.RUNNING,
    isFresh: false,
    pause: note('pause'),
    resume: note('resume'),
    reset: note('reset'),
    powerButton: note('powerButton'),
    quit: note('quit'),
    openDisk: async () => { throw new Error('there is none'); },
    closeDisk: () => {},
    saveFile: async (name, bytes) => void log.push(`${name}: ${bytes.length}`),
  });
}

beforeEach(() => {
  log = [];
  firmware.fill(0x90);
  firmware.set([0xea, 0, 0, 0, 0xf0], 0xfff0);
  make('-device virtio-rng-pci,id=random');
});

describe('Monitor', { timeout: 60_000 }, () => {
  it('acts on the machine', async () => {
    for (const line of ['stop', 's', 'cont', 'c', 'system_reset', 'system_powerdown', 'quit', 'q', 'pmemsave 0 100 "a b"']) expect(await monitor.execute(line)).toBe('');
    expect(log).toEqual(['pause', 'pause', 'resume', 'resume', 'reset', 'powerButton', 'quit', 'quit', 'a b: 100']);
  });

  it('presses keys and moves the mouse', async () => {
    const { input } = machine;
    const keys = vi.spyOn(input, 'sendKeys');
    for (const line of ['sendkey ctrl-alt-delete', 'sendkey a 250', 'sendkey 0x1e-0x9c', 'sendkey <']) expect(await monitor.execute(line)).toBe('');
    const numbers = (...names: string[]) => names.map((name) => keyNamed(name));
    expect(keys.mock.calls).toEqual([[numbers('ctrl', 'alt', 'delete'), undefined], [numbers('a'), 250e6], [numbers('a', 'kp_enter'), undefined], [numbers('less'), undefined]]);
    const [move, wheel, buttons] = [vi.spyOn(input, 'moveBy'), vi.spyOn(input, 'wheel'), vi.spyOn(input, 'setButtons')];
    for (const line of ['mouse_move -5 7', 'mouse_move 0 0 2', 'mouse_button 5']) expect(await monitor.execute(line)).toBe('');
    expect([move.mock.calls, wheel.mock.calls, buttons.mock.calls]).toEqual([[[-5, 7], [0, 0]], [[-1]], [[5]]]);
    for (let n = 0; n < 300; n++) await monitor.execute('sendkey a');
    expect(await monitor.execute('sendkey a')).toBe('Error: too many keys are waiting\n');
  });

  it('shows PCI functions, as QEMU does of the same', async () => {
    const text = await monitor.execute('info pci');
    expect(text).toContain('  Bus  0, device   1, function 3:\n    Bridge: PCI device 8086:7113\n      PCI subsystem 1af4:1100\n');
    // Recorded from QEMU, before firmware has placed anything.
    expect(text).toMatch(/device {3}\d+, function 0:\n {4}Class 0255: PCI device 1af4:1005\n {6}PCI subsystem 1af4:0004\n {6}IRQ 0, pin A\n {6}BAR0: I\/O at 0xffffffffffffffff \[0x001e\]\.\n {6}BAR1: 32 bit memory at 0xffffffffffffffff \[0x00000ffe\]\.\n/);
    expect(text).toContain('      id "random"\n');
  });

  it('shows the device tree', async () => {
    const text = await monitor.execute('info qtree');
    expect(text).toContain('\n      dev: virtio-rng-pci, id "random"\n        addr = 02.0\n        class Class 00ff, addr 00:02.0, pci id 1af4:1005 (sub 1af4:0004)\n');
    expect(text).toContain('\n          dev: isa-serial, id ""\n            index = 0 (0x0)\n            iobase = 1016 (0x3f8)\n            irq = 4 (0x4)\n');
  });

  it('shows where memory and ports are', async () => {
    const text = await monitor.execute('info mtree');
    expect(text).toContain('  0000000000000000-000000000009ffff (prio 0, ram): pc.ram\n');
    expect(text).toContain('  00000000ffff0000-00000000ffffffff (prio 0, rom): pc.rom\n');
    expect(text).toContain('  00000000000003f8-00000000000003ff (prio 0, i/o): serial0\n');
  });

  it('disassembles in the code size that the CPU is in', async () => {
    expect(await monitor.execute('x/2i $pc')).toBe('0xfffffff0:  ea 00 00 00 f0           jmp      far 0xf000:0x0\n0xfffffff5:  90                       nop\n');
    new Uint8Array(machine.memory.buffer).set([0x66, 0x67, 0xc7, 0x84, 0x80, 1, 0, 0, 0, 2, 0, 0, 0, 0x90], Mem.RAM + 0x1000);
    expect(await monitor.execute('xp/2i 0x1000')).toBe(
      '0x00001000:  66 67 c7 84 80 01 00 00  mov      dword ptr [eax+eax*4+0x1],0x2\n0x00001008:  00 02 00 00 00\n0x0000100d:  90                       nop\n');
    expect(await monitor.execute('xp/3i 0xfffffffe')).toContain('Cannot access memory');
  });

  it('asks the guest for memory, if there is a balloon', async () => {
    for (const line of ['balloon 8', 'info balloon']) expect(await monitor.execute(line)).toBe('Error: No balloon device has been activated\n');
    make('-device virtio-balloon-pci -device virtio-serial-pci -device virtconsole,chardev=c -chardev vc,id=c');
    expect(await monitor.execute('info balloon')).toBe('balloon: actual=16\n');
    expect(await monitor.execute('balloon 4+8')).toBe('');
    const { balloon } = machine;
    expect(new DataView(balloon!.config.buffer).getUint32(0, true)).toBe((4 << 20) / 4096);
    // The driver answers when it has done so.
    expect(await monitor.execute('info balloon')).toBe('balloon: actual=16\n');
    expect(await monitor.execute('balloon -1')).toContain('enter a positive value');
    expect(await monitor.execute('balloon 0')).toContain("Parameter 'target' expects a size");
    expect(await monitor.execute('info chardev')).toContain('c: filename=vc\n');
  });

  it('shows what the guest says of its memory', async () => {
    make('-device virtio-balloon-pci,id=b -device virtio-rng-pci,id=r');
    const { balloon } = machine;
    balloon!.statistics.set('stat-free-memory', 12345n).set('stat-htlb-pgfail', 2n ** 63n);
    balloon!.statisticsUpdated = machine.clock.now();
    const { stats, 'last-update': updated } = JSON.parse(await monitor.execute('qom-get /machine/peripheral/b guest-stats')) as { stats: Record<string, number>; 'last-update': number };
    expect(stats).toMatchObject({ 'stat-free-memory': 12345, 'stat-htlb-pgfail': 2 ** 63, 'stat-swap-in': 2 ** 64 });
    expect(BigInt(updated)).toBe(machine.date() / 1_000_000_000n);
    expect(await monitor.execute('qom-get r max-bytes')).toBe('Error: properties of virtio-rng-pci are not supported\n');
    expect(await monitor.complete('qom-get /m')).toEqual(['/machine/peripheral/b']);
  });

  it('counts interrupts', async () => {
    const line = machine.pc.irqs.line(4);
    for (const level of [true, true, false, true]) line.set(level);
    const [before, after] = [await monitor.execute('info irq'), (line.set(false), line.set(true), await monitor.execute('info irq'))];
    expect(before).toBe('IRQ statistics for ioapic:\n 4: 2\nIRQ statistics for isa-i8259:\n 4: 2\n');
    expect(after).toContain(' 4: 3\n');
  });

  it('remembers format and size', async () => {
    for (const [line, answer] of [['p 16', '0x10'], ['p/d 16', '16'], ['p 17', '17'], ['x/1hx 0xfffffff0', '00000000fffffff0: 0x00ea'], ['x 0xfffffff0', '00000000fffffff0: 0x00ea']]) {
      expect(await monitor.execute(line)).toBe(`${answer}\n`);
    }
  });

  it('is not kept busy by what a guest has made, or a user asks for', async () => {
    // Every entry of every level points at the one table.
    const { vcpu } = machine;
    const table = new BigUint64Array(machine.memory.buffer, Mem.RAM + 0x2000, 512);
    table.fill(0x2007n);
    vcpu.set64(Cpu.CR0, 0x8000_0011n);
    vcpu.set64(Cpu.CR3, 0x2000n);
    vcpu.set64(Cpu.CR4, 0x20n);
    vcpu.set64(Cpu.EFER, 0x500n);
    expect(await monitor.execute('info mem')).toContain('more page tables than are shown');
    expect(await monitor.execute('info tlb')).toContain('more page tables than are shown');
    expect(await monitor.execute('xp/999999999999bx 0')).toContain('more than can be shown');
    expect(await monitor.execute('xp/999999999999i 0')).toContain('more than can be shown');
    expect(await monitor.execute('pmemsave 0 0xffffffff file')).toContain('Error');
    expect(await monitor.execute(`p ${'('.repeat(4000)}`)).toContain('nested too deeply');
    expect(log).toEqual([]);
  });

  it('completes commands, subcommands and what they take', () => {
    expect(monitor.complete('sys')).toEqual(['system_powerdown', 'system_reset']);
    expect(monitor.complete('info p')).toEqual(['pci', 'pic']);
    expect(monitor.complete('help pmem')).toEqual(['pmemsave']);
    expect(monitor.complete('foo b')).toEqual([]);
    expect(monitor.complete('')).toContain('xp');
  });

  it('answers to any line, and throws nothing', async () => {
    const words = ['x', 'xp', 'print', 'info', 'help', 'i', 'o', 'memsave', 'cpu', '/', '/9999999999999gx', '$pc', '"', '\\', '-', '0x', '(', '1', '.', 'tlb', 'mtree', 'registers', 'region', 'jit', "'", '\u{1f600}', '-f', 'lapic', '0x3f8', '%0'];
    let random = 7;
    for (let n = 0; n < 3000; n++) {
      let line = '';
      for (let word = 0; word < 5; word++) {
        random = (Math.imul(random, 1103515245) + 12345) & 0x7fffffff;
        line += words[random % words.length] + (random & 0x10000 ? ' ' : '');
      }
      expect(typeof await monitor.execute(line)).toBe('string');
    }
  });
});
