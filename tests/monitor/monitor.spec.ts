// The monitor's answers beside QEMU's, on the same guest in the same state (state.asm).

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { killAll, PATIENCE_MS, Running, TABVISOR, Workshop } from '../headless/runner.ts';
import { assembleState, Monitor, PROGRAMS } from './monitor.ts';

const workshop = new Workshop();
afterAll(async () => {
  await killAll();
  workshop.remove();
});

/** What may differ: spaces at line ends, whether the timer, which is masked, has its request up just now, and how often it had. */
const plain = (text: string): string => text.replace(/ +$/gm, '').replace(/^(pic0: irr=.)[01]/m, '$1?').replace(/^ 0: \d+$/gm, ' 0: ?');

/** A command each, and what both answer. */
async function compare(mode: number, commands: readonly string[], more: readonly string[] = []): Promise<void> {
  const kernel = assembleState(workshop.folder, mode);
  const [theirs, ours] = await Promise.all((['qemu', 'tabvisor'] as const).map(async (program) => {
    const monitor = await new Monitor(program, ['-kernel', kernel, ...more], workshop.folder).start();
    await monitor.ready();
    const answers: Record<string, string> = {};
    for (const [index, command] of commands.entries()) answers[`${index}: ${command}`] = plain(await monitor.ask(command));
    await monitor.end();
    return answers;
  }));
  expect(ours).toEqual(theirs);
}

const STATE = ['info registers', 'info mem', 'info tlb'];

describe('as QEMU', () => {
  it('32-bit paging', () => compare(32, [...STATE, 'x/4wx 0xc01000', 'x/2wx 0x1000000', 'gva2gpa 0xc01234', 'gva2gpa 0x403000']), PATIENCE_MS);

  it('properties of a balloon', () => compare(32, [
    'qom-get /machine/peripheral/b guest-stats', 'qom-get /machine/peripheral/b/ guest-stats', 'qom-get b guest-stats-polling-interval', 'qom-get b nope', 'qom-get /nope x', 'qom-get nope x',
    ...['2', '-1', 'foo', '4294967296'].map((value) => `qom-set b guest-stats-polling-interval ${value}`), 'qom-get b guest-stats-polling-interval', 'qom-set -j b guest-stats-polling-interval 3',
    'qom-get b guest-stats-polling-interval', 'qom-set b guest-stats-polling-interval 0', 'qom-set -x b guest-stats 1', 'qom-set b guest-stats 3', 'qom-set b nope 1', 'qom-get', 'qom-get b', 'qom-set b guest-stats-polling-interval', 'help qom-get', 'help qom-set',
  ], ['-device', 'virtio-balloon-pci,id=b']), PATIENCE_MS);

  it('PAE', () => compare(36, [...STATE, 'x/6bx 0x400ffd', 'x/wx 0xffe00000', 'gva2gpa 0x401234']), PATIENCE_MS);

  it('4-level paging, and the rest', () => compare(64, [
    ...STATE, 'info pic', 'info lapic', 'info status', 'info name',
    // Registers and expressions.
    ...'$pc $eip $cs $cs.base $es.base $es.limit $ss.limit $esp $sp $fp $eax $edi $r8 $r9 $r15'.split(' ').map((name) => `print ${name}`),
    ...['1 + 2 * 3', '7 & 3 + 1', '8 | 1 ^ 3', '-5 / 2', '-5 % 3', '~0', '-(1+2)', "'A' + 1", '0x10 + 010 + 10', '2*(3', '1 +', '5/0', '5%0', '0x', '09', '1 2', '0x10000000000000000',
      'foo', '$nothing', "'a", "'", '', '0xffffffffffffffff', '+7'].map((text) => `print ${text}`.trimEnd()),
    ...['o', 'd', 'u', 'x', 'i'].flatMap((letter) => [`p/${letter} 65`, `p/${letter} -2`, `p/${letter} 0`]), 'p/c 65', 'p/c 0', 'p/c 10', "p/c '\\\\'", 'p/y 1',
    // Memory.
    'x/8bx 0x7000', 'x/20bx 0x100000', 'x/3hx 0x100000', 'x/5wx 0x100000', 'x/3gx 0x100000', 'x/3wd 0x100000', 'x/3wu 0x100000', 'x/3wo 0x100000', 'x/2gd 0x100000', 'x/2go 0x100000',
    'x/12c 0x100000', 'x/2hd 0x100000', 'x 0x7002', 'xp/2wx 0x7000', 'xp/wx 0xfec00010', 'x/4wx 0x403000', 'xp/wx 0x80000000', 'xp/4bx 0x100000000', 'x/0 0', 'x/4zz 0', 'x', 'x 1 2',
    'x/3wx 0x401ff8', 'sum 0x100000 64', 'gva2gpa 0x400000', 'gva2gpa 0x403000', 'x/wx 0x800000001000', 'x/wx 0xffff800000007000',
    // Lines that are no commands, and what else is said.
    'foo', 'info foo', 'info pic x', 'stop 1', 'cont foo', 'cpu 1', 'cpu', 'cpu 0', 'help foo', 'help x', 'help stop', '? s', 'help info pic', 'info registers 1', 'info registers -b', 'info registers -a foo',
    'info lapic 3', 'memsave', 'memsave 0 10 /nonexist/a', 'pmemsave 0x100000 16 saved', '  print  1', 'p"', 'i/b 0x70', 'i/b 0x70.0x3f', 'o/b 0x80 0x12', 'i 0x100000000', 'memsave 0x403000 8 saved',
    'sendkey', 'sendkey foo', 'sendkey a-b-', 'sendkey 0x1e', 'sendkey ret 1 2', 'mouse_move 1', 'mouse_button', 'mouse_button 0', 'screendump', 'screendump none/file -f bmp', 'screendump file -x',
    'eject', 'eject foo', 'eject -x foo', 'change', 'change foo bar', 'change foo', 'balloon 32', 'balloon', 'info balloon', 'set_link foo on', 'set_link foo', 'info network', 'info mice',
    'stop', 'info status', 'c', 'info status', 's', 'system_reset', 'info status',
  ]), PATIENCE_MS);
});

