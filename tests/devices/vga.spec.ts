// Pictures of the VGA card compared with QEMU's, dot by dot: both get the same registers and the same random memory, QEMU's through its
// qtest protocol (docs/devel/testing/qtest.rst), and its picture comes from the monitor's screendump.

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Mem } from '../../src/core/layout.ts';
import { drawScreen, toPpm } from '../../src/devices/vga-picture.ts';
import { PciBus } from '../../src/devices/pci.ts';
import { Bus } from '../../src/machine/bus.ts';
import { VirtualClock } from '../../src/machine/clock.ts';
import { MemoryMap } from '../../src/machine/memory-map.ts';
import { Vga, VGA_WINDOW_START } from '../../src/devices/vga.ts';

const LFB = 0xe0000000;
const REGISTERS = 0xe2000000;
const VRAM_BYTES = 0x40000;

interface Mode {
  misc: number;
  sequencer: number[];
  crtc: number[];
  graphics: number[];
  attributes: number[];
}

const EGA_PALETTE = [0, 1, 2, 3, 4, 5, 0x14, 7, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f];
const bytes = (text: string) => text.split(' ').map((word) => parseInt(word, 16));
/** CRTC timing of 320 and 640 dots, and then modes as the BIOS sets them. */
const NARROW = '2d 27 28 90 2b 80 bf 1f 00';
const WIDE = '5f 4f 50 82 54 80 bf 1f 00';
const MODES: Record<string, Mode> = {
  'text, 80 columns of nine dots': {
    misc: 0x67, sequencer: bytes('03 00 03 00 02'), graphics: bytes('00 00 00 00 00 10 0e 00 ff'),
    crtc: bytes('5f 4f 50 82 55 81 bf 1f 00 4f 20 0e 00 00 00 50 9c 0e 8f 28 1f 96 b9 a3 ff'), attributes: [...EGA_PALETTE, 0x04, 0, 0x0f, 8, 0],
  },
  // Of eight dots: nine would be doubled to 18, which QEMU leaves at 16.
  'text, 40 columns, two fonts': {
    misc: 0x67, sequencer: bytes('03 09 03 04 02'), graphics: bytes('00 00 00 00 00 10 0e 00 ff'),
    crtc: bytes('2d 27 28 90 2b a0 bf 1f 00 4f 20 0e 00 00 00 a0 9c 0e 8f 14 1f 96 b9 a3 ff'), attributes: [...EGA_PALETTE, 0x04, 0, 0x0f, 8, 0],
  },
  '320x200, four colours (CGA)': {
    misc: 0x63, sequencer: bytes('03 09 03 00 02'), graphics: bytes('00 00 00 00 00 30 0f 00 ff'),
    crtc: bytes(`${NARROW} c1 00 00 00 00 00 00 9c 0e 8f 14 00 96 b9 a2 ff`), attributes: [0, 0x13, 0x15, 0x17, 2, 4, 6, 7, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 1, 0, 3, 0, 0],
  },
  '320x200, 16 colours': {
    misc: 0x63, sequencer: bytes('03 09 0f 00 06'), graphics: bytes('00 00 00 00 00 00 05 0f ff'),
    crtc: bytes(`${NARROW} c0 00 00 00 00 00 00 9c 0e 8f 14 00 96 b9 e3 ff`), attributes: [...EGA_PALETTE, 1, 0, 0x0f, 0, 0],
  },
  '640x480, 16 colours, scrolled': {
    misc: 0xe3, sequencer: bytes('03 01 0f 00 06'), graphics: bytes('00 00 00 00 00 00 05 0f ff'),
    crtc: bytes('5f 4f 50 82 54 80 0b 3e 00 40 00 00 01 23 00 00 ea 0c df 28 00 e7 04 e3 ff'), attributes: [...EGA_PALETTE, 1, 0, 0x0d, 0, 0],
  },
  '640x350, 16 colours, palette page': {
    misc: 0xa3, sequencer: bytes('03 01 0f 00 06'), graphics: bytes('00 00 00 00 00 00 05 0f ff'),
    crtc: bytes('5f 4f 50 82 54 80 bf 1f 00 40 00 00 00 00 00 00 83 05 5d 28 0f 63 ba e3 ff'), attributes: [...EGA_PALETTE, 0x81, 0, 0x0f, 0, 0x05],
  },
  '320x200, 256 colours (13h)': {
    misc: 0x63, sequencer: bytes('03 01 0f 00 0e'), graphics: bytes('00 00 00 00 00 40 05 0f ff'),
    crtc: bytes(`${WIDE} 41 00 00 00 00 00 00 9c 0e 8f 28 40 96 b9 a3 ff`), attributes: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0x41, 0, 0x0f, 0, 0],
  },
  'text, 80 columns, 50 rows': {
    misc: 0x67, sequencer: bytes('03 01 03 00 02'), graphics: bytes('00 00 00 00 00 10 0e 00 ff'),
    crtc: bytes('5f 4f 50 82 55 81 bf 1f 00 47 20 0e 00 00 00 50 9c 0e 8f 28 1f 96 b9 a3 ff'), attributes: [...EGA_PALETTE, 0x04, 0, 0x0f, 8, 0],
  },
  'text, 80 columns of 14 lines (EGA), moved': {
    misc: 0xa3, sequencer: bytes('03 01 03 00 02'), graphics: bytes('00 00 00 00 00 10 0e 00 ff'),
    crtc: bytes('5f 4f 50 82 55 81 bf 1f 00 4d 2b 0c 02 80 00 50 83 85 5d 28 1f 63 ba a3 ff'), attributes: [...EGA_PALETTE, 0x04, 0, 0x0f, 8, 0],
  },
  '640x200, two colours (CGA)': {
    misc: 0x63, sequencer: bytes('03 01 01 00 06'), graphics: bytes('00 00 00 00 00 00 0d 00 ff'),
    crtc: bytes(`${WIDE} c1 00 00 00 00 00 00 9c 0e 8f 28 00 96 b9 c2 ff`), attributes: [0, ...new Array<number>(15).fill(0x17), 1, 0, 1, 0, 0],
  },
  '640x200, 16 colours': {
    misc: 0x63, sequencer: bytes('03 01 0f 00 06'), graphics: bytes('00 00 00 00 00 00 05 0f ff'),
    crtc: bytes(`${WIDE} c0 00 00 00 00 00 00 9c 0e 8f 28 00 96 b9 e3 ff`), attributes: [...EGA_PALETTE, 1, 0, 0x0f, 0, 0],
  },
  '640x480, two colours (11h)': {
    misc: 0xe3, sequencer: bytes('03 01 0f 00 06'), graphics: bytes('00 00 00 00 00 00 05 01 ff'),
    crtc: bytes('5f 4f 50 82 54 80 0b 3e 00 40 00 00 00 00 00 00 ea 0c df 28 00 e7 04 c3 ff'), attributes: [0, ...new Array<number>(15).fill(0x3f), 1, 0, 0x0f, 0, 0],
  },
  '320x240, 256 colours (mode X), split': {
    misc: 0xe3, sequencer: bytes('03 01 0f 00 06'), graphics: bytes('00 00 00 00 00 40 05 0f ff'),
    crtc: bytes('5f 4f 50 82 54 80 0d 2e 00 41 00 00 10 00 00 00 ea 0c df 28 00 e7 06 e3 f0'), attributes: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0x41, 0, 0x0f, 0, 0],
  },
};

