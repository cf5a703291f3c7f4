// What else can be plugged into a room: passt, any program that speaks QEMU's stream framing, and a TAP interface of Linux.

import { type ChildProcess, execFileSync, spawn, type SpawnOptions } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MAX_FRAME, MIN_FRAME } from '../src/devices/interfaces.ts';
import { attachStream } from './framing.ts';
import type { Switch, SwitchPort } from './switch.ts';

/** Something that cannot be attached, in words for the user. */
export class AttachError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'AttachError';
  }
}

const START_MS = 5000;
const LOOK_MS = 20;

function isInstalled(program: string): boolean {
  return (process.env.PATH ?? '').split(':').some((folder) => existsSync(join(folder, program)));
}

/** A program that could not be started tells so by an event, which would end the relay if nobody took it. */
function started(program: string, args: readonly string[], options: SpawnOptions): ChildProcess {
  const child = spawn(program, args, options);
  child.on('error', () => {});
  return child;
}

/** Not one that was never there: its handle has the number 0, which to kill(2) is this process and all of its group. */
function stop(child: ChildProcess): void {
  if (child.pid !== undefined) child.kill();
}

/** @returns what `look` found, which may take it several looks */
async function until<T>(look: () => T | undefined | Promise<T | undefined>, child: ChildProcess, what: string): Promise<T> {
  const end = Date.now() + START_MS;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (child.pid === undefined) throw new AttachError(`${what} could not be started`);
    if (child.exitCode !== null) throw new AttachError(`${what} ended with status ${child.exitCode}`);
    if (Date.now() > end) throw new AttachError(`${what} did not start in ${START_MS / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

/** @returns undefined where nothing listens: a socket has its name from bind(2) on, and takes connections from listen(2) on */
function connected(path: string): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const stream = connect(path);
    stream.once('connect', () => resolve(stream));
    stream.once('error', () => resolve(undefined));
  });
}

/**
 * A passt of its own for a room.
 * @param lost called when it ends, or ends the connection, by itself: the room has no way out any more
 * @returns what ends it
 */
export async function attachPasst(segment: Switch, lost: (why: string) => void = () => {}): Promise<() => void> {
  if (!isInstalled('passt')) throw new AttachError('passt is not installed (Debian package passt)');
  const folder = mkdtempSync(join(tmpdir(), 'tabvisor-relay-'));
  // passt gives up root's rights itself, and must still reach its socket.
  const path = join(folder, 'passt.socket');
  const child = started('passt', ['--foreground', '--quiet', ...(process.getuid?.() === 0 ? ['--runas', '0'] : []), '--socket', path], { stdio: 'ignore' });
  const end = (): void => {
    stop(child);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const stream = await until(() => connected(path), child, 'passt');
    attachStream(segment, stream);
    let isWanted = true;
    stream.on('close', () => {
      end();
      if (isWanted) lost('passt has ended');
    });
    return () => {
      isWanted = false;
      stream.destroy();
      end();
    };
  } catch (error) {
    end();
    throw error;
  }
}

/** Listen for programs that speak the framing. @param where a path of a UNIX socket, or HOST:PORT  @returns what ends it */
export async function listenForStreams(segment: Switch, where: string): Promise<() => void> {
  const streams = new Set<{ destroy(): void }>();
  const server = createServer((stream) => {
    stream.setNoDelay(true);
    streams.add(stream);
    stream.on('close', () => streams.delete(stream));
    attachStream(segment, stream);
  });
  const address = /^(.*):(\d+)$/.exec(where);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    if (address && !where.includes('/')) server.listen(Number(address[2]), address[1] || '127.0.0.1', resolve);
    else server.listen(where, resolve);
  });
  return () => {
    server.close();
    for (const stream of streams) stream.destroy();
  };
}

/**
 * A TAP interface. Making one takes an ioctl that Node does not have; socat has it, and carries each frame as one datagram of UDP
 * over loopback, both ends bound to one another so that nobody else's datagrams are taken.
 * @returns what ends it
 */
export async function attachTap(segment: Switch, name: string): Promise<() => void> {
  if (process.platform !== 'linux') throw new AttachError('TAP interfaces are there on Linux only');
  if (process.getuid?.() !== 0) throw new AttachError('a TAP interface can be made by root only');
  if (!isInstalled('socat')) throw new AttachError('socat is not installed (Debian package socat), which makes the interface');
  if (!/^[\w.-]{1,15}$/.test(name)) throw new AttachError(`"${name}" is not a name of an interface`);
  const socket = createSocket({ type: 'udp4', recvBufferSize: 1 << 20, sendBufferSize: 1 << 20 });
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  const own = socket.address().port;
  // A free port for the other end, found by having it for a moment.
  const probe = createSocket('udp4');
  await new Promise<void>((resolve) => probe.bind(0, '127.0.0.1', resolve));
  const far = probe.address().port;
  await new Promise<void>((resolve) => probe.close(() => resolve()));
  await new Promise<void>((resolve) => socket.connect(far, '127.0.0.1', resolve));
  const child = started('socat', ['-b', '70000', `TUN,tun-type=tap,tun-name=${name},iff-no-pi,iff-up`, `UDP4-CONNECT:127.0.0.1:${own},sourceport=${far},bind=127.0.0.1`], { stdio: ['ignore', 'ignore', 'inherit'] });
  const port: SwitchPort = { deliver: (frame) => socket.send(Buffer.from(frame), () => {}) };
  const end = (): void => {
    segment.remove(port);
    stop(child);
    socket.close();
  };
  socket.on('error', () => {});
  socket.on('message', (frame) => {
    if (frame.length >= MIN_FRAME && frame.length <= MAX_FRAME) segment.forward(port, frame);
  });
  try {
    await until(() => existsSync(`/sys/class/net/${name}`), child, 'socat');
    // What the kernel leaves to a card to finish (checksums, segments) would reach guests unfinished.
    if (isInstalled('ethtool')) execFileSync('ethtool', ['-K', name, 'tx', 'off'], { stdio: 'ignore' });
  } catch (error) {
    end();
    throw error;
  }
  segment.add(port);
  return end;
}
