import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseArp } from './arp.ts';
import { checksum, get16, get32, set16, set32 } from './bytes.ts';
import { buildNeighbourSolicitation, NEIGHBOUR_ADVERTISEMENT, ROUTER_ADVERTISEMENT } from './icmp6.ts';
import { parseIpv4Packet, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_UDP, pseudoHeaderSum, writeIpv4 } from './ipv4.ts';
import { writeEthernet } from './ethernet.ts';
import { buildUdp } from './udp.ts';
import { bytes, GUEST_MAC, ip, TestGuest } from './testing.ts';
import { sum16 } from './bytes.ts';

describe('ARP', () => {
  it('answers for the router and the name server, and for nobody else', () => {
    const guest = new TestGuest();
    guest.arp('10.0.2.2');
    guest.arp('10.0.2.3');
    guest.arp('10.0.2.9');
    const replies = guest.take().map((frame) => parseArp(frame)!);
    expect(replies.map(({ operation, senderIp, senderMac }) => [operation, senderIp.join('.'), senderMac[5]])).toEqual([[2, '10.0.2.2', 2], [2, '10.0.2.3', 3]]);
  });
});

describe('ICMP', () => {
  const echo = (): Uint8Array => {
    const message = Uint8Array.of(8, 0, 0, 0, 0x12, 0x34, 0, 1, 1, 2, 3, 4, 5);
    set16(message, 2, checksum(message, 0, message.length));
    return message;
  };

  it('answers an echo request with what it carried', () => {
    const guest = new TestGuest();
    guest.sendIp(ip('10.0.2.2'), PROTOCOL_ICMP, echo());
    const [reply] = guest.takePackets(PROTOCOL_ICMP);
    expect([...reply.payload.subarray(4)]).toEqual([0x12, 0x34, 0, 1, 1, 2, 3, 4, 5]);
    expect(reply.payload[0]).toBe(0);
    expect(checksum(reply.payload, 0, reply.payload.length)).toBe(0);
  });

  it('answers nobody who claims to be all or no host, nor what goes to all', () => {
    const guest = new TestGuest();
    for (const from of ['10.0.2.255', '10.0.2.0', '10.0.2.2', '255.255.255.255', '192.0.2.1']) guest.sendIp(ip('10.0.2.2'), PROTOCOL_ICMP, echo(), ip(from));
    guest.sendIp(ip('10.0.2.255'), PROTOCOL_ICMP, echo());
    guest.sendUdp('10.0.2.3', 7, bytes('x'), 1, ip('10.0.2.255'));
    expect(guest.take()).toEqual([]);
    guest.sendIp(ip('10.0.2.2'), PROTOCOL_ICMP, echo());
    expect(guest.takePackets(PROTOCOL_ICMP)).toHaveLength(1);
  });

  it('says that echo goes no further, quoting the packet', () => {
    const guest = new TestGuest();
    guest.sendIp(ip('192.0.2.1'), PROTOCOL_ICMP, echo());
    const [error] = guest.takePackets(PROTOCOL_ICMP);
    expect([error.payload[0], error.payload[1]]).toEqual([3, 13]);
    expect(parseIpv4Packet(error.payload.subarray(8))?.destination).toEqual(ip('192.0.2.1'));
  });
});

