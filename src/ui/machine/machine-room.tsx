// The machine's room: its bar, its consoles, and what stands over them while it loads, when it is off, and when it failed.

import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from 'react';
import { RunState } from '../../machine/protocol.ts';
import { Confirm } from '../dialog.tsx';
import { guardLeaving } from '../leave-guard.ts';
import { hashOf, wordsOf } from '../line.ts';
import { LOCAL_PREFIX } from '../local-files.ts';
import { useDrop } from '../drop.ts';
import { take, type Given } from '../give.ts';
import { noteMachine } from '../library.ts';
import { notify } from '../notices.tsx';
import { recall, remember } from '../remember.ts';
import { Bar, type BarAction } from './bar.tsx';
import { BootPanel } from './boot-panel.tsx';
import { Console, type ConsoleHandle } from './console.tsx';
import { DisksDialog } from './disks-dialog.tsx';
import { DriveItems } from './drives.tsx';
import { Dropped } from './dropped.tsx';
import { FailurePanel } from './failure.tsx';
import { useLook, type Looks } from './look.ts';
import { MachineDialog } from './machine-dialog.tsx';
import { MonitorPanel, type MonitorHandle } from './monitor-panel.tsx';
import { Panels, type PanelContent, type PanelId } from './panels.tsx';
import { NetworkItems, networkTrouble } from './network-items.tsx';
import { PreviewPanel, type PreviewHandle } from './preview-panel.tsx';
import { PcKeyboard } from './pc-keyboard.tsx';
import { Screen, type ScreenHandle } from './screen.tsx';
import { StickyKeys } from './sticky-keys.ts';
import { save } from '../save-file.ts';
import { FolderItems } from './folder-items.tsx';
import { FolderPanel } from './folder-panel.tsx';
import { MachineSession, type Command } from './session.ts';
import { TouchKeys, withModifiers, type Modifiers } from './touch-keys.tsx';
import panel from './panel.module.css';
import styles from './machine-room.module.css';

/** For scripts and tests: what the user sees, without the renderer in between. */
export interface PageHandle {
  state(): RunState;
  /** Text of a serial console: screen and scrollback. */
  consoleText(port?: number): string;
  /** Text of the screen; empty in graphics modes. */
  screenText(): string;
  monitorText(): string;
}

declare global {
  interface Window { tabvisor?: PageHandle }
}

export function MachineRoom({ line }: { line: string }) {
  const [run, setRun] = useState(0);
  return <MachineRun key={run} line={line} onAgain={() => setRun(run + 1)} />;
}

type Question = 'reset' | 'powerOff' | 'leave';

const SPOKEN = 'tabvisor-spoken';
/** Width of the picture on Home, dots. */
const THUMBNAIL = 400;
const CRISP = 'tabvisor-crisp';
/** Which panels are open, by what the machine shows first. */
const PANELS = 'tabvisor-panels-';
const FONT_SIZE = { key: 'tabvisor-font-size', least: 9, most: 28, usual: 14 };

