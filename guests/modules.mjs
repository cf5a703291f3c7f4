// Kernel modules of a Debian kernel package and what they depend on. The package has no modules.dep (depmod makes
// it at installation), so each module's own list is read: "depends=a,b" in its section .modinfo.

import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

/** Modules below a folder (/lib/modules/RELEASE) by name, dashes as underscores. */
export function findModules(folder) {
  const modules = new Map();
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.ko')) continue;
    const path = join(entry.parentPath ?? entry.path, entry.name);
    const name = entry.name.slice(0, -'.ko'.length).replaceAll('-', '_');
    modules.set(name, { name, path, file: relative(folder, path).replace(/^.*\//, ''), needs: [] });
  }
  return modules;
}

/** The named modules and all they need, each after what it needs; fills in `needs`: everything below a module, in the order in which it loads. */
export function dependencies(modules, names) {
  const order = [];
  const visit = (name, path) => {
    const module = modules.get(name);
    if (!module) throw new Error(`module ${path.at(-1)} needs ${name}, which the kernel package does not have`);
    if (order.includes(module)) return module;
    if (path.includes(name)) throw new Error(`modules need each other: ${[...path, name].join(' ')}`);
    const direct = moduleInfo(readFileSync(module.path), 'depends').split(',').filter(Boolean).map((need) => need.replaceAll('-', '_'));
    const all = new Set();
    for (const need of direct) {
      for (const deeper of visit(need, [...path, name]).needs) all.add(deeper);
      all.add(need);
    }
    module.needs = [...all];
    order.push(module);
    return module;
  };
  for (const name of names) visit(name, []);
  return order;
}

/** A value of a module's .modinfo: strings "key=value", each ended by a zero byte. */
export function moduleInfo(bytes, key) {
  const at = bytes.indexOf(`\0${key}=`, 0, 'latin1');
  if (at < 0) return '';
  const start = at + key.length + 2;
  return bytes.toString('latin1', start, bytes.indexOf(0, start));
}
