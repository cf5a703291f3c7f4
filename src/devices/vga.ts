// The VGA card: QEMU's standard VGA (PCI 1234:1111), a VGA with the Bochs VBE extension and a linear framebuffer.
// IBM, "Personal System/2 Hardware Interface Technical Reference", Video Subsystem (registers, write and read modes);
// QEMU, docs/specs/standard-vga.rst (BARs) and Bochs' VBE DISPI interface.
//
// Video memory holds the four planes side by side: byte 4 * a + p is address a of plane p. Chain-4 and VBE modes see it as it lies.

import type { AccessSize, Clock, MmioDevice, PortDevice } from './interfaces.ts';
import type { VgaView } from './vga-picture.ts';
import { makeEdid } from './vga-edid.ts';
import { type TextScreen, textScreen } from './vga-text.ts';
import { COMMAND_MEMORY, PCI_COMMAND, PCI_ROM_ADDRESS, PciFunction } from './pci.ts';

export const VGA_WINDOW_START = 0xa0000;
export const VGA_WINDOW_LENGTH = 0x20000;
/** Ranges of ports: first and count. */
export const VGA_PORTS: readonly [base: number, length: number][] = [
  [0x3b4, 2],
  [0x3ba, 1],
  [0x3c0, 16],
  [0x3d4, 2],
  [0x3da, 1],
];
export const VBE_DISPI_PORTS = 0x1ce;
export const VBE_DISPI_LENGTH = 4;

const ATTRIBUTE = 0x3c0;
const ATTRIBUTE_READ = 0x3c1;
/** Written; read as input status 0. */
const MISC_WRITE = 0x3c2;
const SEQUENCER_INDEX = 0x3c4;
const SEQUENCER_DATA = 0x3c5;
const PEL_MASK = 0x3c6;
const PEL_READ_INDEX = 0x3c7;
const PEL_WRITE_INDEX = 0x3c8;
const PEL_DATA = 0x3c9;
const FEATURE_READ = 0x3ca;
const MISC_READ = 0x3cc;
const GRAPHICS_INDEX = 0x3ce;
const GRAPHICS_DATA = 0x3cf;
/** With MISC_COLOR; 3B4h, 3B5h and 3BAh without. */
const CRTC_INDEX = 0x3d4;
const CRTC_DATA = 0x3d5;
const INPUT_STATUS_1 = 0x3da;

const MISC_COLOR = 0x01;
const MISC_CLOCK_28MHZ = 0x04;

/** Sequencer registers. */
const SEQ_CLOCK_MODE = 0x01;
const SEQ_CLOCK_8_DOTS = 0x01;
const SEQ_CLOCK_HALF = 0x08;
const SEQ_PLANE_WRITE = 0x02;
const SEQ_MEMORY_MODE = 0x04;
const SEQ_CHAIN4 = 0x08;

/** Graphics controller registers. */
const GFX_SET_RESET = 0x00;
const GFX_ENABLE_SET_RESET = 0x01;
const GFX_COMPARE = 0x02;
const GFX_DATA_ROTATE = 0x03;
const GFX_PLANE_READ = 0x04;
const GFX_MODE = 0x05;
const GFX_MODE_READ1 = 0x08;
const GFX_MODE_ODD_EVEN = 0x10;
const GFX_MODE_SHIFT256 = 0x40;
const GFX_MISC = 0x06;
const GFX_MISC_GRAPHICS = 0x01;
const GFX_COMPARE_MASK = 0x07;
const GFX_BIT_MASK = 0x08;

/** CRT controller registers. */
const CRTC_H_TOTAL = 0x00;
const CRTC_H_DISPLAY = 0x01;
const CRTC_V_TOTAL = 0x06;
const CRTC_OVERFLOW = 0x07;
const CRTC_MAX_SCAN = 0x09;
const CRTC_V_SYNC_START = 0x10;
const CRTC_V_SYNC_END = 0x11;
const CRTC_PROTECT = 0x80;
const CRTC_V_DISPLAY = 0x12;

const STATUS_1_DISABLED = 0x01;
const STATUS_1_RETRACE = 0x08;

