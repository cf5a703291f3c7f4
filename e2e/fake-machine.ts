// A stand-in for the machine worker, for tests of the page alone (vite --mode fake-machine): it loads the files it is told to,
// keeps the counters, and plays a shell that knows a few words. Never part of the built page.

import { expose } from 'comlink';
import { BlobContents } from '../src/backends/fs/blob-contents.ts';
import { givenFolder } from '../src/backends/fs/given.ts';
import { HandleFolder } from '../src/backends/fs/handle-folder.ts';
import type { TrackedFolder } from '../src/backends/fs/tracked.ts';
import { Mem } from '../src/core/layout.ts';
import { MachineError, exposeMachine } from '../src/machine/client.ts';
import { download } from '../src/machine/download.ts';
import { Control, RunState, serialRings, type MachineApi, type MachineEvents, type MachineSpec } from '../src/machine/protocol.ts';
import type { NetworkPortApi } from '../src/machine/network-io.ts';
import { recognise } from '../src/ui/recognise.ts';
import { siteAnswer } from './site.ts';

// As far as a real machine's, but for the guest's RAM; what nobody touches takes no room.
const memory = new SharedArrayBuffer(Mem.RAM);
const words = new Int32Array(memory);
const counters = new BigUint64Array(memory);
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** In workers only (File API, 6.5.1); TypeScript's library has it with those of workers. */
declare const FileReaderSync: { new (): { readAsArrayBuffer(blob: Blob): ArrayBuffer } };

let folder: TrackedFolder | undefined;
let events: MachineEvents;
let state = RunState.EMPTY;
let flooding = false;
let typed = '';
/** What is in the CD-ROM drive. */
let inserted = '';
/** What the rings have no room for. */
const waiting: [string, string] = ['', ''];

function print(text: string, port = 0): void {
  waiting[port] += text.replaceAll('\n', '\r\n');
}

function flush(): void {
  for (const port of [0, 1]) {
    if (!waiting[port]) continue;
    // Only ASCII is printed here, so bytes and characters count the same.
    const written = serialRings(memory, port).toHost.write(encoder.encode(waiting[port].slice(0, Control.RING_SIZE)));
    waiting[port] = waiting[port].slice(written);
    Atomics.add(words, Control.OUTPUT / 4, 1);
    Atomics.notify(words, Control.OUTPUT / 4);
  }
}

function become(next: RunState): void {
  state = next;
  Atomics.store(words, Control.STATE / 4, next);
  void events.state(next);
}

function boot(): void {
  typed = '';
  flooding = false;
  waiting[0] = '';
  print('\x1b[1mLinux version 6.1.0-fake\x1b[0m (for tests of the page)\n');
  for (let i = 0; i < 40; i++) print(`[    0.${String(i * 9137).padStart(6, '0')}] device ${i}: \x1b[3${i % 7 + 1}mready\x1b[0m\n`);
  print('second port\n', 1);
  print('Tabvisor guest ready\n~ # ');
  become(RunState.RUNNING);
}

function run(line: string): void {
  switch (line) {
    case 'uname -m': print('x86_64\n'); break;
    case 'flood': flooding = true; return;
    case 'poweroff -f':
      print('reboot: Power down\n');
      become(RunState.OFF);
      void events.exited(0);
      return;
    case 'crash':
      become(RunState.FAILED);
      void events.failed({
        what: 'The guest crashed: triple fault', why: 'a fault came while the double fault before it was delivered',
        advice: 'Look at the registers below.', details: 'RAX=0000000000000000 RBX=0000000000000000\nRIP=ffffffff81000000',
      });
      return;
    case 'write':
      // What a guest would do to its folder, and then wait until it is safe.
      void writeInto(folder!).then(() => print('written\n~ # '), (error: Error) => print(`${error.message}\n~ # `));
      return;
    case 'die': throw new Error('the worker is made to die');
    case '': break;
    default: print(`sh: ${line}: not found\n`);
  }
  print('~ # ');
}

async function writeInto(it: TrackedFolder): Promise<void> {
  const text = (words: string) => encoder.encode(words);
  const both = { read: true, write: true };
  const note = it.open(['note.txt'], both);
  note.write(0, text('FROM'));
  await note.sync();
  // Over what is in the folder now.
  note.write(14, text('of the guest\n'));
  it.makeDirectory(['made'], 0o755);
  it.create(['made', 'big'], both, true, 0o644).write(3_000_000, text('end'));
  it.rename(['sub'], ['made', 'moved']);
  it.unlink(['old.txt']);
  it.makeDirectory(['old.txt'], 0o755);
  it.removeDirectory(['old.txt']);
  await it.bring();
}

