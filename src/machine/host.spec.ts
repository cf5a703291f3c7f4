import { describe, expect, it } from 'vitest';
import { createMachineHost } from './host.ts';

/** A place without an engine and without files. */
const never = (): never => { throw new Error('not reached'); };
const bare = { monitor: never, openFolder: never, engine: () => Promise.reject(new Error('no engine')), read: () => Promise.reject(new Error('no files')), openNetwork: () => Promise.reject(new Error('no network')) };
const events = { progress() {}, state() {}, failed() {}, exited() {} };
const create = (line: string) => createMachineHost(bare).create({ args: line.split(' '), files: [] }, events);

describe('the machine host', () => {
  it('refuses what needs files of the host, where there are none', async () => {
    await expect(create('-kernel k -drive file=a,if=virtio,format=raw')).rejects.toMatchObject({ what: 'The option -drive cannot be used' });
    await expect(create('-kernel k -d int')).rejects.toMatchObject({ what: 'The option -d cannot be used' });
    await expect(create('-kernel k -serial file:x')).rejects.toMatchObject({ what: 'The option -serial file: cannot be used' });
    // Entropy needs none: this one gets as far as the engine.
    await expect(create('-kernel k -device virtio-rng-pci')).rejects.toThrow('no engine');
  });
});
