// The machine's worker that the page's head has started (src/ui/build/early.ts), for the first machine of a page.

interface Early {
  readonly worker: Worker;
  readonly hasFailed: boolean;
}

/** It, once; undefined where there is none, or it could not be loaded. */
export function takeEarlyWorker(): Worker | undefined {
  const page = globalThis as { tabvisorEarly?: Early };
  const { tabvisorEarly: early } = page;
  delete page.tabvisorEarly;
  if (!early?.hasFailed) return early?.worker;
  early.worker.terminate();
  return undefined;
}
