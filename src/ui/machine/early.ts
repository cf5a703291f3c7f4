// What the page's head has begun (src/ui/build/early.ts) for the machine that its link names, the first of the page.

/** What it leaves in the page. */
export interface Begun {
  readonly worker: Worker;
  /** The worker's program could not be loaded. */
  hasFailed: boolean;
  /** Requests for kernel and initrd, by their names in the machine line; `end` ends them all. */
  readonly files: Readonly<Record<string, Promise<Response> | undefined>>;
  readonly end: AbortController;
}

export class EarlyParts {
  constructor(private readonly begun: Begun | undefined) {}

  private isTaken = false;

  /** The machine's worker, once; undefined where there is none, or it could not be loaded. */
  takeWorker(): Worker | undefined {
    if (this.isTaken || !this.begun || this.begun.hasFailed) return undefined;
    this.isTaken = true;
    return this.begun.worker;
  }

  /** The request for a file. */
  file(name: string): Promise<Response> | undefined {
    return this.begun && Object.hasOwn(this.begun.files, name) ? this.begun.files[name] : undefined;
  }

  /** What is still coming, and what nobody took, is of no use any more. */
  forget(): void {
    if (!this.isTaken) this.begun?.worker.terminate();
    this.begun?.end.abort();
  }
}

/** All of it, for the first who asks. */
export function takeEarlyParts(): EarlyParts {
  const page = globalThis as { tabvisorEarly?: Begun };
  const { tabvisorEarly: begun } = page;
  delete page.tabvisorEarly;
  return new EarlyParts(begun);
}
