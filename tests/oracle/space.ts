// The address space in which the oracle's cases run, on the real processor (native/recorder.c, under Linux) and on the
// emulator (a bare long-mode environment of the same layout). Both must agree on every constant here.

/** Two pages, readable, writable and executable, full of INT3; the page after them is not mapped. */
export const CODE = 0x1000_0000;
export const CODE_SIZE = 0x2000;
/** Two pages of data; a read-only page follows, then nothing. */
export const DATA = 0x2000_0000;
export const DATA_SIZE = 0x2000;
export const READ_ONLY = DATA + 0x2000;
export const READ_ONLY_SIZE = 0x1000;
/** Two pages of stack inside the 64 KiB at DATA, so that 16-bit segments reach all of it. */
export const STACK = DATA + 0x6000;
export const STACK_SIZE = 0x2000;
export const STACK_TOP = STACK + 0x1800;
/** FS and GS bases in 64-bit mode. */
export const FS_BASE = DATA;
export const GS_BASE = DATA + 0x800;

/** GDT selectors of Linux for x86-64 that a user program can see. */
export const KERNEL_CODE = 0x10;
export const KERNEL_DATA = 0x18;
export const USER_CODE32 = 0x23;
export const USER_DATA = 0x2b;
export const USER_CODE64 = 0x33;
export const TSS = 0x40;
export const LDT = 0x50;

export interface LdtEntry {
  readonly base: number;
  readonly limit: number;
  /** D/B bit. */
  readonly wide: boolean;
  /** Access byte without P: type, S and DPL 3. */
  readonly access: number;
  readonly present: boolean;
}

const entry = (base: number, limit: number, wide: boolean, access: number, present = true): LdtEntry => ({ base, limit, wide, access, present });

/** LDT entries 1 to 9; see ldt() in recorder.c. Linux sets the accessed bit of every one. */
export const LDT_ENTRIES: readonly (LdtEntry | null)[] = [
  null,
  entry(DATA, 0x2fff, true, 0x73), // 0f: FS of 32- and 16-bit code: a short segment
  entry(CODE, 0xffff, false, 0x7b), // 17: 16-bit code
  entry(DATA, 0xffff, false, 0x73), // 1f: DS, ES, SS of 16-bit code
  entry(DATA, 0x0fff, true, 0x77), // 27: GS of 32- and 16-bit code: expand-down, from 1000h upwards
  entry(DATA, 0xffff, true, 0x71), // 2f: read-only data
  entry(CODE, 0xffff, true, 0x79), // 37: execute-only code
  entry(DATA, 0xffff, true, 0x73, false), // 3f: not present
  entry(CODE, 0xffff, true, 0x7f, false), // 47: conforming code; Linux allows it only as not present
  entry(CODE, 0x1fff, true, 0x7b), // 4f: 32-bit code with a base
];

export type CodeMode = 16 | 32 | 64;

/** Selectors with which a case starts: ES CS SS DS FS GS. */
export function initialSelectors(mode: CodeMode): [number, number, number, number, number, number] {
  if (mode === 64) return [USER_DATA, USER_CODE64, USER_DATA, USER_DATA, 0, 0];
  if (mode === 32) return [USER_DATA, USER_CODE32, USER_DATA, USER_DATA, 0x0f, 0x27];
  return [0x1f, 0x17, 0x1f, 0x1f, 0x0f, 0x27];
}
