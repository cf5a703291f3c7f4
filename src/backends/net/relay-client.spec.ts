import { describe, expect, it } from 'vitest';
import { ChannelEnd } from './channel.ts';
import { FrameCarrier, LinkBackend } from './link.ts';
import { RelayClient, type SocketLike } from './relay-client.ts';

/** A connection whose far end the spec plays. */
class TestSocket implements SocketLike {
  binaryType = '';
  readyState = 0;
  bufferedAmount = 0;
  onopen: SocketLike['onopen'] = null;
  onmessage: SocketLike['onmessage'] = null;
  onclose: SocketLike['onclose'] = null;
  onerror: SocketLike['onerror'] = null;
  sent = 0;
  isClosed = false;

  send(data: Uint8Array): void {
    this.sent++;
    this.bufferedAmount += data.length;
  }
  close(): void {
    this.isClosed = true;
  }
  open(): void {
    this.readyState = 1;
    this.onopen?.(undefined as never);
  }
}

/** A cable, and a clock that the spec moves. */
function cable(): { sockets: TestSocket[]; link: LinkBackend; pass(ms: number): void; send(frames: number): void } {
  const channel = ChannelEnd.allocate();
  const link = new LinkBackend(new ChannelEnd(channel, 'machine', () => {}), 'relay');
  link.attach({ accepts: { csum: false, tso4: false, tso6: false, ecn: false, ufo: false }, receive: () => true, drained() {}, linkChanged() {} });
  const carrier = new FrameCarrier(new ChannelEnd(channel, 'host', () => {}));
  const sockets: TestSocket[] = [];
  let time = 0;
  let calls: { at: number; call: () => void }[] = [];
  const connect = (): TestSocket => {
    sockets.push(new TestSocket());
    return sockets.at(-1)!;
  };
  void new RelayClient({ connect, carrier, now: () => time, later: (call, ms) => void calls.push({ at: time + ms, call }), random: () => 0.5 });
  return {
    sockets,
    link,
    pass(ms) {
      for (const end = time + ms; ; ) {
        const next = calls.reduce<{ at: number; call: () => void } | undefined>((first, one) => (one.at <= end && (!first || one.at < first.at) ? one : first), undefined);
        if (!next) {
          time = end;
          break;
        }
        calls = calls.filter((one) => one !== next);
        time = next.at;
        next.call();
      }
      link.poll();
    },
    send(frames) {
      for (let n = 0; n < frames; n++) link.send(new Uint8Array(1500));
      carrier.look();
      link.poll();
    },
  };
}

describe('a cable to a relay that says nothing', () => {
  it('is given up where it does not answer, and another is made', () => {
    const { sockets, link, pass } = cable();
    pass(19_000);
    expect([sockets.length, link.describe()]).toEqual([1, 'type=relay,state=connecting']);
    pass(1100);
    expect([sockets.length, sockets[0].isClosed, link.describe()]).toEqual([1, true, 'type=relay,state=disconnected (no answer for 20 s), next try in 0.5 s']);
    pass(500);
    expect(sockets.length).toBe(2);
    // The old one is nobody's any more, whatever it says.
    sockets[0].open();
    sockets[0].onclose?.({ code: 1008, reason: '' });
    pass(0);
    expect(link.linkUp).toBe(false);
    sockets[1].open();
    pass(60_000);
    expect([link.linkUp, sockets.length]).toEqual([true, 2]);
  });

  it('is given up where it takes nothing, so that the guest goes on; not where it is slow', () => {
    const { sockets, link, pass, send } = cable();
    sockets[0].open();
    pass(0);
    send(3000);
    const held = sockets[0].bufferedAmount;
    expect(held).toBeGreaterThanOrEqual(256 * 1024);
    // Slow: something goes now and then.
    for (let n = 0; n < 5; n++) {
      pass(15_000);
      sockets[0].bufferedAmount -= 10;
    }
    expect([link.linkUp, sockets.length, sockets[0].bufferedAmount]).toEqual([true, 1, held - 50]);
    pass(20_100);
    expect([link.linkUp, sockets[0].isClosed]).toEqual([false, true]);
    expect(link.describe()).toContain('it took nothing for 20 s');
    send(3000);
    expect(link.canSend).toBe(true);
    pass(1000);
    sockets[1].open();
    pass(0);
    send(1);
    expect([link.linkUp, sockets[1].sent]).toEqual([true, 1]);
  });
});
