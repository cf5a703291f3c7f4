// Memory balloon: the guest gives pages of its RAM away when the host asks for them, and takes them back.
// Virtio 1.2, section 5.5 (Traditional Memory Balloon Device). Queues, features and what a balloon of a wrong size means are QEMU's.
//
// What the guest gives away it must not use any more, and that is all that happens: WebAssembly has no way to hand pages of a memory
// back to the operating system (docs/virtio.md, "Memory that a guest gives away").

import type { AccessSize, Timer } from '../devices/interfaces.ts';
import { VirtioDevice, VirtioType, type VirtioTransport } from './device.ts';
import type { Chain } from './queue.ts';

export const VIRTIO_BALLOON_F_STATS_VQ = 1n << 1n;
export const VIRTIO_BALLOON_F_DEFLATE_ON_OOM = 1n << 2n;
export const VIRTIO_BALLOON_F_PAGE_POISON = 1n << 4n;
export const VIRTIO_BALLOON_F_REPORTING = 1n << 5n;

/** struct virtio_balloon_config, 5.5.4. */
export const CONFIG_NUM_PAGES = 0;
export const CONFIG_ACTUAL = 4;
export const CONFIG_POISON_VAL = 12;

/** Queues, 5.5.2. Without free page hints, reports come on the fourth. */
export const INFLATE = 0;
export const DEFLATE = 1;
export const STATS = 2;
export const REPORTING = 3;

/** Unit of page numbers, whatever the guest's pages are. */
const PAGE = 4096;
/** Bytes of a page number, and of a statistic: le16 tag, le64 val. */
const PFN = 4;
const STATISTIC = 10;
/** Page numbers, and statistics, that are read at once. */
const BATCH = 1024;

/** Tags of statistics, 5.5.6.4, by QEMU's names; "caches" and those behind it QEMU shows by these names, too. */
const STATISTICS = [
  'stat-swap-in', 'stat-swap-out', 'stat-major-faults', 'stat-minor-faults', 'stat-free-memory', 'stat-total-memory', 'stat-available-memory',
  'stat-disk-caches', 'stat-htlb-pgalloc', 'stat-htlb-pgfail',
] as const;
export type StatisticName = (typeof STATISTICS)[number];

export interface VirtioBalloonOptions {
  /** Bytes of guest RAM. */
  ramSize: number;
  deflateOnOom?: boolean;
  freePageReporting?: boolean;
  pagePoison?: boolean;
  /** Seconds between two requests for statistics, 0 for none. */
  statsInterval?: number;
}

interface State {
  statistics: [StatisticName, bigint][];
  updated: number;
  pages: number;
  reported: number;
  deadline: number;
  interval: number;
}

export class VirtioBalloon extends VirtioDevice {
  private readonly options: Required<VirtioBalloonOptions>;
  /** What the guest said of its memory last, in bytes or events. */
  readonly statistics = new Map<StatisticName, bigint>();
  /** When it said so, nanoseconds since power-on; -1: never. */
  statisticsUpdated = -1;
  /** Bytes of free pages that the guest has reported so far. */
  reported = 0;
  /** Pages that came through the inflate queue less those through the deflate queue. */
  inflated = 0;
  /** The buffer for statistics, which the device keeps until it wants new ones. */
  private waiting: Chain | undefined;
  private timer: Timer | undefined;

  constructor(options: VirtioBalloonOptions) {
    const { deflateOnOom = false, freePageReporting = false, pagePoison = true, statsInterval = 0, ramSize } = options;
    super({
      name: 'virtio-balloon',
      type: VirtioType.BALLOON,
      pciClass: 0x00ff,
      queues: [128, 128, 128, ...(freePageReporting ? [32] : [])],
      features: VIRTIO_BALLOON_F_STATS_VQ | (deflateOnOom ? VIRTIO_BALLOON_F_DEFLATE_ON_OOM : 0n)
        | (pagePoison ? VIRTIO_BALLOON_F_PAGE_POISON : 0n) | (freePageReporting ? VIRTIO_BALLOON_F_REPORTING : 0n),
      configLength: pagePoison ? 16 : 8,
    });
    this.options = { ramSize, deflateOnOom, freePageReporting, pagePoison, statsInterval };
  }

  override attach(transport: VirtioTransport): void {
    super.attach(transport);
    this.timer = transport.clock.timer('virtio-balloon statistics', () => this.askForStatistics());
  }

  // The host's side

  /** Bytes of RAM that the guest has beside the balloon, as its driver says: QEMU's "info balloon". */
  get actual(): number {
    return Math.max(0, this.options.ramSize - PAGE * this.field(CONFIG_ACTUAL));
  }

