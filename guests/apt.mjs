// Debian packages of any architecture, without root and without touching the host's package state:
// apt runs on package lists of its own in a cache folder. The mirrors are those the host uses.

import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const LISTS_MAX_AGE_MS = 24 * 3600 * 1000;

/** Something the host lacks; the message says what and what to do. */
export class GuestError extends Error {}

/** Throws a GuestError if a program is not there. */
export async function needProgram(program, debianPackage) {
  try {
    await run(program, ['--version']);
  } catch (error) {
    if (error.code === 'ENOENT') {
      throw new GuestError(`The program ${program} is missing (Debian package ${debianPackage}).`);
    }
  }
}

/** The packages of one architecture and release. */
export class PackageSource {
  #dir;
  #arch;
  #options;
  #log;

  /** @param dir folder for lists and downloads  @param log takes progress lines */
  constructor({ dir, arch, release, log }) {
    this.#dir = dir;
    this.#arch = arch;
    this.#log = log;
    const lists = join(dir, 'lists');
    for (const folder of ['lists/partial', 'archives/partial', 'state', 'sources.d', 'debs']) {
      mkdirSync(join(dir, folder), { recursive: true });
    }
    writeFileSync(join(dir, 'sources.list'), '');
    writeFileSync(join(dir, 'status'), '');
    writeSources(join(dir, 'sources.d'), release);
    this.#options = [
      ['APT::Architecture', arch],
      ['APT::Architectures', arch],
      ['APT::Sandbox::User', ''],
      ['Dir::State', join(dir, 'state')],
      ['Dir::State::Lists', lists],
      ['Dir::State::status', join(dir, 'status')],
      ['Dir::Cache', dir],
      ['Dir::Cache::archives', join(dir, 'archives')],
      ['Dir::Etc::sourcelist', join(dir, 'sources.list')],
      ['Dir::Etc::sourceparts', join(dir, 'sources.d')],
      ['Acquire::Languages', 'none'],
      ['Acquire::Retries', '3'],
      ['Acquire::Check-Valid-Until', 'false'],
      ['Acquire::IndexTargets::deb::DEP-11::DefaultEnabled', 'false'],
      ['Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled', 'false'],
      ['APT::Update::Post-Invoke', ''],
      ['APT::Update::Post-Invoke-Success', ''],
    ].flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  }

  /** Fetch the package lists if they are missing or older than a day. */
  async update() {
    const stamp = join(this.#dir, 'updated');
    if (existsSync(stamp) && Date.now() - statSync(stamp).mtimeMs < LISTS_MAX_AGE_MS) return;
    this.#log(`${this.#arch}: reading the package lists`);
    const { code, output } = await this.#apt('apt-get', ['-q', 'update']);
    const hasLists = readdirSync(join(this.#dir, 'lists')).some((name) => name.includes('_Packages'));
    if (!hasLists) {
      throw new GuestError(`apt-get could not read the package lists of ${this.#arch}:\n${indent(lastLines(output))}`);
    }
    if (code === 0) writeFileSync(stamp, '');
    else this.#log(`${this.#arch}: some package lists could not be read; going on with the others`);
  }

  /** The control fields of a package's newest version, or undefined. */
  async show(name) {
    const { code, stdout } = await this.#apt('apt-cache', ['--no-all-versions', 'show', name]);
    if (code !== 0 || !stdout.trim()) return undefined;
    const fields = {};
    for (const line of stdout.split('\n\n')[0].split('\n')) {
      const match = /^([A-Za-z0-9-]+): (.*)$/.exec(line);
      if (match) fields[match[1]] = match[2];
    }
    return fields;
  }

  /** Download a package (once) and return the path of its .deb. */
  async download(name) {
    const fields = await this.show(name);
    if (!fields) throw new GuestError(`There is no package ${name} for ${this.#arch} in the package lists.`);
    const debs = join(this.#dir, 'debs');
    const size = Number(fields.Size);
    const target = join(debs, basename(fields.Filename));
    if (existsSync(target) && statSync(target).size === size) return { file: target, version: fields.Version };

    const work = join(this.#dir, 'download');
    rmSync(work, { recursive: true, force: true });
    mkdirSync(work);
    const megabytes = (bytes) => (bytes / 1e6).toFixed(1);
    this.#log(`${this.#arch}: downloading ${name} ${fields.Version} (${megabytes(size)} MB)`);
    const timer = setInterval(() => {
      const got = readdirSync(work).reduce((sum, file) => sum + statSync(join(work, file)).size, 0);
      this.#log(`${this.#arch}: downloading ${name}: ${megabytes(got)} of ${megabytes(size)} MB`);
    }, 5000);
    const { code, output } = await this.#apt('apt-get', ['-q', 'download', name], work).finally(() => clearInterval(timer));
    const file = readdirSync(work).find((entry) => entry.endsWith('.deb'));
    if (code !== 0 || !file) {
      throw new GuestError(`apt-get could not download ${name} (${this.#arch}):\n${indent(lastLines(output))}`);
    }
    renameSync(join(work, file), target);
    rmSync(work, { recursive: true, force: true });
    return { file: target, version: fields.Version };
  }

  #apt(program, args, cwd = this.#dir) {
    return new Promise((resolve, reject) => {
      const child = spawn(program, [...this.#options, ...args], {
        cwd,
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { ...process.env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' },
      });
      let stdout = '';
      let output = '';
      child.stdout.on('data', (text) => ((stdout += text), (output += text)));
      child.stderr.on('data', (text) => (output += text));
      child.on('error', reject);
      child.on('close', (code) => resolve({ code, stdout, output }));
    });
  }
}

/** Unpack a .deb into a folder, as the user who runs this. */
export async function unpack(deb, folder) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  await run('dpkg-deb', ['-x', deb, folder], { maxBuffer: 1 << 26 });
}

/**
 * The host's apt sources with its own release replaced by the one asked for, so that a newer Debian
 * (which has no 32-bit kernels any more) gives the same guests. Sources of other origins are left out.
 */
function writeSources(folder, release) {
  const host = /^VERSION_CODENAME=(.*)$/m.exec(read('/etc/os-release'))?.[1]?.replaceAll('"', '') || release;
  const names = existsSync('/etc/apt/sources.list.d') ? readdirSync('/etc/apt/sources.list.d') : [];
  const paths = ['/etc/apt/sources.list', ...names.map((name) => join('/etc/apt/sources.list.d', name))];
  const asRelease = (text) => text.replaceAll(new RegExp(`\\b(${host}|stable|oldstable|testing)\\b`, 'g'), release);
  for (const name of readdirSync(folder)) rmSync(join(folder, name));
  for (const path of paths) {
    const text = read(path);
    const separator = path.endsWith('.sources') ? /\n\s*\n/ : /\n/;
    const kept = text
      .split(separator)
      .map((part) => part.split('\n').filter((line) => !/^\s*#/.test(line)).join('\n'))
      .filter((part) => part.trim())
      .map(asRelease)
      .filter((part) => new RegExp(`(^|\\s)${release}(-\\w+)?(\\s|$)`, "m").test(part))
      .map((part) => part.replace(/^(Architectures:.*|Enabled:\s*yes)\n?/gm, '').replace(/\barch=\S+?(?=[\s\]])/, ''));
    const isDeb822 = path.endsWith('.sources');
    const target = isDeb822 ? basename(path) : basename(path).replace(/(\.list)?$/, '.list');
    if (kept.length) writeFileSync(join(folder, target), kept.join(isDeb822 ? '\n\n' : '\n') + '\n');
  }
  if (!readdirSync(folder).length) {
    throw new GuestError(`No Debian source was found in /etc/apt (sources.list, sources.list.d) to take "${release}" packages from.`);
  }
}

const read = (path) => (existsSync(path) ? readFileSync(path, 'utf8') : '');
const indent = (text) => text.replace(/^/gm, '    ');
const lastLines = (text) => text.trim().split('\n').slice(-6).join('\n');