/** Bits that exist. */
const SEQUENCER_BITS = [0x03, 0x3d, 0x0f, 0x3f, 0x0e];
const GRAPHICS_BITS = [0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff];
/** Of the attribute controller's index: the palette is shown, and the CPU keeps off. */
const ATTRIBUTE_ENABLE = 0x20;
const ATTRIBUTE_REGISTERS = 0x15;
const ATTRIBUTE_BITS = [...new Array<number>(16).fill(0x3f), 0xef, 0xff, 0x3f, 0x0f, 0x0f];
const CRTC_REGISTERS = 0x19;

/** VBE DISPI registers. */
const VBE_ID = 0;
const VBE_XRES = 1;
const VBE_YRES = 2;
const VBE_BPP = 3;
const VBE_ENABLE = 4;
const VBE_BANK = 5;
const VBE_VIRT_WIDTH = 6;
const VBE_VIRT_HEIGHT = 7;
const VBE_X_OFFSET = 8;
const VBE_Y_OFFSET = 9;
const VBE_VIDEO_MEMORY_64K = 10;
const VBE_REGISTERS = 11;
/** IDs B0C0h to B0C5h: which version of the interface the guest asked for. */
const VBE_ID0 = 0xb0c0;
const VBE_ID5 = 0xb0c5;
const VBE_ENABLED = 0x01;
const VBE_GETCAPS = 0x02;
const VBE_8BIT_DAC = 0x20;
const VBE_NOCLEARMEM = 0x80;
/** Largest picture, pixels; video memory sets a lower limit. */
const VBE_MAX_XRES = 16000;
const VBE_MAX_YRES = 12000;
const VBE_MAX_BPP = 32;

/** BAR 2: the screen's EDID at 0; offsets of the VGA's ports from 3C0h, of the VBE registers, and of QEMU's own. */
const MMIO_SIZE = 0x1000;
const MMIO_PORTS = 0x400;
const MMIO_VBE = 0x500;
const MMIO_QEXT = 0x600;
const QEXT_SIZE = 8;
const QEXT_LITTLE_ENDIAN = 0x1e1e1e1e;

const ROM_ENABLE = 1;

/** Video and option ROM memory, and how a BAR makes it appear in the guest's address space. */
export interface VgaMemory {
  /** Video memory, a power of two of bytes. */
  readonly vram: Uint8Array;
  /** The option ROM, padded to a power of two of bytes; empty: there is none. */
  readonly romSize: number;
  mapVram(at: number): void;
  unmapVram(at: number): void;
  mapRom(at: number): void;
  unmapRom(at: number): void;
}

interface State {
  misc: number;
  sequencerIndex: number;
  sequencer: Uint8Array;
  graphicsIndex: number;
  graphics: Uint8Array;
  crtcIndex: number;
  crtc: Uint8Array;
  attributeIndex: number;
  /** The next write to 3C0h is data. */
  attributeData: boolean;
  attributes: Uint8Array;
  pelMask: number;
  /** 0 after a write of the write index, 3 after one of the read index. */
  dacState: number;
  dacRead: number;
  dacWrite: number;
  dacComponent: number;
  dacCache: Uint8Array;
  palette: Uint8Array;
  /** What the last read of planar memory left, a byte a plane. */
  latch: number;
  vbeIndex: number;
  vbe: Uint16Array;
}

const powerOn = (): State => {
  const vbe = new Uint16Array(VBE_REGISTERS);
  vbe[VBE_ID] = VBE_ID5;
  return {
    misc: 0, sequencerIndex: 0, sequencer: new Uint8Array(8), graphicsIndex: 0, graphics: new Uint8Array(16), crtcIndex: 0, crtc: new Uint8Array(256),
    attributeIndex: 0, attributeData: false, attributes: new Uint8Array(32), pelMask: 0xff, dacState: 0, dacRead: 0, dacWrite: 0, dacComponent: 0,
    dacCache: new Uint8Array(3), palette: new Uint8Array(768), latch: 0, vbeIndex: 0, vbe,
  };
};

/** Four bytes of FFh or 0 from the low four bits: a byte for each plane. */
const PLANES = Uint32Array.from({ length: 16 }, (_, bits) => [0, 1, 2, 3].reduce((mask, plane) => mask + (bits & (1 << plane) ? 0xff * 2 ** (8 * plane) : 0), 0));

export class Vga extends PciFunction implements PortDevice, MmioDevice {
  /** Counts what may have changed registers that the view shows. */
  changes = 0;
  private s = powerOn();
  private readonly vram: Uint8Array;
  private readonly words: DataView;
  private readonly edid = makeEdid();
  /** Where the option ROM is mapped, -1 if it is not. */
  private romAt = -1;

