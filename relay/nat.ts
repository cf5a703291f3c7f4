// The way out of a segment: a user-mode network with the relay's own sockets, as an ordinary user.

import { networkInterfaces } from 'node:os';
import { NodeSockets, type SocketBudget } from '../src/backends/net/sockets-node.ts';
import { formatAddress, parseAddress } from '../src/backends/net/user/address.ts';
import { UserNetwork } from '../src/backends/net/user/network.ts';
import { HOST_ADDRESS, NAME_SERVER } from '../src/backends/net/user/host.ts';
import { userNetConfig } from '../src/backends/net/user/options.ts';
import { NO_OFFLOADS } from '../src/devices/net/offload.ts';
import { RealClock } from '../src/machine/clock.ts';
import { isAllowed, type Network } from './policy.ts';
import type { Switch, SwitchPort } from './switch.ts';

export interface NatOptions {
  /** Networks that guests may reach although they are private. */
  allow: readonly Network[];
  /** Guests may reach the relay's own machine: as the router's address, and by those that it has itself. */
  allowHost: boolean;
  /** Sockets that guests of all rooms may have. */
  budget?: SocketBudget;
  /** Addresses of this machine, instead of asking it. */
  own?(): readonly string[];
  /** Called when a connection was refused by policy. */
  refused?(address: string): void;
  nameServer?: { address: string; port: number };
}

/** Guests of a room that may have an address at a time. */
const ADDRESSES = 200;

/** Asking the system takes a moment, and addresses seldom change. */
const OWN_MS = 5000;
let ownAt = -Infinity;
let ownKnown: readonly string[] = [];

/** The addresses of this machine. A public one is no less its own: packets to it come in by loopback, behind every firewall. */
function ownAddresses(): readonly string[] {
  if (performance.now() - ownAt < OWN_MS) return ownKnown;
  ownAt = performance.now();
  ownKnown = Object.values(networkInterfaces()).flatMap((addresses) => (addresses ?? []).flatMap(({ address }) => {
    const bytes = parseAddress(address);
    return bytes ? [formatAddress(bytes)] : [];
  }));
  return ownKnown;
}

/** Runs a clock's timers. */
export class ClockDriver {
  readonly clock = new RealClock(() => performance.now() * 1e6);
  private timer: NodeJS.Timeout | undefined;
  private immediate: NodeJS.Immediate | undefined;

  constructor() {
    this.clock.resume();
    this.clock.onEarlier = () => this.schedule();
  }

  private schedule(): void {
    clearTimeout(this.timer);
    if (this.immediate) return;
    const ns = this.clock.nextDeadline() - this.clock.now();
    if (ns === Infinity) return;
    if (ns <= 0) {
      this.immediate = setImmediate(() => {
        this.immediate = undefined;
        this.run();
      });
    } else {
      this.timer = setTimeout(() => this.run(), Math.min(ns / 1e6, 2 ** 31 - 1));
      this.timer.unref();
    }
  }

  private run(): void {
    this.clock.runExpired();
    this.schedule();
  }

  stop(): void {
    clearTimeout(this.timer);
    if (this.immediate) clearImmediate(this.immediate);
    this.clock.onEarlier = () => {};
  }
}

/** Put a way out into a segment. @returns what takes it out again */
export function attachNat(segment: Switch, options: NatOptions): () => void {
  const driver = new ClockDriver();
  const sockets = new NodeSockets({
    nameServer: options.nameServer,
    budget: options.budget,
    allow(address, _port, _protocol, name) {
      const isFine = name === NAME_SERVER || (name === HOST_ADDRESS || (options.own ?? ownAddresses)().includes(address) ? options.allowHost : isAllowed(address, options.allow));
      if (!isFine) options.refused?.(address);
      return isFine;
    },
  });
  const network = new UserNetwork({ ...userNetConfig([]), dhcpCount: ADDRESSES }, driver.clock, sockets);
  const port: SwitchPort = { deliver: (frame) => network.send(frame) };
  network.attach({
    accepts: NO_OFFLOADS,
    receive(frame) {
      segment.forward(port, frame);
      return true;
    },
    drained() {},
    linkChanged() {},
  });
  segment.add(port);
  return () => {
    segment.remove(port);
    network.close();
    driver.stop();
  };
}