describe('IPv6', () => {
  it('is found by neighbour discovery and tells prefix, router and name server', () => {
    const guest = new TestGuest();
    const own = ip('fe80::15');
    guest.sendIp(ip('ff02::1:ff00:2'), PROTOCOL_ICMPV6, buildNeighbourSolicitation(ip('fec0::2'), GUEST_MAC, own), own, 255);
    const [advertisement] = guest.takePackets(PROTOCOL_ICMPV6);
    // The checksum of a solicitation covers its destination: buildNeighbourSolicitation knows it.
    expect(advertisement.payload[0]).toBe(NEIGHBOUR_ADVERTISEMENT);
    expect(advertisement.payload.slice(8, 24)).toEqual(ip('fec0::2'));

    const solicitation = new Uint8Array(8);
    solicitation[0] = 133;
    const all = ip('ff02::2');
    set16(solicitation, 2, ~sum16(solicitation, 0, 8, pseudoHeaderSum(own, all, PROTOCOL_ICMPV6, 8)) & 0xffff);
    guest.sendIp(all, PROTOCOL_ICMPV6, solicitation, own, 255);
    const [router] = guest.takePackets(PROTOCOL_ICMPV6);
    expect(router.payload[0]).toBe(ROUTER_ADVERTISEMENT);
    const options = new Map<number, Uint8Array>();
    for (let at = 16; at < router.payload.length; at += router.payload[at + 1] * 8) options.set(router.payload[at], router.payload.subarray(at, at + router.payload[at + 1] * 8));
    expect([...options.keys()]).toEqual([1, 5, 3, 25]);
    expect(options.get(3)!.slice(16, 32)).toEqual(ip('fec0::'));
    expect(options.get(25)!.slice(8, 24)).toEqual(ip('fec0::3'));
    // One that came over a router is not believed.
    guest.sendIp(all, PROTOCOL_ICMPV6, solicitation, own, 64);
    expect(guest.takePackets(PROTOCOL_ICMPV6)).toEqual([]);
  });

  it('answers the echo of guests only: not what says it is a group, the router, nobody or somebody else', () => {
    const guest = new TestGuest();
    const echo = (from: string): void => {
      const message = Uint8Array.of(128, 0, 0, 0, 0, 1, 0, 1, 7);
      set16(message, 2, ~sum16(message, 0, 9, pseudoHeaderSum(ip(from), ip('fec0::2'), PROTOCOL_ICMPV6, 9)) & 0xffff);
      guest.sendIp(ip('fec0::2'), PROTOCOL_ICMPV6, message, ip(from));
    };
    for (const from of ['ff02::1', 'fec0::2', 'fe80::2', '::', '2001:db8::1']) echo(from);
    expect(guest.take()).toEqual([]);
    guest.sendUdp('fec0::3', 7, bytes('x'));
    guest.take();
    echo('fec0::15');
    expect(guest.takePackets(PROTOCOL_ICMPV6).map(({ payload }) => payload[0])).toEqual([129]);
  });
});

function dhcp(type: number, more: number[] = [], mac = GUEST_MAC): Uint8Array {
  const message = new Uint8Array(300);
  message.set([1, 1, 6, 0, 0xde, 0xad, 0xbe, 0xef]);
  message.set(mac, 28);
  set32(message, 236, 0x63825363);
  message.set([53, 1, type, ...more, 255], 240);
  return message;
}

function dhcpOptions(message: Uint8Array): Map<number, Uint8Array> {
  const fields = new Map<number, Uint8Array>();
  for (let at = 240; message[at] !== 255; at += 2 + message[at + 1]) fields.set(message[at], message.subarray(at + 2, at + 2 + message[at + 1]));
  return fields;
}

