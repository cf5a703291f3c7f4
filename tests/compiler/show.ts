// Shows what the compiler makes of instructions: guest assembly, and the emitted code.
//   node --import tsx tests/compiler/show.ts [16|32|64] HEX…        such as: 64 48 01 c8 75 fb

import { disassemble } from '../../src/x86/disassemble.ts';
import { emitted } from './emitted.ts';

const [bits, ...words] = process.argv.slice(2);
const hex = words.join('');
if (!/^(16|32|64)$/.test(bits) || !/^([0-9a-f]{2})+$/i.test(hex)) {
  console.error('usage: node --import tsx tests/compiler/show.ts 16|32|64 HEX…');
  process.exit(2);
}
const ORIGIN = bits === '16' ? 0 : 0x40_1000;
const code = Uint8Array.from(hex.match(/../g)!, (byte) => parseInt(byte, 16));
for (let at = 0; at < code.length; ) {
  const { text, length } = disassemble(code, at, Number(bits) as 16 | 32 | 64, BigInt(ORIGIN + at));
  if (length === 0) break;
  console.log(`${(ORIGIN + at).toString(16)}:  ${[...code.subarray(at, at + length)].map((b) => b.toString(16).padStart(2, '0')).join(' ').padEnd(24)} ${text}`);
  at += length;
}
const { module, text } = emitted(Number(bits) as 16 | 32 | 64, [...code]);
console.log(`\n${text}\n\n${module.length} bytes of module`);
process.exit(0);
