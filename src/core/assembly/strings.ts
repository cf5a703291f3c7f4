// String instructions with and without repeat prefix: Intel SDM volume 2, MOVS STOS LODS CMPS SCAS INS OUTS, REP;
// volume 1, section 7.3.9.
//
// A repeated instruction works in runs that stay within one page on each side: a run's pages are looked up once.
// Registers are brought up to date after every run, so that a fault or an interrupt finds them exact.
// Parameters: element size in bytes, address size in bytes (2, 4, 8), source segment (Cpu.DS …), prefix (Repeat).

import { Cpu, FlagKind, Rflags, Status } from '../layout';
import { hostIoRead, hostIoWrite } from './host';
import { portAllowed } from './io';
import { Found, probe_write, read_slow, resolve, resolvedHost, write_slow } from './memory';
import { Access } from './paging';
import { loadHost, storeHost } from './physical';
import { segment_address, withinLimit } from './segments';
import { attrOf, baseOf, canonical, code64, cpl, faulted, limitOf, maskOf, protectedMode } from './state';

const enum Repeat {
  NONE = 0,
  /** REP, REPE */
  EQUAL = 1,
  /** REPNE */
  NOT_EQUAL = 2,
}

/** Bytes after which a repeated instruction lets the interpreter look for interrupts. */
const WORK: u32 = 0x1_0000;

// @ts-ignore: decorator
@inline function backwards(cpu: u32): bool {
  return (load<u32>(cpu, Cpu.RFLAGS) & Rflags.DF) != 0;
}

// @ts-ignore: decorator
@inline function setCounter(cpu: u32, register: u32, value: u64, addrsize: u32): void {
  if (addrsize == 2) store<u16>(cpu + register, <u16>value);
  else store<u64>(cpu + register, value & maskOf(addrsize));
}

/** Move RSI or RDI by whole elements in the direction of DF. */
// @ts-ignore: decorator
@inline function advance(cpu: u32, register: u32, bytes: u64, addrsize: u32): void {
  const value = load<u64>(cpu + register);
  setCounter(cpu, register, backwards(cpu) ? value - bytes : value + bytes, addrsize);
}

// @ts-ignore: decorator
@inline function remaining(cpu: u32, addrsize: u32, rep: u32): u64 {
  return rep ? load<u64>(cpu, Cpu.RCX) & maskOf(addrsize) : 1;
}

/**
 * Long repeats use up the instruction budget too, one for each 8 bytes: by what is left before and after, so that all of them together are
 * the same wherever they were interrupted, and whether they went element by element.
 */
// @ts-ignore: decorator
@inline function countDown(cpu: u32, elements: u64, size: u32, addrsize: u32, rep: u32): void {
  if (!rep) return;
  const count = load<u64>(cpu, Cpu.RCX);
  const before = count & maskOf(addrsize);
  const shift: u64 = 3 - ctz(size);
  store<i64>(cpu, load<i64>(cpu, Cpu.BUDGET) - ((before >> shift) - ((before - elements) >> shift)), Cpu.BUDGET);
  setCounter(cpu, Cpu.RCX, count - elements, addrsize);
}

/** May a repeated instruction go by runs? Not one element alone, and with TF there is a trap after each. */
// @ts-ignore: decorator
@inline function byRuns(cpu: u32, count: u64): bool {
  return count > 1 && !(load<u32>(cpu, Cpu.RFLAGS) & Rflags.TF);
}

/** How many elements from an offset on stay in their page, in the address size and in the count. */
function run(offset: u64, linear: u64, size: u32, addrsize: u32, count: u64, down: bool): u32 {
  const inPage = <u32>linear & 0xfff;
  const left = maskOf(addrsize) - offset;
  let n: u64;
  if (down) {
    // The first is the highest, and has to be whole on the page.
    if (inPage + size > 0x1000 || left < size - 1) return 0;
    n = inPage / size + 1;
    if (offset / size < n) n = offset / size + 1;
  } else {
    n = (0x1000 - inPage) / size;
    // The last element may end at the very top of the address size.
    if (left < 0x1000 && (left + 1) / size < n) n = (left + 1) / size;
  }
  return <u32>min<u64>(n, count);
}

