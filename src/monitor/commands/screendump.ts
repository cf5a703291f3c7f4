// screendump: the screen as a file. QEMU, ui/console.c.

import { toPng, toPpm } from '../../machine/png.ts';
import { command, MonitorError } from '../command.ts';
import { text, textFlag } from '../parameters.ts';
import { save } from '../save.ts';

export const screendump = command({
  names: ['screendump'],
  parameters: { filename: text('filename'), format: textFlag('f') },
  usage: 'filename [-f format]',
  help: "save screen as image 'filename' in specified format 'format'. Currently only 'png' and 'ppm' formats are supported.",
  async run({ target }, { filename, format = 'ppm' }) {
    if (format !== 'ppm' && format !== 'png') throw new MonitorError(`Error: invalid parameter value: ${format}`);
    const picture = target.machine.picture();
    if (!picture) throw new MonitorError('Error: There is no console to take a screendump from');
    const bytes = format === 'png' ? await toPng(picture) : toPpm(picture);
    await save(target, filename, new Uint8Array(bytes));
    return '';
  },
});
