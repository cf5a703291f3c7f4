// The preview: what a guest's web server says at a forwarded port (hostfwd=), as a browser within the page. The document is the guest's,
// and kept apart from the page: src/ui/preview, docs/decisions/18-preview.md.

import { useEffect, useImperativeHandle, useRef, useState, type Ref } from 'react';
import { bytes } from '../format.ts';
import { Icon } from '../icons.tsx';
import { typedTarget } from '../preview/address.ts';
import { PreviewServer, type Outcome } from '../preview/server.ts';
import { save } from '../save-file.ts';
import type { MachineSession } from './session.ts';
import styles from './preview-panel.module.css';

/** How soon a server that did not answer is asked again, ms. */
const AGAIN_MS = 2500;

export interface PreviewHandle {
  focus(): void;
}

export function PreviewPanel({ session, live, shown, ref }: { session: MachineSession; live: boolean; shown: boolean; ref: Ref<PreviewHandle> }) {
  const { forwards } = session.getView();
  const [n, setN] = useState(0);
  const [server, setServer] = useState<PreviewServer>();
  const [problem, setProblem] = useState('');
  const [outcome, setOutcome] = useState<Outcome>();
  const [title, setTitle] = useState('');
  const [leaves, setLeaves] = useState('');
  const [typed, setTyped] = useState<string>();
  const [isLoading, setLoading] = useState(false);
  const frame = useRef<HTMLIFrameElement>(null);
  const addressField = useRef<HTMLInputElement>(null);
  /** Where it has been; the last one is shown. */
  const past = useRef<string[]>(['/']);
  const place = useRef({ n: 0, live });
  place.current = { n, live };
  useImperativeHandle(ref, () => ({ focus: () => addressField.current?.focus() }), []);

  useEffect(() => {
    if (!live) return;
    const made = new PreviewServer(forwards, {
      ask: (port, request) => session.askGuest(port, request),
      outcome: (of, what) => {
        if (of !== place.current.n) return;
        setLoading(false);
        setOutcome(what);
        if (what.kind === 'leaves') setLeaves(what.url);
        if (what.kind !== 'shown') return;
        setTyped(undefined);
        setLeaves('');
        if (past.current.at(-1) !== what.target) past.current.push(what.target);
        past.current.splice(0, past.current.length - 100);
      },
    });
    made.start().then(() => setServer(made), (error: Error) => setProblem(error.message));
    return () => made.stop();
  }, [session, live, forwards]);

  const load = (target: string) => {
    if (!server || !frame.current) return;
    setLoading(true);
    setLeaves('');
    // Not into the tab's own history: its Back belongs to the page.
    const address = server.address(n, target);
    if (frame.current.contentWindow) frame.current.contentWindow.location.replace(address);
    else frame.current.src = address;
  };
  const target = past.current.at(-1) ?? '/';
  const again = useRef(load);
  again.current = load;

  useEffect(() => {
    if (!server || !shown) return;
    past.current = ['/'];
    setOutcome(undefined);
    setTitle('');
    again.current('/');
  }, [server, shown, n]);

  // Until the guest's server is up.
  const silent = outcome?.kind === 'silent';
  useEffect(() => {
    if (!silent || !shown || isLoading) return;
    const timer = setTimeout(() => again.current(past.current.at(-1) ?? '/'), AGAIN_MS);
    return () => clearTimeout(timer);
  }, [silent, shown, isLoading, outcome]);

  useEffect(() => {
    if (!server) return;
    const hear = (event: MessageEvent) => {
      const window = frame.current?.contentWindow;
      if (!window || event.source !== window) return;
      // Its origin is none, so that no other address than "*" reaches it; what is said are its own guest's words.
      const { title: shows, leaves: to } = server.message(place.current.n, event.data, (answer) => window.postMessage(answer, '*'));
      if (shows !== undefined) setTitle(shows);
      if (to !== undefined) setLeaves(to);
    };
    addEventListener('message', hear);
    return () => removeEventListener('message', hear);
  }, [server]);

  const port = forwards[n];
  const back = () => {
    past.current.pop();
    load(past.current.at(-1) ?? '/');
  };
  return (
    <div className={styles.preview}>
      <form className={styles.bar} onSubmit={(event) => {
        event.preventDefault();
        load(typedTarget(typed ?? target));
      }}>
        <button type="button" className={styles.control} aria-label="Back" title="Back" disabled={past.current.length < 2 || !server} onClick={back}><Icon name="back" /></button>
        <button type="button" className={styles.control} aria-label="Load again" title="Load again" disabled={!server} onClick={() => load(target)}><Icon name="reset" /></button>
        {forwards.length > 1 ? (
          <select aria-label="Forwarded port" value={n} onChange={(event) => setN(Number(event.target.value))}>
            {forwards.map((one, index) => <option key={index} value={index}>{one.hostPort} → {one.guestPort}</option>)}
          </select>
        ) : <span className={styles.where} title={`Port ${port?.hostPort} leads to port ${port?.guestPort} of the guest`}>Guest, port {port?.guestPort}</span>}
        <input ref={addressField} aria-label="Path on the guest’s server" value={typed ?? target} spellCheck={false} autoCapitalize="off" autoComplete="off"
          onChange={(event) => setTyped(event.target.value)} onFocus={(event) => event.target.select()} />
      </form>
      {outcome?.kind === 'shown' && outcome.status >= 400 && <p className={styles.note} role="status">The guest’s server answered with status {outcome.status}.</p>}
      {outcome?.kind === 'file' && (
        <p className={styles.note} role="status">
          <span>The guest offers a file: <strong>{outcome.name}</strong>, {bytes(outcome.bytes.length)}.</span>
          <button type="button" className="button" onClick={() => save(new Blob([outcome.bytes], { type: 'application/octet-stream' }), outcome.name)}><Icon name="download" />Save</button>
        </p>
      )}
      {leaves && (
        <p className={styles.note} role="status">
          <span>This link leaves the guest: <code>{leaves}</code></span>
          <a className="button" href={leaves} target="_blank" rel="noopener noreferrer" onClick={() => setLeaves('')}>Open in a new tab</a>
        </p>
      )}
      <div className={styles.stage}>
        {server && <iframe ref={frame} className={styles.frame} title={title ? `Guest’s page: ${title}` : 'Guest’s page'} allow="" referrerPolicy="no-referrer" />}
        {(problem || !server || outcome === undefined || outcome.kind === 'silent' || outcome.kind === 'broken') && (
          <div className={styles.over} role="status">
            {problem ? <p>{problem}.</p>
              : outcome?.kind === 'broken' ? <p>The guest’s port {port?.guestPort} does not speak HTTP as browsers do: {outcome.why}.</p>
              : outcome?.kind === 'silent' ? (
                <>
                  <p>Nothing answers on the guest’s port {port?.guestPort} yet: {outcome.why}.</p>
                  <p className={styles.muted}>The guest needs an address (<code>udhcpc -i eth0</code>) and a server (<code>httpd -h /www</code>). It is asked again every few seconds.</p>
                </>
              ) : <p className={styles.muted}>Asking the guest’s port {port?.guestPort}…</p>}
          </div>
        )}
      </div>
    </div>
  );
}