  constructor(
    private readonly clock: Clock,
    private readonly memory: VgaMemory,
  ) {
    super('vga', { vendor: 0x1234, device: 0x1111, class: 0x0300, revision: 2 });
    this.vram = memory.vram;
    this.words = new DataView(this.vram.buffer, this.vram.byteOffset, this.vram.length);
    this.addBar(0, {
      kind: 'mapped', size: this.vram.length, prefetchable: true,
      map: (at) => memory.mapVram(at),
      unmap: (at) => memory.unmapVram(at),
    });
    this.addBar(2, {
      kind: 'memory', size: MMIO_SIZE,
      device: {
        readMmio: (offset, size) => this.readRegisters(offset, size),
        writeMmio: (offset, size, value) => this.writeRegisters(offset, size, value),
      },
    });
    if (memory.romSize) {
      const mask = ~(memory.romSize - 1);
      for (let i = 0; i < 4; i++) this.writable[PCI_ROM_ADDRESS + i] = (mask >>> (8 * i)) & 0xff;
      this.writable[PCI_ROM_ADDRESS] |= ROM_ENABLE;
    }
    this.reset();
  }

  override reset(): void {
    super.reset();
    this.changes++;
    this.set32(PCI_ROM_ADDRESS, 0);
    this.s = powerOn();
    this.mapRom();
  }

  protected override onConfigWrite(): void {
    this.mapRom();
  }

  private mapRom(): void {
    const register = this.get32(PCI_ROM_ADDRESS);
    const base = (register & ~(ROM_ENABLE | 0x7ff)) >>> 0;
    const at = register & ROM_ENABLE && this.get16(PCI_COMMAND) & COMMAND_MEMORY && base !== 0 ? base : -1;
    if (at === this.romAt) return;
    if (this.romAt >= 0) this.memory.unmapRom(this.romAt);
    this.romAt = at;
    if (at >= 0) this.memory.mapRom(at);
  }

  // Ports

  /** CRTC and status answer at 3Bxh or 3Dxh, as the miscellaneous register says; gives the 3Dxh number, or -1 for the other. */
  private decode(port: number): number {
    if (port >= ATTRIBUTE && port <= GRAPHICS_DATA) return port;
    const color = port >= CRTC_INDEX;
    if (color !== ((this.s.misc & MISC_COLOR) !== 0)) return -1;
    return color ? port : port + 0x20;
  }

  readPort(port: number, size: AccessSize): number {
    if (port >= VBE_DISPI_PORTS && port < VBE_DISPI_PORTS + VBE_DISPI_LENGTH) return this.readVbePort(port, size);
    const { s } = this;
    switch (this.decode(port)) {
      case ATTRIBUTE:
        return s.attributeData ? 0 : s.attributeIndex;
      case ATTRIBUTE_READ:
        return s.attributes[s.attributeIndex & 0x1f];
      case SEQUENCER_INDEX:
        return s.sequencerIndex;
      case SEQUENCER_DATA:
        return s.sequencer[s.sequencerIndex];
      case PEL_MASK:
        return s.pelMask;
      case PEL_READ_INDEX:
        return s.dacState;
      case PEL_WRITE_INDEX:
        return s.dacWrite;
      case PEL_DATA: {
        const value = s.palette[3 * s.dacRead + s.dacComponent];
        if (++s.dacComponent === 3) {
          s.dacComponent = 0;
          s.dacRead = (s.dacRead + 1) & 0xff;
        }
        return value;
      }
      case MISC_READ:
        return s.misc;
      case GRAPHICS_INDEX:
        return s.graphicsIndex;
      case GRAPHICS_DATA:
        return s.graphics[s.graphicsIndex];
      case CRTC_INDEX:
        return s.crtcIndex;
      case CRTC_DATA:
        return s.crtc[s.crtcIndex];
      case INPUT_STATUS_1:
        s.attributeData = false;
        return this.inputStatus1();
      case MISC_WRITE:
      case FEATURE_READ:
        return 0;
    }
    return 0xff;
  }

