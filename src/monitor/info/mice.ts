// info mice: who gets the pointer. QEMU, ui/ui-hmp-cmds.c.

import { infoCommand } from './info-command.ts';

export const mice = infoCommand('mice', 'show which guest mouse is receiving events', ({ target: { machine: { pc } } }) => {
  // VMware's pointer is there once the guest's driver has asked for it.
  const mode = pc.vmport?.mode ?? 'off';
  const vmmouse = mode === 'off' ? [] : [`* Mouse #3: vmmouse${mode === 'absolute' ? ' (absolute)' : ''}`];
  return [...vmmouse, `${mode === 'off' ? '*' : ' '} Mouse #2: QEMU PS/2 Mouse`].join('\n');
});
