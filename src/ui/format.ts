// Numbers as people read them.

/** "14.2 MB": decimal units, three digits. */
export function bytes(n: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB'];
  let unit = 0;
  while (n >= 999.5 && unit < units.length - 1) { n /= 1000; unit++; }
  return `${unit === 0 ? n : three(n)} ${units[unit]}`;
}

/** Instructions a second in millions, "182" or "0.42". */
export function millions(perSecond: number): string {
  return three(perSecond / 1e6);
}

/** A share of one CPU, "37 %". */
export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

function three(n: number): string {
  if (n === 0) return '0';
  return n >= 99.95 ? n.toFixed(0) : n >= 9.995 ? n.toFixed(1) : n.toFixed(2);
}
