// tabvisor-img: disk images on the command line, with qemu-img's names for commands and options.

import { FORMATS } from '../backends/block/formats.ts';
import { convert, create, optionsHelp, WRITABLE_FORMATS } from './create.ts';
import { formatOf, ImgError } from './files.ts';
import { check, info, snapshots } from './info.ts';

const HELP = `usage: tabvisor-img COMMAND [OPTIONS]
Disk images, as qemu-img.

  info [-f FORMAT] [--output=human|json] [-U] FILE
  check [-f FORMAT] [-U] FILE
  create [-q] [-f FORMAT] [-o OPTIONS] [-b BACKING -F FORMAT] [-u] FILE [SIZE]
  convert [-c] [-p] [-q] [-U] [-f FORMAT] [-l SNAPSHOT] [-O FORMAT] [-o OPTIONS] FILE TARGET
  snapshot -l [-U] FILE

Formats: ${FORMATS.join(' ')}; made: ${WRITABLE_FORMATS.join(' ')}. A file in gzip or zstd is read as what is in it.
-U: read an image that another process writes. -o help lists a format's options. SIZE takes k, M, G, T.
`;

interface Parsed {
  options: Map<string, string[]>;
  files: string[];
}

/** Single letters, with "=" if a value follows; long names the same. */
function parse(args: readonly string[], known: readonly string[]): Parsed {
  const options = new Map<string, string[]>();
  const files: string[] = [];
  const put = (name: string, value: string): void => void options.set(name, [...(options.get(name) ?? []), value]);
  for (let n = 0; n < args.length; n++) {
    const arg = args[n];
    if (arg === '--') {
      files.push(...args.slice(n + 1));
      break;
    }
    if (!arg.startsWith('-') || arg === '-') {
      files.push(arg);
      continue;
    }
    const long = arg.startsWith('--');
    const equals = long ? arg.indexOf('=') : -1;
    const name = long ? arg.slice(0, equals < 0 ? undefined : equals) : arg.slice(0, 2);
    if (name === '--help' || name === '-h') {
      put('--help', '');
      continue;
    }
    if (known.includes(`${name}=`)) {
      const value = long ? (equals < 0 ? args[++n] : arg.slice(equals + 1)) : arg.length > 2 ? arg.slice(2) : args[++n];
      if (value === undefined) throw new ImgError(`The option ${name} needs a value`);
      put(name, value);
    } else if (known.includes(name) && (long || arg.length === 2)) put(name, '');
    else throw new ImgError(`The option ${arg} is not supported. --help lists those that are`);
  }
  return { options, files };
}

function run(args: readonly string[]): number {
  const [command, ...rest] = args;
  const say = (text: string): void => void process.stdout.write(text);
  if (command === undefined || command === '--help' || command === '-h' || command === 'help') {
    say(HELP);
    return command === undefined ? 1 : 0;
  }
  const known: Record<string, string[]> = {
    info: ['-f=', '--output=', '-U'],
    check: ['-f=', '-q', '-U'],
    create: ['-f=', '-o=', '-b=', '-F=', '-u', '-q'],
    convert: ['-f=', '-O=', '-o=', '-l=', '-c', '-p', '-q', '-U'],
    snapshot: ['-l', '-U'],
  };
  if (!Object.hasOwn(known, command)) throw new ImgError(`Command not found: ${command}. --help lists the commands`);
  const { options, files } = parse(rest, known[command]);
  if (options.has('--help')) {
    say(HELP);
    return 0;
  }
  const one = (name: string): string | undefined => options.get(name)?.at(-1);
  const expect = (least: number, most: number): void => {
    if (files.length < least) throw new ImgError('Expecting one more file name. --help shows how');
    if (files.length > most) throw new ImgError(`Unexpected argument: ${files[most]}`);
  };
  switch (command) {
    case 'info': {
      expect(1, 1);
      const output = one('--output') ?? 'human';
      if (output !== 'human' && output !== 'json') throw new ImgError(`--output must be human or json, not ${output}`);
      say(info(files[0], formatOf(one('-f')), output === 'json', options.has('-U')));
      return 0;
    }
    case 'check': {
      expect(1, 1);
      const { text, status } = check(files[0], formatOf(one('-f')), options.has('-U'));
      if (!options.has('-q')) say(text);
      return status;
    }
    case 'snapshot':
      expect(1, 1);
      if (!options.has('-l')) throw new ImgError('Snapshots can be listed (-l), not made or changed');
      say(snapshots(files[0], options.has('-U')));
      return 0;
    case 'create': {
      const format = formatOf(one('-f')) ?? 'raw';
      if (options.get('-o')?.some((text) => text === 'help' || text === '?')) {
        say(optionsHelp(format));
        return 0;
      }
      expect(1, 2);
      const text = create({
        path: files[0], size: files[1], format, options: options.get('-o') ?? [], backing: one('-b'), backingFormat: formatOf(one('-F')), unsafe: options.has('-u'),
      });
      if (!options.has('-q')) say(text);
      return 0;
    }
    default: {
      const format = formatOf(one('-O')) ?? 'raw';
      if (options.get('-o')?.some((text) => text === 'help' || text === '?')) {
        say(optionsHelp(format));
        return 0;
      }
      expect(2, 2);
      const snapshot = one('-l')?.replace(/^snapshot\.(?:name|id)=/, '');
      convert({
        source: files[0], target: files[1], sourceFormat: formatOf(one('-f')), format, snapshot, shared: options.has('-U'), options: options.get('-o') ?? [], compress: options.has('-c'),
        progress: options.has('-p') && !options.has('-q') ? (done) => say(`    (${(100 * done).toFixed(2)}/100%)\r${done === 1 ? '\n' : ''}`) : undefined,
      });
      return 0;
    }
  }
}

try {
  process.exitCode = run(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof ImgError) && !(error instanceof Error && (error as NodeJS.ErrnoException).code !== undefined)) throw error;
  process.stderr.write(`tabvisor-img: ${error.message}\n`);
  process.exitCode = 1;
}