  writePort(port: number, size: AccessSize, value: number): void {
    this.changes++;
    if (port >= VBE_DISPI_PORTS && port < VBE_DISPI_PORTS + VBE_DISPI_LENGTH) return this.writeVbePort(port, size, value);
    const { s } = this;
    switch (this.decode(port)) {
      case ATTRIBUTE:
        if (!s.attributeData) s.attributeIndex = value & 0x3f;
        else {
          const index = s.attributeIndex & 0x1f;
          if (index < ATTRIBUTE_REGISTERS) s.attributes[index] = value & ATTRIBUTE_BITS[index];
        }
        s.attributeData = !s.attributeData;
        break;
      case MISC_WRITE:
        s.misc = value & ~0x10;
        break;
      case SEQUENCER_INDEX:
        s.sequencerIndex = value & 7;
        break;
      case SEQUENCER_DATA:
        s.sequencer[s.sequencerIndex] = value & (SEQUENCER_BITS[s.sequencerIndex] ?? 0);
        break;
      case PEL_MASK:
        s.pelMask = value;
        break;
      case PEL_READ_INDEX:
        s.dacRead = value;
        s.dacComponent = 0;
        s.dacState = 3;
        break;
      case PEL_WRITE_INDEX:
        s.dacWrite = value;
        s.dacComponent = 0;
        s.dacState = 0;
        break;
      case PEL_DATA:
        // A colour becomes visible when its third component has come.
        s.dacCache[s.dacComponent] = this.vbe(VBE_ENABLE) & VBE_8BIT_DAC ? value : value & 0x3f;
        if (++s.dacComponent === 3) {
          s.palette.set(s.dacCache, 3 * s.dacWrite);
          s.dacComponent = 0;
          s.dacWrite = (s.dacWrite + 1) & 0xff;
        }
        break;
      case GRAPHICS_INDEX:
        s.graphicsIndex = value & 0x0f;
        break;
      case GRAPHICS_DATA:
        s.graphics[s.graphicsIndex] = value & (GRAPHICS_BITS[s.graphicsIndex] ?? 0);
        break;
      case CRTC_INDEX:
        s.crtcIndex = value;
        break;
      case CRTC_DATA:
        this.writeCrtc(s.crtcIndex, value);
        break;
    }
  }

  private writeCrtc(index: number, value: number): void {
    const { crtc } = this.s;
    if (index >= CRTC_REGISTERS) return;
    if (index <= CRTC_OVERFLOW && crtc[CRTC_V_SYNC_END] & CRTC_PROTECT) {
      // Of the protected registers only bit 8 of the line compare can be written.
      if (index === CRTC_OVERFLOW) crtc[index] = (crtc[index] & ~0x10) | (value & 0x10);
      return;
    }
    crtc[index] = value;
  }

  /** A vertical number of the CRTC: its low 8 bits, and bits 8 and 9 from the overflow register. */
  private vertical(register: number, bit8: number, bit9: number): number {
    const { crtc } = this.s;
    const overflow = crtc[CRTC_OVERFLOW];
    return crtc[register] | (((overflow >> bit8) & 1) << 8) | (((overflow >> bit9) & 1) << 9);
  }

  /** Where the beam is, from the time and the CRTC's counts. */
  private inputStatus1(): number {
    const { crtc, sequencer, misc } = this.s;
    const clock = misc & MISC_CLOCK_28MHZ ? 28_322_000 : 25_175_000;
    const dots = (sequencer[SEQ_CLOCK_MODE] & SEQ_CLOCK_8_DOTS ? 8 : 9) * (sequencer[SEQ_CLOCK_MODE] & SEQ_CLOCK_HALF ? 2 : 1);
    const characters = crtc[CRTC_H_TOTAL] + 5;
    const lines = this.vertical(CRTC_V_TOTAL, 0, 5) + 2;
    const character = Math.floor((this.clock.now() * clock) / (1e9 * dots)) % (characters * lines);
    const line = Math.floor(character / characters);
    const sync = this.vertical(CRTC_V_SYNC_START, 2, 7);
    const syncLines = ((crtc[CRTC_V_SYNC_END] - sync) & 15) || 16;
    const blank = line > this.vertical(CRTC_V_DISPLAY, 1, 6) || character % characters > crtc[CRTC_H_DISPLAY];
    const retrace = line >= sync && line < sync + syncLines;
    return (blank || retrace ? STATUS_1_DISABLED : 0) | (retrace ? STATUS_1_RETRACE : 0);
  }

