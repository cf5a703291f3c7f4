// Control and debug registers, and the small privileged instructions.
// Intel SDM volume 3, sections 2.5 (control registers), 17.2 (debug registers), 9.8.5 (entering IA-32e mode).

import { Cpu, Exit, Rflags, SegAttr, Status, Vector } from '../layout';
import { arm } from './debug';
import { get_rflags, set_rflags } from './flags';
import { allForgotten, tlb_flush, tlb_flush_page } from './memory';
import { update_mode } from './mode';
import { loadPdptes } from './paging';
import { mmioRead, mmioWrite } from './physical';
import { Cr0, Cr4, Efer, attrOf, code64, cpl, cr0, cr4, faulted, iopl, longMode, protectedOrV86, raise, raiseGp0, v86 } from './state';
import { pop_general, push_general } from './stack';
import { writableFlags } from './transfer';

function general(cpu: u32): i32 {
  raiseGp0(cpu);
  return Status.FAULT;
}

/** Translations may have changed: look the next instruction up again. */
function jumpToNext(cpu: u32): i32 {
  update_mode(cpu);
  store<u64>(cpu, load<u64>(cpu, Cpu.NEXT_RIP), Cpu.RIP);
  return Status.JUMP;
}

/** MOV from CR0, CR2, CR3, CR4, CR8. Check Cpu.FAULT. */
export function read_cr(cpu: u32, n: u32): u64 {
  if (cpl(cpu)) {
    raiseGp0(cpu);
    return 0;
  }
  switch (n) {
    case 0:
      return load<u64>(cpu, Cpu.CR0);
    case 2:
      return load<u64>(cpu, Cpu.CR2);
    case 3:
      return load<u64>(cpu, Cpu.CR3);
    case 4:
      return load<u64>(cpu, Cpu.CR4);
    case 8:
      return (mmioRead(cpu, taskPriority(cpu), 4) >> 4) & 15;
    default:
      raise(cpu, Vector.UD);
      return 0;
  }
}

/** CR8 is the local APIC's task-priority register: SDM volume 3, section 10.8.6. */
function taskPriority(cpu: u32): u64 {
  const base = load<u64>(cpu, Cpu.APIC_BASE) & 0x000f_ffff_ffff_f000;
  return (base ? base : 0xfee0_0000) + 0x80;
}

/** MOV to a control register. */
export function write_cr(cpu: u32, n: u32, value: u64): i32 {
  if (cpl(cpu)) return general(cpu);
  switch (n) {
    case 0:
      return writeCr0(cpu, value);
    case 2:
      store<u64>(cpu, value, Cpu.CR2);
      return Status.NEXT;
    case 3:
      return writeCr3(cpu, value);
    case 4:
      return writeCr4(cpu, value);
    case 8:
      if (value >> 4) return general(cpu);
      store<u64>(cpu, value, Cpu.CR8);
      mmioWrite(cpu, taskPriority(cpu), 4, value << 4);
      return Status.NEXT;
    default:
      raise(cpu, Vector.UD);
      return Status.FAULT;
  }
}

function writeCr0(cpu: u32, value: u64): i32 {
  const old = cr0(cpu);
  const known: u32 = Cr0.PE | Cr0.MP | Cr0.EM | Cr0.TS | Cr0.ET | Cr0.NE | Cr0.WP | Cr0.AM | Cr0.NW | Cr0.CD | Cr0.PG;
  const now: u32 = (<u32>value & known) | Cr0.ET;
  if (value >> 32) return general(cpu);
  if (now & Cr0.PG && !(now & Cr0.PE)) return general(cpu);
  if (now & Cr0.NW && !(now & Cr0.CD)) return general(cpu);
  let efer = load<u64>(cpu, Cpu.EFER);
  if ((now ^ old) & Cr0.PG) {
    if (now & Cr0.PG) {
      if (efer & Efer.LME) {
        // Long mode needs PAE, and is not entered from code whose L bit is already set, nor with a 16-bit TSS.
        const tss = attrOf(cpu, Cpu.TR);
        if (!(cr4(cpu) & Cr4.PAE) || attrOf(cpu, Cpu.CS) & SegAttr.L || (!(tss & SegAttr.NULL) && load<u32>(cpu, Cpu.TR) & 0xfffc && (tss & 8) == 0)) return general(cpu);
        efer |= Efer.LMA;
      } else if (cr4(cpu) & Cr4.PAE && !loadPdptes(cpu, load<u64>(cpu, Cpu.CR3))) {
        return Status.FAULT;
      }
    } else {
      if (code64(cpu)) return general(cpu);
      efer &= ~(<u64>Efer.LMA);
    }
  }
  store<u64>(cpu, efer, Cpu.EFER);
  store<u64>(cpu, now, Cpu.CR0);
  const changed = now ^ old;
  if (changed & (Cr0.EM | Cr0.TS | Cr0.PE)) allForgotten(cpu);
  if (changed & (Cr0.PG | Cr0.WP)) tlb_flush(cpu, 0);
  if (changed & (Cr0.PG | Cr0.WP | Cr0.PE | Cr0.AM)) return jumpToNext(cpu);
  return Status.NEXT;
}

