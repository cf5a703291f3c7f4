import { isIPv4, isIPv6 } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatAddress, hostAddress, inNetwork, netmask, netmaskBits, parseAddress, parseIpv4, parseIpv6 } from './address.ts';

describe('addresses', () => {
  it('are read as Node reads them', () => {
    for (const text of ['1.2.3.4', '256.1.1.1', '1.2.3', '1.2.3.4.5', '', '0.0.0.0']) expect(parseIpv4(text) !== undefined, text).toBe(isIPv4(text));
    for (const text of ['::', '::1', '1::', 'fe80::1:2', '1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7', '1::2::3', '::ffff:1.2.3.4', '12345::', ':1', '1:', ':::', '1:2:3:4:5:6:7::', 'g::']) {
      expect(parseIpv6(text) !== undefined, text).toBe(isIPv6(text));
    }
  });

  it('are written as RFC 5952 has it', () => {
    for (const text of ['::', '::1', 'fec0::2', '2001:db8::1:0:0:1', '2001:0:0:1::1', '1:2:3:4:5:6:7:8', '1:0:2:3:4:5:6:7', '255.0.3.4']) {
      expect(formatAddress(parseAddress(text)!)).toBe(text);
    }
  });

  it('come back from text, whatever they are', () => {
    fc.assert(fc.property(fc.oneof(fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.array(fc.constantFrom(0, 0, 0, 1), { minLength: 16, maxLength: 16 }).map((a) => Uint8Array.from(a))), (address) => {
      const text = formatAddress(address);
      expect(parseAddress(text)).toEqual(address);
      expect(isIPv4(text) || isIPv6(text)).toBe(true);
    }));
  });

  it('belong to networks', () => {
    const net = parseIpv4('10.0.2.0')!;
    expect(inNetwork(parseIpv4('10.0.2.255')!, net, 24)).toBe(true);
    expect(inNetwork(parseIpv4('10.0.3.1')!, net, 24)).toBe(false);
    expect(inNetwork(parseIpv4('10.0.3.1')!, net, 23)).toBe(true);
    expect(formatAddress(hostAddress(parseIpv4('10.0.2.77')!, 24, 15))).toBe('10.0.2.15');
    expect(formatAddress(hostAddress(parseIpv4('172.16.200.1')!, 12, 0x203))).toBe('172.16.2.3');
    expect(formatAddress(hostAddress(parseIpv6('fec0::77')!, 64, 2))).toBe('fec0::2');
    for (const bits of [0, 1, 8, 12, 24, 31, 32]) expect(netmaskBits(netmask(bits))).toBe(bits);
    expect(netmaskBits(parseIpv4('255.0.255.0')!)).toBeUndefined();
  });
});
