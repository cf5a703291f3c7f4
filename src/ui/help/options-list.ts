// The options that the machine line may have, for the table in Help: read from what -help prints, so that both say the same.

import { parse } from '../../machine/options/index.ts';

/** Column at which -help's explanations begin; of an option too long for that, the explanation is in the line below. */
const COLUMN = 31;

export interface OptionLine { usage: string; words: string }

export function optionsList(): OptionLine[] {
  const lines = (parse(['-help']).information ?? '').split('\n');
  return lines.flatMap((line, i) => {
    if (!line.startsWith('-')) return [];
    const below = lines[i + 1]?.startsWith(' '.repeat(COLUMN));
    return below
      ? [{ usage: line.trim(), words: lines[i + 1].trim() }]
      : [{ usage: line.slice(0, COLUMN).trim(), words: line.slice(COLUMN).trim() }];
  });
}
