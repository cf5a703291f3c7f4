// Makes the bundled guests and fetches the firmware. For each guest a kernel and an initramfs from Debian packages, in guests/out/NAME:
//   vmlinuz          Debian's kernel, as the package has it
//   initrd.cpio      the initramfs, not compressed: unpacking is done once by the host, not by the guest's CPU
//   initrd.cpio.gz   the same for the way over the network
//   guest.json       what it is and the machine line that boots it
// and in guests/out/firmware SeaBIOS, its VGA BIOS and the network cards' iPXE, for machines that boot without -kernel.
// in guests/out/media images that specs boot from, as their packages have them; and, only when they are named, Debian's installers (installer-amd64, installer-i386)
// and a Debian system on a disk (disk: disk.mjs, needs root).
// Usage: node guests/make.mjs [--force] [--out FOLDER] [NAME…]     (the firmware's name is firmware, the media's is media)

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { GuestError, needProgram, PackageSource, unpack } from './apt.mjs';
import { CpioArchive } from './cpio.mjs';
import { dependencies, findModules } from './modules.mjs';
import { makeDisk } from './disk.mjs';
import { firmware, guests, installers, media, prompt, readyLine, release } from './recipes.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const log = (text) => console.log(`guests: ${text}`);
const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

/** What is made without being named: all that `npm start` and `npm test` need. */
const STANDARD = ['firmware', 'media', ...Object.keys(guests)];

/** What `npm run test:long` boots besides. */
const FOR_LONG_TESTS = [...Object.keys(installers).map((arch) => `installer-${arch}`), 'disk'];

/** Make the named guests; those that are up to date are left alone. */
export async function makeGuests(names = STANDARD, { force = false, out = join(here, 'out') } = {}) {
  for (const name of names) {
    const files = { firmware, media }[name] ?? installers[/^installer-(.*)$/.exec(name)?.[1]];
    if (files) {
      await fetchFiles(name, files, force, join(out, name));
      continue;
    }
    if (name === 'disk') {
      await makeDisk({ here, out: join(out, 'disk'), log });
      continue;
    }
    const recipe = guests[name];
    if (!recipe) throw new GuestError(`There is no guest "${name}"; there are ${[...STANDARD, ...FOR_LONG_TESTS].join(', ')}.`);
    const fingerprint = recipeFingerprint(recipe);
    if (!force && isUpToDate(join(out, name), fingerprint)) log(`${name}: up to date`);
    else await makeGuest(name, recipe, fingerprint, join(out, name));
  }
}

/** Files as they are in packages, and what they are (files.json). */
async function fetchFiles(name, recipe, force, out) {
  const fingerprint = sha256(JSON.stringify([recipe, release]));
  try {
    const known = JSON.parse(readFileSync(join(out, 'files.json'), 'utf8'));
    if (!force && known.fingerprint === fingerprint && known.files.every(({ file, bytes }) => statSync(join(out, file)).size === bytes)) return log(`${name}: up to date`);
  } catch {
    // Not there yet, or not whole.
  }
  await needProgram('apt-get', 'apt');
  await needProgram('dpkg-deb', 'dpkg');
  const cache = join(here, 'cache', recipe.arch);
  const source = new PackageSource({ dir: cache, arch: recipe.arch, release, log });
  await source.update();
  const fresh = `${out}.new`;
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh, { recursive: true });
  const files = [];
  for (const [packageName, wanted] of Object.entries(recipe.packages)) {
    const deb = await source.download(packageName);
    const tree = join(cache, name);
    await unpack(deb.file, tree);
    for (const [file, path] of Object.entries(wanted)) {
      if (!existsSync(join(tree, path))) throw new GuestError(`The package ${packageName} holds no ${path}.`);
      const bytes = readFileSync(join(tree, path));
      writeFileSync(join(fresh, file), bytes);
      files.push({ file, bytes: bytes.length, package: packageName, version: deb.version });
    }
    rmSync(tree, { recursive: true, force: true });
  }
  writeFileSync(join(fresh, 'files.json'), JSON.stringify({ files, fingerprint }, null, 2) + '\n');
  rmSync(out, { recursive: true, force: true });
  renameSync(fresh, out);
  log(`${name}: ready in ${relative(process.cwd(), out) || out}: ${files.map(({ file }) => file).join(', ')}`);
}

