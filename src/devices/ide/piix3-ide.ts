// The IDE function of the PIIX3: two channels at their legacy ports, and a base address register for their bus masters.
// Intel 82371SB (PIIX3) datasheet (290550), sections 2.3 (configuration, function 1) and 2.7 (bus master registers).

import type { GuestMemory, IrqLine } from '../interfaces.ts';
import { COMMAND_MASTER, PciFunction } from '../pci.ts';
import { BUS_MASTER_LENGTH } from './bus-master.ts';
import { IDE_CHANNELS, IdeChannel } from './channel.ts';
import type { IdeDrive } from './drive.ts';

/** IDE timing of the primary channel; the secondary's is behind it. */
export const IDETIM = 0x40;
/** IDETIM: the channel's ports are decoded. They always are here, as in QEMU; guests go by the bit. */
export const IDETIM_DECODE = 0x8000;
const BMIBA = 4;

export class Piix3Ide extends PciFunction {
  readonly channels: readonly [IdeChannel, IdeChannel];

  /** @param drives primary master and slave, secondary master and slave */
  constructor(memory: GuestMemory, irqs: readonly [IrqLine, IrqLine], drives: readonly (IdeDrive | null)[]) {
    super('piix3-ide', { vendor: 0x8086, device: 0x7010, class: 0x0101, progIf: 0x80 });
    this.writable.fill(0xff, IDETIM, 0x100);
    const channel = (n: number): IdeChannel =>
      new IdeChannel(IDE_CHANNELS[n].command, irqs[n], memory, [drives[2 * n] ?? null, drives[2 * n + 1] ?? null], () => (this.command & COMMAND_MASTER) !== 0);
    this.channels = [channel(0), channel(1)];
    const channelOf = (port: number) => this.channels[port >= BUS_MASTER_LENGTH ? 1 : 0].dma;
    this.addBar(BMIBA, {
      kind: 'io',
      size: 2 * BUS_MASTER_LENGTH,
      device: {
        readPort: (port, size) => channelOf(port).readPort(port % BUS_MASTER_LENGTH, size),
        writePort: (port, size, value) => channelOf(port).writePort(port % BUS_MASTER_LENGTH, size, value),
      },
    });
    this.reset();
  }

  override reset(): void {
    super.reset();
    this.set16(0x06, 0x0280);
    this.config.fill(0, IDETIM);
    for (const channel of this.channels) channel.reset();
  }

  override save(): unknown {
    return { function: super.save(), channels: this.channels.map((channel) => channel.save()) };
  }

  override load(state: unknown): void {
    const saved = state as { function: unknown; channels: unknown[] };
    super.load(saved.function);
    this.channels.forEach((channel, n) => channel.load(saved.channels[n]));
  }
}
