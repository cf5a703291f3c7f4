import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatAddress } from './address.ts';
import { userNetConfig, UserNetError } from './options.ts';

const refusal = (key: string, value: string): string => {
  try {
    userNetConfig([[key, value]]);
  } catch (error) {
    expect(error).toBeInstanceOf(UserNetError);
    return (error as Error).message;
  }
  throw new Error(`${key}=${value} was accepted`);
};

describe('options of a user-mode network', () => {
  it('have QEMU\'s defaults', () => {
    const config = userNetConfig([]);
    expect([config.net, config.host, config.dns, config.dhcpStart, config.prefix6, config.host6, config.dns6].map(formatAddress))
      .toEqual(['10.0.2.0', '10.0.2.2', '10.0.2.3', '10.0.2.15', 'fec0::', 'fec0::2', 'fec0::3']);
    expect(config).toMatchObject({ ipv4: true, ipv6: true, restrict: false, netBits: 24, prefix6Bits: 64, dhcpCount: 16, forwards: [] });
  });

  it('move all addresses with the network', () => {
    const config = userNetConfig([['net', '192.168.76.0/24'], ['dhcpstart', '192.168.76.9'], ['ipv6-net', '2001:db8::/48']]);
    expect([config.host, config.dns, config.dhcpStart, config.host6].map(formatAddress)).toEqual(['192.168.76.2', '192.168.76.3', '192.168.76.9', '2001:db8::2']);
    expect(userNetConfig([['net', '10.0.0.0/255.255.0.0']]).netBits).toBe(16);
    expect(userNetConfig([['net', '10.0.0.0']]).netBits).toBe(8);
  });

  it('take forwarded ports as QEMU writes them', () => {
    expect(userNetConfig([['hostfwd', 'tcp:127.0.0.1:8080-10.0.2.15:80'], ['hostfwd', '::2222-:22'], ['hostfwd', 'udp::53-:53']]).forwards).toEqual([
      { protocol: 'tcp', hostAddress: '127.0.0.1', hostPort: 8080, guestAddress: '10.0.2.15', guestPort: 80 },
      { protocol: 'tcp', hostAddress: '', hostPort: 2222, guestAddress: '10.0.2.15', guestPort: 22 },
      { protocol: 'udp', hostAddress: '', hostPort: 53, guestAddress: '10.0.2.15', guestPort: 53 },
    ]);
    expect(userNetConfig([['hostfwd', 'tcp:[::1]:8080-[fec0::15]:80']]).forwards[0]).toMatchObject({ hostAddress: '::1', guestAddress: 'fec0::15' });
  });

  it('are refused by name', () => {
    expect(refusal('guestfwd', 'x')).toContain('guestfwd');
    expect(refusal('smb', '/')).toContain('smb');
    expect(refusal('colour', 'red')).toContain('colour');
    expect(refusal('net', '10.0.2.0/40')).toContain('net=');
    expect(refusal('host', '10.1.2.3')).toContain('not in the network');
    expect(refusal('dns', '10.0.2.2')).toContain('same address');
    expect(refusal('dhcpstart', '10.0.2.1')).toContain('no room');
    expect(refusal('restrict', 'maybe')).toContain('restrict');
    for (const rule of ['tcp:1-2', 'tcp::99999-:1', 'tcp:localhost:1-:1', 'sctp::1-:1', ':1-:0']) expect(refusal('hostfwd', rule)).toContain('hostfwd');
  });

  it('never do anything but give a configuration or say why not', () => {
    const key = fc.constantFrom('net', 'host', 'dns', 'dhcpstart', 'ipv6-net', 'ipv6-host', 'hostfwd', 'restrict', 'hostname', 'x');
    const value = fc.oneof(fc.string(), fc.ipV4Extended(), fc.ipV6(), fc.tuple(fc.ipV4(), fc.nat(40)).map(([a, bits]) => `${a}/${bits}`));
    fc.assert(fc.property(fc.array(fc.tuple(key, value), { maxLength: 6 }), (fields) => {
      try {
        userNetConfig(fields);
      } catch (error) {
        expect(error).toBeInstanceOf(UserNetError);
      }
    }));
  });
});
