// Entry point of the machine worker in the browser: offers a machine to the page that started it.

import { proxy, type Remote, transfer, wrap } from 'comlink';
import coreUrl from '../build/core.wasm?url';
import interpreterUrl from '../build/interpreter.wasm?url';
import type { DiskRequest, DiskSource } from '../src/backends/block/browser-disks.ts';
import { DiskRing } from '../src/backends/block/disk-ring.ts';
import { BlobContents } from '../src/backends/fs/blob-contents.ts';
import { givenFolder } from '../src/backends/fs/given.ts';
import type { FolderTarget } from '../src/backends/fs/tracked.ts';
import { MachineError, exposeMachine } from '../src/machine/client.ts';
import { compileShare } from '../src/machine/compile-channel.ts';
import { download, type DownloadProgress } from '../src/machine/download.ts';
import type { HostEnvironment } from '../src/machine/environment.ts';
import { receiveResponse } from '../src/machine/response-port.ts';
import { createMachineHost } from '../src/machine/host.ts';
import { Monitor } from '../src/monitor/monitor.ts';
import { type NetworkIoApi, startNetworkIo } from '../src/machine/network-io.ts';
import type { IoApi } from './io.ts';
import { LOCAL_PREFIX, localFile } from '../src/ui/local-files.ts';

/** In workers only (File API, 6.5.1); TypeScript's library has it with those of workers. */
declare const FileReaderSync: { new (): { readAsArrayBuffer(blob: Blob): ArrayBuffer } };

/** Download and compile a part of the engine. @returns who asks for it is told how far it is */
function beginEngine(name: string, url: string): (progress: DownloadProgress) => Promise<WebAssembly.Module> {
  let now: Parameters<DownloadProgress> = [0, 0];
  let tell: DownloadProgress = () => {};
  const module = download(new URL(url, location.href).href, `${name}.wasm`, (...far) => {
    now = far;
    tell(...far);
  }).then((bytes) => WebAssembly.compile(bytes as BufferSource).catch((error: Error) => {
    throw new MachineError({ what: `The engine (${name}.wasm) could not be used`, why: error.message, advice: 'This browser may be too old for it; Help lists what it can and cannot do.' });
  }));
  // Whoever asks for it is told.
  module.catch(() => {});
  return (progress) => {
    tell = progress;
    progress(...now);
    return module;
  };
}

/** On their way before the page says what machine it wants: there is no other use for this worker. */
const engines = { core: beginEngine('core', coreUrl), interpreter: beginEngine('interpreter', interpreterUrl) };

const environment: HostEnvironment = {
  monitor: (target) => new Monitor(target),

  get awaitsMessages() {
    return stepsUnderWay > 0;
  },
  openFolder({ path, readOnly }, given, now, warn) {
    if (!given) throw new MachineError({ what: `The folder ${path} is not here`, why: 'Nobody gave it to the page', advice: 'Start the machine again and choose a folder.' });
    const reader = new FileReaderSync();
    const { files, handle } = given;
    const contents = (blob: Blob) => new BlobContents(blob, reader);
    return givenFolder(files, readOnly, contents, now, handle && !readOnly ? folderTarget(handle, contents) : undefined, (error) => warn({
      what: `What the guest wrote into ${path} could not be kept in the folder`, why: error.message, advice: 'It is in memory, and tried again when the guest writes more; Folders has it as a download.',
    }));
  },

  engine: (name, progress) => engines[name](progress),
  async openNetwork(netdevs, lost) {
    const { api, failed } = startIo();
    const died = failed.then((why): never => {
      throw new MachineError({ what: 'The network could not be started', why, advice: 'Load the page again.' });
    });
    const network = await Promise.race([died, startNetworkIo(netdevs, api as unknown as NetworkIoApi)]);
    void failed.then(lost);
    return network;
  },
  connectNetwork(port) {
    void startIo().api.networkPort(transfer(port, [port]));
  },
  tftp: (folder) => (name, found) => {
    tftpFile(folder, name).then(found, () => found(undefined));
  },
  openCompiler() {
    const worker = new Worker(new URL('./compiler.ts', import.meta.url), { type: 'module', name: 'compiler' });
    return {
      share: compileShare(navigator.hardwareConcurrency),
      post: (message) => worker.postMessage(message),
      onMessage: (handler) => worker.addEventListener('message', ({ data }) => handler(data)),
    };
  },
  async read(file, progress) {
    if ('bytes' in file.source) {
      progress(file.source.bytes.length, file.source.bytes.length);
      return file.source.bytes;
    }
    if ('blob' in file.source) {
      const bytes = new Uint8Array(await file.source.blob.arrayBuffer());
      progress(bytes.length, bytes.length);
      return bytes;
    }
    const { url, early } = file.source;
    return download(url, file.name, progress, early && receiveResponse(early));
  },

  async openDisk({ file, format, readOnly, snapshot }, given, warn) {
    // The monitor may name one that the line does not.
    const source = given?.source ?? await sourceOf(file);
    if (!source) throw new MachineError({ what: `${file} is missing`, why: 'No such file was given to the page', advice: 'Drop the file on the page, or use a URL.' });
    const { api, failed } = startIo();
    if (!ring) {
      ring = new DiskRing();
      void api.serve(ring.buffer);
      void failed.then((why) => warn({
        what: 'The disks’ worker failed', why, advice: 'What the guest flushed is safe. Start the machine again; if it happens again, please report it.',
      }));
    }
    const request: DiskRequest = { file, source, format, readOnly, snapshot: snapshot === true };
    const died = failed.then((why): never => {
      throw new MachineError({ what: `The disk ${file} cannot be opened`, why: `its worker failed: ${why}`, advice: 'Load the page again.' });
    });
    const { number, info } = await Promise.race([died, api.open(request, proxy((failure) => { if (failure) warn(failure); }))]);
    return Object.assign(ring.disk(number, info.size, info.readOnly), { close: () => api.closeDisk(number) });
  },
  attachDisks(memory) {
    if (ring || hasTargets) void startIo().api.attach(memory);
  },
  async closeDisks() {
    if (ring) await startIo().api.close();
  },
  pollDisks() {
    ring?.poll();
  },
};

