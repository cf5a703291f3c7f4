// 9P transport: a folder of the host that the guest mounts, by the tag in the device's configuration.
// The device type is virtio's number 9; its layout is Linux's net/9p/trans_virtio.c and QEMU's virtio-9p: one queue, each buffer a
// message to read and room for its answer.

import type { FileSystem } from '../../devices/file-system.ts';
import { VirtioDevice, VirtioType } from '../device.ts';
import { type Chain, type Virtqueue } from '../queue.ts';
import { Session, type SessionState } from './server.ts';
import { HEADER } from './wire.ts';

export const VIRTIO_9P_MOUNT_TAG = 1n << 0n;

const QUEUE_SIZE = 128;
/** Bytes of the longest message: more than the session agrees on, for the header of a write. */
const MAX_MESSAGE = (1 << 20) + 4096;
/** QEMU's limit: bytes of a mount tag. */
export const MAX_TAG = 31;

export class Virtio9p extends VirtioDevice {
  private readonly session: Session;

  /** @param now nanoseconds since 1970 */
  constructor(fs: FileSystem, mountTag: string, now: () => bigint) {
    const tag = new TextEncoder().encode(mountTag);
    super({
      name: 'virtio-9p', type: VirtioType.TRANSPORT_9P, pciClass: 0x0002, queues: [QUEUE_SIZE], features: VIRTIO_9P_MOUNT_TAG, configLength: 2 + tag.length,
    });
    // le16 tag_len, tag.
    new DataView(this.config.buffer).setUint16(0, tag.length, true);
    this.config.set(tag, 2);
    this.session = new Session(fs, now);
  }

  protected notified(index: number): void {
    this.serve(index, (chain, queue) => this.request(index, chain, queue));
  }

  /** Begin a message's work; its answer may come at once or later, in any order. */
  private request(index: number, chain: Chain, queue: Virtqueue): number | undefined {
    // What QEMU stops at, too.
    if (chain.readableLength < HEADER || chain.readableLength > MAX_MESSAGE) queue.fail(`a message of ${chain.readableLength} bytes`);
    else if (chain.writableLength < HEADER) queue.fail('a message without room for its answer');
    else {
      const message = chain.read(0, chain.readableLength);
      const size = new DataView(message.buffer).getUint32(0, true);
      if (size < HEADER || size > message.length) queue.fail(`a message of ${message.length} bytes that says it has ${size}`);
      else this.session.request(message.subarray(0, size), chain.writableLength, (reply) => this.reply(index, chain, queue, reply));
      return undefined;
    }
    return 0;
  }

  private reply(index: number, chain: Chain, queue: Virtqueue, reply: Uint8Array): void {
    // A driver that reset the device has its memory back.
    if (!queue.holds(chain)) return;
    if (reply.length > chain.writableLength) queue.fail(`an answer of ${reply.length} bytes with room for ${chain.writableLength}`);
    else this.finish(index, chain, chain.write(0, reply));
  }

  protected override onReset(): void {
    // The constructor's own reset comes before there is a session.
    this.session?.reset();
  }

  protected override saveDevice(): SessionState {
    return this.session.save();
  }

  protected override loadDevice(state: unknown): void {
    this.session.load(state as SessionState);
  }
}
