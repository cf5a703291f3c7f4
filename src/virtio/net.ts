// Network device: frames go out through one queue and come in through another, with checksums and segmentation left to
// whoever does them with less work.
// Virtio 1.2, section 5.1 (Network Device). Which frames come in: net-filter.ts.

import { type AccessSize, type FrameOffload, MAX_FRAME, type NetBackend, type NetOffloads, type Timer } from '../devices/interfaces.ts';
import { type Nic, NicPort, UNPLUGGED } from '../devices/net/port.ts';
import { NOT_NOW, STATUS_DRIVER_OK, VIRTIO_F_VERSION_1, VirtioDevice, type VirtioTransport, VirtioType } from './device.ts';
import { NetFilter, VIRTIO_NET_CTRL_RX } from './net-filter.ts';
import type { Chain, Virtqueue } from './queue.ts';

/** Feature bits, 5.1.3, by QEMU's names of the properties that switch them. */
export const NET_FEATURES = {
  csum: 1n << 0n,
  guest_csum: 1n << 1n,
  ctrl_guest_offloads: 1n << 2n,
  /** All segmentation by the device, of before the features were apart (5.1.3.2, legacy). */
  gso: 1n << 6n,
  guest_tso4: 1n << 7n,
  guest_tso6: 1n << 8n,
  guest_ecn: 1n << 9n,
  guest_ufo: 1n << 10n,
  host_tso4: 1n << 11n,
  host_tso6: 1n << 12n,
  host_ecn: 1n << 13n,
  host_ufo: 1n << 14n,
  mrg_rxbuf: 1n << 15n,
  status: 1n << 16n,
  ctrl_vq: 1n << 17n,
  ctrl_rx: 1n << 18n,
  ctrl_vlan: 1n << 19n,
  ctrl_rx_extra: 1n << 20n,
  guest_announce: 1n << 21n,
  ctrl_mac_addr: 1n << 23n,
} as const;
export type NetFeature = keyof typeof NET_FEATURES;
export const VIRTIO_NET_F_MTU = 1n << 3n;
export const VIRTIO_NET_F_MAC = 1n << 5n;
export const VIRTIO_NET_F_SPEED_DUPLEX = 1n << 63n;

export const VIRTIO_NET_S_LINK_UP = 1;
export const VIRTIO_NET_S_ANNOUNCE = 2;

/** struct virtio_net_hdr, 5.1.6: flags, gso_type, le16 hdr_len, gso_size, csum_start, csum_offset, num_buffers. */
export const NET_HEADER = 12;
/** Without num_buffers: on the legacy interface without MRG_RXBUF (5.1.6.1). */
const LEGACY_HEADER = 10;
export const VIRTIO_NET_HDR_F_NEEDS_CSUM = 1;
export const VIRTIO_NET_HDR_F_DATA_VALID = 2;
export const VIRTIO_NET_HDR_GSO_NONE = 0;
export const VIRTIO_NET_HDR_GSO_TCPV4 = 1;
export const VIRTIO_NET_HDR_GSO_UDP = 3;
export const VIRTIO_NET_HDR_GSO_TCPV6 = 4;
export const VIRTIO_NET_HDR_GSO_ECN = 0x80;
const GSO_TYPES = { tcp4: VIRTIO_NET_HDR_GSO_TCPV4, tcp6: VIRTIO_NET_HDR_GSO_TCPV6, udp: VIRTIO_NET_HDR_GSO_UDP } as const;
const GSO_NAMES = new Map<number, keyof typeof GSO_TYPES>(Object.entries(GSO_TYPES).map(([name, type]) => [type, name as keyof typeof GSO_TYPES]));

export const VIRTIO_NET_CTRL_MAC = 1;
export const VIRTIO_NET_CTRL_MAC_TABLE_SET = 0;
export const VIRTIO_NET_CTRL_MAC_ADDR_SET = 1;
export const VIRTIO_NET_CTRL_VLAN = 2;
export const VIRTIO_NET_CTRL_VLAN_ADD = 0;
export const VIRTIO_NET_CTRL_VLAN_DEL = 1;
export const VIRTIO_NET_CTRL_ANNOUNCE = 3;
export const VIRTIO_NET_CTRL_GUEST_OFFLOADS = 5;
export const VIRTIO_NET_OK = 0;
export const VIRTIO_NET_ERR = 1;