function writeCr3(cpu: u32, value: u64): i32 {
  if (longMode(cpu)) {
    if (value & ~(load<u64>(cpu, Cpu.PHYS_MASK) | 0xfff)) return general(cpu);
  } else if (cr0(cpu) & Cr0.PG && cr4(cpu) & Cr4.PAE && !loadPdptes(cpu, value)) {
    return Status.FAULT;
  }
  store<u64>(cpu, value, Cpu.CR3);
  tlb_flush(cpu, 1);
  return jumpToNext(cpu);
}

function writeCr4(cpu: u32, value: u64): i32 {
  if (value & ~load<u64>(cpu, Cpu.CR4_VALID)) return general(cpu);
  const now = <u32>value;
  const old = cr4(cpu);
  if (longMode(cpu) && !(now & Cr4.PAE)) return general(cpu);
  const paging: u32 = Cr4.PSE | Cr4.PAE | Cr4.PGE | Cr4.SMEP;
  if ((now ^ old) & paging) {
    if (now & Cr4.PAE && cr0(cpu) & Cr0.PG && !longMode(cpu) && !loadPdptes(cpu, load<u64>(cpu, Cpu.CR3))) return Status.FAULT;
    store<u64>(cpu, value, Cpu.CR4);
    tlb_flush(cpu, 0);
    return jumpToNext(cpu);
  }
  store<u64>(cpu, value, Cpu.CR4);
  if ((now ^ old) & Cr4.OSFXSR) allForgotten(cpu);
  return Status.NEXT;
}

export function clts(cpu: u32): i32 {
  if (cpl(cpu)) return general(cpu);
  store<u64>(cpu, load<u64>(cpu, Cpu.CR0) & ~(<u64>Cr0.TS), Cpu.CR0);
  return Status.NEXT;
}

/** LMSW: PE MP EM TS; PE can be set but not cleared. */
export function lmsw(cpu: u32, value: u32): i32 {
  if (cpl(cpu)) return general(cpu);
  const old = cr0(cpu);
  return writeCr0(cpu, (old & ~0xe) | (value & 0xf));
}

/** DR4 and DR5 are DR6 and DR7 unless CR4.DE. False: #UD or #GP is pending. */
function debugAccess(cpu: u32, n: u32): bool {
  if ((n == 4 || n == 5) && cr4(cpu) & Cr4.DE) {
    raise(cpu, Vector.UD);
    return false;
  }
  if (cpl(cpu)) {
    raiseGp0(cpu);
    return false;
  }
  // General detect: whoever debugs the debugger wants to know (SDM volume 3, section 17.2.4).
  if (load<u32>(cpu, Cpu.DR + 7 * 8) & DR7_GD) {
    store<u32>(cpu, load<u32>(cpu, Cpu.DR + 6 * 8) | DR6_BD, Cpu.DR + 6 * 8);
    raise(cpu, Vector.DB);
    return false;
  }
  return true;
}

const DR6_BD: u32 = 1 << 13;
const DR7_GD: u32 = 1 << 13;

// @ts-ignore: decorator
@inline function debugField(cpu: u32, n: u32): u32 {
  return cpu + Cpu.DR + ((n == 4 || n == 5 ? n + 2 : n) << 3);
}

export function read_dr(cpu: u32, n: u32): u64 {
  return debugAccess(cpu, n) ? load<u64>(debugField(cpu, n)) : 0;
}

