// A bundled guest on a machine in this process, driven through its serial console: commands in, their output out.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { VcpuModules } from '../../src/engine/vcpu.ts';
import { Machine, type MachineOptions } from '../../src/machine/machine.ts';
import { parse } from '../../src/machine/options/index.ts';
import { serialRings } from '../../src/machine/protocol.ts';

const guests = join(import.meta.dirname, '../../guests/out');

interface GuestDescription {
  append: string;
  ready: string;
  prompt: string;
}

/** What goes through the rings of a chardev. */
export class HostPort {
  received = Buffer.alloc(0);
  private sending: Uint8Array = new Uint8Array();
  private readonly rings: ReturnType<typeof serialRings>;

  constructor(buffer: ArrayBufferLike, ring: number) {
    this.rings = serialRings(buffer, ring);
  }

  send(bytes: Uint8Array): void {
    this.sending = bytes;
  }

  serve(): void {
    const bytes = this.rings.toHost.read();
    if (bytes.length) this.received = Buffer.concat([this.received, bytes]);
    this.sending = this.sending.subarray(this.rings.toGuest.write(this.sending));
  }
}

export class LinuxConsole {
  readonly machine: Machine;
  /** All that the console has shown. */
  output = '';
  private readonly prompt: string;
  private readonly ring: number;
  private readonly ports: HostPort[] = [];

  /**
   * @param line what the machine has beside the guest's own line
   * @param more ring: number of the rings of the console that the guest's shell is on; append: words for its kernel
   */
  constructor(name: string, modules: VcpuModules, line: readonly string[], { ring = 0, append = '', ...more }: Partial<MachineOptions> & { ring?: number; append?: string } = {}) {
    this.ring = ring;
    const folder = join(guests, name);
    if (!existsSync(join(folder, 'guest.json'))) throw new Error(`There is no guest ${name}: run "npm run guests" first.`);
    const guest = JSON.parse(readFileSync(join(folder, 'guest.json'), 'utf8')) as GuestDescription;
    const read = (file: string) => new Uint8Array(readFileSync(join(folder, file)));
    this.prompt = guest.prompt;
    this.machine = new Machine({
      config: parse(['-m', '96', '-kernel', 'vmlinuz', '-initrd', 'initrd.cpio', '-append', `${guest.append} quiet ${append}`, '-nographic', '-icount', 'shift=3,sleep=off', ...line]),
      modules,
      files: new Map(['vmlinuz', 'initrd.cpio'].map((file) => [file, read(file)])),
      hostNow: () => performance.now() * 1e6,
      date: { epochMs: 0, offsetMs: 0 },
      log: null,
      ...more,
    });
    this.until(guest.ready, 0, 4e9);
    this.until(this.prompt, 0, 1e9);
  }

  /** The host's end of a chardev, served while the guest runs. @param ring number of its rings */
  port(ring: number): HostPort {
    const port = new HostPort(this.machine.memory.buffer, ring);
    this.ports.push(port);
    return port;
  }

  /** Run until the output from `from` on has a text. @param limit instructions */
  private until(text: string, from: number, limit: number): void {
    const { toHost } = serialRings(this.machine.memory.buffer, this.ring);
    const end = this.machine.vcpu.icount + limit;
    const decoder = new TextDecoder();
    while (!this.output.includes(text, from)) {
      const result = this.machine.runSlice();
      for (const port of this.ports) port.serve();
      this.output += decoder.decode(toHost.read(), { stream: true });
      const stuck = result.kind === 'idle' && result.ns === Infinity ? 'it waits for ever' : this.machine.vcpu.icount > end ? 'it takes too long' : result.kind === 'run' || result.kind === 'idle' ? '' : JSON.stringify(result);
      if (stuck && !this.output.includes(text, from)) throw new Error(`no "${text}" from the guest (${stuck}):\n${this.output}`);
    }
  }

  /** Run a shell command to its end. @returns its output and, in its last line, its exit status */
  run(command: string, limit = 4e9): string {
    const from = this.output.length;
    const { toGuest } = serialRings(this.machine.memory.buffer, this.ring);
    // The marks are put together by the shell, so that the echo of the command is not taken for them.
    let typed = new TextEncoder().encode(`echo be""gin; ${command}; echo "do""ne $?"\n`);
    for (;;) {
      typed = typed.subarray(toGuest.write(typed));
      if (typed.length === 0) break;
      this.machine.runSlice();
    }
    this.until('done ', from, limit);
    this.until(this.prompt, this.output.indexOf('done ', from), 1e8);
    const text = this.output.slice(from).replaceAll('\r', '');
    return text.slice(text.indexOf('begin\n') + 6, text.lastIndexOf(this.prompt)).trimEnd();
  }
}
