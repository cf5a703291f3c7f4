// DIV and IDIV of 128 by 64 bits, for dividends that 64-bit arithmetic cannot hold. Intel SDM volume 2, "DIV", "IDIV".

import { Cpu } from '../layout';
import { div64, Wide } from './wide';

/** high:low / d where high < d: quotient to RAX, remainder to RDX. */
export function divide_u128(cpu: u32, high: u64, low: u64, d: u64): void {
  const quotient = divide(high, low, d);
  store<u64>(cpu + Cpu.RAX, quotient);
  store<u64>(cpu + Cpu.RDX, remainder(low, quotient, d));
}

/** Unsigned quotient; div64 wants the divisor's top bit set. */
function divide(high: u64, low: u64, d: u64): u64 {
  const shift = clz<u64>(d);
  if (shift === 0) return div64(high, low, d);
  return div64((high << shift) | (low >> (64 - shift)), low << shift, d << shift);
}

/** The remainder is below 2^64, so the low halves are enough. */
// @ts-ignore: decorator
@inline
function remainder(low: u64, quotient: u64, d: u64): u64 {
  return low - quotient * d;
}

/** The same, signed; 0 and nothing written when the quotient does not fit into 64 bits. */
export function divide_s128(cpu: u32, high: u64, low: u64, d: u64): i32 {
  const negativeDividend = <i64>high < 0;
  const negativeDivisor = <i64>d < 0;
  const divisor = negativeDivisor ? 0 - d : d;
  let h = high;
  let l = low;
  if (negativeDividend) {
    l = 0 - l;
    h = ~h + (l === 0 ? 1 : 0);
  }
  if (h >= divisor) return 0;
  const q = divide(h, l, divisor);
  const r = remainder(l, q, divisor);
  const negative = negativeDividend !== negativeDivisor;
  const limit: u64 = 0x8000_0000_0000_0000;
  if (negative ? q > limit : q >= limit) return 0;
  store<u64>(cpu + Cpu.RAX, negative ? 0 - q : q);
  store<u64>(cpu + Cpu.RDX, negativeDividend ? 0 - r : r);
  return 1;
}
