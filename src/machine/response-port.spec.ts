import { describe, expect, it } from 'vitest';
import { receiveResponse, sendResponse } from './response-port.ts';

const pieces = (...all: (Uint8Array<ArrayBuffer> | Error)[]): ReadableStream<Uint8Array> => new ReadableStream({
  pull(controller) {
    const next = all.shift();
    if (next instanceof Error) controller.error(next);
    else if (next) controller.enqueue(next);
    else controller.close();
  },
});

describe('an answer through a port', () => {
  it('brings head and body, whoever asks late, without a copy', async () => {
    const first = Uint8Array.of(1, 2, 3);
    const port = sendResponse(Promise.resolve(new Response(pieces(first, Uint8Array.of(4, 5)), { status: 203, statusText: 'So so', headers: { 'content-length': '5', 'content-type': 'x/y' } })));
    await new Promise((resolve) => setTimeout(resolve, 20));
    const response = await receiveResponse(port);
    expect([response.status, response.statusText, response.headers.get('content-length'), response.headers.get('content-type')]).toEqual([203, 'So so', '5', 'x/y']);
    expect(new Uint8Array(await response.arrayBuffer())).toEqual(Uint8Array.of(1, 2, 3, 4, 5));
    expect(first.length, 'moved').toBe(0);
  });

  it('says that there is none, and that it broke', async () => {
    await expect(receiveResponse(sendResponse(Promise.reject<Response>(new TypeError('Failed to fetch'))))).rejects.toThrow('Failed to fetch');
    await expect(receiveResponse(sendResponse(Promise.resolve(new Response(null, { status: 204 }))))).rejects.toThrow('no body');
    const broken = await receiveResponse(sendResponse(Promise.resolve(new Response(pieces(Uint8Array.of(1), new TypeError('network error'))))));
    await expect(broken.arrayBuffer()).rejects.toThrow('network error');
  });
});
