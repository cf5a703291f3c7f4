// What the user chose on an earlier visit. A browser may give this site no storage: then it holds for this visit.

export function recall(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

export function remember(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // For this visit only.
  }
}
