// Names of CPU models and features for -cpu, spelled as QEMU spells them (target/i386: `-cpu help`).
// What each feature is in CPUID belongs to the engine; this is what a machine line may ask for.

/** Features the engine has. A model chooses among them; `-cpu MODEL,+NAME,-NAME` changes the choice. */
export const SUPPORTED_FEATURES = [
  'fpu', 'vme', 'de', 'pse', 'tsc', 'msr', 'pae', 'mce', 'cx8', 'apic', 'sep', 'mtrr', 'pge', 'mca', 'cmov', 'pat', 'pse36',
  'clflush', 'mmx', 'fxsr', 'sse', 'sse2', 'pni', 'ssse3', 'cx16', 'popcnt', 'tsc-deadline', 'hypervisor', 'kvmclock',
  'syscall', 'nx', 'lm', 'lahf_lm',
] as const;

export type CpuFeature = (typeof SUPPORTED_FEATURES)[number];

/** Other spellings QEMU takes. */
export const FEATURE_ALIASES: Readonly<Record<string, CpuFeature>> = {
  sse3: 'pni', 'lahf-lm': 'lahf_lm', xd: 'nx', i64: 'lm', 'kvm-clock': 'kvmclock', tsc_deadline: 'tsc-deadline',
};

/** Features QEMU knows by name and the engine does not have yet. */
export const UNSUPPORTED_FEATURES: readonly string[] = [
  'sse4.1', 'sse4_1', 'sse4-1', 'sse4.2', 'sse4_2', 'sse4-2', 'sse4a', 'avx', 'avx2', 'avx512f', 'fma', 'f16c', 'bmi1', 'bmi2',
  'abm', 'lzcnt', 'movbe', 'aes', 'pclmulqdq', 'sha-ni', 'adx', 'rdrand', 'rdseed', 'xsave', 'xsaveopt', 'xsavec', 'xsaves',
  'fsgsbase', 'smep', 'smap', 'umip', 'pku', 'la57', 'pcid', 'invpcid', 'erms', 'fsrm', 'pdpe1gb', 'rdtscp', 'x2apic', 'ht',
  'monitor', 'vmx', 'svm', 'acpi', 'ss', '3dnow', '3dnowext', 'mmxext', 'fxsr-opt', 'fxsr_opt', 'xop', 'tbm', 'fma4', 'invtsc',
  'arat', 'hle', 'rtm', 'mpx', 'clflushopt', 'clwb', 'pmu', 'perfctr-core', 'kvm', 'kvm-steal-time', 'kvm-pv-eoi',
];

/** Models by name, and what they are without `+` and `-`. */
export const CPU_MODELS: Readonly<Record<string, { description: string; features: readonly CpuFeature[] }>> = {
  qemu64: { description: '64-bit processor with everything Tabvisor has (default)', features: SUPPORTED_FEATURES },
  qemu32: {
    description: 'the same without 64-bit mode',
    features: SUPPORTED_FEATURES.filter((name) => !['lm', 'syscall', 'lahf_lm', 'cx16'].includes(name)),
  },
};
