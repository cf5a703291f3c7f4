// Entry point of the machine worker in the browser: offers a machine to the page that started it.

import coreUrl from '../build/core.wasm?url';
import interpreterUrl from '../build/interpreter.wasm?url';
import { MachineError, exposeMachine } from '../src/machine/client.ts';
import { download } from '../src/machine/download.ts';
import type { HostEnvironment } from '../src/machine/environment.ts';
import { createMachineHost } from '../src/machine/host.ts';

const urls = { core: coreUrl, interpreter: interpreterUrl };

const environment: HostEnvironment = {
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
