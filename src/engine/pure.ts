// The functions without effect of core.wasm, as imports of a module that is being built.

import type { FunctionRef, ModuleBuilder } from '../wasm/module.ts';
import { PURE_FUNCTIONS, type PureFunction } from '../x86/core-functions.ts';

export function importPure(module: ModuleBuilder): Record<PureFunction, FunctionRef> {
  return Object.fromEntries(
    Object.entries(PURE_FUNCTIONS).map(([name, { params, result }]) => [name, module.import('core', name, params, result)]),
  ) as Record<PureFunction, FunctionRef>;
}
