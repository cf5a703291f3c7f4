import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { firmwareFiles, joinLine, OptionError, parse, type MachineConfig } from './index.ts';

const MIB = 1024 * 1024;
const withKernel = (line: string) => parse(`-kernel vmlinuz ${line}`);
const refusal = (line: string): OptionError => {
  try {
    withKernel(line);
  } catch (error) {
    expect(error).toBeInstanceOf(OptionError);
    return error as OptionError;
  }
  throw new Error(`"${line}" was accepted`);
};

describe('parse', () => {
  it('has QEMU\'s defaults', () => {
    const config = withKernel('');
    expect(config).toMatchObject({
      ramSize: 128 * MIB, cpus: 1, kernel: 'vmlinuz', append: '', nographic: false, displayNone: false, clock: { kind: 'real' },
      rtc: { base: 'utc' }, onReset: 'reset', onPowerOff: 'exit', startPaused: false, serial: [{ kind: 'vc' }],
    } satisfies Partial<MachineConfig>);
    expect(config.cpu.model).toBe('qemu64');
    expect(config.initrd).toBeUndefined();
    expect(config.debugExit).toBeUndefined();
    expect(config.information).toBeUndefined();
  });

  it('takes a whole line, as words or as text', () => {
    const words = ['-m', '1G', '-smp', '1', '-kernel', 'bz Image', '--initrd', 'i', '-append', 'console=ttyS0 a="b"', '-nographic', '-no-reboot', '-S', '-name', 'x'];
    const config = parse(words);
    expect(config).toMatchObject({
      ramSize: 1024 * MIB, kernel: 'bz Image', initrd: 'i', append: 'console=ttyS0 a="b"', nographic: true, displayNone: true, onReset: 'exit', startPaused: true, name: 'x',
    });
    expect(parse(joinLine(words))).toEqual(config);
  });

  it('knows sizes', () => {
    for (const [text, size] of [['512', 512 * MIB], ['512M', 512 * MIB], ['size=1G', 1024 * MIB], ['1.5g', 1536 * MIB], ['2048K', 2 * MIB], ['3G', 3072 * MIB], ['0x80', 128 * MIB], ['2097153b', 2 * MIB + 4096]] as const) {
      expect(withKernel(`-m ${text}`).ramSize).toBe(size);
    }
    expect(refusal('-m 4G').why).toContain('3 GiB');
    expect(refusal('-m 3073').why).toContain('3 GiB');
    expect(refusal('-m 1').why).toContain('2 MiB');
    expect(refusal('-m 0').why).toContain('2 MiB');
    expect(refusal('-m abc').why).toContain('not a size');
    expect(refusal('-m 1,slots=2').why).toContain('not supported yet');
    expect(refusal('-m -5').why).toContain('not a size');
  });

  it('refuses what is not there yet, by name', () => {
    expect(refusal('-smp 2')).toMatchObject({ option: '-smp 2', why: 'more than one CPU is not supported yet' });
    expect(parse('-accel jit,threshold=7 -kernel k').accel).toEqual({ kind: 'jit', threshold: 7 });
    expect(parse('-machine pc,accel=interpreter -kernel k').accel).toEqual({ kind: 'interpreter' });
    expect(refusal('-accel jit,threshold=0').why).toContain('number of jumps');
    expect(refusal('-accel interpreter,threshold=1').why).toContain('threshold');
    expect(refusal('-accel kvm').why).toContain('kvm');
    expect(refusal('-machine q35').why).toContain('q35');
    expect(refusal('-machine pc,usb=off').why).toContain('usb=');
    expect(refusal('-machine vmport=maybe').why).toContain('vmport');
    expect([parse([]), parse('-M pc,vmport=off'), parse('-M vmport=auto')].map((config) => config.vmport)).toEqual([true, false, true]);
    expect(refusal('-usb')).toMatchObject({ option: '-usb', why: 'QEMU has this option, Tabvisor does not support it yet' });
    expect(refusal('-display gtk').why).toContain('gtk');
    expect(refusal('-device vmxnet3').why).toContain('vmxnet3');
    expect(refusal('-icount auto').why).toContain('shift=auto');
    expect(refusal('-icount shift=0,rr=record').why).toContain('record and replay');
    expect(refusal('-d mmu').why).toContain('mmu');
    expect(refusal('-monitor telnet:localhost:1').why).toContain('telnet');
    expect(refusal('-blockdev x').why).toContain('QEMU has this option');
  });

  it('refuses what QEMU does not have either', () => {
    expect(refusal('-bogus')).toMatchObject({ option: '-bogus', why: 'invalid option' });
    expect(refusal('-constructor').why).toBe('invalid option');
    expect(refusal('-Nographic').advice).toContain('-nographic');
    expect(refusal('-smp 1,foo=1').why).toContain('foo');
    expect(refusal('-smp 0').why).toContain('not a number of CPUs');
    expect(refusal('-m').why).toContain('requires an argument');
    expect(refusal('-append "x').why).toContain('never closed');
  });

  it('boots by firmware without a kernel', () => {
    expect(parse([]).bios).toBe('bios-256k.bin');
    expect(parse('-bios my.bin').bios).toBe('my.bin');
    expect(withKernel('').bios).toBeUndefined();
    expect(withKernel('-bios my.bin').bios).toBe('my.bin');
    expect(parse([]).boot).toEqual({ order: 'cad', menu: false, strict: false });
    expect(parse('-boot dc').boot.order).toBe('dc');
    expect(parse('-boot order=c,once=d,menu=on,strict=on,splash-time=3000,reboot-timeout=500').boot)
      .toEqual({ order: 'c', once: 'd', menu: true, strict: true, splashTime: 3000, rebootTimeout: 500 });
    expect(refusal('-boot z').why).toContain('order of drives');
    expect(refusal('-boot cc').why).toContain('twice');
    expect(refusal('-boot reboot-timeout=65536').why).toContain('too long');
    expect(refusal('-boot bogus=1').why).toContain('bogus');
  });

  it('has a VGA card where firmware sets it up', () => {
    expect(parse([]).vga).toBe('std');
    expect(firmwareFiles(parse([]))).toEqual(['bios-256k.bin', 'vgabios-stdvga.bin', 'pxe-e1000.rom']);
    for (const line of ['-vga none -nic none', '-nodefaults']) expect(firmwareFiles(parse(line))).toEqual(['bios-256k.bin']);
    expect(parse('-nodefaults -vga std').vga).toBe('std');
    expect(firmwareFiles(withKernel(''))).toEqual([]);
    expect(withKernel('-vga none').vga).toBe('none');
    // The firmware boots the kernel then.
    expect(firmwareFiles(withKernel('-vga std'))).toEqual(['bios-256k.bin', 'vgabios-stdvga.bin']);
    expect(withKernel('').vga).toBe('none');
    expect(refusal('-vga cirrus').why).toContain('cirrus');
  });

  it('has isa-debugcon', () => {
    expect(parse('-debugcon stdio').debugcon).toEqual({ iobase: 0xe9, to: { kind: 'stdio', mux: false } });
    expect(parse('-debugcon file:log -global isa-debugcon.iobase=0x402').debugcon).toEqual({ iobase: 0x402, to: { kind: 'file', path: 'log' } });
    expect(parse('-device isa-debugcon,iobase=0x402,chardev=c -chardev file,id=c,path=l,,og').debugcon).toEqual({ iobase: 0x402, to: { kind: 'file', path: 'l,og' } });
    expect(refusal('-device isa-debugcon,chardev=c').why).toContain('"c"');
    expect(refusal('-debugcon vc').why).toContain('"vc"');
    expect(refusal('-debugcon null -debugcon null').why).toContain('already');
    expect(refusal('-debugcon stdio -serial stdio').why).toContain('terminal');
    expect(refusal('-chardev file,id=c').why).toContain('path');
    expect(refusal('-chardev socket,id=c').why).toContain('socket');
    expect(refusal('-chardev null').why).toContain('id');
    expect(refusal('-global isa-fdc.x=1').advice).toContain('isa-debugcon');
    expect(refusal('-global isa-debugcon.iobase=0x10000').why).toContain('port');
  });

  it('takes virtio devices with QEMU\'s properties', () => {
    expect(withKernel('').devices).toEqual([]);
    expect(withKernel('-device virtio-rng-pci -device virtio-rng-pci,id=r,addr=0x1f,disable-legacy=on,vectors=0').devices).toEqual([
      { driver: 'virtio-rng-pci', legacy: true, modern: true },
      { driver: 'virtio-rng-pci', legacy: false, modern: true, id: 'r', addr: { slot: 31, fn: 0 }, vectors: 0 },
    ]);
    expect(withKernel('-device virtio-rng-pci,addr=a.0,disable-modern=on').devices[0]).toMatchObject({ addr: { slot: 10, fn: 0 }, modern: false });
    expect(withKernel('-device help').information).toContain('virtio-rng-pci');
    expect(withKernel('-device virtio-rng-pci,help').information).toContain('disable-modern');
    expect(refusal('-device virtio-rng-pci,disable-legacy=on,disable-modern=on').why).toContain('one of its interfaces');
    expect(refusal('-device virtio-rng-pci,addr=1').why).toContain('belongs to the board');
    expect(refusal('-device virtio-rng-pci,addr=20').why).toContain('not a place');
    expect(withKernel('-device virtio-rng-pci,addr=4.7 -device virtio-rng-pci,addr=4.0,multifunction=on -device virtio-rng-pci,addr=0x4.1,rombar=0').devices).toMatchObject([
      { addr: { slot: 4, fn: 7 } }, { addr: { slot: 4, fn: 0 }, multifunction: true }, { addr: { slot: 4, fn: 1 }, rombar: false },
    ]);
    expect(withKernel(Array.from({ length: 60 }, (_, n) => `-device virtio-rng-pci,addr=${(2 + (n >> 1)).toString(16)}.${n & 1},multifunction=on`).join(' ')).devices).toHaveLength(60);
    expect(refusal('-device virtio-rng-pci,addr=4.1')).toMatchObject({ why: expect.stringContaining('no function 0 in PCI slot 4'), advice: expect.stringContaining('addr=4.0,multifunction=on') });
    expect(refusal('-device virtio-rng-pci,addr=4.1,multifunction=on -device virtio-rng-pci,addr=4').why).toContain('alone');
    expect(refusal('-device virtio-rng-pci,addr=4.1 -device virtio-rng-pci,addr=4.1').why).toContain('4.1 is taken');
    expect(refusal('-device virtio-rng-pci,addr=4.8').why).toContain('not a place');
    expect(refusal('-device virtio-rng-pci,multifunction=2').why).toContain('multifunction must be on or off');
    expect(refusal('-device e1000,rombar=on').why).toContain('not a number');
    expect(refusal('-device virtio-rng-pci,addr=4 -device virtio-rng-pci,addr=4').why).toContain('taken');
    expect(refusal('-device virtio-rng-pci,id=a -device virtio-rng-pci,id=a').why).toContain('id "a"');
    expect(refusal('-device virtio-rng-pci,vectors=129').why).toContain('128');
    expect(refusal('-device virtio-rng-pci,disable-legacy=maybe').why).toContain('on or off');
    expect(refusal(Array(31).fill('-device virtio-rng-pci').join(' ')).why).toContain('30');
  });

  it('puts drives in their places, as QEMU does', () => {
    const places = (line: string) => {
      const { ide, floppies, drives } = parse(line);
      return [...ide, ...floppies].map((drive) => drive && `${drive.name}${drive.drive === undefined ? '' : `=${drives[drive.drive].file}`}`);
    };
    // What every PC has.
    expect(places('')).toEqual([undefined, undefined, 'ide1-cd0', undefined, 'floppy0', undefined]);
    expect(places('-nodefaults')).toEqual([undefined, undefined, undefined, undefined, undefined, undefined]);
    expect(places('disk.img')).toEqual(['ide0-hd0=disk.img', undefined, 'ide1-cd0', undefined, 'floppy0', undefined]);
    expect(places('-hda a -hdb b -hdc c -hdd d -fda e -fdb f')).toEqual(['ide0-hd0=a', 'ide0-hd1=b', 'ide1-hd0=c', 'ide1-hd1=d', 'floppy0=e', 'floppy1=f']);
    expect(places('-cdrom a.iso -drive file=b -drive file=c,media=cdrom')).toEqual(['ide0-hd0=b', 'ide0-cd1=c', 'ide1-cd0=a.iso', undefined, 'floppy0', undefined]);
    expect(places('-drive file=a,if=ide,bus=1,unit=1 -drive if=floppy,file=f,index=1,id=B')).toEqual([undefined, undefined, 'ide1-cd0', 'ide1-hd1=a', 'floppy0', 'B=f']);
    // -device ide-… takes the default CD-ROM drive's place, on the secondary channel.
    expect(places('-drive if=none,id=x,file=a -device ide-hd,drive=x -device ide-cd,id=y')).toEqual([undefined, undefined, 'x=a', 'y', 'floppy0', undefined]);
    expect(places('-device floppy,unit=1')).toEqual([undefined, undefined, 'ide1-cd0', undefined, undefined, 'floppy1']);
    expect(parse('-drive if=none,id=x,file=a -device ide-hd,drive=x,bus=ide.0,serial=S1,model=M,bootindex=1').ide[0]).toEqual({ kind: 'hd', name: 'x', drive: 0, serial: 'S1', model: 'M', bootindex: 1 });
    expect(parse('-hdb a').ide[1]!.serial).toBe('QM00002');
    expect(parse('-drive if=none,id=x,file=a -device ide-hd,drive=x,physical_block_size=4k,min_io_size=4096,opt_io_size=64k,logical_block_size=512').ide[2]).toEqual({
      kind: 'hd', name: 'x', drive: 0, serial: 'QM00003', physicalBlockSize: 4096,
    });
    // They mean nothing of a CD-ROM drive and a floppy disk drive, and are looked at, as in QEMU.
    const { ide, floppies } = parse('-device ide-cd,id=c,physical_block_size=2048,min_io_size=2048 -device floppy,physical_block_size=512,opt_io_size=1024');
    expect([ide[2], floppies[0]]).toEqual([{ kind: 'cd', name: 'c', serial: 'QM00003' }, { name: 'floppy0', type: 'auto' }]);
    expect(parse('-hda a -cdrom b -snapshot').drives).toEqual([{ file: 'a', readOnly: false, snapshot: true }, { file: 'b', readOnly: true }]);
    expect(parse('-drive file=a,snapshot=on').drives[0].snapshot).toBe(true);
    for (const [line, why] of [
      ['-hda a -hda b', '-hda a is in its place already'],
      ['-drive file=a,index=4', 'no place for it: 4 drives at most'],
      ['-drive file=a,index=1,unit=0', 'index= cannot be used with bus= and unit='],
      ['-drive if=ide', 'file=FILE is missing'],
      ['-drive file=a,readonly=on', 'cannot be read-only'],
      ['-drive file=a,if=floppy,media=cdrom', 'does not go with if=floppy'],
      ['-fda a -fdb b -device floppy', 'floppy unit 2 is in use'],
      ['-hdc a -device ide-cd,unit=0', 'IDE unit 0 of ide.1 is in use'],
      ['-device ide-hd', 'drive=ID is missing'],
      ['-device ide-hd,drive=x', 'no drive with id "x"'],
      ['-drive if=none,id=x -device ide-hd,drive=x', 'its drive is empty'],
      ['-drive if=none,id=x,file=a -device ide-hd,drive=x -device ide-cd,drive=x', 'has a device already'],
      ['-drive if=none,id=x,file=a -device ide-hd,drive=x -device virtio-blk-pci,drive=x', 'has a device already'],
      ['-drive if=none,id=x,file=a -device ide-hd,drive=x,logical_block_size=4096,physical_block_size=4096', 'logical_block_size must be 512'],
      ['-device ide-cd,opt_io_size=1000', 'multiple'],
      ['-device ide-hd,drive=x,min_io_size=32M', '65535 blocks'],
      ['-device floppy,physical_block_size=4096', 'physical_block_size must be 512'],
      ['-device ide-cd,bus=sata.0', 'the bus must be ide.0 or ide.1'],
    ]) expect([line, refusal(line).why]).toEqual([line, expect.stringContaining(why)]);
  });

  it('takes drives, with a device of their own or of the line\'s', () => {
    expect(withKernel('-drive file=a,,b.img,if=virtio,format=raw,readonly=on')).toMatchObject({
      drives: [{ file: 'a,b.img', format: 'raw', readOnly: true }],
      devices: [{ driver: 'virtio-blk-pci', legacy: true, modern: true, drive: 0 }],
    });
    expect(withKernel('-drive a,if=virtio,format=raw,media=disk -device virtio-blk-pci,drive=d,serial=X1,addr=9 -drive if=none,id=d,file=b,format=raw')).toMatchObject({
      drives: [{ file: 'a', readOnly: false }, { file: 'b', id: 'd' }],
      devices: [{ driver: 'virtio-blk-pci', drive: 1, serial: 'X1', addr: { slot: 9, fn: 0 } }, { driver: 'virtio-blk-pci', drive: 0 }],
    });
    expect(withKernel('-drive file=a,if=none,id=d,format=raw -device virtio-blk-pci,drive=d,discard=off,write-zeroes=off,queue-size=64,event_idx=off,indirect_desc=on').devices).toEqual([
      { driver: 'virtio-blk-pci', legacy: true, modern: true, withheld: ['event_idx'], drive: 0, discard: false, writeZeroes: false, queueSize: 64 },
    ]);
    expect(withKernel('-drive file=a,if=none,id=d,format=raw -device virtio-blk-pci,drive=d,num-queues=1,logical_block_size=4096,physical_block_size=8192,config-wce=off').devices).toEqual([
      { driver: 'virtio-blk-pci', legacy: true, modern: true, drive: 0, logicalBlockSize: 4096, physicalBlockSize: 8192, configWce: false },
    ]);
    expect(withKernel('-drive file=a,if=none,id=d,format=raw -device virtio-blk-pci,drive=d,num-queues=65535,logical_block_size=512,physical_block_size=0,min_io_size=0,opt_io_size=0,config-wce=on').devices).toEqual([
      { driver: 'virtio-blk-pci', legacy: true, modern: true, drive: 0 },
    ]);
    expect(withKernel('-drive file=a,if=none,id=d,format=raw -device virtio-blk-pci,drive=d,logical_block_size=4k,physical_block_size=0x1000,min_io_size=268431360,opt_io_size=1.5M').devices).toEqual([
      { driver: 'virtio-blk-pci', legacy: true, modern: true, drive: 0, logicalBlockSize: 4096, physicalBlockSize: 4096, minIoSize: 65535 * 4096, optIoSize: 1.5 * MIB },
    ]);
    expect(withKernel('-drive if=none,file=a,format=raw,readonly=on -drive if=virtio,file=a,format=raw,readonly=on').devices).toHaveLength(1);
    for (const [line, why] of [
      ['-drive if=virtio,format=raw', 'file=FILE is missing'],
      ['-drive file=a,format=raw,if=scsi', 'if=scsi is not supported yet'],
      ['-drive file=a,if=virtio,format=cloop', 'format=cloop is not supported yet'],
      ['-drive file=a,if=virtio,format=raw,media=cdrom', 'media=cdrom does not go with if=virtio'],
      ['-drive file=a,if=virtio,format=raw,cache=none', 'cache= is not supported yet'],
      ['-drive file=a,if=virtio,format=raw,bogus=1', 'no setting "bogus"'],
      ['-drive file=a,if=virtio,format=raw,readonly=x', 'readonly must be on or off'],
      ['-drive file=a,if=none,id=d,format=raw -drive file=b,if=none,id=d,format=raw', 'a drive with id "d" already'],
      ['-drive file=a,if=virtio,format=raw -drive file=a,if=virtio,format=raw,readonly=on', 'a is open already'],
      ['-device virtio-blk-pci', 'drive=ID is missing'],
      ['-device virtio-blk-pci,drive=d', 'no drive with id "d"'],
      ['-drive file=a,if=none,id=d,format=raw -device virtio-blk-pci,drive=d -device virtio-blk-pci,drive=d', 'has a device already'],
      ['-drive file=a,if=none,id=d,format=raw -device virtio-blk-pci,drive=d,serial=123456789012345678901', '20 bytes'],
      ['-device virtio-blk-pci,drive=d,iothread=x', '"iothread"'],
      ['-device virtio-blk-pci,drive=d,num-queues=2', 'one queue'],
      ['-device virtio-blk-pci,drive=d,num-queues=0', 'one queue'],
      ['-device virtio-blk-pci,drive=d,logical_block_size=4096', 'larger than physical_block_size'],
      ['-device virtio-blk-pci,drive=d,logical_block_size=4096,physical_block_size=512', 'larger than physical_block_size'],
      ['-device virtio-blk-pci,drive=d,logical_block_size=256,physical_block_size=512', 'a power of two from 512'],
      ['-device virtio-blk-pci,drive=d,physical_block_size=1000', 'a power of two from 512'],
      ['-device virtio-blk-pci,drive=d,physical_block_size=4194304', 'a power of two from 512'],
      ['-device virtio-blk-pci,drive=d,min_io_size=1000', 'min_io_size must be a multiple of the block\'s 512 bytes'],
      ['-device virtio-blk-pci,drive=d,min_io_size=33554432', '65535 blocks'],
      ['-device virtio-blk-pci,drive=d,logical_block_size=4096,physical_block_size=4096,opt_io_size=512', 'opt_io_size must be a multiple of the block\'s 4096 bytes'],
      ['-device virtio-blk-pci,drive=d,opt_io_size=4G', 'below 4 GiB'],
      ['-device virtio-blk-pci,drive=d,opt_io_size=-1', 'not a number of bytes'],
      ['-device virtio-blk-pci,drive=d,opt_io_size=64kb', 'not a number of bytes'],
      ['-device virtio-blk-pci,drive=d,config-wce=auto', 'config-wce must be on or off'],
      ['-device virtio-blk-pci,drive=d,queue-size=2', 'a power of two from 4 to 1024'],
      ['-device virtio-blk-pci,drive=d,queue-size=100', 'a power of two from 4 to 1024'],
      ['-device virtio-blk-pci,drive=d,discard=ignore', 'discard must be on or off'],
      ['-device virtio-rng-pci,event_idx=x', 'event_idx must be on or off'],
    ]) expect(refusal(line).why).toContain(why);
  });

  it('takes options of a kernel only with one', () => {
    expect(() => parse('-append x')).toThrow(/-append: it is only allowed with -kernel/);
    expect(() => parse('-initrd x')).toThrow(/-initrd: it is only allowed with -kernel/);
  });

  it('wires serial ports as QEMU does', () => {
    expect(withKernel('-nographic').serial).toEqual([{ kind: 'stdio', mux: true }]);
    expect(withKernel('-nographic -monitor none').serial).toEqual([{ kind: 'stdio', mux: false }]);
    expect(withKernel('-serial stdio').serial).toEqual([{ kind: 'stdio', mux: false }]);
    expect(withKernel('-serial mon:stdio -serial null -serial none -serial file:a,b:c').serial)
      .toEqual([{ kind: 'stdio', mux: true }, { kind: 'null' }, undefined, { kind: 'file', path: 'a,b:c' }]);
    expect(withKernel('-serial vc').serial).toEqual([{ kind: 'vc' }]);
    expect(withKernel('-serial none').serial).toEqual([undefined]);
    expect(withKernel('-nodefaults').serial).toEqual([]);
    expect(withKernel('-nodefaults -nographic').serial).toHaveLength(1);
    expect(refusal('-serial stdio -serial stdio').why).toContain('only one');
    expect(refusal('-serial tcp::1').why).toContain('tcp::1');
    expect(refusal('-serial file:').why).toContain('path is missing');
    expect(refusal('-serial null -serial null -serial null -serial null -serial null').why).toContain('four');
  });

  it('puts the monitor where QEMU does', () => {
    const where = (line: string) => withKernel(line).monitor;
    expect(where('')).toBe('vc');
    expect(where('-display none')).toBe('vc');
    expect(where('-nographic')).toBe('mux');
    expect(where('-nographic -monitor none')).toBe('none');
    expect(where('-nographic -serial null')).toBe('stdio');
    expect(where('-nographic -serial stdio')).toBe('vc');
    expect(where('-serial mon:stdio')).toBe('mux');
    expect(where('-serial file:log -monitor stdio')).toBe('stdio');
    expect(where('-serial mon:stdio -monitor none')).toBe('mux');
    expect(refusal('-serial stdio -monitor stdio').option).toBe('-monitor stdio');
    expect(refusal('-serial mon:stdio -monitor stdio').advice).toContain('Ctrl-A c');
    expect(refusal('-monitor vc -monitor vc').why).toContain('one monitor');
  });

  it('has isa-debug-exit', () => {
    expect(withKernel('-device isa-debug-exit').debugExit).toEqual({ iobase: 0x501, iosize: 2 });
    expect(withKernel('-device isa-debug-exit,iobase=0xf4,iosize=0x04').debugExit).toEqual({ iobase: 0xf4, iosize: 4 });
    expect(refusal('-device isa-debug-exit,iosize=3').why).toContain('iosize');
    expect(refusal('-device isa-debug-exit,iobase=0xffff').why).toContain('iobase');
    expect(refusal('-device isa-debug-exit,iobase=zero').why).toContain('not a number');
    expect(refusal('-device isa-debug-exit,what=1').why).toContain('what');
    expect(refusal('-device isa-debug-exit -device isa-debug-exit').why).toContain('already');
  });

  it('changes CPU features', () => {
    const features = withKernel('-cpu qemu64,-sse3,+popcnt,nx=off,-avx').cpu.features;
    expect(features.has('pni')).toBe(false);
    expect(features.has('nx')).toBe(false);
    expect(features.has('popcnt')).toBe(true);
    expect(withKernel('-cpu qemu32').cpu.features.has('lm')).toBe(false);
    expect(refusal('-cpu qemu64,+avx').why).toContain('"avx" is not supported yet');
    expect(refusal('-cpu qemu64,+bogus').why).toContain('"bogus"');
    expect(refusal('-cpu host').why).toContain('"host"');
    expect(refusal('-cpu qemu64,sse2').why).toContain('sse2');
  });

  it('knows clocks and dates', () => {
    expect(withKernel('-icount shift=3').clock).toEqual({ kind: 'virtual', shift: 3, sleep: true });
    expect(withKernel('-icount 0,sleep=off,align=off').clock).toEqual({ kind: 'virtual', shift: 0, sleep: false });
    expect(refusal('-icount shift=11').why).toContain('0 to 10');
    expect(refusal('-icount sleep=off').why).toContain('0 to 10');
    expect(withKernel('-rtc base=localtime').rtc).toEqual({ base: 'localtime' });
    expect(withKernel('-rtc base=2006-06-17T16:01:21,clock=vm').rtc).toEqual({ base: 'date', epochMs: Date.UTC(2006, 5, 17, 16, 1, 21) });
    expect(withKernel('-rtc 2006-06-17').rtc).toEqual({ base: 'date', epochMs: Date.UTC(2006, 5, 17) });
    expect(refusal('-rtc base=2006-02-30').why).toContain('not a date');
    expect(refusal('-rtc base=now').why).toContain('not a date');
    expect(refusal('-rtc clock=host').why).toContain('clock=host');
  });

  it('collects log items', () => {
    const { log } = withKernel('-d in_asm,int -d exec -D /tmp/log');
    expect([...log.items]).toEqual(['in_asm', 'int', 'exec']);
    expect(log.file).toBe('/tmp/log');
    expect(refusal('-d bogus').why).toContain('bogus');
  });

  it('answers questions without a kernel', () => {
    for (const line of ['-help', '--help', '-h', '-version', '-cpu help', '-M help', '-d help', '-device help', '-accel help']) {
      expect(parse(line).information).toBeTruthy();
    }
    expect(parse('-help').information).toContain('-kernel FILE');
  });

  it('throws OptionErrors only, and never reads past the line', () => {
    const pieces = ['-m', '-smp', '-cpu', '-machine', '-serial', '-device', '-rtc', '-icount', '-d', '-kernel', '-append', 'k', '1', ',', 'a=b,,c', 'no', 'isa-debug-exit,', '-', '--', '', 'shift=', '\0', '__proto__'];
    fc.assert(fc.property(fc.array(fc.oneof(fc.constantFrom(...pieces), fc.string())), (words) => {
      try {
        parse(words);
      } catch (error) {
        expect(error).toBeInstanceOf(OptionError);
      }
    }), { numRuns: 500 });
  });
});