  /** Ask the guest to make do with so many bytes: QEMU's "balloon". More than there is means all. */
  setTarget(bytes: number): void {
    const { ramSize } = this.options;
    const pages = Math.floor((ramSize - Math.min(bytes, ramSize)) / PAGE);
    this.changeConfig((config) => config.setUint32(CONFIG_NUM_PAGES, pages, true));
  }

  /** Seconds between two requests for statistics, 0 for none: QEMU's guest-stats-polling-interval. */
  get statsInterval(): number {
    return this.options.statsInterval;
  }

  /** The first comes at once. */
  set statsInterval(seconds: number) {
    const { statsInterval } = this.options;
    if (seconds === statsInterval) return;
    this.options.statsInterval = seconds;
    if (seconds === 0) this.timer?.disarm();
    else this.timer?.arm(this.clock.now() + (statsInterval === 0 ? 0 : 1e9 * seconds));
  }

  // The guest's

  private field(offset: number): number {
    return new DataView(this.config.buffer).getUint32(offset, true);
  }

  override writeConfig(offset: number, size: AccessSize, value: number): void {
    // 5.5.4: the driver writes these two.
    const own = offset >= CONFIG_ACTUAL && offset + size <= CONFIG_ACTUAL + 4;
    const poison = (this.features & VIRTIO_BALLOON_F_PAGE_POISON) !== 0n && offset >= CONFIG_POISON_VAL && offset + size <= CONFIG_POISON_VAL + 4;
    if (!own && !poison) return;
    for (let i = 0; i < size; i++) this.config[offset + i] = value >>> (8 * i);
  }

  protected notified(index: number): void {
    switch (index) {
      case INFLATE:
      case DEFLATE:
        this.serve(index, (chain) => this.pages(chain, index === INFLATE ? 1 : -1));
        return;
      case STATS:
        this.serve(index, (chain) => this.takeStatistics(chain));
        return;
      case REPORTING:
        this.serve(index, (chain) => {
          this.reported += chain.writableLength;
          return 0;
        });
        return;
    }
  }

  /** A list of page numbers. Those outside RAM are passed over, as in QEMU. */
  private pages(chain: Chain, sign: 1 | -1): number {
    for (let at = 0; ; at += PFN * BATCH) {
      const bytes = chain.read(at, PFN * BATCH);
      const list = new DataView(bytes.buffer);
      for (let i = 0; i + PFN <= bytes.length; i += PFN) if (PAGE * list.getUint32(i, true) < this.options.ramSize) this.inflated += sign;
      if (bytes.length < PFN * BATCH) return 0;
    }
  }

  private takeStatistics(chain: Chain): undefined {
    // A driver gives one buffer at a time; if it gives two, it has the first back.
    if (this.waiting) this.finish(STATS, this.waiting, 0);
    this.waiting = chain;
    const bytes = chain.read(0, STATISTIC * BATCH);
    const list = new DataView(bytes.buffer);
    for (let i = 0; i + STATISTIC <= bytes.length; i += STATISTIC) {
      const name = STATISTICS.at(list.getUint16(i, true));
      if (name) this.statistics.set(name, list.getBigUint64(i + 2, true));
    }
    this.statisticsUpdated = this.clock.now();
    if (this.options.statsInterval > 0) this.timer?.arm(this.clock.now() + 1e9 * this.options.statsInterval);
    return undefined;
  }

  /** To give the buffer back is to ask for new ones (5.5.6.3). */
  private askForStatistics(): void {
    const { waiting } = this;
    this.waiting = undefined;
    if (waiting) this.finish(STATS, waiting, 0);
  }

  protected override onReset(): void {
    this.waiting = undefined;
    this.timer?.disarm();
    this.statistics.clear();
    this.statisticsUpdated = -1;
    this.inflated = 0;
    // What it is asked for stays; what it has given is its again.
    this.config.fill(0, CONFIG_ACTUAL);
  }

  protected override saveDevice(): State {
    return {
      statistics: [...this.statistics], updated: this.statisticsUpdated, pages: this.inflated, reported: this.reported, deadline: this.timer?.deadline ?? Infinity,
      interval: this.options.statsInterval,
    };
  }

  protected override loadDevice(state: unknown): void {
    const { statistics, updated, pages, reported, deadline, interval } = state as State;
    this.options.statsInterval = interval;
    // The buffer for statistics comes once more (VirtqueueState.inFlight) and brings the old ones.
    for (const [name, value] of statistics) this.statistics.set(name, value);
    this.statisticsUpdated = updated;
    this.inflated = pages;
    this.reported = reported;
    if (deadline !== Infinity) this.timer?.arm(deadline);
  }
}