  // VBE

  private vbe(index: number): number {
    return this.s.vbe[index];
  }

  private readVbePort(port: number, size: AccessSize): number {
    const value = port === VBE_DISPI_PORTS ? this.s.vbeIndex : this.readVbe(this.s.vbeIndex);
    return size === 1 ? value & 0xff : value;
  }

  private writeVbePort(port: number, size: AccessSize, value: number): void {
    // Registers of 16 bits; the data port is the odd one after the index and, for machines that want it even, the one after that.
    if (size !== 2) return;
    if (port === VBE_DISPI_PORTS) this.s.vbeIndex = value;
    else this.writeVbe(this.s.vbeIndex, value);
  }

  private readVbe(index: number): number {
    if (this.vbe(VBE_ENABLE) & VBE_GETCAPS) {
      if (index === VBE_XRES) return VBE_MAX_XRES;
      if (index === VBE_YRES) return VBE_MAX_YRES;
      if (index === VBE_BPP) return VBE_MAX_BPP;
    }
    if (index === VBE_VIDEO_MEMORY_64K) return this.vram.length >> 16;
    return index < VBE_REGISTERS ? this.vbe(index) : 0;
  }

  private writeVbe(index: number, value: number): void {
    this.changes++;
    const { vbe } = this.s;
    switch (index) {
      case VBE_ID:
        if (value >= VBE_ID0 && value <= VBE_ID5) vbe[VBE_ID] = value;
        break;
      case VBE_XRES:
      case VBE_YRES:
      case VBE_BPP:
      case VBE_VIRT_WIDTH:
      case VBE_X_OFFSET:
      case VBE_Y_OFFSET:
        vbe[index] = value;
        this.fitVbe();
        break;
      case VBE_BANK:
        vbe[VBE_BANK] = value & ((this.vram.length >> 16) - 1);
        break;
      case VBE_ENABLE:
        this.enableVbe(value);
        break;
    }
  }

  private enableVbe(value: number): void {
    const { vbe, sequencer, graphics, crtc } = this.s;
    const wasEnabled = (vbe[VBE_ENABLE] & VBE_ENABLED) !== 0;
    vbe[VBE_ENABLE] = value;
    if (!(value & VBE_ENABLED)) vbe[VBE_BANK] = 0;
    if (!(value & VBE_ENABLED) || wasEnabled) return;
    vbe[VBE_VIRT_WIDTH] = 0;
    vbe[VBE_X_OFFSET] = 0;
    vbe[VBE_Y_OFFSET] = 0;
    this.fitVbe();
    if (!(value & VBE_NOCLEARMEM)) this.vram.fill(0, 0, vbe[VBE_YRES] * this.pitch);
    // The legacy window shows 64 KiB of the picture, a bank; the CRTC's start no longer counts.
    graphics[GFX_MISC] = (graphics[GFX_MISC] & ~0x0c) | 0x04 | GFX_MISC_GRAPHICS;
    if (vbe[VBE_BPP] === 4) {
      sequencer[SEQ_MEMORY_MODE] &= ~SEQ_CHAIN4;
      graphics[GFX_MODE] &= ~GFX_MODE_SHIFT256;
    } else {
      sequencer[SEQ_MEMORY_MODE] |= SEQ_CHAIN4;
      sequencer[SEQ_PLANE_WRITE] = 0x0f;
      graphics[GFX_MODE] = (graphics[GFX_MODE] & ~0x20) | GFX_MODE_SHIFT256;
    }
    crtc[CRTC_MAX_SCAN] &= ~0x9f;
  }

  /** Bits of a pixel in memory. */
  private get bits(): number {
    return this.vbe(VBE_BPP) === 15 ? 16 : this.vbe(VBE_BPP);
  }

  /** Bytes of a line of a VBE mode. */
  private get pitch(): number {
    return (this.vbe(VBE_VIRT_WIDTH) * this.bits) / 8;
  }

