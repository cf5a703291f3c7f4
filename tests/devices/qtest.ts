// Compares the PC's devices with those of QEMU's pc machine, register by register, through QEMU's qtest protocol,
// which drives devices while the CPU stands still. Its clock stands still too, so what
// takes time is left to the devices' own specs. By hand: node --import tsx tests/devices/qtest.ts
// Prints every difference; exit status 1 if there is one that is not listed in KNOWN.

import { Mem } from '../../src/core/layout.ts';
import { FloppyDrive } from '../../src/devices/floppy/drive.ts';
import { TestCpu } from '../../src/devices/testing.ts';
import { VirtualClock } from '../../src/machine/clock.ts';
import { Pc } from '../../src/machine/pc.ts';
import { startQemu, type Target } from './qtest-qemu.ts';

const RAM_MIB = 128;

function qemu(): ReturnType<typeof startQemu> {
  return startQemu(['-S', '-m', `${RAM_MIB}`, '-serial', 'null', '-rtc', 'base=2024-06-01T12:00:00,clock=vm']);
}

function tabvisor(): Target {
  const clock = new VirtualClock(0);
  const ramSize = RAM_MIB << 20;
  const pc = new Pc({
    memory: new WebAssembly.Memory({ initial: (Mem.RAM + ramSize) / 65536, maximum: 65536, shared: true }),
    ramSize,
    clock,
    cpuPorts: [new TestCpu(() => BigInt(clock.now()))],
    serial: [{ write: () => true, read: () => -1 }],
    floppies: [new FloppyDrive(null), null],
    tscFrequency: 1e9,
    wallClockMs: Date.UTC(2024, 5, 1, 12, 0, 0),
    onPowerOff() {},
    onReset() {},
    onExit() {},
  });
  return {
    in: async (port, size) => pc.ioRead(port, size),
    out: async (port, size, value) => pc.ioWrite(port, size, value),
    read: async (address, size = 4) => pc.mmioRead(address | 0, 0, size) >>> 0,
    write: async (address, value, size = 4) => pc.mmioWrite(address | 0, 0, size, value),
  };
}

