// Makes a clone ready, step by step; what is there already is left alone. Runs before node_modules exists, so it imports
// only what comes with Node until the packages are installed.
//   node scripts/setup.mjs          for `npm start`: packages, engine, runner, guests
//   node scripts/setup.mjs --build  the same, for `npm run build`
//   node scripts/setup.mjs --test   also Debian packages that the tests need, and the built page
//   node scripts/setup.mjs --long   for `npm run test:long`: the same, Debian's installers, and a Debian system on a disk image

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const forLongTests = process.argv.includes('--long');
const forTests = forLongTests || process.argv.includes('--test');

/** Programs of the tests, and the Debian package that has each. */
const TEST_PROGRAMS = [
  ['chromium', 'chromium', 'the page is tested in it'],
  ['nasm', 'nasm', 'assembles the test guests'],
  ['qemu-system-x86_64', 'qemu-system-x86', 'runs the test guests for comparison'],
  ['qemu-img', 'qemu-utils', 'makes and checks disk images'],
  ['zstd', 'zstd', 'compresses disk images'],
  ['perl', 'perl-base', 'sets the locks of image files for the runner'],
  ['mke2fs', 'e2fsprogs', 'makes and checks file systems'],
  ['passt', 'passt', 'a relay\'s room has its network by it'],
  ['socat', 'socat', 'makes TAP interfaces for the relay'],
  ['ip', 'iproute2', 'gives them addresses'],
  ['gcc', 'gcc', 'builds the program that asks the real processor'],
];

/** The same of the long tests. */
const LONG_TEST_PROGRAMS = [
  ['xorriso', 'xorriso', 'makes the installation CD that they boot'],
  ['mmdebstrap', 'mmdebstrap', 'installs Debian into a folder'],
  ['mke2fs', 'e2fsprogs', 'makes a file system of it'],
];

/** A step that cannot be done; the message says what is missing and what to do. */
class SetupError extends Error {}

const say = (text) => console.log(`setup: ${text}`);

async function main() {
  checkNode();
  installPackages();
  if (forTests) installTestPrograms();
  await buildEngine();
  await makeGuests();
  if (forTests) buildPage();
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    throw new SetupError(`Node ${process.versions.node} is too old: 20.19 or newer is needed.`);
  }
}

/** npm ci, when there are no packages or package-lock.json has changed since. */
function installPackages() {
  const modules = join(root, 'node_modules');
  const stamp = join(modules, '.tabvisor-lock');
  const lock = join(root, 'package-lock.json');
  const wanted = createHash('sha256').update(readFileSync(lock)).digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  const installed = statSync(join(modules, '.package-lock.json'), { throwIfNoEntry: false });
  if (!installed || installed.mtimeMs < statSync(lock).mtimeMs) {
    say('installing npm packages (npm ci)');
    const env = { ...process.env, PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD: '1' };
    if (!runs('npm', ['ci', '--no-audit', '--no-fund'], { env })) {
      throw new SetupError('The npm packages could not be installed. Is there a network, and is its package registry reachable?');
    }
  }
  writeFileSync(stamp, wanted);
}

