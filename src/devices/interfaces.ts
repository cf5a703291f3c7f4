// What a device sees of the machine: its bus, its interrupt lines, the clock and guest memory.
// Devices import nothing of src/machine; the machine hands these in when it builds them.

/** Bytes of one access on the bus. */
export type AccessSize = 1 | 2 | 4;

/** A wire that a device drives. Setting the level it already has does nothing. */
export interface IrqLine {
  set(level: boolean): void;
}

/** A device with I/O ports. Values are unsigned; a read's bits above `size` are ignored. */
export interface PortDevice {
  readPort(port: number, size: AccessSize): number;
  writePort(port: number, size: AccessSize, value: number): void;
}

/** A device with registers in memory. Offsets are from the start of its region; values are unsigned 32 bits; accesses of 8 bytes arrive as two, low half first. */
export interface MmioDevice {
  readMmio(offset: number, size: AccessSize): number;
  writeMmio(offset: number, size: AccessSize, value: number): void;
}

/** One alarm of a device. */
export interface Timer {
  /** Call back once when the clock reaches this time (nanoseconds since power-on); replaces an earlier deadline. */
  arm(deadlineNs: number): void;
  disarm(): void;
  /** Infinity when disarmed. */
  readonly deadline: number;
}

/** The machine's only source of time. */
export interface Clock {
  /** Nanoseconds since power-on, an integer. */
  now(): number;
  /**
   * A new disarmed timer. The callback gets the time at which it runs, which is never before the deadline.
   * @param orIdle the callback also runs once the CPU has nothing more to do: for what is put off only to have more of it at once
   */
  timer(name: string, callback: (now: number) => void, orIdle?: boolean): Timer;
}

/** A guest handed a device an address outside its RAM. */
export class GuestMemoryError extends Error {
  constructor(
    readonly address: number,
    readonly length: number,
  ) {
    super(`guest-physical range 0x${address.toString(16)} + ${length} bytes is not RAM`);
    this.name = 'GuestMemoryError';
  }
}

/** Guest RAM by guest-physical address, little endian. Every access is checked when it is made and throws GuestMemoryError outside RAM. */
export interface GuestMemory {
  /** Bytes of RAM. */
  readonly size: number;
  read8(address: number): number;
  read16(address: number): number;
  read32(address: number): number;
  read64(address: number): bigint;
  write8(address: number, value: number): void;
  write16(address: number, value: number): void;
  write32(address: number, value: number): void;
  write64(address: number, value: bigint): void;
  /** Throws unless the range is RAM: for ranges that are kept for later, which are checked again when they are accessed. */
  check(address: number, length: number): void;
  /** A live view of RAM. Whoever writes through it must call written() afterwards. */
  bytes(address: number, length: number): Uint8Array;
  /** Copy bytes into RAM. */
  write(address: number, data: Uint8Array): void;
  /** Says that a view from bytes() was written to, so that decoded code there is dropped. */
  written(address: number, length: number): void;
}

/** A device whose state can be put aside. save() gives a structured-cloneable value; load() takes it back in a device built the same way, at the same time of the clock. */
export interface Snapshotable {
  save(): unknown;
  load(state: unknown): void;
}

/** Random bytes. Where a run must repeat exactly they are a sequence that goes on from its saved state. */
export interface EntropySource extends Snapshotable {
  /** At most 65536 bytes, not in shared memory. */
  fill(bytes: Uint8Array<ArrayBuffer>): void;
}

/** A device that the machine's reset line reaches. */
export interface Resettable {
  reset(): void;
}

/** The host's end of a serial line. */
export interface CharBackend {
  /** Take one byte from the guest. False: no room now, the device keeps the byte and offers it again. */
  write(byte: number): boolean;
  /** Next byte for the guest, or -1 if there is none. Asked only when the device has room for it. */
  read(): number;
  /** Characters that the host's end can show, if it is a terminal whose size is known. */
  size?(): { cols: number; rows: number } | undefined;
}

/** The host could not do what a disk was asked for. The guest sees an I/O error. */
export class BlockError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'BlockError';
  }
}

/** The end of a request to a disk: null when it has been done. Called exactly once, perhaps before the method that takes it returns. */
export type BlockDone = (error: BlockError | null) => void;

/**
 * The contents of a disk. Offsets and lengths are bytes within its size. No method throws: what fails is told to `done`.
 * Requests may be under way together and end in any order; of two that overlap, the later must wait for the earlier one's end if order
 * matters. `into` and `data` belong to the backend until then, and are not in shared memory.
 */
export interface BlockBackend {
  /** Bytes. */
  readonly size: number;
  readonly readOnly: boolean;
  read(offset: number, into: Uint8Array, done: BlockDone): void;
  write(offset: number, data: Uint8Array, done: BlockDone): void;
  /**
   * The same without a copy, of a backend that answers at once: `pieces`, one behind the other, may be in shared memory, and are not touched
   * after these have returned. Absent where the backend cannot.
   */
  readv?(offset: number, pieces: readonly Uint8Array[], done: BlockDone): void;
  writev?(offset: number, pieces: readonly Uint8Array[], done: BlockDone): void;
  /** When it is done, all writes that were done before this call are safe. */
  flush(done: BlockDone): void;
  /** The contents of a range are not needed any more: what is read there afterwards is not defined. */
  discard(offset: number, length: number, done: BlockDone): void;
  /** @param mayUnmap the place on the host may be given back */
  writeZeroes(offset: number, length: number, mayUnmap: boolean, done: BlockDone): void;
  /** Let go of the file or store: others may have it then. Nothing is asked after this. Absent where nothing is held. */
  close?(): void | Promise<void>;
}