/** Everything that is compared: named values in order. */
async function probe(t: Target, see: (name: string, value: number) => void): Promise<void> {
  const hex = (n: number) => n.toString(16);
  const inb = async (name: string, port: number) => see(`${name} (port ${hex(port)})`, await t.in(port, 1));
  const outb = (port: number, value: number) => t.out(port, 1, value);

  // PCI configuration space, as it is and after writing ones
  for (const [slot, fn] of [[0, 0], [1, 0], [1, 1], [1, 3]]) {
    const select = (register: number) => t.out(0xcf8, 4, (0x80000000 | (slot << 11) | (fn << 8) | register) >>> 0);
    for (let register = 0; register < 256; register += 4) {
      await select(register);
      see(`pci ${slot}.${fn} [${hex(register)}]`, await t.in(0xcfc, 4));
    }
    for (const register of [0x04, 0x3c]) {
      await select(register);
      await t.out(0xcfc, 4, 0xffffffff);
      see(`pci ${slot}.${fn} [${hex(register)}] after ones`, await t.in(0xcfc, 4));
    }
  }
  await t.out(0xcf8, 4, 0x80000000);
  await outb(0xcfb, 1);
  see('CF8 after a byte write to CFB', await t.in(0xcf8, 4));
  see('CF8 as a word', await t.in(0xcf8, 2));
  await inb('reset control', 0xcf9);

  // 8259
  for (const port of [0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1]) await inb('8259 after reset', port);
  for (const [port, value] of [[0x20, 0x11], [0x21, 0x30], [0x21, 4], [0x21, 1], [0xa0, 0x11], [0xa1, 0x38], [0xa1, 2], [0xa1, 1], [0x21, 0xb8], [0xa1, 0x8f], [0x4d0, 0xff], [0x4d1, 0xff]]) await outb(port, value);
  for (const port of [0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1]) await inb('8259 set up', port);
  await outb(0x4d0, 0);
  await outb(0x4d1, 0);
  await outb(0x20, 0x0b);
  await inb('8259 ISR', 0x20);
  await outb(0x20, 0x0c);
  await inb('8259 poll with nothing', 0x20);

  // I/O APIC
  for (let register = 0; register < 0x42; register++) {
    await t.write(0xfec00000, register);
    see(`ioapic [${hex(register)}]`, await t.read(0xfec00010));
    await t.write(0xfec00010, register < 0x10 ? 0xff000000 : 0xffffffff);
    see(`ioapic [${hex(register)}] after ones`, await t.read(0xfec00010));
    if (register >= 0x10) await t.write(0xfec00010, register & 1 ? 0 : 0x10000);
  }

  // 8254 and port 61h: what does not depend on time
  await inb('8254 control word', 0x43);
  for (const [control, low, high] of [[0xb0, 0x00, 0x10], [0xb4, 0x00, 0x10], [0xb6, 0x00, 0x10], [0xb8, 0x00, 0x10], [0xb1, 0x00, 0x10], [0xb2, 0x00, 0x10]]) {
    await outb(0x61, 0);
    await outb(0x43, control);
    await outb(0x42, low);
    await outb(0x42, high);
    await outb(0x61, 1);
    await outb(0x43, 0xe8);
    see(`8254 status, control ${hex(control)}`, (await t.in(0x42, 1)) & 0x3f);
    see(`port 61h, control ${hex(control)}`, (await t.in(0x61, 1)) & 0xcf);
  }

  // RTC and CMOS
  for (let index = 0; index < 128; index++) {
    if (index === 0x0c) continue;
    await outb(0x70, index);
    see(`cmos [${hex(index)}]`, await t.in(0x71, 1));
  }
  await inb('cmos index', 0x70);
  // 16550
  for (let register = 1; register < 8; register++) await inb('16550 after reset', 0x3f8 + register);
  const uart: [register: number, value: number][] = [[3, 0x83], [0, 1], [1, 0], [3, 3], [2, 0xc7], [4, 0x0b], [1, 0x0f]];
  for (const [register, value] of uart) {
    await outb(0x3f8 + register, value);
    for (const at of [1, 2, 2, 3, 4, 5, 6, 7]) await inb(`16550 after ${register} = ${hex(value)}`, 0x3f8 + at);
  }
  await outb(0x3fc, 0x1a);
  await inb('16550 loopback', 0x3fe);
  await inb('16550 loopback again', 0x3fe);
  await outb(0x3f8, 0x5a);
  await inb('16550 looped LSR', 0x3fd);
  await inb('16550 looped IIR', 0x3fa);
  await inb('16550 looped data', 0x3f8);
  await inb('16550 LSR after', 0x3fd);
  await outb(0x3fc, 0x0b);
  await inb('16550 MSR after', 0x3fe);

  // 8042 with its keyboard
  const drain = async (name: string) => {
    for (let i = 0; i < 8; i++) {
      const status = await t.in(0x64, 1);
      // Bit 3: QEMU always shows the last write as a command.
      see(`8042 status, ${name} ${i}`, status & ~0x08);
      if (!(status & 1)) break;
      see(`8042 data, ${name} ${i}`, await t.in(0x60, 1));
    }
  };
  await drain('reset');
  for (const command of [0x20, 0xaa, 0x20, 0xab, 0xa9, 0xc0, 0xd0, 0xa7, 0x20, 0xa8, 0xad, 0x20, 0xae, 0x20]) {
    await outb(0x64, command);
    await drain(`command ${hex(command)}`);
  }
  for (const [command, value] of [[0x60, 0x03], [0xd2, 0x55], [0xd3, 0xaa]]) {
    await outb(0x64, command);
    await outb(0x60, value);
    await drain(`command ${hex(command)} ${hex(value)}`);
  }
  for (const value of [0xff, 0xf2, 0xed, 0x07, 0xf3, 0x20, 0xf0, 0x00, 0xee, 0xf5, 0xf4]) {
    await outb(0x60, value);
    await drain(`keyboard ${hex(value)}`);
  }

  // Power management
  await t.out(0xcf8, 4, 0x80000b40);
  await t.out(0xcfc, 4, 0x601);
  await t.out(0xcf8, 4, 0x80000b80);
  await t.out(0xcfc, 1, 1);
  for (const port of [0x600, 0x602, 0x604]) see(`pm (port ${hex(port)})`, await t.in(port, 2));
  await outb(0xb2, 0xf1);
  see('pm CNT in ACPI mode', await t.in(0x604, 2));
  await t.out(0x602, 2, 0xffff);
  see('pm EN after ones', await t.in(0x602, 2));
  await t.out(0x602, 2, 0);
  for (const port of [0xafe0, 0xafe1, 0xafe2, 0xafe3, 0xb2, 0xb3]) await inb('pm', port);
  await outb(0xb2, 0xf0);
  see('pm CNT in legacy mode', await t.in(0x604, 2));
  for (const port of [0x80, 0x92, 0xed, 0xf0, 0x1234]) await inb('other', port);
}

/** Differences that are meant, with the reason. */
const KNOWN: [pattern: RegExp, reason: string][] = [
  [/^\d+ pci [01]\.0 \[4\]/, 'command and status after reset as in the datasheets; QEMU leaves them to the firmware'],
  [/^\d+ pci 0\.0 \[54\]/, 'where coreboot looks for the RAM size'],
  [/^\d+ pci 1\.3 \[(5c|60|64)\]/, 'decoding of serial and parallel ports, which is fixed here'],
  [/^\d+ pci 1\.3 \[58\]/, 'no system management mode here: as in QEMU with smm=off'],
  [/^\d+ pci 1\.3 \[(90|d0)\]/, 'no SMBus controller here'],
  [/CF8 as a word/, 'PCI 2.2: CONFIG_ADDRESS answers double words only'],
  [/ioapic .* after ones/, 'reserved bits read as 0, as in the datasheet'],
  [/16550 .*\(port 3fe\)/, 'delta bits follow the modem lines in loopback, too, as in the datasheet'],
  [/pm \(port 600\)/, 'QEMU shows a timer overflow at power-on'],
  [/port 92\)/, 'the A20 bit shows the gate as it is'],
];

const collect = async (target: Target) => {
  const values = new Map<string, number>();
  let n = 0;
  await probe(target, (name, value) => values.set(`${n++} ${name}`, value));
  return values;
};

const { target, end } = qemu();
const theirs = await collect(target);
end();
const ours = await collect(tabvisor());
let differences = 0;
for (const [name, value] of ours) {
  const other = theirs.get(name);
  if (other === value) continue;
  const known = KNOWN.find(([pattern]) => pattern.test(name));
  if (!known) differences++;
  console.log(`${known ? 'known ' : 'DIFFER'} ${name}: QEMU ${other?.toString(16)}, Tabvisor ${value.toString(16)}${known ? ` (${known[1]})` : ''}`);
}
console.log(`${ours.size} values compared, ${differences} differ`);
process.exit(differences ? 1 : 0);
