import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { run } from './run.ts';

/** A compiler's worker that does not get far. */
const BROKEN = 'data:text/javascript,throw new Error("compiler broke")';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tabvisor-runner-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function start(line: string, compiler = 'fake-compiler.mjs') {
  const stdin = new PassThrough();
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  let out = '';
  let err = '';
  stdout.on('data', (data: Buffer) => { out += data.toString('latin1'); });
  stderr.on('data', (data: Buffer) => { err += data.toString(); });
  const status = run(line.split(' '), { worker: new URL('./fake-worker.mjs', import.meta.url), compiler: new URL(compiler, import.meta.url), firmware: new URL('file:///firmware/'), stdin, stdout, stderr });
  return {
    stdin,
    status: status.then((value) => ({ status: value, out, err })),
    async until(text: string) {
      while (!out.includes(text)) await new Promise((resolve) => setTimeout(resolve, 5));
    },
  };
}

describe('run', () => {
  it('ends with the status the guest asked for, all output written', async () => {
    expect(await start('-nographic -kernel 33').status).toEqual({ status: 33, out: 'hello\n', err: '' });
    const long = await start('-nographic -kernel long').status;
    expect(long.status).toBe(0);
    expect(long.out).toBe(`${'x'.repeat(7000)}hello\n${'y'.repeat(100_000)}`);
  });

  it('refuses bad options with status 1', async () => {
    expect(await start('-nographic -kernel k -smp 2').status).toMatchObject({ status: 1, out: '', err: expect.stringContaining('tabvisor: -smp 2: more than one CPU') });
    expect(await start('-kernel k').status).toMatchObject({ status: 1, err: expect.stringContaining('-nographic') });
    expect(await start('-help').status).toMatchObject({ status: 0, out: expect.stringContaining('-kernel FILE') });
  });

  it('says what, why and what to do when the machine cannot start', async () => {
    expect(await start('-nographic -kernel bad').status).toEqual({ status: 1, out: '', err: 'tabvisor: bad is not a kernel: it is bad\nGive a good one.\n' });
  });

  it('prints registers of a guest that crashed', async () => {
    expect(await start('-nographic -kernel triple').status).toMatchObject({ status: 2, out: 'hello\n', err: expect.stringContaining('triple fault\nLook at it.\nRAX=1\n') });
  });

  it('survives a worker that breaks', async () => {
    expect(await start('-nographic -kernel crash').status).toMatchObject({ status: 2, err: expect.stringContaining('worker broke') });
  });

  it('ends with a compiler that breaks, and says so', async () => {
    expect(await start('-nographic -kernel echo', BROKEN).status).toMatchObject({ status: 2, err: expect.stringContaining('compiler broke') });
  });

  it('starts none where nothing is compiled beside the guest', async () => {
    expect(await start('-nographic -kernel 33 -accel interpreter', BROKEN).status).toEqual({ status: 33, out: 'hello\n', err: '' });
  });

  it('passes stdin to the guest and loses nothing when it is more than fits', async () => {
    const machine = start('-nographic -kernel echo');
    const text = 'abcdefghij'.repeat(5000);
    machine.stdin.end(`${text}end`);
    const { status, out } = await machine.status;
    expect(out).toBe(`hello\n${text.toUpperCase()}END`);
    expect(status).toBe((text.length + 3) & 0xff);
  });

  it('obeys Ctrl-A escapes', async () => {
    const machine = start('-nographic -kernel echo');
    await machine.until('hello');
    machine.stdin.write('a\x01\x01b\x01b\x01h');
    await machine.until('<BREAK>');
    await machine.until('C-a x    exit emulator');
    machine.stdin.write('\x01x');
    const { status, out, err } = await machine.status;
    expect(status).toBe(0);
    expect(out).toContain('A\x01B');
    expect(err).toContain('tabvisor: Terminated');
  });

  it('can be ended while the machine is still loading', async () => {
    const machine = start('-nographic -kernel slow');
    machine.stdin.write('\x01x');
    expect(await machine.status).toMatchObject({ status: 0, out: '', err: expect.stringContaining('Terminated') });
  });

  it('leaves Ctrl-A alone without the multiplexer', async () => {
    const machine = start('-display none -serial stdio -kernel echo');
    machine.stdin.end('\x01xend');
    expect((await machine.status).out).toBe('hello\n\x01XEND');
  });

  it('writes serial ports to files', async () => {
    const file = join(folder, 'log');
    expect(await start(`-display none -serial none -serial file:${file} -kernel two`).status).toMatchObject({ status: 0, out: '' });
    expect(readFileSync(file, 'utf8')).toBe('second port');
    expect(await start(`-nographic -serial file:${folder}/no/log -kernel two`).status).toMatchObject({ status: 1, err: expect.stringContaining('cannot be written') });
  });

  it('offers the firmware when there is no kernel', async () => {
    expect((await start('-nographic -bios my.bin').status).out).toContain('my.bin');
  });

  it('offers the files a line may mean', async () => {
    const { out } = await start('-nographic -kernel files -initrd a,b').status;
    expect(out).toBe('files|a,b|a|b\nhello\n');
  });
});
