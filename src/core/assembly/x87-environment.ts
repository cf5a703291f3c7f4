// x87 control: control and status word, environment and state images in memory.
// Intel SDM, volume 1, 8.1.10 (saving the x87 FPU's state), figures 8-9 to 8-12 (layouts), 8.1.7 (tag word), 8.1.8 (pointers).
//
// FCS and FDS are kept as saved images have them; the data pointer is not recorded (CPUID.7.EBX bits 6 and 13 say so).

import { Cpu, Fcw, Status } from '../layout';
import { Flag, Kind, X } from './softfloat';
import { unpack80 } from './softfloat-format';
import { probe_read, probe_write, read_slow, write_slow } from './memory';
import { protectedMode } from './state';
import { Fsw, st, updateSummary } from './x87-state';

/** Mask of linear addresses: an image may wrap at 4 GiB outside 64-bit code. */
@inline
export function mask(cpu: u32): u64 {
  return load<u64>(cpu, Cpu.ADDRESS_MASK);
}

/** Sets FCW as FLDCW does: reserved bits take their fixed values, and unmasking a pending exception sets FSW.ES. */
export function setControlWord(cpu: u32, value: u32): void {
  store<u32>(cpu, (value & Fcw.WRITABLE) | Fcw.FIXED, Cpu.FCW);
  updateSummary(cpu);
}

export function x87_fldcw(cpu: u32, value: u64): i32 {
  setControlWord(cpu, u32(value));
  return Status.NEXT;
}

export function x87_fnclex(cpu: u32): i32 {
  store<u32>(cpu, load<u32>(cpu, Cpu.FSW) & ~(Flag.ALL | Fsw.SF | Fsw.ES | Fsw.B), Cpu.FSW);
  store<u32>(cpu, 0, Cpu.FERR);
  return Status.NEXT;
}

export function x87_fninit(cpu: u32): i32 {
  store<u32>(cpu, 0x37f, Cpu.FCW);
  store<u32>(cpu, 0, Cpu.FSW);
  store<u32>(cpu, 0, Cpu.FTW);
  store<u32>(cpu, 0, Cpu.FOP);
  store<u64>(cpu, 0, Cpu.FIP);
  store<u32>(cpu, 0, Cpu.FCS);
  store<u32>(cpu, 0, Cpu.FDS);
  store<u64>(cpu, 0, Cpu.FDP);
  store<u32>(cpu, 0, Cpu.FERR);
  return Status.NEXT;
}

/** The tag word of 16 bits: 0 valid, 1 zero, 2 special, 3 empty, by physical register. */
function fullTags(cpu: u32): u32 {
  const valid = load<u32>(cpu, Cpu.FTW);
  let tags: u32 = 0;
  for (let n: u32 = 0; n < 8; n++) {
    let tag: u32 = 3;
    if ((valid >> n) & 1) {
      const address = cpu + Cpu.FPR + (n << 4);
      unpack80(load<u64>(address), load<u16>(address, 8));
      tag = X.kind == Kind.ZERO ? 1 : X.kind == Kind.FINITE && !X.denormal ? 0 : 2;
    }
    tags |= tag << (n << 1);
  }
  return tags;
}

function setFullTags(cpu: u32, tags: u32): void {
  let valid: u32 = 0;
  for (let n: u32 = 0; n < 8; n++) if (((tags >> (n << 1)) & 3) != 3) valid |= (1 as u32) << n;
  store<u32>(cpu, valid, Cpu.FTW);
}

/** Bytes of an environment image. */
@inline
function environmentSize(size: u32): u32 {
  return size == 16 ? 14 : 28;
}

/** Writes an environment image whose range has been probed. */
function writeEnvironment(cpu: u32, va: u64, size: u32): void {
  const step: u32 = size >> 3;
  // 32-bit images have ones in the upper halves of FCW, FSW, FTW and the last word.
  const fill: u64 = size == 16 ? 0 : 0xffff_0000;
  const fip = load<u64>(cpu, Cpu.FIP);
  const fdp = load<u64>(cpu, Cpu.FDP);
  const fcs = load<u32>(cpu, Cpu.FCS) & 0xffff;
  const fds = load<u32>(cpu, Cpu.FDS) & 0xffff;
  const fop = load<u32>(cpu, Cpu.FOP) & 0x7ff;
  write_slow(cpu, va & mask(cpu), step, load<u32>(cpu, Cpu.FCW) | fill);
  write_slow(cpu, (va + step) & mask(cpu), step, load<u32>(cpu, Cpu.FSW) | fill);
  write_slow(cpu, (va + 2 * step) & mask(cpu), step, fullTags(cpu) | fill);
  let w3: u64, w4: u64, w5: u64, w6: u64;
  if (protectedMode(cpu)) {
    w3 = fip;
    w4 = size == 16 ? fcs : fcs | (fop << 16);
    w5 = fdp;
    w6 = fds | fill;
  } else {
    const ip = u32(fip) + (fcs << 4);
    const dp = u32(fdp) + (fds << 4);
    if (size == 16) {
      w3 = ip;
      w4 = ((ip >> 16) << 12) | fop;
      w5 = dp;
      w6 = (dp >> 16) << 12;
    } else {
      w3 = u64(ip & 0xffff) | fill;
      w4 = ((ip >> 16) << 12) | fop;
      w5 = u64(dp & 0xffff) | fill;
      w6 = (dp >> 16) << 12;
    }
  }
  write_slow(cpu, (va + 3 * step) & mask(cpu), step, w3);
  write_slow(cpu, (va + 4 * step) & mask(cpu), step, w4);
  write_slow(cpu, (va + 5 * step) & mask(cpu), step, w5);
  write_slow(cpu, (va + 6 * step) & mask(cpu), step, w6);
}

