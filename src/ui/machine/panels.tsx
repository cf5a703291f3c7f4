// The panels of a machine's room, beside or above each other, with borders that can be moved by pointer and by key.
// Hidden panels stay where they are in the tree: a console keeps what it shows.

import { useRef, useState, type KeyboardEvent, type PointerEvent, type ReactNode } from 'react';
import { recall, remember } from '../remember.ts';
import styles from './panels.module.css';

export type PanelId = 'screen' | 'console' | 'monitor' | 'preview';

export interface PanelContent {
  id: PanelId;
  label: string;
  node: ReactNode;
}

const SIZES = 'tabvisor-panel-sizes';
/** Least share of a panel, and the share that a key moves a border by. */
const LEAST = 0.12;
const STEP = 0.04;

/** Weights of panels, by name; a panel's share is its weight among those shown. */
type Weights = Partial<Record<PanelId, number>>;

export function Panels({ panels, shown }: { panels: readonly PanelContent[]; shown: readonly PanelId[] }) {
  const [weights, setWeights] = useState<Weights>(storedWeights);
  const group = useRef<HTMLDivElement>(null);
  const visible = panels.filter(({ id }) => shown.includes(id));
  const weight = (id: PanelId) => weights[id] ?? 1;
  const total = visible.reduce((sum, { id }) => sum + weight(id), 0);

  /** Move the border behind visible panel n by a share of the whole. */
  const move = (n: number, share: number) => {
    const [before, after] = [visible[n].id, visible[n + 1].id];
    const both = weight(before) + weight(after);
    const least = Math.min(LEAST * total, both / 2);
    const next = Math.min(both - least, Math.max(least, weight(before) + share * total));
    const changed = { ...weights, [before]: next, [after]: both - next };
    setWeights(changed);
    remember(SIZES, JSON.stringify(changed));
  };
  const drag = (n: number) => (event: PointerEvent<HTMLDivElement>) => {
    if (!event.currentTarget.hasPointerCapture(event.pointerId)) return;
    const box = group.current!.getBoundingClientRect();
    move(n, isStacked() ? event.movementY / box.height : event.movementX / box.width);
  };
  const key = (n: number) => (event: KeyboardEvent) => {
    const step = { ArrowLeft: -STEP, ArrowUp: -STEP, ArrowRight: STEP, ArrowDown: STEP }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    move(n, step);
  };

  return (
    <div ref={group} className={styles.panels}>
      {panels.map(({ id, label, node }) => {
        const n = visible.findIndex((panel) => panel.id === id);
        return [
          n > 0 && (
            <div key={`border ${id}`} className={styles.border} role="separator" tabIndex={0} aria-label={`Border between ${visible[n - 1].label} and ${label}`}
              aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round((100 * weight(visible[n - 1].id)) / (weight(visible[n - 1].id) + weight(id)))}
              onPointerDown={(event) => event.currentTarget.setPointerCapture(event.pointerId)} onPointerMove={drag(n - 1)} onKeyDown={key(n - 1)} />
          ),
          <section key={id} className={styles.panel} aria-label={label} data-panel={id} hidden={n < 0} style={{ flexGrow: weight(id) / total }}>{node}</section>,
        ];
      })}
    </div>
  );
}

/** Where the room is higher than wide, panels stand above each other: as in panels.module.css. */
const isStacked = () => matchMedia('(max-aspect-ratio: 1)').matches;

function storedWeights(): Weights {
  try {
    const stored = JSON.parse(recall(SIZES) ?? '{}') as Record<string, unknown>;
    return Object.fromEntries(Object.entries(stored).filter(([, weight]) => typeof weight === 'number' && weight > 0 && weight < 100));
  } catch {
    return {};
  }
}
