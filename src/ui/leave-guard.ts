// Asks before the user leaves a running machine by the Back button or another address: a change after the # cannot be
// prevented, but it can be taken back until the user has answered.

/** Given the hash the user wants to go to; true: the machine's room asks, and goes there itself on yes. */
type Guard = (hash: string) => boolean;

let guard: Guard | undefined;

/** Set the guard; returns how to remove it. */
export function guardLeaving(asks: Guard): () => void {
  guard = asks;
  return () => { if (guard === asks) guard = undefined; };
}

/** True when the user stays for now. */
export function staysFor(hash: string): boolean {
  return guard?.(hash) ?? false;
}
