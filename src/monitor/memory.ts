// Guest memory as the monitor reads and writes it: by physical or linear address, RAM and ROM through the page map, the rest through the devices.

import { Cpu, Mem, Pmap } from '../core/layout.ts';
import type { Machine } from '../machine/machine.ts';

const PAGE = 4096;
const PAGE_MASK = 0xfffn;
const EFER_LMA = 0x400n;
const UNMAPPED = 0xffff_ffff_ffff_ffffn;

/** The physical address of a linear one, or undefined where nothing is mapped. */
export function translate({ vcpu }: Machine, address: bigint): bigint | undefined {
  if (vcpu.get64(Cpu.EFER) & EFER_LMA && BigInt.asUintN(64, BigInt.asIntN(48, address)) !== BigInt.asUintN(64, address)) return undefined;
  const physical = BigInt.asUintN(64, vcpu.core.translate_debug(vcpu.base, BigInt.asUintN(64, address)));
  return physical === UNMAPPED ? undefined : physical;
}

/** Fill bytes from one physical page; false where nothing answers. */
function readPage(machine: Machine, address: bigint, into: Uint8Array): boolean {
  if (address > 0xffff_ffffn) return false;
  const at = Number(address);
  const { buffer } = machine.memory;
  const entry = new Uint32Array(buffer, Mem.PMAP, Mem.PMAP_SIZE / 4)[Math.floor(at / PAGE)];
  if (entry & Pmap.READ) {
    into.set(new Uint8Array(buffer, ((entry & -PAGE) >>> 0) + (at % PAGE), into.length));
    return true;
  }
  if (!machine.pc.hasMmio(at)) return false;
  // Registers are read as wide as may be: many devices know 32 bits only.
  for (let n = 0; n < into.length; ) {
    const size = (at + n) % 4 === 0 && into.length - n >= 4 ? 4 : (at + n) % 2 === 0 && into.length - n >= 2 ? 2 : 1;
    const value = machine.pc.mmioRead(at + n, 0, size);
    for (let i = 0; i < size; i++) into[n++] = value >>> (8 * i);
  }
  return true;
}

/** Bytes at an address, or undefined if any of them cannot be read. @param physical not linear */
export function readMemory(machine: Machine, address: bigint, length: number, physical: boolean): Uint8Array<ArrayBuffer> | undefined {
  const out = new Uint8Array(length);
  for (let n = 0; n < length; ) {
    const at = BigInt.asUintN(64, address + BigInt(n));
    const from = physical ? at : translate(machine, at);
    if (from === undefined) return undefined;
    const chunk = Math.min(length - n, PAGE - Number(at & PAGE_MASK));
    if (!readPage(machine, from, out.subarray(n, n + chunk))) return undefined;
    n += chunk;
  }
  return out;
}

/** As many of the bytes at an address as can be read, up to the first page that cannot. */
export function readUpTo(machine: Machine, address: bigint, length: number, physical: boolean): Uint8Array {
  const out = new Uint8Array(length);
  let n = 0;
  while (n < length) {
    const at = BigInt.asUintN(64, address + BigInt(n));
    const chunk = readMemory(machine, at, Math.min(length - n, PAGE - Number(at & PAGE_MASK)), physical);
    if (!chunk) break;
    out.set(chunk, n);
    n += chunk.length;
  }
  return out.subarray(0, n);
}

/** Little-endian unsigned number of a table in physical memory, or undefined where there is none. */
export function readPhysical(machine: Machine, address: bigint, size: 4 | 8): bigint | undefined {
  const bytes = readMemory(machine, address, size, true);
  if (!bytes) return undefined;
  const view = new DataView(bytes.buffer);
  return size === 8 ? view.getBigUint64(0, true) : BigInt(view.getUint32(0, true));
}
