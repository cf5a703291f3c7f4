export interface KernelModule {
  name: string;
  path: string;
  file: string;
  needs: string[];
}
export function findModules(folder: string): Map<string, KernelModule>;
export function dependencies(modules: Map<string, KernelModule>, names: readonly string[]): KernelModule[];
export function moduleInfo(bytes: Uint8Array, key: string): string;
