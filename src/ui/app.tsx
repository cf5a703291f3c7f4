// The three rooms, by what stands after the #.

import { lazy, Suspense, useEffect, useState } from 'react';
import { ErrorBoundary } from './error-boundary.tsx';
import { Help } from './help/help.tsx';
import { Home } from './home/home.tsx';
import type { IsolationProblem } from './isolation.ts';
import { staysFor } from './leave-guard.ts';
import { roomOf } from './line.ts';
import { FailurePage } from './machine/failure.tsx';
import { Notices } from './notices.tsx';

/** Its consoles are more code than all else together: a task of its own, and not on the way to Home. */
const loadMachineRoom = () => import('./machine/machine-room.tsx');
const MachineRoom = lazy(async () => ({ default: (await loadMachineRoom()).MachineRoom }));
const whenIdle: (action: () => void) => void = 'requestIdleCallback' in window ? requestIdleCallback : setTimeout;

export function App({ isolationProblem }: { isolationProblem: IsolationProblem | undefined }) {
  const [room, setRoom] = useState(() => roomOf(location.hash));
  useEffect(() => {
    let here = location.href;
    const follow = () => {
      if (location.href !== here && staysFor(location.hash)) {
        history.pushState(null, '', here);
        return;
      }
      here = location.href;
      setRoom(roomOf(location.hash));
    };
    addEventListener('hashchange', follow);
    return () => removeEventListener('hashchange', follow);
  }, []);
  // At hand when the user starts a machine. A failure is told then, if it is one still.
  useEffect(() => { if (room.kind !== 'machine') whenIdle(() => void loadMachineRoom().catch(() => {})); }, [room.kind]);
  useEffect(() => {
    if (room.kind !== 'machine') document.title = room.kind === 'help' ? 'Help – Tabvisor' : 'Tabvisor';
  }, [room]);
  return (
    <ErrorBoundary>
      {room.kind === 'home' && <Home />}
      {room.kind === 'help' && <Help isolationProblem={isolationProblem} />}
      {room.kind === 'machine' && (isolationProblem
        ? <FailurePage failure={{ what: 'This page cannot share memory with its machine', ...isolationProblem }} onRetry={() => location.reload()} />
        // A new line is a new machine: nothing of the old one may stay.
        : <Suspense><MachineRoom key={room.line} line={room.line} /></Suspense>)}
      <Notices />
    </ErrorBoundary>
  );
}