function MachineRun({ line, onAgain }: { line: string; onAgain(): void }) {
  const [session] = useState(() => new MachineSession(line));
  const view = useSyncExternalStore(session.subscribe, session.getView);
  const [tab, setTab] = useState<number>();
  const [question, setQuestion] = useState<Question>();
  const [fontSize, setFontSize] = useState(storedFontSize);
  const [spoken, setSpoken] = useState(() => recall(SPOKEN) === 'yes');
  const [modifiers, setModifiers] = useState<Modifiers>({ ctrl: false, alt: false });
  const [crisp, setCrisp] = useState(() => recall(CRISP) === 'yes');
  const [sticky] = useState(() => new StickyKeys());
  const [keyboard, setKeyboard] = useState(hasTouch);
  const [systemKeyboard, setSystemKeyboard] = useState(false);
  const [leds, setLeds] = useState(0);
  const [chosenPanels, setChosenPanels] = useState<readonly PanelId[]>();
  const [focused, setFocused] = useState<PanelId>();
  const consoles = useRef(new Map<number, ConsoleHandle>());
  const screen = useRef<ScreenHandle>(null);
  const monitor = useRef<MonitorHandle>(null);
  const preview = useRef<PreviewHandle>(null);
  const bar = useRef<HTMLElement>(null);
  /** Has the user typed something that leaving would lose? */
  const typed = useRef(false);
  const leaving = useRef(false);
  const destination = useRef('');

  const { state, title } = view;
  const port = tab ?? view.ports[0] ?? 0;
  const running = state === RunState.RUNNING || state === RunState.PAUSED;
  const active = () => consoles.current.get(port);
  const available: readonly PanelId[] = [...(view.screen ? ['screen' as const] : []), ...(view.ports.length || !view.screen ? ['console' as const] : []), ...(view.monitor ? ['monitor' as const] : []), ...(view.forwards.length ? ['preview' as const] : [])];
  const first: PanelId = view.screenFirst ? 'screen' : 'console';
  // What its author forwards a port for is to be seen; beside the console, where there is room for both.
  const kind = view.forwards.length ? `${first}-preview` : first;
  const shown = panelsToShow(available, first, chosenPanels ?? recall(PANELS + kind)?.split(' ') ?? (view.forwards.length && !isNarrow() ? [first, 'preview'] : []));
  /** Where the keyboard goes. */
  const target: PanelId = focused && shown.includes(focused) ? focused : shown.includes(first) ? first : shown[0];
  const focus = () => {
    if (target === 'screen') screen.current?.focus();
    else if (target === 'monitor') monitor.current?.focus();
    else if (target === 'preview') preview.current?.focus();
    else active()?.focus();
  };

  useEffect(() => {
    void session.start();
    return () => {
      session.dispose();
      if (document.fullscreenElement) void document.exitFullscreen();
    };
  }, [session]);

  useEffect(() => { document.title = `${title} – ${stateWords(state).toLowerCase()} – Tabvisor`; }, [title, state]);

  useEffect(() => {
    window.tabvisor = {
      state: () => session.getView().state,
      consoleText: (n = session.getView().ports[0]) => consoles.current.get(n)?.text() ?? '',
      screenText: () => screen.current?.text() ?? '',
      monitorText: () => monitor.current?.text() ?? '',
    };
    return () => { delete window.tabvisor; };
  }, [session]);

  // The lamps of the keyboard, while there is one to show them.
  useEffect(() => {
    const sender = session.input;
    if (!sender || !keyboard) return;
    const looking = setInterval(() => setLeds(sender.leds), 250);
    return () => clearInterval(looking);
  }, [session, view.live, keyboard]);

  // Back, or another link, ends the machine just as well.
  useEffect(() => {
    if (!running) return;
    return guardLeaving((hash) => {
      if (leaving.current || !typed.current) return false;
      destination.current = hash;
      setQuestion('leave');
      return true;
    });
  }, [running]);

  // A phone's keyboard covers the page rather than shrinking it; the console must stay above it.
  const [height, setHeight] = useState<number>();
  useEffect(() => {
    const viewport = window.visualViewport;
    if (!viewport || !matchMedia('(pointer: coarse)').matches) return;
    // Zoomed in by the user, the visible part says nothing about the keyboard.
    const follow = () => { if (viewport.scale === 1) setHeight(viewport.height); };
    viewport.addEventListener('resize', follow);
    return () => viewport.removeEventListener('resize', follow);
  }, []);

  const [editing, setEditing] = useState(false);
  const [showsDisks, setShowsDisks] = useState(false);
  const [dropped, setDropped] = useState<Given[]>([]);
  const dropping = useDrop(useCallback((files: File[]) => {
    void take(files).then((given) => {
      // A machine that failed because it lacked this file may be tried again.
      if (session.getView().failure && given.some((file) => session.line.includes(file.name))) onAgain();
      else setDropped(given);
    });
  }, [session, onAgain]));

  // Home shows what each machine showed last.
  useEffect(() => { if (view.live) void noteMachine(line, session.getView().title); }, [line, session, view.live]);
  const looks = useRef<Looks>({ picture: () => Promise.resolve(null), lastLines: () => '' });
  looks.current = {
    picture: () => (target === 'screen' ? screen.current?.thumbnail(THUMBNAIL) : undefined) ?? Promise.resolve(null),
    lastLines: (count, columns) => active()?.lastLines(count, columns) ?? '',
  };
  useLook(line, view.live, state, looks);

  // Ctrl+W is a shell's key and closes the tab: ask, once the user has typed something that could be lost.
  useEffect(() => {
    const ask = (event: BeforeUnloadEvent) => { if (typed.current && running) event.preventDefault(); };
    addEventListener('beforeunload', ask);
    return () => removeEventListener('beforeunload', ask);
  }, [running]);

  const command = useCallback((name: Command) => {
    // Before the guest's first words after it.
    if (name === 'reset') for (const it of consoles.current.values()) it.mark('— reset —');
    session.command(name).catch((error: Error) => notify(error.message, 'error'));
  }, [session]);

  const typeText = (text: string) => {
    typed.current = true;
    session.type(text).then((note) => { if (note) notify(note); }, (error: Error) => notify(error.message, 'error'));
  };

  const report = (error: Error) => notify(error.message, 'error');
  const insert = (drive: string, file: Pick<Given, 'name' | 'title' | 'raw'>) => {
    setDropped([]);
    session.insert(drive, file).then(() => notify(`${file.title} is in the drive`), report);
    focus();
  };
  const eject = (drive: string) => {
    session.eject(drive, false).catch((error: Error) => notify(error.message, 'error', {
      label: 'Take it out by force', run: () => void session.eject(drive, true).catch(report),
    }));
    focus();
  };

  /** To another address, after asking if this machine runs. */
  const goTo = (hash: string) => {
    if (!running) {
      location.hash = hash;
      return;
    }
    destination.current = hash;
    setQuestion('leave');
  };

  const act = (action: BarAction) => {
    switch (action) {
      case 'reset': case 'powerOff': setQuestion(action); return;
      case 'home':
        goTo('');
        return;
      case 'edit': setEditing(true); return;
      case 'pause': case 'resume': case 'powerButton': command(action); break;
      case 'find': active()?.find(); return;
      case 'copy':
        void active()?.copy().then((done) => notify(done ? 'Copied' : 'Select text in the console first'), refused('copying'));
        break;
      case 'paste': void active()?.paste().catch(refused('reading the clipboard: use Ctrl+Shift+V')); break;
      case 'clear': active()?.clear(); break;
      case 'larger': case 'smaller': {
        const size = Math.min(FONT_SIZE.most, Math.max(FONT_SIZE.least, fontSize + (action === 'larger' ? 1 : -1)));
        setFontSize(size);
        remember(FONT_SIZE.key, String(size));
        return;
      }
      case 'speak':
        setSpoken(!spoken);
        remember(SPOKEN, spoken ? 'no' : 'yes');
        break;
      case 'download': downloadLog(session, port); break;
      case 'link': void copyLink(line); break;
      case 'screenshot': void saveScreenshot(screen.current, title); break;
      case 'fullscreen': void toggleFullscreen(); break;
      case 'keyboard': setKeyboard(!keyboard); break;
      case 'type': void navigator.clipboard.readText().then(typeText, refused('reading the clipboard: use Ctrl+Shift+V')); break;
      case 'crisp':
        setCrisp(!crisp);
        remember(CRISP, crisp ? 'no' : 'yes');
        return;
    }
    focus();
  };

  const answer = (yes: boolean) => {
    const asked = question;
    setQuestion(undefined);
    if (yes && asked === 'leave') {
      leaving.current = true;
      location.hash = destination.current;
    } else if (yes && asked) command(asked as Command);
    focus();
  };

  const filter = useCallback((data: string) => {
    if (!modifiers.ctrl && !modifiers.alt) return data;
    setModifiers({ ctrl: false, alt: false });
    return withModifiers(data, modifiers);
  }, [modifiers]);

  const togglePanel = (id: PanelId) => {
    const next = shown.includes(id) ? shown.filter((other) => other !== id) : [...shown, id];
    // The last one stays.
    if (!next.length) return;
    setChosenPanels(next);
    remember(PANELS + kind, next.join(' '));
  };
  // The keyboard is where the user looks, without a click.
  useEffect(() => { if (view.live) focus(); }, [view.live, target]);

  const leave = () => bar.current?.querySelector<HTMLElement>('button:not(:disabled)')?.focus();
  const panels: PanelContent[] = available.map((id) => id === 'screen' ? {
    id, label: 'Screen',
    node: <Screen ref={screen} memory={view.live ? session.memory : undefined} sender={session.input} sticky={sticky} running={running}
      systemKeyboard={systemKeyboard || !hasTouch()} title={title} crisp={crisp} onLeave={leave} onUsed={() => { typed.current = true; }} onPaste={typeText} />,
  } : id === 'monitor' ? {
    id, label: 'Monitor', node: <MonitorPanel ref={monitor} session={session} live={view.live} shown={shown.includes('monitor')} fontSize={fontSize} onLeave={leave} />,
  } : id === 'preview' ? {
    id, label: 'Preview', node: <PreviewPanel ref={preview} session={session} live={view.live} shown={shown.includes('preview')} />,
  } : {
    id, label: 'Console',
    node: (
      <div className={styles.consoles}>
        {view.ports.length > 1 && <Tabs ports={view.ports} titles={view.portTitles} port={port} onPort={setTab} />}
        <div id="consoles" className={styles.terminals} role={view.ports.length > 1 ? 'tabpanel' : undefined} aria-labelledby={view.ports.length > 1 ? `tab-${port}` : undefined}>
          {view.ports.map((n) => (
            <Console key={n} pump={view.live ? session.pump : undefined} port={n} title={view.portTitles.get(n) ?? ''} active={n === port && shown.includes('console')} running={running} fontSize={fontSize} spoken={spoken} filter={filter}
              onLeave={leave}
              onTyped={() => { typed.current = true; }}
              ref={(handle) => {
                if (handle) consoles.current.set(n, handle);
                return () => { consoles.current.delete(n); };
              }} />
          ))}
          {view.live && !view.ports.length && <p className={styles.none}>This machine has no serial port or console to show.</p>}
        </div>
      </div>
    ),
  });

  const over = state === RunState.OFF || state === RunState.FAILED;
  return (
    <div className={styles.room} style={{ height }}>
      <Bar ref={bar} session={session} view={view} spoken={spoken} crisp={crisp} keyboard={keyboard} panels={panels} shown={shown} onPanel={togglePanel}
        drives={view.drives.length > 0 && <DriveItems drives={view.drives} onInsert={insert} onEject={eject} onDisks={() => setShowsDisks(true)} />}
        folders={view.folders.length > 0 && <FolderItems session={session} folders={view.folders} />}
        network={view.network.length > 0 && <NetworkItems network={view.network} forwards={view.forwards} preview={shown.includes('preview')} onPreview={() => togglePanel('preview')} />} trouble={networkTrouble(view.network)} onAction={act} />
      {dropped.length > 0 && (
        <Dropped files={dropped} drives={running ? view.drives : []} onInsert={insert} onClose={() => { setDropped([]); focus(); }} onBoot={(other) => {
          setDropped([]);
          goTo(hashOf(other));
        }} />
      )}
      <main className={styles.stage}>
        <div className={`${styles.screens} ${over ? styles.ended : ''}`} onFocus={(event) => setFocused(panelOf(event.target) ?? focused)}>
          <Panels panels={panels} shown={shown} />
        </div>
        {!view.live && !view.failure && view.wantedFolder && (
          <div className={panel.over}><FolderPanel key={view.wantedFolder.path} folder={view.wantedFolder} onGiven={(gift) => session.giveFolder(gift)} /></div>
        )}
        {!view.live && !view.failure && !view.wantedFolder && <div className={panel.over}><BootPanel view={view} line={line} /></div>}
        {state === RunState.OFF && !view.failure && (
          <div className={panel.over}>
            <section className={panel.panel} aria-labelledby="off-title">
              <h1 id="off-title">{title} is off</h1>
              {view.exitStatus !== undefined && view.exitStatus !== 0 && <p className={panel.muted}>Exit status {view.exitStatus}</p>}
              <div className={panel.buttons}>
                <button type="button" className="button primary" autoFocus onClick={onAgain}>Start again</button>
                <a className="button" href="#">Home</a>
                <button type="button" className="button" onClick={() => act('edit')}>Change the machine</button>
                {view.drives.some((drive) => drive.kept) && <button type="button" className="button" onClick={() => setShowsDisks(true)}>Disks…</button>}
                <button type="button" className="button" onClick={() => act('download')}>Download console log</button>
                {view.folders.map(({ path, kept, changes }) => kept === 'memory' && changes > 0 && (
                  <button key={path} type="button" className="button" onClick={() => session.downloadChanges(path).catch(report)}>Download changes of {path}</button>
                ))}
              </div>
            </section>
          </div>
        )}
        {view.failure && (
          <div className={panel.over}>
            <FailurePanel failure={view.failure} onRetry={onAgain} line={line}>
              <button type="button" className="button" onClick={() => act('edit')}>Change the machine</button>
              {view.live && <button type="button" className="button" onClick={() => act('download')}>Download console log</button>}
            </FailurePanel>
          </div>
        )}
      </main>
      {target === 'console' && <TouchKeys modifiers={modifiers} onModifiers={setModifiers} type={(data) => active()?.type(data)} arrow={(letter) => active()?.arrow(letter)} />}
      {shown.includes('screen') && keyboard && running && session.input && (
        <PcKeyboard sender={session.input} sticky={sticky} leds={leds} system={hasTouch() ? systemKeyboard : undefined} onUsed={() => { typed.current = true; }}
          onSystem={(show) => { setSystemKeyboard(show); screen.current?.focus(); }} />
      )}
      <div className="hidden" role="status">{title}: {stateWords(state)}</div>
      {editing && <MachineDialog line={line} running={running} onClose={() => { setEditing(false); focus(); }} onBoot={(changed) => {
        setEditing(false);
        leaving.current = true;
        if (hashOf(changed) === hashOf(line)) onAgain();
        else location.hash = hashOf(changed);
      }} />}
      {showsDisks && <DisksDialog drives={view.drives} running={running} onClose={() => { setShowsDisks(false); focus(); }} />}
      {dropping && <div className={styles.dropping} aria-hidden="true">Drop it here</div>}
      {question && <Question question={question} title={title} onAnswer={answer} />}
    </div>
  );
}

