// The search bar of a console.

import { useEffect, useRef, useState } from 'react';
import type { Terminal } from '@xterm/xterm';
import type { ISearchOptions, SearchAddon } from '@xterm/addon-search';
import { Icon } from '../icons.tsx';
import styles from './console.module.css';

// xterm's search counts matches only when it may mark them; it takes #rrggbb alone.
const OPTIONS = (): ISearchOptions => ({
  decorations: matchMedia('(prefers-color-scheme: dark)').matches
    ? { matchBackground: '#5c4a10', activeMatchBackground: '#8a4b08', matchOverviewRuler: '#b38600', activeMatchColorOverviewRuler: '#e08a2e' }
    : { matchBackground: '#ffe58a', activeMatchBackground: '#ffb95c', matchOverviewRuler: '#c79a00', activeMatchColorOverviewRuler: '#b35900' },
});

export function FindBar({ terminal, search, onClose }: { terminal: Terminal; search: SearchAddon; onClose(): void }) {
  const [text, setText] = useState(() => terminal.getSelection().split('\n')[0]);
  const [count, setCount] = useState({ index: -1, total: 0 });
  const field = useRef<HTMLInputElement>(null);

  useEffect(() => {
    field.current?.select();
    const results = search.onDidChangeResults(({ resultIndex, resultCount }) => setCount({ index: resultIndex, total: resultCount }));
    return () => {
      results.dispose();
      search.clearDecorations();
    };
  }, [search]);
  useEffect(() => {
    if (text) search.findPrevious(text, { ...OPTIONS(), incremental: true });
    else {
      search.clearDecorations();
      setCount({ index: -1, total: 0 });
    }
  }, [text, search]);

  const earlier = () => { search.findPrevious(text, OPTIONS()); };
  const later = () => { search.findNext(text, OPTIONS()); };
  return (
    <form className={styles.find} role="search" onSubmit={(event) => { event.preventDefault(); earlier(); }}
      onKeyDown={(event) => {
        if (event.key === 'Escape') onClose();
        else if (event.key === 'Enter' && event.shiftKey) { event.preventDefault(); later(); }
      }}>
      <input ref={field} type="text" aria-label="Find in the console" placeholder="Find" value={text} autoFocus spellCheck={false} autoComplete="off"
        onChange={(event) => setText(event.target.value)} />
      <span className={styles.count} aria-live="polite">
        {text === '' ? '' : count.total === 0 ? 'nothing' : count.index < 0 ? `${count.total} found` : `${count.index + 1} of ${count.total}`}
      </span>
      <button type="submit" aria-label="Earlier match" title="Earlier match (Enter)"><Icon name="up" /></button>
      <button type="button" aria-label="Later match" title="Later match (Shift+Enter)" onClick={later}><Icon name="down" /></button>
      <button type="button" aria-label="Close the search" title="Close (Escape)" onClick={onClose}><Icon name="close" /></button>
    </form>
  );
}
