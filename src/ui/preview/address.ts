// Addresses of a guest's pages in the preview. The browser knows them as SCOPE/ID/PORT/path; the guest's own pages may also say /path,
// or the whole address that one would have typed beside QEMU (http://localhost:8080/path). No DOM here.

/** A port of the page's host that leads to the guest's web server. */
export interface PreviewPort {
  netdev: string;
  /** Its place among the forwarded ports of the netdev. */
  index: number;
  hostPort: number;
  guestAddress: string;
  guestPort: number;
}

/** Where an address leads: within the guest ("path" with its query), or out. */
export type Place = { inside: string } | { outside: string };

/**
 * @param url an address as it stands in a document  @param prefix what stands before the guest's path, without a slash at its end
 * @param base the document's address, or its base's
 */
export function placeOf(url: string, base: string, prefix: string, port: PreviewPort): Place | undefined {
  let to: URL;
  try {
    to = new URL(url, base);
  } catch {
    return undefined;
  }
  if (to.protocol !== 'http:' && to.protocol !== 'https:') return undefined;
  const path = to.pathname + to.search;
  const own = new URL(prefix);
  const whole = to.origin + path;
  if (whole.startsWith(`${prefix}/`)) return { inside: whole.slice(prefix.length) };
  if (whole === prefix) return { inside: '/' };
  // From the root: of the guest's server, as it thinks.
  if (to.origin === own.origin || isGuest(to, port)) return { inside: path };
  return { outside: to.href };
}

/** Names under which people beside QEMU, or the guest itself, know its server. */
function isGuest(to: URL, port: PreviewPort): boolean {
  if (to.protocol !== 'http:') return false;
  const number = Number(to.port || 80);
  if (['localhost', '127.0.0.1', '[::1]'].includes(to.hostname)) return number === port.hostPort || number === port.guestPort;
  return to.hostname === port.guestAddress && number === port.guestPort;
}

/** The server's name, as the guest is told it: who typed the address beside QEMU would have written this. */
export const hostHeader = (port: PreviewPort): string => `localhost:${port.hostPort}`;

/** "/path?query" of what a user typed. */
export function typedTarget(text: string): string {
  const trimmed = text.trim().replace(/^https?:\/\/[^/]*/i, '');
  const path = trimmed.startsWith('/') ? trimmed : `/${trimmed}`;
  // The URL parser encodes what has no place in a request.
  const url = new URL(`http://guest${path}`);
  return url.pathname + url.search;
}
