// For specs of the relay: one that ends with its test, clients of it, and frames.

import { afterEach } from 'vitest';
import { WebSocket } from 'ws';
import { Relay, type RelayOptions } from './server.ts';

export const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

export async function relay(options: Partial<RelayOptions> = {}): Promise<{ relay: Relay; port: number }> {
  const it = new Relay({ port: 0, ...options });
  const port = await it.listen();
  cleanups.push(() => it.close());
  return { relay: it, port };
}

/** A client, and what has come for it. */
export class Client {
  readonly got: Buffer[] = [];
  closed: { code: number; reason: string } | undefined;
  private waiting: (() => void)[] = [];

  private constructor(readonly socket: WebSocket) {
    socket.on('message', (data: Buffer) => {
      this.got.push(data);
      this.wake();
    });
    socket.on('close', (code, reason) => {
      this.closed = { code, reason: String(reason) };
      this.wake();
    });
    socket.on('error', () => {});
    cleanups.push(() => socket.terminate());
  }

  static open(port: number, path = '/', options = {}): Promise<Client> {
    const client = new Client(new WebSocket(`ws://127.0.0.1:${port}${path}`, options));
    return new Promise((resolve, reject) => {
      client.socket.once('open', () => resolve(client));
      client.socket.once('unexpected-response', (_request, response) => reject(new Error(`status ${response.statusCode}`)));
    });
  }

  private wake(): void {
    for (const go of this.waiting.splice(0)) go();
  }
  async until(isThere: () => boolean): Promise<void> {
    while (!isThere()) await new Promise<void>((resolve) => this.waiting.push(resolve));
  }
}

export const mac = (n: number): number[] => [2, 0, 0, 0, 0, n];
export const frame = (to: number[], from: number[], text = ''): Buffer => Buffer.from([...to, ...from, 0x88, 0xb5, ...Buffer.from(text.padEnd(46))]);
export const ALL = [255, 255, 255, 255, 255, 255];
