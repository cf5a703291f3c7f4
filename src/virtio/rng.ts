// Entropy device: the guest gives it buffers, it fills them with random bytes, as many in a time as QEMU's properties allow.
// Virtio 1.2, section 5.4 (Entropy Device). Rate: QEMU's max-bytes and period of virtio-rng.

import type { EntropySource, Timer } from '../devices/interfaces.ts';
import { NOT_NOW, VirtioDevice, VirtioType, type VirtioTransport } from './device.ts';

/** Bytes put into one buffer at most: the device may give fewer than there is room for (5.4.6.1). */
const MOST = 65536;

export interface VirtioRngOptions {
  /** Bytes in each period at most; a period begins with the first buffer. Without limit unless given. */
  maxBytes?: number;
  /** Milliseconds. */
  period?: number;
}

interface State {
  entropy: unknown;
  quota: number;
  deadline: number;
}

export class VirtioRng extends VirtioDevice {
  private readonly maxBytes: number;
  private readonly period: number;
  /** Bytes that this period has left. */
  private quota: number;
  private endOfPeriod: Timer | undefined;

  constructor(
    private readonly entropy: EntropySource,
    { maxBytes = Infinity, period = 65536 }: VirtioRngOptions = {},
  ) {
    super({ name: 'virtio-rng', type: VirtioType.ENTROPY, pciClass: 0x00ff, queues: [8] });
    this.maxBytes = maxBytes;
    this.period = period;
    this.quota = maxBytes;
  }

  override attach(transport: VirtioTransport): void {
    super.attach(transport);
    this.endOfPeriod = transport.clock.timer('virtio-rng period', () => {
      this.quota = this.maxBytes;
      this.notify(0);
    });
  }

  protected notified(index: number): void {
    this.serve(index, (chain, queue) => {
      // 5.4.6: the driver's buffers are to be written only.
      if (chain.readableLength > 0) {
        queue.fail('an entropy buffer has a readable part');
        return 0;
      }
      if (this.maxBytes !== Infinity && this.endOfPeriod?.deadline === Infinity) this.endOfPeriod.arm(this.clock.now() + 1e6 * this.period);
      const bytes = new Uint8Array(Math.min(MOST, chain.writableLength, this.quota));
      if (bytes.length === 0) return NOT_NOW;
      this.quota -= bytes.length;
      this.entropy.fill(bytes);
      return chain.write(0, bytes);
    });
  }

  protected override saveDevice(): State {
    return { entropy: this.entropy.save(), quota: this.quota, deadline: this.endOfPeriod?.deadline ?? Infinity };
  }

  protected override loadDevice(state: unknown): void {
    const { entropy, quota, deadline } = state as State;
    this.entropy.load(entropy);
    this.quota = quota;
    if (deadline === Infinity) this.endOfPeriod?.disarm();
    else this.endOfPeriod?.arm(deadline);
  }
}
