// The slim bar over the console: whose machine, how it is, what one can do to it, and its live figures.

import { useId, useRef, useSyncExternalStore, type ReactNode, type Ref } from 'react';
import { RunState } from '../../machine/protocol.ts';
import { millions, percent } from '../format.ts';
import { Icon, type IconName } from '../icons.tsx';
import { stateWords } from './machine-room.tsx';
import type { PanelContent, PanelId } from './panels.tsx';
import type { Command, MachineSession, SessionView } from './session.ts';
import styles from './bar.module.css';

export type BarAction = Command | 'home' | 'find' | 'copy' | 'paste' | 'clear' | 'larger' | 'smaller' | 'download' | 'speak' | 'link' | 'screenshot' | 'fullscreen' | 'crisp' | 'keyboard' | 'type' | 'edit';

const STATE_CLASS: Record<RunState, string> = {
  [RunState.EMPTY]: '', [RunState.LOADING]: styles.loading, [RunState.RUNNING]: styles.running,
  [RunState.PAUSED]: styles.paused, [RunState.OFF]: '', [RunState.FAILED]: styles.failed,
};

const PANEL_ICONS: Record<PanelId, IconName> = { screen: 'screen', console: 'console', monitor: 'monitor', preview: 'globe' };

export interface BarProps {
  session: MachineSession;
  view: SessionView;
  /** Screen readers read the console's output. */
  spoken: boolean;
  /** The screen's dots have hard edges; its keyboard is shown. */
  crisp: boolean;
  keyboard: boolean;
  /** The panels that this machine has, and those that are open. */
  panels: readonly PanelContent[];
  shown: readonly PanelId[];
  onPanel(id: PanelId): void;
  /** What stands under Drives; without it the machine has none. */
  drives: ReactNode;
  /** What stands under Folders, if the machine shares any. */
  folders: ReactNode;
  /** What stands under Network, and what is wrong with it. */
  network: ReactNode;
  trouble: string;
  onAction(action: BarAction): void;
  ref: Ref<HTMLElement>;
}

export function Bar({ session, view, spoken, crisp, keyboard, panels, shown, onPanel, drives, folders, network, trouble, onAction, ref }: BarProps) {
  const { state, pending } = view;
  const running = state === RunState.RUNNING || state === RunState.PAUSED;
  const can = running && !pending;
  return (
    <header ref={ref} className={styles.bar}>
      <button type="button" className={styles.control} aria-label="Home" title="Home" onClick={() => onAction('home')}><Icon name="home" /></button>
      <h1 className={styles.title} title={view.title}>{view.title}</h1>
      <span className={`${styles.state} ${STATE_CLASS[state]}`} data-state={stateWords(state)}>{stateWords(state)}</span>
      <FiguresView session={session} shown={running} paused={state === RunState.PAUSED} />
      <div className={styles.controls} role="toolbar" aria-label="Machine">
        {state === RunState.PAUSED
          ? <Control icon="play" label="Resume" disabled={!can} onClick={() => onAction('resume')} />
          : <Control icon="pause" label="Pause" disabled={!can} onClick={() => onAction('pause')} />}
        <Control icon="reset" label="Reset" disabled={!can} onClick={() => onAction('reset')} />
        <Menu icon="power" label="Power" disabled={!can}>
          <Item icon="power" label="Press the power button" note="asks the guest to shut down" onClick={() => onAction('powerButton')} />
          <Item icon="close" label="Pull the plug…" note="off at once" onClick={() => onAction('powerOff')} />
        </Menu>
        {drives && <Menu icon="disk" label="Drives" disabled={!running}>{drives}</Menu>}
        {folders && <Menu icon="folder" label="Folders" disabled={!view.live}>{folders}</Menu>}
        {network && <Menu icon="network" label={trouble ? `Network: ${trouble}` : 'Network'} alert={trouble !== ''} disabled={!running}>{network}</Menu>}
        {view.screen && shown.includes('screen') && <Control icon="keyboard" label="Keyboard" pressed={keyboard} disabled={!running} onClick={() => onAction('keyboard')} />}
        {view.screen && <Control icon="camera" label="Screenshot" disabled={!view.live} onClick={() => onAction('screenshot')} />}
        <Menu icon="panels" label="View" disabled={!view.live}>
          {panels.length > 1 && panels.map(({ id, label }) => (
            <Item key={id} icon={PANEL_ICONS[id]} label={label} note={shown.includes(id) ? 'shown' : 'hidden'} pressed={shown.includes(id)} onClick={() => onPanel(id)} />
          ))}
          {view.screen && <Item icon="grid" label="Crisp dots" note={crisp ? 'on' : 'off'} pressed={crisp} keepOpen onClick={() => onAction('crisp')} />}
          {view.screen && <Item icon="paste" label="Type the clipboard’s text" disabled={!running} onClick={() => onAction('type')} />}
          <Item icon="edit" label="Change the machine…" onClick={() => onAction('edit')} />
          <Item icon="expand" label="Full screen" onClick={() => onAction('fullscreen')} />
        </Menu>
        {shown.includes('console') && <Menu icon="console" label="Console" disabled={!view.live}>
          <Item icon="search" label="Find" note="Ctrl+Shift+F" onClick={() => onAction('find')} />
          <Item icon="copy" label="Copy" note="Ctrl+Shift+C" onClick={() => onAction('copy')} />
          <Item icon="paste" label="Paste" note="Ctrl+Shift+V" disabled={!running} onClick={() => onAction('paste')} />
          <Item icon="larger" label="Larger letters" keepOpen onClick={() => onAction('larger')} />
          <Item icon="smaller" label="Smaller letters" keepOpen onClick={() => onAction('smaller')} />
          <Item icon="clear" label="Clear the console" onClick={() => onAction('clear')} />
          <Item icon="speak" label="For screen readers" note={spoken ? 'on' : 'off'} pressed={spoken} onClick={() => onAction('speak')} />
          <Item icon="download" label="Download console log" onClick={() => onAction('download')} />
        </Menu>}
        <Control icon="link" label="Copy link" onClick={() => onAction('link')} />
        <a className={styles.control} href="#help" target="_blank" rel="noopener" aria-label="Help (opens a new tab)" title="Help"><Icon name="help" /></a>
      </div>
    </header>
  );
}

