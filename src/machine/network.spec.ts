import { beforeEach, describe, expect, it } from 'vitest';
import type { FrameOffload } from '../devices/interfaces.ts';
import { type Nic, NicPort } from '../devices/net/port.ts';
import { VirtualClock } from './clock.ts';
import { Network } from './network.ts';
import { parse } from './options/index.ts';

/** A card that keeps what it gets, while it has room. */
class Card implements Nic {
  readonly model = 'virtio-net-pci';
  readonly port: NicPort;
  readonly got: Uint8Array[] = [];
  room = Infinity;
  drained = 0;
  constructor(network: Network, netdev: number, readonly mac: Uint8Array) {
    this.port = new NicPort(network.backend(netdev)!, {
      receive: (frame: Uint8Array, _offload?: FrameOffload) => {
        if (this.got.length >= this.room) return false;
        this.got.push(frame.slice());
        return true;
      },
      drained: () => void this.drained++,
      linkChanged: () => {},
    });
    network.add(this, undefined, netdev);
  }
}

let clock: VirtualClock;
let network: Network;
let cards: Card[];
const frame = (n: number): Uint8Array => new Uint8Array(60).fill(n);

function build(line: string): void {
  clock = new VirtualClock(0);
  const { netdevs, devices } = parse(`-kernel k ${line}`);
  network = new Network(netdevs, { clock });
  cards = devices.flatMap((device) => ('netdev' in device && device.netdev !== undefined ? [new Card(network, device.netdev, Uint8Array.from(device.mac))] : []));
}

describe('hub', () => {
  beforeEach(() => build('-net nic,model=virtio -net nic,model=virtio -net nic,model=virtio'));

  it('gives a frame to all others, after its sender has done', () => {
    cards[0].port.send(frame(1));
    expect(cards[1].got).toEqual([]);
    clock.advance(1);
    expect(cards.map(({ got }) => got.length)).toEqual([0, 1, 1]);
    expect(cards[1].got[0]).toEqual(frame(1));
  });

  it('keeps frames for a card without room, and lets a sender go on while any has some', () => {
    cards[1].room = cards[2].room = 0;
    let sent = 0;
    for (; cards[0].port.canSend && sent < 2000; sent++) {
      cards[0].port.send(frame(sent));
      clock.advance(1);
    }
    expect(sent).toBe(256);
    cards[2].room = Infinity;
    cards[2].port.ready();
    expect(cards[2].got).toHaveLength(256);
    expect([cards[0].drained, cards[0].port.canSend]).toEqual([1, true]);
    cards[0].port.send(frame(7));
    clock.advance(1);
    cards[1].room = Infinity;
    cards[1].port.ready();
    // The one that was full lost the last.
    expect([cards[1].got.length, cards[2].got.length]).toEqual([256, 257]);
  });

  it('is described as in QEMU, and plugs can be pulled', () => {
    expect(network.describe()).toBe([
      'hub 0',
      ...[0, 1, 2].map((n) => ` \\ hub0port${n}: virtio-net-pci.${n}: index=0,type=nic,model=virtio-net-pci,macaddr=52:54:00:12:34:${0x56 + n}`.replace(/\d+$/, (0x56 + n).toString(16))),
      '',
    ].join('\n'));
    expect(network.setLink('virtio-net-pci.1', false)).toBe(true);
    expect(network.setLink('nobody', false)).toBe(false);
    cards[0].port.send(frame(1));
    clock.advance(1);
    expect(cards.map(({ got }) => got.length)).toEqual([0, 0, 1]);
    network.setLink('hub0port1', true);
    cards[0].port.send(frame(1));
    clock.advance(1);
    expect(cards[1].got).toHaveLength(1);
  });
});
