// Random programs for real mode: instructions with operands anywhere in 64 KiB of any segment, in functions with loops, branches, near and
// far calls and jumps through tables. Each jump back counts down a word in the stack segment.

import { random } from './lockstep.ts';
import { SEGMENTS } from './real-mode.ts';

/** In the stack segment: counters of jumps back, and numbers of jumps through tables. */
const COUNTERS = 0x9000;
const PREFIXES = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65];

export function randomRealProgram(seed: number): Uint8Array {
  const below = random(seed);
  const pick = <T>(list: readonly T[]): T => list[below(list.length)];
  const bytes: number[] = [];
  const labels = new Map<string, number>();
  const fixups: { at: number; label: string; how: 'relative' | 'absolute' | 'alias' }[] = [];
  const put = (...values: number[]): void => void bytes.push(...values.map((value) => value & 255));
  const half = (value: number): void => put(value, value >> 8);
  const to = (label: string, how: 'relative' | 'absolute' | 'alias' = 'relative'): void => {
    fixups.push({ at: bytes.length, label, how });
    half(0);
  };
  const register = (): number => (below(40) === 0 ? 4 : pick([0, 1, 2, 3, 5, 6, 7]));
  /** ModRM of 16-bit addresses (Intel SDM volume 2, table 2-1), or now and then of a register. */
  const operand = (reg: number, memoryOnly = false): void => {
    const mod = memoryOnly ? below(3) : below(5) === 0 ? 3 : below(3);
    const rm = mod === 3 ? register() : below(8);
    put((mod << 6) | (reg << 3) | rm);
    if (mod === 1) put(below(256));
    if (mod === 2 || (mod === 0 && rm === 6)) half(below(0x1_0000));
  };
  let counters = 0;

  const instruction = (): void => {
    const before = bytes.length;
    if (below(7) === 0) put(pick(PREFIXES));
    const wide = below(8) === 0;
    if (wide) put(0x66);
    const immediate = (): void => {
      half(below(0x1_0000));
      if (wide) half(below(0x1_0000));
    };
    switch (below(30)) {
      case 0: case 1: case 2: case 3: case 4: case 5: {
        put((below(8) << 3) | below(4));
        return operand(register());
      }
      case 6: {
        const is16 = below(2);
        put((below(8) << 3) | 4 | is16);
        return is16 ? immediate() : put(below(256));
      }
      case 7: case 8: {
        const form = pick([0x80, 0x81, 0x83]);
        put(form);
        operand(below(8));
        return form === 0x81 ? immediate() : put(below(256));
      }
      case 9: {
        const [form, reg] = [0xf6 | below(2), pick([0, 2, 3, 4, 5, 6, 7])];
        put(form);
        operand(reg);
        if (reg === 0) (form === 0xf7 ? immediate() : put(below(256)));
        return;
      }
      case 10: case 11:
        return put(0x40 | (below(2) << 3) | register());
      case 12: case 13: case 14: case 15:
        put(0x88 | below(4));
        return operand(register());
      case 16: {
        const is16 = below(2);
        put(0xc6 | is16);
        operand(0);
        return is16 ? immediate() : put(below(256));
      }
      case 17: {
        const is16 = below(2);
        put(0xb0 | (is16 << 3) | (is16 ? register() : below(8)));
        return is16 ? immediate() : put(below(256));
      }
      case 18:
        put(0x8d);
        return operand(register(), true);
      case 19:
        put(0x84 | below(4));
        return operand(register());
      case 20: case 21: {
        const form = pick([0xc0, 0xc1, 0xd0, 0xd1, 0xd2, 0xd3]);
        put(form);
        operand(below(8));
        return form < 0xc2 ? put(below(40)) : undefined;
      }
      case 22: {
        // Around something, so that the stack stays.
        put(0x50 | register());
        for (let n = below(3); n > 0; n--) simple();
        return wide ? put(0x66, 0x58 | register()) : put(0x58 | register());
      }
      case 23: {
        // mov ax, selector; mov sreg, ax: data segments of the program's, and now and then any.
        put(0xb8);
        half(below(6) === 0 ? below(0x1_0000) : pick([SEGMENTS.ds, SEGMENTS.es, SEGMENTS.ss]));
        if (wide) half(0);
        return put(0x8e, 0xc0 | (pick([0, 3, 4, 5]) << 3));
      }
      case 24:
        // les, lds, lfs, lgs
        if (below(2)) put(0xc4 | below(2));
        else put(0x0f, 0xb4 | below(2));
        return operand(register(), true);
      case 25:
        // A repeated one with a count of its own: the tiers count its rounds by eight bytes, and would stop in its midst elsewhere.
        if (below(3) === 0) {
          bytes.length = before;
          put(0xb9);
          half(below(24));
          put(0xf2 | below(2));
        }
        return put(pick([0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf]));
      case 26: {
        const form = pick([0xa0, 0xa1, 0xa2, 0xa3]);
        put(form);
        return half(below(0x1_0000));
      }
      case 27:
        put(0x0f, pick([0xb6, 0xb7, 0xbe, 0xbf, 0xaf, 0xa3, 0xab, 0xb3, 0xbb, 0xb0, 0xb1, 0xc0, 0xc1, 0x90 | below(16), 0x40 | below(16)]));
        return operand(register());
      case 28:
        // push and pop of a data segment: a repeated STOS into its own bytes would end at other places in each tier
        return put(pick([0x06, 0x16, 0x1e]), pick([0x07, 0x1f]));
      default:
        return simple();
    }
  };
  const simple = (): void => {
    switch (below(12)) {
      case 0:
        return put(pick([0x98, 0x99]));
      case 1:
        return put(0x9e | below(2));
      case 2:
        return put(pick([0xf5, 0xf8, 0xf9, 0xfc, 0xfd, 0xfc, 0xfb, 0xfa]));
      case 3:
        return put(0xd7);
      case 4:
        return put(0x9c, 0x9d);
      case 5:
        return put(0x60, 0x61);
      case 6:
        // enter 4, 0; leave
        return put(0xc8, 4, 0, 0, 0xc9);
      case 7:
        return put(0xcd, 0x40 | below(4));
      case 8:
        // push word [..]; pop word [..]
        put(0xff);
        operand(6);
        put(0x8f);
        return operand(0);
      case 9:
        // 32-bit addresses: mov ax, [ebx + ecx * 2 + 5]
        return put(0x67, 0x8b, 0x44, 0x4b, 5);
      default:
        return put(0x90 | register());
    }
  };

  const functions = 3 + below(5);
  const isFar = Array.from({ length: functions }, () => below(3) === 0);
  isFar[0] = false;
  for (let f = functions - 1; f >= 0; f--) {
    labels.set(`f${f}`, bytes.length);
    const blocks = f > 0 && below(2) ? 1 + below(2) : 3 + below(9);
    const tables: { label: string; targets: string[] }[] = [];
    for (let b = 0; b < blocks; b++) {
      labels.set(`f${f}b${b}`, bytes.length);
      for (let count = 1 + below(9); count > 0; count--) instruction();
      const later = (): string => `f${f}b${b + 1 + below(blocks - b)}`;
      switch (below(7)) {
        case 0: case 1:
          // dec word [ss:counter]; jg back
          put(0x36, 0xff, 0x0e);
          half(COUNTERS + 2 * counters++);
          put(0x0f, 0x8f);
          to(`f${f}b${below(b + 1)}`);
          break;
        case 2: case 3:
          put(0x0f, 0x80 + below(16));
          to(later());
          break;
        case 4: case 5:
          if (f < functions - 1) {
            const target = f + 1 + below(functions - 1 - f);
            if (isFar[target]) {
              const isAlias = below(2) === 0;
              put(0x9a);
              to(`f${target}`, isAlias ? 'alias' : 'absolute');
              half(SEGMENTS.cs + (isAlias ? 1 : 0));
            } else if (below(3) > 0) {
              put(0xe8);
              to(`f${target}`);
            } else {
              // mov dx, function; call dx
              put(0xba);
              to(`f${target}`, 'absolute');
              put(0xff, 0xd2);
            }
          }
          break;
        default: {
          // mov bx, [ss:number]; inc word [ss:number]; and bx, 3; shl bx, 1; jmp [cs:bx + table]
          const at = COUNTERS + 2 * counters++;
          const label = `f${f}t${tables.length}`;
          tables.push({ label, targets: [later(), later(), later(), later()] });
          put(0x36, 0x8b, 0x1e);
          half(at);
          put(0x36, 0xff, 0x06);
          half(at);
          put(0x83, 0xe3, 0x03, 0xd1, 0xe3, 0x2e, 0xff, 0xa7);
          // A far function may run in the other segment, where its table is elsewhere.
          to(label, isFar[f] ? 'alias' : 'absolute');
        }
      }
    }
    labels.set(`f${f}b${blocks}`, bytes.length);
    put(isFar[f] ? 0xcb : 0xc3);
    for (const { label, targets } of tables) {
      labels.set(label, bytes.length);
      for (const target of targets) to(target, isFar[f] ? 'alias' : 'absolute');
    }
  }
  labels.set('entry', bytes.length);
  // mov ax, selector; mov ds, ax; the same for ES
  for (const [selector, code] of [[SEGMENTS.ds, 0xd8], [SEGMENTS.es, 0xc0]]) {
    put(0xb8);
    half(selector);
    put(0x8e, code);
  }
  for (let n = 0; n < counters; n++) {
    put(0x36, 0xc7, 0x06);
    half(COUNTERS + 2 * n);
    half(1 + below(12));
  }
  put(0xe8);
  to('f0');
  put(0xe9);
  to('entry');
  // jmp entry, which is where it begins. What follows has offsets in the other segment as well.
  const code = [0xe9, 0, 0, ...new Array<number>(29).fill(0xf4), ...bytes];
  const origin = 32;
  const patch = (at: number, value: number): void => {
    code[at] = value & 255;
    code[at + 1] = (value >> 8) & 255;
  };
  patch(1, labels.get('entry')! + origin - 3);
  for (const { at, label, how } of fixups) {
    const target = labels.get(label)! + origin;
    patch(at + origin, how === 'relative' ? target - (at + origin + 2) : how === 'alias' ? target - 16 : target);
  }
  return Uint8Array.from(code);
}
