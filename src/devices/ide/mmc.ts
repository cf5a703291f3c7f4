// The packets of a CD-ROM drive: what each asks for, and the answer.
// SCSI Multimedia Commands 5 (MMC-5, T10/1675D), SPC-3 (INQUIRY, REQUEST SENSE, MODE SENSE); which of them there are, as in QEMU.

/** Bytes of data in a sector, and of all that is on the disc for it. */
export const CD_SECTOR = 2048;
export const RAW_SECTOR = 2352;
/** A CD has up to 80 minutes of 75 frames a second; what is larger is a DVD, as QEMU has it. */
const CD_MAX_SECTORS = 80 * 60 * 75;

export type Sense = readonly [key: number, asc: number];

const NO_MEDIUM: Sense = [0x02, 0x3a];
const INVALID_COMMAND: Sense = [0x05, 0x20];
const INVALID_FIELD: Sense = [0x05, 0x24];
const OUT_OF_RANGE: Sense = [0x05, 0x21];
const MEDIUM_CHANGED: Sense = [0x06, 0x28];
const KEY_UNIT_ATTENTION = 6;
const REMOVAL_PREVENTED = 0x53;

export interface CdState {
  senseKey: number;
  asc: number;
  trayOpen: boolean;
  locked: boolean;
  /** A new medium is reported first as none (1), then as changed (2). */
  changed: number;
  /** Events for GET EVENT STATUS NOTIFICATION. */
  newMedia: boolean;
  ejectRequest: boolean;
}

export type PacketResult =
  | { kind: 'done' }
  | { kind: 'error'; sense: Sense }
  | { kind: 'data'; bytes: Uint8Array<ArrayBuffer> }
  | { kind: 'sectors'; lba: number; count: number; raw: boolean };

const done: PacketResult = { kind: 'done' };
const error = (sense: Sense): PacketResult => ({ kind: 'error', sense });

/** Commands that a pending unit attention does not stop. */
const ALLOWED_IN_ATTENTION = [0x03, 0x12, 0x46, 0x4a];
/** Commands that need a medium. */
const NEED_MEDIUM = [0x00, 0x25, 0x28, 0x2b, 0x43, 0x51, 0xa8, 0xad, 0xbe];

/** A frame's address in minutes, seconds and frames; the first two seconds of a disc are before its first sector. */
function msf(lba: number): [number, number, number] {
  const frame = lba + 150;
  return [Math.floor(frame / 75 / 60), Math.floor(frame / 75) % 60, frame % 75];
}

const bcd = (n: number): number => Math.floor(n / 10) * 16 + (n % 10);

/** A mode 1 sector as on the disc, without the error correction: sync, header, data. */
export function rawSector(into: Uint8Array, lba: number, data: Uint8Array): void {
  into.fill(0, 0, RAW_SECTOR);
  into.fill(0xff, 1, 11);
  into.set([...msf(lba).map(bcd), 1], 12);
  into.set(data, 16);
}

const text = (value: string, length: number): number[] => [...value.padEnd(length).slice(0, length)].map((c) => c.charCodeAt(0));
const be16 = (value: number): number[] => [(value >> 8) & 0xff, value & 0xff];
const be32 = (value: number): number[] => [(value >>> 24) & 0xff, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];

/** An answer that is cut to the length the host allows. */
function data(bytes: readonly number[], limit: number): PacketResult {
  return { kind: 'data', bytes: Uint8Array.from(bytes.slice(0, limit)) };
}

export class Mmc {
  /** @param sectors sectors of the medium; 0 without one */
  constructor(
    private readonly model: string,
    private readonly sectors: () => number,
  ) {}

