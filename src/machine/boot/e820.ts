// The memory map that firmware tells the operating system (ACPI 6.4, section 15, "System Address Map Interfaces").

/** Address range types, ACPI 6.4, table 15.374. */
export const enum E820Type {
  RAM = 1,
  RESERVED = 2,
  ACPI = 3,
  NVS = 4,
}

/** One range, guest-physical, in bytes. */
export interface E820Entry {
  address: number;
  size: number;
  type: E820Type;
}

/** The end of the RAM that goes on without a gap from `address` up; `address` itself if there is no RAM. */
export function ramEnd(map: readonly E820Entry[], address: number): number {
  let end = address;
  for (let grown = true; grown; ) {
    grown = false;
    for (const entry of map) {
      if (entry.type === E820Type.RAM && entry.address <= end && entry.address + entry.size > end) {
        end = entry.address + entry.size;
        grown = true;
      }
    }
  }
  return end;
}