function FiguresView({ session, shown, paused }: { session: MachineSession; shown: boolean; paused: boolean }) {
  const figures = useSyncExternalStore(session.subscribe, session.getFigures);
  if (!shown) return <div className={styles.figures} />;
  const { instructions, guest, host } = paused ? { instructions: 0, guest: 0, host: 0 } : figures;
  return (
    <dl className={styles.figures} aria-label="Live figures">
      <Figure term="Speed" title="Guest instructions a second, in millions" value={millions(instructions)} unit="MIPS" name="mips" />
      <Figure term="Guest CPU" title="Share of a host CPU in which guest code runs" value={percent(guest)} name="guest-cpu" />
      <Figure term="Host CPU" title="Share of a host CPU that the machine uses" value={percent(host)} name="host-cpu" />
    </dl>
  );
}

function Figure({ term, title, value, unit, name }: { term: string; title: string; value: string; unit?: string; name: string }) {
  return (
    <div className={styles.figure} title={title}>
      <dt>{term}</dt>
      <dd data-figure={name}>{value}{unit && <small> {unit}</small>}</dd>
    </div>
  );
}

function Control({ icon, label, disabled, pressed, onClick }: { icon: IconName; label: string; disabled?: boolean; pressed?: boolean; onClick(): void }) {
  return (
    <button type="button" className={styles.control} aria-label={label} title={label} aria-pressed={pressed} disabled={disabled} onClick={onClick}>
      <Icon name={icon} /><span className={styles.word}>{label}</span>
    </button>
  );
}

/** A button with more behind it. The popover's light dismissal and Escape are the browser's. */
function Menu({ icon, label, alert, disabled, children }: { icon: IconName; label: string; alert?: boolean; disabled?: boolean; children: ReactNode }) {
  const id = useId();
  const button = useRef<HTMLButtonElement>(null);
  return (
    <>
      <button ref={button} type="button" className={`${styles.control} ${alert ? styles.alert : ''}`} aria-label={label} title={label} aria-haspopup="true" disabled={disabled} popoverTarget={id}>
        <Icon name={icon} /><span className={styles.word}>{label.replace(/:.*/, '')}</span>
      </button>
      <div id={id} popover="auto" className={styles.menu} role="group" aria-label={label}
        onToggle={(event) => {
          const menu = event.currentTarget;
          if (event.newState !== 'open') return;
          const at = button.current!.getBoundingClientRect();
          menu.style.top = `${at.bottom + 4}px`;
          menu.style.left = `${Math.max(8, Math.min(at.left, innerWidth - menu.offsetWidth - 8))}px`;
          menu.querySelector<HTMLElement>('button:not(:disabled)')?.focus();
        }}
        onKeyDown={(event) => {
          const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
          if (!step) return;
          event.preventDefault();
          const items = [...event.currentTarget.querySelectorAll<HTMLElement>('button:not(:disabled)')];
          items.at((items.indexOf(document.activeElement as HTMLElement) + step) % items.length)?.focus();
        }}>
        {children}
      </div>
    </>
  );
}

export function Item({ icon, label, note, disabled, pressed, keepOpen, onClick }: { icon: IconName; label: string; note?: string; disabled?: boolean; pressed?: boolean; keepOpen?: boolean; onClick(): void }) {
  return (
    <button type="button" className={styles.item} disabled={disabled} aria-pressed={pressed} onClick={(event) => {
      // Closed first: closing gives the focus back to the button, and the action may want it elsewhere.
      if (!keepOpen) event.currentTarget.closest<HTMLElement>('[popover]')?.hidePopover();
      onClick();
    }}>
      <Icon name={icon} /><span>{label}</span>{note && <small>{note}</small>}
    </button>
  );
}