/** Until SeaBIOS, which has placed the PCI functions' registers by then, finds nothing to boot. */
async function untilNothingBoots(monitor: Monitor, folder: string): Promise<void> {
  for (let screen = ''; !screen.includes('No bootable device'); ) {
    await monitor.ask('pmemsave 0xb8000 4000 screen');
    screen = Buffer.from(readFileSync(join(folder, 'screen')).filter((_, at) => at % 2 === 0)).toString('latin1');
  }
}

/** The SMBIOS tables that the firmware has placed, as text. */
function smbios(fSegment: Buffer): string[] {
  const anchor = fSegment.indexOf('_SM_');
  expect(anchor, 'an SMBIOS entry point').toBeGreaterThan(-1);
  for (const [from, length] of [[anchor, fSegment[anchor + 5]], [anchor + 0x10, 0x0f]]) expect(fSegment.subarray(from, from + length).reduce((sum, byte) => sum + byte, 0) & 0xff).toBe(0);
  const at = fSegment.readUInt32LE(anchor + 0x18) - 0xf0000;
  const tables = fSegment.subarray(at, at + fSegment.readUInt16LE(anchor + 0x16));
  const processor = tables.indexOf(Buffer.from([4, 42, 0, 4]));
  // The processors have not the same features.
  tables.fill(0, processor + 12, processor + 16);
  return [fSegment.subarray(anchor + 5, anchor + 11).toString('hex'), String(fSegment.readUInt16LE(anchor + 0x1c)), ...tables.toString('hex').match(/.{1,64}/g)!];
}

