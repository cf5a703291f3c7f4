// A card's registers, kept as bytes because drivers read and write them in several widths. Little endian.

export class RegisterFile {
  readonly bytes: Uint8Array;
  private readonly view: DataView;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
    this.view = new DataView(this.bytes.buffer);
  }

  get8(at: number): number {
    return this.bytes[at];
  }

  get16(at: number): number {
    return this.view.getUint16(at, true);
  }

  get32(at: number): number {
    return this.view.getUint32(at, true);
  }

  set8(at: number, value: number): void {
    this.bytes[at] = value;
  }

  set16(at: number, value: number): void {
    this.view.setUint16(at, value, true);
  }

  set32(at: number, value: number): void {
    this.view.setUint32(at, value, true);
  }
}
