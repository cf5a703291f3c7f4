// Guest-physical memory: the page map of layout.ts decides between bytes of the shared memory and MMIO.

import { Cpu, Mem, Pmap } from '../layout';
import { hostMmioRead, hostMmioWrite } from './host';

/** Page map entry of a physical address (A20 already applied); 0, so MMIO, from 4 GiB on. */
// @ts-ignore: decorator
@inline export function pageMap(phys: u64): u32 {
  return phys >> 32 ? 0 : load<u32>(Mem.PMAP + ((<u32>phys >> 12) << 2));
}

// @ts-ignore: decorator
@inline export function hostAddress(entry: u32, phys: u64): u32 {
  return (entry & 0xffff_f000) | (<u32>phys & 0xfff);
}

/** Read 1, 2, 4 or 8 bytes at an address in the shared memory. */
export function loadHost(address: u32, size: u32): u64 {
  switch (size) {
    case 1:
      return load<u8>(address);
    case 2:
      return load<u16>(address);
    case 4:
      return load<u32>(address);
    default:
      return load<u64>(address);
  }
}

export function storeHost(address: u32, size: u32, value: u64): void {
  switch (size) {
    case 1:
      store<u8>(address, <u8>value);
      break;
    case 2:
      store<u16>(address, <u16>value);
      break;
    case 4:
      store<u32>(address, <u32>value);
      break;
    default:
      store<u64>(address, value);
  }
}

export function mmioRead(cpu: u32, phys: u64, size: u32): u64 {
  const low = <u32>phys;
  const high = <u32>(phys >> 32);
  if (size == 8) {
    const first = <u64>hostMmioRead(cpu, low, high, 4);
    return first | ((<u64>hostMmioRead(cpu, low + 4, high, 4)) << 32);
  }
  return hostMmioRead(cpu, low, high, size);
}

export function mmioWrite(cpu: u32, phys: u64, size: u32, value: u64): void {
  const low = <u32>phys;
  const high = <u32>(phys >> 32);
  if (size == 8) {
    hostMmioWrite(cpu, low, high, 4, <u32>value);
    hostMmioWrite(cpu, low + 4, high, 4, <u32>(value >> 32));
  } else {
    hostMmioWrite(cpu, low, high, size, <u32>value);
  }
}

/** A paging-structure entry of 4 or 8 bytes, read in one piece: other CPUs change them. */
export function readEntry<T>(cpu: u32, address: u64): T {
  const phys = address & load<u64>(cpu, Cpu.A20_MASK);
  const entry = pageMap(phys);
  if (entry & Pmap.READ) return atomic.load<T>(hostAddress(entry, phys));
  return <T>mmioRead(cpu, phys, sizeof<T>());
}

/** Replace a paging-structure entry if nobody changed it since it was read; false: look again. */
export function updateEntry<T>(cpu: u32, address: u64, old: T, value: T): bool {
  const phys = address & load<u64>(cpu, Cpu.A20_MASK);
  const entry = pageMap(phys);
  // Accessed and dirty bits of tables in ROM or device memory cannot be kept.
  if (!(entry & Pmap.WRITE)) return true;
  return atomic.cmpxchg<T>(hostAddress(entry, phys), old, value) == old;
}
