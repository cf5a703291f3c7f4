// info network: cards and what they are plugged into.

import { infoCommand } from './info-command.ts';

export const network = infoCommand('network', 'show the network state', ({ target }) => target.machine.network.describe());