  /** Make a mode of what was asked for: one that fits into video memory. */
  private fitVbe(): void {
    const { vbe } = this.s;
    if (!(vbe[VBE_ENABLE] & VBE_ENABLED)) return;
    if (![4, 8, 15, 16, 24, 32].includes(vbe[VBE_BPP])) vbe[VBE_BPP] = 8;
    const size = this.vram.length;
    vbe[VBE_XRES] = Math.min(VBE_MAX_XRES, Math.max(8, vbe[VBE_XRES] & ~7));
    vbe[VBE_VIRT_WIDTH] = Math.max(vbe[VBE_XRES], vbe[VBE_VIRT_WIDTH] & ~7);
    const lines = Math.floor(size / this.pitch);
    vbe[VBE_YRES] = Math.min(VBE_MAX_YRES, lines, Math.max(1, vbe[VBE_YRES]));
    vbe[VBE_VIRT_HEIGHT] = Math.min(0xffff, lines);
    const fits = () => (vbe[VBE_X_OFFSET] * this.bits) / 8 + (vbe[VBE_Y_OFFSET] + vbe[VBE_YRES]) * this.pitch <= size;
    if (!fits()) vbe[VBE_Y_OFFSET] = 0;
    if (!fits()) vbe[VBE_X_OFFSET] = 0;
  }

  // Registers in BAR 2

  private readRegisters(offset: number, size: AccessSize): number {
    if (offset < this.edid.length) {
      let value = 0;
      for (let i = 0; i < size; i++) value |= (this.edid[offset + i] ?? 0) << (8 * i);
      return value >>> 0;
    }
    if (offset >= MMIO_PORTS && offset < MMIO_PORTS + 0x20) {
      let value = 0;
      for (let i = 0; i < size; i++) value |= (this.readPort(ATTRIBUTE + offset - MMIO_PORTS + i, 1) & 0xff) << (8 * i);
      return value >>> 0;
    }
    if (offset >= MMIO_VBE && offset < MMIO_VBE + 2 * VBE_REGISTERS) {
      const value = this.readVbe((offset - MMIO_VBE) >> 1);
      return size === 1 ? value >> (8 * (offset & 1)) : value;
    }
    if (offset === MMIO_QEXT) return QEXT_SIZE;
    if (offset === MMIO_QEXT + 4) return QEXT_LITTLE_ENDIAN;
    return 0;
  }

  private writeRegisters(offset: number, size: AccessSize, value: number): void {
    if (offset >= MMIO_PORTS && offset < MMIO_PORTS + 0x20) {
      for (let i = 0; i < size; i++) this.writePort(ATTRIBUTE + offset - MMIO_PORTS + i, 1, (value >>> (8 * i)) & 0xff);
    } else if (offset >= MMIO_VBE && offset < MMIO_VBE + 2 * VBE_REGISTERS && size === 2) {
      this.writeVbe((offset - MMIO_VBE) >> 1, value);
    }
  }

  // The window at A0000h

  /** Offset in the planes' or the bank's memory of an address in the window; -1 outside the range that is mapped. */
  private window(offset: number): number {
    switch ((this.s.graphics[GFX_MISC] >> 2) & 3) {
      case 0:
        return offset;
      case 1:
        return offset < 0x10000 ? offset + (this.vbe(VBE_ENABLE) & VBE_ENABLED ? this.vbe(VBE_BANK) * 0x10000 : 0) : -1;
      case 2:
        return offset >= 0x10000 && offset < 0x18000 ? offset - 0x10000 : -1;
    }
    return offset >= 0x18000 ? offset - 0x18000 : -1;
  }

  readMmio(offset: number, size: AccessSize): number {
    let value = 0;
    for (let i = 0; i < size; i++) value |= this.readByte(offset + i) << (8 * i);
    return value >>> 0;
  }

  writeMmio(offset: number, size: AccessSize, value: number): void {
    for (let i = 0; i < size; i++) this.writeByte(offset + i, (value >>> (8 * i)) & 0xff);
  }

  private readByte(offset: number): number {
    const { s, vram } = this;
    const at = this.window(offset);
    if (at < 0) return 0xff;
    const { graphics } = s;
    if (s.sequencer[SEQ_MEMORY_MODE] & SEQ_CHAIN4) return vram[at & (vram.length - 1)];
    const wrap = vram.length / 4 - 1;
    if (graphics[GFX_MODE] & GFX_MODE_ODD_EVEN) {
      const plane = (graphics[GFX_PLANE_READ] & 2) | (at & 1);
      return vram[4 * ((at >> 1) & wrap) + plane];
    }
    s.latch = this.words.getUint32(4 * (at & wrap), true);
    if (!(graphics[GFX_MODE] & GFX_MODE_READ1)) return (s.latch >>> (8 * graphics[GFX_PLANE_READ])) & 0xff;
    // Read mode 1: bits of pixels whose colour is the compared one, in the planes that count.
    const differs = (s.latch ^ PLANES[graphics[GFX_COMPARE]]) & PLANES[graphics[GFX_COMPARE_MASK]];
    return ~(differs | (differs >>> 8) | (differs >>> 16) | (differs >>> 24)) & 0xff;
  }

