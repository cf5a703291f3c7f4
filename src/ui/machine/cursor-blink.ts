// The blinking of a console's cursor where the DOM draws it. xterm's own is an endless CSS animation, for which a browser makes sixty frames
// a second on a processor that the guest could have: 9 % of one. Here a class comes and goes (console.module.css takes the animation away).

import type { Terminal } from '@xterm/xterm';

const HALF_MS = 600;
/** Nobody has typed for so long: the cursor stays. */
const REST_MS = 20_000;

/**
 * @param hidden the class of a terminal's place while its cursor is not to be seen
 * @returns what ends it
 */
export function blinkCursor(terminal: Terminal, place: HTMLElement, hidden: string): () => void {
  let timer: ReturnType<typeof setInterval> | undefined;
  let restAt = 0;
  const rest = (): void => {
    clearInterval(timer);
    timer = undefined;
    place.classList.remove(hidden);
  };
  const go = (): void => {
    place.classList.remove(hidden);
    restAt = performance.now() + REST_MS;
    clearInterval(timer);
    timer = setInterval(() => (performance.now() > restAt || document.hidden ? rest() : place.classList.toggle(hidden)), HALF_MS);
  };
  const typing = terminal.onData(go);
  place.addEventListener('focusin', go);
  place.addEventListener('focusout', rest);
  if (place.contains(document.activeElement)) go();
  return () => {
    rest();
    typing.dispose();
    place.removeEventListener('focusin', go);
    place.removeEventListener('focusout', rest);
  };
}
