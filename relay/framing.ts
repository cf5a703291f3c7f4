// QEMU's framing of Ethernet frames on a stream socket (-netdev stream, -netdev socket; passt speaks it too): four bytes of length, most
// significant first, and the frame.

import type { Duplex } from 'node:stream';
import { MAX_FRAME, MIN_FRAME } from '../src/devices/interfaces.ts';
import type { Switch, SwitchPort } from './switch.ts';

/** Bytes that may wait to be sent; more are dropped, as on a port whose far end is slow. */
const BUFFERED = 1 << 20;

/** Frames out of bytes. */
export class FrameDecoder {
  private pending: Buffer = Buffer.alloc(0);

  /** @returns false if the stream is no such stream: end it */
  push(data: Buffer, frame: (frame: Uint8Array) => void): boolean {
    let buffer = this.pending.length > 0 ? Buffer.concat([this.pending, data]) : data;
    while (buffer.length >= 4) {
      const length = buffer.readUInt32BE(0);
      if (length < MIN_FRAME || length > MAX_FRAME) return false;
      if (buffer.length < 4 + length) break;
      frame(buffer.subarray(4, 4 + length));
      buffer = buffer.subarray(4 + length);
    }
    this.pending = Buffer.from(buffer);
    return true;
  }
}

/** Plug a stream into a segment. @returns its port; the stream's end takes it out */
export function attachStream(segment: Switch, stream: Duplex, moved: (bytes: number) => void = () => {}): SwitchPort {
  const decoder = new FrameDecoder();
  const port: SwitchPort = {
    deliver(frame) {
      if (stream.writableLength + frame.length > BUFFERED || stream.destroyed) return;
      const message = Buffer.allocUnsafe(4 + frame.length);
      message.writeUInt32BE(frame.length, 0);
      message.set(frame, 4);
      stream.write(message);
    },
  };
  segment.add(port);
  stream.on('data', (data: Buffer) => {
    const isGood = decoder.push(data, (frame) => {
      moved(frame.length);
      segment.forward(port, frame);
    });
    if (!isGood) stream.destroy();
  });
  const leave = (): void => segment.remove(port);
  stream.on('close', leave);
  stream.on('error', leave);
  return port;
}
