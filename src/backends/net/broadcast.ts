// An Ethernet segment of all machines of one browser that name the same hub: their frames go over a BroadcastChannel (HTML standard,
// "Broadcasting to other browsing contexts"). Under Node it joins the machines of one process.
//
// Beside frames, which are Uint8Arrays, members say now and then that they are there, so that people see who is on the hub.

import { MAX_FRAME, MIN_FRAME } from '../../devices/interfaces.ts';
import type { FrameCarrier } from './link.ts';

/** What BroadcastChannel has, in a browser and under Node. */
export interface Broadcaster {
  onmessage: ((event: { data: unknown }) => void) | null;
  postMessage(message: unknown): void;
  close(): void;
}

/** Names of this page's channels begin so, that others of the same origin do not mix in. */
export const HUB_CHANNEL = 'tabvisor hub ';

/** Another machine on the hub: what its user calls it, and its card's address once it has sent a frame. */
export interface HubPeer {
  title: string;
  mac: string;
}

/** How often members say that they are there, and after how long without it one is gone, ms. */
export const PRESENCE_MS = 2000;
export const GONE_MS = 7000;
/** Members that are remembered: any page of this origin can make some up. */
const MAX_PEERS = 64;
const TITLE_LENGTH = 80;

interface Presence {
  presence: string;
  title: string;
  mac: string;
  /** Answer at once: somebody new wants to know. */
  asks: boolean;
}

export interface HubOptions {
  carrier: FrameCarrier;
  channel: Broadcaster;
  name: string;
  /** This member's own, among all. */
  id: string;
  now(): number;
  /** Told when others came or went. */
  onPeers(peers: HubPeer[]): void;
}

/** A machine's place on a hub. Its owner calls tick() every PRESENCE_MS. */
export class HubMember {
  private readonly peers = new Map<string, HubPeer & { seen: number }>();
  private title = 'a machine';
  private mac = '';
  private shown = '';

  constructor(private readonly options: HubOptions) {
    const { carrier, channel, name } = options;
    channel.onmessage = ({ data }) => {
      // Any page of this origin can send anything.
      if (data instanceof Uint8Array) {
        if (data.length >= MIN_FRAME && data.length <= MAX_FRAME) carrier.deliver(data);
      } else this.heard(data);
    };
    carrier.onFrame = (frame) => {
      this.learn(frame);
      channel.postMessage(frame);
    };
    carrier.state(true, `joined ${name}`);
    this.announce(true);
  }

  /** What others shall call this machine. */
  introduce(title: string): void {
    this.title = title.slice(0, TITLE_LENGTH);
    this.announce(false);
  }

  tick(): void {
    const { now } = this.options;
    for (const [id, { seen }] of this.peers) if (now() - seen > GONE_MS) this.peers.delete(id);
    this.announce(false);
    this.show();
  }

  private announce(asks: boolean): void {
    this.options.channel.postMessage({ presence: this.options.id, title: this.title, mac: this.mac, asks } satisfies Presence);
  }

  private learn(frame: Uint8Array): void {
    const mac = Array.from(frame.subarray(6, 12), (byte) => byte.toString(16).padStart(2, '0')).join(':');
    if (mac === this.mac) return;
    // Later ones wait for their turn: a guest may change it with each frame.
    const isFirst = this.mac === '';
    this.mac = mac;
    if (isFirst) this.announce(false);
  }

  private heard(data: unknown): void {
    const { presence, title, mac, asks } = (data ?? {}) as Partial<Presence>;
    if (typeof presence !== 'string' || presence === this.options.id || typeof title !== 'string' || typeof mac !== 'string') return;
    if (!this.peers.has(presence) && this.peers.size >= MAX_PEERS) return;
    this.peers.set(presence, { title: title.slice(0, TITLE_LENGTH), mac: /^[0-9a-f:]{17}$/.test(mac) ? mac : '', seen: this.options.now() });
    if (asks === true) this.announce(false);
    this.show();
  }

  private show(): void {
    const peers = [...this.peers.values()].map(({ title, mac }) => ({ title, mac }));
    const text = JSON.stringify(peers);
    if (text === this.shown || (peers.length === 0 && this.shown === '')) return;
    this.shown = text;
    const { carrier, name, onPeers } = this.options;
    carrier.state(true, `joined ${name} with ${peers.length === 1 ? '1 other machine' : `${peers.length} other machines`}`);
    onPeers(peers);
  }
}
