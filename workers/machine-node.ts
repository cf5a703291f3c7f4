// Entry point of the machine worker under Node: offers a machine to the runner that started it.

import { readFile, writeFile } from 'node:fs/promises';
import { closeSync, fstatSync, openSync, readFileSync, readSync, realpathSync, statSync, writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { resolve, sep } from 'node:path';
import { type MessagePort, parentPort, Worker, workerData } from 'node:worker_threads';
import { wrap } from 'comlink';
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';
import { exposeMachine, MachineError } from '../src/machine/client.ts';
import { download } from '../src/machine/download.ts';
import type { FileData } from '../src/machine/boot/file-data.ts';
import type { HostEnvironment } from '../src/machine/environment.ts';
import { createMachineHost } from '../src/machine/host.ts';
import { Monitor } from '../src/monitor/monitor.ts';
import { type NetworkIoApi, startNetworkIo } from '../src/machine/network-io.ts';
import { ImageInUse } from '../src/backends/block/file-lock-node.ts';
import { openFileDisk } from '../src/backends/block/disk-node.ts';
import { Folder } from '../src/backends/fs/folder-node.ts';
import { YOUNG_MB } from '../src/machine/worker-limits.ts';
import { optimiseJavaScriptLater, readBranchHints } from './flags-node.ts';
import { lowerV8Threads } from './threads-node.ts';

/** A TFTP server's files are read into memory. */
const LONGEST_TFTP_FILE = 256 * 2 ** 20;
/** Log text is collected up to this many characters, because -d writes many short lines. */
const LOG_BUFFER = 1 << 16;
/** Smaller files of the machine line are read at once and kept. */
const SMALLEST_HOST_FILE = 1 << 20;

/** A worker, or a port to one. */
interface Peer {
  postMessage(message: unknown): void;
  on(event: 'message', handler: (message: unknown) => void): unknown;
  unref(): void;
}

readBranchHints();
optimiseJavaScriptLater();

const environment: HostEnvironment = {
  monitor: (target) => new Monitor(target),

  async engine(name, progress) {
    // This runs as build/node/machine-node.js.
    const path = fileURLToPath(new URL(`../${name}.wasm`, import.meta.url));
    let bytes: Buffer;
    try {
      bytes = await readFile(path);
    } catch (error) {
      throw new MachineError({ what: `The engine (${name}.wasm) could not be read`, why: text(error), advice: 'Build it: node scripts/setup.mjs --build.' });
    }
    progress(bytes.length, bytes.length);
    return WebAssembly.compile(bytes as BufferSource);
  },

  openCompiler() {
    lowerV8Threads();
    // The runner has started it already.
    const worker: Peer = (workerData as { compiler?: MessagePort } | null)?.compiler
      ?? new Worker(fileURLToPath(new URL('./compiler-node.js', import.meta.url)), { resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB } });
    return {
      post: (message) => worker.postMessage(message),
      onMessage(handler) {
        worker.on('message', handler);
        // It ends with the machine.
        worker.unref();
      },
    };
  },

  async read(file, progress) {
    if ('bytes' in file.source) {
      progress(file.source.bytes.length, file.source.bytes.length);
      return file.source.bytes;
    }
    if ('blob' in file.source) return new Uint8Array(await file.source.blob.arrayBuffer());
    if (!file.source.url.startsWith('file:')) return download(file.source.url, file.name, progress);
    try {
      const data = openHostFile(fileURLToPath(file.source.url));
      progress(data.length, data.length);
      return data;
    } catch (error) {
      throw new MachineError({ what: `${file.name} could not be read`, why: text(error), advice: 'Check the path in the machine line.' });
    }
  },

  openDisk({ file, format, readOnly, snapshot }, _given, warn) {
    try {
      return openFileDisk(file, { format, readOnly: readOnly || snapshot === true }, (why) => warn({
        what: `Other programs are not kept out of ${file}`, why, advice: 'See to it that no other writes it while the machine runs.',
      }));
    } catch (error) {
      if (error instanceof ImageInUse) {
        throw new MachineError({
          what: `The disk ${file} is in use`, why: error.message,
          advice: 'End what uses it, or open it with readonly=on or snapshot=on if that only reads it too.',
        });
      }
      throw new MachineError({
        what: `The disk ${file} could not be opened`,
        why: text(error),
        advice: readOnly ? 'Check the path and the format in the machine line.' : 'Check the path and the format in the machine line; readonly=on opens a file that cannot be written.',
      });
    }
  },

  saveFile: (name, bytes) => writeFile(name, bytes),
  async openNetwork(netdevs, lost) {
    // This runs as build/node/machine-node.js.
    const worker = new Worker(new URL('./io-node.js', import.meta.url));
    // The machine decides when the process ends.
    worker.unref();
    const ended = new Promise<string>((resolve) => {
      worker.once('error', (error) => resolve(text(error)));
      worker.once('exit', (code) => resolve(`its exit code is ${code}`));
    });
    const failed = ended.then((why): never => {
      throw new MachineError({ what: 'The network could not be started', why, advice: 'Please report it.' });
    });
    const network = await Promise.race([failed, startNetworkIo(netdevs, wrap<NetworkIoApi>(nodeEndpoint(worker)))]);
    void ended.then(lost);
    return network;
  },

  tftp: (folder) => (name, found) => found(fileIn(folder, name)),
  openFolder(folder) {
    try {
      return new Folder(folder.path, folder);
    } catch (error) {
      throw new MachineError({ what: `The folder ${folder.path} cannot be shared with the guest`, why: text(error), advice: 'Check the path in the machine line.' });
    }
  },

  openLog(path) {
    let file = 2;
    if (path !== undefined) {
      try {
        file = openSync(path, 'w');
      } catch (error) {
        throw new MachineError({ what: `The log file ${path} cannot be written`, why: text(error), advice: 'Give another path to -D.' });
      }
    }
    let pending = '';
    const flush = () => {
      const bytes = Buffer.from(pending);
      pending = '';
      for (let at = 0; at < bytes.length; ) {
        try {
          at += writeSync(file, bytes, at);
        } catch (error) {
          // A pipe that is full and does not block: its reader has to catch up.
          if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
        }
      }
    };
    return {
      flush,
      write(lines) {
        pending += lines;
        if (pending.length >= LOG_BUFFER) flush();
      },
    };
  },
};

