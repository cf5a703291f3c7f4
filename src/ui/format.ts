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

/** "3 minutes ago", "yesterday", of a time in ms since 1970. */
export function ago(time: number, now = Date.now()): string {
  const words = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });
  const minutes = Math.round((time - now) / 60_000);
  if (minutes > -1) return 'just now';
  if (minutes > -60) return words.format(minutes, 'minute');
  if (minutes > -60 * 24) return words.format(Math.round(minutes / 60), 'hour');
  if (minutes > -60 * 24 * 30) return words.format(Math.round(minutes / 60 / 24), 'day');
  return new Date(time).toLocaleDateString('en', { year: 'numeric', month: 'short', day: 'numeric' });
}

function three(n: number): string {
  if (n === 0) return '0';
  return n >= 99.95 ? n.toFixed(0) : n >= 9.995 ? n.toFixed(1) : n.toFixed(2);
}
