// Guests from their media that take long in the interpreter, by hand: node --import tsx tests/storage/boot.ts [disk] [ipxe] [installer]
//   disk       the Debian system of guests/disk.mjs, through GRUB in its boot record: log in on tty1 and on the serial port, write a file,
//              shut down, boot again, read it. A copy-on-write layer keeps the image as it is.
//   ipxe       iPXE's CD to its banner
//   installer  Debian's installer by -kernel on the VGA screen: its first question
// Prints how long each took. Exit status 1 if one did not come to its end.

import { closeSync, existsSync, openSync, readSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { SnapshotDisk } from '../../src/backends/block/snapshot.ts';
import { type BlockBackend, type BlockDone, BlockError } from '../../src/devices/interfaces.ts';
import { serialRings } from '../../src/machine/protocol.ts';
import { media, MediaMachine } from '../headless/media.ts';
import { loadModules } from '../oracle/emulator.ts';

const OUT = join(import.meta.dirname, '../../guests/out');
const modules = loadModules();

/** A file that is only read. */
class ImageFile implements BlockBackend {
  readonly readOnly = true;
  private readonly file: number;
  readonly size: number;

  constructor(path: string) {
    this.file = openSync(path, 'r');
    this.size = statSync(path).size;
  }

  close(): void {
    closeSync(this.file);
  }

  read(offset: number, into: Uint8Array, done: BlockDone): void {
    done(readSync(this.file, into, 0, into.length, offset) === into.length ? null : new BlockError('the file is shorter'));
  }

  private refuse(done: BlockDone): void {
    done(new BlockError('read-only'));
  }
  write(_offset: number, _data: Uint8Array, done: BlockDone): void {
    this.refuse(done);
  }
  flush(done: BlockDone): void {
    done(null);
  }
  discard(_offset: number, _length: number, done: BlockDone): void {
    this.refuse(done);
  }
  writeZeroes(_offset: number, _length: number, _mayUnmap: boolean, done: BlockDone): void {
    this.refuse(done);
  }
}

let began = performance.now();
const say = (what: string, pc: MediaMachine) =>
  console.log(`  ${what}: ${((performance.now() - began) / 1000).toFixed(0)} s, ${(pc.machine.vcpu.icount / 1e9).toFixed(2)} thousand million instructions`);

/** The serial console: what it has shown, and lines typed on it. */
class Serial {
  text = '';
  private readonly decoder = new TextDecoder();

  constructor(private readonly pc: MediaMachine) {}

  until(text: string | RegExp, limit = 40e9): void {
    const { toHost } = serialRings(this.pc.machine.memory.buffer, 0);
    this.pc.until(`${text} on the serial port`, () => {
      this.text += this.decoder.decode(toHost.read(), { stream: true });
      return typeof text === 'string' ? this.text.includes(text) : text.test(this.text);
    }, limit);
  }

  line(text: string): void {
    this.text = '';
    const { toGuest } = serialRings(this.pc.machine.memory.buffer, 0);
    toGuest.write(new TextEncoder().encode(`${text}\n`));
  }
}

const CASES: Record<string, () => void> = {
  disk() {
    const path = join(OUT, 'disk/debian.img');
    if (!existsSync(path)) throw new Error('there is no disk image: sudo node guests/make.mjs disk');
    const file = new ImageFile(path);
    const disk = new SnapshotDisk(file);
    const boot = (): { pc: MediaMachine; serial: Serial } => {
      const pc = new MediaMachine(modules, '-m 512 -accel jit -icount shift=3,sleep=off -serial vc -hda debian.img', [disk]);
      const serial = new Serial(pc);
      serial.until('login:');
      say('login prompt on the serial port', pc);
      return { pc, serial };
    };
    const logIn = ({ pc, serial }: { pc: MediaMachine; serial: Serial }): void => {
      serial.line('root');
      serial.until('Password:');
      serial.line('tabvisor');
      serial.until('# ');
      say('shell', pc);
      onScreen({ serial }, 'debian login:');
      say('login prompt on tty1', pc);
    };
    // Debian's kernel draws tty1 as a picture (bochs-drm): its text is asked for on the serial port.
    const onScreen = ({ serial }: { serial: Serial }, text: string): void => {
      for (let tries = 0; ; tries++) {
        serial.line('cat /dev/vcs1; echo do""ne');
        serial.until('done');
        if (serial.text.includes(text)) return;
        if (tries === 20) throw new Error(`tty1 never showed "${text}":\n${serial.text}`);
        serial.line('sleep 1; echo sle""pt');
        serial.until('slept');
      }
    };
    const first = boot();
    logIn(first);
    first.serial.line('echo kept > /root/file; uname -m; sync');
    first.serial.until('x86_64');
    first.pc.type('root\n');
    onScreen(first, 'Password:');
    first.pc.type('tabvisor\n');
    onScreen(first, 'root@debian:~#');
    first.pc.type('poweroff\n');
    for (let off = false; !off; ) {
      const { kind } = first.pc.machine.runSlice();
      if (kind === 'failed' || kind === 'exit') throw new Error(`the guest ended with ${kind}`);
      off = kind === 'off';
      serialRings(first.pc.machine.memory.buffer, 0).toHost.read();
    }
    say('shut down', first.pc);
    const second = boot();
    logIn(second);
    second.serial.line('cat /root/file; dmesg | grep -c "recovery complete"');
    second.serial.until(/kept\r?\n0\r?\n/);
    say('the file is there, the file system was clean', second.pc);
    file.close();
  },
  ipxe() {
    const pc = new MediaMachine(modules, '-boot order=d -cdrom ipxe', [media('ipxe.iso')]);
    pc.untilScreen(/iPXE 1\.\d/);
    say('banner', pc);
  },
  installer() {
    const file = (name: string) => new Uint8Array(readFileSync(join(OUT, 'installer', name)));
    const pc = new MediaMachine(modules, '-m 512 -accel jit -vga std -kernel k -initrd i -append "vga=normal cryptomgr.notests"', [], { k: file('linux'), i: file('initrd.gz') });
    pc.untilScreen(/Linux version|console \[tty0\]|Probing EDD/, 4e9);
    say('kernel', pc);
    pc.untilScreen(/Select a language|Choose the language/, 40e9);
    say('first question', pc);
    console.log(pc.screen);
  },
};

const names = process.argv.slice(2);
for (const name of names.length ? names : Object.keys(CASES)) {
  if (!CASES[name]) throw new Error(`there is no ${name}; there are ${Object.keys(CASES).join(', ')}`);
  console.log(name);
  began = performance.now();
  try {
    CASES[name]();
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
