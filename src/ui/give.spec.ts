import { expect, it } from 'vitest';
import { parse } from '../machine/options/index.ts';
import { lineFor } from './give.ts';

const file = (role: Parameters<typeof lineFor>[0][number]['role'], name = `local/${role}`, raw?: true) => ({ role, name, ...(raw ? { raw } : {}) });

it('makes a line that boots what was given, and that is a machine line', () => {
  const lines = [
    [file('disk', 'local/a,b.img', true)], [file('disk')], [file('cdrom')], [file('floppy', 'local/f', true)], [file('cdrom'), file('disk')],
    [file('disk', 'local/1'), file('disk', 'local/2'), file('disk', 'local/3'), file('cdrom')], [file('kernel'), file('initrd'), file('disk')],
    [file('kernel'), file('netboot', 'local/boot,1.ipxe'), file('initrd')],
  ].map((files) => lineFor(files)!);
  expect(lines[0]).toBe('-m 512 -drive file=local/a,,b.img,index=0,media=disk,format=raw');
  expect(lines[2]).toBe('-m 512 -cdrom local/cdrom -boot d');
  expect(lines[3]).toBe('-m 512 -drive file=local/f,if=floppy,index=0,format=raw -boot a');
  expect(lines[6]).toContain('-kernel local/kernel -initrd local/initrd -append console=ttyS0');
  // The script fetches them.
  expect(lines[7]).toBe('-m 512 -nic user,model=virtio-net-pci,tftp=local,bootfile=boot,,1.ipxe -boot n');
  for (const line of lines) expect(() => parse(line), line).not.toThrow();
  expect(parse(lines[0]).drives[0].file).toBe('local/a,b.img');
  expect(parse(lines[5]).drives.map(({ file: name }) => name)).toEqual(['local/1', 'local/2', 'local/3', 'local/cdrom']);
});

it('there is none for what nothing boots', () => {
  expect(lineFor([file('initrd'), file('other')])).toBeUndefined();
});
