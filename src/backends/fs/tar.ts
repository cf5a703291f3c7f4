// A tar archive: POSIX.1-2017, pax, "ustar Interchange Format"; names that do not fit there get a pax extended header.

const BLOCK = 512;

export interface TarEntry {
  path: readonly string[];
  /** Undefined: a directory. */
  bytes?: Uint8Array;
  /** Seconds since 1970. */
  mtime: number;
  mode: number;
}

function header(name: Uint8Array, type: string, size: number, mode: number, mtime: number): Uint8Array {
  const block = new Uint8Array(BLOCK);
  const text = (value: string, at: number): void => void block.set(new TextEncoder().encode(value), at);
  const octal = (value: number, length: number): string => Math.max(0, Math.floor(value)).toString(8).padStart(length - 1, '0').slice(-(length - 1));
  block.set(name.subarray(0, 100));
  text(octal(mode & 0o7777, 8), 100);
  text(octal(0, 8), 108);
  text(octal(0, 8), 116);
  text(octal(size, 12), 124);
  text(octal(mtime, 12), 136);
  text('        ', 148);
  text(type, 156);
  text('ustar\0' + '00', 257);
  text(`${octal(block.reduce((sum, byte) => sum + byte, 0), 7)}\0 `, 148);
  return block;
}

/** One record "length key=value\n", whose length counts itself. */
function paxRecord(key: string, value: string): Uint8Array {
  const rest = new TextEncoder().encode(` ${key}=${value}\n`).length;
  let length = rest + 1;
  while (String(length).length + rest !== length) length = String(length).length + rest;
  return new TextEncoder().encode(`${length} ${key}=${value}\n`);
}

export function makeTar(entries: readonly TarEntry[]): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  const put = (head: Uint8Array, bytes: Uint8Array): void => {
    parts.push(head, bytes, new Uint8Array(-bytes.length & (BLOCK - 1)));
  };
  for (const { path, bytes, mtime, mode } of entries) {
    const full = path.join('/') + (bytes ? '' : '/');
    const name = new TextEncoder().encode(full);
    if (name.length > 100 || name.some((byte) => byte > 126)) {
      const record = paxRecord('path', full);
      put(header(new TextEncoder().encode('pax'), 'x', record.length, 0o644, mtime), record);
    }
    put(header(name, bytes ? '0' : '5', bytes?.length ?? 0, mode, mtime), bytes ?? new Uint8Array(0));
  }
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0) + 2 * BLOCK);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