export const RECEIVEQ = 0;
export const TRANSMITQ = 1;
export const CONTROLQ = 2;

/** Entries of a queue, and of the control queue; as in QEMU. */
const QUEUE_SIZE = 256;
const CONTROL_SIZE = 64;
/** A control command's data at most: more than the longest address table. */
const MAX_COMMAND = 65536;
/** Work of a frame beside its bytes, as bytes: it bounds what one notification can make of tiny segments. */
const FRAME_COST = 512;
/**
 * A driver that sends and sends need not say so each time: each notification is an exit, and waking the far end for each frame costs as much again. After notifications less than
 * TX_QUICK_NS apart the queue is looked at every TX_LOOK_NS, and when the CPU has nothing else to do, until a look finds no more than one frame. QEMU's tx=timer, for who sends much.
 */
const TX_QUICK_NS = 100e3;
const TX_LOOK_NS = 200e3;
/** Interrupts for what was sent wait so long for more of it, ns; and no longer than until so many buffers are used, as parts of the queue. */
const TX_INTERRUPT_NS = 1e6;
const TX_INTERRUPT_PART = 4;
/** After a snapshot was loaded the network learns anew where the guest is; ns, QEMU's announce-initial. */
const ANNOUNCE_NS = 50e6;

/** struct virtio_net_config, 5.1.4. */
const CONFIG_MAC = 0;
const CONFIG_STATUS = 6;
const CONFIG_MAX_PAIRS = 8;
const CONFIG_MTU = 10;
const CONFIG_SPEED = 12;
const CONFIG_DUPLEX = 16;

export interface VirtioNetOptions {
  mac: Uint8Array;
  /** Where the cable leads; without it, nowhere. */
  backend?: NetBackend;
  /** Features that are not offered. */
  without?: readonly NetFeature[];
  /** Advise the driver about the MTU, bytes (68 to 65535). */
  hostMtu?: number;
  /** Entries of the queues, powers of two from 256 to 1024. */
  rxQueueSize?: number;
  txQueueSize?: number;
  /** Mb/s to report, and whether the link is full duplex. */
  speed?: number;
  duplex?: 'half' | 'full';
}

/** What a snapshot keeps. */
interface NetState {
  mac: Uint8Array;
  filter: unknown;
  offloads: bigint;
}

const GUEST_OFFLOADS = NET_FEATURES.guest_csum | NET_FEATURES.guest_tso4 | NET_FEATURES.guest_tso6 | NET_FEATURES.guest_ecn | NET_FEATURES.guest_ufo;

function offeredFeatures({ without = [], hostMtu, speed, duplex }: VirtioNetOptions): bigint {
  let features = VIRTIO_NET_F_MAC;
  for (const [name, bit] of Object.entries(NET_FEATURES)) if (!without.includes(name as NetFeature)) features |= bit;
  const needs = (bits: bigint, needed: bigint): void => {
    if ((features & needed) === 0n) features &= ~bits;
  };
  // 5.1.3.1: what a feature requires.
  const f = NET_FEATURES;
  needs(f.gso | f.host_tso4 | f.host_tso6 | f.host_ufo, f.csum);
  needs(f.guest_tso4 | f.guest_tso6 | f.guest_ufo, f.guest_csum);
  needs(f.host_ecn, f.host_tso4 | f.host_tso6);
  needs(f.guest_ecn, f.guest_tso4 | f.guest_tso6);
  needs(f.ctrl_rx | f.ctrl_vlan | f.ctrl_rx_extra | f.guest_announce | f.ctrl_mac_addr | f.ctrl_guest_offloads, f.ctrl_vq);
  if (!(features & GUEST_OFFLOADS)) features &= ~f.ctrl_guest_offloads;
  if (hostMtu !== undefined) features |= VIRTIO_NET_F_MTU;
  if (speed !== undefined || duplex !== undefined) features |= VIRTIO_NET_F_SPEED_DUPLEX;
  return features;
}

