// What stands in a terminal, as text: the rows of an xterm buffer (IBuffer), of which several may be one line that was wrapped.

interface Row {
  /** Goes on with the line of the row above. */
  readonly isWrapped: boolean;
  translateToString(trimRight?: boolean): string;
}

export interface Rows {
  readonly length: number;
  getLine(row: number): Row | undefined;
}

/** All of it. Of a full scrollback it takes 35 ms and more. */
export function allText(rows: Rows): string {
  let text = '';
  for (let i = 0; i < rows.length; i++) {
    const row = rows.getLine(i);
    if (!row) continue;
    text += (i > 0 && !row.isWrapped ? '\n' : '') + row.translateToString(true);
  }
  return text.trimEnd();
}

/** The last `count` lines that are not empty at the end, each cut at `columns` characters. Of the scrollback only they are read. */
export function lastLines(rows: Rows, count: number, columns: number): string {
  let end = rows.length;
  while (end > 0 && !rows.getLine(end - 1)?.translateToString(true)) end--;
  let first = end;
  for (let found = 0; first > 0 && found < count;) if (!rows.getLine(--first)?.isWrapped) found++;
  const lines: string[] = [];
  for (let i = first; i < end; i++) {
    const row = rows.getLine(i);
    const isWrapped = row?.isWrapped && lines.length > 0;
    if (!isWrapped) lines.push('');
    const line = lines[lines.length - 1];
    if (line.length < columns) lines[lines.length - 1] = (line + (row?.translateToString(true) ?? '')).slice(0, columns);
  }
  return lines.join('\n');
}