export function write_dr(cpu: u32, n: u32, value: u64): i32 {
  if (!debugAccess(cpu, n)) return Status.FAULT;
  let kept = value;
  if (n >= 4) {
    if (value >> 32) return general(cpu);
    kept = n == 4 || n == 6 ? (value & 0xe00f) | 0xffff_0ff0 : (value & 0xffff_2bff) | 0x400;
  }
  store<u64>(debugField(cpu, n), kept);
  if (n < 4 || (n | 2) == 7) {
    if (arm(cpu)) {
      // Other pages are watched now; and the engine goes step by step, or no longer.
      tlb_flush(cpu, 0);
      atomic.store<u32>(cpu, 1, Cpu.EXIT_REQUEST);
    }
  }
  return Status.NEXT;
}

export function invlpg(cpu: u32, va: u64): i32 {
  if (cpl(cpu)) return general(cpu);
  tlb_flush_page(cpu, va);
  return Status.NEXT;
}

/** INVD and WBINVD: caches are not modelled, so there is nothing to write back. */
export function invd(cpu: u32): i32 {
  return cpl(cpu) ? general(cpu) : Status.NEXT;
}

export function wbinvd(cpu: u32): i32 {
  return invd(cpu);
}

export function swapgs(cpu: u32): i32 {
  if (!code64(cpu)) {
    raise(cpu, Vector.UD);
    return Status.FAULT;
  }
  if (cpl(cpu)) return general(cpu);
  const base = load<u64>(cpu, Cpu.GS + 8);
  store<u64>(cpu, load<u64>(cpu, Cpu.KERNEL_GS_BASE), Cpu.GS + 8);
  store<u64>(cpu, base, Cpu.KERNEL_GS_BASE);
  return Status.NEXT;
}

export function hlt(cpu: u32): i32 {
  if (cpl(cpu)) return general(cpu);
  store<u32>(cpu, 1, Cpu.HALTED);
  store<u32>(cpu, Exit.HALT, Cpu.EXIT_REASON);
  return Status.EXIT;
}

/** May IF be changed? CPL against IOPL; virtual-8086 mode has CPL 3. */
function interruptFlagRight(cpu: u32): bool {
  return !protectedOrV86(cpu) || cpl(cpu) <= iopl(cpu);
}

export function cli(cpu: u32): i32 {
  if (!interruptFlagRight(cpu)) return general(cpu);
  store<u32>(cpu, load<u32>(cpu, Cpu.RFLAGS) & ~Rflags.IF, Cpu.RFLAGS);
  return Status.NEXT;
}

/** STI: if IF was clear, interrupts wait for the end of the next instruction (INTERRUPT_SHADOW). */
export function sti(cpu: u32): i32 {
  if (!interruptFlagRight(cpu)) return general(cpu);
  const old = load<u32>(cpu, Cpu.RFLAGS);
  if (!(old & Rflags.IF)) {
    store<u32>(cpu, old | Rflags.IF, Cpu.RFLAGS);
    store<u32>(cpu, 1, Cpu.INTERRUPT_SHADOW);
    if (atomic.load<u32>(cpu, Cpu.INTERRUPT_PENDING)) atomic.store<u32>(cpu, 1, Cpu.EXIT_REQUEST);
  }
  return Status.NEXT;
}

/** PUSHF: without VM and RF. In virtual-8086 mode IOPL must be 3. */
export function pushf(cpu: u32, operandBits: u32): i32 {
  const opsize = operandBits >> 3;
  if (v86(cpu) && iopl(cpu) < 3) return general(cpu);
  push_general(cpu, get_rflags(cpu) & ~(Rflags.VM | Rflags.RF), opsize);
  return faulted(cpu) ? Status.FAULT : Status.NEXT;
}

/** POPF. JUMP (to NEXT_RIP) when an interrupt may now be taken, a trap comes, or alignment checks begin or end. */
export function popf(cpu: u32, operandBits: u32): i32 {
  const opsize = operandBits >> 3;
  if (v86(cpu) && iopl(cpu) < 3) return general(cpu);
  const image = <u32>pop_general(cpu, opsize);
  if (faulted(cpu)) return Status.FAULT;
  const old = get_rflags(cpu);
  // With IOPL 3 virtual-8086 code writes IF (CPL 3 <= IOPL) but, not being privilege 0, not IOPL.
  const bits = writableFlags(cpu, opsize) & ~Rflags.RF;
  const now = (old & ~bits) | (image & bits);
  set_rflags(cpu, now);
  if ((now ^ old) & Rflags.AC || now & Rflags.TF) return jumpToNext(cpu);
  if (now & ~old & Rflags.IF && atomic.load<u32>(cpu, Cpu.INTERRUPT_PENDING)) return jumpToNext(cpu);
  return Status.NEXT;
}
