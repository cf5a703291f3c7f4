// The guests that come with the page: guests/index.json, made by the build from what guests/make.mjs wrote.

/** One file of a bundled guest. */
export interface GuestFile {
  /** As the machine line names it, relative to the page. */
  name: string;
  /** Where it is on the server; another name than `name` where it is kept compressed. */
  url: string;
  /** Bytes in the machine, and on the way. */
  bytes: number;
  transfer: number;
}

export interface Guest {
  name: string;
  title: string;
  description: string;
  /** The machine line that boots it. */
  line: string;
  files: GuestFile[];
}

let loading: Promise<Guest[]> | undefined;

/** The bundled guests; none when the page was built without. Asked of the server once. */
export function bundledGuests(): Promise<Guest[]> {
  loading ??= fetch(new URL('guests/index.json', document.baseURI))
    .then((response) => response.ok ? response.json() as Promise<Guest[]> : [])
    .catch(() => {
      // Not remembered: the network may come back, and a machine line may need nothing of it.
      loading = undefined;
      return [];
    });
  return loading;
}
