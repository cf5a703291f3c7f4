// The worker that does a machine's network ends before the machine: whoever runs the machine is told, and the guest's cables are out.
// The machine worker is that of bin/tabvisor; beside it lies an I/O worker that starts as the real one does, and then throws.

import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';
import { build as esbuild } from 'esbuild';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { buildIfOlder } from '../../scripts/build-core.mjs';
import { wrapMachine } from '../../src/machine/client.ts';
import type { MachineFailure } from '../../src/machine/protocol.ts';

const root = resolve(import.meta.dirname, '../..');
const folder = mkdtempSync(join(tmpdir(), 'tabvisor-io-'));

const IO_WORKER = `
  import { parentPort } from 'node:worker_threads';
  import { expose } from 'comlink';
  import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';
  expose({
    async startNetwork() {},
    attach() { setTimeout(() => { throw new Error('out of breath'); }, 50); },
  }, nodeEndpoint(parentPort));
`;

beforeAll(async () => {
  await buildIfOlder();
  mkdirSync(join(folder, 'node'));
  for (const name of ['core.wasm', 'interpreter.wasm']) symlinkSync(join(root, 'build', name), join(folder, name));
  const options = { bundle: true, format: 'esm', platform: 'node', target: 'node20', absWorkingDir: root } as const;
  await esbuild({ ...options, entryPoints: ['workers/machine-node.ts', 'workers/compiler-node.ts'], outdir: join(folder, 'node') });
  await esbuild({ ...options, stdin: { contents: IO_WORKER, resolveDir: root }, outfile: join(folder, 'node/io-node.js') });
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  writeFileSync(join(folder, 'bios'), new Uint8Array(65536).fill(0xf4));
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true }));

it('an I/O worker that ends is told of, and takes the link down', async () => {
  const worker = new Worker(join(folder, 'node/machine-node.js'));
  try {
    const machine = wrapMachine(nodeEndpoint(worker));
    const bios = join(folder, 'bios');
    const warned = new Promise<MachineFailure>((resolve, reject) => {
      worker.on('error', reject);
      const line = `-m 16 -S -vga none -bios ${bios} -netdev user,id=u -device e1000,netdev=u,romfile= -netdev hub,id=h -device virtio-net-pci,netdev=h,romfile=`;
      machine.create({ args: line.split(' '), files: [{ name: bios, source: { url: pathToFileURL(bios).href } }] }, { progress() {}, state() {}, failed: reject, exited() {}, warned: resolve }).catch(reject);
    });
    expect(await warned).toMatchObject({ what: 'The network is gone', why: 'Its I/O worker has ended: out of breath' });
    expect(await machine.monitor('info network')).toContain('type=hub,name=default,state=lost');
  } finally {
    await worker.terminate();
  }
}, 60_000);