export class VirtioNet extends VirtioDevice implements Nic {
  readonly model = 'virtio-net-pci';
  readonly mac: Uint8Array;
  readonly port: NicPort;
  private readonly filter = new NetFilter();
  private announce: Timer | undefined;
  private sentTimer: Timer | undefined;
  private lookTimer: Timer | undefined;
  /** When it is due, and when the driver last gave notice of frames. */
  private lookAt = 0;
  private noticeAt = -TX_QUICK_NS;
  /** It was due while the device could not reach memory: the driver believes that the queue is looked at. */
  private looksLater = false;
  /** Buffers used since the last interrupt was thought of. */
  private sent = 0;
  /** Which of the guest's offloads are in use, as feature bits, and the same for the backend. */
  private offloads = 0n;
  private guestAccepts: NetOffloads = { csum: false, tso4: false, tso6: false, ecn: false, ufo: false };
  /** Bytes of the header on the queues now. */
  private header = LEGACY_HEADER;
  private readonly sending = new Uint8Array(NET_HEADER + MAX_FRAME);
  private readonly sendingView = new DataView(this.sending.buffer);
  private readonly headerBytes = new DataView(new ArrayBuffer(NET_HEADER));

  constructor(options: VirtioNetOptions) {
    const features = offeredFeatures(options);
    const { hostMtu, speed, duplex, rxQueueSize = QUEUE_SIZE, txQueueSize = QUEUE_SIZE } = options;
    super({
      name: 'virtio-net',
      type: VirtioType.NET,
      pciClass: 0x0200,
      queues: [rxQueueSize, txQueueSize, ...(features & NET_FEATURES.ctrl_vq ? [CONTROL_SIZE] : [])],
      features,
      configLength: features & VIRTIO_NET_F_SPEED_DUPLEX ? CONFIG_DUPLEX + 1 : features & VIRTIO_NET_F_MTU ? CONFIG_SPEED : CONFIG_MTU,
    });
    this.mac = options.mac.slice();
    const config = new DataView(this.config.buffer);
    config.setUint16(CONFIG_MAX_PAIRS, 1, true);
    if (features & VIRTIO_NET_F_MTU) config.setUint16(CONFIG_MTU, hostMtu!, true);
    if (features & VIRTIO_NET_F_SPEED_DUPLEX) {
      config.setUint32(CONFIG_SPEED, speed ?? 0xffffffff, true);
      // 5.1.4: FFh where it is not known.
      config.setUint8(CONFIG_DUPLEX, duplex === 'full' ? 1 : duplex === 'half' ? 0 : 0xff);
    }
    this.port = new NicPort(options.backend ?? UNPLUGGED, {
      accepts: () => this.guestAccepts,
      receive: (frame, offload) => this.receive(frame, offload),
      drained: () => this.transmitAgain(),
      linkChanged: () => this.changeConfig((view) => view.setUint16(CONFIG_STATUS, this.linkStatus(), true)),
    });
    this.onReset();
  }

  override attach(transport: VirtioTransport): void {
    super.attach(transport);
    this.announce = transport.clock.timer('virtio-net announce', () => this.announceNow());
    this.sentTimer = transport.clock.timer('virtio-net sent', () => this.interruptSent(), true);
    this.lookTimer = transport.clock.timer('virtio-net look', (now) => this.lookAgain(now), true);
  }

  // Features and configuration

  override setFeatures(features: bigint): void {
    super.setFeatures(features);
    this.header = features & (VIRTIO_F_VERSION_1 | NET_FEATURES.mrg_rxbuf) ? NET_HEADER : LEGACY_HEADER;
    this.setOffloads(features & GUEST_OFFLOADS);
    if (!(features & NET_FEATURES.ctrl_vlan)) this.filter.passAllVlans();
  }

  private setOffloads(bits: bigint): void {
    this.offloads = bits;
    const has = (bit: bigint): boolean => (bits & bit) !== 0n;
    const f = NET_FEATURES;
    this.guestAccepts = { csum: has(f.guest_csum), tso4: has(f.guest_tso4), tso6: has(f.guest_tso6), ecn: has(f.guest_ecn), ufo: has(f.guest_ufo) };
  }

  private linkStatus(): number {
    return this.identity.features! & NET_FEATURES.status && this.port.linkUp ? VIRTIO_NET_S_LINK_UP : 0;
  }

