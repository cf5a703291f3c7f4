// The map of the one shared WebAssembly.Memory and of one vCPU's state in it.
// Shared by TypeScript (engine, machine, UI) and AssemblyScript (core.wasm), so it holds nothing but
// `const enum`s: both languages read them the same way. Addresses are byte offsets in the memory.

/** Where each part of the shared memory starts, and how large it is (bytes). */
export const enum Mem {
  /** Constants of core.wasm (AssemblyScript --memoryBase). */
  CORE_STATIC = 0x0000_1000,
  /** Control block: doorbells, run state, statistics and byte rings; see src/machine/protocol.ts. */
  CONTROL = 0x0002_0000,
  CONTROL_SIZE = 0x0002_0000,
  /** A word of the control block: spin lock that orders CMPXCHG16B among the vCPUs. */
  LOCK_16 = 0x0002_0fc0,
  /** vCPU areas, one after another. */
  CPU = 0x0004_0000,
  CPU_SIZE = 0x000d_0000,
  MAX_CPUS = 8,
  /** With -d jit, for the regions in the first slots: how often they were entered, and left by each RegionCause (u32 each). */
  REGION_COUNTS = 0x014c_0000,
  REGION_COUNTS_SIZE = 0x0004_0000,
  REGION_COUNTS_EACH = 0x40,
  /** Byte rings of character devices beside the serial ports; see src/machine/protocol.ts. */
  CHARDEV_RINGS = 0x0150_0000,
  CHARDEV_RINGS_SIZE = 0x0008_0000,
  /** Two u16 for each compiled region's slot: how often it was left by RegionCause.SPAN and by RegionCause.NUMBER. */
  REGION_DOUBTS = 0x015c_0000,
  /** A u32 for each map of decoded code: how often what it maps was dropped. */
  CODE_GENERATIONS = 0x0160_0000,
  /** Where indirect jumps went to, for the compiler, see JumpTargets. */
  JUMP_TARGETS = 0x0164_0000,
  JUMP_TARGETS_SIZE = 0x0008_0000,
  /** What those who enter a compiled region ask of its slot; see Entry. */
  ENTRIES = 0x0178_0000,
  REGION_SLOTS = 0x1_0000,
  /** Physical page map: one u32 for each 4 KiB page below 4 GiB; see Pmap. */
  PMAP = 0x0180_0000,
  PMAP_SIZE = 0x0040_0000,
  /** For each physical page below 4 GiB a u64: bit n set = bytes [64n, 64n+64) hold decoded code. */
  CODE_CHUNKS = 0x01c0_0000,
  CODE_CHUNKS_SIZE = 0x0080_0000,
  /** ROM images and the shadow RAM of 0xC0000-0xFFFFF, option ROMs, firmware. */
  ROM = 0x0240_0000,
  ROM_SIZE = 0x0080_0000,
  /** Arena of instruction records and per-page code maps, owned by src/engine/cache.ts. */
  RECORDS = 0x0300_0000,
  RECORDS_SIZE = 0x0400_0000,
  /** Video RAM. */
  VRAM = 0x0700_0000,
  VRAM_SIZE = 0x0100_0000,
  /** Side for each instruction record: what the compiler knows of it, see Side. */
  SIDE = 0x0800_0000,
  SIDE_SIZE = 0x0100_0000,
  /** Guest RAM, guest-physical address 0. */
  RAM = 0x0900_0000,
}

/** Bits of a PMAP entry; bits 31:12 are the address in the shared memory of the page's first byte. */
export const enum Pmap {
  /** Reads go straight to memory. Clear: every access is MMIO. */
  READ = 1,
  /** Writes go straight to memory. READ without WRITE is ROM: writes go to MMIO (and are usually ignored). */
  WRITE = 2,
}

