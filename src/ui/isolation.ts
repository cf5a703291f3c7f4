// Makes the page cross-origin isolated where the server does not: registers the service worker that adds the headers, and
// loads the page again through it, once.

const TRIED = 'tabvisor-isolation-tried';
const PATIENCE_MS = 10_000;

/** Why the page is not isolated; undefined when it is. */
export interface IsolationProblem {
  why: string;
  advice: string;
}

/** Never resolves when it loads the page again. */
export async function ensureIsolation(): Promise<IsolationProblem | undefined> {
  if (globalThis.crossOriginIsolated) {
    forgetTry();
    return undefined;
  }
  if (!globalThis.isSecureContext) {
    return {
      why: `Browsers share memory between threads only in a secure context, and ${location.origin} is none`,
      advice: 'Open the page over https, or from this computer itself as http://localhost.',
    };
  }
  const headers = 'Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp';
  if (window.top !== window) {
    return {
      why: 'The page is inside a frame of another page that is not cross-origin isolated',
      advice: `Open it in a tab of its own. (To embed it, the outer page must send ${headers}, and the frame needs allow="cross-origin-isolated".)`,
    };
  }
  if (!('serviceWorker' in navigator)) {
    return {
      why: 'The server does not send the headers for cross-origin isolation, and this browser or window offers no service worker to add them',
      advice: `Leave private browsing, or have the server send ${headers}.`,
    };
  }
  if (!rememberTry()) {
    return {
      why: 'The server does not send the headers for cross-origin isolation, and the page’s service worker did not make up for it',
      advice: `Allow this site to store data, close its other tabs and reload; or have the server send ${headers}.`,
    };
  }
  try {
    await activated(await navigator.serviceWorker.register(new URL('coi-sw.js', document.baseURI)));
  } catch (error) {
    return {
      why: `The server does not send the headers for cross-origin isolation, and the service worker that would add them failed: ${error instanceof Error ? error.message : String(error)}`,
      advice: `Allow this site to store data and reload; or have the server send ${headers}.`,
    };
  }
  location.reload();
  return new Promise(() => {});
}

/** Resolves when the service worker may answer for the next load of the page. */
function activated(registration: ServiceWorkerRegistration): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`it was not ready after ${PATIENCE_MS / 1000} s`)), PATIENCE_MS);
    const look = () => {
      if (!registration.active || registration.active.state !== 'activated') return;
      clearTimeout(timer);
      resolve();
    };
    (registration.installing ?? registration.waiting ?? registration.active)?.addEventListener('statechange', look);
    registration.active?.addEventListener('statechange', look);
    look();
  });
}

/** False when it was tried before in this tab, or when that cannot be remembered: never load the page again and again. */
function rememberTry(): boolean {
  try {
    if (sessionStorage.getItem(TRIED)) {
      sessionStorage.removeItem(TRIED);
      return false;
    }
    sessionStorage.setItem(TRIED, '1');
    return true;
  } catch {
    return false;
  }
}

function forgetTry(): void {
  try {
    sessionStorage.removeItem(TRIED);
  } catch {
    // Nothing can have been remembered.
  }
}
