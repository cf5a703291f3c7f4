import { fileURLToPath } from 'node:url';
import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';
import { earlyPlugin } from './src/ui/build/early.ts';
import { guestsPlugin } from './src/ui/build/guests.ts';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** Without these a browser gives the page no shared memory. */
const headers = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'same-origin',
};

/** `--mode fake-machine`: the page with a stand-in for the machine worker, for tests of the page alone. */
function fakeMachine(): Plugin {
  return {
    name: 'tabvisor-fake-machine',
    enforce: 'pre',
    resolveId(id) {
      return /workers\/machine\.ts\?worker$/.test(id) ? `${here('./e2e/fake-machine.ts')}?worker` : undefined;
    },
  };
}

export default defineConfig(({ mode }) => {
  const fake = mode === 'fake-machine';
  return {
    // Every path relative: the built folder works under any path of a static host.
    base: './',
    // A file that is not there is a 404, not the page.
    appType: 'mpa',
    plugins: [react(), guestsPlugin(here('./guests/out')), earlyPlugin(here('./guests/out')), ...(fake ? [fakeMachine()] : [])],
    build: {
      target: 'es2022',
      outDir: fake ? 'build/fake-page' : 'dist',
      emptyOutDir: true,
      // The console (xterm) is most of it, and every room but Help needs it soon.
      chunkSizeWarningLimit: 800,
      rolldownOptions: { checks: { pluginTimings: false } },
      // The WebAssembly files go as files.
      assetsInlineLimit: 0,
    },
    worker: { format: 'es' },
    server: { headers },
    preview: { headers },
    test: {
      // Specs that boot guests take a core each.
      maxWorkers: 2,
      // How long a spec takes says nothing: computers are slow, and do other things.
      testTimeout: 60_000,
      // What takes many minutes is run by npm run test:long alone.
      include: process.env.TABVISOR_LONG ? ['tests/**/*.long.ts'] : ['src/**/*.spec.ts', 'src/**/*.spec.tsx', 'tests/**/*.spec.ts', 'bin/**/*.spec.ts', 'workers/**/*.spec.ts', 'guests/**/*.spec.ts', 'relay/**/*.spec.ts', 'bench/**/*.spec.ts'],
    },
  };
});
