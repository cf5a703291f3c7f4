// FXSAVE, FXRSTOR: the image of x87, MMX and SSE state in memory.
// Intel SDM, volume 2, FXSAVE (tables 3-43 to 3-47: 32-bit and 64-bit layouts); volume 1, 10.2.3 (MXCSR) and 11.6.6 (its mask).

import { Cpu, Mxcsr, Status, Vector } from '../layout';
import { probe_read, probe_write, read_slow, write_slow } from './memory';
import { Cr0, code64, cr0, raise, raiseGp0 } from './state';
import { st } from './x87-state';
import { mask, setControlWord } from './x87-environment';

const IMAGE_BYTES: u32 = 512;
const REGISTERS: u32 = 32;
const XMM: u32 = 160;

/** #NM and the alignment check; both instructions do not wait. */
function refuse(cpu: u32, va: u64): bool {
  if (cr0(cpu) & (Cr0.EM | Cr0.TS)) {
    raise(cpu, Vector.NM);
    return true;
  }
  if (va & 15) {
    raiseGp0(cpu);
    return true;
  }
  return false;
}

/** FXSAVE to a linear address; `wide`: FXSAVE64. */
export function fxsave(cpu: u32, va: u64, wide: u32): i32 {
  if (refuse(cpu, va) || !probe_write(cpu, va, IMAGE_BYTES)) return Status.FAULT;
  write_slow(cpu, va & mask(cpu), 8, u64(load<u32>(cpu, Cpu.FCW)) | (u64(load<u32>(cpu, Cpu.FSW)) << 16) | (u64(load<u32>(cpu, Cpu.FTW) & 0xff) << 32)
    | (u64(load<u32>(cpu, Cpu.FOP) & 0x7ff) << 48));
  const fip = load<u64>(cpu, Cpu.FIP);
  const fdp = load<u64>(cpu, Cpu.FDP);
  if (wide) {
    write_slow(cpu, (va + 8) & mask(cpu), 8, fip);
    write_slow(cpu, (va + 16) & mask(cpu), 8, fdp);
  } else {
    write_slow(cpu, (va + 8) & mask(cpu), 8, (fip & 0xffff_ffff) | (u64(load<u32>(cpu, Cpu.FCS) & 0xffff) << 32));
    write_slow(cpu, (va + 16) & mask(cpu), 8, (fdp & 0xffff_ffff) | (u64(load<u32>(cpu, Cpu.FDS) & 0xffff) << 32));
  }
  write_slow(cpu, (va + 24) & mask(cpu), 8, u64(load<u32>(cpu, Cpu.MXCSR)) | (u64(Mxcsr.EXISTING) << 32));
  for (let i: u32 = 0; i < 8; i++) {
    const address = st(cpu, i);
    write_slow(cpu, (va + REGISTERS + 16 * i) & mask(cpu), 8, load<u64>(address));
    write_slow(cpu, (va + REGISTERS + 16 * i + 8) & mask(cpu), 8, load<u16>(address, 8));
  }
  const count: u32 = code64(cpu) ? 16 : 8;
  for (let i: u32 = 0; i < 2 * count; i++) write_slow(cpu, (va + XMM + 8 * i) & mask(cpu), 8, load<u64>(cpu + Cpu.XMM + 8 * i));
  return Status.NEXT;
}

/** FXRSTOR from a linear address; `wide`: FXRSTOR64. */
export function fxrstor(cpu: u32, va: u64, wide: u32): i32 {
  if (refuse(cpu, va) || !probe_read(cpu, va, IMAGE_BYTES)) return Status.FAULT;
  const mxcsr = u32(read_slow(cpu, (va + 24) & mask(cpu), 4));
  if (mxcsr & ~Mxcsr.EXISTING) {
    raiseGp0(cpu);
    return Status.FAULT;
  }
  const words = read_slow(cpu, va & mask(cpu), 8);
  const fip = read_slow(cpu, (va + 8) & mask(cpu), 8);
  const fdp = read_slow(cpu, (va + 16) & mask(cpu), 8);
  store<u32>(cpu, u32(words >> 48) & 0x7ff, Cpu.FOP);
  store<u32>(cpu, u32(words >> 32) & 0xff, Cpu.FTW);
  store<u32>(cpu, u32(words >> 16) & 0xffff, Cpu.FSW);
  setControlWord(cpu, u32(words) & 0xffff);
  store<u64>(cpu, wide ? fip : fip & 0xffff_ffff, Cpu.FIP);
  store<u64>(cpu, wide ? fdp : fdp & 0xffff_ffff, Cpu.FDP);
  if (!wide) {
    store<u32>(cpu, u32(fip >> 32) & 0xffff, Cpu.FCS);
    store<u32>(cpu, u32(fdp >> 32) & 0xffff, Cpu.FDS);
  }
  store<u32>(cpu, mxcsr, Cpu.MXCSR);
  for (let i: u32 = 0; i < 8; i++) {
    const address = st(cpu, i);
    store<u64>(address, read_slow(cpu, (va + REGISTERS + 16 * i) & mask(cpu), 8));
    store<u64>(address, read_slow(cpu, (va + REGISTERS + 16 * i + 8) & mask(cpu), 2), 8);
  }
  const count: u32 = code64(cpu) ? 16 : 8;
  for (let i: u32 = 0; i < 2 * count; i++) store<u64>(cpu + Cpu.XMM + 8 * i, read_slow(cpu, (va + XMM + 8 * i) & mask(cpu), 8));
  return Status.NEXT;
}

/** MASKMOVQ (8 bytes) and MASKMOVDQU (16): writes the bytes of `data` whose byte of `mask` has bit 7 set. Both are addresses in the vCPU area. */
export function sse_maskmov(cpu: u32, va: u64, data: u32, select: u32, bytes: u32): i32 {
  // The whole operand is checked, even if no byte of it is selected, as on AMD's processors.
  if (!probe_write(cpu, va, bytes)) return Status.FAULT;
  for (let n: u32 = 0; n < bytes; n++) {
    if (load<u8>(select + n) & 0x80) write_slow(cpu, (va + n) & mask(cpu), 1, load<u8>(data + n));
  }
  return Status.NEXT;
}