describe('DHCP', () => {
  const all = '255.255.255.255';
  const zero = ip('0.0.0.0');

  it('offers and acknowledges an address with all that a guest needs', () => {
    const guest = new TestGuest([['hostname', 'guest'], ['domainname', 'example.org'], ['dnssearch', 'a.org'], ['dnssearch', 'b.org'], ['bootfile', 'pxe.0']]);
    guest.sendUdp(all, 67, dhcp(1), 68, zero);
    const [offer] = guest.takeUdp();
    expect([offer.fromPort, offer.toPort, offer.from.join('.'), offer.to.join('.')]).toEqual([67, 68, '10.0.2.2', '10.0.2.15']);
    expect(get32(offer.data, 4)).toBe(0xdeadbeef);
    expect([...offer.data.subarray(16, 20)]).toEqual([10, 0, 2, 15]);
    const options = dhcpOptions(offer.data);
    expect(options.get(53)).toEqual(Uint8Array.of(2));
    expect(options.get(1)).toEqual(ip('255.255.255.0'));
    expect(options.get(3)).toEqual(ip('10.0.2.2'));
    expect(options.get(6)).toEqual(ip('10.0.2.3'));
    expect(new TextDecoder().decode(options.get(12))).toBe('guest');
    expect(new TextDecoder().decode(options.get(15))).toBe('example.org');
    expect(new TextDecoder().decode(options.get(67))).toBe('pxe.0');
    expect(new TextDecoder().decode(options.get(119))).toBe('\x01a\x03org\0\x01b\x03org\0');
    guest.sendUdp(all, 67, dhcp(3, [50, 4, 10, 0, 2, 15, 54, 4, 10, 0, 2, 2]), 68, zero);
    expect(dhcpOptions(guest.takeUdp()[0].data).get(53)).toEqual(Uint8Array.of(5));
  });

  it('refuses an address that is not the guest\'s, and is silent where another server was chosen', () => {
    const guest = new TestGuest();
    guest.sendUdp(all, 67, dhcp(3, [50, 4, 192, 168, 0, 1]), 68, zero);
    const [refusal] = guest.takeUdp();
    expect(dhcpOptions(refusal.data).get(53)).toEqual(Uint8Array.of(6));
    expect(refusal.to.join('.')).toBe(all);
    guest.sendUdp(all, 67, dhcp(3, [50, 4, 10, 0, 2, 15, 54, 4, 10, 0, 2, 99]), 68, zero);
    expect(guest.takeUdp()).toEqual([]);
  });

  it('gives each MAC its own, and the oldest away when there are too many', () => {
    const guest = new TestGuest([['dhcpstart', '10.0.2.100']]);
    const given = Array.from({ length: 17 }, (_, n) => {
      guest.sendUdp(all, 67, dhcp(1, [], Uint8Array.of(2, 0, 0, 0, 0, n)), 68, zero);
      return guest.takeUdp()[0].data[19];
    });
    expect(given).toEqual([...Array.from({ length: 16 }, (_, n) => 100 + n), 100]);
  });
});

