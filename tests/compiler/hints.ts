// The conditional branches of a module, with what their hints say: as binaryen reads them.

import binaryen from 'binaryen';

const SAYS: Record<string, string> = { '\\00': 'seldom', '\\01': 'mostly' };

/** Of each function its branches, as they stand in binaryen's text: `br_if seldom`, `if mostly`, `if`; an exit of a region, which has a value, as `exit`. */
export function hintsOf(bytes: Uint8Array): string[][] {
  // Only so does it read hints.
  const read = (binaryen as unknown as { readBinaryWithFeatures(bytes: Uint8Array, features: number): binaryen.Module }).readBinaryWithFeatures;
  const module = read(bytes, binaryen.Features.All);
  const text = module.emitText();
  module.dispose();
  const functions: string[][] = [];
  let hint = '';
  const lines = text.split('\n').map((line) => line.trim());
  lines.forEach((line, n) => {
    if (line.startsWith('(func ')) functions.push([]);
    const said = /^\(@metadata\.code\.branch_hint "(.*)"\)$/.exec(line);
    const branch = /^\((br_if|if)\b/.exec(line);
    if (said) hint = ` ${SAYS[said[1]]}`;
    else if (branch) {
      const isExit = branch[1] === 'br_if' && /^\(i64\.const /.test(lines[n + 1]);
      functions[functions.length - 1].push(`${isExit ? 'exit' : branch[1]}${hint}`);
      hint = '';
    }
  });
  return functions;
}
