// Writes build/interpreter.wasm from the instruction meanings.

import { mkdirSync, writeFileSync } from 'node:fs';
import { generateInterpreter } from '../src/engine/interpret.ts';
import { kinds } from '../src/engine/kinds.ts';

const out = new URL('../build/', import.meta.url);
mkdirSync(out, { recursive: true });
const bytes = generateInterpreter();
writeFileSync(new URL('interpreter.wasm', out), bytes);
const hot = kinds.kinds.filter((k) => k.hot).length;
console.log(`interpreter.wasm: ${bytes.length} bytes, ${hot} kinds inline, ${kinds.kinds.length - hot} called`);
