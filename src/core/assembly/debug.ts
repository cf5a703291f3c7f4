// Breakpoints of the debug registers. Intel SDM volume 3, sections 17.2 (DR0-DR7, lengths, R/W fields) and 17.3.1 (when #DB comes).
//
// While DR7 enables any, the vCPU goes one instruction at a time (Vcpu.step), pages with data breakpoints have no read and write tags, and so
// every access to them comes by memory.ts, which notes here what it meets. Without breakpoints nothing looks at DEBUG_ARMED but slow paths.

import { Cpu } from '../layout';
import { Cr4, cr4 } from './state';

/** R/W fields of DR7. */
const enum Kind {
  EXECUTE = 0,
  WRITE = 1,
  PORT = 2,
  ACCESS = 3,
}

const PAGE: u64 = ~0xfff;
/** L0-L3 and G0-G3. */
const ENABLES: u32 = 0xff;

// @ts-ignore: decorator
@inline function dr7(cpu: u32): u32 {
  return load<u32>(cpu, Cpu.DR + 7 * 8);
}

// @ts-ignore: decorator
@inline function enabled(control: u32, n: u32): bool {
  return ((control >> (2 * n)) & 3) != 0;
}

// @ts-ignore: decorator
@inline function kindOf(control: u32, n: u32): u32 {
  return (control >> (16 + 4 * n)) & 3;
}

/** Bytes of a breakpoint: 1, 2, 8, 4. */
function lengthOf(control: u32, n: u32): u64 {
  const field = (control >> (18 + 4 * n)) & 3;
  return field == 2 ? 8 : <u64>field + 1;
}

// @ts-ignore: decorator
@inline function addressOf(cpu: u32, n: u32): u64 {
  return load<u64>(cpu + (n << 3), Cpu.DR);
}

// @ts-ignore: decorator
@inline function note(cpu: u32, bits: u32): void {
  if (bits) store<u32>(cpu, load<u32>(cpu, Cpu.DEBUG_HITS) | bits, Cpu.DEBUG_HITS);
}

/** DR0-DR3 or DR7 changed. True: breakpoints are, or were, armed. */
export function arm(cpu: u32): bool {
  const was = load<u32>(cpu, Cpu.DEBUG_ARMED);
  const armed: u32 = dr7(cpu) & ENABLES ? 1 : 0;
  store<u32>(cpu, armed, Cpu.DEBUG_ARMED);
  return (was | armed) != 0;
}

/** Does a data breakpoint lie on this page? */
export function watchedPage(cpu: u32, va: u64): bool {
  if (!load<u32>(cpu, Cpu.DEBUG_ARMED)) return false;
  const control = dr7(cpu);
  for (let n: u32 = 0; n < 4; n++) {
    if (enabled(control, n) && kindOf(control, n) & 1 && ((addressOf(cpu, n) ^ va) & PAGE) == 0) return true;
  }
  return false;
}

/** An access to data, which has been made: note the breakpoints that it met. */
export function watch(cpu: u32, va: u64, size: u32, write: bool): void {
  const control = dr7(cpu);
  let bits: u32 = 0;
  for (let n: u32 = 0; n < 4; n++) {
    const kind = kindOf(control, n);
    if (!enabled(control, n) || !(kind == Kind.ACCESS || (write && kind == Kind.WRITE))) continue;
    const length = lengthOf(control, n);
    const start = addressOf(cpu, n) & ~(length - 1);
    if (va < start + length && start < va + size) bits |= 1 << n;
  }
  note(cpu, bits);
}

/** The same of ports, with CR4.DE. */
export function watchPort(cpu: u32, port: u32, size: u32): void {
  if (!(cr4(cpu) & Cr4.DE)) return;
  const control = dr7(cpu);
  let bits: u32 = 0;
  for (let n: u32 = 0; n < 4; n++) {
    if (!enabled(control, n) || kindOf(control, n) != Kind.PORT) continue;
    const length = lengthOf(control, n);
    const start = addressOf(cpu, n) & ~(length - 1);
    if (<u64>port < start + length && start < <u64>port + size) bits |= 1 << n;
  }
  note(cpu, bits);
}

/** Bits of DR6 for the instruction breakpoints at a linear address. */
export function instruction_breakpoints(cpu: u32, linear: u64): u32 {
  const control = dr7(cpu);
  let bits: u32 = 0;
  for (let n: u32 = 0; n < 4; n++) {
    if (enabled(control, n) && kindOf(control, n) == Kind.EXECUTE && addressOf(cpu, n) == linear) bits |= 1 << n;
  }
  return bits;
}
