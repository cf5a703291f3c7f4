// Machines that are processes with the guest's serial port on stdin and stdout: Tabvisor and v86 under Node, QEMU.

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Guest, root } from '../guests.ts';
import { Watched } from '../process.ts';
import { firmware } from './firmware.ts';
import type { Counters, Peer, Run } from './peer.ts';

const COUNTERS_TIMEOUT_S = 10;

class ProcessRun implements Run {
  private readonly process: Watched;

  constructor(
    command: string,
    args: readonly string[],
    private readonly counts: boolean,
  ) {
    this.process = new Watched(command, args);
  }

  get pid(): number {
    return this.process.pid;
  }

  untilText(text: string, timeoutS: number): Promise<number> {
    return this.process.untilText(text, timeoutS);
  }

  async counters(): Promise<Counters> {
    return this.counts ? this.process.untilMessage('instructions', COUNTERS_TIMEOUT_S) : {};
  }

  marks(): { mark: string; deviceExits: number }[] {
    return this.process.messages.filter((it): it is { mark: string; deviceExits: number } => 'mark' in it);
  }

  async dots(): Promise<number[]> {
    const times: number[] = [];
    for (let at = this.process.output.indexOf('.'); at >= 0; at = this.process.output.indexOf('.', at + 1)) times.push(this.process.timeOf(at));
    return times;
  }

  async text(): Promise<string> {
    return this.process.output;
  }

  stop(): Promise<void> {
    return this.process.kill();
  }
}

/** Options that QEMU and Tabvisor spell alike. */
function machineLine(guest: Guest): string[] {
  return [
    '-m', String(guest.memory), '-nodefaults', '-display', 'none', '-vga', 'none', '-net', 'none', '-serial', 'stdio', '-no-reboot',
    '-kernel', guest.kernel, ...(guest.initrd ? ['-initrd', guest.initrd] : []), ...(guest.append ? ['-append', guest.append] : []), ...(guest.more ?? []),
  ];
}

/** The line of bin/tabvisor that starts Node, for a shell, which calls the script $0. */
function startLine(): string {
  const [, line] = /^':' \/\/; (.*)$/m.exec(readFileSync(join(root, 'bin/tabvisor'), 'utf8'))!;
  return line;
}

/** The machine worker of the headless runner, under a program that also tells its counters. */
export const tabvisorNode: Peer = {
  name: 'tabvisor-node',
  title: 'Tabvisor, Node',
  missing: () => (existsSync(join(root, 'build/node/machine-node.js')) ? undefined : 'it is not built: npm run build'),
  refuses: () => undefined,
  version: () => `Node ${process.versions.node}`,
  async start(guest, until = '') {
    return new ProcessRun('sh', ['-c', startLine(), join(root, 'build/bench/tabvisor-node.js'), until, ...machineLine(guest), ...(guest.tabvisor ?? [])], until !== '');
  },
};

/** bin/tabvisor itself, which tells no counters. */
export function startRunner(guest: Guest): Run {
  return new ProcessRun(join(root, 'bin/tabvisor'), [...machineLine(guest), ...(guest.tabvisor ?? [])], false);
}

export const v86Node: Peer = {
  name: 'v86-node',
  title: 'v86, Node',
  missing: () => (existsSync(join(root, 'node_modules/v86')) ? firmware().missing : 'the npm package v86 is not installed'),
  refuses: (guest) => (guest.bits === 64 ? 'v86 has no 64-bit mode' : undefined),
  version: () => (JSON.parse(readFileSync(join(root, 'node_modules/v86/package.json'), 'utf8')) as { version: string }).version,
  async start(guest, until = '') {
    const { bios, vgaBios } = firmware();
    const given = {
      until, memory: guest.memory, kernel: guest.kernel, initrd: guest.initrd, append: guest.append,
      multiboot: !guest.initrd, bios, vgaBios, wasm: join(root, 'node_modules/v86/build/v86.wasm'), more: guest.v86 ?? {}, network: join(root, 'build/bench/user-network.js'),
    };
    return new ProcessRun(process.execPath, [join(root, 'bench/peers/v86-node.mjs'), JSON.stringify(given)], until !== '');
  },
};

const QEMU = 'qemu-system-x86_64';
let qemuVersion: string | null | undefined;

function askQemu(): string | null {
  if (qemuVersion === undefined) {
    const { stdout, status } = spawnSync(QEMU, ['--version'], { encoding: 'utf8' });
    qemuVersion = status === 0 ? /version (.*)/.exec(stdout)![1] : null;
  }
  return qemuVersion;
}

export const qemu: Peer = {
  name: 'qemu',
  title: 'QEMU TCG',
  missing: () => (askQemu() === null ? `${QEMU} is not installed` : undefined),
  refuses: () => undefined,
  version: () => askQemu()!,
  async start(guest) {
    return new ProcessRun(QEMU, ['-accel', 'tcg', ...machineLine(guest)], false);
  },
};