/** Offsets in one vCPU's area. Named as in the Intel SDM. */
export const enum Cpu {
  /** 16 general registers, 64 bits each: RAX RCX RDX RBX RSP RBP RSI RDI R8..R15. */
  GPR = 0x000,
  RAX = 0x000,
  RCX = 0x008,
  RDX = 0x010,
  RBX = 0x018,
  RSP = 0x020,
  RBP = 0x028,
  RSI = 0x030,
  RDI = 0x038,
  /** Always 0: stands for an absent base or index register. */
  ZERO = 0x080,
  /** RIP of offset 0 of the page being executed: linear page address minus CS base. Base of RIP-relative operands. */
  RIP_PAGE = 0x088,
  /** Linear address made by an address pseudo-record for the record after it. */
  EA = 0x090,
  /** RIP of the instruction being executed (valid inside calls from the interpreter, and when it is not running). */
  RIP = 0x098,
  /** RIP of the instruction after it (valid inside calls). */
  NEXT_RIP = 0x0a0,

  /** Lazy arithmetic flags: kind (u32, see FlagKind), and two u64. See src/x86/flags.ts. */
  FLAG_KIND = 0x0a8,
  FLAG_A = 0x0b0,
  FLAG_X = 0x0b8,
  /** RFLAGS without CF PF AF ZF SF OF (u32); bit 1 is always set. */
  RFLAGS = 0x0c0,

  /** Mask of linear and effective addresses: all ones in 64-bit code, 0xffffffff otherwise (u64). */
  ADDRESS_MASK = 0x0c8,
  /** Address in the shared memory of the TLB of the current privilege: cpu + TLB_SUPERVISOR or cpu + TLB_USER (u32). The same for code: CODE_TLB. */
  TLB = 0x0d0,
  /** Key of the code mode, part of a decoded page's key (u32), see Mode. */
  MODE = 0x0d4,
  /** Current privilege level (u32). 3 in virtual-8086 mode. */
  CPL = 0x0d8,
  /** Mode key for which the entries of each TLB for code are valid (u32 each). */
  TLB_MODE_SUPERVISOR = 0x0dc,
  TLB_MODE_USER = 0x0e0,

  /** Exception waiting for delivery: 0 none, else vector + 1 (u32). */
  FAULT = 0x0e4,
  /** Its error code (u32) and whether it has one (u32). */
  FAULT_ERROR = 0x0e8,
  FAULT_HAS_ERROR = 0x0ec,
  /** 1 while an exception is being delivered, for double and triple faults (u32). */
  DELIVERING = 0x0f0,
  /** Set to make the interpreter return: looked at after every call out of the dispatch function (u32, atomic). A loop of inline
   *  instructions goes on to the end of its budget, which is why slices are run in stretches (machine.ts). */
  EXIT_REQUEST = 0x0f4,
  /** 1 while the interrupt controllers hold an interrupt for this CPU (u32, atomic). */
  INTERRUPT_PENDING = 0x0f8,
  /** 1 after STI, 2 after MOV SS and POP SS: no interrupt before the end of the next instruction, with 2 no single-step trap either (u32). */
  INTERRUPT_SHADOW = 0x0fc,
  /** Instructions that may still run; see Vcpu.run (i64). */
  BUDGET = 0x100,
  /** 1: HLT was executed and no interrupt has ended it (u32). */
  HALTED = 0x108,
  /** Reason of the last return to TypeScript (u32), see Exit. */
  EXIT_REASON = 0x10c,
  /** Index of this vCPU (u32). */
  INDEX = 0x110,
  /** Non-zero: MASKED x87 exception waits / FERR# state (u32). */
  FERR = 0x114,
  /** Physical address mask: bits that a PTE may use (u64): (1 << MAXPHYADDR) - 1. */
  PHYS_MASK = 0x118,
  /** A20 mask for physical addresses (u64): all ones, or bit 20 clear. */
  A20_MASK = 0x120,
  /** 1: NMI waits (u32); 1: NMI blocked until IRET (u32). */
  NMI_PENDING = 0x128,
  NMI_BLOCKED = 0x12c,
  /** Guest instructions executed since reset, up to the last return to TypeScript (u64). */
  ICOUNT = 0x130,
  /** CPUID feature words that decide behaviour: EFER bits that exist (u64). */
  EFER_VALID = 0x138,
  /** CR4 bits that exist (u64). */
  CR4_VALID = 0x140,
  /** 1: vendor is Intel, 0: AMD (decides SYSENTER/SYSCALL validity in compatibility mode) (u32). */
  VENDOR_INTEL = 0x148,
  /** 1 while alignment checks act: CPL 3, CR0.AM and RFLAGS.AC. The user TLB then holds no read and write tags (u32). */
  AC_ACTIVE = 0x14c,
  /** Number of TLB fills, of slow loads and stores, for statistics (u32 each). */
  STAT_TLB_FILLS = 0x150,
  STAT_SLOW = 0x154,
  STAT_EXCEPTIONS = 0x158,
  STAT_INTERRUPTS = 0x15c,
  /** 1: the interpreter leaves before it delivers an exception, so that it can be logged (u32). */
  TRACE = 0x7a8,
  /** Record whose LINK is to be set when the target of its jump has been found (u32). */
  LINK_FROM = 0x7ac,
  /** CS base, or 0 in 64-bit code (u64). */
  CODE_BASE = 0x7b0,
  /** How the last compiled region was left, see RegionExit (u64); for STATUS the record and its Status (u32 each). */
  EXIT_DESC = 0x7b8,
  EXIT_RECORD = 0x7c0,
  EXIT_STATUS = 0x7c4,
  /** Depth of the regions that the innermost execute() enters (u32): none waits between it and one at this depth. */
  EXECUTE_DEPTH = 0x7a0,
  /** How many jumps to a record make it worth compiling; 0: nothing is compiled (u32). */
  HOT_THRESHOLD = 0x7c8,
  /** Results of the compiler's worker that have not been taken yet (u32, atomic). */
  COMPILED = 0x7cc,
  /** Counts how often translations were forgotten or the mode changed (u32): a region that is executing must then be left. */
  TRANSLATIONS = 0x7d0,
  /** 1 while DR7 enables breakpoints: the vCPU goes one instruction at a time (u32). */
  DEBUG_ARMED = 0x7d4,
  /** Bits of DR6 for the breakpoints that the instruction's accesses met (u32). */
  DEBUG_HITS = 0x7d8,
  /** Count how often translations of code were forgotten that CPL 3 and CPL 0-2 use, or what regions ask when they are entered changed (u32 each): compiled callers that wait must then return. */
  FORGOTTEN_USER = 0x7dc,
  FORGOTTEN_SUPERVISOR = 0x7e0,
  /** 1: since the last full flush CPL 0-2 fetched code from a page that is not global, so a write of CR3 may remap it (u32). */
  CODE_NOT_GLOBAL = 0x7e4,
  /** For so many instructions after the host's clock was asked RDTSC reckons with the instructions since; 0: it always asks (u32). */
  TSC_SPAN = 0x7e8,
  /** Address in the shared memory of the TLB for code of the current privilege (u32). */
  CODE_TLB = 0x7ec,
  /** Cpu.BUDGET when the host's clock was asked, negative where that is too long ago (i64); and what the time-stamp counter was (u64). */
  TSC_BUDGET = 0x7f0,
  TSC_ASKED = 0x7f8,
  /** The four page-directory-pointer entries of PAE paging, as the last CR3 write loaded them (u64 each). */
  PDPTE = 0x160,

  /** Segment registers: ES CS SS DS FS GS LDTR TR, SEG_SIZE bytes each, fields at Seg. */
  SEG = 0x180,
  ES = 0x180,
  CS = 0x1a0,
  SS = 0x1c0,
  DS = 0x1e0,
  FS = 0x200,
  GS = 0x220,
  LDTR = 0x240,
  TR = 0x260,
  SEG_SIZE = 0x20,

  GDTR_BASE = 0x280,
  GDTR_LIMIT = 0x288,
  IDTR_BASE = 0x290,
  IDTR_LIMIT = 0x298,

  CR0 = 0x2a0,
  CR2 = 0x2a8,
  CR3 = 0x2b0,
  CR4 = 0x2b8,
  CR8 = 0x2c0,
  EFER = 0x2c8,
  /** Debug registers DR0-DR7, u64 each. */
  DR = 0x2d0,
  XCR0 = 0x310,
  /** Features that decide the core's behaviour, see Feature (u32). */
  FEATURES = 0x318,

  /** Model-specific registers held here (u64 each). */
  STAR = 0x320,
  LSTAR = 0x328,
  CSTAR = 0x330,
  SFMASK = 0x338,
  KERNEL_GS_BASE = 0x340,
  SYSENTER_CS = 0x348,
  SYSENTER_ESP = 0x350,
  SYSENTER_EIP = 0x358,
  PAT = 0x360,
  TSC_AUX = 0x368,
  TSC_OFFSET = 0x370,
  APIC_BASE = 0x378,
  MISC_ENABLE = 0x380,
  MTRR_DEF_TYPE = 0x388,
  /** Last TSC value read (u64), so that it never goes back. */
  TSC_LAST = 0x390,
  /** MTRR variable ranges: 8 base/mask pairs (u64). */
  MTRR_VAR = 0x3a0,
  /** MTRR fixed ranges: 11 u64. */
  MTRR_FIX = 0x420,

  /** x87: 8 registers by physical number, 16 bytes each: mantissa u64 at +0, sign and exponent u16 at +8. MM0-7 are the mantissas. */
  FPR = 0x480,
  FCW = 0x500,
  /** Status word, TOP included (u32). */
  FSW = 0x504,
  /** Tag word in the abridged form of FXSAVE: bit n set = physical register n is not empty (u32). */
  FTW = 0x508,
  FOP = 0x50c,
  FIP = 0x510,
  FCS = 0x518,
  FDS = 0x51c,
  FDP = 0x520,
  MXCSR = 0x528,

  /** AMD's model-specific registers that Linux writes and reads back (u64 each). */
  SYSCFG = 0x560,
  HWCR = 0x568,
  DE_CFG = 0x570,

  /** XMM0-15, 16 bytes each. The upper halves of YMM would go to YMM_HIGH. */
  XMM = 0x580,
  YMM_HIGH = 0x680,
  /** Scratch for values of 16 bytes passed by reference, and for FXSAVE images. */
  TMP128 = 0x780,
  TMP128B = 0x790,
  SCRATCH = 0x800,
  SCRATCH_SIZE = 0x400,
  /** A record buffer for single steps and page-crossing code. */
  STEP_RECORDS = 0xc00,
  /** End of the part that snapshots and hashes take as the CPU's state. */
  STATE_SIZE = 0x780,

  /** In a profiling interpreter: records executed by kind (u64 each). */
  KIND_COUNTS = 0x8000,
  /** And how many of them were left to the kind's function (u32 each). */
  COLD_COUNTS = 0xd000,

  /** Sites of the loop that compiled code is in: for each the address of a page (u64, or in 32-bit code u32) and what leads from it to the shared memory (u32). */
  SITES = 0xfe00,
  SITES_MAX = 16,
  SITE_SIZE = 16,

  /** How often compiled regions were entered by the interpreter, and how often left by each RegionCause (u32 each). */
  REGION_ENTRIES = 0xff00,
  REGION_EXITS = 0xff04,

  /** Journal of TLB entries filled for non-global pages since the last flush: u32 count, then u32 addresses. */
  TLB_JOURNAL = 0x1_0000,
  TLB_JOURNAL_MAX = 0x3fff,
  /** Two TLBs for data, of Tlb.ENTRIES entries, one behind the other: for CPL 0-2 and for CPL 3. */
  TLB_SUPERVISOR = 0x2_0000,
  TLB_USER = 0x6_0000,
  /** One byte for each TLB entry, supervisor's first: 0 filled from a 4 KiB page, 1 of 2 MiB, 2 of 4 MiB, 3 of 1 GiB. For INVLPG. */
  TLB_LARGE = 0xa_0000,
  /**
   * u8: since the last flush an entry of a large page was filled whose address has this hash, (va >> 22 ^ va >> 34) & 0xfff. So that
   * INVLPG of a small page need not look for one.
   */
  TLB_LARGE_SEEN = 0xa_4000,
  /** u8: the same for pages that code was fetched from, (va >> 12 ^ va >> 24) & 0xfff. For TRANSLATIONS. */
  TLB_CODE_SEEN = 0xa_5000,
  /** Two TLBs for code, of CodeTlb.ENTRIES entries: for CPL 0-2 and for CPL 3; and for each entry a byte, as TLB_LARGE. */
  CODE_TLB_SUPERVISOR = 0xa_6000,
  CODE_TLB_USER = 0xb_6000,
  CODE_TLB_LARGE = 0xc_6000,
  /** u8 for each TLB entry, supervisor's first: not 0 if it may have a write tag. */
  TLB_WRITES = 0xc_8000,
}

