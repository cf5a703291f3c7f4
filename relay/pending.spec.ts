import type { Server } from 'node:http';
import { connect, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { clientOf, PendingConnections } from './pending.ts';
import { cleanups, Client, relay } from './testing.ts';

describe('who may come in', () => {
  it('is so many from one address, of which a /64 of IPv6 has as many as it wants', async () => {
    const { relay: it, port } = await relay({ maxAddressClients: 2, maxAddressPending: 100 });
    // Where they come from is made up; all else is as it is.
    let from = '';
    (it as unknown as { http: Server }).http.prependListener('connection', (socket: Socket) => void Object.defineProperty(socket, 'remoteAddress', { value: from }));
    const open = (address: string): Promise<Client> => {
      from = address;
      return Client.open(port);
    };
    const first = await open('2001:db8:1:2::1');
    await open('2001:db8:1:2:ffff:ffff:ffff:ffff');
    await expect(open('2001:db8:1:2:3::4')).rejects.toThrow('503');
    // The next network, and IPv4, which has no networks, in both its forms.
    await open('2001:db8:1:3::1');
    await open('::ffff:192.0.2.1');
    await open('192.0.2.1');
    await open('::ffff:192.0.2.2');
    await expect(open('192.0.2.1')).rejects.toThrow('503');
    first.socket.close();
    await first.until(() => first.closed !== undefined);
    await open('2001:db8:1:2:5::6');
  });
});

describe('connections that are no clients yet', () => {
  const silent = (port: number): Socket => {
    const socket = connect(port, '127.0.0.1').on('error', () => {});
    cleanups.push(() => socket.destroy());
    return socket;
  };

  it('are so many from one address; the oldest go, and whoever does a handshake comes in', async () => {
    const { relay: it, port } = await relay({ maxAddressPending: 4 });
    const member = await Client.open(port);
    const closed: number[] = [];
    const sockets: Socket[] = [];
    for (let n = 0; n < 12; n++) {
      sockets.push(silent(port).on('close', () => closed.push(n)));
      await new Promise((resolve) => sockets[n].once('connect', resolve));
    }
    await Promise.all(sockets.slice(0, 8).map((socket) => new Promise<void>((resolve) => (socket.destroyed ? resolve() : socket.once('close', () => resolve())))));
    expect(closed.sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect([it.metrics.get('pending'), it.metrics.get('pending_cut_total')]).toEqual([4, 8]);
    // Clients are none of them, however many: only the first of these finds no room, and pushes out one that is silent.
    for (let n = 0; n < 5; n++) await Client.open(port);
    expect([it.metrics.get('clients'), it.metrics.get('pending'), it.metrics.get('pending_cut_total')]).toEqual([6, 3, 9]);
    expect(member.closed).toBeUndefined();
  });

  it('are so many in all, of which who has most loses his oldest', () => {
    const log: string[] = [];
    const pending = new PendingConnections<{ destroy(): void }>(6, 4, (count, cut) => log.push(`${count}-${cut}`));
    const connection = (name: string) => ({ destroy: () => void log.push(name) });
    const a = connection('a');
    pending.add('A', a);
    for (const name of ['b1', 'b2', 'b3', 'b4', 'b5']) pending.add('B', connection(name));
    pending.add('C', connection('c'));
    expect(log.splice(0)).toEqual(['1-0', '2-0', '3-0', '4-0', '5-0', 'b1', '5-1', '6-0']);
    // Full: B has four.
    pending.add('D', connection('d'));
    pending.remove('A', a);
    pending.remove('A', a);
    expect(log.splice(0)).toEqual(['b2', '6-1', '5-0']);
    // Each has one: the oldest of all goes.
    for (const name of ['E', 'F', 'G', 'H']) pending.add(name, connection(name));
    expect(log).toEqual(['6-0', 'b3', '6-1', 'b4', '6-1', 'b5', '6-1']);
  });

  it('are counted by address, of IPv6 by /64', () => {
    expect(['192.0.2.1', '::ffff:192.0.2.1', '2001:db8::1', '2001:db8::ffff:0:0:1', '2001:db8:0:1::1', '::1', 'fe80::1%eth0', 'x'].map(clientOf)).toEqual([
      '192.0.2.1', '192.0.2.1', '2001:db8::/64', '2001:db8::/64', '2001:db8:0:1::/64', '::/64', 'fe80::/64', 'x',
    ]);
  });
});
