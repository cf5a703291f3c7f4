// Small Multiboot guests on bin/tabvisor and on QEMU: command line, modules, isa-debug-exit's status, where serial ports go, the log
// of -d. What they show stands in the headers of the .asm files.

import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expected, killAll, PATIENCE_MS, run, Running, TABVISOR, Workshop } from './runner.ts';

const PROGRAMS = { tabvisor: TABVISOR, qemu: 'qemu-system-x86_64' };
const LINE = ['-m', '64', '-display', 'none', '-monitor', 'none', '-net', 'none', '-no-reboot', '-device', 'isa-debug-exit,iobase=0x501,iosize=2'];

const workshop = new Workshop();
const start = (args: readonly string[], program?: string) => run([...LINE, ...args], program, workshop.folder);

beforeAll(() => {
  for (const name of ['multiboot', 'traps', 'crash', 'spin']) workshop.assemble(name);
  writeFileSync(workshop.path('first.txt'), 'hello module');
  writeFileSync(workshop.path('second.txt'), 'i'.repeat(4097));
});
afterAll(async () => {
  await killAll();
  workshop.remove();
});

describe.each(Object.entries(PROGRAMS))('%s', (_name, program) => {
  const modules = ['-initrd', 'first.txt with arguments,second.txt'];

  it('hands over command line and modules', async () => {
    const { status, out } = await start(['-serial', 'stdio', '-kernel', 'multiboot.elf', '-append', 'one two exit=2a', ...modules], program);
    expect(out).toBe(expected('multiboot'));
    expect(status).toBe(0x55);
  }, PATIENCE_MS);

  // QEMU always does it so: through the firmware.
  it('the same with a screen, by the firmware, with its memory map', async () => {
    const { status, out } = await start(['-vga', 'std', '-serial', 'stdio', '-kernel', 'multiboot.elf', '-append', 'one two exit=2a', ...modules], program);
    expect(out).toBe(expected('multiboot'));
    expect(status).toBe(0x55);
  }, PATIENCE_MS);

  it.each([['00', 1], ['01', 3], ['10', 0x21], ['7f', 0xff], ['80', 1], ['ff', 0xff]])('isa-debug-exit: %s', async (value, status) => {
    expect((await start(['-serial', 'null', '-kernel', 'multiboot.elf', '-append', `exit=${value}`], program)).status).toBe(status);
  }, PATIENCE_MS);

  it('takes exceptions, software interrupts and the timer', async () => {
    expect(await start(['-serial', 'stdio', '-kernel', 'traps.elf'], program)).toMatchObject({ status: 1, out: expected('traps') });
  }, PATIENCE_MS);

  it('-serial file:, and none: no port is there', async () => {
    expect(await start(['-serial', 'file:first.log', '-kernel', 'traps.elf'], program)).toMatchObject({ status: 1, out: '' });
    expect(workshop.read('first.log')).toBe(expected('traps'));
    // Without the port its status reads as ones: the guest believes it can send.
    expect(await start(['-serial', 'none', '-kernel', 'traps.elf'], program)).toMatchObject({ status: 1, out: '' });
    // The first port is null, the second is not COM1.
    expect(await start(['-serial', 'null', '-serial', 'file:second.log', '-kernel', 'traps.elf'], program)).toMatchObject({ status: 1, out: '' });
    expect(workshop.read('second.log')).toBe('');
  }, PATIENCE_MS);
});

it('with a screen memory is as the firmware says', async () => {
  const [ours, theirs] = await Promise.all(Object.values(PROGRAMS).map(async (program) => {
    const { out } = await start(['-vga', 'std', '-serial', 'stdio', '-kernel', 'multiboot.elf', '-append', 'map exit=00'], program);
    const [lower, upper, ...map] = out.split('\n').slice(2).filter(Boolean);
    return { lower: parseInt(lower, 16), upper: parseInt(upper, 16), map: map.map((line) => line.split(' ').map((number) => parseInt(number, 16))) };
  }));
  // How much of the RAM's end SeaBIOS keeps for ACPI tables depends on their size; QEMU's processor reserves addresses of HyperTransport, too.
  const common = ({ lower, map }: typeof ours) => ({ lower, map: map.filter(([address]) => address < 0x10_0000 || (address > 0x4000_0000 && address < 2 ** 32)) });
  expect(common(ours)).toEqual(common(theirs));
  for (const { upper, map } of [ours, theirs]) {
    const high = map.find(([address]) => address === 0x10_0000)!;
    expect([high[1] / 1024, high[2]]).toEqual([upper, 1]);
    expect(map[map.indexOf(high) + 1]).toEqual([0x10_0000 + high[1], 0x400_0000 - 0x10_0000 - high[1], 2]);
  }
}, PATIENCE_MS);