describe('virtio-serial', () => {
  const K = '-kernel k -nographic -chardev vc,id=a -chardev null,id=b -chardev file,path=f,id=c ';
  const bus = '-device virtio-serial-pci ';
  const ports = (line: string) => parse(K + line).devices.map((device) => (device.driver === 'virtio-serial-pci' ? device.ports : []));

  it('numbers ports as QEMU does: 0 for the first console, the others from 1', () => {
    expect(ports(`${bus}-device virtserialport,chardev=b,name=org.x -device virtconsole,chardev=a,name=con -device virtconsole -device virtserialport,nr=7,chardev=c -device virtserialport`)).toEqual([[
      { nr: 1, console: false, name: 'org.x', chardev: 0 },
      { nr: 0, console: true, name: 'con', chardev: 1 },
      { nr: 2, console: true },
      { nr: 7, console: false, chardev: 2 },
      { nr: 3, console: false },
    ]]);
    const { chardevs, devices } = parse(`${K}${bus}-device virtserialport,chardev=b -device virtconsole,chardev=a`);
    expect(chardevs).toEqual([{ id: 'b', to: { kind: 'null' } }, { id: 'a', to: { kind: 'vc' } }]);
    expect(devices[0]).toMatchObject({ maxPorts: 31, emergencyWrite: true, vectors: 2 });
  });

  it('puts ports on the bus that they name, or the first with room', () => {
    const two = '-device virtio-serial-pci,id=x,max_ports=2 -device virtio-serial-pci,id=y,max_ports=3 ';
    expect(ports(`${two}-device virtserialport,bus=y.0 -device virtserialport -device virtserialport -device virtconsole,bus=x.0`)).toEqual([
      [{ nr: 1, console: false }, { nr: 0, console: true }],
      [{ nr: 1, console: false }, { nr: 2, console: false }],
    ]);
  });

  it('refuses what QEMU refuses', () => {
    for (const [line, why] of [
      ['-device virtconsole', /no virtio-serial-bus/],
      [`${bus}-device virtserialport,nr=0`, /port 0 is for a virtconsole/],
      [`${bus}-device virtserialport,nr=31`, /0 to 30/],
      [`${bus}-device virtserialport,nr=3 -device virtserialport,nr=3`, /port 3 is taken/],
      [`${bus}-device virtserialport,name=a -device virtserialport,name=a`, /with the name "a"/],
      [`${bus}-device virtserialport,chardev=z`, /no chardev "z"/],
      [`${bus}-device virtserialport,chardev=a -device virtserialport,chardev=a`, /has a device already/],
      [`${bus}-device virtserialport,bus=q.0`, /no bus "q.0"/],
      [`-device virtio-serial-pci,max_ports=2 -device virtserialport -device virtserialport`, /no port left/],
      ['-device virtio-serial-pci,max_ports=0', /1 to 511/],
      ['-device virtio-serial-pci,max_ports=512', /1 to 511/],
      [`${bus}-device virtconsole,chardev=t -chardev stdio,id=t`, /terminal is in use/],
      [`${bus}-device virtconsole,id=p -device virtserialport,id=p`, /id "p" already/],
    ] as const) expect(() => parse(K + line), line).toThrow(why);
    const stdio = (mux: string, more = '') => parse(`-kernel k -nographic -serial null -chardev stdio,id=t,mux=${mux} ${bus}-device virtconsole,chardev=t ${more}`);
    expect(stdio('on')).toMatchObject({ chardevs: [{ id: 't', to: { kind: 'stdio', mux: true } }], monitor: 'mux' });
    // The console has the terminal, not the monitor.
    expect(stdio('off').monitor).toBe('vc');
    expect(stdio('on', '-monitor none').monitor).toBe('none');
    expect(() => stdio('off', '-monitor stdio')).toThrow(/another device uses the terminal/);
  });
});

