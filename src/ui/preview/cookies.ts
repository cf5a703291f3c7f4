// The cookies of a guest's server (RFC 6265), kept for as long as the machine runs: a document without an origin has none of its own.

const MAX_COOKIES = 60;
const MAX_LENGTH = 4096;

interface Cookie {
  value: string;
  path: string;
  expires: number;
}

export class CookieJar {
  private readonly cookies = new Map<string, Cookie>();

  constructor(private readonly now: () => number = Date.now) {}

  /** A Set-Cookie header, in answer to a request for `path`. */
  set(header: string, path: string): void {
    if (header.length > MAX_LENGTH) return;
    const [pair, ...attributes] = header.split(';').map((part) => part.trim());
    const equals = pair.indexOf('=');
    const name = pair.slice(0, equals).trim();
    if (equals < 1) return;
    // RFC 6265, 5.1.4: up to the last slash.
    const cookie: Cookie = { value: pair.slice(equals + 1).trim(), path: path.slice(0, path.lastIndexOf('/')) || '/', expires: Infinity };
    let maxAge: number | undefined;
    for (const attribute of attributes) {
      const [key, ...rest] = attribute.split('=');
      const value = rest.join('=').trim();
      switch (key.trim().toLowerCase()) {
        case 'path':
          if (value.startsWith('/')) cookie.path = value;
          break;
        case 'expires': {
          const date = Date.parse(value);
          if (!Number.isNaN(date)) cookie.expires = date;
          break;
        }
        case 'max-age':
          if (/^-?\d+$/.test(value)) maxAge = Number(value);
      }
    }
    if (maxAge !== undefined) cookie.expires = this.now() + maxAge * 1000;
    const key = `${name};${cookie.path}`;
    this.cookies.delete(key);
    if (cookie.expires <= this.now()) return;
    if (this.cookies.size >= MAX_COOKIES) this.cookies.delete(this.cookies.keys().next().value!);
    this.cookies.set(key, cookie);
  }

  /** The Cookie header for a path; '' if there is none. Longer paths come first. */
  header(path: string): string {
    const matches = [...this.cookies].filter(([, { path: own, expires }]) => expires > this.now() && (path === own || (path.startsWith(own) && (own.endsWith('/') || path[own.length] === '/'))));
    matches.sort(([, a], [, b]) => b.path.length - a.path.length);
    return matches.map(([key, { value }]) => `${key.split(';')[0]}=${value}`).join('; ');
  }
}
