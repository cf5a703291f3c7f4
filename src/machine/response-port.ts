// A file's request that the owner of a machine has made already, on its way into the machine's worker: the answer's head and its body, piece by
// piece, through a MessagePort. So a page can ask before the worker is there, and copies nothing.

/** What goes through the port: the head, then pieces, then the end; or why there is no more. */
type Message =
  | { readonly status: number; readonly statusText: string; readonly headers: [string, string][] }
  | { readonly piece: Uint8Array<ArrayBuffer> }
  | { readonly end: true }
  | { readonly failed: string };

/** The owner's end. @returns the port for MachineFile.source, to be transferred */
export function sendResponse(response: Promise<Response>): MessagePort {
  const { port1, port2 } = new MessageChannel();
  void forward(response, (message, move = []) => port1.postMessage(message, move));
  return port2;
}

async function forward(response: Promise<Response>, post: (message: Message, move?: Transferable[]) => void): Promise<void> {
  try {
    const { status, statusText, headers, body } = await response;
    // No Response can be made with such a status and a body (Fetch, null body status).
    if (!body) throw new TypeError('The answer has no body');
    post({ status, statusText, headers: [...headers] });
    const reader = body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return post({ end: true });
      post({ piece: value }, [value.buffer]);
    }
  } catch (error) {
    post({ failed: error instanceof Error ? error.message : String(error) });
  }
}

/** The worker's end. It rejects, or its body breaks, with a TypeError, as fetch() has it. */
export function receiveResponse(port: MessagePort): Promise<Response> {
  return new Promise((resolve, reject) => {
    let body: ReadableStreamDefaultController<Uint8Array> | undefined;
    port.onmessage = ({ data }: MessageEvent<Message>) => {
      if ('piece' in data) return body!.enqueue(data.piece);
      if ('status' in data) return resolve(new Response(new ReadableStream({ start(controller) { body = controller; } }), data));
      port.close();
      if ('end' in data) body!.close();
      else if (body) body.error(new TypeError(data.failed));
      else reject(new TypeError(data.failed));
    };
  });
}