describe('virtio-balloon-pci', () => {
  it('has QEMU\'s defaults', () => {
    expect(withKernel('-device virtio-balloon-pci').devices).toEqual([
      { driver: 'virtio-balloon-pci', legacy: true, modern: true, deflateOnOom: false, freePageReporting: false, pagePoison: true, statsInterval: 0 },
    ]);
    expect(withKernel('-device virtio-balloon-pci,deflate-on-oom=on,free-page-reporting=on,page-poison=off,guest-stats-polling-interval=2').devices[0])
      .toMatchObject({ deflateOnOom: true, freePageReporting: true, pagePoison: false, statsInterval: 2 });
    expect(refusal('-device virtio-balloon-pci,free-page-hint=on').why).toMatch(/free-page-hint=on/);
    expect(refusal('-device virtio-balloon-pci -device virtio-balloon-pci').why).toMatch(/one virtio-balloon-pci already/);
  });
});

it('virtio-rng-pci has a rate and a source', () => {
  expect(withKernel('-object rng-random,id=r,filename=/dev/urandom -object rng-builtin,id=s -device virtio-rng-pci,rng=r,max-bytes=1024,period=1000 -device virtio-rng-pci').devices).toEqual([
    { driver: 'virtio-rng-pci', legacy: true, modern: true, maxBytes: 1024, period: 1000 },
    { driver: 'virtio-rng-pci', legacy: true, modern: true },
  ]);
  for (const [line, why] of [
    ['-device virtio-rng-pci,rng=x', /no random number source "x"/],
    ['-object rng-egd,id=r', /"rng-egd"/],
    ['-object rng-random,id=r,filename=/etc/passwd', /filename=/],
    ['-object rng-builtin', /no id/],
    ['-object rng-builtin,id=r,filename=/dev/random', /no setting "filename"/],
    ['-object rng-builtin,id=r -object rng-builtin,id=r', /"r" already/],
    ['-device virtio-rng-pci,period=0', /positive/],
    ['-device virtio-rng-pci,max-bytes=9223372036854775808', /2\^63/],
  ] as const) expect(refusal(line).why, line).toMatch(why);
});

