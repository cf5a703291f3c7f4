// Entry point of the page.

import { createRoot } from 'react-dom/client';
import './theme.css';
import { databasesReady } from '../backends/block/databases.ts';
import { App } from './app.tsx';
import { showCrash } from './crash.ts';
import { ensureIsolation } from './isolation.ts';
import { notify } from './notices.tsx';

let mounted = false;

/** An error that nothing caught: a page of its own when there is none to stand on, else a notice, since the machine may well run on. */
function uncaught(error: unknown): void {
  const empty = !document.getElementById('root')?.childElementCount;
  if (!mounted || empty) showCrash(error);
  else notify(`The page made an error: ${error instanceof Error ? error.message : String(error)}`, 'error');
}

addEventListener('error', (event) => {
  // Browsers report a layout loop that they have resolved themselves as an error.
  if (event.message?.startsWith('ResizeObserver loop')) return;
  uncaught(event.error ?? event.message);
});
addEventListener('unhandledrejection', (event) => { uncaught(event.reason); });

async function main(): Promise<void> {
  const problem = await ensureIsolation();
  const root = createRoot(document.getElementById('root')!, {
    // With no boundary that could show it, React takes everything down.
    onUncaughtError: (error) => { setTimeout(() => showCrash(error)); },
  });
  root.render(<App isolationProblem={problem} />);
  mounted = true;
  const lost = await databasesReady();
  if (lost !== undefined) {
    notify(`The browser found what it had stored for this page damaged, and threw it away (${lost}). Machines, files and changes to disks that were kept here are gone.`, 'loss');
  }
}

main().catch(showCrash);
