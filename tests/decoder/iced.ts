// iced-x86 as the oracle of the decoder: what it makes of bytes, in terms of our decoder.

import {
  Code,
  CpuidFeature,
  Decoder as IcedDecoder,
  DecoderOptions,
  Formatter,
  FormatterSyntax,
  Instruction,
  MemorySizeOptions,
} from 'iced-x86';

/** Instruction sets that the emulator offers. What needs another one is #UD. */
const OFFERED = new Set<CpuidFeature>([
  CpuidFeature.INTEL8086,
  CpuidFeature.INTEL186,
  CpuidFeature.INTEL286,
  CpuidFeature.INTEL386,
  CpuidFeature.INTEL486,
  CpuidFeature.X64,
  CpuidFeature.CMOV,
  CpuidFeature.CX8,
  CpuidFeature.CMPXCHG16B,
  CpuidFeature.CPUID,
  CpuidFeature.MSR,
  CpuidFeature.TSC,
  CpuidFeature.RDTSCP,
  CpuidFeature.RDPMC,
  CpuidFeature.SYSCALL,
  CpuidFeature.SEP,
  CpuidFeature.PAUSE,
  CpuidFeature.POPCNT,
  CpuidFeature.MULTIBYTENOP,
  CpuidFeature.PREFETCHW,
  CpuidFeature.CLFSH,
  CpuidFeature.FXSR,
  CpuidFeature.FPU,
  CpuidFeature.FPU287,
  CpuidFeature.FPU387,
  CpuidFeature.MMX,
  CpuidFeature.SSE,
  CpuidFeature.SSE2,
  CpuidFeature.SSE3,
  CpuidFeature.SSSE3,
]);

export interface IcedResult {
  /** 0: invalid. */
  length: number;
  /** Valid, and only of instruction sets that the emulator offers, or a hint. */
  offered: boolean;
  name: string;
  /** Names of the sets that it needs. */
  features: string;
  /** In Intel's syntax. */
  text(): string;
}

/** Prefixes that make new instructions of old ones (TZCNT of BSF) do nothing on a processor without these. */
const OPTIONS = DecoderOptions.NoMPFX_0FBC | DecoderOptions.NoMPFX_0FBD | DecoderOptions.NoWbnoinvd;

/** Instructions in the room of 0F 0D and 0F 18-1F, which are no-operations where they are not known. */
const HINT = /^(Endbr32|Endbr64|Rdsspd_r32|Rdsspq_r64|Cldemote_m8|Prefetch|Reservednop)/;

/** 0F 0D with a register is a no-operation at Intel and #UD at AMD, whose CPUID the emulator shows. */
const REFUSED = /^Reservednop.*0F0D$/;

/** What is known of an instruction by its code. */
const known = new Map<Code, Pick<IcedResult, 'offered' | 'name' | 'features'>>();

function about(instruction: Instruction): Pick<IcedResult, 'offered' | 'name' | 'features'> {
  const { code } = instruction;
  let found = known.get(code);
  if (!found) {
    const needed = code === Code.INVALID ? [] : Array.from(instruction.cpuidFeatures(), (f) => f as CpuidFeature);
    const name = Code[code];
    const offered = code !== Code.INVALID && !REFUSED.test(name) && (HINT.test(name) || needed.every((f) => OFFERED.has(f)));
    found = { name, offered, features: needed.map((f) => CpuidFeature[f]).join('+') };
    known.set(code, found);
  }
  return found;
}

const instruction = new Instruction();

/** Decodes the instruction at the start of `bytes`. The result's text() is good until the next call. */
export function icedDecode(bytes: Uint8Array, mode: 16 | 32 | 64, address: bigint): IcedResult {
  const decoder = new IcedDecoder(mode, bytes, OPTIONS);
  decoder.ip = address;
  decoder.decodeOut(instruction);
  decoder.free();
  return {
    ...about(instruction),
    length: instruction.code === Code.INVALID ? 0 : instruction.length,
    text: () => formatter.format(instruction),
  };
}

/** Set to look as src/x86/disassemble.ts does. */
const formatter = new Formatter(FormatterSyntax.Intel);
formatter.hexPrefix = '0x';
formatter.hexSuffix = '';
formatter.uppercaseHex = false;
formatter.smallHexNumbersInDecimal = false;
formatter.branchLeadingZeros = false;
formatter.spaceAfterOperandSeparator = false;
formatter.usePseudoOps = false;
formatter.memorySizeOptions = MemorySizeOptions.Always;
