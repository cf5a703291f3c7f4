// The oracle's pseudo-random numbers: Marsaglia's xorshift128, seeded through a 32-bit mixer ("Xorshift RNGs", 2003).
// Recorded cases name their seed, so this file must not change its sequence.

export class Random {
  private a = 0;
  private b = 0;
  private c = 0;
  private d = 0;

  constructor(seed: number) {
    const mix = (n: number) => {
      let x = (seed + Math.imul(n, 0x9e3779b9)) | 0;
      x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
      x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
      return x ^ (x >>> 16);
    };
    this.a = mix(1);
    this.b = mix(2);
    this.c = mix(3);
    this.d = mix(4) | 1;
  }

  /** 32 random bits, unsigned. */
  u32(): number {
    let t = this.d;
    const s = this.a;
    this.d = this.c;
    this.c = this.b;
    this.b = s;
    t ^= t << 11;
    t ^= t >>> 8;
    this.a = t ^ s ^ (s >>> 19);
    return this.a >>> 0;
  }

  u64(): bigint {
    return (BigInt(this.u32()) << 32n) | BigInt(this.u32());
  }

  /** An integer from 0 to n - 1. */
  below(n: number): number {
    return this.u32() % n;
  }

  /** True in `percent` of 100 calls. */
  chance(percent: number): boolean {
    return this.u32() % 100 < percent;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.u32() % list.length];
  }
}
