import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { dependencies, findModules, moduleInfo } from './modules.mjs';

describe('moduleInfo', () => {
  it('finds a value by its whole key', () => {
    const bytes = Buffer.from('\0license=GPL\0xdepends=no\0depends=a,b-c\0name=x\0');
    expect(moduleInfo(bytes, 'depends')).toBe('a,b-c');
    expect(moduleInfo(bytes, 'license')).toBe('GPL');
    expect(moduleInfo(bytes, 'alias')).toBe('');
  });
});

describe('dependencies', () => {
  it('puts every module after what it needs', () => {
    const folder = mkdtempSync(join(tmpdir(), 'tabvisor-modules-'));
    try {
      mkdirSync(join(folder, 'kernel/net'), { recursive: true });
      for (const [file, needs] of [['kernel/top', 'left,right'], ['kernel/net/left', 'base-low'], ['kernel/right', 'base_low'], ['kernel/base-low', ''], ['kernel/other', '']]) {
        writeFileSync(join(folder, `${file}.ko`), `\0depends=${needs}\0`);
      }
      const modules = findModules(folder);
      expect(dependencies(modules, ['top']).map((module) => module.file)).toEqual(['base-low.ko', 'left.ko', 'right.ko', 'top.ko']);
      expect(modules.get('top')!.needs).toEqual(['base_low', 'left', 'right']);
      writeFileSync(join(folder, 'kernel/base-low.ko'), '\0depends=top\0');
      expect(() => dependencies(findModules(folder), ['top'])).toThrow('need each other');
      writeFileSync(join(folder, 'kernel/base-low.ko'), '\0depends=gone\0');
      expect(() => dependencies(findModules(folder), ['top'])).toThrow('gone');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
