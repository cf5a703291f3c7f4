import { beforeEach, describe, expect, it } from 'vitest';
import { Msix, MSIX_CONTROL_ENABLE, MSIX_CONTROL_MASKALL, MSIX_PBA } from './msix.ts';

let sent: string[];
let msix: Msix;

beforeEach(() => {
  sent = [];
  msix = new Msix(3, (address, data) => sent.push(`${address.toString(16)} ${data.toString(16)}`));
});

function program(vector: number, data: number, masked = false, high = 0): void {
  msix.writeMmio(16 * vector, 4, 0xfee00000);
  msix.writeMmio(16 * vector + 4, 4, high);
  msix.writeMmio(16 * vector + 8, 4, data);
  msix.writeMmio(16 * vector + 12, 4, masked ? 1 : 0);
}

describe('MSI-X', () => {
  it('sends nothing while it is disabled', () => {
    program(0, 0x41);
    msix.notify(0);
    expect(sent).toEqual([]);
    expect(msix.enabled).toBe(false);
  });

  it('sends a vector\'s message', () => {
    program(0, 0x41);
    program(2, 0x43);
    msix.setControl(MSIX_CONTROL_ENABLE);
    msix.notify(2);
    msix.notify(0);
    msix.notify(3);
    msix.notify(0xffff);
    expect(sent).toEqual(['fee00000 43', 'fee00000 41']);
  });

  it('is masked after reset; what comes meanwhile waits, once', () => {
    expect(msix.readMmio(12, 4)).toBe(1);
    program(1, 0x42, true);
    msix.setControl(MSIX_CONTROL_ENABLE);
    msix.notify(1);
    msix.notify(1);
    expect(sent).toEqual([]);
    expect(msix.readMmio(MSIX_PBA, 4)).toBe(2);
    expect(msix.readMmio(MSIX_PBA, 1)).toBe(2);
    msix.writeMmio(16 + 12, 4, 0);
    expect(sent).toEqual(['fee00000 42']);
    expect(msix.readMmio(MSIX_PBA, 4)).toBe(0);
  });

  it('is masked as a whole', () => {
    program(0, 0x41);
    msix.setControl(MSIX_CONTROL_ENABLE | MSIX_CONTROL_MASKALL);
    msix.notify(0);
    expect(sent).toEqual([]);
    msix.setControl(MSIX_CONTROL_ENABLE);
    expect(sent).toEqual(['fee00000 41']);
  });

  it('has registers of any width, and nothing behind the table', () => {
    program(0, 0x12345678);
    expect(msix.readMmio(8, 2)).toBe(0x5678);
    expect(msix.readMmio(11, 1)).toBe(0x12);
    msix.writeMmio(9, 1, 0xff);
    expect(msix.readMmio(8, 4)).toBe(0x1234ff78);
    msix.writeMmio(48, 4, 1);
    msix.writeMmio(MSIX_PBA, 4, 0xff);
    expect(msix.readMmio(48, 4)).toBe(0);
    expect(msix.readMmio(MSIX_PBA, 4)).toBe(0);
    expect(msix.readMmio(0xffc, 4)).toBe(0);
  });

  it('loses a message above 4 GiB', () => {
    program(0, 0x41, false, 1);
    msix.setControl(MSIX_CONTROL_ENABLE);
    msix.notify(0);
    expect(sent).toEqual([]);
  });

  it('keeps what waits in a snapshot, and forgets it at a reset', () => {
    program(0, 0x41, true);
    msix.setControl(MSIX_CONTROL_ENABLE);
    msix.notify(0);
    const state = structuredClone(msix.save());
    msix.reset();
    expect(msix.enabled).toBe(false);
    expect(msix.readMmio(MSIX_PBA, 4)).toBe(0);
    expect(msix.readMmio(12, 4)).toBe(1);
    msix.load(state);
    msix.writeMmio(12, 4, 0);
    expect(sent).toEqual(['fee00000 41']);
  });
});
