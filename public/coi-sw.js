// Service worker for static hosts that cannot send headers: answers with what the host sent, and adds the three headers that
// make the page cross-origin isolated (HTML standard, "Cross-origin opener policies" and "Cross-origin embedder policies"),
// without which a browser gives no SharedArrayBuffer. Keeps no copy of anything.

self.addEventListener('install', () => { self.skipWaiting(); });
self.addEventListener('activate', (event) => { event.waitUntil(self.clients.claim()); });

self.addEventListener('fetch', (event) => {
  const { request } = event;
  // Other servers' answers are judged by their own headers. (And Chromium's developer tools make requests that may not be repeated.)
  if (new URL(request.url).origin !== self.location.origin) return;
  if (request.cache === 'only-if-cached' && request.mode !== 'same-origin') return;
  event.respondWith(answer(request));
});

async function answer(request) {
  const response = await fetch(request);
  if (response.status === 0) return response;
  const headers = new Headers(response.headers);
  headers.set('Cross-Origin-Opener-Policy', 'same-origin');
  headers.set('Cross-Origin-Embedder-Policy', 'require-corp');
  headers.set('Cross-Origin-Resource-Policy', 'same-origin');
  // A response of one of these statuses may have no body (Fetch standard, "null body status").
  const body = [101, 204, 205, 304].includes(response.status) ? null : response.body;
  return new Response(body, { status: response.status, statusText: response.statusText, headers });
}
