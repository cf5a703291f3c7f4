// Entry point of the machine worker in the browser: offers a machine to the page that started it.

import { wrap } from 'comlink';
import coreUrl from '../build/core.wasm?url';
import interpreterUrl from '../build/interpreter.wasm?url';
import { MachineError, exposeMachine } from '../src/machine/client.ts';
import { download } from '../src/machine/download.ts';
import type { HostEnvironment } from '../src/machine/environment.ts';
import { createMachineHost } from '../src/machine/host.ts';
import { Monitor } from '../src/monitor/monitor.ts';
import { type NetworkIoApi, startNetworkIo } from '../src/machine/network-io.ts';

const urls = { core: coreUrl, interpreter: interpreterUrl };

const environment: HostEnvironment = {
  monitor: (target) => new Monitor(target),

  async engine(name, progress) {
    const bytes = await download(new URL(urls[name], location.href).href, `${name}.wasm`, progress);
    try {
      return await WebAssembly.compile(bytes as BufferSource);
    } catch (error) {
      throw new MachineError({
        what: `The engine (${name}.wasm) could not be used`,
        why: error instanceof Error ? error.message : String(error),
        advice: 'This browser may be too old for it; Help lists what it can and cannot do.',
      });
    }
  },
  async openNetwork(netdevs) {
    const worker = new Worker(new URL('./io.ts', import.meta.url), { type: 'module' });
    const failed = new Promise<never>((_, reject) => {
      worker.onerror = (event) => reject(new MachineError({ what: 'The network could not be started', why: event.message || 'its worker did not load', advice: 'Load the page again.' }));
    });
    return Promise.race([failed, startNetworkIo(netdevs, wrap<NetworkIoApi>(worker))]);
  },
  openCompiler() {
    const worker = new Worker(new URL('./compiler.ts', import.meta.url), { type: 'module', name: 'compiler' });
    return {
      post: (message) => worker.postMessage(message),
      onMessage: (handler) => worker.addEventListener('message', ({ data }) => handler(data)),
    };
  },
  async read(file, progress) {
    if ('bytes' in file.source) {
      progress(file.source.bytes.length, file.source.bytes.length);
      return file.source.bytes;
    }
    return download(file.source.url, file.name, progress);
  },
};

exposeMachine(createMachineHost(environment));