describe('-d', () => {
  it('in_asm: code as it is decoded, once', async () => {
    expect(await start(['-serial', 'stdio', '-kernel', 'traps.elf', '-d', 'in_asm', '-D', 'in_asm.log'])).toEqual({ status: 1, out: expected('traps'), err: '' });
    const log = workshop.read('in_asm.log');
    expect(log).toMatch(/^-+\nIN:\n0x00100[0-9a-f]{3}: {2}fa +cli\n/);
    expect(log).toMatch(/^0x[0-9a-f]{8}: {2}0f 0b +ud2$/m);
    expect(log).toMatch(/: {2}cd 30 +int 0x?30h?$/m);
    expect(log.match(/ ud2$/gm)).toHaveLength(1);
  }, PATIENCE_MS);

  it('int: exceptions and interrupts as they are taken, with registers', async () => {
    expect(await start(['-serial', 'null', '-kernel', 'traps.elf', '-d', 'int', '-D', 'int.log'])).toMatchObject({ status: 1 });
    const log = workshop.read('int.log');
    expect(log).toMatch(/^ +0: v=06 e=0000 .*cpl=0 IP=0008:[0-9a-f]{16}/);
    expect(log).toMatch(/^ +1: v=30 e=0000 .*cpl=0 IP=0008:[0-9a-f]{16}/m);
    expect(log).toMatch(/^ +2: v=20 e=0000 .*cpl=0 IP=0008:[0-9a-f]{16}/m);
    expect(log.match(/^EAX=/gm)).toHaveLength(3);
  }, PATIENCE_MS);

  it('exec: the addresses that run, in order; together with in_asm too', async () => {
    expect(await start(['-serial', 'null', '-kernel', 'traps.elf', '-d', 'exec,in_asm', '-D', 'exec.log'])).toMatchObject({ status: 1 });
    const log = workshop.read('exec.log');
    const places = [...log.matchAll(/^Trace 0: ([0-9a-f]{16}) /gm)].map((match) => parseInt(match[1], 16));
    expect(places.length).toBeGreaterThan(500);
    const ud2 = parseInt(/^0x([0-9a-f]{8}): {2}0f 0b +ud2$/m.exec(log)![1], 16);
    // The handler steps over it.
    expect(places.filter((place) => place === ud2)).toHaveLength(1);
    expect(places.filter((place) => place === ud2 + 2)).toHaveLength(1);
    expect(places.indexOf(ud2 + 2)).toBeGreaterThan(places.indexOf(ud2) + 10);
    expect(log.match(/ ud2$/gm)).toHaveLength(1);
  }, PATIENCE_MS);

  it('goes to stderr without -D; a file that cannot be written is an error', async () => {
    expect((await start(['-serial', 'null', '-kernel', 'traps.elf', '-d', 'int'])).err).toMatch(/v=06/);
    expect(await start(['-serial', 'null', '-kernel', 'traps.elf', '-d', 'int', '-D', 'none/int.log'])).toMatchObject({
      status: 1, err: expect.stringMatching(/^tabvisor: The log file none\/int\.log cannot be written: ENOENT/),
    });
  }, PATIENCE_MS);
});

describe('a guest that goes wrong', () => {
  it('triple fault: its output, registers and code; exit status 2', async () => {
    const { status, out, err } = await start(['-serial', 'stdio', '-kernel', 'crash.elf']);
    expect({ status, out }).toEqual({ status: 2, out: expected('crash') });
    expect(err).toMatch(/^tabvisor: The guest crashed: .*triple fault/);
    expect(err).toMatch(/^EAX=11223344 EBX=55667788 /m);
    expect(err).toMatch(/^ESI=99aabbcc EDI=ddeeff00 /m);
    expect(err).toMatch(/^IDT= +00000000 00000000$/m);
    const rip = /EIP=([0-9a-f]{8})/.exec(err)![1];
    expect(err).toMatch(new RegExp(`^=> 0x${rip}: 0f 0b +ud2$`, 'm'));
  }, PATIENCE_MS);

  it.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('a loop with interrupts off ends with %s', async (signal) => {
    const running = new Running([...LINE, '-serial', 'stdio', '-kernel', 'spin.elf'], TABVISOR, workshop.folder);
    await running.until(/spinning\n/);
    running.signal(signal);
    expect(await running.ended).toEqual({ status: 0, out: expected('spin'), err: `\ntabvisor: terminating on signal ${signal}\n` });
  }, PATIENCE_MS);

  it('and with Ctrl-A x', async () => {
    const running = new Running(['-nographic', '-kernel', 'spin.elf'], TABVISOR, workshop.folder);
    await running.until(/spinning\n/);
    running.type('\x01x');
    expect(await running.ended).toMatchObject({ status: 0 });
  }, PATIENCE_MS);
});