/** Bits of Cpu.FEATURES. */
export const enum Feature {
  /** 1 GiB pages (CPUID 80000001h EDX bit 26). */
  PAGE1G = 1,
}

/** One segment register's fields. */
export const enum Seg {
  /** u32 */
  SELECTOR = 0,
  /** u32: access rights as in the descriptor's second double word, bits 8-23 shifted to 0-15 (type, S, DPL, P; AVL, L, D/B, G at bits 12-15); 0x10000 set = unusable (null). */
  ATTR = 4,
  /** u64 */
  BASE = 8,
  /** u32, in bytes (granularity applied) */
  LIMIT = 16,
}

export const enum SegAttr {
  TYPE = 0x0f,
  S = 0x10,
  DPL_SHIFT = 5,
  P = 0x80,
  AVL = 0x1000,
  L = 0x2000,
  DB = 0x4000,
  G = 0x8000,
  NULL = 0x1_0000,
}

/** One entry of the software TLB for data; not all of its size is used. An address is on the fast path when ((va + size - 1) & ~0xfff) equals the tag. */
export const enum Tlb {
  /** With half as many, data of a kernel's image takes entries from other data of it 16 MiB away. */
  ENTRIES = 8192,
  ENTRY_SIZE = 32,
  /** u64 linear page address, or INVALID */
  TAG_READ = 0,
  TAG_WRITE = 8,
  /** i32 to add to the low 32 bits of the linear address to get the address in the shared memory */
  ADDEND = 24,
  /** A tag that no address can match: low bit set. */
  INVALID = 1,
}

