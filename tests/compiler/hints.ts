// The conditional branches of a module, with what their hints say: as binaryen reads them.

import binaryen from 'binaryen';

const SAYS: Record<string, string> = { '\\00': 'seldom', '\\01': 'mostly' };

/**
 * Of each function its branches, as they stand in binaryen's text: `br_if seldom`, `if mostly`, `if`. Those that leave a region, which takes a value,
 * are called `exit`, and where nothing else is done before `if exit`.
 */
export function hintsOf(bytes: Uint8Array): string[][] {
  // Only so does it read hints.
  const read = (binaryen as unknown as { readBinaryWithFeatures(bytes: Uint8Array, features: number): binaryen.Module }).readBinaryWithFeatures;
  const module = read(bytes, binaryen.Features.All);
  const lines = module.emitText().split('\n');
  module.dispose();
  const functions: string[][] = [];
  let hint = '';
  const hasDescription = (n: number): boolean => /^ *\(i64\.const /.test(lines[n + 1]);
  lines.forEach((line, n) => {
    if (/^ *\(func /.test(line)) functions.push([]);
    const said = /^ *\(@metadata\.code\.branch_hint "(.*)"\)$/.exec(line);
    const branch = /^( *)\((br_if|if)\b/.exec(line);
    if (said) hint = ` ${SAYS[said[1]]}`;
    else if (branch) {
      const [, indent, name] = branch;
      const then = name === 'if' ? lines.indexOf(`${indent} (then`, n) : -1;
      const isExit = name === 'br_if' ? hasDescription(n) : /^ *\(br /.test(lines[then + 1]) && hasDescription(then + 1);
      functions[functions.length - 1].push(`${isExit ? (name === 'if' ? 'if exit' : 'exit') : name}${hint}`);
      hint = '';
    }
  });
  return functions;
}
