// info network: cards and what they are plugged into. info usernet: connections of user-mode networks.

import { infoCommand } from './info-command.ts';

export const network = infoCommand('network', 'show the network state', ({ target }) => target.machine.network.describe());
export const usernet = infoCommand('usernet', 'show user network stack connection states', ({ target }) => target.machine.network.describeUser());