  /** @param inserted there is a medium, perhaps on an open tray */
  execute(packet: Uint8Array, s: CdState, inserted: boolean): PacketResult {
    const view = new DataView(packet.buffer, packet.byteOffset, 12);
    const [code] = packet;
    if (!ALLOWED_IN_ATTENTION.includes(code)) {
      if (s.senseKey === KEY_UNIT_ATTENTION) return error([s.senseKey, s.asc]);
      // So that the guest sees the tray open and close whatever it asks for first.
      if (s.changed && !s.trayOpen && inserted) {
        const first = s.changed === 1;
        s.changed = first ? 2 : 0;
        return error(first ? NO_MEDIUM : MEDIUM_CHANGED);
      }
    }
    if (NEED_MEDIUM.includes(code) && this.sectors() === 0) return error(NO_MEDIUM);
    switch (code) {
      case 0x00: // TEST UNIT READY
      case 0xbb: // SET CD SPEED
        return done;
      case 0x03:
        return this.requestSense(s, packet[4]);
      case 0x12:
        return this.inquiry(packet);
      case 0x1b:
        return this.startStop(packet[4], s, inserted);
      case 0x1e: // PREVENT ALLOW MEDIUM REMOVAL
        s.locked = (packet[4] & 1) !== 0;
        return done;
      case 0x25: // READ CAPACITY
        return data([...be32(this.sectors() - 1), ...be32(CD_SECTOR)], 8);
      case 0x28: // READ(10)
        return this.read(view.getUint32(2), view.getUint16(7), false);
      case 0xa8: // READ(12)
        return this.read(view.getUint32(2), view.getUint32(6), false);
      case 0xbe:
        return this.readCd(packet, view);
      case 0x2b: // SEEK(10)
        return view.getUint32(2) < this.sectors() ? done : error(OUT_OF_RANGE);
      case 0x43:
        return this.readToc(packet, view.getUint16(7));
      case 0x46:
        return this.getConfiguration(packet, view);
      case 0x4a:
        return this.eventStatus(packet, view.getUint16(7), s, inserted);
      case 0x51: // READ DISC INFORMATION: one finished session with one track
        if (packet[1] & 7) return error(INVALID_FIELD);
        return data([0, 32, 0x0e, 1, 1, 1, 1, 0x20, ...new Array<number>(26).fill(0)], view.getUint16(7));
      case 0x5a:
        return this.modeSense(packet, view.getUint16(7), s);
      case 0xad:
        return this.dvdStructure(packet, view.getUint16(8));
      case 0xbd: // MECHANISM STATUS: no changer, no slots
        return data([0, 0, 0, 0, 0, 1, 0, 0], view.getUint16(8));
    }
    return error(INVALID_COMMAND);
  }

  private requestSense(s: CdState, limit: number): PacketResult {
    const bytes = new Array<number>(18).fill(0);
    bytes[0] = 0x70 | 0x80;
    bytes[2] = s.senseKey;
    bytes[7] = 10;
    bytes[12] = s.asc;
    // What was told is told once.
    if (s.senseKey === KEY_UNIT_ATTENTION) s.senseKey = s.asc = 0;
    return data(bytes, limit);
  }

  private inquiry(packet: Uint8Array): PacketResult {
    const limit = (packet[3] << 8) | packet[4];
    if (packet[1] & 1) {
      // Vital product data: the list of pages, and the device identification.
      if (packet[2] === 0x00) return data([0x05, 0x00, 0, 2, 0x00, 0x83], limit);
      if (packet[2] !== 0x83) return error(INVALID_FIELD);
      const id = text(this.model, this.model.length);
      return data([0x05, 0x83, 0, 4 + id.length, 0x02, 0x00, 0, id.length, ...id], limit);
    }
    if (packet[2]) return error(INVALID_FIELD);
    return data([0x05, 0x80, 0x00, 0x21, 31, 0, 0, 0, ...text('QEMU', 8), ...text(this.model, 16), ...text('2.5+', 4)], limit);
  }

  private startStop(flags: number, s: CdState, inserted: boolean): PacketResult {
    const start = (flags & 1) !== 0;
    // A power condition: neither motor nor tray.
    if (flags & 0xf0) return done;
    if (flags & 2) {
      if (!start && !s.trayOpen && s.locked) return error([inserted ? 0x02 : 0x05, REMOVAL_PREVENTED]);
      if (s.trayOpen === start) {
        s.trayOpen = !start;
        if (start) {
          s.changed = 1;
          s.newMedia = inserted;
        }
        s.ejectRequest = false;
      }
    }
    return done;
  }

  private read(lba: number, count: number, raw: boolean): PacketResult {
    if (count === 0) return done;
    if (lba + count > this.sectors()) return error(OUT_OF_RANGE);
    return { kind: 'sectors', lba, count, raw };
  }

  private readCd(packet: Uint8Array, view: DataView): PacketResult {
    const count = view.getUint32(5) & 0xffffff;
    // Audio is asked for: there is none.
    const type = (packet[1] >> 2) & 7;
    if (type === 1) return error([0x05, 0x64]);
    switch (packet[9] & 0xf8) {
      case 0x00:
        return done;
      case 0x10: // user data
        return this.read(view.getUint32(2), count, false);
      case 0xf8: // all there is
        return this.read(view.getUint32(2), count, true);
    }
    return error(INVALID_FIELD);
  }

