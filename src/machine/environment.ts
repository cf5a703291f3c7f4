// What the machine host needs from the place it runs in: a browser worker or a Node worker thread.

import type { FileSystem } from '../devices/file-system.ts';
import type { BlockBackend } from '../devices/interfaces.ts';
import type { FileData } from './boot/file-data.ts';
import type { CompilePort } from './compile-channel.ts';
import type { DownloadProgress } from './download.ts';
import type { MonitorCalls, MonitorTarget } from './monitor-target.ts';
import type { TftpFiles } from '../backends/net/user/tftp.ts';
import type { NetworkIo } from './network-io.ts';
import type { DriveConfig, FsdevConfig, NetdevConfig } from './options/index.ts';
import type { GivenFolder, MachineFailure, MachineFile } from './protocol.ts';

/** Parts of the engine that come as WebAssembly files. */
export type EngineModule = 'core' | 'interpreter';

export interface HostEnvironment {
  /** A part of the engine, compiled. Progress counts the bytes of its file. Rejects with a MachineError. */
  engine(name: EngineModule, progress: DownloadProgress): Promise<WebAssembly.Module>;
  /** A file of the MachineSpec. Rejects with a MachineError. */
  read(file: MachineFile, progress: DownloadProgress): Promise<FileData>;
  /**
   * The contents of a disk. Absent: there are no files for disks here. Throws, or rejects with, a MachineError.
   * @param file where it is, if the MachineSpec says so
   * @param warn told when something goes wrong with the disk later
   */
  openDisk?(drive: DriveConfig, file: MachineFile | undefined, warn: (failure: MachineFailure) => void): BlockBackend | Promise<BlockBackend>;
  /** The machine is made: whoever answers for disks from another thread rings the doorbell in this memory. */
  attachDisks?(memory: SharedArrayBuffer): void;
  /** The machine has ended: its disks are anybody's, and it cannot go on. Absent: they stay open as long as the worker lives. */
  closeDisks?(): Promise<void>;
  /** Hand out what disks have answered; called before each slice. */
  pollDisks?(): void;
  /** The monitor of a machine. */
  monitor(target: MonitorTarget): MonitorCalls;
  /** Write a file of the host. Absent: the owner gets it (MachineEvents.saved). Rejects with an Error. */
  saveFile?(name: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /**
   * Start the I/O worker for the far ends of the network that need it. Rejects with a MachineError.
   * @param lost to be called if that worker ends before the machine
   */
  openNetwork(netdevs: readonly NetdevConfig[], lost: (why: string) => void): Promise<NetworkIo>;
  /** Give the page its port to the network (NetworkPortApi). Absent: the owner sees nothing of it. */
  connectNetwork?(port: MessagePort): void;
  /** Files that a TFTP server gives out, by the folder that the line names. */
  tftp?(folder: string): TftpFiles;
  /** A worker that compiles guest code. Absent: the machine worker does it itself. */
  openCompiler?(): CompilePort;
  /**
   * A folder that the guest may mount. Throws a MachineError.
   * @param given what the user gave under its path, in a page  @param now the machine's date, nanoseconds since 1970
   * @param warn told when what the guest writes cannot be kept
   */
  openFolder(folder: FsdevConfig, given: GivenFolder | undefined, now: () => bigint, warn: (failure: MachineFailure) => void): FileSystem;
  /** Messages are on their way that promises of this environment wait for: the machine lets them in when the doorbell rings. */
  readonly awaitsMessages?: boolean;
  /** Where the log of -d goes: the file of -D, or without one the place's own (stderr). Absent: there is no log here. Throws a MachineError. */
  openLog?(file: string | undefined): LogSink;
}

/** Takes the log of -d. */
export interface LogSink {
  /** Text with its line ends; may be kept until flush(). */
  write(text: string): void;
  /** To be called before the machine sleeps, fails or exits: the worker may be ended then without further notice. */
  flush(): void;
}
