// What device specs build on: a wire that remembers, and a CPU that only listens.

import type { CpuPort, IrqLine } from './interfaces.ts';

/** A line that counts its rising edges. */
export class TestLine implements IrqLine {
  level = false;
  edges = 0;

  set(level: boolean): void {
    if (level && !this.level) this.edges++;
    this.level = level;
  }
}

/** A CPU that writes down what reaches it. */
export class TestCpu implements CpuPort {
  pending = false;
  a20 = true;
  readonly log: string[] = [];

  /** @param readTsc its time-stamp counter */
  constructor(private readonly readTsc: () => bigint = () => 0n) {}

  setInterruptPending(level: boolean): void {
    this.pending = level;
  }
  nmi(): void {
    this.log.push('nmi');
  }
  init(): void {
    this.log.push('init');
  }
  sipi(vector: number): void {
    this.log.push(`sipi ${vector}`);
  }
  tsc(): bigint {
    return this.readTsc();
  }
  wake(): void {}
  setA20(enabled: boolean): void {
    this.a20 = enabled;
    this.log.push(`a20 ${enabled}`);
  }
  memoryMapChanged(): void {
    this.log.push('map');
  }
  invalidateCode(physicalPage: number): void {
    this.log.push(`code ${physicalPage}`);
  }
}
