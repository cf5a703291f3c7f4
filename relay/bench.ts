// What a relay carries: many clients, each in a room with one other, that send at a rate until the machine carries no more.
// Usage: node --import tsx relay/bench.ts [CLIENTS=1000] [SECONDS=300]
// Prints frames a second, latency (median, p99), and the memory of the relay's process, which is a child of this one. Clients share
// this process, so that the figures are those of both together on this machine.

import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { WebSocket } from 'ws';

const CLIENTS = Number(process.argv[2] ?? 1000);
const SECONDS = Number(process.argv[3] ?? 300);
const FRAME = 256;
/** Frames of a client that are on their way at a time. */
const WINDOW = 1;

async function startRelay(): Promise<{ child: ChildProcess; url: string }> {
  const program = fileURLToPath(new URL('../build/node/tabvisor-relay.js', import.meta.url));
  const child = spawn(process.execPath, [program, '--port', '0', '--no-nat', '--max-clients', String(CLIENTS + 10)], { stdio: ['ignore', 'ignore', 'pipe'] });
  const url = await new Promise<string>((resolve) => child.stderr!.on('data', (data) => {
    const match = /ws:\/\/\S+/.exec(String(data));
    if (match) resolve(match[0]);
  }));
  return { child, url };
}

/** Resident memory, MiB (proc(5)). */
const resident = (pid: number): number => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024;

const { child, url } = await startRelay();
const sockets: WebSocket[] = [];
const latencies: number[] = [];
let frames = 0;
let closed = 0;
console.log(`${CLIENTS} clients in ${CLIENTS / 2} rooms, frames of ${FRAME} bytes, ${WINDOW} on its way each, ${SECONDS} s`);
for (let n = 0; n < CLIENTS; n++) {
  const socket = new WebSocket(`${url}room${n >> 1}`, { perMessageDeflate: false });
  await new Promise((resolve, reject) => {
    socket.on('open', resolve);
    socket.on('error', reject);
  });
  socket.on('close', () => closed++);
  sockets.push(socket);
}
console.log(`connected; relay ${resident(child.pid!).toFixed(0)} MiB`);
let isOver = false;
const send = (n: number): void => {
  if (isOver) return;
  const frame = Buffer.alloc(FRAME);
  frame.set([2, 0, 0, 0, (n ^ 1) >> 8, (n ^ 1) & 255, 2, 0, 0, 0, n >> 8, n & 255, 0x88, 0xb5]);
  frame.writeDoubleBE(performance.now(), 14);
  sockets[n].send(frame);
};
sockets.forEach((socket, n) => socket.on('message', (data: Buffer) => {
  frames++;
  // Every hundredth is enough for the distribution, and millions of numbers would be this process's own load.
  if (frames % 100 === 0) latencies.push(performance.now() - data.readDoubleBE(14));
  send(n);
}));
const began = performance.now();
for (let n = 0; n < CLIENTS; n += 2) for (let w = 0; w < WINDOW; w++) send(n);
await new Promise((resolve) => setTimeout(resolve, SECONDS * 1000));
isOver = true;
const seconds = (performance.now() - began) / 1000;
latencies.sort((a, b) => a - b);
const at = (part: number): string => latencies[Math.floor(latencies.length * part)].toFixed(2);
console.log(`${Math.round(frames / seconds)} frames/s, latency median ${at(0.5)} ms, p99 ${at(0.99)} ms; relay ${resident(child.pid!).toFixed(0)} MiB; ${closed} clients lost`);
child.kill('SIGTERM');
process.exit(closed === 0 ? 0 : 1);
