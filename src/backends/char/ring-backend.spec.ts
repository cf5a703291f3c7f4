import { beforeEach, describe, expect, it } from 'vitest';
import { Mem } from '../../core/layout.ts';
import { Control, serialRings } from '../../machine/protocol.ts';
import { NullBackend } from './null-backend.ts';
import { RingBackend } from './ring-backend.ts';

describe('RingBackend', () => {
  let buffer: SharedArrayBuffer;
  beforeEach(() => {
    buffer = new SharedArrayBuffer(Mem.CONTROL + Mem.CONTROL_SIZE);
  });
  const outputs = () => Atomics.load(new Int32Array(buffer, Control.OUTPUT, 1), 0);

  it('moves bytes both ways, ports apart', () => {
    const ports = [0, 1, 2, 3].map((port) => new RingBackend(buffer, port));
    ports.forEach((port, n) => expect(port.write(65 + n)).toBe(true));
    ports.forEach((port, n) => {
      const { toHost, toGuest } = serialRings(buffer, n);
      expect([...toHost.read()]).toEqual([65 + n]);
      expect(port.read()).toBe(-1);
      toGuest.push(n);
      expect(port.read()).toBe(n);
    });
  });

  it('wakes the reader once a flush, and only if there is something', () => {
    const port = new RingBackend(buffer, 0);
    port.flush();
    expect(outputs()).toBe(0);
    port.write(1);
    port.write(2);
    port.flush();
    port.flush();
    expect(outputs()).toBe(1);
  });

  it('holds what finds no room, when it is told to, and hands it on in order', () => {
    const port = new RingBackend(buffer, 0, true);
    const { toHost } = serialRings(buffer, 0);
    for (let n = 0; n < 20_000; n++) expect(port.write(n % 251)).toBe(true);
    const got: number[] = [];
    while (port.isFull) {
      got.push(...toHost.read());
      const before = outputs();
      port.flush();
      expect(outputs()).toBe(before + 1);
    }
    port.write(20_000 % 251);
    got.push(...toHost.read());
    expect(got).toEqual(Array.from({ length: 20_001 }, (_, n) => n % 251));
  });

  it('refuses a byte when the ring is full, wakes the reader, and loses nothing', () => {
    const port = new RingBackend(buffer, 0);
    let sent = 0;
    while (port.write(sent & 0xff)) sent++;
    expect(sent).toBe(Control.RING_SIZE - Control.RING_HEADER - 1);
    expect(outputs()).toBe(1);
    const { toHost } = serialRings(buffer, 0);
    expect(toHost.shift()).toBe(0);
    expect(port.write(sent++ & 0xff)).toBe(true);
    const rest = toHost.read();
    expect(rest.length).toBe(sent - 1);
    expect(rest.every((byte, n) => byte === ((n + 1) & 0xff))).toBe(true);
  });

  it('passes breaks on', () => {
    const port = new RingBackend(buffer, 2);
    expect(port.takeBreak()).toBe(false);
    serialRings(buffer, 2).toGuest.sendBreak();
    expect(port.takeBreak()).toBe(true);
    expect(port.takeBreak()).toBe(false);
  });
});

describe('NullBackend', () => {
  it('takes everything and gives nothing', () => {
    const port = new NullBackend();
    expect(port.write()).toBe(true);
    expect(port.read()).toBe(-1);
  });
});