/** It stays open as long as the process: a machine that is reset reads its kernel again. */
function openHostFile(path: string): FileData {
  const file = openSync(path, 'r');
  const stat = fstatSync(file);
  // A pipe or the like is read once, and so is what is small.
  if (!stat.isFile() || stat.size < SMALLEST_HOST_FILE) {
    const bytes = readFileSync(file);
    closeSync(file);
    return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
  return {
    length: stat.size,
    read(from, to) {
      for (let done = 0; done < to.length; ) {
        const got = readSync(file, to, done, to.length - done, from + done);
        if (got === 0) throw new Error(`${path} is shorter than it was when it was opened`);
        done += got;
      }
    },
  };
}

/** A file in a folder, for a guest; nothing outside it, whatever its name or the links in it say. */
function fileIn(folder: string, name: string): Uint8Array | undefined {
  try {
    const root = realpathSync(folder);
    const path = realpathSync(resolve(root, name));
    if (!path.startsWith(root + sep)) return undefined;
    const stat = statSync(path);
    return stat.isFile() && stat.size <= LONGEST_TFTP_FILE ? new Uint8Array(readFileSync(path)) : undefined;
  } catch {
    // Not there, or not readable: the guest hears "file not found".
    return undefined;
  }
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

if (!parentPort) throw new Error('machine-node is a worker: start it with node:worker_threads');
exposeMachine(createMachineHost(environment), nodeEndpoint(parentPort));