/** Bytes of an Ethernet frame without FCS: header at least, and at most an IP packet of 65535 bytes behind a header with VLAN tag. */
export const MIN_FRAME = 14;
export const MAX_FRAME = 65535 + 18;

/** Work on frames that one end leaves to the other (virtio 1.2, 5.1.3: the feature bits of these names). */
export interface NetOffloads {
  /** Frames whose TCP or UDP checksum is still to be made. The others need it. */
  readonly csum: boolean;
  /** TCP segments of up to 64 KiB, to be cut, over IPv4 and IPv6; with CWR set in the first only (ECN). */
  readonly tso4: boolean;
  readonly tso6: boolean;
  readonly ecn: boolean;
  /** UDP datagrams of up to 64 KiB, to be cut into IP fragments. */
  readonly ufo: boolean;
}

/** What is left to do about a frame (virtio 1.2, 5.1.6: struct virtio_net_hdr). Offsets are bytes from the start of the frame. */
export interface FrameOffload {
  /** The checksum of what follows csumStart goes to csumStart + csumOffset, where the sum of the pseudo header stands. Without it the checksum is complete. */
  readonly csum?: { readonly start: number; readonly offset: number };
  /** Cut the payload into pieces of `size` bytes. The headers, lengths in them included, are those of the uncut frame. Only with `csum`. */
  readonly gso?: { readonly type: 'tcp4' | 'tcp6' | 'udp'; readonly size: number; readonly ecn: boolean };
  /** The checksum need not be looked at: whoever sent the frame is known to have made it, or to lie beside us on this machine. */
  readonly verified?: boolean;
}

/** A NIC, as its backend sees it. */
export interface NetReceiver {
  /** What the NIC takes now; its driver may change it. */
  readonly accepts: NetOffloads;
  /**
   * A frame for the guest, copied before this returns; offloads only within `accepts`.
   * @returns false: no room now. The backend keeps the frame (a bounded number of them) until ready(), or drops it. Frames that
   * the NIC's filters refuse are taken and dropped.
   */
  receive(frame: Uint8Array, offload?: FrameOffload): boolean;
  /** The backend has room again: canSend became true. Not called from within send(). */
  drained(): void;
  /** The cable was plugged in or pulled out at the far end. */
  linkChanged(up: boolean): void;
}

/**
 * The far end of a NIC's cable. Frames are Ethernet, MIN_FRAME to MAX_FRAME bytes, not padded, without FCS.
 * A backend never calls receive() from within send() of the same NIC: an answer waits for the clock (a timer of now) or for
 * the host. From within ready() it may.
 */
export interface NetBackend {
  /** What send() takes; NICs do the rest of the work first (src/devices/net/offload.ts). */
  readonly accepts: NetOffloads;
  /** Plug a NIC in, once. */
  attach(receiver: NetReceiver): void;
  /** False: a frame sent now would be lost. A NIC that can wait looks here before it takes a frame from its driver, and goes on at drained(). */
  readonly canSend: boolean;
  /** A frame from the guest, not in shared memory, the caller's again when this returns. Hostile as everything a guest makes. */
  send(frame: Uint8Array, offload?: FrameOffload): void;
  /** The NIC has room again after a receive() that was refused, or its driver has started. */
  ready(): void;
  readonly linkUp: boolean;
  /** QEMU's `info network` line behind the name: "type=user,net=10.0.2.0,restrict=off". */
  describe(): string;
  /** Take what the host brought since the last call. Called between slices of the guest's running. */
  poll?(): void;
  /** What does its input and output has ended: the link is down for good. */
  lost?(): void;
}

/** A drive whose medium comes and goes while the machine runs. */
export interface RemovableDrive {
  readonly medium: BlockBackend | null;
  /** The guest keeps the medium in. */
  readonly locked: boolean;
  readonly trayOpen: boolean;
  /** Put a medium in, in place of what is there. */
  insert(medium: BlockBackend): void;
  /**
   * Take the medium out.
   * @param force even if the guest has locked it
   * @returns false if it is locked: the guest is told that the user wants it out
   */
  eject(force?: boolean): boolean;
}

/** What the interrupt system and the chipset do to one CPU. */
export interface CpuPort {
  /** Level of the CPU's interrupt request: an interrupt is deliverable (INTR, or the local APIC's choice). */
  setInterruptPending(level: boolean): void;
  nmi(): void;
  /** INIT: to the state after INIT; an application processor then waits for SIPI. */
  init(): void;
  /** Start-up IPI: begin at vector * 4096 in real mode, if waiting for it. */
  sipi(vector: number): void;
  /** The CPU's time-stamp counter now. */
  tsc(): bigint;
  /** Something this CPU may be halted for has happened. */
  wake(): void;
  /** The A20 gate: false masks address bit 20. */
  setA20(enabled: boolean): void;
  /** The physical page map has changed: translations that were derived from it are stale. */
  memoryMapChanged(): void;
  /** A device wrote to a page that holds decoded code. */
  invalidateCode(physicalPage: number): void;
}
