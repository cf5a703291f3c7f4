import { describe, expect, it } from 'vitest';
import { MachineError } from './client.ts';
import { receiveFile, sendFile } from './file-port.ts';

describe('a file through a port', () => {
  it('tells how much has come, and then brings it without a copy', async () => {
    const bytes = Uint8Array.of(1, 2, 3, 4);
    const steps: [number, number][] = [];
    const port = sendFile(async (progress) => {
      progress(2, 4);
      await Promise.resolve();
      progress(4, 4);
      return bytes;
    });
    expect(await receiveFile(port, (...far) => steps.push(far))).toEqual(Uint8Array.of(1, 2, 3, 4));
    expect(steps).toEqual([[2, 4], [4, 4]]);
    expect(bytes.length, 'moved').toBe(0);
  });

  it('waits for whoever asks late, and says why nothing comes', async () => {
    const port = sendFile(() => Promise.reject(new MachineError({ what: 'kernel could not be downloaded', why: 'no answer', advice: 'Try again.' })));
    await new Promise((resolve) => setTimeout(resolve, 20));
    await expect(receiveFile(port, () => {})).rejects.toMatchObject({ what: 'kernel could not be downloaded', why: 'no answer', advice: 'Try again.' });
  });
});
