// Assembles the guests and runs each under QEMU's TCG, to check that the results in their headers are right.
// `node tests/guests/run-qemu.mjs [name…]`; with --print it shows the output instead of checking it.
// The same binaries are run on Tabvisor by guests.spec.ts.

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

const here = import.meta.dirname;

/**
 * A guest's header: lines ";   text" after "; expect:" are what COM1 must show. A line "; qemu: text" after one of them
 * says what QEMU's TCG shows in its place (and "; qemu:" alone, that it shows nothing), with the reason in the comment.
 */
export function readHeader(source) {
  const expected = [];
  const qemu = [];
  let inside = false;
  for (const line of source.split('\n')) {
    if (!line.startsWith(';')) break;
    if (line.startsWith('; expect:')) inside = true;
    else if (inside && line.startsWith(';   ')) {
      expected.push(line.slice(4));
      qemu.push(line.slice(4));
    } else if (inside && line.startsWith('; qemu:')) qemu[qemu.length - 1] = line.slice(7).trim();
  }
  return { expected, qemu: qemu.filter((l) => l !== '') };
}

export function guestNames() {
  return readdirSync(here)
    .filter((f) => f.endsWith('.asm'))
    .map((f) => basename(f, '.asm'))
    .sort();
}

export function assemble(name, folder) {
  const output = join(folder, `${name}.elf`);
  execFileSync('nasm', ['-f', 'bin', '-I', `${here}/`, '-o', output, join(here, `${name}.asm`)], { stdio: ['ignore', 'inherit', 'inherit'] });
  return output;
}

function run(name, folder, print) {
  const image = assemble(name, folder);
  const source = readFileSync(join(here, `${name}.asm`), 'utf8');
  const skip = /^; not for qemu: (.*)$/m.exec(source);
  if (skip && !print) {
    console.log(`--   ${name}: not for QEMU, ${skip[1]}`);
    return true;
  }
  const { qemu } = readHeader(source);
  const serial = join(folder, `${name}.txt`);
  const result = spawnSync(
    'qemu-system-x86_64',
    ['-accel', 'tcg', '-cpu', 'max', '-m', '64', '-display', 'none', '-no-reboot', '-net', 'none', '-serial', `file:${serial}`, '-device', 'isa-debug-exit,iobase=0x501,iosize=2', '-kernel', image],
    { timeout: 20_000 },
  );
  const lines = readFileSync(serial, 'latin1').split('\n').map((l) => l.trimEnd()).filter((l) => l !== '');
  if (print) {
    console.log(lines.map((l) => `;   ${l}`).join('\n'));
    if (result.status !== 1) console.log(`(status ${result.status ?? result.signal})`);
    return true;
  }
  const wrong = [];
  if (result.status !== 1) wrong.push(`exit status ${result.status ?? result.signal}, not 1`);
  for (let i = 0; i < Math.max(lines.length, qemu.length); i++) {
    if (lines[i] !== qemu[i]) wrong.push(`line ${i + 1}: "${lines[i] ?? ''}", header "${qemu[i] ?? ''}"`);
  }
  console.log(`${wrong.length ? 'FAIL' : 'ok  '} ${name} (${lines.length} lines)`);
  for (const w of wrong) console.log(`     ${w}`);
  return wrong.length === 0;
}

if (process.argv[1] === import.meta.filename) {
  const args = process.argv.slice(2);
  const print = args.includes('--print');
  const names = args.filter((a) => a !== '--print');
  const folder = mkdtempSync(join(tmpdir(), 'guests-'));
  let good = true;
  for (const name of names.length ? names : guestNames()) good = run(name, folder, print) && good;
  rmSync(folder, { recursive: true });
  process.exitCode = good ? 0 : 1;
}
