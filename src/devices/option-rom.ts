// Option ROMs of PCI cards (PCI Local Bus 3.0, 6.3.1: the PCI expansion ROM header and data structure), and the change that makes one ROM
// serve cards of other ids, as QEMU makes it of a card's default ROM (hw/pci/pci.c, pci_patch_ids): iPXE's ROM for virtio names the id of
// virtio 1, and firmware starts a ROM on the card that it names alone.

const SIGNATURE = 0xaa55;
const PCI_DATA_POINTER = 0x18;
const PCI_DATA_SIGNATURE = [0x50, 0x43, 0x49, 0x52];
const PCI_DATA_VENDOR = 4;
const PCI_DATA_DEVICE = 6;
/** A byte that makes the sum of all zero, in iPXE and its like. */
const CHECKSUM = 6;

/** A copy of a ROM that names this card; a ROM that is none stays as it is. */
export function romFor(rom: Uint8Array, vendor: number, device: number): Uint8Array {
  const bytes = rom.slice();
  const get16 = (at: number): number => bytes[at] | (bytes[at + 1] << 8);
  const data = get16(PCI_DATA_POINTER);
  if (get16(0) !== SIGNATURE || data + 8 > bytes.length || !PCI_DATA_SIGNATURE.every((byte, n) => bytes[data + n] === byte)) return bytes;
  for (const [at, id] of [[data + PCI_DATA_VENDOR, vendor], [data + PCI_DATA_DEVICE, device]]) {
    bytes[CHECKSUM] += bytes[at] + bytes[at + 1] - (id & 0xff) - (id >> 8);
    bytes[at] = id;
    bytes[at + 1] = id >> 8;
  }
  return bytes;
}
