// The monitor of the machine, as a panel: a terminal with a line editor. The commands run in the machine's worker.

import { useEffect, useImperativeHandle, useRef, type Ref } from 'react';
import { Terminal } from '@xterm/xterm';
import { FitAddon } from '@xterm/addon-fit';
import '@xterm/xterm/css/xterm.css';
import { VERSION } from '../../machine/options/index.ts';
import { Readline } from '../../monitor/readline.ts';
import { followTheme } from './terminal-theme.ts';
import type { MachineSession } from './session.ts';
import styles from './console.module.css';

export interface MonitorHandle {
  focus(): void;
  /** What it shows, as text. */
  text(): string;
}

export interface MonitorPanelProps {
  session: MachineSession;
  /** The machine is there. */
  live: boolean;
  shown: boolean;
  fontSize: number;
  /** The user wants to leave the panel by key. */
  onLeave(): void;
  ref: Ref<MonitorHandle>;
}

export function MonitorPanel({ session, live, shown, fontSize, onLeave, ref }: MonitorPanelProps) {
  const place = useRef<HTMLDivElement>(null);
  const terminal = useRef<{ it: Terminal; fit: FitAddon }>(undefined);
  const leave = useRef(onLeave);
  leave.current = onLeave;
  // A terminal is made when it is first seen.
  const wasShown = useRef(false);
  wasShown.current ||= shown && live;
  const isMade = wasShown.current;

  useEffect(() => {
    if (!isMade) return;
    const it = new Terminal({ fontFamily: getComputedStyle(document.documentElement).getPropertyValue('--mono'), fontSize, lineHeight: 1.2, minimumContrastRatio: 4.5, scrollback: 10_000 });
    const fit = new FitAddon();
    it.loadAddon(fit);
    it.open(place.current!);
    it.textarea?.setAttribute('aria-label', 'Monitor');
    const stopFollowing = followTheme(it);
    const readline = new Readline({
      write: (text) => it.write(text),
      execute: (line) => session.monitor(line),
      complete: (text) => session.monitorCompletions(text),
    });
    it.onData((data) => readline.input(data));
    it.attachCustomKeyEventHandler((event) => {
      if (!event.ctrlKey || !event.shiftKey || event.altKey || event.metaKey) return true;
      if (event.code === 'KeyV') return false;
      if (event.code === 'KeyC' && it.hasSelection()) {
        if (event.type === 'keydown') void navigator.clipboard.writeText(it.getSelection());
      } else if (event.code === 'KeyL') {
        if (event.type === 'keydown') leave.current();
      } else {
        return true;
      }
      event.preventDefault();
      return false;
    });
    it.write(`Tabvisor ${VERSION} monitor - type 'help' for more information\r\n`);
    readline.start();
    terminal.current = { it, fit };
    return () => {
      stopFollowing();
      terminal.current = undefined;
      it.dispose();
    };
    // One terminal for the machine's whole life.
  }, [session, isMade]);

  useEffect(() => {
    if (!shown || !isMade) return;
    const refit = () => { if (place.current?.clientHeight) terminal.current?.fit.fit(); };
    refit();
    const observer = new ResizeObserver(() => requestAnimationFrame(refit));
    observer.observe(place.current!);
    return () => observer.disconnect();
  }, [shown, isMade]);

  useEffect(() => {
    if (!terminal.current) return;
    terminal.current.it.options.fontSize = fontSize;
    if (shown) terminal.current.fit.fit();
  }, [fontSize, shown]);

  useImperativeHandle(ref, () => ({
    focus: () => terminal.current?.it.focus(),
    text() {
      const buffer = terminal.current?.it.buffer.active;
      return Array.from({ length: buffer?.length ?? 0 }, (_, line) => buffer!.getLine(line)?.translateToString(true) ?? '').join('\n').trimEnd();
    },
  }), []);

  return <div className={styles.console}><div ref={place} className={styles.place} /></div>;
}
