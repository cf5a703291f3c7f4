// A 9P client for specs: messages in, answers out, over a session or a device.

import { HEADER, Message, NOFID, Reader, Writer } from './wire.ts';

export interface Answer {
  type: number;
  tag: number;
  body: Reader;
  length: number;
}

/** The server refused: Rlerror. */
export class ClientError extends Error {
  constructor(readonly errno: number) {
    super(`Rlerror ${errno}`);
  }
}

/** Flags of Tlopen. */
export const O_RDWR = 2;
export const O_TRUNC = 0o1000;
export const O_EXCL = 0o200;

export class Client {
  private nextFid = 1;

  /** @param send carries a message over and gives the answer */
  constructor(private readonly send: (message: Uint8Array) => Uint8Array) {}

  raw(type: number, fill: (writer: Writer) => void = () => {}, tag = 7): Answer {
    const writer = new Writer();
    fill(writer);
    const reply = this.send(writer.finish(type, tag));
    const head = new Reader(reply);
    const length = head.u32();
    return { type: head.u8(), tag: head.u16(), body: new Reader(reply.slice(HEADER)), length };
  }

  call(type: number, fill?: (writer: Writer) => void): Reader {
    const answer = this.raw(type, fill);
    if (answer.type === Message.Rlerror) throw new ClientError(answer.body.u32());
    if (answer.type !== type + 1) throw new Error(`answer ${answer.type} to ${type}`);
    return answer.body;
  }

  version(msize = 65536, name = '9P2000.L'): [number, string] {
    const body = this.call(Message.Tversion, (w) => w.u32(msize).text(name));
    return [body.u32(), body.text()];
  }

  attach(fid = 0): void {
    this.call(Message.Tattach, (w) => w.u32(fid).u32(NOFID).text('root').text('').u32(0));
  }

  start(): this {
    this.version();
    this.attach();
    return this;
  }

  /** A new fid for a path from the root. */
  walk(path: string, from = 0): number {
    const names = path.split('/').filter(Boolean);
    const fid = this.nextFid++;
    let start = from;
    do {
      const some = names.splice(0, 16);
      const count = this.call(Message.Twalk, (w) => some.reduce((it, name) => it.text(name), w.u32(start).u32(fid).u16(some.length))).u16();
      if (count !== some.length) throw new ClientError(2);
      start = fid;
    } while (names.length > 0);
    return fid;
  }

  /** Do something with a fid for a path. */
  private with<T>(path: string, action: (fid: number) => T): T {
    const fid = this.walk(path);
    try {
      return action(fid);
    } finally {
      this.raw(Message.Tclunk, (w) => w.u32(fid));
    }
  }

  private split(path: string): [directory: string, name: string] {
    const at = path.lastIndexOf('/');
    return [path.slice(0, Math.max(0, at)), path.slice(at + 1)];
  }

  private inDirectory<T>(path: string, action: (fid: number, name: string) => T): T {
    const [directory, name] = this.split(path);
    return this.with(directory, (fid) => action(fid, name));
  }

  open(path: string, flags = 0): number {
    const fid = this.walk(path);
    this.call(Message.Tlopen, (w) => w.u32(fid).u32(flags));
    return fid;
  }

  create(path: string, flags = O_RDWR, mode = 0o644): number {
    const [directory, name] = this.split(path);
    const fid = this.walk(directory);
    this.call(Message.Tlcreate, (w) => w.u32(fid).text(name).u32(flags).u32(mode).u32(0));
    return fid;
  }

  clunk(fid: number): void {
    this.call(Message.Tclunk, (w) => w.u32(fid));
  }

  read(fid: number, offset = 0, count = 4096): Uint8Array {
    const body = this.call(Message.Tread, (w) => w.u32(fid).u64(offset).u32(count));
    return body.data(body.u32());
  }

  write(fid: number, offset: number, bytes: Uint8Array): number {
    return this.call(Message.Twrite, (w) => w.u32(fid).u64(offset).u32(bytes.length).data(bytes)).u32();
  }

  put(path: string, text: string): void {
    const fid = this.create(path, O_RDWR | O_TRUNC);
    this.write(fid, 0, Buffer.from(text));
    this.clunk(fid);
  }

  get(path: string): string {
    const fid = this.open(path);
    const text = Buffer.from(this.read(fid)).toString();
    this.clunk(fid);
    return text;
  }

  statFid(fid: number): { mode: number; size: number; nlink: number; mtime: number; path: bigint; uid: number } {
    const body = this.call(Message.Tgetattr, (w) => w.u32(fid).u64(0x7ff));
    body.u64();
    body.u8();
    body.u32();
    const path = body.u64();
    const mode = body.u32();
    const uid = body.u32();
    body.u32();
    const nlink = Number(body.u64());
    body.u64();
    const size = Number(body.u64());
    body.data(16 + 16);
    const mtime = Number(body.u64());
    return { mode, size, nlink, mtime, path, uid };
  }

  stat(path: string): ReturnType<Client['statFid']> {
    return this.with(path, (fid) => this.statFid(fid));
  }

  setattr(path: string, valid: number, { mode = 0, size = 0, mtime = 0, uid = 0 }: { mode?: number; size?: number; mtime?: number; uid?: number }): void {
    this.with(path, (fid) => this.call(Message.Tsetattr, (w) => w.u32(fid).u32(valid).u32(mode).u32(uid).u32(0).u64(size).u64(0).u64(0).u64(mtime).u64(5)));
  }

  list(path: string, count = 4096): string[] {
    const fid = this.open(path);
    const names: string[] = [];
    for (let offset = 0n; ; ) {
      const body = this.call(Message.Treaddir, (w) => w.u32(fid).u64(offset).u32(count));
      let left = body.u32();
      if (left === 0) break;
      while (left > 0) {
        body.data(13);
        offset = body.u64();
        const type = body.u8();
        const name = body.text();
        left -= 24 + Buffer.byteLength(name);
        names.push(type === 4 ? `${name}/` : type === 10 ? `${name}@` : name);
      }
    }
    this.clunk(fid);
    return names.sort();
  }

  mkdir(path: string, mode = 0o755): void {
    this.inDirectory(path, (fid, name) => this.call(Message.Tmkdir, (w) => w.u32(fid).text(name).u32(mode).u32(0)));
  }

  symlink(path: string, target: string): void {
    this.inDirectory(path, (fid, name) => this.call(Message.Tsymlink, (w) => w.u32(fid).text(name).text(target).u32(0)));
  }

  readlink(path: string): string {
    return this.with(path, (fid) => this.call(Message.Treadlink, (w) => w.u32(fid)).text());
  }

  link(path: string, existing: string): void {
    this.with(existing, (old) => this.inDirectory(path, (fid, name) => this.call(Message.Tlink, (w) => w.u32(fid).u32(old).text(name))));
  }

  rename(from: string, to: string): void {
    this.inDirectory(from, (a, oldName) => this.inDirectory(to, (b, newName) => this.call(Message.Trenameat, (w) => w.u32(a).text(oldName).u32(b).text(newName))));
  }

  unlink(path: string, flags = 0): void {
    this.inDirectory(path, (fid, name) => this.call(Message.Tunlinkat, (w) => w.u32(fid).text(name).u32(flags)));
  }
}
