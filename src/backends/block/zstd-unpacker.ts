// Decompressing a .zst file piece by piece: frames that follow each other are one file.

import { ImageError, type Io, type Storage } from './io.ts';
import { PackedInput, type Unpacker } from './unpacked.ts';
import { Xxh64 } from './xxhash.ts';
import { BLOCK, type BlockState, decodeBlock, FIRST_BLOCK, type Frame, MAX_WINDOW, readBlockHeader, readFrame } from './zstd.ts';

export const isZstd = (bytes: Uint8Array): boolean =>
  (bytes[0] === 0x28 && bytes[1] === 0xb5 && bytes[2] === 0x2f && bytes[3] === 0xfd) || (bytes[0] >> 4 === 5 && bytes[1] === 0x2a && bytes[2] === 0x4d && bytes[3] === 0x18);

/** Bytes of a frame's header at most, and of a skippable frame's. */
const HEADER = 18;

interface State {
  position: number;
  inputAt: number;
  frame: Frame | undefined;
  block: BlockState;
  history: Uint8Array;
  framed: number;
  first: boolean;
}

export class ZstdUnpacker implements Unpacker {
  position = 0;
  private readonly input: PackedInput;
  /** Where in the input the next thing begins. */
  private at = 0;
  private frame: Frame | undefined;
  private block = FIRST_BLOCK;
  private out = new Uint8Array();
  private end = 0;
  /** Bytes of the frame's contents so far. */
  private framed = 0;
  private first = true;
  /** Absent once a checkpoint was taken up: only a look through the whole file checks hashes. */
  private hash: Xxh64 | undefined;
  private readonly hashing: boolean;

  constructor(
    private readonly storage: Storage,
    state?: State,
  ) {
    this.input = new PackedInput(storage, state?.inputAt);
    this.hashing = !state;
    if (!state) return;
    this.position = state.position;
    this.frame = state.frame;
    this.block = state.block;
    this.framed = state.framed;
    this.first = state.first;
    this.makeRoom(state.history);
  }

  private makeRoom(history: Uint8Array): void {
    // Twice the window, so that history is moved only once for each window of output.
    const size = Math.max(2 * (this.frame?.window ?? 0), 1 << 20) + 2 * BLOCK;
    this.out = new Uint8Array(Math.min(size, (this.frame?.window ?? 0) + (8 << 20)));
    this.out.set(history);
    this.end = history.length;
  }

  checkpoint(): { resume: () => Unpacker; bytes: number } {
    const history = this.frame ? this.out.slice(Math.max(0, this.end - this.frame.window, this.end - this.framed), this.end) : new Uint8Array();
    const { position, frame, block, framed, first } = this;
    const state: State = { position, inputAt: this.input.start + this.at, frame, block, history, framed, first };
    return { resume: () => new ZstdUnpacker(this.storage, state), bytes: history.length + 16384 };
  }

  private *have(length: number): Io<void> {
    if (this.input.bytes.length - this.at >= length) return;
    yield* this.input.more(this.at, length);
    this.at = 0;
  }

  *next(): Io<Uint8Array | null> {
    for (;;) {
      if (!this.frame && !(yield* this.header())) return null;
      const frame = this.frame!;
      yield* this.have(3);
      const block = readBlockHeader(this.input.bytes, this.at);
      yield* this.have(3 + block.stored);
      if (this.input.bytes.length - this.at < 3 + block.stored) throw new ImageError('the zstd file is cut off');
      if (this.end + BLOCK > this.out.length) {
        const kept = Math.min(frame.window, this.framed, this.end);
        this.out.copyWithin(0, this.end - kept, this.end);
        this.end = kept;
      }
      const from = this.end;
      const history = Math.max(0, from - Math.min(frame.window, this.framed));
      [this.block, this.end] = decodeBlock(this.block, block.type, this.input.bytes, this.at + 3, block.size, this.out, history, from, this.out.length);
      this.at += 3 + block.stored;
      const portion = this.out.subarray(from, this.end);
      this.position += portion.length;
      this.framed += portion.length;
      this.hash?.update(portion);
      if (frame.contentSize !== undefined && this.framed > frame.contentSize) throw new ImageError('the zstd file is damaged: it gives more than it says');
      if (block.last) yield* this.endFrame(frame);
      if (portion.length > 0) return portion;
    }
  }

  /** @returns false at the end of the file */
  private *header(): Io<boolean> {
    for (;;) {
      yield* this.have(HEADER);
      const { bytes } = this.input;
      const left = bytes.length - this.at;
      if (left === 0 && !this.first) return false;
      if (left < 6 || !isZstd(bytes.subarray(this.at))) throw new ImageError(this.first ? 'it is not a zstd file' : 'there is something else behind the zstd file');
      const frame = readFrame(bytes, this.at);
      this.first = false;
      if ('skip' in frame) {
        const at = this.input.start + this.at + frame.skip;
        if (at > this.storage.size) throw new ImageError('the zstd file is cut off');
        this.input.bytes = new Uint8Array();
        this.input.start = at;
        this.at = 0;
        continue;
      }
      if (frame.window > MAX_WINDOW) {
        // A frame in one segment has its whole contents as window; nothing before them is needed.
        throw new ImageError(`the zstd file needs ${Math.ceil(frame.window / 2 ** 20)} MiB of memory to unpack, which is refused: unpack it first`);
      }
      this.at += frame.length;
      this.frame = frame;
      this.block = FIRST_BLOCK;
      this.framed = 0;
      this.hash = this.hashing && frame.checksum ? new Xxh64() : undefined;
      this.makeRoom(new Uint8Array());
      return true;
    }
  }

  private *endFrame(frame: Frame): Io<void> {
    if (frame.contentSize !== undefined && this.framed !== frame.contentSize) throw new ImageError('the zstd file is damaged: it gives less than it says');
    this.frame = undefined;
    if (!frame.checksum) return;
    yield* this.have(4);
    const { bytes } = this.input;
    if (bytes.length - this.at < 4) throw new ImageError('the zstd file is cut off');
    if (this.hash && new DataView(bytes.buffer, bytes.byteOffset).getUint32(this.at, true) !== this.hash.digest()) throw new ImageError('the zstd file is damaged: its checksum is wrong');
    this.at += 4;
  }
}
