// The user-mode network: a router with a DHCP server, a TFTP server and a way out through the host's sockets, as QEMU's `-netdev
// user` (slirp) has it. It needs no rights. One network may have several guests behind one cable (a relay's room).
//
// Frames to the guest wait in a queue of bounded size; a timer of "now" empties it, because a backend must not answer from within
// send(). What may be lost (all but TCP, which waits) is dropped when the queue is full.

import type { Clock, FrameOffload, NetBackend, NetOffloads, NetReceiver, Snapshotable, Timer } from '../../../devices/interfaces.ts';
import { ALL_OFFLOADS, NO_OFFLOADS } from '../../../devices/net/offload.ts';
import { formatAddress, inNetwork, type IpAddress, isLinkLocal, isMulticast, isUnspecified, netmask, parseAddress } from './address.ts';
import { ARP_REPLY, ARP_REQUEST, buildArp, Neighbours, parseArp } from './arp.ts';
import { equalBytes, set16, sum16 } from './bytes.ts';
import { DHCP_CLIENT_PORT, DHCP_SERVER_PORT, DhcpServer } from './dhcp.ts';
import { BROADCAST, ETHERNET_HEADER, ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ethertypeOf, isGroup, sourceOf, writeEthernet } from './ethernet.ts';
import { connectionsText } from './connections.ts';
import { type Accepted, HOST_ADDRESS, type HostNetwork, type HostStreamEvents, NAME_SERVER } from './host.ts';
import * as icmp from './icmp.ts';
import * as icmp6 from './icmp6.ts';
import { IPV4_HEADER, type IpPacket, parseIpv4Packet, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, PROTOCOL_UDP, pseudoHeaderSum, Reassembly, writeIpv4 } from './ipv4.ts';
import { IPV6_HEADER, parseIpv6Packet, writeIpv6 } from './ipv6.ts';
import type { UserNetConfig } from './options.ts';
import { TcpTable } from './tcp.ts';
import { segmentHeaderLength, TCP_HEADER, writeSegmentHeader } from './tcp-segment.ts';
import { TFTP_PORT, type TftpFiles, TftpServer } from './tftp.ts';
import { buildUdp, type Datagram, parseUdp, UDP_HEADER, UdpTable, writeUdp } from './udp.ts';

const MTU = 1500;
/** TCP stops filling the queue at this many bytes, and all else is dropped at the second. */
const QUEUE_TCP = 256 * 1024;
const QUEUE_ALL = 512 * 1024;
/** Most bytes of TCP data that a NIC is given to cut: an IP packet has 65535. */
const MAX_BURST = 65535 - IPV6_HEADER - TCP_HEADER;
/** Frames longer than this lie in buffers that are used again: making one of 64 KiB takes ten times as long as filling it. */
const LONG_FRAME = 4096;
const LONGEST_FRAME = 65536 + ETHERNET_HEADER;
const MAX_SPARE = 8;
const DNS_PORT = 53;
/** Packets that wait for the address of a neighbour, in all, and how long they may. */
const MAX_UNRESOLVED = 32;
const UNRESOLVED_NS = 3e9;
/** The router's address on the link. */
const LINK_LOCAL = Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2);
/** MAC of the router in IPv6; in IPv4 an address of the network has 52:55 and its own four bytes. As QEMU's slirp. */
const MAC6 = Uint8Array.of(0x52, 0x56, 0, 0, 0, 2);
const macOf = (address: IpAddress): Uint8Array => Uint8Array.of(0x52, 0x55, ...address);
const ROUTER_LIFETIME = 1800;

interface Queued {
  frame: Uint8Array;
  offload?: FrameOffload;
}

export class UserNetwork implements NetBackend, Snapshotable {
  readonly accepts: NetOffloads = ALL_OFFLOADS;
  linkUp = true;
  readonly canSend = true;

