import { afterEach, describe, expect, it, vi } from 'vitest';
import { NO_OFFLOADS } from '../../devices/net/offload.ts';
import { type Broadcaster, GONE_MS, HUB_CHANNEL, HubMember, type HubPeer } from './broadcast.ts';
import { ChannelEnd, hostBell, watchBell } from './channel.ts';
import { FrameCarrier, LinkBackend } from './link.ts';

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

/** A machine on a hub: its NIC's end, polled whenever its doorbell rings. */
function machine(name: string): { link: LinkBackend; got: number[]; channel: BroadcastChannel; room: { frames: number }; member: HubMember; peers: HubPeer[][]; time: { ms: number } } {
  const buffer = ChannelEnd.allocate();
  const link = new LinkBackend(new ChannelEnd(buffer, 'machine', hostBell(buffer)), `hub,name=${name}`);
  const got: number[] = [];
  const room = { frames: Infinity };
  link.attach({
    accepts: NO_OFFLOADS,
    receive(frame) {
      if (got.length >= room.frames) return false;
      got.push(frame[14]);
      return true;
    },
    drained() {},
    linkChanged() {},
  });
  const carrier = new FrameCarrier(new ChannelEnd(buffer, 'host', () => void setImmediate(() => link.poll())));
  const channel = new BroadcastChannel(HUB_CHANNEL + name);
  const peers: HubPeer[][] = [];
  const time = { ms: 0 };
  const member = new HubMember({ carrier, channel: channel as unknown as Broadcaster, name, id: crypto.randomUUID(), now: () => time.ms, onPeers: (now) => void peers.push(now) });
  cleanups.push(watchBell(buffer, () => carrier.look()), () => channel.close());
  return { link, got, channel, room, member, peers, time };
}

const frame = (n: number): Uint8Array => new Uint8Array(60).fill(n, 14);
const until = async (isThere: () => boolean): Promise<void> => {
  while (!isThere()) await new Promise((resolve) => setTimeout(resolve, 2));
};

describe('a state that finds no room', () => {
  it('is tried again by one timer, however many states there were, and the last is told', async () => {
    const buffer = ChannelEnd.allocate();
    const host = new ChannelEnd(buffer, 'host', () => {});
    const carrier = new FrameCarrier(host);
    const link = new LinkBackend(new ChannelEnd(buffer, 'machine', () => {}), 'relay');
    link.attach({ accepts: NO_OFFLOADS, receive: () => true, drained() {}, linkChanged() {} });
    for (const length of [60_000, 1000, 0]) while (host.send(1, 0, 0, new Uint8Array(length)));
    vi.useFakeTimers();
    cleanups.push(() => void vi.useRealTimers());
    for (let n = 0; n < 20; n++) carrier.state(n % 2 === 0, `state ${n}`);
    expect(vi.getTimerCount()).toBe(1);
    for (let n = 0; n < 10; n++) {
      link.poll();
      vi.advanceTimersByTime(100);
    }
    link.poll();
    expect([link.describe(), link.linkUp, vi.getTimerCount()]).toEqual(['type=relay,state=state 19', false, 0]);
  });
});

describe('a hub of several machines', () => {
  it('brings a frame to all others that name it, and to nobody else', async () => {
    const [a, b, c, other] = [machine('lan'), machine('lan'), machine('lan'), machine('elsewhere')];
    await until(() => [a, b, c, other].every(({ link }) => link.linkUp));
    a.link.send(frame(1));
    b.link.send(frame(2));
    await until(() => a.got.length === 1 && b.got.length === 1 && c.got.length === 2);
    expect([a.got, b.got, [...c.got].sort(), other.got]).toEqual([[2], [1], [1, 2], []]);
    await until(() => [a, b, c].every(({ peers }) => peers.at(-1)?.length === 2));
    expect(a.link.describe()).toBe('type=hub,name=lan,state=joined lan with 2 other machines');
    expect(other.link.describe()).toBe('type=hub,name=elsewhere,state=joined elsewhere');
  });

  it('keeps frames for a NIC that is full, in order, and drops those beyond its ring', async () => {
    const [a, b] = [machine('full'), machine('full')];
    await until(() => a.link.linkUp && b.link.linkUp);
    b.room.frames = 0;
    for (let n = 0; n < 50; n++) a.link.send(frame(n));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(b.got).toEqual([]);
    b.room.frames = Infinity;
    b.link.ready();
    await until(() => b.got.length === 50);
    expect(b.got).toEqual(Array.from({ length: 50 }, (_, n) => n));
    // Far more than 1 MiB: the sender is not held up, and some of it is lost.
    b.room.frames = 50;
    for (let n = 0; n < 20_000; n++) {
      if (!a.link.canSend) {
        await new Promise((resolve) => setImmediate(resolve));
        a.link.poll();
      } else a.link.send(new Uint8Array(1000));
    }
    expect(b.got.length).toBe(50);
  }, 60_000);

  it('knows who else is there, by title and address, and who is gone', async () => {
    const [a, b] = [machine('meet'), machine('meet')];
    b.member.introduce('Bob');
    await until(() => a.peers.at(-1)?.[0]?.title === 'Bob');
    b.link.send(Uint8Array.of(255, 255, 255, 255, 255, 255, 0x52, 0x54, 0, 0, 0, 0x0b, ...new Uint8Array(48)));
    await until(() => a.peers.at(-1)?.[0]?.mac === '52:54:00:00:00:0b');
    expect(b.peers.at(-1)).toEqual([{ title: 'a machine', mac: '' }]);
    // A tab that was killed says nothing.
    b.channel.close();
    a.time.ms = GONE_MS + 1;
    a.member.tick();
    expect(a.peers.at(-1)).toEqual([]);
  });

  it('is not filled up by members that somebody invents', async () => {
    const [a, b] = [machine('crowd'), machine('crowd')];
    for (let n = 0; n < 1000; n++) b.channel.postMessage({ presence: `x${n}`, title: 'y'.repeat(5000), mac: 'z', asks: false });
    await until(() => (a.peers.at(-1)?.length ?? 0) >= 64);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(a.peers.at(-1)!.length).toBe(64);
    expect(a.peers.at(-1)!.every(({ title, mac }) => title.length <= 80 && mac === '')).toBe(true);
  });

  it('takes nothing that is no frame from another page of its origin', async () => {
    const [a, b] = [machine('odd'), machine('odd')];
    await until(() => a.link.linkUp && b.link.linkUp);
    for (const message of ['text', null, { length: 60 }, new Uint8Array(13), new Uint8Array(70_000), 5]) a.channel.postMessage(message);
    a.link.send(frame(9));
    await until(() => b.got.length > 0);
    expect(b.got).toEqual([9]);
  });
});
