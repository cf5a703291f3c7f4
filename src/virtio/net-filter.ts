// Which frames a network device lets through to its driver, and the control commands that set it.
// Virtio 1.2, 5.1.6.5.1 (Packet Receive Filtering), 5.1.6.5.2 (Setting MAC Address Filtering), 5.1.6.5.3 (VLAN Filtering).

import { ETHERTYPE_VLAN } from '../devices/net/offload.ts';

export const VIRTIO_NET_CTRL_RX = 0;
export const VIRTIO_NET_CTRL_RX_PROMISC = 0;
export const VIRTIO_NET_CTRL_RX_ALLMULTI = 1;
export const VIRTIO_NET_CTRL_RX_ALLUNI = 2;
export const VIRTIO_NET_CTRL_RX_NOMULTI = 3;
export const VIRTIO_NET_CTRL_RX_NOUNI = 4;
export const VIRTIO_NET_CTRL_RX_NOBCAST = 5;

/** Addresses that the table holds, unicast and multicast together; with more, all of that kind pass (5.1.6.5.2: the filter may be imperfect). QEMU's MAC_TABLE_ENTRIES. */
const TABLE_ENTRIES = 64;
const MAC = 6;
const VLANS = 4096;

type Mode = 'promisc' | 'allmulti' | 'alluni' | 'nomulti' | 'nouni' | 'nobcast';
/** Modes by command of class VIRTIO_NET_CTRL_RX. */
const MODES: readonly Mode[] = ['promisc', 'allmulti', 'alluni', 'nomulti', 'nouni', 'nobcast'];

interface State {
  modes: Record<Mode, boolean>;
  unicast: readonly number[];
  unicastOverflow: boolean;
  multicast: readonly number[];
  multicastOverflow: boolean;
  vlans: Uint8Array;
}

/** An address as a number that can be looked up. */
function key(bytes: Uint8Array, at: number): number {
  return ((bytes[at] << 8) | bytes[at + 1]) * 2 ** 32 + (((bytes[at + 2] << 24) | (bytes[at + 3] << 16) | (bytes[at + 4] << 8) | bytes[at + 5]) >>> 0);
}

export class NetFilter {
  private modes: Record<Mode, boolean> = { promisc: true, allmulti: false, alluni: false, nomulti: false, nouni: false, nobcast: false };
  private unicast: ReadonlySet<number> = new Set();
  private unicastOverflow = false;
  private multicast: ReadonlySet<number> = new Set();
  private multicastOverflow = false;
  /** A bit for each VLAN identifier that passes. */
  private readonly vlans = new Uint8Array(VLANS / 8);

  /** After reset everything passes, until the driver says what it wants (as in QEMU). */
  reset(): void {
    this.modes = { promisc: true, allmulti: false, alluni: false, nomulti: false, nouni: false, nobcast: false };
    this.unicast = this.multicast = new Set();
    this.unicastOverflow = this.multicastOverflow = false;
    this.vlans.fill(0);
  }

  /** Without VIRTIO_NET_F_CTRL_VLAN all VLANs pass. */
  passAllVlans(): void {
    this.vlans.fill(0xff);
  }

  /** A command of class VIRTIO_NET_CTRL_RX. @returns false if there is no such command */
  setMode(command: number, data: Uint8Array): boolean {
    const mode = MODES[command];
    if (!mode || data.length !== 1) return false;
    this.modes[mode] = data[0] !== 0;
    return true;
  }

  /** VIRTIO_NET_CTRL_MAC_TABLE_SET: two lists, each le32 entries and that many addresses. */
  setTable(data: Uint8Array): boolean {
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    const lists: { addresses: Set<number>; overflow: boolean }[] = [];
    let at = 0;
    let room = TABLE_ENTRIES;
    for (let n = 0; n < 2; n++) {
      if (at + 4 > data.length) return false;
      const entries = view.getUint32(at, true);
      at += 4;
      if (entries * MAC > data.length - at) return false;
      const overflow = entries > room;
      const addresses = new Set<number>();
      if (!overflow) for (let entry = 0; entry < entries; entry++) addresses.add(key(data, at + entry * MAC));
      room -= overflow ? 0 : entries;
      lists.push({ addresses, overflow });
      at += entries * MAC;
    }
    if (at !== data.length) return false;
    [{ addresses: this.unicast, overflow: this.unicastOverflow }, { addresses: this.multicast, overflow: this.multicastOverflow }] = lists;
    return true;
  }

  /** VIRTIO_NET_CTRL_VLAN_ADD and _DEL: le16 identifier. */
  setVlan(data: Uint8Array, passes: boolean): boolean {
    if (data.length !== 2) return false;
    const vlan = data[0] | (data[1] << 8);
    if (vlan >= VLANS) return false;
    if (passes) this.vlans[vlan >> 3] |= 1 << (vlan & 7);
    else this.vlans[vlan >> 3] &= ~(1 << (vlan & 7));
    return true;
  }

  /** Whether a frame goes to the driver. @param mac the device's own address */
  passes(frame: Uint8Array, mac: Uint8Array): boolean {
    const { modes } = this;
    if (modes.promisc) return true;
    if (((frame[12] << 8) | frame[13]) === ETHERTYPE_VLAN && frame.length >= 16) {
      const vlan = ((frame[14] & 15) << 8) | frame[15];
      if (!(this.vlans[vlan >> 3] & (1 << (vlan & 7)))) return false;
    }
    const to = key(frame, 0);
    if (frame[0] & 1) {
      if (to === 2 ** 48 - 1) return !modes.nobcast;
      if (modes.nomulti) return false;
      return modes.allmulti || this.multicastOverflow || this.multicast.has(to);
    }
    if (modes.nouni) return false;
    return modes.alluni || this.unicastOverflow || to === key(mac, 0) || this.unicast.has(to);
  }

  save(): State {
    const { modes, unicastOverflow, multicastOverflow } = this;
    return { modes: { ...modes }, unicast: [...this.unicast], unicastOverflow, multicast: [...this.multicast], multicastOverflow, vlans: this.vlans.slice() };
  }

  load(state: unknown): void {
    const { modes, unicast, unicastOverflow, multicast, multicastOverflow, vlans } = state as State;
    this.modes = { ...modes };
    this.unicast = new Set(unicast);
    this.multicast = new Set(multicast);
    this.unicastOverflow = unicastOverflow;
    this.multicastOverflow = multicastOverflow;
    this.vlans.set(vlans);
  }
}
