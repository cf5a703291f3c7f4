// CPUID: what the virtual CPU says it can do, and no more. AMD APM volume 3, appendix E; Intel SDM volume 2 "CPUID";
// the hypervisor leaves are KVM's (Linux, Documentation/virt/kvm/x86/cpuid.rst).

/** A feature by its name in QEMU's -cpu option. */
interface FeatureBit {
  readonly leaf: number;
  readonly register: 0 | 1 | 2 | 3;
  readonly bit: number;
}

const EAX = 0;
const EBX = 1;
const ECX = 2;
const EDX = 3;

const bit = (leaf: number, register: 0 | 1 | 2 | 3, n: number): FeatureBit => ({ leaf, register, bit: n });

/** Every feature that is implemented, by QEMU's name for it. */
export const FEATURES: Readonly<Record<string, FeatureBit>> = {
  fpu: bit(1, EDX, 0),
  de: bit(1, EDX, 2),
  pse: bit(1, EDX, 3),
  tsc: bit(1, EDX, 4),
  msr: bit(1, EDX, 5),
  pae: bit(1, EDX, 6),
  cx8: bit(1, EDX, 8),
  apic: bit(1, EDX, 9),
  sep: bit(1, EDX, 11),
  mtrr: bit(1, EDX, 12),
  pge: bit(1, EDX, 13),
  cmov: bit(1, EDX, 15),
  pat: bit(1, EDX, 16),
  pse36: bit(1, EDX, 17),
  clflush: bit(1, EDX, 19),
  mmx: bit(1, EDX, 23),
  fxsr: bit(1, EDX, 24),
  sse: bit(1, EDX, 25),
  sse2: bit(1, EDX, 26),
  pni: bit(1, ECX, 0),
  ssse3: bit(1, ECX, 9),
  cx16: bit(1, ECX, 13),
  popcnt: bit(1, ECX, 23),
  'tsc-deadline': bit(1, ECX, 24),
  hypervisor: bit(1, ECX, 31),
  erms: bit(7, EBX, 9),
  fsrm: bit(7, EDX, 4),
  syscall: bit(0x8000_0001, EDX, 11),
  nx: bit(0x8000_0001, EDX, 20),
  rdtscp: bit(0x8000_0001, EDX, 27),
  lm: bit(0x8000_0001, EDX, 29),
  'lahf-lm': bit(0x8000_0001, ECX, 0),
  '3dnowprefetch': bit(0x8000_0001, ECX, 8),
  invtsc: bit(0x8000_0007, EDX, 8),
  'auto-ibrs': bit(0x8000_0021, EAX, 8),
};

/** Bits of leaf 80000001h EDX that repeat leaf 1's on AMD processors. */
const REPEATED = 0x0183_f3ff;

export interface CpuidOptions {
  /** Features switched off, or (all others) on; names of FEATURES. */
  readonly without: readonly string[];
  /** Bits of KVM's feature leaf 40000001h EAX; null: no hypervisor leaves. */
  readonly kvmFeatures: number | null;
  /** APIC id of this CPU, and number of CPUs. */
  readonly apicId: number;
  readonly cpus: number;
}

const text = (s: string): number[] => {
  const bytes = new TextEncoder().encode(s);
  return Array.from({ length: Math.ceil(bytes.length / 4) }, (_, n) => (bytes[n * 4] | (bytes[n * 4 + 1] << 8) | (bytes[n * 4 + 2] << 16) | (bytes[n * 4 + 3] << 24)) | 0);
};

const VENDOR = text('AuthenticAMD');
const BRAND = text('Tabvisor Virtual CPU'.padEnd(48, '\0'));
const KVM_SIGNATURE = text('KVMKVMKVM\0\0\0');

/** QEMU's qemu64: family 15, model 107, stepping 1. */
const SIGNATURE = 0x0006_0fb1;

/** The last extended leaf. */
const LAST_EXTENDED = 0x8000_0021;

const PHYSICAL_BITS = 40;
const LINEAR_BITS = 48;

export class Cpuid {
  private readonly bits = new Map<string, number>();