  private receiver: NetReceiver | undefined;
  private readonly queue: Queued[] = [];
  private queuedBytes = 0;
  private readonly spare: ArrayBuffer[] = [];
  private readonly flushTimer: Timer;
  private readonly neighbours = new Neighbours();
  private readonly unresolved: { to: IpAddress; since: number; queued: Queued }[] = [];
  private readonly reassembly = new Reassembly();
  private readonly dhcp: DhcpServer;
  private readonly tftp: TftpServer;
  private readonly udp: UdpTable;
  private readonly tcp: TcpTable;
  /** The network's broadcast address. */
  private readonly broadcast: IpAddress;
  private ipId = 0;

  /** @param files of the TFTP server; without it there is none */
  constructor(
    private readonly config: UserNetConfig,
    private readonly clock: Clock,
    private readonly host: HostNetwork,
    private readonly files?: TftpFiles,
  ) {
    const mask = netmask(config.netBits);
    this.broadcast = config.net.map((byte, n) => byte | (~mask[n] & 0xff));
    this.flushTimer = clock.timer('user network', () => this.flush());
    this.dhcp = new DhcpServer({
      host: config.host, netmask: netmask(config.netBits), dns: config.dns, hasRouter: !config.restrict, hostname: config.hostname, domainname: config.domainname,
      dnssearch: config.dnssearch, bootfile: config.bootfile, tftpServerName: config.tftpServerName, first: config.dhcpStart, count: config.dhcpCount,
    });
    this.tftp = new TftpServer(clock, (name, found) => (this.files ? this.files(name, found) : found(undefined)));
    this.udp = new UdpTable(host, {
      clock,
      answer: (guest, guestPort, from, port, data) => this.sendUdp(this.seenAs(from, guest.length), port, guest, guestPort, data),
    });
    const network = this;
    this.tcp = new TcpTable(
      {
        clock,
        mss: (bytes) => MTU - TCP_HEADER - (bytes === 4 ? IPV4_HEADER : IPV6_HEADER),
        maxBurst: (bytes) => (network.nicAccepts.csum && (bytes === 4 ? network.nicAccepts.tso4 : network.nicAccepts.tso6) ? MAX_BURST : 0),
        get canSend() { return network.queuedBytes < QUEUE_TCP; },
        segment: (from, to, header, data, offset, length, mss) => this.sendSegment(from, to, header, data, offset, length, mss),
      },
      (far, port, events) => this.connect(far, port, events),
    );
    host.onAccept = (accepted) => this.accept(accepted);
    for (const { protocol, guestAddress, guestPort, hostAddress, hostPort } of config.forwards) {
      if (protocol === 'udp') this.udp.bind(parseAddress(guestAddress)!, guestPort, hostAddress, hostPort);
    }
  }

  // ---- the cable

  attach(receiver: NetReceiver): void {
    this.receiver = receiver;
  }

  describe(): string {
    const { net, restrict } = this.config;
    return `type=user,net=${formatAddress(net)},restrict=${restrict ? 'on' : 'off'}`;
  }

  /** What `info usernet` prints of it. */
  connections(): string {
    return connectionsText(this.config.forwards, this.tcp.list(), this.udp.list());
  }

  poll(): void {
    if (!this.host.poll) return;
    this.tcp.hold();
    this.host.poll();
    this.tcp.release();
    // The guest waits for what has come, and no send() of its NIC is under way: no timer is needed.
    if (this.flushTimer.deadline === Infinity) return;
    this.flushTimer.disarm();
    this.flush();
  }

  ready(): void {
    this.flush();
  }

  private get nicAccepts(): NetOffloads {
    return this.receiver?.accepts ?? NO_OFFLOADS;
  }

  send(frame: Uint8Array, offload?: FrameOffload): void {
    if (frame.length < ETHERNET_HEADER || !isForUs(frame) || !this.linkUp) return;
    const type = ethertypeOf(frame);
    const verified = offload?.csum !== undefined || offload?.verified === true;
    if (type === ETHERTYPE_IPV4 && this.config.ipv4) this.receiveIpv4(frame, verified);
    else if (type === ETHERTYPE_IPV6 && this.config.ipv6) this.receiveIpv6(frame, verified);
    else if (type === ETHERTYPE_ARP && this.config.ipv4) this.receiveArp(frame);
  }