/**
 * One entry of the TLB for code. It is one of its own because kernels have code and data whole multiples of 16 MiB apart, which would take
 * the same entry from one another.
 */
export const enum CodeTlb {
  /** With half as many, the two halves of a kernel of more than 8 MiB take them from one another. */
  ENTRIES = 4096,
  ENTRY_SIZE = 16,
  /** u64 linear page address, or Tlb.INVALID */
  TAG = 0,
  /** i32, as Tlb.ADDEND */
  ADDEND = 8,
  /** u32 address of the page's code map: 4096 u32 record addresses by page offset */
  CODE_MAP = 12,
}

/** One decoded instruction: 32 bytes. Register fields are byte offsets in the vCPU area. */
export const enum Rec {
  SIZE = 32,
  /** u16: number of the handler: the record's own kind, that of a pair with the record behind it, or Pseudo.REGION */
  KIND = 0,
  /** u8: length of the instruction in bytes */
  LENGTH = 2,
  /** u8: free for the kind: shift of the index, segment, count … */
  AUX = 3,
  /** u16: register of ModRM.rm, or of the opcode's low bits */
  RM = 4,
  /** u16: register of ModRM.reg */
  REG = 6,
  /** u16: base register of the memory operand (EA after an address pseudo-record) */
  BASE = 8,
  /** u16: index register */
  INDEX = 10,
  /** u16: how many instructions of the block lie before this one */
  ORDINAL = 12,
  /** u16: offset of the instruction's first byte in its page */
  OFFSET = 14,
  /** i32 displacement; of RIP-relative operands with the next instruction's page offset added */
  DISP = 16,
  /** u32 of a conditional branch, which has no displacement: how often it was not taken */
  PASSED = 16,
  /** u32: record of a branch's target if it is in the same page and known, else 0 */
  LINK = 20,
  /** i64 immediate; of a relative branch the target as an offset from the page's start */
  IMM = 24,
}