function Tabs({ ports, titles, port, onPort }: { ports: readonly number[]; titles: ReadonlyMap<number, string>; port: number; onPort(port: number): void }) {
  return (
    <div className={styles.tabs} role="tablist" aria-label="Consoles" onKeyDown={(event) => {
      const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
      const next = ports[ports.indexOf(port) + step];
      if (step && next !== undefined) {
        onPort(next);
        event.currentTarget.querySelector<HTMLElement>(`#tab-${next}`)?.focus();
      }
    }}>
      {ports.map((n) => (
        <button key={n} id={`tab-${n}`} type="button" role="tab" aria-selected={n === port} aria-controls="consoles" tabIndex={n === port ? 0 : -1}
          onClick={() => onPort(n)}>{titles.get(n)}</button>
      ))}
    </div>
  );
}

/** The panels that are open: those the user chose, for a machine of this kind, as far as this one has them; else what it shows first. */
function panelsToShow(available: readonly PanelId[], first: PanelId, wanted: readonly string[]): PanelId[] {
  const shown = available.filter((id) => wanted.includes(id));
  return shown.length ? shown : [available.includes(first) ? first : available[0]];
}

/** Two panels beside each other would be too small to use. */
const isNarrow = () => matchMedia('(max-width: 48rem)').matches;

