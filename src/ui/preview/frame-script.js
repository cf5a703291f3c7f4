// Runs first in each document of a guest's, in the preview (content.ts puts it there, and calls it). It shares that document with the
// guest's own scripts: nothing relies on it but the guest's page itself. A document here has no origin and no network; so it asks the
// page that shows it for what fetch(), XMLHttpRequest and elements made by scripts want, and makes all links stay within the guest.
(({ prefix, port }) => {
  const asked = new Map();
  let count = 0;
  const page = window.parent;
  addEventListener('message', (event) => {
    if (event.source !== page || !event.data || typeof event.data.answers !== 'number') return;
    event.stopImmediatePropagation();
    const settle = asked.get(event.data.answers);
    asked.delete(event.data.answers);
    if (settle) settle(event.data);
  });

  /** @returns "/path" within the guest, or undefined */
  const inside = (url) => {
    let to;
    try {
      to = new URL(url, document.baseURI);
    } catch {
      return undefined;
    }
    const whole = to.origin + to.pathname + to.search;
    if (whole.startsWith(`${prefix}/`)) return whole.slice(prefix.length);
    const own = new URL(prefix);
    const number = Number(to.port || 80);
    const isGuest = to.protocol === 'http:' && ((['localhost', '127.0.0.1'].includes(to.hostname) && (number === port.hostPort || number === port.guestPort)) || (to.hostname === port.guestAddress && number === port.guestPort));
    return to.origin === own.origin || isGuest ? to.pathname + to.search : undefined;
  };
  const ask = (method, target, headers, body) => new Promise((resolve) => {
    asked.set(++count, resolve);
    page.postMessage({ asks: count, method, target, headers, body }, '*');
  });

  // fetch
  const fetchItself = window.fetch;
  window.fetch = async (input, init) => {
    const request = typeof input === 'object' && 'url' in input ? input : undefined;
    const url = request ? request.url : String(input);
    const target = /^(?:data|blob):/i.test(url) ? undefined : inside(url);
    if (target === undefined) return fetchItself(input, init);
    const from = new Request('data:,', { ...(init || {}), method: (init && init.method) || (request && request.method) || 'GET', signal: undefined });
    const headers = new Headers((init && init.headers) || (request && request.headers));
    if (from.headers.has('content-type') && !headers.has('content-type')) headers.set('content-type', from.headers.get('content-type'));
    const body = from.method === 'GET' || from.method === 'HEAD' ? undefined : new Uint8Array(await (request && !(init && 'body' in init) ? request : from).arrayBuffer());
    const answer = await ask(from.method, target, [...headers], body);
    if (!answer.status) throw new TypeError('Failed to fetch');
    const response = new Response([101, 204, 205, 304].includes(answer.status) ? null : answer.body, { status: answer.status, statusText: answer.reason, headers: answer.headers });
    Object.defineProperty(response, 'url', { value: prefix + answer.target });
    return response;
  };

  // XMLHttpRequest, by way of fetch
  window.XMLHttpRequest = class extends EventTarget {
    constructor() {
      super();
      Object.assign(this, { readyState: 0, status: 0, statusText: '', response: '', responseText: '', responseType: '', responseURL: '', timeout: 0, withCredentials: false, upload: new EventTarget() });
      this.sentHeaders = new Headers();
    }
    open(method, url) {
      this.method = method;
      this.url = url;
      this.become(1);
    }
    setRequestHeader(name, value) { this.sentHeaders.append(name, value); }
    overrideMimeType() {}
    abort() {
      this.isAborted = true;
      this.tell('abort');
    }
    getResponseHeader(name) { return this.received ? this.received.get(name) : null; }
    getAllResponseHeaders() { return this.received ? [...this.received].map(([name, value]) => `${name}: ${value}\r\n`).join('') : ''; }
    become(state) {
      this.readyState = state;
      this.tell('readystatechange');
    }
    tell(type) {
      const event = new ProgressEvent(type);
      if (typeof this[`on${type}`] === 'function') this[`on${type}`](event);
      this.dispatchEvent(event);
    }
    async send(body) {
      try {
        const answer = await window.fetch(this.url, { method: this.method, headers: this.sentHeaders, body: body === null ? undefined : body });
        const bytes = await answer.arrayBuffer();
        if (this.isAborted) return;
        Object.assign(this, { status: answer.status, statusText: answer.statusText, responseURL: answer.url, received: answer.headers });
        const text = () => new TextDecoder().decode(bytes);
        if (this.responseType === '' || this.responseType === 'text') this.response = this.responseText = text();
        else if (this.responseType === 'json') this.response = JSON.parse(text());
        else if (this.responseType === 'blob') this.response = new Blob([bytes], { type: answer.headers.get('content-type') || '' });
        else if (this.responseType === 'document') this.response = new DOMParser().parseFromString(text(), 'text/html');
        else this.response = bytes;
        this.responseXML = null;
        this.become(2);
        this.become(4);
        this.tell('load');
      } catch {
        if (this.isAborted) return;
        this.become(4);
        this.tell('error');
      }
      this.tell('loadend');
    }
  };

  // Elements that come later, and those that scripts change
  const LOADS = { IMG: 'src', SCRIPT: 'src', AUDIO: 'src', VIDEO: 'src', SOURCE: 'src', LINK: 'href' };
  const held = async (url) => {
    if (/^(?:data|blob|about):/i.test(url)) return undefined;
    const target = inside(url);
    if (target === undefined) return undefined;
    const answer = await ask('PART', target, [], undefined);
    return answer.held;
  };
  const complete = (element) => {
    const attribute = LOADS[element.nodeName];
    const url = attribute && element.getAttribute(attribute);
    if (!url || (element.nodeName === 'LINK' && !/stylesheet|icon/i.test(element.rel))) return;
    void held(url).then((found) => { if (found && element.getAttribute(attribute) === url) element.setAttribute(attribute, found); });
  };
  for (const [type, attribute] of [[HTMLImageElement, 'src'], [HTMLScriptElement, 'src'], [HTMLLinkElement, 'href'], [HTMLMediaElement, 'src']]) {
    const known = Object.getOwnPropertyDescriptor(type.prototype, attribute);
    Object.defineProperty(type.prototype, attribute, {
      ...known,
      set(url) {
        const element = this;
        if (/^(?:data|blob):/i.test(url) || inside(url) === undefined) return known.set.call(element, url);
        void held(url).then((found) => known.set.call(element, found || url));
      },
    });
  }
  new MutationObserver((changes) => {
    for (const { type, target, addedNodes } of changes) {
      if (type === 'attributes') complete(target);
      for (const node of addedNodes) {
        if (node.nodeType !== 1) continue;
        complete(node);
        for (const element of node.querySelectorAll('img,script,audio,video,source,link')) complete(element);
      }
    }
  }).observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ['src', 'href'] });

  // Storage that a document without an origin has not, for as long as the document lives
  for (const name of ['localStorage', 'sessionStorage']) {
    const items = new Map();
    const storage = {
      getItem: (key) => (items.has(String(key)) ? items.get(String(key)) : null), setItem: (key, value) => void items.set(String(key), String(value)), removeItem: (key) => void items.delete(String(key)),
      clear: () => items.clear(), key: (n) => [...items.keys()][n] ?? null, get length() { return items.size; },
    };
    try {
      Object.defineProperty(window, name, { value: storage, configurable: true });
    } catch {
      // It stays as it was.
    }
  }

  // Where links lead
  const leave = (url) => page.postMessage({ leaves: String(url) }, '*');
  const go = (url) => {
    const target = inside(url);
    if (target === undefined) leave(new URL(url, document.baseURI).href);
    else location.assign(prefix + target + new URL(url, document.baseURI).hash);
  };
  addEventListener('click', (event) => {
    const link = event.target instanceof Element && event.target.closest('a[href], area[href]');
    if (!link || event.defaultPrevented || event.button !== 0) return;
    const url = new URL(link.getAttribute('href'), document.baseURI);
    if (!/^https?:$/.test(url.protocol) || (url.href.startsWith(`${prefix}/`) && !link.target)) return;
    event.preventDefault();
    go(url.href);
  });
  if (window.navigation) {
    // Also what scripts do with location.
    navigation.addEventListener('navigate', (event) => {
      if (!event.cancelable || event.hashChange || event.downloadRequest !== null) return;
      const to = event.destination.url;
      if (!/^https?:/.test(to) || to.startsWith(`${prefix}/`) || event.formData) return;
      event.preventDefault();
      go(to);
    });
  }
  window.open = (url) => {
    if (url) go(url);
    return null;
  };
  const tell = () => page.postMessage({ shows: document.title }, '*');
  addEventListener('DOMContentLoaded', () => {
    tell();
    const title = document.querySelector('title');
    if (title) new MutationObserver(tell).observe(title, { childList: true, characterData: true, subtree: true });
  });
})