  private writeByte(offset: number, value: number): void {
    const { s, vram } = this;
    const at = this.window(offset);
    if (at < 0) return;
    const { graphics } = s;
    const planes = s.sequencer[SEQ_PLANE_WRITE];
    if (s.sequencer[SEQ_MEMORY_MODE] & SEQ_CHAIN4) {
      if (planes & (1 << (at & 3))) vram[at & (vram.length - 1)] = value;
      return;
    }
    const wrap = vram.length / 4 - 1;
    if (graphics[GFX_MODE] & GFX_MODE_ODD_EVEN) {
      // Even addresses go to planes 0 and 2, odd ones to 1 and 3, as far as they may be written.
      const cell = 4 * ((at >> 1) & wrap);
      for (const plane of [at & 1, (at & 1) | 2]) if (planes & (1 << plane)) vram[cell + plane] = value;
      return;
    }
    const cell = 4 * (at & wrap);
    const kept = this.words.getUint32(cell, true) & ~PLANES[planes];
    this.words.setUint32(cell, (kept | (this.planarValue(value) & PLANES[planes])) >>> 0, true);
  }

  /** What a write of a byte gives the four planes, by write mode, rotation, set/reset, function and bit mask. */
  private planarValue(value: number): number {
    const { graphics, latch } = this.s;
    const mode = graphics[GFX_MODE] & 3;
    if (mode === 1) return latch;
    const count = graphics[GFX_DATA_ROTATE] & 7;
    const rotated = ((value >> count) | (value << (8 - count))) & 0xff;
    let bitMask = graphics[GFX_BIT_MASK];
    let data: number;
    if (mode === 0) {
      const set = PLANES[graphics[GFX_ENABLE_SET_RESET]];
      data = (Math.imul(rotated, 0x01010101) & ~set) | (PLANES[graphics[GFX_SET_RESET]] & set);
    } else if (mode === 2) {
      data = PLANES[value & 15];
    } else {
      bitMask &= rotated;
      data = PLANES[graphics[GFX_SET_RESET]];
    }
    switch ((graphics[GFX_DATA_ROTATE] >> 3) & 3) {
      case 1:
        data &= latch;
        break;
      case 2:
        data |= latch;
        break;
      case 3:
        data ^= latch;
        break;
    }
    const mask = Math.imul(bitMask, 0x01010101);
    return (data & mask) | (latch & ~mask);
  }

  // What is to be seen

  /** The text screen, or null in graphics modes. */
  textScreen(): TextScreen | null {
    return textScreen(this.view);
  }

  /** What the picture on the screen is made of. */
  get view(): VgaView {
    const { s } = this;
    const [width, height, bpp] = [VBE_XRES, VBE_YRES, VBE_BPP].map((index) => s.vbe[index]);
    const start = Math.floor((s.vbe[VBE_X_OFFSET] * this.bits) / 8) + s.vbe[VBE_Y_OFFSET] * this.pitch;
    return {
      enabled: (s.attributeIndex & ATTRIBUTE_ENABLE) !== 0,
      vram: this.vram,
      sequencer: s.sequencer,
      graphics: s.graphics,
      crtc: s.crtc,
      attributes: s.attributes,
      palette: s.palette,
      pelMask: s.pelMask,
      dac8: (s.vbe[VBE_ENABLE] & VBE_8BIT_DAC) !== 0,
      vbe: s.vbe[VBE_ENABLE] & VBE_ENABLED ? { width, height, bpp, start, pitch: this.pitch } : null,
    };
  }

  override save(): unknown {
    return { function: super.save(), registers: structuredClone(this.s) };
  }

  override load(state: unknown): void {
    const saved = state as { function: unknown; registers: State };
    super.load(saved.function);
    this.s = structuredClone(saved.registers);
    this.changes++;
    this.mapRom();
  }
}
