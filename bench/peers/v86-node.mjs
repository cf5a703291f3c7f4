// v86 under Node: the guest's serial port on stdin and stdout, the instruction count on stderr when the text has come.
// Plain JavaScript, so that it starts without a loader. Its one argument is JSON: see processes.ts.

import { readFileSync, writeSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { V86 } from 'v86';

const given = JSON.parse(process.argv[2]);
const image = (path) => {
  const bytes = readFileSync(path);
  return { buffer: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) };
};

const emulator = new V86({
  wasm_path: given.wasm,
  memory_size: given.memory * 2 ** 20,
  vga_memory_size: 2 ** 21,
  bios: image(given.bios),
  vga_bios: image(given.vgaBios),
  ...(given.multiboot ? { multiboot: image(given.kernel) } : { bzimage: image(given.kernel) }),
  ...(given.initrd ? { initrd: image(given.initrd) } : {}),
  cmdline: given.append,
  disable_keyboard: true,
  disable_mouse: true,
  disable_speaker: true,
  autostart: true,
  ...Object.fromEntries(Object.entries(given.more).map(([name, value]) => [name, value?.file ? image(value.file) : value])),
});

if (given.more.net_device) {
  const { joinUserNetwork } = await import(pathToFileURL(given.network).href);
  // The NE2000's ring holds ten long frames, virtio's queue some hundred.
  const network = joinUserNetwork((frame) => emulator.bus.send('net0-receive', frame), given.more.net_device.type === 'virtio' ? 64 : 4);
  emulator.add_listener('net0-send', (frame) => network.send(frame));
}

let line = '';
let pending = [];
let isDone = given.until === '';
const flush = () => {
  writeSync(1, Uint8Array.from(pending));
  pending = [];
};
emulator.add_listener('serial0-output-byte', (byte) => {
  pending.push(byte);
  line = byte === 10 ? '' : line + String.fromCharCode(byte);
  const isNow = !isDone && line.includes(given.until);
  // A guest writes thousands of single bytes: they go out by the line, but for the dots of the loops.
  if (byte === 10 || byte === 46 || isNow) flush();
  if (!isNow) return;
  isDone = true;
  writeSync(2, `@bench ${JSON.stringify({ instructions: emulator.get_instruction_counter() })}\n`);
});
process.stdin.on('data', (bytes) => emulator.serial0_send(bytes.toString('latin1')));
