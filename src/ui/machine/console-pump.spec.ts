import { describe, it, expect } from 'vitest';
import { Control, serialRings } from '../../machine/protocol.ts';
import { ConsolePump, Log } from './console-pump.ts';

const memory = () => new SharedArrayBuffer(Control.SERIAL_RINGS + 8 * Control.RING_SIZE);
const until = async (condition: () => boolean) => {
  for (let i = 0; i < 200 && !condition(); i++) await new Promise((done) => setTimeout(done, 5));
  expect(condition()).toBe(true);
};

/** As the machine worker does it: what the ring has no room for stays. */
function produce(buffer: SharedArrayBuffer, port: number, bytes: Uint8Array): Promise<void> {
  const { toHost } = serialRings(buffer, port);
  const output = new Int32Array(buffer, Control.OUTPUT, 1);
  let at = 0;
  return new Promise((done) => {
    const step = () => {
      at += toHost.write(bytes.subarray(at));
      Atomics.add(output, 0, 1);
      Atomics.notify(output, 0);
      if (at < bytes.length) setTimeout(step, 1);
      else done();
    };
    step();
  });
}

describe('ConsolePump', () => {
  it('loses nothing of a flood, and gives the console no more than it digests', async () => {
    const buffer = memory();
    const pump = new ConsolePump(buffer, [0]);
    pump.start();
    const flood = new Uint8Array(600_000).map((_, i) => i * 7);
    let got = 0;
    let right = true;
    let undigested = 0;
    let most = 0;
    pump.attach(0, {
      write(bytes, done) {
        bytes.forEach((byte, i) => { right &&= byte === flood[got + i]; });
        got += bytes.length;
        undigested += bytes.length;
        most = Math.max(most, undigested);
        setTimeout(() => { undigested -= bytes.length; done(); }, 3);
      },
    });
    await produce(buffer, 0, flood);
    await until(() => got === flood.length);
    expect(right).toBe(true);
    expect(most).toBeLessThanOrEqual(256 * 1024 + Control.RING_SIZE);
    pump.stop();
  });

  it('shows a console opened later what came before', async () => {
    const buffer = memory();
    const pump = new ConsolePump(buffer, [0, 1]);
    pump.start();
    await produce(buffer, 1, new TextEncoder().encode('boot'));
    await until(() => pump.log(1)!.parts.length > 0);
    let text = '';
    pump.attach(1, { write(bytes, done) { text += new TextDecoder().decode(bytes); done(); } });
    expect(text).toBe('boot');
    pump.stop();
  });

  it('keeps a long paste until the guest has taken it, and rings for it', async () => {
    const buffer = memory();
    const pump = new ConsolePump(buffer, [0]);
    pump.start();
    const doorbell = new Int32Array(buffer, Control.DOORBELL, 1);
    const paste = new Uint8Array(30_000).map((_, i) => i);
    pump.send(0, paste);
    expect(doorbell[0]).toBe(1);
    const { toGuest } = serialRings(buffer, 0);
    const got: number[] = [];
    await until(() => { got.push(...toGuest.read()); return got.length === paste.length; });
    expect(Uint8Array.from(got)).toEqual(paste);
    pump.stop();
  });
});

describe('Log', () => {
  it('drops the oldest beyond its limit', () => {
    const log = new Log(10_000);
    for (let i = 0; i < 10; i++) log.add(new Uint8Array(3000).fill(i));
    const size = log.parts.reduce((sum, part) => sum + part.length, 0);
    expect(size).toBeLessThanOrEqual(10_000);
    expect(size + log.dropped).toBe(30_000);
    expect(log.parts.at(-1)![0]).toBe(9);
  });
});