let random = 1;
const byte = () => {
  random = (Math.imul(random, 1664525) + 1013904223) >>> 0;
  return random >>> 24;
};

interface Card {
  out(port: number, size: 1 | 2 | 4, value: number): void;
  /** What a byte of the window reads as. */
  read(offset: number): Promise<number>;
  /** What the screen says of itself. */
  edid(): Promise<Uint8Array>;
  /** Bytes of the framebuffer. */
  memory(length: number): Promise<Uint8Array>;
  /** Bytes into memory, from the window's start or the framebuffer's. */
  write(to: 'window' | 'lfb', offset: number, data: Uint8Array): void;
  picture(): Promise<Uint8Array>;
}

class Qemu implements Card {
  private readonly child: ChildProcess;
  private readonly answers: ((line: string) => void)[] = [];
  private last: Promise<unknown> = Promise.resolve();

  constructor(private readonly folder: string) {
    const args = ['-accel', 'tcg', '-S', '-qtest', 'stdio', '-machine', 'pc', '-m', '16', '-display', 'none', '-vga', 'std', '-nodefaults', '-qtest-log', '/dev/null'];
    this.child = spawn('qemu-system-x86_64', [...args, '-monitor', `unix:${folder}/monitor,server=on,wait=off`], { stdio: ['pipe', 'pipe', 'ignore'] });
    createInterface(this.child.stdout!).on('line', (line) => {
      if (/^(OK|FAIL|ERR)/.test(line)) this.answers.shift()?.(line);
    });
    // The framebuffer's place, and memory and ports on.
    this.out(0xcf8, 4, 0x80001010);
    this.out(0xcfc, 4, LFB);
    this.out(0xcf8, 4, 0x80001018);
    this.out(0xcfc, 4, REGISTERS);
    this.out(0xcf8, 4, 0x80001004);
    this.out(0xcfc, 2, 3);
  }

