// 93C46: a serial EEPROM of 64 words of 16 bits, behind four wires (Microwire).
// Microchip "93AA46/93LC46/93C46" data sheet: instruction set (table 2-1), timing. Programming takes no time here.

import type { Snapshotable } from '../interfaces.ts';

export const EEPROM_WORDS = 64;
const ADDRESS_BITS = 6;
/** Start bit, two bits of opcode, address. */
const INSTRUCTION_BITS = 3 + ADDRESS_BITS;

interface State {
  words: Uint16Array;
  select: boolean;
  clock: boolean;
  /** Bits in since the start bit, and how many. */
  shift: number;
  count: number;
  /** What goes out at DO. */
  out: number;
  outCount: number;
  data: boolean;
  address: number;
  writeEnabled: boolean;
}

/** What the chip has got as an instruction that takes 16 bits of data, or none. */
type Pending = 'write' | 'write all';

export class Eeprom93c46 implements Snapshotable {
  private s: State & { pending?: Pending };

  /** @param words as it left the factory */
  constructor(words: ArrayLike<number>) {
    this.s = {
      words: Uint16Array.from({ length: EEPROM_WORDS }, (_, i) => words[i] ?? 0xffff), select: false, clock: false, shift: 0, count: 0, out: 0, outCount: 0, data: true, address: 0,
      writeEnabled: false,
    };
  }

  /** Contents, for a card that reads them by itself. */
  get words(): Uint16Array {
    return this.s.words;
  }

  /** Level of DO; high while it is not driven. */
  get dataOut(): boolean {
    return this.s.data;
  }

  /** Levels of CS, SK and DI. */
  setPins(select: boolean, clock: boolean, dataIn: boolean): void {
    const { s } = this;
    const rising = clock && !s.clock;
    s.clock = clock;
    if (!select) {
      s.select = false;
      s.shift = s.count = s.outCount = 0;
      s.pending = undefined;
      // Ready: programming takes no time.
      s.data = true;
      return;
    }
    s.select = true;
    if (rising) this.tick(dataIn ? 1 : 0);
  }

  private tick(bit: number): void {
    const { s } = this;
    if (s.outCount > 0) {
      s.data = ((s.out >> (s.outCount - 1)) & 1) !== 0;
      if (--s.outCount === 0) {
        // A read goes on with the next word for as long as there are clocks.
        s.address = (s.address + 1) % EEPROM_WORDS;
        s.out = s.words[s.address];
        s.outCount = 16;
      }
      return;
    }
    if (s.count === 0 && bit === 0 && !s.pending) return;
    s.shift = (s.shift << 1) | bit;
    s.count++;
    if (s.pending) {
      if (s.count === 16) this.program(s.shift & 0xffff);
    } else if (s.count === INSTRUCTION_BITS) {
      this.instruction((s.shift >> ADDRESS_BITS) & 3, s.shift & (EEPROM_WORDS - 1));
    }
  }

  private instruction(opcode: number, address: number): void {
    const { s } = this;
    s.shift = s.count = 0;
    s.address = address;
    switch (opcode) {
      case 0b10: // READ: a zero goes first
        s.data = false;
        s.out = s.words[address];
        s.outCount = 16;
        return;
      case 0b01:
        s.pending = 'write';
        return;
      case 0b11: // ERASE
        if (s.writeEnabled) s.words[address] = 0xffff;
        return;
      default:
        // The upper bits of the address say which.
        switch (address >> 4) {
          case 0b11:
            s.writeEnabled = true;
            return;
          case 0b00:
            s.writeEnabled = false;
            return;
          case 0b10: // ERAL
            if (s.writeEnabled) s.words.fill(0xffff);
            return;
          default:
            s.pending = 'write all';
        }
    }
  }

  private program(value: number): void {
    const { s } = this;
    if (s.writeEnabled) {
      if (s.pending === 'write') s.words[s.address] = value;
      else s.words.fill(value);
    }
    s.pending = undefined;
    s.shift = s.count = 0;
  }

  save(): unknown {
    return { ...this.s, words: this.s.words.slice() };
  }

  load(state: unknown): void {
    const saved = state as typeof this.s;
    this.s = { ...saved, words: Uint16Array.from(saved.words) };
  }
}
