// What a machine shows, small, for its card on Home.

import { useEffect, type RefObject } from 'react';
import { noteLook } from '../library.ts';

/** After the first moments, and then now and then. */
const FIRST_MS = 4000;
const EACH_MS = 15_000;
/** Lines and columns of a console. */
const ROWS = 18;
const COLUMNS = 80;

export interface Looks {
  /** A small picture of the screen, if that is what the user looks at. */
  picture(): Promise<Blob | null>;
  /** The last lines of the console, each cut at a number of columns. */
  lastLines(count: number, columns: number): string;
}

/** Keep the look of the machine of this line, while it lives. */
export function useLook(line: string, live: boolean, state: number, looks: RefObject<Looks>): void {
  useEffect(() => {
    if (!live) return;
    const note = async () => {
      const picture = await looks.current.picture();
      const text = looks.current.lastLines(ROWS, COLUMNS);
      if (picture) await noteLook(line, { picture });
      else if (text) await noteLook(line, { text });
    };
    const first = setTimeout(() => void note(), FIRST_MS);
    const each = setInterval(() => void note(), EACH_MS);
    const leave = () => void note();
    addEventListener('pagehide', leave);
    return () => {
      clearTimeout(first);
      clearInterval(each);
      removeEventListener('pagehide', leave);
    };
    // A new state is a new first look: the last screen of a guest that is off counts most.
  }, [line, live, state, looks]);
}
