// Random bytes for the guest: the host's, or under -icount a sequence that every run repeats.

import type { EntropySource } from '../devices/interfaces.ts';

/** The host's generator. */
export class HostEntropy implements EntropySource {
  fill(bytes: Uint8Array<ArrayBuffer>): void {
    crypto.getRandomValues(bytes);
  }

  save(): unknown {
    return undefined;
  }

  load(): void {}
}

/** Any words but four zeros will do. */
const SEED = [0x54616276, 0x69736f72, 0x00000001, 0x9e3779b9];

/** xoshiro128** (D. Blackman, S. Vigna, "Scrambled Linear Pseudorandom Number Generators", 2021). No secrets come from it. */
export class RepeatableEntropy implements EntropySource {
  private readonly s = Uint32Array.from(SEED);

  private next(): number {
    const { s } = this;
    const rotate = (x: number, k: number) => (x << k) | (x >>> (32 - k));
    const result = Math.imul(rotate(Math.imul(s[1], 5), 7), 9);
    const t = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 11);
    return result;
  }

  fill(bytes: Uint8Array<ArrayBuffer>): void {
    for (let at = 0; at < bytes.length; at += 4) {
      const word = this.next();
      for (let i = at; i < Math.min(at + 4, bytes.length); i++) bytes[i] = word >>> (8 * (i - at));
    }
  }

  save(): unknown {
    return this.s.slice();
  }

  load(state: unknown): void {
    this.s.set(state as Uint32Array);
  }
}
