// print: the value of an expression.

import { command } from '../command.ts';
import { formatValue } from '../format.ts';
import { format, long } from '../parameters.ts';

export const print = command({
  names: ['print', 'p'],
  parameters: { format: format(), value: long() },
  usage: '/fmt expr',
  help: 'print expression value (use $reg for CPU register access)',
  run: (_session, { format: { letter }, value }) => formatValue(value, letter),
});