  private enqueue(queued: Queued): void {
    if (this.queuedBytes + queued.frame.length > QUEUE_ALL) return;
    this.queue.push(queued);
    this.queuedBytes += queued.frame.length;
    if (this.flushTimer.deadline === Infinity) this.flushTimer.arm(this.clock.now());
  }

  /** To the NIC, until it is full: it calls ready() then. */
  private flush(): void {
    const { receiver, queue } = this;
    if (!receiver) return;
    const wasFull = this.queuedBytes >= QUEUE_TCP;
    let sent = 0;
    while (sent < queue.length && receiver.receive(queue[sent].frame, queue[sent].offload)) {
      const { frame } = queue[sent++];
      this.queuedBytes -= frame.length;
      if (frame.length > LONG_FRAME && this.spare.length < MAX_SPARE) this.spare.push(frame.buffer as ArrayBuffer);
    }
    queue.splice(0, sent);
    if (wasFull && this.queuedBytes < QUEUE_TCP) this.tcp.ready();
  }

  // ---- from the guest

  private receiveArp(frame: Uint8Array): void {
    const message = parseArp(frame);
    if (!message) return;
    const { senderIp, senderMac, targetIp } = message;
    // A probe (RFC 5227) has no sender's address yet.
    if (!isUnspecified(senderIp)) this.learn(senderIp, senderMac);
    if (message.operation !== ARP_REQUEST || !this.isOurs(targetIp) || equalBytes(senderIp, targetIp)) return;
    this.enqueue({ frame: buildArp(ARP_REPLY, macOf(targetIp), targetIp, senderIp, senderMac) });
  }

  /** A guest of this network has this MAC. */
  private learn(address: IpAddress, mac: Uint8Array): void {
    if (!this.isGuest(address)) return;
    this.neighbours.learn(address, mac);
    if (this.unresolved.length > 0) this.sendResolved(address, mac);
  }

  private receiveIpv4(frame: Uint8Array, verified: boolean): void {
    const header = parseIpv4Packet(frame.subarray(ETHERNET_HEADER));
    if (!header) return;
    if (!isUnspecified(header.source)) this.learn(header.source, sourceOf(frame));
    let packet: IpPacket | undefined = header;
    if (header.fragmentOffset !== 0 || header.moreFragments) {
      packet = this.reassembly.add(header, this.clock.now());
      verified = false;
    }
    if (packet) this.receiveIp(packet, verified);
  }

  private receiveIpv6(frame: Uint8Array, verified: boolean): void {
    const packet = parseIpv6Packet(frame.subarray(ETHERNET_HEADER));
    if (!packet) return;
    if (!isUnspecified(packet.source) && packet.protocol !== PROTOCOL_ICMPV6) this.learn(packet.source, sourceOf(frame));
    this.receiveIp(packet, verified);
  }

  private receiveIp(packet: IpPacket, verified: boolean): void {
    if (packet.protocol === PROTOCOL_UDP) {
      const datagram = parseUdp(packet, verified);
      if (datagram) this.receiveUdp(packet, datagram);
      return;
    }
    if (packet.protocol === PROTOCOL_ICMPV6 && packet.source.length === 16) return this.receiveIcmp6(packet);
    if (isMulticast(packet.destination) || this.isBroadcast(packet.destination) || !this.isGuest(packet.source)) return;
    if (packet.protocol === PROTOCOL_TCP) this.tcp.receive(packet, verified);
    else if (packet.protocol === PROTOCOL_ICMP && packet.source.length === 4) this.receiveIcmp(packet);
  }

