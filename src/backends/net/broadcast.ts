// An Ethernet segment of all machines of one browser that name the same hub: their frames go over a BroadcastChannel (HTML standard,
// "Broadcasting to other browsing contexts"). Under Node it joins the machines of one process.

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

export function joinHub(carrier: FrameCarrier, channel: Broadcaster, name: string): void {
  channel.onmessage = ({ data }) => {
    // Any page of this origin can send anything.
    if (data instanceof Uint8Array && data.length >= MIN_FRAME && data.length <= MAX_FRAME) carrier.deliver(data);
  };
  carrier.onFrame = (frame) => channel.postMessage(frame);
  carrier.state(true, `joined ${name}`);
}