/** apt-get install of what is not there. */
function installTestPrograms() {
  const missing = [...TEST_PROGRAMS, ...(forLongTests ? LONG_TEST_PROGRAMS : [])].filter(([program]) => !hasProgram(program));
  // gcc alone has no C library to link with.
  const packages = missing.flatMap(([, debianPackage]) => (debianPackage === 'gcc' ? ['gcc', 'libc6-dev'] : [debianPackage]));
  if (!missing.length) return;
  for (const [program, debianPackage, why] of missing) say(`${program} is missing (package ${debianPackage}): ${why}`);
  const command = `apt-get install -y --no-install-recommends ${packages.join(' ')}`;
  const byHand = `Install them by hand:\n    sudo ${command}`;
  if (!hasProgram('apt-get')) throw new SetupError(`There is no apt-get here to install them with. Needed are: ${missing.map(([program]) => program).join(', ')}.`);
  const isRoot = process.getuid() === 0;
  const hasSudo = !isRoot && hasProgram('sudo') && (process.stdin.isTTY || spawnSync('sudo', ['-n', 'true']).status === 0);
  if (!isRoot && !hasSudo) throw new SetupError(`Only root can install them. ${byHand}`);

  const apt = (...args) => {
    const words = [...(isRoot ? [] : ['sudo']), 'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', ...args];
    say(words.join(' '));
    return runs(words[0], words.slice(1), { stdio: [isRoot ? 'ignore' : 'inherit', 'inherit', 'inherit'] });
  };
  const install = () => apt('install', '-y', '-q', '--no-install-recommends', ...packages);
  // On a fresh machine there are no package lists, and old lists name files that are gone.
  const isFresh = !existsSync('/var/lib/apt/lists') || !readdirSync('/var/lib/apt/lists').some((name) => name.includes('_Packages'));
  if (isFresh) apt('update', '-q');
  if (!install() && (isFresh || !apt('update', '-q') || !install())) {
    throw new SetupError(`apt-get could not install them; its messages stand above. ${byHand}`);
  }
}

/** build/core.wasm, build/interpreter.wasm, build/node. */
async function buildEngine() {
  const core = await import('./build-core.mjs');
  say('engine: core.wasm');
  await core.buildIfOlder();
  const interpreter = join(root, 'build/interpreter.wasm');
  const sources = ['src/core/layout.ts', 'src/x86', 'src/wasm', 'src/engine', 'scripts/build-interpreter.ts'];
  if (isOlder(interpreter, sources)) {
    say('engine: interpreter.wasm');
    if (!runs(process.execPath, ['--import', 'tsx', 'scripts/build-interpreter.ts'])) throw new SetupError('interpreter.wasm could not be built.');
  }
  say('headless runner');
  await (await import('./build-node.mjs')).build();
}

/** The bundled guests. The tests need them; the page and the runner also work with one's own kernel. */
async function makeGuests() {
  const standard = ['firmware', 'media', 'amd64', 'i386'];
  const disk = existsSync(join(root, 'guests/out/disk/debian.img')) ? [] : ['disk'];
  const names = forLongTests ? [...standard, 'installer-amd64', 'installer-i386', ...disk] : [];
  // By a process of its own, so that its advice is the same as when it is called by hand.
  if (runs(process.execPath, ['guests/make.mjs', ...names])) return;
  if (forTests) throw new SetupError('The bundled guests could not be made, and the tests boot them.');
  say('going on without the bundled guests');
}

function buildPage() {
  say('page');
  if (!runs(process.execPath, [join(root, 'node_modules/vite/bin/vite.js'), 'build', '--logLevel', 'warn'])) throw new SetupError('The page could not be built.');
}

/** True if a file is missing or older than one of the sources (files and folders, from the root). */
function isOlder(file, sources) {
  const built = statSync(file, { throwIfNoEntry: false });
  if (!built) return true;
  const files = sources.flatMap((source) => {
    const path = join(root, source);
    if (!statSync(path).isDirectory()) return [path];
    return readdirSync(path, { recursive: true }).filter((name) => !name.includes('.spec.')).map((name) => join(path, name));
  });
  return files.some((path) => statSync(path).mtimeMs > built.mtimeMs);
}

function hasProgram(name) {
  return (process.env.PATH ?? '').split(delimiter).concat('/usr/sbin', '/sbin').some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return folder !== '';
    } catch {
      return false;
    }
  });
}

function runs(program, args, options = {}) {
  return spawnSync(program, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'], ...options }).status === 0;
}

try {
  await main();
} catch (error) {
  console.error(error instanceof SetupError ? `setup: ${error.message}` : error);
  process.exitCode = 1;
}