async function makeGuest(name, recipe, fingerprint, out) {
  await needProgram('apt-get', 'apt');
  await needProgram('dpkg-deb', 'dpkg');
  const cache = join(here, 'cache', recipe.arch);
  const source = new PackageSource({ dir: cache, arch: recipe.arch, release, log });
  await source.update();

  const kernelPackage = await resolveKernel(source, recipe);
  const kernelDeb = await source.download(kernelPackage);
  const busyboxDeb = await source.download('busybox-static');

  log(`${name}: unpacking`);
  const kernelTree = join(cache, 'kernel');
  const busyboxTree = join(cache, 'busybox');
  await unpack(kernelDeb.file, kernelTree);
  await unpack(busyboxDeb.file, busyboxTree);

  const boot = join(kernelTree, 'boot');
  const image = readdirSync(boot).find((file) => file.startsWith('vmlinuz-'));
  if (!image) throw new GuestError(`The package ${kernelPackage} holds no kernel image.`);
  const kernel = readFileSync(join(boot, image));
  const kernelRelease = image.slice('vmlinuz-'.length);
  const busyboxPath = ['bin/busybox', 'usr/bin/busybox'].map((path) => join(busyboxTree, path)).find(existsSync);
  if (!busyboxPath) throw new GuestError('The package busybox-static holds no /bin/busybox.');

  log(`${name}: writing the initramfs`);
  const initrd = makeInitramfs(readFileSync(busyboxPath), kernelTree, kernelRelease, recipe);
  const compressed = gzipSync(initrd, { level: 9 });

  const fresh = `${out}.new`;
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh, { recursive: true });
  const part = (file, bytes, more) => {
    writeFileSync(join(fresh, file), bytes);
    return { file, bytes: bytes.length, sha256: sha256(bytes), ...more };
  };
  const description = {
    name,
    title: recipe.title,
    arch: recipe.arch,
    machine: recipe.machine,
    release: kernelRelease,
    kernel: part('vmlinuz', kernel, { package: kernelPackage, version: kernelDeb.version }),
    initrd: part('initrd.cpio', initrd, { package: 'busybox-static', version: busyboxDeb.version }),
    /** For the way over the network; decompress it before the machine gets it. */
    initrdCompressed: part('initrd.cpio.gz', compressed),
    memory: recipe.memory,
    append: recipe.append,
    /** The machine line; the file names are relative to this folder. */
    args: ['-m', String(recipe.memory), '-kernel', 'vmlinuz', '-initrd', 'initrd.cpio', '-append', recipe.append],
    ready: readyLine,
    prompt,
    fingerprint,
  };
  writeFileSync(join(fresh, 'guest.json'), JSON.stringify(description, null, 2) + '\n');
  rmSync(out, { recursive: true, force: true });
  renameSync(fresh, out);
  rmSync(kernelTree, { recursive: true, force: true });
  rmSync(busyboxTree, { recursive: true, force: true });
  const kib = (bytes) => `${Math.round(bytes.length / 1024)} KiB`;
  log(`${name}: ready in ${relative(process.cwd(), out) || out}: Linux ${kernelRelease}, kernel ${kib(kernel)}, initramfs ${kib(initrd)} (${kib(compressed)} compressed)`);
}

