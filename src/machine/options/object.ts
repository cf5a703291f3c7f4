// Objects that devices use. QEMU: -object. There are sources of random numbers, which all give the host's.

import type { Draft, Options } from './draft.ts';
import { notYet, OptionError, unknownKey } from './error.ts';
import { keyValues } from './values.ts';

export const OBJECT_OPTIONS: Options = {
  object: { argument: 'rng-builtin|rng-random,id=ID', help: 'a source of random numbers, for virtio-rng-pci,rng=ID', apply: applyObject },
};

/** Files that give the operating system's random numbers. */
const RANDOM_FILES = ['/dev/urandom', '/dev/random'];

function applyObject(draft: Draft, value: string, written: string): void {
  const fields = keyValues(value, 'qom-type', written);
  const type = fields.get('qom-type') ?? '';
  if (type !== 'rng-builtin' && type !== 'rng-random') throw notYet(written, `the object "${type}"`, 'Objects are rng-builtin and rng-random.');
  const id = fields.get('id');
  if (!id) throw new OptionError(written, 'it has no id', `Write -object ${type},id=NAME.`);
  if (draft.rngs.has(id)) throw new OptionError(written, `there is an object "${id}" already`);
  for (const key of fields.keys()) if (key !== 'qom-type' && key !== 'id' && !(key === 'filename' && type === 'rng-random')) throw unknownKey(written, key);
  const file = fields.get('filename');
  if (file !== undefined && !RANDOM_FILES.includes(file)) throw notYet(written, `filename=${file}`, `Files are ${RANDOM_FILES.join(' and ')}.`);
  draft.rngs.add(id);
}