/** The device is used by finger. */
const hasTouch = () => matchMedia('(pointer: coarse)').matches;

function panelOf(element: Element): PanelId | undefined {
  return element.closest<HTMLElement>('[data-panel]')?.dataset.panel as PanelId | undefined;
}

async function saveScreenshot(screen: ScreenHandle | null, title: string): Promise<void> {
  const png = await screen?.png();
  if (!png) return notify('There is no picture yet');
  save(png, `${title.replace(/[^\w.-]+/g, '-')}-${new Date().toISOString().slice(0, 19).replace(/[T:]/g, '-')}.png`);
}

/** All of the page, because what is not within the element in full screen cannot be clicked, notices among it. The browser's own keys are the guest's then, where it allows that. */
async function toggleFullscreen(): Promise<void> {
  try {
    if (document.fullscreenElement) {
      await document.exitFullscreen();
      return;
    }
    await document.documentElement.requestFullscreen();
    await (navigator as { keyboard?: { lock?(): Promise<void> } }).keyboard?.lock?.();
    notify('Hold Esc to leave the full screen');
  } catch {
    refused('the full screen')();
  }
}

function Question({ question, title, onAnswer }: { question: Question; title: string; onAnswer(yes: boolean): void }) {
  switch (question) {
    case 'reset': return <Confirm title={`Reset ${title}?`} action="Reset" onAnswer={onAnswer}>It starts again as if its reset button were pressed. What it holds in memory is lost.</Confirm>;
    case 'powerOff': return <Confirm title={`Pull the plug of ${title}?`} action="Pull the plug" onAnswer={onAnswer}>It is off at once, without shutting down. What it holds in memory is lost.</Confirm>;
    case 'leave': return <Confirm title={`Leave ${title}?`} action="Leave" onAnswer={onAnswer}>It is switched off. What it holds in memory is lost.</Confirm>;
  }
}