describe('as QEMU, of the same machine', () => {
  it('PCI functions, drives and SMBIOS tables, placed by the firmware; media changed', async () => {
    const line = '-vga std -drive file=disk,format=raw,if=ide,index=0 -drive file=cd,format=raw,media=cdrom,index=2,readonly=on -drive file=floppy,format=raw,if=floppy '
      + '-device virtio-rng-pci,id=random -netdev hubport,id=n,hubid=0 -device e1000,netdev=n,romfile= -boot order=c '
      // Several functions in a slot, in the wrong order and with a gap; a card whose ROM is not to be seen.
      + '-device virtio-rng-pci,addr=9.3 -device virtio-serial-pci,addr=9.0,multifunction=on,id=first -device virtio-rng-pci,addr=9.1 -netdev hubport,id=m,hubid=0 -device rtl8139,netdev=m,rombar=0';
    const [theirs, ours] = await Promise.all((['qemu', 'tabvisor'] as const).map(async (program) => {
      // Each has its own: they keep each other out of what they write.
      const folder = workshop.path(program);
      mkdirSync(folder);
      for (const [name, size] of [['disk', 2 << 20], ['cd', 1 << 20], ['floppy', 1_474_560], ['other', 737_280]] as const) writeFileSync(join(folder, name), new Uint8Array(size));
      const monitor = await new Monitor(program, [...(program === 'qemu' ? ['-nodefaults'] : []), ...line.split(' ')], folder).start();
      await untilNothingBoots(monitor, folder);
      const answers: Record<string, string> = {};
      // What cannot be had leaves the old medium in, other than in QEMU.
      for (const command of ['info irq', 'info pci', 'info block', 'info block ide1-cd0', 'eject ide1-cd0', 'change floppy0 other raw', 'info block', 
        'change floppy0 other raw', 'change floppy0 floppy raw', 'info block floppy0', 'change floppy0 disk raw', 'eject floppy0', 'info block floppy0']) {
        // Names of nodes and paths of objects are QEMU's own.
        answers[`${Object.keys(answers).length} ${command}`] = plain(await monitor.ask(command)).replace(/ \(#block\d+\)/g, '').replace(/^( +Attached to: +).*$/gm, '$1');
      }
      await monitor.ask('pmemsave 0xf0000 65536 fseg');
      await monitor.end();
      return { ...answers, smbios: smbios(readFileSync(join(folder, 'fseg'))) };
    }));
    expect(ours).toEqual(theirs);
  }, PATIENCE_MS);
});

describe('bin/tabvisor', () => {
  let kernel: string;
  beforeAll(() => { kernel = assembleState(workshop.folder, 32); });

  it('waits with -S until cont, and ends with quit', async () => {
    for (const program of Object.keys(PROGRAMS) as (keyof typeof PROGRAMS)[]) {
      const monitor = await new Monitor(program, ['-kernel', kernel, '-S', '-name', 'test']).start();
      expect(await monitor.ask('info status')).toBe('VM status: paused (prelaunch)\n');
      expect(await monitor.ask('info name')).toBe('test\n');
      expect(await monitor.ask('cont')).toBe('');
      await monitor.ready();
      expect(await monitor.ask('info status')).toBe('VM status: running\n');
      monitor.running.type('q\n');
      expect(await monitor.running.ended).toMatchObject({ status: 0, err: '' });
    }
  }, PATIENCE_MS);

  it('writes memory to files', async () => {
    const monitor = await new Monitor('tabvisor', ['-kernel', kernel], workshop.folder).start();
    await monitor.ready();
    expect(await monitor.ask('pmemsave 0x100000 300 "a \\"file\\""')).toBe('');
    expect(readFileSync(workshop.path('a "file"')).equals(readFileSync(kernel).subarray(0, 300))).toBe(true);
    expect(await monitor.ask('memsave 0x7000 4 virtual')).toBe('');
    expect(readFileSync(workshop.path('virtual')).toString('hex')).toBe('feca0d60');
    expect(await monitor.ask('pmemsave 0 4 none/file')).toMatch(/^Error: could not open 'none\/file': ENOENT/);
    await monitor.end();
  }, PATIENCE_MS);

  it('shows the screen, and changes what is in drives', async () => {
    writeFileSync(workshop.path('floppy.img'), new Uint8Array(1_474_560));
    for (const name of ['other.img', 'disc.img']) writeFileSync(workshop.path(name), new Uint8Array(737_280));
    const monitor = await new Monitor('tabvisor', ['-fda', 'floppy.img', '-cdrom', 'other.img', '-boot', 'menu=on', '-S'], workshop.folder).start();
    const cached = '\n    Cache mode:       writeback\n';
    const cd = (text: string) => `ide1-cd0: ${text}\n    Attached to:      ide.1 unit 0\n    Removable device: not locked, tray `;
    const floppy = (text: string) => `floppy0: ${text}\n    Attached to:      floppy-bus.0 unit 0\n    Removable device: not locked, tray closed${cached}`;
    expect(await monitor.ask('info block')).toBe(`${cd('other.img (by contents, read-only)')}closed${cached}\n${floppy('floppy.img (by contents)')}`);
    expect(await monitor.ask('eject ide1-cd0')).toBe('');
    expect(await monitor.ask('info block ide1-cd0')).toBe(`${cd('[not inserted]')}open\n`);
    expect(await monitor.ask('change ide1-cd0 floppy.img raw')).toBe('Error: Failed to get shared "write" lock\nIs another process using the image [floppy.img]?\n');
    expect(await monitor.ask('change ide1-cd0 disc.img raw')).toBe('');
    expect(await monitor.ask('info block ide1-cd0')).toBe(`${cd('disc.img (raw, read-only)')}closed${cached}`);
    expect(await monitor.ask('change floppy0 nothing.img')).toMatch(/^Error: Could not open 'nothing.img': ENOENT/);
    expect(await monitor.ask('change floppy0 other.img qcow3')).toBe("Error: Unknown driver 'qcow3'\n");
    expect(await monitor.ask('change floppy0 other.img raw read-only')).toBe('');
    // The guest's screen as text, and its keys: SeaBIOS asks for Esc, and shows what it can boot.
    const until = async (text: string): Promise<void> => {
      for (let screen = ''; !screen.includes(text); ) {
        await monitor.ask('pmemsave 0xb8000 4000 text');
        screen = Buffer.from(readFileSync(workshop.path('text')).filter((_, at) => at % 2 === 0)).toString('latin1');
      }
    };
    await monitor.ask('cont');
    await until('Press ESC for boot menu');
    await monitor.ask('sendkey esc');
    await until('Select boot device');
    expect(await monitor.ask('screendump screen.ppm')).toBe('');
    expect(readFileSync(workshop.path('screen.ppm')).subarray(0, 15).toString('latin1')).toBe('P6\n720 400\n255\n');
    expect(await monitor.ask('screendump screen.png -f png')).toBe('');
    expect(readFileSync(workshop.path('screen.png')).subarray(1, 4).toString()).toBe('PNG');
    // What was taken out is anybody's, and what is in nobody's.
    const { status, err } = await new Monitor('tabvisor', ['-fda', 'other.img'], workshop.folder).running.ended;
    expect(status).not.toBe(0);
    expect(err).toContain('The disk other.img is in use: Failed to get "write" lock\nIs another process using the image [other.img]?\n');
    await (await new Monitor('tabvisor', ['-fda', 'floppy.img'], workshop.folder).start()).end();
    expect(await monitor.ask('info block floppy0')).toBe('\n' + floppy('other.img (raw, read-only)'));
    await monitor.end();
  }, PATIENCE_MS);

  it('Ctrl-A c switches between the serial port and the monitor', async () => {
    const running = new Running(['-nographic', '-kernel', workshop.assemble('spin')], TABVISOR, workshop.folder);
    await running.until(/spinning\n/);
    running.type('\x01cinfo status\n');
    await running.until(/monitor - type 'help' for more information\n\(qemu\) .*\nVM status: running\n\(qemu\) $/);
    running.type('\x01cnot for the monitor\n\x01c');
    await running.until(/\n\(qemu\) $/, running.out.length);
    running.type('q\n');
    expect(await running.ended).toMatchObject({ status: 0, err: '' });
    expect(running.out).not.toContain('unknown command');
  }, PATIENCE_MS);
});
