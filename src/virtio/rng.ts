// Entropy device: the guest gives it buffers, it fills them with random bytes.
// Virtio 1.2, section 5.4 (Entropy Device).

import type { EntropySource } from '../devices/interfaces.ts';
import { VirtioDevice, VirtioType } from './device.ts';

/** Bytes put into one buffer at most: the device may give fewer than there is room for (5.4.6.1). */
const MOST = 65536;

export class VirtioRng extends VirtioDevice {
  constructor(private readonly entropy: EntropySource) {
    super({ name: 'virtio-rng', type: VirtioType.ENTROPY, pciClass: 0x00ff, queues: [8] });
  }

  protected notified(index: number): void {
    this.serve(index, (chain, queue) => {
      // 5.4.6: the driver's buffers are to be written only.
      if (chain.readableLength > 0) {
        queue.fail('an entropy buffer has a readable part');
        return 0;
      }
      const bytes = new Uint8Array(Math.min(MOST, chain.writableLength));
      this.entropy.fill(bytes);
      return chain.write(0, bytes);
    });
  }

  protected override saveDevice(): unknown {
    return this.entropy.save();
  }

  protected override loadDevice(state: unknown): void {
    this.entropy.load(state);
  }
}
