import { describe, it, expect } from 'vitest';
import { parse } from '../machine/options/index.ts';
import { consolesOf, filesOf, hashOf, roomOf, wordsOf } from './line.ts';

describe('a machine line', () => {
  it('may be pasted with its program', () => {
    expect(wordsOf('qemu-system-x86_64 -m 1 -append "a b"')).toEqual(['-m', '1', '-append', 'a b']);
    expect(wordsOf('bin/tabvisor -m 1')).toEqual(['-m', '1']);
    expect(wordsOf('-m 1')).toEqual(['-m', '1']);
  });

  it('survives the way through a link', () => {
    for (const line of ['-m 256 -append "console=ttyS0 50%"', "-append 'ü (x) #1'", '-kernel http://h/a%20b?c=d&e=f']) {
      expect(roomOf(hashOf(line))).toEqual({ kind: 'machine', line });
      expect(hashOf(line)).not.toMatch(/[\s"']/);
    }
    expect(roomOf('#-append 50%')).toEqual({ kind: 'machine', line: '-append 50%' });
  });

  it('names the rooms', () => {
    expect(roomOf('')).toEqual({ kind: 'home' });
    expect(roomOf('#')).toEqual({ kind: 'home' });
    expect(roomOf('#help')).toEqual({ kind: 'help' });
  });

  it('names its files and consoles', () => {
    const config = parse(wordsOf('-initrd "m1 with words,m2" -kernel k -serial stdio -serial none -serial null -serial file:x'));
    expect(filesOf(config)).toEqual([{ role: 'kernel', name: 'k' }, { role: 'initrd', name: 'm1' }, { role: 'initrd', name: 'm2' }]);
    expect(consolesOf(config)).toEqual([{ port: 0, title: 'serial0' }, { port: 3, title: 'serial3' }]);
    expect(filesOf(parse([]))).toEqual([{ role: 'firmware', name: 'bios-256k.bin' }, { role: 'firmware', name: 'vgabios-stdvga.bin' }, { role: 'firmware', name: 'pxe-e1000.rom' }]);
    expect(consolesOf(parse(['-kernel', 'k']))).toEqual([{ port: 0, title: 'serial0' }]);
    const line = '-kernel k -device virtio-serial-pci -device virtserialport,chardev=b -device virtconsole,chardev=a -chardev vc,id=a -chardev null,id=b';
    expect(consolesOf(parse(line))).toEqual([{ port: 0, title: 'serial0' }, { port: 9, title: 'a' }]);
  });
});