  constructor(private readonly options: CpuidOptions) {
    for (const name of options.without) if (!FEATURES[name]) throw new Error(`unknown CPU feature: ${name}`);
    for (const [name, f] of Object.entries(FEATURES)) {
      if (options.without.includes(name)) continue;
      if (name === 'hypervisor' && options.kvmFeatures === null) continue;
      const key = `${f.leaf}/${f.register}`;
      this.bits.set(key, ((this.bits.get(key) ?? 0) | (1 << f.bit)) >>> 0);
    }
  }

  has(name: string): boolean {
    const f = FEATURES[name];
    return f !== undefined && (this.word(f.leaf, f.register) >>> f.bit) % 2 === 1;
  }

  private word(leaf: number, register: number): number {
    return this.bits.get(`${leaf}/${register}`) ?? 0;
  }

  /** EAX, EBX, ECX, EDX. */
  query(leaf: number, subleaf: number): [number, number, number, number] {
    const { options } = this;
    switch (leaf >>> 0) {
      case 0:
        return [7, VENDOR[0], VENDOR[2], VENDOR[1]];
      case 1:
        // CLFLUSH line of 64 bytes (in units of 8), CPU count, initial APIC id.
        return [SIGNATURE, (options.apicId << 24) | (options.cpus << 16) | (8 << 8), this.word(1, ECX), this.word(1, EDX)];
      case 7:
        return subleaf === 0 ? [0, this.word(7, EBX), this.word(7, ECX), this.word(7, EDX)] : [0, 0, 0, 0];
      case 0x4000_0000:
        return options.kvmFeatures === null ? [0, 0, 0, 0] : [0x4000_0001, KVM_SIGNATURE[0], KVM_SIGNATURE[1], KVM_SIGNATURE[2]];
      case 0x4000_0001:
        return options.kvmFeatures === null ? [0, 0, 0, 0] : [options.kvmFeatures, 0, 0, 0];
      case 0x8000_0000:
        return [LAST_EXTENDED | 0, VENDOR[0], VENDOR[2], VENDOR[1]];
      case 0x8000_0001:
        return [SIGNATURE, 0, this.word(0x8000_0001, ECX), this.word(0x8000_0001, EDX) | (this.word(1, EDX) & REPEATED)];
      case 0x8000_0002:
      case 0x8000_0003:
      case 0x8000_0004: {
        const n = ((leaf >>> 0) - 0x8000_0002) * 4;
        return [BRAND[n], BRAND[n + 1], BRAND[n + 2], BRAND[n + 3]];
      }
      case 0x8000_0007:
        return [0, 0, 0, this.word(0x8000_0007, EDX)];
      case 0x8000_0008:
        return [PHYSICAL_BITS | (LINEAR_BITS << 8), 0, 0, 0];
      case LAST_EXTENDED:
        return [this.word(LAST_EXTENDED, EAX), 0, 0, 0];
      default:
        return [0, 0, 0, 0];
    }
  }

  /** Mask of the physical address bits that paging structures may use. */
  get physicalMask(): bigint {
    return (1n << BigInt(PHYSICAL_BITS)) - 1n;
  }

  /** EFER bits that exist: SCE, LME, LMA, NXE, AIBRSE. AMD APM volume 2, section 3.1.7. */
  get eferValid(): bigint {
    return (this.has('syscall') ? 1n : 0n) | (this.has('lm') ? 0x500n : 0n) | (this.has('nx') ? 0x800n : 0n) | (this.has('auto-ibrs') ? 0x20_0000n : 0n);
  }

  /** CR4 bits that exist. SDM volume 3, section 2.5. */
  get cr4Valid(): bigint {
    const PSE = 1n << 4n;
    const PAE = 1n << 5n;
    const PGE = 1n << 7n;
    const PCE = 1n << 8n;
    const OSFXSR = 1n << 9n;
    const OSXMMEXCPT = 1n << 10n;
    const TSD = 1n << 2n;
    const DE = 1n << 3n;
    let mask = TSD | PCE;
    if (this.has('de')) mask |= DE;
    if (this.has('pse')) mask |= PSE;
    if (this.has('pae')) mask |= PAE;
    if (this.has('pge')) mask |= PGE;
    if (this.has('fxsr')) mask |= OSFXSR;
    if (this.has('sse')) mask |= OSXMMEXCPT;
    return mask;
  }
}
