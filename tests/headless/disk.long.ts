// The Debian system of guests/disk.mjs from an IDE disk, through GRUB in its master boot record: logins on tty1 and on the serial port, a file
// written, shut down, booted again, the file read. What is on tty1 is read as text: how late udev's drivers write their messages over the prompt, and so
// the picture, depends on the computer's speed, on QEMU and here. A copy-on-write layer keeps the image as it is. npm run test:long makes the image, as root.

import { closeSync, existsSync, openSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { buildIfOlder } from '../../scripts/build-core.mjs';
import { SnapshotDisk } from '../../src/backends/block/snapshot.ts';
import { type BlockBackend, type BlockDone, BlockError } from '../../src/devices/interfaces.ts';
import type { VcpuModules } from '../../src/engine/vcpu.ts';
import { serialRings } from '../../src/machine/protocol.ts';
import { loadModules } from '../oracle/emulator.ts';
import { MediaMachine } from './media.ts';
import { root } from './runner.ts';

const IMAGE = join(root, 'guests/out/disk/debian.img');

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

/** The booted system and its serial console: what it has shown, and lines typed on it. */
class Debian {
  readonly pc: MediaMachine;
  private text = '';
  private readonly decoder = new TextDecoder();

  constructor(modules: VcpuModules, disk: BlockBackend) {
    this.pc = new MediaMachine(modules, '-m 512 -accel jit -icount shift=3,sleep=off -serial vc -hda debian.img', [disk]);
  }

  until(text: string | RegExp, limit = 40e9): void {
    this.pc.until(`${text} on the serial port`, () => {
      this.text += this.decoder.decode(serialRings(this.pc.machine.memory.buffer, 0).toHost.read(), { stream: true });
      return typeof text === 'string' ? this.text.includes(text) : text.test(this.text);
    }, limit);
  }

  line(text: string): void {
    this.text = '';
    serialRings(this.pc.machine.memory.buffer, 0).toGuest.write(new TextEncoder().encode(`${text}\n`));
  }

  logIn(): void {
    this.until('login:');
    this.line('root');
    this.until('Password:');
    this.line('tabvisor');
    this.until('# ');
  }

  /** Debian's kernel draws tty1 as a picture (bochs-drm): its text is asked for on the serial port. */
  untilOnTty1(text: string): void {
    for (let tries = 0; ; tries++) {
      this.line('cat /dev/vcs1; echo do""ne');
      this.until('done');
      if (this.text.includes(text)) return;
      if (tries === 20) throw new Error(`tty1 never showed "${text}":\n${this.text}`);
      this.line('sleep 1; echo sle""pt');
      this.until('slept');
    }
  }

  untilOff(): void {
    for (;;) {
      const { kind } = this.pc.machine.runSlice();
      if (kind === 'off') return;
      if (kind === 'failed' || kind === 'exit') throw new Error(`the guest ended with ${kind}`);
      serialRings(this.pc.machine.memory.buffer, 0).toHost.read();
    }
  }
}

let modules: VcpuModules;
let file: ImageFile;
beforeAll(async () => {
  if (!existsSync(IMAGE)) throw new Error('There is no disk image: sudo node guests/make.mjs disk');
  await buildIfOlder();
  modules = loadModules();
  file = new ImageFile(IMAGE);
}, 120_000);
afterAll(() => file?.close());

it('Debian from a disk: logs in on tty1 and the serial port, keeps a file', { timeout: 3_600_000 }, () => {
  const disk = new SnapshotDisk(file);
  const first = new Debian(modules, disk);
  first.logIn();
  first.untilOnTty1('debian login:');
  first.line('echo kept > /root/file; uname -m; sync');
  first.until('x86_64');
  first.pc.type('root\n');
  first.untilOnTty1('Password:');
  first.pc.type('tabvisor\n');
  first.untilOnTty1('root@debian:~#');
  first.pc.type('poweroff\n');
  first.untilOff();

  const second = new Debian(modules, disk);
  second.logIn();
  second.line('cat /root/file; dmesg | grep -c "recovery complete"');
  // The file, and a file system that was clean.
  second.until(/kept\r?\n0\r?\n/);
  expect(second.pc.machine.pc.vga!.view.vbe).not.toBeNull();
});