  private receiveIcmp(packet: IpPacket): void {
    const { source, destination } = packet;
    if (this.isOurs(destination)) {
      const reply = icmp.echoReply(packet);
      if (reply) this.sendIp(destination, source, PROTOCOL_ICMP, reply);
    } else this.sendUnreachable(packet, true);
  }

  private receiveIcmp6(packet: IpPacket): void {
    const { source, destination } = packet;
    if (!icmp6.isIntact(packet)) return;
    // Only a guest is answered, and who has no address yet: what claims to come from a group or from the router itself would make it
    // send to all, or to itself (RFC 4443, 2.4 e).
    const isFromGuest = this.isGuest(source);
    if (!isFromGuest && !isUnspecified(source)) return;
    switch (icmp6.typeOf(packet)) {
      case icmp6.ECHO_REQUEST:
        if (!isFromGuest) return;
        if (this.isOurs(destination)) this.sendIp(destination, source, PROTOCOL_ICMPV6, icmp6.echoReply6(packet, destination));
        else if (equalBytes(destination, icmp6.ALL_NODES)) this.sendIp(LINK_LOCAL, source, PROTOCOL_ICMPV6, icmp6.echoReply6(packet, LINK_LOCAL));
        else if (!isMulticast(destination)) this.sendUnreachable(packet, true);
        return;
      case icmp6.NEIGHBOUR_SOLICITATION: {
        const asked = icmp6.parseNeighbourSolicitation(packet);
        if (!asked) return;
        if (asked.sourceMac && !isUnspecified(source)) this.learn(source, asked.sourceMac);
        if (!this.isOurs(asked.target)) return;
        // Who asks without an address looks for a duplicate of its own; all nodes hear that it is taken.
        const to = isUnspecified(source) ? icmp6.ALL_NODES : source;
        this.sendIp(asked.target, to, PROTOCOL_ICMPV6, icmp6.buildNeighbourAdvertisement(asked.target, MAC6, asked.target, to), 255);
        return;
      }
      case icmp6.NEIGHBOUR_ADVERTISEMENT: {
        const told = icmp6.parseNeighbourAdvertisement(packet);
        if (told) this.learn(told.target, told.mac);
        return;
      }
      case icmp6.ROUTER_SOLICITATION: {
        if (!icmp6.isRouterSolicitation(packet)) return;
        const { config } = this;
        const message = icmp6.buildRouterAdvertisement({
          mac: MAC6, lifetimeSeconds: config.restrict ? 0 : ROUTER_LIFETIME, prefix: config.prefix6, prefixLength: config.prefix6Bits, nameServer: config.dns6, mtu: MTU,
        }, LINK_LOCAL, icmp6.ALL_NODES);
        this.sendIp(LINK_LOCAL, icmp6.ALL_NODES, PROTOCOL_ICMPV6, message, 255);
      }
    }
  }

  private receiveUdp(packet: IpPacket, { sourcePort, destinationPort, data }: Datagram): void {
    const { source, destination } = packet;
    if (source.length === 4 && destinationPort === DHCP_SERVER_PORT && (equalBytes(destination, this.config.host) || isMulticast(destination) || this.isBroadcast(destination))) {
      const answer = this.dhcp.answer(data);
      if (!answer) return;
      if (answer.address) this.learn(answer.address, answer.mac);
      this.sendUdp(this.config.host, DHCP_SERVER_PORT, answer.destination, DHCP_CLIENT_PORT, answer.message);
      return;
    }
    if (isMulticast(destination) || this.isBroadcast(destination) || !this.isGuest(source)) return;
    if (this.files && destinationPort === TFTP_PORT && this.isHost(destination)) {
      const [from, to] = [destination.slice(), source.slice()];
      this.tftp.receive(`${formatAddress(source)} ${sourcePort}`, data, (message) => this.sendUdp(from, TFTP_PORT, to, sourcePort, message));
      return;
    }
    const to = this.config.restrict ? undefined : this.hostName(destination, destinationPort, 'udp');
    if (to === undefined) this.sendUnreachable(packet, !this.isOurs(destination));
    else this.udp.send(source, sourcePort, destination, to, destinationPort, data);
  }

