// set_link: a network card's plug. QEMU, net/net.c.

import { command, MonitorError } from '../command.ts';
import { onOff, text } from '../parameters.ts';

export const setLink = command({
  names: ['set_link'],
  parameters: {
    name: text('string', ({ target }) => target.machine.network.cards.flatMap(({ id, netdev }) => (netdev === undefined ? [id] : [id, netdev]))),
    up: onOff(),
  },
  usage: 'name on|off',
  help: 'change the link status of a network adapter',
  run({ target: { machine } }, { name, up }) {
    if (!machine.network.setLink(name, up)) throw new MonitorError(`Error: Device '${name}' not found`);
    return '';
  },
});