describe('UDP', () => {
  it('goes to the host, the name server and out, and answers come from where they were sent', () => {
    const guest = new TestGuest();
    guest.sendUdp('10.0.2.3', 53, bytes('query'));
    guest.sendUdp('10.0.2.2', 7, bytes('echo'));
    guest.sendUdp('192.0.2.7', 123, bytes('time'), 40001);
    expect(guest.host.datagrams.map(({ address, port }) => `${address} ${port}`)).toEqual(['nameserver 53', 'host 7', '192.0.2.7 123']);
    guest.host.datagrams[0].receive('nameserver', 53, bytes('answer'));
    guest.host.datagrams[0].receive('host', 7, bytes('echo'));
    guest.host.datagrams[2].receive('192.0.2.7', 123, bytes('now'));
    expect(guest.takeUdp().map(({ from, fromPort, toPort, data }) => [from.join('.'), fromPort, toPort, new TextDecoder().decode(data)])).toEqual([
      ['10.0.2.3', 53, 40000, 'answer'], ['10.0.2.2', 7, 40000, 'echo'], ['192.0.2.7', 123, 40001, 'now'],
    ]);
  });

  it('says that nobody is there, and reaches no other name of the host', () => {
    const guest = new TestGuest();
    for (const to of ['10.0.2.77', '127.0.0.1', '0.0.0.0']) guest.sendUdp(to, 53, bytes('x'));
    guest.sendUdp('::ffff:127.0.0.1', 53, bytes('x'));
    guest.sendUdp('64:ff9b::7f00:1', 53, bytes('x'));
    guest.sendUdp('::127.0.0.1', 53, bytes('x'));
    guest.sendUdp('10.0.2.3', 54, bytes('x'));
    expect(guest.host.datagrams).toEqual([]);
    expect(guest.takePackets(PROTOCOL_ICMP).at(-1)?.payload.slice(0, 2)).toEqual(Uint8Array.of(3, 3));
  });

  it('is put together from fragments and cut into them', () => {
    const guest = new TestGuest();
    const data = Uint8Array.from({ length: 5000 }, (_, n) => n * 3);
    const whole = buildUdp(guest.address, 4000, ip('192.0.2.1'), 9, data);
    const parts = [0, 1480, 2960, 4440].map((from) => {
      const part = whole.subarray(from, from + 1480);
      const frame = new Uint8Array(34 + part.length);
      writeEthernet(frame, Uint8Array.of(0x52, 0x55, 10, 0, 2, 2), GUEST_MAC, 0x800);
      writeIpv4(frame, 14, guest.address, ip('192.0.2.1'), PROTOCOL_UDP, part.length, 77, from, from + part.length < whole.length);
      frame.set(part, 34);
      return frame;
    });
    for (const n of [2, 0, 3, 3, 1]) guest.network.send(parts[n]);
    expect(guest.host.datagrams.map((datagram) => datagram.data)).toEqual([[...data]]);
    guest.host.datagrams[0].receive('192.0.2.1', 9, data);
    const back = guest.take().map((frame) => parseIpv4Packet(frame.subarray(14))!);
    expect(back.map(({ fragmentOffset, moreFragments }) => [fragmentOffset, moreFragments])).toEqual([[0, true], [1480, true], [2960, true], [4440, false]]);
    expect(back.flatMap(({ payload }) => [...payload]).slice(8)).toEqual([...data]);
  });

  it('has a bounded number of sockets', () => {
    const guest = new TestGuest();
    for (let port = 1; port < 400; port++) guest.sendUdp('192.0.2.1', 9, bytes('x'), port);
    expect(guest.host.openUdp).toBe(256);
    guest.settle(300e9);
    guest.sendUdp('192.0.2.1', 9, bytes('x'), 1);
    expect(guest.host.openUdp).toBe(1);
  });

  it('closes a socket that nothing was sent by for long, by itself, and all at the end', () => {
    const guest = new TestGuest([['hostfwd', 'udp:127.0.0.1:5353-:53']]);
    guest.sendUdp('192.0.2.1', 9, bytes('x'), 1);
    guest.settle(200e9);
    guest.sendUdp('192.0.2.1', 9, bytes('x'), 1);
    guest.sendUdp('192.0.2.1', 9, bytes('x'), 2);
    guest.settle(100e9);
    expect(guest.host.openUdp).toBe(3);
    guest.settle(141e9);
    expect([guest.host.openUdp, guest.clock.armed()]).toEqual([1, []]);
    guest.network.close();
    expect(guest.host.openUdp).toBe(0);
  });

  it('is forwarded from the host', () => {
    const guest = new TestGuest([['hostfwd', 'udp:127.0.0.1:5353-:53']]);
    guest.arp('10.0.2.2');
    guest.take();
    guest.host.bound[0].receive('host', 3333, bytes('hello'));
    const [datagram] = guest.takeUdp();
    expect([datagram.from.join('.'), datagram.fromPort, datagram.toPort]).toEqual(['10.0.2.2', 3333, 53]);
    guest.sendUdp('10.0.2.2', 3333, bytes('reply'), 53);
    expect(guest.host.datagrams).toMatchObject([{ address: 'host', port: 3333, receive: guest.host.bound[0].receive }]);
  });

  it('asks for the address of a guest it has not heard of, and waits for the answer', () => {
    const guest = new TestGuest([['hostfwd', 'udp::5353-10.0.2.20:53']]);
    guest.host.bound[0].receive('192.0.2.1', 3333, bytes('hello'));
    expect(guest.take().map((frame) => parseArp(frame)?.targetIp.join('.'))).toEqual(['10.0.2.20']);
    guest.address = ip('10.0.2.20');
    guest.arp('10.0.2.2');
    expect(guest.takeUdp().map(({ toPort }) => toPort)).toEqual([53]);
  });
});

