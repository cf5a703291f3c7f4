// A file that the owner of a machine is fetching already, on its way into the machine's worker: how much has come, then all of it, or why it
// does not come, through a MessagePort. So a page can begin before the worker is there.

import { asFailure, MachineError } from './client.ts';
import type { DownloadProgress } from './download.ts';
import type { MachineFailure } from './protocol.ts';

/** `loaded` of `total` bytes; total is 0 where nobody knows. */
type Message = { loaded: number; total: number } | { bytes: Uint8Array<ArrayBuffer> } | { failure: MachineFailure };

/** The owner's end. @returns the port for MachineFile.source, to be transferred */
export function sendFile(load: (progress: DownloadProgress) => Promise<Uint8Array<ArrayBuffer>>): MessagePort {
  const { port1, port2 } = new MessageChannel();
  const post = (message: Message, move: Transferable[] = []): void => port1.postMessage(message, move);
  load((loaded, total) => post({ loaded, total })).then(
    (bytes) => post({ bytes }, [bytes.buffer]),
    (error: unknown) => post({ failure: asFailure(error) }),
  );
  return port2;
}

/** The worker's end. Rejects with a MachineError. */
export function receiveFile(port: MessagePort, progress: DownloadProgress): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    port.onmessage = ({ data }: MessageEvent<Message>) => {
      if ('loaded' in data) return progress(data.loaded, data.total);
      port.close();
      if ('bytes' in data) resolve(data.bytes);
      else reject(new MachineError(data.failure));
    };
  });
}
