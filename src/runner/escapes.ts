// QEMU's escapes on a multiplexed terminal (QEMU, "Keys in the character backend multiplexer"): Ctrl-A and a key.

/** What the keys after Ctrl-A do. */
export interface EscapeActions {
  /** Take bytes that are no escapes. */
  pass(bytes: Uint8Array): void;
  quit(): void;
  /** Show this text to the user. */
  say(text: string): void;
  sendBreak(): void;
  toggleTimestamps(): void;
  /** From the guest to the monitor, and back. */
  toggleMonitor(): void;
}

const CTRL_A = 0x01;

const HELP = [
  'C-a h    print this help',
  'C-a x    exit emulator',
  'C-a s    save disk data back to file (if -snapshot)',
  'C-a t    toggle console timestamps',
  'C-a b    send break (magic sysrq)',
  'C-a c    switch between console and monitor',
  'C-a C-a  sends C-a',
].join('\n');

/** Takes what is typed, acts on the escapes in it, and passes on the rest. */
export class Escapes {
  private hasEscape = false;

  constructor(private readonly actions: EscapeActions) {}

  input(bytes: Uint8Array): void {
    let out: number[] = [];
    const pass = (): void => {
      if (out.length > 0) this.actions.pass(Uint8Array.from(out));
      out = [];
    };
    for (const byte of bytes) {
      if (this.hasEscape) {
        this.hasEscape = false;
        if (byte === CTRL_A) {
          out.push(byte);
        } else {
          // What came before an escape comes before what it does.
          pass();
          this.act(String.fromCharCode(byte));
        }
      } else if (byte === CTRL_A) {
        this.hasEscape = true;
      } else {
        out.push(byte);
      }
    }
    pass();
  }

  /** Keys without a meaning are swallowed, as in QEMU. */
  private act(key: string): void {
    switch (key) {
      case 'h':
      case '?':
        return this.actions.say(`\n${HELP}\n`);
      case 'x':
        return this.actions.quit();
      case 'b':
        return this.actions.sendBreak();
      case 't':
        return this.actions.toggleTimestamps();
      case 's':
        return this.actions.say('\nThere are no disks to save to yet.\n');
      case 'c':
        return this.actions.toggleMonitor();
    }
  }
}

/** C-a t: the time since it was switched on, before each line of output. */
export class Timestamps {
  private start: number | undefined;
  private atLineStart = false;

  /** @param now milliseconds, never going back */
  toggle(now: number): void {
    this.start = this.start === undefined ? now : undefined;
    this.atLineStart = false;
  }

  output(bytes: Uint8Array, now: number): Uint8Array {
    if (this.start === undefined) return bytes;
    const elapsed = Math.floor(now - this.start);
    const field = (value: number, width: number) => String(value).padStart(width, '0');
    const [hours, minutes, seconds] = [Math.floor(elapsed / 3_600_000), Math.floor(elapsed / 60_000) % 60, Math.floor(elapsed / 1000) % 60];
    const stamp = new TextEncoder().encode(`[${field(hours, 2)}:${field(minutes, 2)}:${field(seconds, 2)}.${field(elapsed % 1000, 3)}] `);
    const out: number[] = [];
    for (const byte of bytes) {
      if (this.atLineStart) out.push(...stamp);
      this.atLineStart = byte === 0x0a;
      out.push(byte);
    }
    return Uint8Array.from(out);
  }
}