  /** A legacy driver without CTRL_MAC_ADDR writes its address here (5.1.4.3). */
  override writeConfig(offset: number, size: AccessSize, value: number): void {
    if (this.features & (VIRTIO_F_VERSION_1 | NET_FEATURES.ctrl_mac_addr) || offset + size > CONFIG_STATUS) return;
    for (let i = 0; i < size; i++) this.config[CONFIG_MAC + offset + i] = value >>> (8 * i);
  }

  protected override onReset(): void {
    this.filter.reset();
    this.setOffloads(0n);
    this.header = LEGACY_HEADER;
    this.announce?.disarm();
    this.sentTimer?.disarm();
    this.lookTimer?.disarm();
    this.looksLater = false;
    this.sent = 0;
    this.config.set(this.mac, CONFIG_MAC);
    new DataView(this.config.buffer).setUint16(CONFIG_STATUS, this.linkStatus(), true);
  }

  private get address(): Uint8Array {
    return this.config.subarray(CONFIG_MAC, CONFIG_MAC + 6);
  }

  // Queues

  protected notified(index: number): void {
    if (index === TRANSMITQ) {
      const now = this.clock.now();
      const isQuick = now - this.noticeAt < TX_QUICK_NS;
      this.noticeAt = now;
      this.transmitAll(isQuick);
      if (isQuick && this.lookTimer!.deadline === Infinity) this.lookLater(now);
    } else if (index === RECEIVEQ) {
      this.refilled();
    } else {
      this.serve(index, (chain, queue) => this.control(chain, queue));
    }
  }

  // Transmission, 5.1.6.2

  /** @returns how many frames there were */
  private transmitAll(quiet: boolean): number {
    let count = 0;
    this.serve(TRANSMITQ, (chain, queue) => {
      if (!this.port.canSend) return NOT_NOW;
      this.sent++;
      count++;
      return this.transmit(chain, queue);
    }, quiet);
    return count;
  }

  private lookLater(now: number): void {
    this.lookAt = now + TX_LOOK_NS;
    this.lookTimer!.arm(this.lookAt);
  }

  /** After a while, or the CPU is idle. A driver that has sent little meanwhile has to say so when it does again. */
  private lookAgain(now: number): void {
    this.looksLater = !this.live;
    if (this.looksLater || !this.queues[TRANSMITQ].enabled) return;
    const isIdle = now < this.lookAt;
    if (!isIdle && this.queues[TRANSMITQ].available > 0 && this.transmitAll(true) > 1) this.lookLater(now);
    else this.transmitAll(false);
  }

  override poll(): void {
    if (this.looksLater && this.live) this.lookAgain(this.clock.now());
  }

  /**
   * A driver looks for what was sent whenever it sends, and mostly when it receives: an interrupt for each frame would only take its time. It gets
   * one when it has nothing else to do, or after a while.
   */
  protected override interrupt(index: number): void {
    if (index !== TRANSMITQ) return super.interrupt(index);
    if (this.sent >= this.queues[index].size / TX_INTERRUPT_PART) this.interruptSent();
    else if (this.sent > 0 && this.sentTimer!.deadline === Infinity) this.sentTimer!.arm(this.clock.now() + TX_INTERRUPT_NS);
  }

  private interruptSent(): void {
    this.sentTimer!.disarm();
    this.sent = 0;
    super.interrupt(TRANSMITQ);
  }

  private transmit(chain: Chain, queue: Virtqueue): number {
    const { header } = this;
    const length = chain.readableLength - header;
    if (length < 0) {
      queue.fail('a frame to send without a whole header');
      return 0;
    }
    if (length > MAX_FRAME) {
      this.port.counters.dropped++;
      return 0;
    }
    // Whoever gets the frame is done with it when send() returns.
    const bytes = this.sending.subarray(0, header + length);
    chain.readInto(0, bytes);
    const frame = bytes.subarray(header);
    const flags = bytes[0];
    const type = bytes[1];
    if (!(flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) && type === VIRTIO_NET_HDR_GSO_NONE) {
      this.charge(FRAME_COST * this.port.send(frame));
      return 0;
    }
    const view = this.sendingView;
    const csum = flags & VIRTIO_NET_HDR_F_NEEDS_CSUM ? { start: view.getUint16(6, true), offset: view.getUint16(8, true) } : undefined;
    const name = GSO_NAMES.get(type & ~VIRTIO_NET_HDR_GSO_ECN);
    // 5.1.6.2.2: what is to be cut needs its checksum made, and the checksum's place lies in the frame.
    if ((type !== VIRTIO_NET_HDR_GSO_NONE && (!name || !csum)) || (csum && csum.start + csum.offset + 2 > frame.length)) {
      this.port.counters.dropped++;
      return 0;
    }
    const gso = name && { type: name, size: view.getUint16(4, true), ecn: (type & VIRTIO_NET_HDR_GSO_ECN) !== 0 };
    this.charge(FRAME_COST * this.port.send(frame, { csum, gso }));
    return 0;
  }

