import { describe, expect, it } from 'vitest';
import { buildIfOlder } from '../../scripts/build-core.mjs';
import { Mem } from '../core/layout.ts';
import { engineModules } from '../../tests/compiler/process.ts';
import { Vcpu, type VcpuHost } from './vcpu.ts';

describe('a new vCPU', () => {
  it('has executed nothing, though its interpreter has been entered', async () => {
    await buildIfOlder();
    const memory = new WebAssembly.Memory({ initial: Mem.RAM / 65536, maximum: 65536, shared: true });
    const host = new Proxy({}, { get: (_, name) => () => { throw new Error(`it asks its host: ${String(name)}`); } }) as VcpuHost;
    const vcpu = new Vcpu(memory, engineModules(), host, 0, { without: [], kvmFeatures: null, apicId: 0, cpus: 1 }, null);
    expect(new Uint8Array(memory.buffer, vcpu.base, Mem.CPU_SIZE).findIndex((byte) => byte !== 0)).toBe(-1);
  }, 60_000);
});
