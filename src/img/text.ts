// How tabvisor-img writes sizes and times, and reads sizes: as qemu-img.

/** A size in words: three digits of the largest unit that keeps it below 1000. */
export function sizeText(bytes: number): string {
  let unit = 0;
  let value = bytes;
  for (; value >= 1000 && unit < 6; unit++) value /= 1024;
  return `${Number(value.toPrecision(3))} ${['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'][unit]}B`;
}

/** A size as qemu-img takes it: a number with k, M, G, T, P or E; undefined if it is none. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)([bBkKmMgGtTpPeE]?)$/.exec(text);
  if (!match) return undefined;
  const bytes = Number(match[1]) * 1024 ** Math.max(0, 'bkmgtpe'.indexOf((match[2] || 'b').toLowerCase()));
  return Number.isSafeInteger(Math.ceil(bytes)) ? Math.ceil(bytes) : undefined;
}

const two = (value: number): string => String(value).padStart(2, '0');

/** Local time. */
export function dateText(seconds: number): string {
  const date = new Date(seconds * 1000);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

export function clockText(ns: bigint): string {
  const ms = ns / 1_000_000n;
  const seconds = Number(ms / 1000n);
  return `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}.${String(ms % 1000n).padStart(3, '0')}`;
}
