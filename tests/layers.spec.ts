// The layers point one way (docs/architecture.md, "Layers"): which folder may import which. A wrong import fails here.

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../', import.meta.url));

/** What each layer may import beside itself. */
const ALLOWED: Record<string, readonly string[]> = {
  'src/core': [],
  'src/wasm': [],
  'src/x86': ['src/core', 'src/wasm'],
  'src/engine': ['src/core', 'src/wasm', 'src/x86'],
  'src/devices': ['src/core'],
  'src/virtio': ['src/core', 'src/devices'],
  // The ring and the control block are memory layout that both ends share.
  'src/backends': ['src/core', 'src/devices', 'src/machine/protocol.ts'],
  'src/machine': ['src/core', 'src/x86', 'src/engine', 'src/devices', 'src/virtio', 'src/backends'],
  // It looks into everything that makes up the machine; nothing below it knows it: the workers hand it in.
  'src/monitor': ['src/core', 'src/x86', 'src/engine', 'src/devices', 'src/virtio', 'src/backends/block/formats.ts', 'src/machine'],
  'src/runner': ['src/core', 'src/machine', 'src/monitor/readline.ts'],
  'src/img': ['src/backends/block'],
  'src/ui': ['src/core', 'src/machine', 'src/backends/block', 'src/monitor/readline.ts'],
  relay: ['src/backends/net', 'src/devices', 'src/machine/clock.ts'],
  // A backend that only one kind of host has stands beside that host's entry point.
  workers: ['src/machine', 'src/monitor', 'src/ui', 'src/devices/interfaces.ts', 'src/backends'],
};

/** Packages that a layer may import; all others may import none. */
const PACKAGES: Record<string, readonly string[]> = {
  'src/machine': ['comlink'],
  'src/backends': ['idb-keyval'],
  'src/runner': ['comlink'],
  'src/ui': ['react', 'react-dom', '@xterm', 'comlink', 'idb-keyval'],
  // ws: WebSockets under Node.
  relay: ['ws'],
  workers: ['comlink', 'ws'],
};

function sources(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return path === 'src/core/assembly' || path === 'src/ui/build' ? [] : sources(path);
    // Specs, and what only they use, may reach for anything that helps them.
    return /\.tsx?$/.test(entry.name) && !/\.spec\.tsx?$|\/testing\.ts$|\.d\.ts$/.test(path) ? [path] : [];
  });
}

function imports(path: string): string[] {
  const text = readFileSync(join(root, path), 'utf8');
  return [...text.matchAll(/^\s*(?:import|export)\b[^'";]*?from\s+'([^']+)'|^\s*import\s+'([^']+)'|(?<!\.)\bimport\(\s*'([^']+)'/gm)].map((m) => m[1] ?? m[2] ?? m[3]);
}

describe('layers', () => {
  for (const [layer, allowed] of Object.entries(ALLOWED)) {
    it(`${layer} imports only what lies below it`, () => {
      const files = sources(layer);
      expect(files.length).toBeGreaterThan(0);
      const wrong: string[] = [];
      for (const file of files) {
        for (const target of imports(file)) {
          if (target.startsWith('node:')) {
            // Only what never runs in a browser.
            if (layer !== 'src/runner' && layer !== 'relay' && layer !== 'src/img' && !/^(workers|src\/backends\/(block|fs|net))\/[^/]*-node\.ts$/.test(file)) wrong.push(`${file} imports ${target}`);
          } else if (target.startsWith('.')) {
            const path = relative(root, resolve(root, dirname(file), target));
            // Styles, and files that Vite serves.
            if (/\.css$|\?url$|\?worker/.test(path)) continue;
            if (![layer, ...allowed].some((prefix) => path === prefix || path.startsWith(`${prefix}/`))) wrong.push(`${file} imports ${path}`);
          } else if (!(PACKAGES[layer] ?? []).some((name) => target === name || target.startsWith(`${name}/`))) {
            wrong.push(`${file} imports ${target}`);
          }
        }
      }
      expect(wrong).toEqual([]);
    });
  }

  it('sees an import', () => {
    expect(imports('src/engine/cache.ts')).toContain('../x86/decode.ts');
  });
});