/** From the lowest element of a run to its first one, in bytes. */
// @ts-ignore: decorator
@inline function firstOf(elements: u32, size: u32, down: bool): u32 {
  return down ? (elements - 1) * size : 0;
}

/** Where a run's bytes lie in the shared memory; 0: not plainly there, go element by element. */
function runHost(cpu: u32, seg: u32, offset: u64, bytes: u32, write: bool): u32 {
  let linear: u64;
  if (code64(cpu)) {
    linear = seg >= <u32>Cpu.FS ? baseOf(cpu, seg) + offset : offset;
    if (!canonical(linear)) return 0;
  } else {
    const attr = attrOf(cpu, seg);
    // Whoever may not touch the segment faults in the general path.
    if (protectedMode(cpu) && (attr & 0x1_0000 || (write ? (attr & 0xa) != 2 : (attr & 0xa) == 8))) return 0;
    if (!withinLimit(attr, limitOf(cpu, seg), offset, bytes)) return 0;
    linear = (baseOf(cpu, seg) + offset) & 0xffff_ffff;
  }
  if (load<u32>(cpu, Cpu.AC_ACTIVE) || load<u32>(cpu, Cpu.DEBUG_ARMED)) return 0;
  const found = resolve(cpu, linear, write ? Access.WRITE : Access.READ, cpl(cpu) == 3);
  if (found == Found.PLAIN) return resolvedHost;
  // The general path meets the same fault again, at the right element.
  store<u32>(cpu, 0, Cpu.FAULT);
  return 0;
}

/** Linear address of an offset, without checks. */
// @ts-ignore: decorator
@inline function linearOf(cpu: u32, seg: u32, offset: u64): u64 {
  if (code64(cpu)) return seg >= <u32>Cpu.FS ? baseOf(cpu, seg) + offset : offset;
  return (baseOf(cpu, seg) + offset) & 0xffff_ffff;
}

/** Must a repeated instruction stop here for the interpreter's sake? */
// @ts-ignore: decorator
@inline function pause(cpu: u32, work: u32): bool {
  return work >= WORK || atomic.load<u32>(cpu, Cpu.EXIT_REQUEST) != 0 || (load<u32>(cpu, Cpu.RFLAGS) & Rflags.TF) != 0 || load<u32>(cpu, Cpu.DEBUG_ARMED) != 0;
}

/** Read one element by its segment and offset. Check faulted(). */
function readElement(cpu: u32, seg: u32, offset: u64, size: u32): u64 {
  const va = segment_address(cpu, seg, offset, size, 0);
  return faulted(cpu) ? 0 : read_slow(cpu, va, size);
}

function writeElement(cpu: u32, seg: u32, offset: u64, size: u32, value: u64): void {
  const va = segment_address(cpu, seg, offset, size, 1);
  if (!faulted(cpu)) write_slow(cpu, va, size, value);
}

/** Copy downwards exactly as element after element would: where the source overlaps the destination from above, bytes repeat. Addresses are the lowest. */
function copyDown(to: u32, from: u32, elements: u32, size: u32): void {
  const bytes = elements * size;
  if (to >= from || to + bytes <= from) {
    memory.copy(to, from, bytes);
    return;
  }
  const distance = from - to;
  if (distance >= size && distance % size == 0) {
    // As in copyUp(), from the top.
    memory.copy(to + bytes - distance, from + bytes - distance, distance);
    let done = distance;
    while (done < bytes) {
      const more = min<u32>(done, bytes - done);
      memory.copy(to + bytes - done - more, to + bytes - more, more);
      done += more;
    }
    return;
  }
  for (let i = bytes; i > 0; i -= size) storeHost(to + i - size, size, loadHost(from + i - size, size));
}