  private command(text: string): void {
    this.last = new Promise<void>((resolve, reject) => {
      this.answers.push((line) => (line.startsWith('OK') ? resolve() : reject(new Error(`${text}: ${line}`))));
    });
    this.child.stdin!.write(`${text}\n`);
  }

  private async ask(text: string): Promise<string> {
    const line = new Promise<string>((resolve) => this.answers.push(resolve));
    this.child.stdin!.write(`${text}\n`);
    return (await line).replace(/^OK 0x/, '');
  }

  async read(offset: number): Promise<number> {
    return parseInt(await this.ask(`readb 0x${(VGA_WINDOW_START + offset).toString(16)}`), 16);
  }

  async edid(): Promise<Uint8Array> {
    return Buffer.from(await this.ask(`read 0x${REGISTERS.toString(16)} 0x80`), 'hex');
  }

  async memory(length: number): Promise<Uint8Array> {
    return Buffer.from(await this.ask(`read 0x${LFB.toString(16)} 0x${length.toString(16)}`), 'hex');
  }

  out(port: number, size: 1 | 2 | 4, value: number): void {
    this.command(`out${{ 1: 'b', 2: 'w', 4: 'l' }[size]} 0x${port.toString(16)} 0x${value.toString(16)}`);
  }

  write(to: 'window' | 'lfb', offset: number, data: Uint8Array): void {
    const address = (to === 'lfb' ? LFB : VGA_WINDOW_START) + offset;
    this.command(`write 0x${address.toString(16)} 0x${data.length.toString(16)} 0x${Buffer.from(data).toString('hex')}`);
  }

  async picture(): Promise<Uint8Array> {
    await this.last;
    const file = join(this.folder, 'picture.ppm');
    rmSync(file, { force: true });
    await new Promise<void>((resolve, reject) => {
      const socket = connect(join(this.folder, 'monitor'));
      let text = '';
      socket.on('error', reject);
      socket.on('data', (data) => {
        text += data.toString();
        // The second prompt comes when the file is written.
        if (text.split('(qemu) ').length > 2 && /\n\(qemu\) $/.test(text)) {
          socket.destroy();
          resolve();
        }
      });
      socket.write(`screendump ${file}\n`);
    });
    return new Uint8Array(readFileSync(file));
  }

  end(): void {
    this.child.kill();
  }
}

class Tabvisor implements Card {
  private readonly vga: Vga;
  private readonly bus = new Bus();
  private readonly vram: Uint8Array;

  constructor() {
    const ram = 2 << 20;
    const memory = new WebAssembly.Memory({ initial: (Mem.RAM + ram) / 65536, maximum: 65536, shared: true });
    const map = new MemoryMap(memory, ram, { memoryMapChanged() {}, invalidateCode() {} }).vgaMemory(new Uint8Array(0));
    this.vram = map.vram;
    this.vga = new Vga(new VirtualClock(0), map);
    new PciBus(this.bus, () => {}).add(2, 0, this.vga);
  }

  out(port: number, size: 1 | 2 | 4, value: number): void {
    this.vga.writePort(port, size, value);
  }

