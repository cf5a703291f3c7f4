// CMPXCHG8B and CMPXCHG16B: Intel SDM volume 2. Both are atomic with and without LOCK.

import { Cpu, Mem, Rflags, Status } from '../layout';
import { get_rflags, setArithmetic } from './flags';
import { lock_address, probe_write, read_slow, write_slow } from './memory';
import { faulted, raiseGp0 } from './state';

function setZf(cpu: u32, equal: bool): void {
  const others = get_rflags(cpu) & Rflags.ARITHMETIC & ~Rflags.ZF;
  setArithmetic(cpu, equal ? others | Rflags.ZF : others);
}

function exchange8(cpu: u32, va: u64): i32 {
  const expected = <u64>load<u32>(cpu, Cpu.RAX) | (<u64>load<u32>(cpu, Cpu.RDX) << 32);
  const wanted = <u64>load<u32>(cpu, Cpu.RBX) | (<u64>load<u32>(cpu, Cpu.RCX) << 32);
  const address = lock_address(cpu, va, 8);
  if (!address) return Status.FAULT;
  let found: u64;
  if (address != 1) {
    found = atomic.cmpxchg<u64>(address, expected, wanted);
  } else {
    found = read_slow(cpu, va, 8);
    if (faulted(cpu)) return Status.FAULT;
    write_slow(cpu, va, 8, found == expected ? wanted : found);
    if (faulted(cpu)) return Status.FAULT;
  }
  if (found != expected) {
    store<u64>(cpu, found & 0xffff_ffff, Cpu.RAX);
    store<u64>(cpu, found >> 32, Cpu.RDX);
  }
  setZf(cpu, found == expected);
  return Status.NEXT;
}

function exchange16(cpu: u32, va: u64): i32 {
  if (va & 15) {
    raiseGp0(cpu);
    return Status.FAULT;
  }
  const address = lock_address(cpu, va, 8);
  if (!address) return Status.FAULT;
  let low: u64;
  let high: u64;
  const lowExpected = load<u64>(cpu, Cpu.RAX);
  const highExpected = load<u64>(cpu, Cpu.RDX);
  let equal: bool;
  if (address != 1) {
    // WebAssembly has no 16-byte atomics.
    while (atomic.cmpxchg<u32>(Mem.LOCK_16, 0, 1)) {}
    low = atomic.load<u64>(address);
    high = atomic.load<u64>(address, 8);
    equal = low == lowExpected && high == highExpected;
    if (equal) {
      atomic.store<u64>(address, load<u64>(cpu, Cpu.RBX));
      atomic.store<u64>(address, load<u64>(cpu, Cpu.RCX), 8);
    }
    atomic.store<u32>(Mem.LOCK_16, 0);
  } else {
    low = read_slow(cpu, va, 8);
    if (faulted(cpu)) return Status.FAULT;
    high = read_slow(cpu, va + 8, 8);
    if (faulted(cpu) || !probe_write(cpu, va, 16)) return Status.FAULT;
    equal = low == lowExpected && high == highExpected;
    write_slow(cpu, va, 8, equal ? load<u64>(cpu, Cpu.RBX) : low);
    if (faulted(cpu)) return Status.FAULT;
    write_slow(cpu, va + 8, 8, equal ? load<u64>(cpu, Cpu.RCX) : high);
    if (faulted(cpu)) return Status.FAULT;
  }
  if (!equal) {
    store<u64>(cpu, low, Cpu.RAX);
    store<u64>(cpu, high, Cpu.RDX);
  }
  setZf(cpu, equal);
  return Status.NEXT;
}

/** CMPXCHG8B (bytes = 8) and CMPXCHG16B (bytes = 16, which must be aligned). */
export function cmpxchg_wide(cpu: u32, va: u64, bytes: u32): i32 {
  return bytes == 16 ? exchange16(cpu, va) : exchange8(cpu, va);
}