/** linux-image-686 and the like are empty packages that depend on the current kernel's. */
async function resolveKernel(source, recipe) {
  for (const candidate of recipe.kernel) {
    const fields = await source.show(candidate);
    const real = /\b(linux-image-[^\s,(]+)/.exec(fields?.Depends ?? '')?.[1];
    if (real) return real;
  }
  throw new GuestError(`None of the kernel packages ${recipe.kernel.join(', ')} is in the package lists of ${recipe.arch}.`);
}

function makeInitramfs(busybox, kernelTree, kernelRelease, recipe) {
  const archive = new CpioArchive();
  const directories = ['bin', 'dev', 'etc', 'etc/acpi', 'etc/acpi/PWRF', 'etc/init.d', 'etc/udhcpc', 'lib', 'mnt', 'proc', 'root', 'run', 'sys', 'tmp', 'usr', 'usr/bin', 'usr/sbin', 'sbin', 'var', 'var/log'];
  for (const directory of directories) archive.directory(directory);
  archive.characterDevice('dev/console', 5, 1);
  archive.file('bin/busybox', busybox, 0o755);
  archive.symlink('init', 'bin/busybox');
  archive.symlink('linuxrc', 'bin/busybox');
  for (const applet of appletNames(busybox)) {
    if (applet !== 'busybox' && applet !== 'linuxrc') archive.symlink(`bin/${applet}`, 'busybox');
  }
  for (const program of ['init', 'poweroff', 'reboot', 'halt', 'modprobe']) archive.symlink(`sbin/${program}`, '../bin/busybox');
  archive.symlink('var/run', '../run');
  for (const [path, bytes] of rootFiles()) archive.file(path, bytes, /init\.d\/|acpi\/|udhcpc\//.test(path) ? 0o755 : 0o644);
  addModules(archive, kernelTree, kernelRelease, recipe);
  return archive.bytes();
}

/** Modules with what they need, a modules.dep for modprobe, and /etc/modules with those to load at boot. */
function addModules(archive, kernelTree, kernelRelease, { modules, modulesOnDemand }) {
  archive.directory('lib/modules');
  archive.directory(`lib/modules/${kernelRelease}`);
  const available = findModules(join(kernelTree, 'lib/modules', kernelRelease));
  const builtIn = new Set(readFileSync(join(kernelTree, 'lib/modules', kernelRelease, 'modules.builtin'), 'utf8')
    .split('\n').map((line) => line.replace(/^.*\//, '').replace(/\.ko$/, '').replaceAll('-', '_')));
  const wanted = [...modules, ...modulesOnDemand].filter((name) => !builtIn.has(name));
  const missing = wanted.filter((name) => !available.has(name));
  if (missing.length) throw new GuestError(`The kernel ${kernelRelease} has no module ${missing.join(', ')}.`);
  const all = dependencies(available, wanted);
  let depends = '';
  for (const module of all) {
    archive.file(`lib/modules/${kernelRelease}/${module.file}`, readFileSync(module.path));
    // modprobe loads them from right to left (depmod's order).
    depends += `${module.file}:${module.needs.map((name) => ` ${available.get(name).file}`).reverse().join('')}\n`;
  }
  archive.file(`lib/modules/${kernelRelease}/modules.dep`, Buffer.from(depends));
  archive.file('etc/modules', Buffer.from(modules.filter((name) => !builtIn.has(name)).join('\n') + '\n'));
}

/** The programs in a busybox binary: its table of names, sorted, each ended by a zero byte, the list by an empty name. */
function appletNames(busybox) {
  const start = busybox.indexOf('\0[\0[[\0', 0, 'latin1') + 1;
  if (start === 0) throw new GuestError('The busybox binary has no table of program names.');
  const names = [];
  for (let at = start; busybox[at] !== 0; ) {
    const end = busybox.indexOf(0, at);
    names.push(busybox.toString('latin1', at, end));
    at = end + 1;
  }
  if (!names.includes('sh') || !names.includes('init') || !names.includes('cttyhack')) {
    throw new GuestError('The busybox binary lacks sh, init or cttyhack.');
  }
  return names;
}

/** Our own files for the initramfs, by path. */
function rootFiles() {
  const root = join(here, 'rootfs');
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((file) => file.isFile())
    .map((file) => join(file.parentPath ?? file.path, file.name))
    .sort()
    .map((path) => [relative(root, path), readFileSync(path)]);
}

/** Changes when the recipe, our files or these scripts change. */
function recipeFingerprint(recipe) {
  const scripts = ['make.mjs', 'cpio.mjs', 'modules.mjs'].map((file) => readFileSync(join(here, file), 'utf8'));
  return sha256(JSON.stringify([recipe, release, readyLine, prompt, scripts, rootFiles().map(([path, bytes]) => [path, sha256(bytes)])]));
}

function isUpToDate(out, fingerprint) {
  try {
    const description = JSON.parse(readFileSync(join(out, 'guest.json'), 'utf8'));
    return description.fingerprint === fingerprint
      && [description.kernel, description.initrd, description.initrdCompressed].every((part) => readFileSync(join(out, part.file)).length === part.bytes);
  } catch {
    return false;
  }
}

const ADVICE = `
The bundled guests are made on a Debian system with apt-get, dpkg-deb and access to its package mirror.
Without them Tabvisor still runs your own kernel and initramfs:
    bin/tabvisor -nographic -kernel FILE -initrd FILE -append "console=ttyS0"
and in the page by dropping the two files on it.`;

if (process.argv[1] && fileURLToPath(import.meta.url) === process.argv[1]) {
  const args = process.argv.slice(2);
  const outAt = args.indexOf('--out');
  const out = outAt < 0 ? undefined : args.splice(outAt, 2)[1];
  const names = args.filter((arg) => !arg.startsWith('--'));
  try {
    await makeGuests(names.length ? names : undefined, { force: args.includes('--force'), out });
  } catch (error) {
    if (!(error instanceof GuestError)) throw error;
    console.error(`guests: ${error.message}\n${ADVICE}`);
    process.exitCode = 1;
  }
}
