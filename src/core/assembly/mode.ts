// The mode that decoded code depends on, and what follows from it: privilege, TLB, width of addresses.
// Intel SDM volume 3, sections 2.2 (modes), 5.2.1 (code size); Mode in layout.ts.

import { Cpu, Mode, Rflags, SegAttr } from '../layout';
import { forgetCode, forgetUserData, translationsChanged } from './memory';
import { Cr0, attrOf, baseOf, cpl, cr0, limitOf, longMode, rflags } from './state';

// @ts-ignore: decorator
@inline function whole(cpu: u32, seg: u32): bool {
  return baseOf(cpu, seg) == 0 && limitOf(cpu, seg) == 0xffff_ffff;
}

/** A present, writable, expand-up data segment of base 0 and 4 GiB. */
// @ts-ignore: decorator
@inline export function flatData(cpu: u32, seg: u32): bool {
  return (attrOf(cpu, seg) & (SegAttr.NULL | SegAttr.P | SegAttr.S | 0xe)) == (SegAttr.P | SegAttr.S | 0x2) && whole(cpu, seg);
}

/** The same for readable code. */
// @ts-ignore: decorator
@inline function flatCode(cpu: u32, seg: u32): bool {
  return (attrOf(cpu, seg) & (SegAttr.NULL | SegAttr.P | SegAttr.S | 0xa)) == (SegAttr.P | SegAttr.S | 0xa) && whole(cpu, seg);
}

/**
 * Recompute Cpu.MODE, CPL, TLB, ADDRESS_MASK and AC_ACTIVE after a change of segments, CR0, EFER, RFLAGS.VM or RFLAGS.AC.
 * Cpu.CPL itself is state: far transfers set it; real mode and virtual-8086 mode imply it.
 */
export function update_mode(cpu: u32): void {
  const control0 = cr0(cpu);
  const flags = rflags(cpu);
  const virtual = (flags & Rflags.VM) != 0;
  if (!(control0 & Cr0.PE)) store<u32>(cpu, 0, Cpu.CPL);
  else if (virtual) store<u32>(cpu, 3, Cpu.CPL);
  const privilege = cpl(cpu);
  const cs = attrOf(cpu, Cpu.CS);
  let mode: u32;
  let mask: u64 = 0xffff_ffff;
  if (longMode(cpu) && cs & SegAttr.L) {
    mode = Mode.CODE64 | Mode.FLAT;
    mask = 0xffff_ffff_ffff_ffff;
  } else {
    mode = cs & SegAttr.DB ? Mode.CODE32 : Mode.CODE16;
    if (attrOf(cpu, Cpu.SS) & SegAttr.DB) mode |= Mode.STACK32;
    if (mode & Mode.CODE32 && control0 & Cr0.PE && !virtual) {
      if (flatCode(cpu, Cpu.CS) && flatData(cpu, Cpu.SS) && flatData(cpu, Cpu.DS) && flatData(cpu, Cpu.ES)) mode |= Mode.FLAT;
    }
  }
  if (mode != load<u32>(cpu, Cpu.MODE)) translationsChanged(cpu);
  store<u32>(cpu, mode, Cpu.MODE);
  store<u64>(cpu, mask, Cpu.ADDRESS_MASK);
  if ((privilege == 3) != (load<u32>(cpu, Cpu.TLB) == cpu + Cpu.TLB_USER)) translationsChanged(cpu);
  if (privilege == 3) {
    store<u32>(cpu, cpu + Cpu.TLB_USER, Cpu.TLB);
    store<u32>(cpu, cpu + Cpu.CODE_TLB_USER, Cpu.CODE_TLB);
    if (load<u32>(cpu, Cpu.TLB_MODE_USER) != mode) {
      store<u32>(cpu, mode, Cpu.TLB_MODE_USER);
      forgetCode(cpu, true);
    }
  } else {
    store<u32>(cpu, cpu + Cpu.TLB_SUPERVISOR, Cpu.TLB);
    store<u32>(cpu, cpu + Cpu.CODE_TLB_SUPERVISOR, Cpu.CODE_TLB);
    if (load<u32>(cpu, Cpu.TLB_MODE_SUPERVISOR) != mode) {
      store<u32>(cpu, mode, Cpu.TLB_MODE_SUPERVISOR);
      forgetCode(cpu, false);
    }
  }
  const checks: u32 = privilege == 3 && control0 & Cr0.AM && flags & Rflags.AC ? 1 : 0;
  if (checks != load<u32>(cpu, Cpu.AC_ACTIVE)) {
    store<u32>(cpu, checks, Cpu.AC_ACTIVE);
    if (checks) forgetUserData(cpu);
  }
}
