// Tabvisor's user-mode network at the end of another machine's cable: v86 brings none with sockets of its own, so its cards are measured
// with the same far end as Tabvisor's. Built by bundle.ts, for v86-node.mjs.

import { NodeSockets } from '../../src/backends/net/sockets-node.ts';
import { UserNetwork } from '../../src/backends/net/user/network.ts';
import { userNetConfig } from '../../src/backends/net/user/options.ts';
import type { Clock, Timer } from '../../src/devices/interfaces.ts';
import { NO_OFFLOADS } from '../../src/devices/net/offload.ts';

/** The host's time, and its timers: a deadline of now comes in the next turn of the event loop. */
const clock: Clock = {
  now: () => Math.floor(performance.now() * 1e6),
  timer(_name, callback): Timer {
    let cancel = () => {};
    const timer = {
      deadline: Infinity,
      arm(deadline: number) {
        cancel();
        timer.deadline = deadline;
        const fire = () => {
          timer.deadline = Infinity;
          callback(Math.max(clock.now(), deadline));
        };
        const ms = (deadline - clock.now()) / 1e6;
        if (ms < 1) {
          const handle = setImmediate(fire);
          cancel = () => clearImmediate(handle);
        } else {
          const handle = setTimeout(fire, ms);
          cancel = () => clearTimeout(handle);
        }
      },
      disarm() {
        cancel();
        timer.deadline = Infinity;
      },
    };
    return timer;
  },
};

/**
 * v86 says nothing of the room in its cards: what comes while a card is full is lost. A window of TCP at once loses hundreds of frames, each of which is then sent again after a
 * time-out, for minutes. So a card gets no more between two turns of the emulator than it has room for.
 * @param toGuest gets whole Ethernet frames, its own
 * @param atOnce so many frames between two turns
 */
export function joinUserNetwork(toGuest: (frame: Uint8Array) => void, atOnce: number): { send(frame: Uint8Array): void } {
  const network = new UserNetwork(userNetConfig([]), clock, new NodeSockets());
  let room = atOnce;
  network.attach({
    accepts: NO_OFFLOADS,
    receive(frame) {
      if (room === 0) return false;
      if (room-- === atOnce) {
        setImmediate(() => {
          const wasFull = room === 0;
          room = atOnce;
          if (wasFull) network.ready();
        });
      }
      toGuest(frame.slice());
      return true;
    },
    drained() {},
    linkChanged() {},
  });
  return { send: (frame) => network.send(frame) };
}
