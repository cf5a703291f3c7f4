// Copies of bytes of which one end, or both, lie in shared memory. V8 copies to and from a SharedArrayBuffer by words only where both ends
// lie alike modulo 8, and else byte by byte, ten times as slow (40 and 4 microseconds for 64 KiB). Headers in front of what is carried make
// the second the usual case, so such copies go through a plain buffer, where no such limit holds.

const WORD = 8;
/** Below, the way around costs more than it saves. */
const SMALLEST = 256;
const STAGE = 65536;
/** Room before and behind, so that a piece can lie as either end does. */
const stage = new Uint8Array(STAGE + 2 * WORD);

const isShared = (bytes: Uint8Array): boolean => !(bytes.buffer instanceof ArrayBuffer);

/** Copy all of `from` to the start of `to`. They must not overlap. */
export function copyBytes(to: Uint8Array, from: Uint8Array): void {
  if (from.length < SMALLEST) to.set(from);
  else copyLong(to, from);
}

/** Copy all of `from` to a place in `to`. Without a view of that place for what is short: making one takes longer than copying. */
export function copyBytesTo(to: Uint8Array, at: number, from: Uint8Array): void {
  if (from.length < SMALLEST || (to.byteOffset + at) % WORD === from.byteOffset % WORD) to.set(from, at);
  else copyLong(to.subarray(at), from);
}

function copyLong(to: Uint8Array, from: Uint8Array): void {
  const toPlace = to.byteOffset % WORD;
  const fromPlace = from.byteOffset % WORD;
  if (toPlace === fromPlace || !(isShared(to) || isShared(from))) return to.set(from);
  const place = isShared(from) ? fromPlace : toPlace;
  for (let at = 0; at < from.length; at += STAGE) {
    const length = Math.min(STAGE, from.length - at);
    let staged = stage.subarray(place, place + length);
    staged.set(from.subarray(at, at + length));
    if (place !== toPlace && isShared(to)) {
      stage.copyWithin(toPlace, place, place + length);
      staged = stage.subarray(toPlace, toPlace + length);
    }
    to.set(staged, at);
  }
}