describe('TFTP', () => {
  const file = Uint8Array.from({ length: 3000 }, (_, n) => n * 11);
  const request = (name: string, ...options: string[]): Uint8Array => Uint8Array.of(0, 1, ...bytes([name, 'octet', ...options, ''].join('\0')));
  const ack = (block: number): Uint8Array => Uint8Array.of(0, 4, block >> 8, block);
  const guestWithFile = (): TestGuest => new TestGuest([], (name, found) => found(name === 'boot' ? file : undefined));

  it('gives a file block by block, and again what was lost', () => {
    const guest = guestWithFile();
    guest.sendUdp('10.0.2.2', 69, request('/boot'), 2000);
    const got: number[] = [];
    for (let block = 1; ; block++) {
      if (block === 3) {
        // This one gets lost: after a second it comes again.
        guest.take();
        guest.settle(1.1e9);
      }
      const [datagram] = guest.takeUdp();
      expect([get16(datagram.data, 0), get16(datagram.data, 2)]).toEqual([3, block]);
      got.push(...datagram.data.subarray(4));
      guest.sendUdp('10.0.2.2', 69, ack(block), 2000);
      if (datagram.data.length < 516) break;
    }
    expect(got).toEqual([...file]);
    guest.settle(10e9);
    expect(guest.take()).toEqual([]);
  });

  it('takes block size and tells the file\'s size', () => {
    const guest = guestWithFile();
    guest.sendUdp('10.0.2.2', 69, request('boot', 'blksize', '1432', 'tsize', '0', 'windowsize', '4'), 2000);
    expect(new TextDecoder().decode(guest.takeUdp()[0].data.subarray(2))).toBe('blksize\x001432\0tsize\x003000\0');
    guest.sendUdp('10.0.2.2', 69, ack(0), 2000);
    expect(guest.takeUdp()[0].data.length).toBe(4 + 1432);
  });

  it('takes no size that is not a number of digits (RFC 2347)', () => {
    for (const size of ['512.5', '1e3', '0x200', '', '-8', '4']) {
      const guest = guestWithFile();
      guest.sendUdp('10.0.2.2', 69, request('boot', 'blksize', size), 2000);
      const [first] = guest.takeUdp();
      expect([get16(first.data, 0), first.data.length], size).toEqual([3, 516]);
    }
  });

  it('gives what was asked for last, once, however late it is there', () => {
    const found: ((bytes: Uint8Array | undefined) => void)[] = [];
    const guest = new TestGuest([], (_name, call) => void found.push(call));
    // An impatient client asks again, and then for something else.
    for (const name of ['a', 'a', 'b']) guest.sendUdp('10.0.2.2', 69, request(name), 2000);
    expect(found.length).toBe(2);
    found[1](Uint8Array.of(2));
    found[0](Uint8Array.of(1));
    expect(guest.takeUdp().map(({ data }) => [...data])).toEqual([[0, 3, 0, 1, 2]]);
    guest.sendUdp('10.0.2.2', 69, request('c'), 2001);
    guest.network.close();
    // The network is at its end: nothing begins, nothing is armed.
    found[2](Uint8Array.of(3));
    expect([guest.takeUdp(), guest.clock.armed()]).toEqual([[], []]);
  });

  it('fetches a bounded number of files at a time', () => {
    let asked = 0;
    const guest = new TestGuest([], () => { asked++; });
    for (let port = 2000; port < 2100; port++) guest.sendUdp('10.0.2.2', 69, request('a'), port);
    expect([asked, guest.takeUdp().length]).toEqual([16, 84]);
  });

  it('has errors for what is not there, and for writing', () => {
    const guest = guestWithFile();
    guest.sendUdp('10.0.2.2', 69, request('../boot'), 2000);
    guest.sendUdp('10.0.2.2', 69, Uint8Array.of(0, 2, ...bytes('x\0octet\0')), 2000);
    expect(guest.takeUdp().map(({ data }) => [...data.subarray(0, 4)])).toEqual([[0, 5, 0, 1], [0, 5, 0, 2]]);
  });

  it('gives up on a client that went away', () => {
    const guest = guestWithFile();
    guest.sendUdp('10.0.2.2', 69, request('boot'), 2000);
    guest.settle(60e9);
    expect(guest.takeUdp().length).toBe(6);
    expect(guest.clock.armed()).toEqual([]);
  });
});

