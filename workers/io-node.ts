// Entry point of the I/O worker under Node: real sockets for a machine's network.

import { parentPort } from 'node:worker_threads';
import { expose } from 'comlink';
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';
import { WebSocket } from 'ws';
import type { Broadcaster } from '../src/backends/net/broadcast.ts';
import type { SocketLike } from '../src/backends/net/relay-client.ts';
import { NodeSockets } from '../src/backends/net/sockets-node.ts';
import { MachineError } from '../src/machine/client.ts';
import { NetworkServer } from '../src/machine/network-io.ts';

const network = new NetworkServer({
  async sockets({ id, user }) {
    const sockets = new NodeSockets();
    try {
      await sockets.listen(user.forwards);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      throw new MachineError({
        what: `The option -netdev user,id=${id} cannot be used`,
        why: `A port of hostfwd= could not be opened: ${message}`,
        advice: code === 'EACCES' ? 'Ports below 1024 need rights; take a higher one.' : 'Take another port.',
      });
    }
    return sockets;
  },
  webSocket: (url) => new WebSocket(url) as unknown as SocketLike,
  broadcaster: (name) => new BroadcastChannel(name) as unknown as Broadcaster,
});

expose(network.api, nodeEndpoint(parentPort!));