/** Copy upwards exactly as element after element would: where the destination overlaps the source from above, bytes repeat. */
function copyUp(to: u32, from: u32, elements: u32, size: u32): void {
  const bytes = elements * size;
  if (to <= from || to >= from + bytes) {
    memory.copy(to, from, bytes);
    return;
  }
  const distance = to - from;
  if (distance >= size && distance % size == 0) {
    // The pattern of the first distance bytes repeats; the part already copied is a source of twice the length.
    memory.copy(to, from, distance);
    let done = distance;
    while (done < bytes) {
      const more = min<u32>(done, bytes - done);
      memory.copy(to + done, to, more);
      done += more;
    }
    return;
  }
  for (let i: u32 = 0; i < bytes; i += size) storeHost(to + i, size, loadHost(from + i, size));
}

export function movs(cpu: u32, size: u32, addrsize: u32, seg: u32, rep: u32): i32 {
  const mask = maskOf(addrsize);
  let count = remaining(cpu, addrsize, rep);
  let work: u32 = 0;
  const down = backwards(cpu);
  while (count) {
    const source = load<u64>(cpu, Cpu.RSI) & mask;
    const target = load<u64>(cpu, Cpu.RDI) & mask;
    let elements: u32 = 1;
    let done = false;
    if (byRuns(cpu, count)) {
      elements = run(source, linearOf(cpu, seg, source), size, addrsize, count, down);
      elements = min<u32>(elements, run(target, linearOf(cpu, Cpu.ES, target), size, addrsize, count, down));
      if (elements > 1) {
        const first = firstOf(elements, size, down);
        const from = runHost(cpu, seg, source - first, elements * size, false);
        const to = from ? runHost(cpu, Cpu.ES, target - first, elements * size, true) : 0;
        if (to) {
          if (down) copyDown(to, from, elements, size);
          else copyUp(to, from, elements, size);
          done = true;
        }
      }
    }
    if (!done) {
      elements = 1;
      const value = readElement(cpu, seg, source, size);
      if (faulted(cpu)) return Status.FAULT;
      writeElement(cpu, Cpu.ES, target, size, value);
      if (faulted(cpu)) return Status.FAULT;
    }
    const bytes = elements * size;
    advance(cpu, Cpu.RSI, bytes, addrsize);
    advance(cpu, Cpu.RDI, bytes, addrsize);
    countDown(cpu, elements, size, addrsize, rep);
    count -= elements;
    work += bytes + 64;
    if (count && pause(cpu, work)) return Status.AGAIN;
  }
  return Status.NEXT;
}

export function stos(cpu: u32, size: u32, addrsize: u32, seg: u32, rep: u32): i32 {
  const mask = maskOf(addrsize);
  const value = load<u64>(cpu, Cpu.RAX);
  let count = remaining(cpu, addrsize, rep);
  let work: u32 = 0;
  const down = backwards(cpu);
  while (count) {
    const target = load<u64>(cpu, Cpu.RDI) & mask;
    let elements: u32 = 1;
    let done = false;
    if (byRuns(cpu, count)) {
      elements = run(target, linearOf(cpu, Cpu.ES, target), size, addrsize, count, down);
      if (elements > 1) {
        const to = runHost(cpu, Cpu.ES, target - firstOf(elements, size, down), elements * size, true);
        if (to) {
          fill(to, value, elements, size);
          done = true;
        }
      }
    }
    if (!done) {
      elements = 1;
      writeElement(cpu, Cpu.ES, target, size, value);
      if (faulted(cpu)) return Status.FAULT;
    }
    const bytes = elements * size;
    advance(cpu, Cpu.RDI, bytes, addrsize);
    countDown(cpu, elements, size, addrsize, rep);
    count -= elements;
    work += bytes + 64;
    if (count && pause(cpu, work)) return Status.AGAIN;
  }
  return Status.NEXT;
}