/** Folders that take what the guest writes, and calls to them that have not been answered. */
let hasTargets = false;
let stepsUnderWay = 0;

/** The user's folder, in the I/O worker, which never sleeps. */
function folderTarget(handle: FileSystemDirectoryHandle, contents: (blob: Blob) => BlobContents): FolderTarget {
  hasTargets = true;
  const folder = startIo().api.folder(handle);
  const step = async <T>(call: (remote: Awaited<typeof folder>) => Promise<T>): Promise<T> => {
    stepsUnderWay++;
    try {
      return await call(await folder);
    } finally {
      stepsUnderWay--;
    }
  };
  return {
    makeDirectory: (path) => step((remote) => remote.makeDirectory([...path])),
    remove: (path) => step((remote) => remote.remove([...path])),
    begin: (path) => step((remote) => remote.begin([...path])),
    append: (bytes) => step((remote) => remote.append(transfer(bytes, [bytes.buffer]))),
    end: () => step(async (remote) => contents(await remote.end())),
  };
}

/** The way to the disks, once there is one. */
let ring: DiskRing | undefined;

/** The I/O worker, once it is needed. It ends with this worker. */
let io: { api: Remote<IoApi>; failed: Promise<string> } | undefined;

function startIo(): NonNullable<typeof io> {
  if (io) return io;
  const worker = new Worker(new URL('./io.ts', import.meta.url), { type: 'module', name: 'io' });
  const failed = new Promise<string>((resolve) => {
    worker.onerror = (event) => {
      event.preventDefault();
      resolve(event.message || 'its program could not be loaded');
    };
  });
  io = { api: wrap<IoApi>(worker), failed };
  return io;
}

/** The address of the page: the worker's own lies in a folder beside it. */
const pageUrl = new URL('../', location.href);

/** Where a file is, by its name in a machine line. */
async function sourceOf(name: string): Promise<DiskSource | undefined> {
  if (!name.startsWith(LOCAL_PREFIX)) return { url: new URL(name, pageUrl).href };
  const file = await localFile(name);
  return file && { blob: file.blob };
}

/** A file that TFTP gives out: one that the user dropped (tftp=local), or one of a folder by its address, relative to the page. */
async function tftpFile(folder: string, name: string): Promise<Uint8Array | undefined> {
  if (`${folder}/`.startsWith(LOCAL_PREFIX)) {
    const file = await localFile(LOCAL_PREFIX + name);
    return file && new Uint8Array(await file.blob.arrayBuffer());
  }
  const base = new URL(folder.endsWith('/') ? folder : `${folder}/`, pageUrl);
  const url = new URL(name, base);
  // Not out of the folder, by ".." or by an address in full.
  if (!url.href.startsWith(base.href)) return undefined;
  return download(url.href, name, () => {});
}

exposeMachine(createMachineHost(environment));
