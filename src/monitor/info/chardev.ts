// info chardev: where characters go.

import type { SerialConfig } from '../../machine/options/index.ts';
import { infoCommand } from './info-command.ts';

const filename = (to: SerialConfig): string => (to.kind === 'file' ? `file:${to.path}` : to.kind === 'stdio' && to.mux ? 'mux' : to.kind);

export const chardev = infoCommand('chardev', 'show the character devices', ({ target: { machine: { config } } }) => [
  ...config.serial.flatMap((port, index) => (port ? [`serial${index}: filename=${filename(port)}`] : [])),
  ...(config.debugcon ? [`debugcon: filename=${filename(config.debugcon.to)}`] : []),
  ...config.chardevs.map(({ id, to }) => `${id}: filename=${filename(to)}`),
].join('\n'));
