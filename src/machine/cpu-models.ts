// Names of CPU models and features for -cpu, spelled as QEMU spells them (target/i386: `-cpu help`).
// What each feature is in CPUID belongs to the engine; this is what a machine line may ask for.

import { FEATURES } from '../engine/cpuid.ts';

/** Features the engine has. A model chooses among them; `-cpu MODEL,+NAME,-NAME` changes the choice. */
export const SUPPORTED_FEATURES: readonly string[] = [...Object.keys(FEATURES), 'kvmclock'];

export type CpuFeature = string;

/** Other spellings QEMU takes. */
export const FEATURE_ALIASES: Readonly<Record<string, CpuFeature>> = {
  sse3: 'pni', lahf_lm: 'lahf-lm', xd: 'nx', i64: 'lm', 'kvm-clock': 'kvmclock', tsc_deadline: 'tsc-deadline',
};

/** Features QEMU knows by name and the engine does not have yet. */
export const UNSUPPORTED_FEATURES: readonly string[] = [
  'sse4.1', 'sse4_1', 'sse4-1', 'sse4.2', 'sse4_2', 'sse4-2', 'sse4a', 'avx', 'avx2', 'avx512f', 'fma', 'f16c', 'bmi1', 'bmi2',
  'abm', 'lzcnt', 'movbe', 'aes', 'pclmulqdq', 'sha-ni', 'adx', 'rdrand', 'rdseed', 'xsave', 'xsaveopt', 'xsavec', 'xsaves',
  'fsgsbase', 'smep', 'smap', 'umip', 'pku', 'la57', 'pcid', 'invpcid', 'pdpe1gb', 'x2apic', 'ht',
  'monitor', 'vmx', 'svm', 'acpi', 'ss', '3dnow', '3dnowext', 'mmxext', 'fxsr-opt', 'fxsr_opt', 'xop', 'tbm', 'fma4',
  'arat', 'hle', 'rtm', 'mpx', 'clflushopt', 'clwb', 'pmu', 'perfctr-core', 'kvm', 'kvm-steal-time', 'kvm-pv-eoi',
];

/** Models by name, and what they are without `+` and `-`. */
export const CPU_MODELS: Readonly<Record<string, { description: string; features: readonly CpuFeature[] }>> = {
  qemu64: { description: '64-bit processor with everything Tabvisor has (default)', features: SUPPORTED_FEATURES },
  qemu32: {
    description: 'the same without 64-bit mode',
    features: SUPPORTED_FEATURES.filter((name) => !['lm', 'syscall', 'lahf-lm', 'cx16', 'rdtscp'].includes(name)),
  },
};
