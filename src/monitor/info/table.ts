// The subcommands of info. To add one: a file here, and a line.

import type { Command } from '../command.ts';
import { infoBalloon } from '../commands/balloon.ts';
import { block } from './block.ts';
import { chardev } from './chardev.ts';
import { jit } from './jit.ts';
import { lapic } from './lapic.ts';
import { mem, tlb } from './mem.ts';
import { mice } from './mice.ts';
import { mtree } from './mtree.ts';
import { network, usernet } from './network.ts';
import { pci } from './pci.ts';
import { irq, pic } from './pic.ts';
import { qtree } from './qtree.ts';
import { registers } from './registers.ts';
import { cpus, history, name, status, version } from './status.ts';

export const INFO: readonly Command[] = [block, infoBalloon, chardev, cpus, history, irq, jit, lapic, mem, mice, mtree, name, network, pci, pic, qtree, registers, status, tlb, usernet, version];
