// Port access and its permission: Intel SDM volume 1, section 19.5 (IOPL and the TSS's I/O permission bitmap).

import { Cpu, SegAttr, Status } from '../layout';
import { watchPort } from './debug';
import { hostIoRead, hostIoWrite } from './host';
import { sysRead } from './memory';
import { attrOf, baseOf, cpl, faulted, iopl, limitOf, protectedOrV86, raiseGp0, v86 } from './state';

/** May the current code access these ports? False: #GP(0), or a page fault on the TSS, is pending. */
export function portAllowed(cpu: u32, port: u32, size: u32): bool {
  if (!permitted(cpu, port, size)) return false;
  if (load<u32>(cpu, Cpu.DEBUG_ARMED)) watchPort(cpu, port, size);
  return true;
}

function permitted(cpu: u32, port: u32, size: u32): bool {
  if (!protectedOrV86(cpu)) return true;
  if (!v86(cpu) && cpl(cpu) <= iopl(cpu)) return true;
  const attr = attrOf(cpu, Cpu.TR);
  const limit = limitOf(cpu, Cpu.TR);
  // A 16-bit TSS has no bitmap.
  if (!(attr & SegAttr.NULL) && (attr & 0xd) == 9 && limit >= 0x67) {
    const base = baseOf(cpu, Cpu.TR);
    const at = <u32>sysRead(cpu, base + 0x66, 2) + (port >> 3);
    if (faulted(cpu)) return false;
    // Two bytes are always read, because the ports may lie across a byte's end.
    if (at + 1 <= limit) {
      const bits = <u32>sysRead(cpu, base + at, 2) >> (port & 7);
      if (faulted(cpu)) return false;
      if (!(bits & ((1 << size) - 1))) return true;
    }
  }
  raiseGp0(cpu);
  return false;
}

/** IN; size in bytes. Check Cpu.FAULT. */
export function port_in(cpu: u32, port: u32, size: u32): u64 {
  return portAllowed(cpu, port & 0xffff, size) ? hostIoRead(cpu, port & 0xffff, size) : 0;
}

/** OUT; size in bytes. */
export function port_out(cpu: u32, port: u32, size: u32, value: u64): i32 {
  if (!portAllowed(cpu, port & 0xffff, size)) return Status.FAULT;
  const mask: u32 = size == 1 ? 0xff : size == 2 ? 0xffff : 0xffff_ffff;
  hostIoWrite(cpu, port & 0xffff, size, <u32>value & mask);
  return Status.NEXT;
}