/** Store one element's value over and over. */
function fill(to: u32, value: u64, elements: u32, size: u32): void {
  const byte = value & 0xff;
  const same = byte * 0x0101_0101_0101_0101;
  const bits: u64 = size == 8 ? 0xffff_ffff_ffff_ffff : ((<u64>1) << (size << 3)) - 1;
  if (((value ^ same) & bits) == 0) {
    memory.fill(to, <u8>byte, elements * size);
    return;
  }
  for (let i: u32 = 0; i < elements; i++) storeHost(to + i * size, size, value);
}

/** LODS; the last element loaded stays. */
export function lods(cpu: u32, size: u32, addrsize: u32, seg: u32, rep: u32): i32 {
  const mask = maskOf(addrsize);
  let count = remaining(cpu, addrsize, rep);
  let work: u32 = 0;
  while (count) {
    const value = readElement(cpu, seg, load<u64>(cpu, Cpu.RSI) & mask, size);
    if (faulted(cpu)) return Status.FAULT;
    if (size == 1) store<u8>(cpu, <u8>value, Cpu.RAX);
    else if (size == 2) store<u16>(cpu, <u16>value, Cpu.RAX);
    else store<u64>(cpu, value, Cpu.RAX);
    advance(cpu, Cpu.RSI, size, addrsize);
    countDown(cpu, 1, size, addrsize, rep);
    count--;
    work += size + 64;
    if (count && pause(cpu, work)) return Status.AGAIN;
  }
  return Status.NEXT;
}

/** Leave the flags of left - right in the lazy form. */
function compareFlags(cpu: u32, left: u64, right: u64, size: u32): void {
  const shift = <u64>(64 - (size << 3));
  store<u32>(cpu, FlagKind.SUB | (size << 11), Cpu.FLAG_KIND);
  store<u64>(cpu, left << shift, Cpu.FLAG_A);
  store<u64>(cpu, right << shift, Cpu.FLAG_X);
}

/** Does a comparison's outcome end a repeat? */
// @ts-ignore: decorator
@inline function ends(equal: bool, rep: u32): bool {
  return rep == Repeat.EQUAL ? !equal : rep == Repeat.NOT_EQUAL ? equal : true;
}

/**
 * CMPS. A fault in the middle leaves RFLAGS as before the instruction (SDM volume 2, REP);
 * an interruption leaves those of the last comparison.
 */
export function cmps(cpu: u32, size: u32, addrsize: u32, seg: u32, rep: u32): i32 {
  const mask = maskOf(addrsize);
  const shift = <u64>(64 - (size << 3));
  let count = remaining(cpu, addrsize, rep);
  let work: u32 = 0;
  const down = backwards(cpu);
  while (count) {
    const source = load<u64>(cpu, Cpu.RSI) & mask;
    const target = load<u64>(cpu, Cpu.RDI) & mask;
    let left: u64 = 0;
    let right: u64 = 0;
    let elements: u32 = 0;
    if (byRuns(cpu, count)) {
      let n = run(source, linearOf(cpu, seg, source), size, addrsize, count, down);
      n = min<u32>(n, run(target, linearOf(cpu, Cpu.ES, target), size, addrsize, count, down));
      if (n > 1) {
        const first = firstOf(n, size, down);
        const a = runHost(cpu, seg, source - first, n * size, false);
        const b = a ? runHost(cpu, Cpu.ES, target - first, n * size, false) : 0;
        if (b) {
          while (elements < n) {
            const at = down ? first - elements * size : elements * size;
            left = loadHost(a + at, size);
            right = loadHost(b + at, size);
            elements++;
            if (ends(left == right, rep)) break;
          }
        }
      }
    }
    if (!elements) {
      elements = 1;
      // Processors look at ES:rDI first.
      right = readElement(cpu, Cpu.ES, target, size);
      if (faulted(cpu)) return Status.FAULT;
      left = readElement(cpu, seg, source, size);
      if (faulted(cpu)) return Status.FAULT;
    }
    const bytes = elements * size;
    advance(cpu, Cpu.RSI, bytes, addrsize);
    advance(cpu, Cpu.RDI, bytes, addrsize);
    countDown(cpu, elements, size, addrsize, rep);
    count -= elements;
    work += bytes + 64;
    const ended = count == 0 || ends((left ^ right) << shift == 0, rep);
    if (ended || pause(cpu, work)) {
      compareFlags(cpu, left, right, size);
      return ended ? Status.NEXT : Status.AGAIN;
    }
  }
  return Status.NEXT;
}