  // ---- who is who

  /** Addresses at which this network itself answers. */
  private isOurs(address: IpAddress): boolean {
    const { config } = this;
    return address.length === 4
      ? equalBytes(address, config.host) || equalBytes(address, config.dns)
      : equalBytes(address, config.host6) || equalBytes(address, config.dns6) || equalBytes(address, LINK_LOCAL);
  }

  private isHost(address: IpAddress): boolean {
    return equalBytes(address, this.config.host) || equalBytes(address, this.config.host6) || equalBytes(address, LINK_LOCAL);
  }

  private isBroadcast(address: IpAddress): boolean {
    return equalBytes(address, this.broadcast);
  }

  /** One of the network's own, with an address that packets can go back to. */
  private isGuest(address: IpAddress): boolean {
    const { config } = this;
    // What all hear is nobody's own: an answer would go to all (RFC 1122, 3.2.1.3).
    if (this.isOurs(address) || isMulticast(address) || this.isBroadcast(address) || equalBytes(address, config.net)) return false;
    return address.length === 4 ? inNetwork(address, config.net, config.netBits) : isLinkLocal(address) || inNetwork(address, config.prefix6, config.prefix6Bits);
  }

  /** Where a guest's packet goes, as the host knows it; undefined: nowhere. */
  private hostName(address: IpAddress, port: number, protocol: 'tcp' | 'udp'): string | undefined {
    const { config } = this;
    if (this.isHost(address)) return HOST_ADDRESS;
    if (equalBytes(address, config.dns) || equalBytes(address, config.dns6)) return port === DNS_PORT ? NAME_SERVER : undefined;
    // Nobody else lives here, and a guest must not reach the host by another of its names.
    if (isMulticast(address) || isUnspecified(address) || isLinkLocal(address)) return undefined;
    if (address.length === 4 ? address[0] === 0 || address[0] === 127 || inNetwork(address, config.net, config.netBits) : inNetwork(address, config.prefix6, config.prefix6Bits)) return undefined;
    if (address.length === 16 && isEmbeddedIpv4(address)) return undefined;
    return protocol ? formatAddress(address) : undefined;
  }

  /** How a guest sees who answers or calls. */
  private seenAs(name: string, addressBytes: number): IpAddress {
    const { config } = this;
    if (name === NAME_SERVER) return addressBytes === 4 ? config.dns : config.dns6;
    const address = parseAddress(name);
    return address?.length === addressBytes ? address : addressBytes === 4 ? config.host : config.host6;
  }

  // ---- connections

  private connect(far: IpAddress, port: number, events: HostStreamEvents): ReturnType<HostNetwork['connect']> | undefined {
    const to = this.config.restrict ? undefined : this.hostName(far, port, 'tcp');
    return to === undefined ? undefined : this.host.connect(to, port, events);
  }

  private accept({ guestAddress, guestPort, address, port, stream }: Accepted): HostStreamEvents | undefined {
    const guest = parseAddress(guestAddress);
    return guest && this.tcp.accept(guest, guestPort, this.seenAs(address, guest.length), port, stream);
  }

  // ---- to the guest

  private sendUdp(from: IpAddress, fromPort: number, to: IpAddress, toPort: number, data: Uint8Array): void {
    if (data.length > 65535 - IPV4_HEADER - UDP_HEADER) return;
    if (to.length === 16 || IPV4_HEADER + UDP_HEADER + data.length > MTU) return this.sendIp(from, to, PROTOCOL_UDP, buildUdp(from, fromPort, to, toPort, data));
    // Most are short: no copy for the packet's own sake.
    const frame = new Uint8Array(ETHERNET_HEADER + IPV4_HEADER + UDP_HEADER + data.length);
    writeIpv4(frame, ETHERNET_HEADER, from, to, PROTOCOL_UDP, UDP_HEADER + data.length, this.nextId());
    writeUdp(frame, ETHERNET_HEADER + IPV4_HEADER, from, fromPort, to, toPort, data);
    this.sendTo(from, to, { frame });
  }

