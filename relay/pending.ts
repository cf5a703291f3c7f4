// Connections that are no clients yet: accepted, and their handshake not done, or refused and not closed. Anybody may open them, without a
// token, and each takes a descriptor and memory. Time ends them (server.ts), and number: who has most loses his oldest, so that one who
// opens many pushes out his own, and a handshake, which is done within a round trip, comes through beside him.

import { formatAddress, inNetwork, parseAddress } from '../src/backends/net/user/address.ts';

const IPV4_MAPPED = parseAddress('::ffff:0:0')!;

/**
 * Who it is that counts where a limit is "per address": an IPv4 address, or the /64 of an IPv6 address, all of whose addresses one
 * subscriber has (RFC 6177, section 2; RFC 7934).
 * @param address as Node writes it: IPv4 perhaps within IPv6, links with a zone
 */
export function clientOf(address: string): string {
  const bytes = parseAddress(address.split('%', 1)[0]);
  if (!bytes) return address;
  if (bytes.length === 4) return formatAddress(bytes);
  if (inNetwork(bytes, IPV4_MAPPED, 96)) return formatAddress(bytes.subarray(12));
  return `${formatAddress(bytes.slice().fill(0, 8))}/64`;
}

interface Closable {
  destroy(): void;
}

export class PendingConnections<T extends Closable> {
  /** By who opened them, the oldest first. */
  private readonly byClient = new Map<string, Set<T>>();
  private count = 0;

  /**
   * @param most in all  @param mostOfOne of one client()
   * @param changed tells how many there are, and how many were cut off for want of room
   */
  constructor(
    private readonly most: number,
    private readonly mostOfOne: number,
    private readonly changed: (count: number, cut: number) => void,
  ) {}

  add(client: string, connection: T): void {
    let own = this.byClient.get(client);
    if (!own) this.byClient.set(client, (own = new Set()));
    own.add(connection);
    this.count++;
    let cut = 0;
    while (own.size > this.mostOfOne) cut += this.cutOldest(client, own);
    // Only when full, and there are no more clients than connections.
    while (this.count > this.most) cut += this.cutOldest(...[...this.byClient].reduce((a, b) => (b[1].size > a[1].size ? b : a)));
    this.changed(this.count, cut);
  }

  /** It has become a client, or is closed. */
  remove(client: string, connection: T): void {
    const own = this.byClient.get(client);
    if (!own?.delete(connection)) return;
    if (own.size === 0) this.byClient.delete(client);
    this.changed(--this.count, 0);
  }

  private cutOldest(client: string, own: Set<T>): number {
    const [oldest] = own;
    own.delete(oldest);
    if (own.size === 0) this.byClient.delete(client);
    this.count--;
    oldest.destroy();
    return 1;
  }
}
