// Gives the user a file, as a download.

/** @param name as it is to be called; folders before it are left out */
export function save(blob: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name.replace(/^.*\//, '');
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

type Picker = (options: { suggestedName: string }) => Promise<{ createWritable(): Promise<WritableStream<Uint8Array>> }>;

/**
 * A file as it comes. Where the browser cannot write to a file piece by piece, it is gathered first.
 * @param onShare told how much of it has come
 * @returns false if the user did not want it after all
 */
export async function saveStream(name: string, open: () => Promise<{ length: number; stream: ReadableStream<Uint8Array> }>, onShare: (share: number) => void): Promise<boolean> {
  const begin = async (): Promise<ReadableStream<Uint8Array>> => {
    const { length, stream } = await open();
    onShare(0);
    let come = 0;
    let told = 0;
    return stream.pipeThrough(new TransformStream<Uint8Array, Uint8Array>({
      transform(piece, controller) {
        controller.enqueue(piece);
        come += piece.length;
        if (come - told < length / 100) return;
        told = come;
        onShare(come / length);
      },
    }));
  };
  const pick = (globalThis as { showSaveFilePicker?: Picker }).showSaveFilePicker;
  if (!pick) {
    save(await new Response(await begin()).blob(), name);
    return true;
  }
  let file: WritableStream<Uint8Array>;
  try {
    file = await (await pick({ suggestedName: name })).createWritable();
  } catch (error) {
    // The user closed the dialog.
    if (error instanceof DOMException && error.name === 'AbortError') return false;
    throw error;
  }
  const stream = await begin().catch(async (error: unknown) => {
    await file.abort();
    throw error;
  });
  await stream.pipeTo(file);
  return true;
}
