// npm run bench: the figures of docs/performance.md. See --help.

import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { benchBoot, bootTable, summarise } from './boot.ts';
import { bundle } from './bundle.ts';
import { benchDisk, diskRatios, diskTables } from './disk.ts';
import { linuxGuest, type LinuxGuest, root } from './guests.ts';
import { benchLoops, loopTable } from './loops.ts';
import { pageSize, pageTable } from './page-size.ts';
import { benchMix, mixTable, summariseMix } from './mix.ts';
import { ARCHES } from './mix-guest.ts';
import { benchNetwork, networkRatios, networkTables } from './network.ts';
import { closeServers, tabvisorChromium, v86Chromium } from './peers/chromium.ts';
import type { Peer } from './peers/peer.ts';
import { qemu, tabvisorNode, v86Node } from './peers/processes.ts';
import { benchPrompt, promptTable } from './prompt.ts';

const PEERS: readonly Peer[] = [tabvisorNode, tabvisorChromium, v86Node, v86Chromium, qemu];
const BENCHMARKS = ['boot-i386', 'boot-amd64', 'mix', 'disk', 'network', 'loops', 'prompt', 'page'] as const;

const HELP = `npm run bench -- [OPTION…]: measures Tabvisor and its peers on this computer, in turn.

  --only NAME[,NAME…]   only these: ${BENCHMARKS.join(', ')}; boot means both boots
  --peers NAME[,NAME…]  only these machines: ${PEERS.map((peer) => peer.name).join(', ')}
  --runs N              runs of each, of which the median counts (default 3)
  --mix-seconds N       time of each part of the mix, and of each test of devices (default 1)
  --tabvisor OPTIONS    Tabvisor with these options besides, under Node; again for others: --tabvisor="-accel interpreter"
  --json FILE           where the figures go (default bench/results/TIME.json)
  --help                this text

The tables go to stdout, what is going on to stderr. docs/performance.md says what each figure means.
`;

/** A machine with options that its peers do not get. */
function withOptions(peer: Peer, options: string): Peer {
  const words = options.split(/\s+/).filter((word) => word !== '');
  return { ...peer, name: `${peer.name} ${options}`, title: `${peer.title}, ${options}`, start: (guest, until) => peer.start({ ...guest, tabvisor: words }, until) };
}

/** Something in the command line that cannot be used. */
class UsageError extends Error {}

