// MSI-X: a function's table of interrupt messages and the bits of those that wait.
// PCI Local Bus Specification 3.0, section 6.8.2 (MSI-X Capability and Table Structures), 6.8.3.4 (per-vector masking).

import type { AccessSize, MmioDevice, Snapshotable } from './interfaces.ts';

export const PCI_CAP_ID_MSIX = 0x11;
export const MSIX_CONTROL_ENABLE = 0x8000;
export const MSIX_CONTROL_MASKALL = 0x4000;

/** Bytes of a table entry: Message Address, Message Upper Address, Message Data, Vector Control. */
export const MSIX_ENTRY = 16;
/** Place of the Pending Bit Array behind the table, and bytes of both together. */
export const MSIX_PBA = 0x800;
export const MSIX_SIZE = 0x1000;
/** Vectors that fit before the Pending Bit Array. */
export const MSIX_MAX_VECTORS = MSIX_PBA / MSIX_ENTRY;

const UPPER_ADDRESS = 4;
const DATA = 8;
const VECTOR_CONTROL = 12;
const VECTOR_CONTROL_MASK = 1;

interface State {
  table: Uint8Array;
  pending: Uint8Array;
  control: number;
}

/** Table and Pending Bit Array, as a memory BAR of MSIX_SIZE bytes. */
export class Msix implements MmioDevice, Snapshotable {
  private readonly table = new DataView(new ArrayBuffer(MSIX_PBA));
  private readonly pending = new DataView(new ArrayBuffer(MSIX_MAX_VECTORS / 8));
  private control = 0;

  /**
   * @param vectors entries of the table
   * @param send delivers a message: the address (guest-physical, below 4 GiB) and the data that a write there would have
   */
  constructor(
    readonly vectors: number,
    private readonly send: (address: number, data: number) => void,
  ) {
    if (vectors < 1 || vectors > MSIX_MAX_VECTORS) throw new RangeError(`${vectors} MSI-X vectors: there can be 1 to ${MSIX_MAX_VECTORS}`);
    this.reset();
  }

  reset(): void {
    for (let at = 0; at < MSIX_PBA; at += 4) this.table.setUint32(at, 0, true);
    for (let vector = 0; vector < this.vectors; vector++) this.table.setUint32(vector * MSIX_ENTRY + VECTOR_CONTROL, VECTOR_CONTROL_MASK, true);
    for (let at = 0; at < this.pending.byteLength; at++) this.pending.setUint8(at, 0);
    this.control = 0;
  }

  /** The function uses MSI-X, and so not INTx. */
  get enabled(): boolean {
    return (this.control & MSIX_CONTROL_ENABLE) !== 0;
  }

  /** Message Control was written. */
  setControl(control: number): void {
    this.control = control;
    for (let vector = 0; vector < this.vectors; vector++) this.release(vector);
  }

  private masked(vector: number): boolean {
    return (this.control & MSIX_CONTROL_MASKALL) !== 0 || (this.table.getUint32(vector * MSIX_ENTRY + VECTOR_CONTROL, true) & VECTOR_CONTROL_MASK) !== 0;
  }

  /** Interrupt by a vector; while it is masked the request waits. */
  notify(vector: number): void {
    if (!this.enabled || vector >= this.vectors) return;
    if (this.masked(vector)) {
      this.setPending(vector, true);
      return;
    }
    const at = vector * MSIX_ENTRY;
    // No interrupt lies above 4 GiB: such a message is lost.
    if (this.table.getUint32(at + UPPER_ADDRESS, true) !== 0) return;
    this.send(this.table.getUint32(at, true), this.table.getUint32(at + DATA, true));
  }

  private setPending(vector: number, pending: boolean): void {
    const bit = 1 << (vector & 7);
    const byte = this.pending.getUint8(vector >> 3);
    this.pending.setUint8(vector >> 3, pending ? byte | bit : byte & ~bit);
  }

  /** Send what waits, if it may go. */
  private release(vector: number): void {
    if (!(this.pending.getUint8(vector >> 3) & (1 << (vector & 7))) || !this.enabled || this.masked(vector)) return;
    this.setPending(vector, false);
    this.notify(vector);
  }

  readMmio(offset: number, size: AccessSize): number {
    let value = 0;
    for (let i = 0; i < size; i++) value |= this.byte(offset + i) << (8 * i);
    return value >>> 0;
  }

  private byte(at: number): number {
    if (at < this.vectors * MSIX_ENTRY) return this.table.getUint8(at);
    const pending = at - MSIX_PBA;
    return pending >= 0 && pending < this.pending.byteLength ? this.pending.getUint8(pending) : 0;
  }

  writeMmio(offset: number, size: AccessSize, value: number): void {
    if (offset + size > this.vectors * MSIX_ENTRY) return;
    for (let i = 0; i < size; i++) this.table.setUint8(offset + i, value >>> (8 * i));
    this.release(Math.floor(offset / MSIX_ENTRY));
  }

  save(): unknown {
    return { table: new Uint8Array(this.table.buffer).slice(), pending: new Uint8Array(this.pending.buffer).slice(), control: this.control } satisfies State;
  }

  load(state: unknown): void {
    const { table, pending, control } = state as State;
    new Uint8Array(this.table.buffer).set(table);
    new Uint8Array(this.pending.buffer).set(pending);
    this.control = control;
  }
}