describe('restrict=on', () => {
  it('lets nothing out, and still answers DHCP without a router', () => {
    const guest = new TestGuest([['restrict', 'on']]);
    guest.sendUdp('10.0.2.3', 53, bytes('x'));
    guest.sendUdp('192.0.2.1', 53, bytes('x'));
    guest.sendTcp('192.0.2.1', { destinationPort: 80, flags: 2 });
    expect(guest.host.datagrams).toEqual([]);
    expect(guest.host.streams).toEqual([]);
    expect(guest.takeTcp()[0].flags & 4).toBe(4);
    guest.sendUdp('255.255.255.255', 67, dhcp(1), 68, ip('0.0.0.0'));
    expect(dhcpOptions(guest.takeUdp()[0].data).has(3)).toBe(false);
  });
});

describe('a hostile guest', () => {
  const mutated = fc.record({ kind: fc.nat(6), changes: fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 8 }), cut: fc.nat(120), grow: fc.nat(40) });

  it('breaks nothing with any frames, and gets a bounded amount of answers', () => {
    const seeds: Uint8Array[] = [];
    const recorder = new TestGuest();
    const send = recorder.network.send.bind(recorder.network);
    recorder.network.send = (frame) => {
      seeds.push(frame.slice());
      send(frame);
    };
    recorder.arp('10.0.2.2');
    recorder.sendUdp('10.0.2.3', 53, bytes('x'));
    recorder.sendUdp('255.255.255.255', 67, dhcp(1), 68, ip('0.0.0.0'));
    recorder.sendUdp('10.0.2.2', 69, Uint8Array.of(0, 1, ...bytes('f\0octet\0')));
    recorder.sendTcp('192.0.2.1', { destinationPort: 80, flags: 2, mss: 1460, windowShift: 7 });
    recorder.sendIp(ip('ff02::1:ff00:2'), PROTOCOL_ICMPV6, buildNeighbourSolicitation(ip('fec0::2'), GUEST_MAC, ip('fe80::15')), ip('fe80::15'), 255);
    recorder.sendTcp('192.0.2.1', { destinationPort: 80, flags: 0x10, data: bytes('hello') });
    fc.assert(fc.property(fc.array(mutated, { maxLength: 30 }), (list) => {
      const guest = new TestGuest([], (_, found) => found(new Uint8Array(2000)));
      guest.room = 0;
      for (const { kind, changes, cut, grow } of list) {
        const seed = seeds[kind];
        const frame = new Uint8Array(Math.max(14, seed.length - (cut < 60 ? 0 : cut - 60)) + (grow > 20 ? grow : 0));
        frame.set(seed.subarray(0, frame.length));
        for (const [at, value] of changes) if (at < frame.length && at >= 6) frame[at] = value;
        // With "verified", what is behind the checksums is tried too.
        guest.network.send(frame, { verified: true });
        for (const stream of guest.host.streams) stream.events.opened();
      }
      guest.settle(1e9);
      guest.room = 1e6;
      guest.network.ready();
      guest.settle(100e9);
      expect(guest.frames.length).toBeLessThan(2000);
    }), { numRuns: 1000 });
  }, 60_000);
});
