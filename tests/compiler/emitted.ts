// The code that the compiler makes of a few instructions, as text.

import binaryen from 'binaryen';
import { Cpu, Mem } from '../../src/core/layout.ts';
import { Process } from './process.ts';
import { RealMode } from './real-mode.ts';

const CODE = 0x40_1000;
/** Parameters of a region's function. */
const PARAMS = 2;

/** A static program that consists of these bytes and UD2. */
export function program(bits: 32 | 64, code: readonly number[]): Uint8Array {
  const elf = new Uint8Array(0x1000 + code.length + 2);
  const view = new DataView(elf.buffer);
  elf.set([0x7f, 0x45, 0x4c, 0x46, bits === 64 ? 2 : 1]);
  const wide = bits === 64;
  const word = (at: number, value: number): void => (wide ? view.setBigUint64(at, BigInt(value), true) : view.setUint32(at, value, true));
  word(24, CODE);
  word(wide ? 32 : 28, 0x80);
  view.setUint16(wide ? 54 : 42, wide ? 56 : 32, true);
  view.setUint16(wide ? 56 : 44, 1, true);
  view.setUint32(0x80, 1, true);
  const [offset, address, size] = wide ? [8, 16, 32] : [4, 8, 16];
  word(0x80 + offset, 0x1000);
  word(0x80 + address, CODE);
  word(0x80 + size, code.length + 2);
  elf.set([...code, 0x0f, 0x0b], 0x1000);
  return elf;
}

export interface Emitted {
  readonly module: Uint8Array;
  /** Its body, one line a block of instructions. */
  text: string;
}

/** What a region that begins with these bytes becomes; 16 bits are real mode. @throws if nothing is compiled */
export function emitted(bits: 16 | 32 | 64, code: readonly number[]): Emitted {
  const process = bits === 16 ? new RealMode(code, { threshold: 1 }) : new Process(program(bits, code), ['golden'], { threshold: 1 });
  process.vcpu.set64(Cpu.RCX, 1n);
  try {
    process.run(1);
  } catch {
    // UD2, or an operand that points nowhere: the code was made before.
  }
  const bytes = process.vcpu.compiler.service?.lastBytes;
  if (!bytes) throw new Error('nothing was compiled');
  return { module: bytes, text: numbered(wrap(wordsOf(bytes))) };
}

/** The instructions of a module's one function. */
function wordsOf(bytes: Uint8Array): string[] {
  // AssemblyScript, which uses the same binaryen, has it optimise.
  binaryen.setOptimizeStackIR(false);
  const module = binaryen.readBinary(bytes);
  module.setFeatures(binaryen.Features.All);
  const all = module.emitStackIR();
  module.dispose();
  const start = all.indexOf('\n (func $');
  const body = all.slice(all.indexOf('\n', start + 1) + 1, all.lastIndexOf('\n )'));
  return body.split('\n').map((line) => line.trim().replace(/ align=1\b/g, '')).filter((line) => line !== '' && !line.startsWith('(local '));
}

/** Of a region of one instruction: what is its own, between the budget's share and the way out. */
function ownWords(words: readonly string[]): readonly string[] {
  const budget = words.findIndex((word, n) => word === 'local.set $2' && words[n - 1] === 'i32.sub' && words[n - 2] === 'i32.const 1');
  let depth = 0;
  const rest = words.slice(budget + 1);
  const end = rest.findIndex((word) => {
    if (/^(block|loop|if)\b/.test(word)) depth++;
    return word === 'end' && depth-- === 0;
  });
  return rest.slice(0, end);
}

/** Has single instructions compiled, each on a page of its own. */
export class InstructionCompiler extends Process {
  private at = CODE;

  constructor(bits: 32 | 64) {
    super(program(bits, [0x90]), ['forms'], { threshold: 1 });
  }

  /** The module that an instruction becomes; null where it is left to the interpreter. */
  module(code: readonly number[]): Uint8Array | null {
    const { vcpu, u8 } = this;
    this.at += 0x1000;
    u8.set([...code, 0x0f, 0x0b], Mem.RAM + this.at);
    const service = vcpu.compiler.service!;
    service.lastBytes = null;
    this.toUser(BigInt(this.at), 0x202);
    try {
      vcpu.run(1);
    } catch {
      // There are no ports; the code was made before.
    }
    return service.lastBytes;
  }

  /** What becomes of an instruction: its own part of the function; that it is called; or null where it is left to the interpreter. */
  text(code: readonly number[]): string | null {
    const module = this.module(code);
    if (!module) return null;
    const own = ownWords(wordsOf(module));
    return own.some((word) => word.includes('$call_handler')) ? 'called' : numbered(wrap(own));
  }
}

/** Locals in the order in which they appear, so that one more somewhere does not change the number of each. */
function numbered(text: string): string {
  const numbers = new Map<string, number>();
  return text.replace(/\blocal\.(get|set|tee) \$(\d+)/g, (_, how: string, local: string) => {
    if (Number(local) < PARAMS) return `local.${how} $${local}`;
    if (!numbers.has(local)) numbers.set(local, PARAMS + numbers.size);
    return `local.${how} $${numbers.get(local)}`;
  });
}

/** Lines of at most 140 characters, broken before loops, blocks and exits. */
function wrap(words: readonly string[]): string {
  const lines: string[] = [];
  let line = '';
  for (const word of words) {
    const breaks = /^(block|loop|if|else|end|return)\b/.test(word);
    if (line && (breaks || line.length + word.length > 138)) {
      lines.push(line);
      line = '';
    }
    line += line ? `; ${word}` : word;
    if (breaks) {
      lines.push(line);
      line = '';
    }
  }
  if (line) lines.push(line);
  return lines.join('\n');
}