/** SCAS: the accumulator against [ES:RDI]. Flags as for CMPS. */
export function scas(cpu: u32, size: u32, addrsize: u32, seg: u32, rep: u32): i32 {
  const mask = maskOf(addrsize);
  const shift = <u64>(64 - (size << 3));
  const left = load<u64>(cpu, Cpu.RAX);
  let count = remaining(cpu, addrsize, rep);
  let work: u32 = 0;
  const down = backwards(cpu);
  while (count) {
    const target = load<u64>(cpu, Cpu.RDI) & mask;
    let right: u64 = 0;
    let elements: u32 = 0;
    if (byRuns(cpu, count)) {
      const n = run(target, linearOf(cpu, Cpu.ES, target), size, addrsize, count, down);
      const first = firstOf(n, size, down);
      const b = n > 1 ? runHost(cpu, Cpu.ES, target - first, n * size, false) : 0;
      if (b) {
        while (elements < n) {
          right = loadHost(b + (down ? first - elements * size : elements * size), size);
          elements++;
          if (ends((left ^ right) << shift == 0, rep)) break;
        }
      }
    }
    if (!elements) {
      elements = 1;
      right = readElement(cpu, Cpu.ES, target, size);
      if (faulted(cpu)) return Status.FAULT;
    }
    const bytes = elements * size;
    advance(cpu, Cpu.RDI, bytes, addrsize);
    countDown(cpu, elements, size, addrsize, rep);
    count -= elements;
    work += bytes + 64;
    const ended = count == 0 || ends((left ^ right) << shift == 0, rep);
    if (ended || pause(cpu, work)) {
      compareFlags(cpu, left, right, size);
      return ended ? Status.NEXT : Status.AGAIN;
    }
  }
  return Status.NEXT;
}

/** INS: the destination is checked before the port is read, because reading it may have an effect. */
export function ins(cpu: u32, size: u32, addrsize: u32, seg: u32, rep: u32): i32 {
  const mask = maskOf(addrsize);
  const port = load<u16>(cpu, Cpu.RDX);
  let count = remaining(cpu, addrsize, rep);
  let work: u32 = 0;
  if (count && !portAllowed(cpu, port, size)) return Status.FAULT;
  while (count) {
    const va = segment_address(cpu, Cpu.ES, load<u64>(cpu, Cpu.RDI) & mask, size, 1);
    if (faulted(cpu) || !probe_write(cpu, va, size)) return Status.FAULT;
    write_slow(cpu, va, size, hostIoRead(cpu, port, size));
    if (faulted(cpu)) return Status.FAULT;
    advance(cpu, Cpu.RDI, size, addrsize);
    countDown(cpu, 1, size, addrsize, rep);
    count--;
    work += size + 64;
    if (count && pause(cpu, work)) return Status.AGAIN;
  }
  return Status.NEXT;
}

export function outs(cpu: u32, size: u32, addrsize: u32, seg: u32, rep: u32): i32 {
  const mask = maskOf(addrsize);
  const port = load<u16>(cpu, Cpu.RDX);
  let count = remaining(cpu, addrsize, rep);
  let work: u32 = 0;
  if (count && !portAllowed(cpu, port, size)) return Status.FAULT;
  while (count) {
    const value = readElement(cpu, seg, load<u64>(cpu, Cpu.RSI) & mask, size);
    if (faulted(cpu)) return Status.FAULT;
    hostIoWrite(cpu, port, size, <u32>value);
    advance(cpu, Cpu.RSI, size, addrsize);
    countDown(cpu, 1, size, addrsize, rep);
    count--;
    work += size + 64;
    if (count && pause(cpu, work)) return Status.AGAIN;
  }
  return Status.NEXT;
}