function readOptions() {
  try {
    return parseArgs({
      options: {
        only: { type: 'string', multiple: true }, peers: { type: 'string', multiple: true },
        runs: { type: 'string', default: '3' }, 'mix-seconds': { type: 'string', default: '1' }, tabvisor: { type: 'string', multiple: true }, json: { type: 'string' }, help: { type: 'boolean' },
      },
    }).values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

/** The names that were given, or all; a name stands for those that begin with it. */
function choose(given: string[] | undefined, all: readonly string[], what: string): Set<string> {
  if (!given) return new Set(all);
  const chosen = new Set<string>();
  for (const name of given.flatMap((words) => words.split(','))) {
    const found = all.filter((it) => it === name || it.startsWith(`${name}-`));
    if (!found.length) throw new UsageError(`there is no ${what} ${name}; there are ${all.join(', ')}`);
    for (const it of found) chosen.add(it);
  }
  return chosen;
}

function ask(command: string, ...args: string[]): string {
  try {
    return execFileSync(command, args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return '';
  }
}

function describeMachine() {
  return { cpu: cpus()[0].model, cores: cpus().length, memoryMiB: Math.round(totalmem() / 2 ** 20), kernel: release() };
}

async function main(): Promise<void> {
  const options = readOptions();
  if (options.help) return void process.stdout.write(HELP);
  const runs = Number(options.runs);
  if (!Number.isInteger(runs) || runs < 1) throw new UsageError(`--runs ${options.runs}: a number from 1 on is needed`);
  const mixSeconds = Number(options['mix-seconds']);
  if (!(mixSeconds > 0)) throw new UsageError(`--mix-seconds ${options['mix-seconds']}: a number above 0 is needed`);
  const chosen = choose(options.only, BENCHMARKS, 'benchmark');
  const wanted = choose(options.peers, PEERS.map((peer) => peer.name), 'machine');
  const say = (text: string) => void process.stderr.write(`${text}\n`);
  const show = (text: string) => void process.stdout.write(`${text}\n\n`);

  const absent: Record<string, string> = {};
  const variants = (options.tabvisor ?? []).map((words) => withOptions(tabvisorNode, words));
  const peers = [...PEERS.filter((peer) => {
    if (!wanted.has(peer.name)) return false;
    const why = peer.missing();
    if (why !== undefined) {
      absent[peer.name] = why;
      say(`${peer.title} is left out: ${why}`);
    }
    return why === undefined;
  }), ...variants];
  await bundle();

  const started = new Date();
  const results: Record<string, unknown> = {
    date: started.toISOString(),
    commit: ask('git', 'rev-parse', 'HEAD'),
    hasLocalChanges: ask('git', 'status', '--porcelain', '--untracked-files=no') !== '',
    machine: describeMachine(),
    versions: Object.fromEntries(peers.map((peer) => [peer.name, peer.version()])),
    absent, runs,
    loadBefore: loadavg(),
  };
  const guests: LinuxGuest[] = (['i386', 'amd64'] as const).map(linuxGuest);
  try {
    const booted = guests.filter((guest) => chosen.has(`boot-${guest.name}`));
    if (booted.length) {
      const boots = await benchBoot(booted, peers, runs, say);
      results.boot = boots.map((it) => ({ ...it, summary: summarise(it) }));
      for (const guest of booted) show(bootTable(guest.name, boots, peers));
    }
    if (chosen.has('mix')) {
      const mixes = await benchMix(peers, runs, mixSeconds, say);
      const own = peers.filter((peer) => peer.name.startsWith('tabvisor'));
      const pairs = ARCHES.flatMap((arch) => own.flatMap((peer) => peers.filter((other) => !own.includes(other)).map((other) => ({ arch, peer: peer.name, to: other.name }))));
      results.mix = { seconds: mixSeconds, runs: mixes, summary: pairs.map(({ arch, peer, to }) => summariseMix(mixes, arch, peer, to)) };
      for (const arch of ARCHES) show(mixTable(arch, mixes, peers));
    }
    if (chosen.has('disk')) {
      const disks = await benchDisk(peers, runs, mixSeconds, say);
      results.disk = { seconds: mixSeconds, runs: disks, ratios: diskRatios(disks) };
      show(diskTables(disks));
    }
    if (chosen.has('network')) {
      const networks = await benchNetwork(peers, runs, mixSeconds, say);
      results.network = { seconds: mixSeconds, runs: networks, ratios: networkRatios(networks) };
      show(networkTables(networks));
    }
    if (chosen.has('loops')) {
      const loops = await benchLoops(peers, runs, say);
      results.loops = loops;
      show(loopTable(loops, peers));
    }
    if (chosen.has('prompt')) {
      const prompts = await benchPrompt(guests, peers, runs, say);
      results.prompt = prompts;
      show(promptTable(prompts));
    }
    if (chosen.has('page')) {
      const files = pageSize();
      results.page = files;
      show(pageTable(files));
    }
  } finally {
    await closeServers();
  }
  results.loadAfter = loadavg();
  const file = resolve(options.json ?? join(root, 'bench/results', `${started.toISOString().replace(/[:.]/g, '-')}.json`));
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(results, null, 1)}\n`);
  say(`The figures are in ${file}.`);
}

main().catch((error: unknown) => {
  process.stderr.write(`bench: ${error instanceof UsageError ? `${error.message}\n${HELP}` : (error as Error).stack}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
});
