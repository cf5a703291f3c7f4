// Gives the user a file, as a download.

/** @param name as it is to be called; folders before it are left out */
export function save(blob: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name.replace(/^.*\//, '');
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
