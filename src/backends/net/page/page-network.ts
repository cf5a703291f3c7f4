// The host's side of a user-mode network in a page, which has no sockets: DNS with addresses that stand for names, and HTTP carried by
// fetch(). Everything else is refused at once, so that guests do not wait for it.

import { parseAddress } from '../user/address.ts';
import { type Accepted, type Forward, HOST_ADDRESS, type HostNetwork, type HostStream, type HostStreamEvents, type HostUdp, NAME_SERVER, type UdpReceiver } from '../user/host.ts';
import { PageNames } from './dns.ts';
import { type GatewayHost, GatewayStream } from './gateway.ts';
import { askGuest, type GuestAnswer, type GuestRequest } from './guest-http.ts';

const HTTP_PORT = 80;
const DNS_PORT = 53;
/** Ports of the host at which it is a proxy for HTTP. */
const PROXY_PORTS = [80, 3128, 8080];

export class PageNetwork implements HostNetwork {
  onAccept: (accepted: Accepted) => HostStreamEvents | undefined = () => undefined;
  private readonly names = new PageNames();

  /** @param forwards ports that lead to the guest: a page cannot listen, but asks there itself */
  constructor(
    private readonly host: GatewayHost,
    private readonly forwards: readonly Forward[] = [],
  ) {}

  /** Ask the guest's web server behind a forwarded port, by its place among those of the line. */
  ask(index: number, request: GuestRequest): Promise<GuestAnswer> {
    const forward = this.forwards[index];
    if (!forward) return Promise.resolve({ failed: 'broken', why: `there is no forwarded port ${index}` });
    const { guestAddress, guestPort, hostPort } = forward;
    return askGuest(request, (stream) => this.onAccept({ guestAddress, guestPort, address: HOST_ADDRESS, port: hostPort, stream }));
  }

  connect(address: string, port: number, events: HostStreamEvents): HostStream {
    if (address === HOST_ADDRESS) return PROXY_PORTS.includes(port) ? new GatewayStream(events, undefined, this.host) : refuse(events);
    const bytes = parseAddress(address);
    const name = bytes && this.names.nameOf(bytes);
    // A server that is meant by its address; of others, ports but the usual one are too seldom the web's.
    if (port !== HTTP_PORT && !(name !== undefined && port === 8080)) return refuse(events);
    const server = name ?? (address.includes(':') ? `[${address}]` : address);
    return new GatewayStream(events, port === HTTP_PORT ? server : `${server}:${port}`, this.host);
  }

  udp(receive: UdpReceiver): HostUdp {
    let isClosed = false;
    return {
      send: (address, port, data) => {
        if (address !== NAME_SERVER || port !== DNS_PORT) return;
        const answer = this.names.answer(data);
        queueMicrotask(() => {
          if (answer && !isClosed) receive(NAME_SERVER, DNS_PORT, answer);
        });
      },
      close: () => { isClosed = true; },
    };
  }
}

function refuse(events: HostStreamEvents): HostStream {
  let isAborted = false;
  queueMicrotask(() => {
    if (!isAborted) events.failed('refused');
  });
  return { room: 0, write() {}, end() {}, abort() { isAborted = true; }, taken() {} };
}