/** What stands beside each record in Mem.SIDE: 8 bytes at SIDE + (record - RECORDS) / 4. */
export const enum Side {
  SIZE = 8,
  /** u16: how often a jump went to the record */
  COUNT = 0,
  /** u16: the record's own kind, while its KIND is Pseudo.REGION */
  KIND = 2,
  /** u16: slot of the compiled region that begins at the record; 0: none */
  SLOT = 4,
  /** u16: slot of the one that may come, which others' code names; 0: none */
  RESERVED = 6,
}

/** For each compiled region's slot: whether the region is what a caller means, in one word of 64 bits. */
export const enum Entry {
  SIZE = 8,
  /** u32: word of the page's map that stands for the first instruction of the region that is there or may come; 0: of none */
  AT = 0,
  /** i32: the region may be entered with a budget above this */
  LIMIT = 4,
}

/**
 * Targets of indirect jumps: for each record, by the low bits of its number, a table of i32 offsets from the jump's page, the place of
 * each by the target's address. Jumps and targets may share places, so this is a hint.
 */
export const enum JumpTargets {
  JUMPS = 512,
  PLACES = 256,
}

/** Bits of Cpu.MODE. */
export const enum Mode {
  /** Code size in bits 0-1. */
  CODE16 = 0,
  CODE32 = 1,
  CODE64 = 2,
  CODE_MASK = 3,
  /** CS, DS, ES and SS have base 0 and limit 4 GiB: no segment arithmetic. Always set in 64-bit code. */
  FLAT = 4,
  /** The stack pointer is ESP (SS.B set); in 64-bit code RSP always. */
  STACK32 = 8,
}