  async read(offset: number): Promise<number> {
    return this.vga.readMmio(offset, 1);
  }

  async edid(): Promise<Uint8Array> {
    this.vga.writeConfig(0x18, 4, REGISTERS);
    this.vga.writeConfig(0x04, 2, 3);
    return Uint8Array.from({ length: 0x80 }, (_, at) => this.bus.mmioRead(REGISTERS + at, 1));
  }

  async memory(length: number): Promise<Uint8Array> {
    return this.vram.slice(0, length);
  }

  write(to: 'window' | 'lfb', offset: number, data: Uint8Array): void {
    if (to === 'lfb') this.vram.set(data, offset);
    else data.forEach((value, i) => this.vga.writeMmio(offset + i, 1, value));
  }

  async picture(): Promise<Uint8Array> {
    return toPpm(drawScreen(this.vga.view, { cursor: false, text: true }));
  }
}

describe('the picture is QEMU\'s', () => {
  const folder = mkdtempSync(join(tmpdir(), 'vga-'));
  let qemu: Qemu;
  let cards: Card[];
  beforeAll(() => {
    qemu = new Qemu(folder);
    cards = [qemu, new Tabvisor()];
  });
  afterAll(() => {
    qemu.end();
    rmSync(folder, { recursive: true });
  });

  const out = (port: number, value: number) => cards.forEach((card) => card.out(port, 1, value));
  const dispi = (index: number, value: number) => cards.forEach((card) => {
    card.out(0x1ce, 2, index);
    card.out(0x1cf, 2, value);
  });
  function colors(): void {
    out(0x3c6, 0xff);
    out(0x3c8, 0);
    for (let n = 0; n < 768; n++) out(0x3c9, byte());
  }
  function set(mode: Mode): void {
    out(0x3c2, mode.misc);
    const group = (port: number, values: number[]) => values.forEach((value, index) => {
      out(port, index);
      out(port + 1, value);
    });
    group(0x3c4, mode.sequencer);
    out(0x3d4, 0x11);
    out(0x3d5, 0);
    group(0x3d4, mode.crtc);
    group(0x3ce, mode.graphics);
    mode.attributes.forEach((value, index) => {
      out(0x3c0, index);
      out(0x3c0, value);
    });
    out(0x3c0, 0x20);
    out(0x3c0, 0);
  }
  function memory(length: number, filter: (value: number, at: number) => number = (value) => value): void {
    const data = Uint8Array.from({ length }, (_, at) => filter(byte(), at));
    for (let at = 0; at < length; at += 0x8000) cards.forEach((card) => card.write('lfb', at, data.subarray(at, at + 0x8000)));
  }
  /** @param bits of a colour's byte that count */
  async function compare(bits = 0xff): Promise<void> {
    const [theirs, ours] = await Promise.all(cards.map((card) => card.picture()));
    const header = (file: Uint8Array) => Buffer.from(file.subarray(0, 15)).toString('latin1').split('\n').slice(0, 2);
    expect(header(ours)).toEqual(header(theirs));
    // A message with half a million bytes helps nobody.
    expect(ours.findIndex((value, at) => ((value ^ theirs[at]) & bits) !== 0)).toBe(-1);
    expect(ours.length).toBe(theirs.length);
  }

  for (const [name, mode] of Object.entries(MODES)) {
    it(name, { timeout: 60_000 }, async () => {
      dispi(4, 0);
      colors();
      set(mode);
      // Of QEMU's ninth dots those of characters B0h to BFh differ from IBM's: none of them here.
      memory(VRAM_BYTES, mode.graphics[6] & 1 ? undefined : (value, at) => (at % 4 === 0 && value >= 0xb0 && value < 0xc0 ? 0x20 : value));
      await compare();
    });
  }

  it('offers the modes that QEMU\'s screen offers', async () => {
    const [theirs, ours] = await Promise.all(cards.map((card) => card.edid()));
    const parts = (edid: Uint8Array) => ({
      header: Buffer.from(edid.subarray(0, 8)).toString('hex'), version: edid.subarray(18, 20).join('.'), isPreferred: edid[24] & 2,
      established: [...edid.subarray(0x23, 0x26)], standard: [...edid.subarray(0x26, 0x36)], detailed: [...edid.subarray(0x36, 0x48)],
      sum: edid.subarray(0, 128).reduce((sum, value) => (sum + value) & 0xff, 0),
    });
    expect(parts(ours)).toEqual(parts(theirs));
    expect(Buffer.from(ours).toString('latin1')).toContain('Tabvisor\n');
  });

  // Many small accesses with random registers: write modes 0 to 3 with their latches, read modes, odd/even, chain 4, windows.
  it('the window reads and writes memory as QEMU\'s', { timeout: 60_000 }, async () => {
    dispi(4, 0);
    set(MODES['640x480, 16 colours, scrolled']);
    memory(0x8000);
    const indexed = (port: number, index: number, value: number) => {
      out(port, index);
      out(port + 1, value);
    };
    const differences: string[] = [];
    let kind = 0;
    for (let n = 0; n < 400; n++) {
      if (n % 8 === 0) {
        // Sequencer memory mode: chain 4, odd/even off as programs set it together with the graphics controller's.
        kind = byte() % 4;
        indexed(0x3c4, 4, [0x06, 0x06, 0x02, 0x0e][kind]);
        indexed(0x3ce, 5, (byte() & 0x0b) | [0, 0, 0x10, 0x40][kind]);
        indexed(0x3ce, 6, ((byte() & 3) << 2) | (kind === 2 ? 2 : 1));
      }
      // In odd/even modes QEMU writes one plane; the hardware all of the pair that are enabled: here they are those of text.
      const isText = kind === 2;
      indexed(0x3c4, 2, byte() & (isText ? 3 : 15));
      for (const index of [0, 1, 2, 3, 4, 7, 8]) if (byte() & 1 || (isText && index === 4)) indexed(0x3ce, index, isText && index === 4 ? 0 : byte());
      const offset = (byte() & 1 ? 0x18000 : byte() & 1 ? 0x10000 : 0) + (((byte() << 8) | byte()) & 0x1fff);
      const [theirs, ours] = await Promise.all(cards.map((card) => card.read(offset)));
      if (theirs !== ours) differences.push(`${n}: read ${offset.toString(16)}: ${ours.toString(16)}, QEMU ${theirs.toString(16)}`);
      const data = Uint8Array.of(byte());
      cards.forEach((card) => card.write('window', offset, data));
    }
    expect(differences).toEqual([]);
    const [theirs, ours] = await Promise.all(cards.map((card) => card.memory(0x40000)));
    expect(ours.findIndex((value, at) => value !== theirs[at])).toBe(-1);
  });

  it('VBE with 2560x1600 pixels of 32 bits', { timeout: 60_000 }, async () => {
    dispi(4, 0);
    dispi(1, 2560);
    dispi(2, 1600);
    dispi(3, 32);
    dispi(4, 0x41);
    const data = Uint8Array.from({ length: 0x8000 }, byte);
    // At the beginning, in the middle, and to the last line's end.
    for (const at of [0, 0x7d0000, 2560 * 1600 * 4 - 0x8000]) cards.forEach((card) => card.write('lfb', at, data));
    await compare();
  });

  it('VBE with four bits: planes', { timeout: 60_000 }, async () => {
    dispi(4, 0);
    colors();
    set(MODES['640x480, 16 colours, scrolled']);
    dispi(1, 640);
    dispi(2, 400);
    dispi(3, 4);
    dispi(4, 0x41);
    memory(VRAM_BYTES);
    await compare();
  });

  for (const bpp of [8, 15, 16, 24, 32]) {
    it(`VBE with ${bpp} bits, moved`, { timeout: 60_000 }, async () => {
      dispi(4, 0);
      colors();
      dispi(1, 320);
      dispi(2, 200);
      dispi(3, bpp);
      dispi(4, 0x41);
      dispi(6, 400);
      dispi(8, 8);
      dispi(9, 3);
      memory(VRAM_BYTES);
      // With 15 bits QEMU leaves the lowest three of each byte 0.
      await compare(bpp === 15 ? 0xf8 : 0xff);
    });
  }
});
