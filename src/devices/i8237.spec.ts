import { beforeEach, describe, expect, it } from 'vitest';
import { TestMemory } from '../virtio/testing.ts';
import { I8237 } from './i8237.ts';

let memory: TestMemory;
let dma: I8237;
beforeEach(() => {
  memory = new TestMemory(1 << 20);
  dma = new I8237(memory);
});

const out = (port: number, value: number) => dma.writePort(port, 1, value);
const inb = (port: number) => dma.readPort(port, 1);

/** Set channel 2 up: mode, 24-bit address, count of bytes less one. */
function channel2(mode: number, address: number, count: number): void {
  out(0x0a, 6);
  out(0x0c, 0);
  out(0x0b, mode);
  out(0x04, address & 0xff);
  out(0x04, (address >> 8) & 0xff);
  out(0x81, address >> 16);
  out(0x05, count & 0xff);
  out(0x05, count >> 8);
  out(0x0a, 2);
}

describe('I8237', () => {
  it('waits until its channel and the cascade are unmasked', () => {
    const line = dma.channel(2);
    let told = 0;
    line.onReady = () => told++;
    channel2(0x46, 0x1000, 3);
    expect([line.ready, told]).toEqual([false, 0]);
    out(0xd4, 0);
    expect([line.ready, told]).toEqual([true, 1]);
    out(0x08, 4);
    expect(line.ready).toBe(false);
  });

  it('moves bytes to memory up to terminal count, and masks the channel', () => {
    out(0xd4, 0);
    channel2(0x46, 0x12345, 5);
    const line = dma.channel(2);
    expect(line.write(Uint8Array.of(1, 2, 3, 4))).toEqual({ moved: 4, tc: false });
    out(0x0c, 0);
    expect([inb(0x04), inb(0x04), inb(0x05), inb(0x05)]).toEqual([0x49, 0x23, 1, 0]);
    expect(inb(0x08)).toBe(0);
    expect(line.write(Uint8Array.of(5, 6, 7, 8))).toEqual({ moved: 2, tc: true });
    expect([...memory.all.subarray(0x12344, 0x1234c)]).toEqual([0, 1, 2, 3, 4, 5, 6, 0]);
    expect(inb(0x08)).toBe(4);
    expect(inb(0x08)).toBe(0);
    expect(line.ready).toBe(false);
    // It is not set up for the other direction.
    expect(line.read(new Uint8Array(1)).moved).toBe(0);
  });

  it('starts over with autoinit, counts down, and wraps within its page', () => {
    out(0xd4, 0);
    memory.all.set([1, 2, 3, 4], 0x1fffe);
    memory.all.set([9, 8], 0x10000);
    channel2(0x5a, 0x1fffe, 3); // single, from memory, autoinit
    const line = dma.channel(2);
    const bytes = new Uint8Array(4);
    expect(line.read(bytes)).toEqual({ moved: 4, tc: true });
    expect([...bytes]).toEqual([1, 2, 9, 8]);
    expect(line.read(bytes.subarray(0, 2))).toEqual({ moved: 2, tc: false });
    channel2(0x66, 0x1003, 3); // counting down
    line.write(Uint8Array.of(1, 2, 3, 4));
    expect([...memory.all.subarray(0x1000, 0x1004)]).toEqual([4, 3, 2, 1]);
    channel2(0x42, 0x1000, 3); // verify: nothing moves
    expect(line.write(Uint8Array.of(7, 7, 7, 7))).toEqual({ moved: 4, tc: true });
    expect(memory.all[0x1000]).toBe(4);
  });

  it('moves words on the second controller', () => {
    out(0xd4, 0);
    out(0xd8, 0);
    out(0xd6, 0x45);
    out(0xc4, 0x00);
    out(0xc4, 0x80);
    out(0x8b, 0x03); // the lowest bit belongs to the word address
    out(0xc6, 1);
    out(0xc6, 0);
    out(0xd4, 1);
    expect(dma.channel(5).write(Uint8Array.of(1, 2, 3, 4))).toEqual({ moved: 4, tc: true });
    expect([...memory.all.subarray(0x30000, 0x30004)]).toEqual([1, 2, 3, 4]);
  });

  it('reads all ones where there is no RAM', () => {
    out(0xd4, 0);
    channel2(0x4a, 0xff0000, 3);
    const bytes = new Uint8Array(4);
    dma.channel(2).read(bytes);
    expect([...bytes]).toEqual([255, 255, 255, 255]);
    channel2(0x46, 0xff0000, 3);
    expect(dma.channel(2).write(bytes).tc).toBe(true);
  });

  it('keeps its state, and loses it with master clear', () => {
    channel2(0x46, 0x12345, 5);
    const state = structuredClone(dma.save());
    const other = new I8237(memory);
    other.load(state);
    expect([other.readPort(0x81, 1), other.readPort(0x0f, 1)]).toEqual([1, 0x0b]);
    out(0x0d, 0);
    expect(inb(0x0f)).toBe(0x0f);
  });
});
