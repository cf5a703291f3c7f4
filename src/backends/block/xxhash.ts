// XXH64, the hash at the end of a Zstandard frame (RFC 8878, 3.1.1): "xxHash fast digest algorithm", with seed 0. Numbers of 64 bits
// are pairs of 32, because BigInt is a hundred times slower.

/** 64-bit primes, upper and lower half. */
const P1 = [0x9e3779b1, 0x85ebca87] as const;
const P2 = [0xc2b2ae3d, 0x27d4eb4f] as const;
const P3 = [0x165667b1, 0x9e3779f9] as const;
const P4 = [0x85ebca77, 0xc2b2ae63] as const;
const P5 = [0x27d4eb2f, 0x165667c5] as const;

/** The halves of the last result. */
let high = 0;
let low = 0;

function multiply(h: number, l: number, [ph, pl]: readonly [number, number]): void {
  const a = l & 0xffff;
  const b = l >>> 16;
  const c = pl & 0xffff;
  const d = pl >>> 16;
  const ac = a * c;
  const middle = b * c + (ac >>> 16);
  const other = a * d + (middle & 0xffff);
  low = ((other << 16) | (ac & 0xffff)) | 0;
  high = (b * d + Math.floor(middle / 65536) + Math.floor(other / 65536) + Math.imul(h, pl) + Math.imul(l, ph)) | 0;
}

function add(h: number, l: number): void {
  const sum = (low >>> 0) + (l >>> 0);
  low = sum | 0;
  high = (high + h + (sum > 0xffffffff ? 1 : 0)) | 0;
}

function rotate(n: number): void {
  if (n >= 32) [high, low, n] = [low, high, n - 32];
  if (n === 0) return;
  const h = (high << n) | (low >>> (32 - n));
  low = (low << n) | (high >>> (32 - n));
  high = h;
}

function shiftXor(n: number): void {
  const l = n >= 32 ? high >>> (n - 32) : n === 0 ? low : (low >>> n) | (high << (32 - n));
  high ^= n >= 32 ? 0 : high >>> n;
  low ^= l;
}

export class Xxh64 {
  /** Four accumulators, a pair each. */
  private readonly v = new Int32Array(8);
  private readonly rest = new Uint8Array(32);
  private held = 0;
  private length = 0;

  constructor() {
    const set = (n: number): void => {
      this.v[2 * n] = high;
      this.v[2 * n + 1] = low;
    };
    [high, low] = P1;
    add(...P2);
    set(0);
    [high, low] = P2;
    set(1);
    [high, low] = [0, 0];
    set(2);
    // 0 - P1.
    [high, low] = [~P1[0], ~P1[1]];
    add(0, 1);
    set(3);
  }

  update(bytes: Uint8Array): void {
    this.length += bytes.length;
    let at = 0;
    if (this.held > 0) {
      at = Math.min(32 - this.held, bytes.length);
      this.rest.set(bytes.subarray(0, at), this.held);
      this.held += at;
      if (this.held < 32) return;
      this.stripes(this.rest, 0, 32);
    }
    const end = at + 32 * Math.floor((bytes.length - at) / 32);
    this.stripes(bytes, at, end);
    this.rest.set(bytes.subarray(end));
    this.held = bytes.length - end;
  }

  private stripes(bytes: Uint8Array, at: number, end: number): void {
    const { v } = this;
    for (; at < end; at += 32) {
      for (let n = 0; n < 4; n++) {
        const p = at + 8 * n;
        const l = bytes[p] | (bytes[p + 1] << 8) | (bytes[p + 2] << 16) | (bytes[p + 3] << 24);
        const h = bytes[p + 4] | (bytes[p + 5] << 8) | (bytes[p + 6] << 16) | (bytes[p + 7] << 24);
        this.round(h, l, v[2 * n], v[2 * n + 1]);
        v[2 * n] = high;
        v[2 * n + 1] = low;
      }
    }
  }

  /** (accumulator + lane * P2) rotated by 31, times P1. */
  private round(h: number, l: number, vh: number, vl: number): void {
    multiply(h, l, P2);
    add(vh, vl);
    rotate(31);
    multiply(high, low, P1);
  }

  /** The lower 32 bits of the hash. */
  digest(): number {
    const { v, rest, held } = this;
    if (this.length >= 32) {
      let h = 0;
      let l = 0;
      [1, 7, 12, 18].forEach((n, k) => {
        [high, low] = [v[2 * k], v[2 * k + 1]];
        rotate(n);
        add(h, l);
        [h, l] = [high, low];
      });
      for (let k = 0; k < 4; k++) {
        this.round(v[2 * k], v[2 * k + 1], 0, 0);
        [high, low] = [high ^ h, low ^ l];
        multiply(high, low, P1);
        add(...P4);
        [h, l] = [high, low];
      }
      [high, low] = [h, l];
    } else {
      [high, low] = P5;
    }
    add(Math.floor(this.length / 2 ** 32), this.length | 0);
    const view = new DataView(rest.buffer);
    let at = 0;
    for (; at + 8 <= held; at += 8) {
      const [h, l] = [high, low];
      this.round(view.getInt32(at + 4, true), view.getInt32(at, true), 0, 0);
      [high, low] = [high ^ h, low ^ l];
      rotate(27);
      multiply(high, low, P1);
      add(...P4);
    }
    if (at + 4 <= held) {
      const [h, l] = [high, low];
      multiply(0, view.getInt32(at, true), P1);
      [high, low] = [high ^ h, low ^ l];
      rotate(23);
      multiply(high, low, P2);
      add(...P3);
      at += 4;
    }
    for (; at < held; at++) {
      const [h, l] = [high, low];
      multiply(0, rest[at], P5);
      [high, low] = [high ^ h, low ^ l];
      rotate(11);
      multiply(high, low, P1);
    }
    shiftXor(33);
    multiply(high, low, P2);
    shiftXor(29);
    multiply(high, low, P3);
    shiftXor(32);
    return low >>> 0;
  }
}