export function stateWords(state: RunState): string {
  switch (state) {
    case RunState.EMPTY: case RunState.LOADING: return 'Loading';
    case RunState.RUNNING: return 'Running';
    case RunState.PAUSED: return 'Paused';
    case RunState.OFF: return 'Off';
    case RunState.FAILED: return 'Failed';
  }
}

function storedFontSize(): number {
  const size = Number(recall(FONT_SIZE.key));
  return size >= FONT_SIZE.least && size <= FONT_SIZE.most ? size : FONT_SIZE.usual;
}

function refused(what: string): () => void {
  return () => notify(`The browser did not allow ${what}`, 'error');
}

async function copyLink(line: string): Promise<void> {
  const own = wordsOf(line).some((word) => word.startsWith(LOCAL_PREFIX));
  const note = own ? ' It names files that are in this browser only: who opens it must drop the same files first.' : '';
  if (matchMedia('(pointer: coarse)').matches && typeof navigator.share === 'function') {
    // Rejects when the user closes the sheet.
    await navigator.share({ title: document.title, url: location.href }).catch(() => {});
    return;
  }
  await navigator.clipboard.writeText(location.href).then(() => notify(`Link copied.${note}`), refused('copying: take the address from the address bar'));
}

function downloadLog(session: MachineSession, port: number): void {
  const log = session.pump?.log(port);
  if (!log?.parts.length) {
    notify('The console has no output yet');
    return;
  }
  save(new Blob([...log.parts] as BlobPart[], { type: 'text/plain' }), `${session.getView().title.replace(/[^\w.-]+/g, '-')}-${session.getView().portTitles.get(port) ?? `serial${port}`}.log`);
  if (log.dropped) notify(`The log starts after ${log.dropped} older bytes, which were not kept`);
}