describe('folders of the host', () => {
  it('with QEMU\'s -virtfs, or -fsdev and a device', () => {
    const { fsdevs, devices } = withKernel('-device virtio-9p-pci,fsdev=f,mount_tag=one -fsdev local,id=f,path=a,security_model=passthrough,readonly=on -virtfs local,path=b,mount_tag=two,security_model=none');
    expect(fsdevs).toEqual([{ id: 'f', path: 'a', readOnly: true, securityModel: 'passthrough' }, { id: 'virtfs1', path: 'b', readOnly: false, securityModel: 'none' }]);
    expect(devices).toEqual([
      { driver: 'virtio-9p-pci', legacy: true, modern: true, fsdev: 0, mountTag: 'one' },
      { driver: 'virtio-9p-pci', legacy: true, modern: true, fsdev: 1, mountTag: 'two' },
    ]);
    for (const [line, why] of [
      ['-virtfs local,path=a,mount_tag=t', /security model is missing/],
      ['-virtfs local,path=a,security_model=none', /mount_tag=TAG is missing/],
      ['-virtfs local,mount_tag=t,security_model=none', /path=FOLDER is missing/],
      ['-virtfs local,path=a,mount_tag=t,security_model=mapped-xattr', /mapped-xattr/],
      ['-virtfs local,path=a,mount_tag=t,security_model=strict', /no security model "strict"/],
      ['-virtfs proxy,socket=s,mount_tag=t', /"proxy"/],
      ['-virtfs local,path=a,mount_tag=t,security_model=none,fmode=0600', /fmode=/],
      [`-virtfs local,path=a,security_model=none,mount_tag=${'t'.repeat(32)}`, /31 bytes/],
      ['-fsdev local,path=a,security_model=none', /no id/],
      ['-fsdev local,id=f,path=a,security_model=none -fsdev local,id=f,path=b,security_model=none', /"f" already/],
      ['-device virtio-9p-pci,fsdev=f,mount_tag=t', /no fsdev "f"/],
      ['-device virtio-9p-pci,mount_tag=t', /fsdev=ID is missing/],
    ] as const) expect(refusal(line).why, line).toMatch(why);
  });
});
