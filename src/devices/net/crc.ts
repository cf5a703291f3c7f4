// CRC-32 of Ethernet: IEEE 802.3, 3.2.9 (Frame Check Sequence field).

/** CRC-32 of Ethernet, most significant bit first: the hash of a multicast address. */
export function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (let byte of bytes) {
    for (let bit = 0; bit < 8; bit++, byte >>= 1) {
      const carry = (crc >>> 31) ^ (byte & 1);
      crc = (crc << 1) >>> 0;
      if (carry) crc = (crc ^ 0x04c11db7) >>> 0;
    }
  }
  return crc >>> 0;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n;
});

/** The same as it goes over the wire: the FCS. */
export function frameCheckSequence(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return ~crc >>> 0;
}
