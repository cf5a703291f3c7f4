// Service worker of the preview: every address below preview/ is a guest's, preview/ID/PORT/…, and is answered by the page whose machine
// has that ID (src/ui/preview/server.ts). Nothing below it is ever fetched from the host. What a guest says is marked with
// CSP "sandbox": its document gets an origin of its own, without the page's storage, and may load nothing by itself.
// docs/decisions/18-preview.md says why. Keeps no state: a browser ends a service worker whenever it likes.

const ANSWER_MS = 1500;

self.addEventListener('install', () => { self.skipWaiting(); });

self.addEventListener('fetch', (event) => {
  const { request } = event;
  if (new URL(request.url).origin !== self.location.origin || !request.url.startsWith(self.registration.scope)) return;
  event.respondWith(answer(request));
});

async function answer(request) {
  const rest = request.url.slice(self.registration.scope.length).replace(/#.*$/, '');
  const id = rest.split('/')[0];
  const body = ['GET', 'HEAD'].includes(request.method) ? undefined : new Uint8Array(await request.arrayBuffer());
  const headers = [...request.headers].filter(([name]) => ['accept', 'accept-language', 'content-type'].includes(name));
  const pages = await self.clients.matchAll({ type: 'window', includeUncontrolled: true });
  const answered = new Promise((resolve) => {
    // The page says at once that the machine is its own, and later what the guest says.
    const nobody = setTimeout(() => resolve({ status: 404, headers: [['content-type', 'text/plain; charset=utf-8']], body: 'No machine of this address runs in this browser.' }), ANSWER_MS);
    for (const page of pages) {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = ({ data }) => {
        clearTimeout(nobody);
        if (data !== 'mine') resolve(data);
      };
      page.postMessage({ tabvisorPreview: id, rest: rest.slice(id.length + 1), method: request.method, headers, body }, [port2]);
    }
  });
  const { status, headers: given, body: content, location } = await answered;
  if (location !== undefined) return Response.redirect(self.registration.scope + location, 303);
  const response = new Headers(given);
  response.set('Content-Security-Policy', policy(id));
  response.set('Cross-Origin-Embedder-Policy', 'require-corp');
  response.set('Cross-Origin-Resource-Policy', 'same-origin');
  response.set('Referrer-Policy', 'no-referrer');
  response.set('X-Content-Type-Options', 'nosniff');
  response.set('Cache-Control', 'no-store');
  return new Response([101, 204, 205, 304].includes(status) ? null : content, { status, headers: response });
}

/** No origin, no windows, no way out but by the page; forms go to the same guest. */
function policy(id) {
  const own = 'data: blob:';
  return [
    'sandbox allow-scripts allow-forms',
    `default-src ${own}`, `script-src 'unsafe-inline' 'unsafe-eval' ${own}`, `style-src 'unsafe-inline' ${own}`,
    `form-action ${self.registration.scope}${id}/`, `frame-src 'none'`, `object-src 'none'`, `base-uri ${self.registration.scope}${id}/`,
  ].join('; ');
}