/** FLAG_KIND: the operation whose operands FLAG_A and FLAG_X hold; bits 8-15 hold the operand size in bits (8, 16, 32, 64).
 *  Operands are kept shifted left by 64 - size, so that comparing them needs no size. */
export const enum FlagKind {
  /** FLAG_A - FLAG_X was computed (CMP, SUB, NEG; TEST, AND … are SUB(r, 0); DEC is SUB(a, 1), INC SUB(a, -1)). */
  SUB = 0,
  /** FLAG_X = FLAG_A + something was computed. */
  ADD = 1,
  /** FLAG_X is the result (ZF SF PF), FLAG_A holds CF, AF and OF at their places in RFLAGS. */
  RESULT = 2,
  /** FLAG_X holds CF PF AF ZF SF OF at their places in RFLAGS. */
  EXPLICIT = 3,
  MASK = 3,
  /** CF is not that of the operation but CARRY_VALUE: INC and DEC keep it, rotates and bit tests set it, and what sets nothing else. */
  CARRY_KEPT = 4,
  CARRY_VALUE = 8,
  /** With SUB: AF is the opposite of the subtraction's (INC). */
  AF_INVERTED = 16,
  /** The operands are not shifted, and may have other bits above their size: so a compiled region leaves them. */
  RAW = 32,
  /** OF is not that of the operation but OVERFLOW_VALUE: rotates set it. */
  OVERFLOW_KEPT = 64,
  OVERFLOW_VALUE = 128,
}

/**
 * How control leaves compiled regions altogether: the function returns GONE, which is no address that code can have, and
 * Cpu.EXIT_DESC says the rest: bits 0-1 one of these, 2-5 a cause for statistics (RegionCause), 6-15 instructions that were taken off
 * the budget and not executed, 16-31 kind of the flags, 32-63 offset of RIP from the region's first page.
 */
export const enum RegionExit {
  /** The interpreter is to execute the instruction at RIP. */
  SLOW = 0,
  /** Go on at RIP, where there may be a region or not. */
  JUMP = 1,
  /** Return to TypeScript; RIP is where to go on. */
  LEAVE = 2,
  /** A kind's function was called and did not answer Status.NEXT. */
  STATUS = 3,
}

/** Why, for statistics. */
export const enum RegionCause {
  /** A look-up in the TLB missed: first touch, device memory, a page with code, an access across pages. */
  MEMORY = 0,
  /** The instruction's quick form does not cover the case: an exception, an operand it leaves to core.wasm. */
  RARE = 1,
  /** The instruction is not compiled, or transfers control where a compiled caller waits (docs/decisions/25-transfers.md). */
  INSTRUCTION = 2,
  /** A jump to code that is not compiled. */
  TARGET = 3,
  /** The page of a jump's target is not mapped as it was. */
  MAPPING = 4,
  /** Budget, interrupt, request to exit. */
  REQUEST = 5,
  /** Calls are nested too deeply, or the region is no longer valid. */
  LIMIT = 6,
  /** The instruction changed the mode. */
  MODE = 7,
  /** A kind's function did not say NEXT. */
  STATUS = 8,
  /** Accesses near one another lie on two pages. From here on, a region that is often left so is made again without what it hoped for. */
  SPAN = 9,
  /** A number of the x87 that is neither zero nor normal, or FCW, is not for the short way. */
  NUMBER = 10,
}