  private transmitAgain(): void {
    if (this.live && this.queues[TRANSMITQ].available > 0) this.notify(TRANSMITQ);
  }

  // Reception, 5.1.6.4

  override setStatus(status: number): void {
    const started = status & ~this.status & STATUS_DRIVER_OK;
    super.setStatus(status);
    // Buffers may have been put there before.
    if (started && this.live && this.queues[RECEIVEQ].enabled) this.refilled();
  }

  /** The driver has put buffers into the receive queue. It need not say so again before they are used up. */
  private refilled(): void {
    if (!this.live) return;
    const queue = this.queues[RECEIVEQ];
    if (queue.available > 0) queue.setNotification(false);
    this.port.ready();
  }

  private receive(frame: Uint8Array, offload?: FrameOffload): boolean {
    const queue = this.queues[RECEIVEQ];
    if (!this.live || !queue.enabled) return false;
    if (!this.filter.passes(frame, this.address)) return true;
    const taken = this.place(queue, frame, offload) || this.placeAgain(queue, frame, offload);
    if (taken) this.interrupt(RECEIVEQ);
    return taken;
  }

  /** No room: ask to be told of new buffers, and look once more, for some may have come unannounced. */
  private placeAgain(queue: Virtqueue, frame: Uint8Array, offload?: FrameOffload): boolean {
    queue.setNotification(true);
    if (!this.place(queue, frame, offload)) return false;
    queue.setNotification(false);
    return true;
  }

  /** Put a frame into the driver's buffers: one, or with MRG_RXBUF as many as it takes. @returns false if there are not enough */
  private place(queue: Virtqueue, frame: Uint8Array, offload?: FrameOffload): boolean {
    const { header } = this;
    const merge = (this.features & NET_FEATURES.mrg_rxbuf) !== 0n;
    const used: { chain: Chain; written: number }[] = [];
    let at = 0;
    do {
      const chain = queue.pop();
      if (!chain) {
        for (let n = used.length - 1; n >= 0; n--) queue.unpop(used[n].chain);
        // Of a queue that broke nothing is expected any more.
        return !this.live;
      }
      const first = used.length === 0 ? header : 0;
      if (chain.readableLength > 0 || chain.writableLength <= first) {
        queue.fail('a receive buffer that is not writable, or too small for the header');
        return true;
      }
      const room = Math.min(frame.length - at, chain.writableLength - first);
      used.push({ chain, written: first + room });
      at += room;
    } while (merge && at < frame.length);
    if (at < frame.length) {
      // 5.1.6.3.1: the driver's buffers are too small for what it negotiated. The frame is lost, the buffer is not.
      queue.unpop(used[0].chain);
      return true;
    }
    this.fillHeader(frame, offload, used.length);
    used[0].chain.write(0, new Uint8Array(this.headerBytes.buffer, 0, header));
    at = 0;
    used.forEach(({ chain, written }, n) => {
      const first = n === 0 ? header : 0;
      chain.write(first, frame.subarray(at, at + written - first));
      at += written - first;
    });
    queue.pushAll(used);
    return true;
  }

  private fillHeader(frame: Uint8Array, offload: FrameOffload | undefined, buffers: number): void {
    const view = this.headerBytes;
    const csum = offload?.csum;
    const gso = offload?.gso;
    // Without GUEST_CSUM no flag may be set (5.1.6.4.1).
    const valid = offload?.verified && this.guestAccepts.csum ? VIRTIO_NET_HDR_F_DATA_VALID : 0;
    view.setUint8(0, csum ? VIRTIO_NET_HDR_F_NEEDS_CSUM : valid);
    view.setUint8(1, gso ? GSO_TYPES[gso.type] | (gso.ecn ? VIRTIO_NET_HDR_GSO_ECN : 0) : VIRTIO_NET_HDR_GSO_NONE);
    view.setUint16(2, gso && csum ? csum.start + transportHeader(frame, csum.start, gso.type) : 0, true);
    view.setUint16(4, gso?.size ?? 0, true);
    view.setUint16(6, csum?.start ?? 0, true);
    view.setUint16(8, csum?.offset ?? 0, true);
    view.setUint16(10, buffers, true);
  }

