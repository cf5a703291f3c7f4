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

/** A file as it comes. Where the browser cannot write to a file piece by piece, it is gathered first. */
export async function saveStream(name: string, open: () => Promise<{ stream: ReadableStream<Uint8Array> }>): Promise<void> {
  const pick = (globalThis as { showSaveFilePicker?: Picker }).showSaveFilePicker;
  if (!pick) {
    const { stream } = await open();
    return save(await new Response(stream).blob(), name);
  }
  let file: WritableStream<Uint8Array>;
  try {
    file = await (await pick({ suggestedName: name })).createWritable();
  } catch (error) {
    // The user closed the dialog.
    if (error instanceof DOMException && error.name === 'AbortError') return;
    throw error;
  }
  const { stream } = await open().catch(async (error: unknown) => {
    await file.abort();
    throw error;
  });
  await stream.pipeTo(file);
}