  /** READ TOC: one data track from the start, and the lead-out. */
  private readToc(packet: Uint8Array, limit: number): PacketResult {
    const useMsf = (packet[1] & 2) !== 0;
    // Older software gives the format in the last byte.
    const format = packet[2] & 0x0f || packet[9] >> 6;
    const start = packet[6];
    const address = (lba: number): number[] => (useMsf ? [0, ...msf(lba)] : be32(lba));
    const finish = (body: number[]): PacketResult => data([...be16(body.length), ...body], limit);
    const total = this.sectors();
    switch (format) {
      case 0: {
        if (start > 1 && start !== 0xaa) return error(INVALID_FIELD);
        const track = start <= 1 ? [0, 0x14, 1, 0, ...address(0)] : [];
        return finish([1, 1, ...track, 0, 0x16, 0xaa, 0, ...address(total)]);
      }
      case 1: // multi-session: one, from the start
        return data([0, 0x0a, 1, 1, 0, 0x14, 1, 0, ...address(0)], limit);
      case 2: {
        const point = (number: number, pointed: number[]): number[] => [1, 0x14, 0, number, 0, 0, 0, ...pointed];
        const lead = useMsf ? [0, ...msf(total)] : be32(total);
        const first = useMsf ? [0, 0, 2, 0] : be32(0);
        return finish([1, 1, ...point(0xa0, [0, 1, 0, 0]), ...point(0xa1, [0, 1, 0, 0]), ...point(0xa2, lead), ...point(1, first)]);
      }
    }
    return error(INVALID_FIELD);
  }

  /** Profiles 8 (CD-ROM) and 10h (DVD-ROM). */
  private profile(): number {
    const total = this.sectors();
    return total === 0 ? 0 : total > CD_MAX_SECTORS ? 0x10 : 0x08;
  }

  private getConfiguration(packet: Uint8Array, view: DataView): PacketResult {
    if ((packet[1] & 3) > 2 || view.getUint16(2) !== 0) return error(INVALID_FIELD);
    const profile = this.profile();
    const features = [
      // Profile list
      ...[0, 0, 0x03, 8, 0, 0x10, profile === 0x10 ? 1 : 0, 0, 0, 0x08, profile === 0x08 ? 1 : 0, 0],
      // Core: ATAPI
      ...[0, 1, 0x0b, 8, ...be32(2), 1, 0, 0, 0],
      // Removable medium: tray, eject, lock
      ...[0, 3, 0x03, 4, 0x29, 0, 0, 0],
    ];
    return data([...be32(4 + features.length), 0, 0, ...be16(profile), ...features], view.getUint16(7));
  }

  private eventStatus(packet: Uint8Array, limit: number, s: CdState, inserted: boolean): PacketResult {
    // Polled mode only; media events are the only class.
    if (!(packet[1] & 1)) return error(INVALID_FIELD);
    const media = 1 << 4;
    if (!(packet[4] & media)) return data([0, 2, 0x80, media], limit);
    const event = s.newMedia ? 2 : s.ejectRequest ? 1 : 0;
    if (s.newMedia) s.newMedia = false;
    else s.ejectRequest = false;
    const status = (s.trayOpen ? 1 : 0) | (inserted && !s.trayOpen ? 2 : 0);
    return data([0, 6, 4, media, event, status, 0, 0], limit);
  }

  private modeSense(packet: Uint8Array, limit: number, s: CdState): PacketResult {
    const control = packet[2] >> 6;
    if (control === 3) return error([0x05, 0x39]); // saving parameters is not supported
    if (control !== 0) return error(INVALID_FIELD);
    const page = (body: number[]): PacketResult => data([...be16(6 + body.length), 0x70, 0, 0, 0, 0, 0, ...body], limit);
    switch (packet[2] & 0x3f) {
      case 0x01: // read/write error recovery
        return page([0x01, 6, 0, 5, 0, 0, 0, 0]);
      case 0x0e: // audio control
        return page([0x0e, 14, 4, 0, 0, 0, 0, 75, 1, 0xff, 2, 0xff, 0, 0, 0, 0]);
      case 0x2a: { // capabilities
        const speed = be16(704);
        const lock = s.locked ? 0x02 : 0;
        return page([0x2a, 20, 0x3b, 0, 0x71, 3 << 5, 0x29 | lock, 0, ...speed, 0, 2, ...be16(512), ...speed, 0, 0, 0, 0, 0, 0]);
      }
    }
    return error(INVALID_FIELD);
  }

  /** READ DVD STRUCTURE, format 0: the physical format of a disc with one layer. */
  private dvdStructure(packet: Uint8Array, limit: number): PacketResult {
    const total = this.sectors();
    if (this.profile() !== 0x10) return error([0x05, 0x30]); // incompatible medium
    if (packet[7] !== 0 || packet[1] !== 0 || packet[6] !== 0) return error(INVALID_FIELD);
    const bytes = new Array<number>(2052).fill(0);
    const put = (at: number, ...values: number[]): void => values.forEach((value, i) => (bytes[at + i] = value));
    put(0, ...be16(2050));
    put(4, 1, 0x0f, 1, 0);
    put(9, ...be32(0x30000).slice(1));
    put(13, ...be32(total - 1 + 0x30000).slice(1));
    put(17, ...be32(total - 1 + 0x30000).slice(1));
    return data(bytes, limit);
  }
}