/** What a region does not count on, as one that did was often left: RegionCause.SPAN, RegionCause.NUMBER. See Mem.REGION_DOUBTS. */
export const enum Doubt {
  NONE = 0,
  /** That accesses near one another lie on one page. */
  SPANS = 1,
  /** That numbers of the x87 are zero or normal, and FCW as it was. */
  NUMBERS = 2,
}

/** What a function called for an instruction says about how to go on. */
export const enum Status {
  /** Go on with the next record. */
  NEXT = 0,
  /** An exception is pending in Cpu.FAULT; nothing was changed. */
  FAULT = 1,
  /** Cpu.RIP holds the next instruction's address; mode or privilege may have changed. */
  JUMP = 2,
  /** The instruction is done, RIP must go to NEXT_RIP and the interpreter must return; Cpu.EXIT_REASON says why. */
  EXIT = 3,
  /** The instruction is not finished and is to be executed again (REP that was interrupted). */
  AGAIN = 4,
}

/** Cpu.EXIT_REASON. */
export const enum Exit {
  /** The budget is used up or EXIT_REQUEST was set. */
  BUDGET = 0,
  HALT = 1,
  /** Triple fault. */
  SHUTDOWN = 2,
  /** One instruction was executed by request. */
  STEP = 3,
  /** Fetching the next instruction faulted; the exception is pending in FAULT. */
  FETCH_FAULT = 5,
  /** The CPU was reset or powered off by a device, or the device asked to stop. */
  MACHINE = 4,
}

/** Exception vectors, SDM volume 3, table 6-1. */
export const enum Vector {
  DE = 0,
  DB = 1,
  NMI = 2,
  BP = 3,
  OF = 4,
  BR = 5,
  UD = 6,
  NM = 7,
  DF = 8,
  TS = 10,
  NP = 11,
  SS = 12,
  GP = 13,
  PF = 14,
  MF = 16,
  AC = 17,
  MC = 18,
  XM = 19,
}

/** RFLAGS bits. */
export const enum Rflags {
  CF = 0x1,
  FIXED = 0x2,
  PF = 0x4,
  AF = 0x10,
  ZF = 0x40,
  SF = 0x80,
  TF = 0x100,
  IF = 0x200,
  DF = 0x400,
  OF = 0x800,
  IOPL = 0x3000,
  IOPL_SHIFT = 12,
  NT = 0x4000,
  RF = 0x1_0000,
  VM = 0x2_0000,
  AC = 0x4_0000,
  VIF = 0x8_0000,
  VIP = 0x10_0000,
  ID = 0x20_0000,
  ARITHMETIC = 0x8d5,
}

/** MXCSR bits. */
export const enum Mxcsr {
  DAZ = 0x40,
  MASK_SHIFT = 7,
  RC_SHIFT = 13,
  FTZ = 0x8000,
  /** All that there are. */
  EXISTING = 0xffff,
}

/** FCW, the x87's control word. Intel SDM volume 1, 8.1.5. */
export const enum Fcw {
  /** Masks of all exceptions. */
  MASKS = 0x3f,
  /** What can be written; and a bit that always reads 1. */
  WRITABLE = 0x1f3f,
  FIXED = 0x40,
}

/** Operation numbers of the x87: the reg field of opcodes D8 and DC. */
export const enum X87Op {
  ADD = 0,
  MUL = 1,
  COM = 2,
  COMP = 3,
  SUB = 4,
  SUBR = 5,
  DIV = 6,
  DIVR = 7,
}

/** Formats that the x87 stores: of x87_store and x87_narrow. */
export const enum X87Store {
  M32 = 0,
  M64 = 1,
  M80 = 2,
  I16 = 3,
  I32 = 4,
  I64 = 5,
  I16_TRUNCATE = 6,
  I32_TRUNCATE = 7,
  I64_TRUNCATE = 8,
  BCD = 9,
}