  private sendUnreachable(packet: IpPacket, isProhibited: boolean): void {
    const { source, destination } = packet;
    if (isUnspecified(source)) return;
    if (source.length === 4) {
      const message = icmp.unreachable(packet, isProhibited ? icmp.CODE_PROHIBITED : icmp.CODE_PORT_UNREACHABLE);
      if (message) this.sendIp(isProhibited ? this.config.host : destination, source, PROTOCOL_ICMP, message);
    } else {
      const from = isProhibited ? this.config.host6 : destination;
      const message = icmp6.unreachable6(packet, isProhibited ? icmp6.CODE_PROHIBITED : icmp6.CODE_PORT, from);
      if (message) this.sendIp(from, source, PROTOCOL_ICMPV6, message);
    }
  }

  /** A packet of any protocol; IPv4 packets longer than the MTU go in fragments, IPv6 ones are dropped. */
  private sendIp(from: IpAddress, to: IpAddress, protocol: number, payload: Uint8Array, hops?: number): void {
    if (to.length === 16) {
      if (IPV6_HEADER + payload.length > MTU) return;
      const frame = new Uint8Array(ETHERNET_HEADER + IPV6_HEADER + payload.length);
      writeIpv6(frame, ETHERNET_HEADER, from, to, protocol, payload.length, hops);
      frame.set(payload, ETHERNET_HEADER + IPV6_HEADER);
      return this.sendTo(from, to, { frame });
    }
    const most = (MTU - IPV4_HEADER) & ~7;
    const id = this.nextId();
    for (let at = 0; at === 0 || at < payload.length; at += most) {
      const isWhole = payload.length <= MTU - IPV4_HEADER;
      const part = isWhole ? payload : payload.subarray(at, at + most);
      const frame = new Uint8Array(ETHERNET_HEADER + IPV4_HEADER + part.length);
      writeIpv4(frame, ETHERNET_HEADER, from, to, protocol, part.length, id, at, at + part.length < payload.length);
      frame.set(part, ETHERNET_HEADER + IPV4_HEADER);
      this.sendTo(from, to, { frame });
      if (isWhole) return;
    }
  }

  private nextId(): number {
    return (this.ipId = (this.ipId + 1) & 0xffff);
  }

  private sendSegment(
    from: IpAddress, to: IpAddress, header: Parameters<typeof writeSegmentHeader>[2],
    data: { copy(from: number, length: number, to: Uint8Array, at: number): void } | null, offset: number, length: number, mss: number,
  ): void {
    const isIpv4 = to.length === 4;
    const start = ETHERNET_HEADER + (isIpv4 ? IPV4_HEADER : IPV6_HEADER);
    const headerLength = segmentHeaderLength(header);
    const total = headerLength + length;
    const bytes = start + total;
    const frame = bytes > LONG_FRAME ? new Uint8Array(this.spare.pop() ?? new ArrayBuffer(LONGEST_FRAME), 0, bytes) : new Uint8Array(bytes);
    if (isIpv4) writeIpv4(frame, ETHERNET_HEADER, from, to, PROTOCOL_TCP, total, this.nextId());
    else writeIpv6(frame, ETHERNET_HEADER, from, to, PROTOCOL_TCP, total);
    writeSegmentHeader(frame, start, header);
    if (length > 0) data?.copy(offset, length, frame, start + headerLength);
    const pseudo = pseudoHeaderSum(from, to, PROTOCOL_TCP, total);
    let offload: FrameOffload | undefined;
    if (this.nicAccepts.csum) {
      set16(frame, start + 16, pseudo);
      const csum = { start, offset: 16 };
      offload = length > mss ? { csum, gso: { type: isIpv4 ? 'tcp4' : 'tcp6', size: mss, ecn: false } } : { csum };
    } else {
      set16(frame, start + 16, ~sum16(frame, start, start + total, pseudo) & 0xffff);
    }
    this.sendTo(from, to, { frame, ...(offload ? { offload } : {}) });
  }