function input(text: string): void {
  for (const c of text) {
    if (c === '\x03') { flooding = false; typed = ''; print('^C\n~ # '); }
    else if (c === '\r') { print('\n'); run(typed); typed = ''; }
    else { typed += c; print(c); }
  }
}

function tick(): void {
  if (state === RunState.RUNNING) {
    input(decoder.decode(serialRings(memory, 0).toGuest.read()));
    if (flooding && waiting[0].length < 1 << 16) {
      for (let i = 0; i < 200; i++) print(`flood ${counters[Control.ICOUNT / 8]} ${'x'.repeat(60)}\n`);
    }
    counters[Control.ICOUNT / 8] += flooding ? 1_000_000n : 123_000n;
    counters[Control.BUSY_NS / 8] += flooding ? 4_900_000n : 700_000n;
    counters[Control.GUEST_NS / 8] += flooding ? 4_500_000n : 500_000n;
  }
  flush();
}

const api: MachineApi = {
  async create(spec: MachineSpec, owner) {
    events = owner;
    become(RunState.LOADING);
    for (const [name, total] of [['core', 190_000], ['interpreter', 410_000]] as const) {
      for (let loaded = 0; loaded <= total; loaded += total / 5) {
        void events.progress({ phase: 'engine', name, loaded, total });
        await new Promise((done) => setTimeout(done, 20));
      }
    }
    for (const [i, file] of spec.files.entries()) {
      const phase = i === 0 ? 'kernel' as const : 'initrd' as const;
      const bytes = 'bytes' in file.source ? file.source.bytes
        : 'blob' in file.source ? new Uint8Array(await file.source.blob.arrayBuffer())
        : await download(file.source.url, file.name, (loaded, total) => { void events.progress({ phase, name: file.name, loaded, total }); });
      if (i === 0 && recognise(bytes).role !== 'kernel') {
        throw new MachineError({ what: `${file.name} is not a kernel`, why: `it is ${recognise(bytes).words}`, advice: 'Give a bzImage or a multiboot kernel.' });
      }
    }
    const [given] = spec.folders ?? [];
    if (given) {
      const reader = new FileReaderSync();
      const contents = (blob: Blob) => new BlobContents(blob, reader);
      const there = given.handle && new HandleFolder(given.handle);
      folder = givenFolder(given.files, false, contents, () => 0n, there && {
        makeDirectory: (path) => there.makeDirectory(path), remove: (path) => there.remove(path), begin: (path) => there.begin(path), append: (bytes) => there.append(bytes),
        end: async () => contents(await there.end()),
      });
    }
    void events.progress({ phase: 'loading', name: 'guest memory', loaded: 0, total: 0 });
    if (spec.args.includes('slow')) await new Promise(() => {});
    void events.progress({ phase: 'started', name: '', loaded: 0, total: 0 });
    boot();
    setInterval(tick, 5);
    return { memory };
  },
  async pause() { become(RunState.PAUSED); },
  async resume() { become(RunState.RUNNING); },
  async reset() { counters.fill(0n); boot(); },
  async powerButton() { throw new MachineError({ what: 'The guest does not listen', why: 'it plays dead', advice: '' }); },
  async powerOff() { become(RunState.OFF); void events.exited(0); },
  async registers() { return 'RAX=0'; },
  async drives() { return [{ name: 'ide1-cd0', kind: 'cdrom' as const, locked: false, ...(inserted ? { file: inserted } : {}) }]; },
  async insert(_drive, file) { inserted = file.name; },
  async eject() { inserted = ''; },
  async typeText(text) { input(text); return { unknown: [], refused: 0 }; },
  async screendump() { throw new MachineError({ what: 'There is no screen', why: 'it is a stand-in', advice: '' }); },
  async monitor(line) { return `unknown command: '${line}'\n`; },
  async monitorCompletions() { return []; },
  async folders() {
    return folder ? [{ path: 'work', kept: folder.isWrittenBack ? 'written' as const : 'memory' as const, changes: folder.changes.length, waiting: folder.waiting }] : [];
  },
  async folderChanges() { return folder!.changesArchive(); },
  async connectNetwork(port: MessagePort) {
    let asked = 0;
    expose({
      watch: (changed) => changed([{ id: 'net', type: 'user', to: '10.0.2.0/24', up: true, state: 'ready', peers: [] }]),
      introduce() {},
      // The guest's server is not up at once.
      ask: async (_netdev, index, request) => (index !== 0 || asked++ === 0 ? { failed: 'silent', why: 'it refused the connection' } : siteAnswer(request)),
    } satisfies NetworkPortApi, port);
  },
  async stateHash() { return { icount: 0, hash: '' }; },
};

exposeMachine(api);