/** Reads an environment image whose range has been probed. */
function readEnvironment(cpu: u32, va: u64, size: u32): void {
  const step: u32 = size >> 3;
  const fcw = u32(read_slow(cpu, va & mask(cpu), 2));
  const fsw = u32(read_slow(cpu, (va + step) & mask(cpu), 2));
  const tags = u32(read_slow(cpu, (va + 2 * step) & mask(cpu), 2));
  const w3 = u32(read_slow(cpu, (va + 3 * step) & mask(cpu), step));
  const w4 = u32(read_slow(cpu, (va + 4 * step) & mask(cpu), step));
  const w5 = u32(read_slow(cpu, (va + 5 * step) & mask(cpu), step));
  const w6 = u32(read_slow(cpu, (va + 6 * step) & mask(cpu), step));
  if (protectedMode(cpu)) {
    store<u64>(cpu, w3, Cpu.FIP);
    store<u32>(cpu, w4 & 0xffff, Cpu.FCS);
    store<u32>(cpu, size == 16 ? 0 : (w4 >> 16) & 0x7ff, Cpu.FOP);
    store<u64>(cpu, w5, Cpu.FDP);
    store<u32>(cpu, w6 & 0xffff, Cpu.FDS);
  } else {
    const high: u32 = size == 16 ? 0xf_0000 : 0xffff_0000;
    store<u64>(cpu, (w3 & 0xffff) | ((w4 << 4) & high), Cpu.FIP);
    store<u32>(cpu, 0, Cpu.FCS);
    store<u32>(cpu, w4 & 0x7ff, Cpu.FOP);
    store<u64>(cpu, (w5 & 0xffff) | ((w6 << 4) & high), Cpu.FDP);
    store<u32>(cpu, 0, Cpu.FDS);
  }
  setFullTags(cpu, tags);
  store<u32>(cpu, fsw & 0xffff, Cpu.FSW);
  setControlWord(cpu, fcw);
}

/** FNSTENV to a linear address, operand size 16 or 32 bits. Masks all exceptions afterwards. */
export function x87_fnstenv(cpu: u32, va: u64, size: u32): i32 {
  if (!probe_write(cpu, va, environmentSize(size))) return Status.FAULT;
  writeEnvironment(cpu, va, size);
  setControlWord(cpu, load<u32>(cpu, Cpu.FCW) | Flag.ALL);
  return Status.NEXT;
}

export function x87_fldenv(cpu: u32, va: u64, size: u32): i32 {
  if (!probe_read(cpu, va, environmentSize(size))) return Status.FAULT;
  readEnvironment(cpu, va, size);
  return Status.NEXT;
}

/** FNSAVE: environment, then ST(0) to ST(7) of 10 bytes each; then FNINIT. */
export function x87_fnsave(cpu: u32, va: u64, size: u32): i32 {
  const header = environmentSize(size);
  if (!probe_write(cpu, va, header + 80)) return Status.FAULT;
  writeEnvironment(cpu, va, size);
  for (let i: u32 = 0; i < 8; i++) {
    const address = st(cpu, i);
    write_slow(cpu, (va + header + 10 * i) & mask(cpu), 8, load<u64>(address));
    write_slow(cpu, (va + header + 10 * i + 8) & mask(cpu), 2, load<u16>(address, 8));
  }
  return x87_fninit(cpu);
}

export function x87_frstor(cpu: u32, va: u64, size: u32): i32 {
  const header = environmentSize(size);
  if (!probe_read(cpu, va, header + 80)) return Status.FAULT;
  readEnvironment(cpu, va, size);
  for (let i: u32 = 0; i < 8; i++) {
    const address = st(cpu, i);
    store<u64>(address, read_slow(cpu, (va + header + 10 * i) & mask(cpu), 8));
    store<u64>(address, read_slow(cpu, (va + header + 10 * i + 8) & mask(cpu), 2), 8);
  }
  return Status.NEXT;
}
