import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { RawMemory } from '../backends/block/raw-memory.ts';
import { buildIfOlder } from '../../scripts/build-core.mjs';
import { type BlockDone, BlockError } from '../devices/interfaces.ts';
import type { HostEnvironment } from './environment.ts';
import { createMachineHost } from './host.ts';

/** A place without an engine and without files. */
const never = (): never => { throw new Error('not reached'); };
const bare = { monitor: never, openFolder: never, engine: () => Promise.reject(new Error('no engine')), read: () => Promise.reject(new Error('no files')), openNetwork: () => Promise.reject(new Error('no network')) };
const events = { progress() {}, state() {}, failed() {}, exited() {} };
const create = (line: string) => createMachineHost(bare).create({ args: line.split(' '), files: [] }, events);

beforeAll(() => buildIfOlder(), 120_000);

describe('the machine host', () => {
  it('refuses what needs files of the host, where there are none', async () => {
    await expect(create('-kernel k -drive file=a,if=virtio,format=raw')).rejects.toMatchObject({ what: 'The option -drive cannot be used' });
    await expect(create('-kernel k -d int')).rejects.toMatchObject({ what: 'The option -d cannot be used' });
    await expect(create('-kernel k -serial file:x')).rejects.toMatchObject({ what: 'The option -serial file: cannot be used' });
    // Entropy needs none: this one gets as far as looking for the kernel.
    await expect(create('-kernel k -device virtio-rng-pci')).rejects.toMatchObject({ what: 'k is missing' });
  });

  it('lets go of a medium that is taken out, but of none whose writes could not be kept', { timeout: 60_000 }, async () => {
    const log: string[] = [];
    let full = false;
    class Medium extends RawMemory {
      constructor(private readonly file: string) { super(new Uint8Array(1_474_560)); }
      override flush(done: BlockDone): void { done(full ? new BlockError('there is no room') : null); }
      close(): void { log.push(`${this.file} closed`); }
    }
    const environment: HostEnvironment = {
      ...bare,
      monitor: () => ({ execute: never, complete: never }),
      engine: async (name) => new WebAssembly.Module(readFileSync(fileURLToPath(new URL(`../../build/${name}.wasm`, import.meta.url)))),
      // Firmware has code at its end: HLT, at the reset vector.
      read: async () => new Uint8Array(65536).fill(0xf4),
      openDisk({ file }) {
        log.push(`${file} opened`);
        return new Medium(file);
      },
    };
    const host = createMachineHost(environment);
    const file = (name: string) => ({ name, source: { bytes: new Uint8Array() } });
    await host.create({ args: '-m 16 -S -vga none -nic none -bios bios -fda a'.split(' '), files: [file('bios')] }, events);
    await host.insert('floppy0', file('b'), true);
    await host.insert('floppy0', file('a'), true);
    await host.eject('floppy0', false);
    await host.insert('floppy0', file('b'), true);
    expect(log.splice(0)).toEqual(['a opened', 'b opened', 'a closed', 'a opened', 'b closed', 'a closed', 'b opened']);
    full = true;
    await host.eject('floppy0', false);
    full = false;
    await host.insert('floppy0', file('b'), true);
    expect(log.splice(0)).toEqual([]);
    await host.eject('floppy0', false);
    await host.insert('floppy0', file('c'), true);
    expect(log).toEqual(['b closed', 'c opened']);
  });
});
