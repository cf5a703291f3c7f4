import { describe, it, expect } from 'vitest';
import { LineError, filesOf, hashOf, joinWords, optionValue, roomOf, serialPorts, splitLine } from './line.ts';

describe('a machine line', () => {
  it('splits as a shell does', () => {
    expect(splitLine('-m 256  -append "console=ttyS0 x=\\"y\\" \\d" \'a b\' c\\ d ""')).toEqual(
      ['-m', '256', '-append', 'console=ttyS0 x="y" \\d', 'a b', 'c d', '']);
    expect(splitLine('-a \\\n b')).toEqual(['-a', 'b']);
    expect(() => splitLine('-append "x')).toThrow(LineError);
    expect(() => splitLine('x\\')).toThrow(LineError);
  });

  it('drops the program of a pasted command', () => {
    expect(splitLine('qemu-system-x86_64 -m 1')).toEqual(['-m', '1']);
    expect(splitLine('bin/tabvisor -m 1')).toEqual(['-m', '1']);
  });

  it('joins words to a line that splits into the same', () => {
    const words = ['-append', 'a "b" $c `d` \\e \'f\'', '', '-kernel', 'guests/amd64/vmlinuz'];
    expect(splitLine(joinWords(words))).toEqual(words);
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

  it('knows its files and serial ports', () => {
    const words = splitLine('-initrd i -kernel a -kernel k -serial stdio -serial none --serial null');
    expect(filesOf(words)).toEqual([{ role: 'kernel', name: 'k' }, { role: 'initrd', name: 'i' }]);
    expect(serialPorts(words)).toEqual([0, 2]);
    expect(serialPorts([])).toEqual([0]);
    expect(optionValue(words, 'm')).toBeUndefined();
  });
});
