// The two ends of the control channel between a machine worker and its owner (the page, the headless runner).
// Control is comlink calls; this file adds the two things comlink does not know:
//  - a sleeping worker must wake for a call. The worker may be inside Atomics.wait, where no message reaches it; so each
//    call counts itself in Control.COMMANDS and rings the doorbell, and the worker lets messages in while the count is not 0;
//  - a MachineFailure keeps its fields. comlink reduces a thrown Error to its message, a plain object goes through whole.

import { expose, proxy, transfer, wrap, type Endpoint, type Remote } from 'comlink';
import { Control, ringDoorbell, type MachineApi, type MachineEvents, type MachineFailure, type MachineSpec } from './protocol.ts';

/** A MachineFailure as something to throw. */
export class MachineError extends Error implements MachineFailure {
  readonly what: string;
  readonly why: string;
  readonly advice: string;
  readonly details?: string;

  constructor(failure: MachineFailure) {
    super(`${failure.what}: ${failure.why}`);
    this.name = 'MachineError';
    this.what = failure.what;
    this.why = failure.why;
    this.advice = failure.advice;
    this.details = failure.details;
  }
}

/** True for anything that has a MachineFailure's fields, whatever made it. */
export function isFailure(error: unknown): error is MachineFailure {
  const it = error as Partial<MachineFailure> | null;
  return typeof it === 'object' && it !== null
    && typeof it.what === 'string' && typeof it.why === 'string' && typeof it.advice === 'string';
}

/** Any thrown value as a MachineFailure that survives structured cloning. What is not one is an error of Tabvisor's own. */
export function asFailure(error: unknown): MachineFailure {
  if (isFailure(error)) {
    const { what, why, advice, details } = error;
    return details === undefined ? { what, why, advice } : { what, why, advice, details };
  }
  const known = error instanceof Error;
  return {
    what: 'Tabvisor made an error',
    why: known ? `${error.name}: ${error.message}` : String(error),
    advice: 'Try again. If it happens again, please report it with the details below.',
    ...(known && error.stack ? { details: error.stack } : {}),
  };
}

/** Worker side: offer the machine to the owner. Call it before the worker's first await, or calls made early are lost. */
export function exposeMachine(api: MachineApi, endpoint?: Endpoint): void {
  const guarded: Record<string, unknown> = {};
  for (const name of METHODS) {
    guarded[name] = async (...args: unknown[]) => {
      try {
        return await (api[name] as (...args: unknown[]) => Promise<unknown>).apply(api, args);
      } catch (error) {
        throw asFailure(error);
      }
    };
  }
  expose(guarded, endpoint);
}

/** Every call of MachineApi; the type makes a missing one an error. */
const METHODS = Object.keys({
  create: 0, pause: 0, resume: 0, reset: 0, powerButton: 0, powerOff: 0, registers: 0, monitor: 0, monitorCompletions: 0, drives: 0, insert: 0, eject: 0, typeText: 0, screendump: 0, folders: 0, folderChanges: 0, connectNetwork: 0, stateHash: 0,
} satisfies Record<keyof MachineApi, 0>) as (keyof MachineApi)[];

/** The owner's side of one machine worker. Every call rejects with a MachineError. */
export interface MachineClient extends MachineApi {
  /** The machine's memory, once create() has answered. */
  readonly memory: SharedArrayBuffer | undefined;
  /** The worker died or was ended: every call that waits, and every later one, rejects with this. */
  abandon(failure: MachineFailure): void;
}

/** Owner side: the machine in the worker behind `endpoint` (under Node, comlink's nodeEndpoint of the Worker). */
export function wrapMachine(endpoint: Endpoint): MachineClient {
  const remote = wrap<Record<keyof MachineApi, (...args: unknown[]) => Promise<unknown>>>(endpoint) as
    unknown as Remote<Record<string, (...args: unknown[]) => Promise<unknown>>>;
  const waiting = new Set<(error: MachineError) => void>();
  let memory: SharedArrayBuffer | undefined;
  let gone: MachineError | undefined;

  async function call<T>(name: keyof MachineApi, ...args: unknown[]): Promise<T> {
    if (gone) throw gone;
    const buffer = memory;
    const commands = buffer && new Int32Array(buffer, Control.COMMANDS, 1);
    if (commands) Atomics.add(commands, 0, 1);
    let abandoned!: (error: MachineError) => void;
    const abandonment = new Promise<never>((_, reject) => { abandoned = reject; });
    waiting.add(abandoned);
    try {
      const answer = (remote as Record<string, (...args: unknown[]) => Promise<unknown>>)[name](...args);
      // After the message, so that a worker that wakes finds it in its queue.
      if (buffer) ringDoorbell(buffer);
      return await Promise.race([answer, abandonment]) as T;
    } catch (error) {
      throw error instanceof MachineError ? error : new MachineError(asFailure(error));
    } finally {
      waiting.delete(abandoned);
      if (commands) Atomics.sub(commands, 0, 1);
    }
  }

  return {
    get memory() { return memory; },
    abandon(failure) {
      gone = new MachineError(failure);
      for (const reject of waiting) reject(gone);
      waiting.clear();
    },
    async create(spec: MachineSpec, events: MachineEvents) {
      const ports = spec.files.flatMap(({ source }) => ('url' in source && source.early ? [source.early] : []));
      const answer = await call<{ memory: SharedArrayBuffer }>('create', transfer(spec, ports), proxy({ ...bound(events) }));
      memory = answer.memory;
      return answer;
    },
    pause: () => call('pause'),
    resume: () => call('resume'),
    reset: () => call('reset'),
    powerButton: () => call('powerButton'),
    powerOff: () => call('powerOff'),
    registers: (cpu) => call('registers', cpu),
    drives: () => call('drives'),
    insert: (drive, file, raw) => call('insert', drive, file, raw),
    eject: (drive, force) => call('eject', drive, force),
    typeText: (text) => call('typeText', text),
    screendump: (format) => call('screendump', format),
    monitor: (line) => call('monitor', line),
    monitorCompletions: (line) => call('monitorCompletions', line),
    folders: () => call('folders'),
    folderChanges: (path) => call('folderChanges', path),
    connectNetwork: (port) => call('connectNetwork', transfer(port, [port])),
    stateHash: () => call('stateHash'),
  };
}

/** The events' methods as own properties: comlink's proxy marks the object it gets, and the caller's stays as it was. */
function bound(events: MachineEvents): MachineEvents {
  return {
    progress: (progress) => events.progress(progress),
    state: (state) => events.state(state),
    failed: (failure) => events.failed(failure),
    saved: (name, bytes) => events.saved?.(name, bytes),
    exited: (status) => events.exited(status),
    warned: (failure) => events.warned?.(failure),
  };
}