  /** Write the Ethernet header and queue; a neighbour whose MAC is not known is asked for it first. */
  private sendTo(from: IpAddress, to: IpAddress, queued: Queued): void {
    const isIpv4 = to.length === 4;
    const ownMac = isIpv4 ? macOf(this.isOurs(from) ? from : this.config.host) : MAC6;
    const isAll = isIpv4 && (isMulticast(to) || this.isBroadcast(to));
    const mac = isAll ? BROADCAST : isMulticast(to) ? Uint8Array.of(0x33, 0x33, ...to.subarray(12)) : this.neighbours.get(to);
    writeEthernet(queued.frame, mac ?? BROADCAST, ownMac, isIpv4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6);
    if (mac) return this.enqueue(queued);
    const now = this.clock.now();
    while (this.unresolved.length > 0 && (this.unresolved.length >= MAX_UNRESOLVED || now - this.unresolved[0].since > UNRESOLVED_NS)) this.unresolved.shift();
    this.unresolved.push({ to, since: now, queued });
    if (isIpv4) {
      this.enqueue({ frame: buildArp(ARP_REQUEST, macOf(this.config.host), this.config.host, to) });
    } else {
      const source = isLinkLocal(to) ? LINK_LOCAL : this.config.host6;
      this.sendIp(source, icmp6.solicitedNode(to), PROTOCOL_ICMPV6, icmp6.buildNeighbourSolicitation(to, MAC6, source), 255);
    }
  }

  private sendResolved(address: IpAddress, mac: Uint8Array): void {
    for (let n = 0; n < this.unresolved.length; ) {
      const { to, queued } = this.unresolved[n];
      if (!equalBytes(to, address)) {
        n++;
        continue;
      }
      this.unresolved.splice(n, 1);
      queued.frame.set(mac, 0);
      this.enqueue(queued);
    }
  }

  // ---- snapshot

  /** Leases and neighbours. Connections go through the host's sockets, which cannot be put aside: they break. */
  save(): unknown {
    return { leases: this.dhcp.save(), neighbours: this.neighbours.save(), ipId: this.ipId };
  }

  load(state: unknown): void {
    const { leases, neighbours, ipId } = state as { leases: [string, number][]; neighbours: [string, Uint8Array][]; ipId: number };
    this.tcp.abortAll();
    this.udp.closeAll();
    this.tftp.endAll();
    this.queue.length = this.queuedBytes = this.unresolved.length = 0;
    this.flushTimer.disarm();
    this.dhcp.load(leases);
    this.neighbours.load(neighbours);
    this.ipId = ipId;
  }

  lost(): void {
    this.linkUp = false;
    this.close();
    this.receiver?.linkChanged(false);
  }

  /** End everything: the machine is gone, or the last guest of a room. */
  close(): void {
    this.tcp.abortAll();
    this.udp.closeAll(true);
    this.tftp.endAll();
    this.flushTimer.disarm();
  }
}

/** Broadcast, multicast, or one of this network's MACs: behind a switch there may be other guests. */
function isForUs(frame: Uint8Array): boolean {
  return isGroup(frame) || (frame[0] === 0x52 && (frame[1] === 0x55 || frame[1] === 0x56));
}

/** ::ffff:0:0/96, ::/96 and 64:ff9b::/96 are other names of IPv4 addresses, the host's among them. */
function isEmbeddedIpv4(a: IpAddress): boolean {
  const isZero = (from: number, to: number): boolean => a.subarray(from, to).every((byte) => byte === 0);
  return (isZero(0, 10) && ((a[10] === 0xff && a[11] === 0xff) || (a[10] === 0 && a[11] === 0))) || (a[0] === 0 && a[1] === 0x64 && a[2] === 0xff && a[3] === 0x9b && isZero(4, 12));
}