  // Control, 5.1.6.5

  private control(chain: Chain, queue: Virtqueue): number {
    // class, command, data; and a byte for the answer.
    if (chain.readableLength < 2 || chain.writableLength < 1) {
      queue.fail('a control command without header or place for its answer');
      return 0;
    }
    const bytes = chain.read(0, Math.min(MAX_COMMAND, chain.readableLength));
    const done = chain.readableLength <= MAX_COMMAND && this.command(bytes[0], bytes[1], bytes.subarray(2));
    chain.write(0, Uint8Array.of(done ? VIRTIO_NET_OK : VIRTIO_NET_ERR));
    return 1;
  }

  private command(group: number, command: number, data: Uint8Array): boolean {
    const { filter } = this;
    switch (group) {
      case VIRTIO_NET_CTRL_RX:
        return filter.setMode(command, data);
      case VIRTIO_NET_CTRL_MAC:
        if (command === VIRTIO_NET_CTRL_MAC_TABLE_SET) return filter.setTable(data);
        if (command !== VIRTIO_NET_CTRL_MAC_ADDR_SET || data.length !== 6) return false;
        this.config.set(data, CONFIG_MAC);
        return true;
      case VIRTIO_NET_CTRL_VLAN:
        return (command === VIRTIO_NET_CTRL_VLAN_ADD || command === VIRTIO_NET_CTRL_VLAN_DEL) && filter.setVlan(data, command === VIRTIO_NET_CTRL_VLAN_ADD);
      case VIRTIO_NET_CTRL_ANNOUNCE: {
        const view = new DataView(this.config.buffer);
        const status = view.getUint16(CONFIG_STATUS, true);
        if (command !== 0 || !(status & VIRTIO_NET_S_ANNOUNCE)) return false;
        view.setUint16(CONFIG_STATUS, status & ~VIRTIO_NET_S_ANNOUNCE, true);
        return true;
      }
      case VIRTIO_NET_CTRL_GUEST_OFFLOADS: {
        if (command !== 0 || data.length !== 8 || !(this.features & NET_FEATURES.ctrl_guest_offloads)) return false;
        const wanted = new DataView(data.buffer, data.byteOffset).getBigUint64(0, true);
        if (wanted & ~(this.features & GUEST_OFFLOADS)) return false;
        this.setOffloads(wanted);
        return true;
      }
      default:
        return false;
    }
  }

  // Announcing, 5.1.6.5.4

  private announceNow(): void {
    const needed = NET_FEATURES.guest_announce | NET_FEATURES.status;
    if (!this.live || (this.features & needed) !== needed || !this.port.linkUp) return;
    this.changeConfig((view) => view.setUint16(CONFIG_STATUS, this.linkStatus() | VIRTIO_NET_S_ANNOUNCE, true));
  }

  protected override saveDevice(): NetState {
    return { mac: this.address.slice(), filter: this.filter.save(), offloads: this.offloads };
  }

  protected override loadDevice(state: unknown): void {
    const { mac, filter, offloads } = state as NetState;
    this.config.set(mac, CONFIG_MAC);
    this.filter.load(filter);
    this.setOffloads(offloads);
    // The link is as it is here, and whoever forwards frames does not know the guest here yet.
    new DataView(this.config.buffer).setUint16(CONFIG_STATUS, this.linkStatus(), true);
    this.announce?.arm(this.clock.now() + ANNOUNCE_NS);
    this.sentTimer?.arm(this.clock.now() + TX_INTERRUPT_NS);
    this.lookLater(this.clock.now());
  }
}

/** Bytes of the header behind IP's. */
function transportHeader(frame: Uint8Array, start: number, type: 'tcp4' | 'tcp6' | 'udp'): number {
  return type === 'udp' ? 8 : 4 * ((frame[start + 12] ?? 0x50) >> 4);
}
