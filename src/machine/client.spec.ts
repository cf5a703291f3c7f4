import { describe, it, expect } from 'vitest';
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';
import { MessageChannel } from 'node:worker_threads';
import { MachineError, asFailure, exposeMachine, wrapMachine } from './client.ts';
import { Control, RunState, type MachineApi, type MachineEvents } from './protocol.ts';

const quiet: MachineEvents = { progress() {}, state() {}, failed() {}, exited() {} };

function pair(api: Partial<MachineApi>) {
  const { port1, port2 } = new MessageChannel();
  exposeMachine(api as MachineApi, nodeEndpoint(port1));
  return { client: wrapMachine(nodeEndpoint(port2)), close: () => { port1.close(); port2.close(); } };
}

describe('the control channel', () => {
  it('counts a call in COMMANDS while it waits, and rings the doorbell', async () => {
    const memory = new SharedArrayBuffer(Control.SERIAL_RINGS);
    const commands = new Int32Array(memory, Control.COMMANDS, 1);
    const doorbell = new Int32Array(memory, Control.DOORBELL, 1);
    let seen = -1;
    const { client, close } = pair({
      async create() { return { memory }; },
      async pause() { seen = commands[0]; },
    });
    await client.create({ args: [], files: [] }, quiet);
    expect(client.memory!.byteLength).toBe(memory.byteLength);
    expect(commands[0]).toBe(0);
    const rung = doorbell[0];
    await client.pause();
    expect(seen).toBe(1);
    expect(doorbell[0]).toBe(rung + 1);
    expect(commands[0]).toBe(0);
    close();
  });

  it('carries events to the owner', async () => {
    const states: RunState[] = [];
    const { client, close } = pair({
      async create(_spec, events) {
        await events.state(RunState.LOADING);
        await events.state(RunState.RUNNING);
        return { memory: new SharedArrayBuffer(Control.SERIAL_RINGS) };
      },
    });
    await client.create({ args: [], files: [] }, { ...quiet, state: (state) => { states.push(state); } });
    expect(states).toEqual([RunState.LOADING, RunState.RUNNING]);
    close();
  });

  it('keeps every field of a failure, thrown as an Error or as an object', async () => {
    const failure = { what: 'The kernel did not load', why: 'it is truncated', advice: 'Get it again.', details: 'rip' };
    const { client, close } = pair({
      async reset() { throw new MachineError(failure); },
      async resume() { throw failure; },
      async pause() { throw new RangeError('odd'); },
    });
    await expect(client.reset()).rejects.toMatchObject(failure);
    await expect(client.resume()).rejects.toMatchObject(failure);
    await expect(client.pause()).rejects.toMatchObject({ what: 'Tabvisor made an error', why: 'RangeError: odd' });
    close();
  });

  it('rejects what waits when the worker is gone', async () => {
    const { client, close } = pair({ reset: () => new Promise(() => {}) });
    const waiting = client.reset();
    client.abandon({ what: 'gone', why: 'killed', advice: '' });
    await expect(waiting).rejects.toMatchObject({ what: 'gone' });
    await expect(client.pause()).rejects.toMatchObject({ what: 'gone' });
    close();
  });

  it('describes a thrown value that is no failure', () => {
    expect(asFailure('x')).toMatchObject({ why: 'x' });
    expect(asFailure(new MachineError({ what: 'a', why: 'b', advice: 'c' }))).toEqual({ what: 'a', why: 'b', advice: 'c' });
  });
});
