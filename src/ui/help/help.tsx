// Help: the page's keys, the machine line's options, and what this browser can do.

import { useState } from 'react';
import { bytes } from '../format.ts';
import { abilities } from '../browser-status.ts';
import type { IsolationProblem } from '../isolation.ts';
import { optionsList } from './options-list.ts';
import styles from './help.module.css';

const KEYS: [string, string][] = [
  ['Ctrl+Shift+F', 'Find in the console; Enter goes to earlier matches, Shift+Enter to later ones, Escape closes'],
  ['Ctrl+Shift+C', 'Copy the selected text'],
  ['Ctrl+Shift+V', 'Paste into the console'],
  ['Ctrl+Shift+L', 'Leave the console for the bar above it; Tab goes on from there'],
];

export function Help({ isolationProblem }: { isolationProblem: IsolationProblem | undefined }) {
  const [list] = useState(abilities);
  const [options] = useState(optionsList);
  const { deviceMemory } = navigator as Navigator & { deviceMemory?: number };
  const heap = (performance as Performance & { memory?: { jsHeapSizeLimit: number } }).memory?.jsHeapSizeLimit;
  return (
    <div className={styles.help}>
      <header className={styles.head}>
        <h1>Help</h1>
        <nav aria-label="Page"><a href="#">Home</a></nav>
      </header>
      <main className={styles.rooms}>
        <section aria-labelledby="keys">
          <h2 id="keys">Keys</h2>
          <p>In a console every key is the guest’s, but for these:</p>
          <table>
            <tbody>{KEYS.map(([key, text]) => (
              <tr key={key}><th scope="row"><kbd>{key}</kbd></th><td>{text}</td></tr>
            ))}</tbody>
          </table>
          <p>On a machine’s screen every key is the guest’s, by its place on the keyboard, but for <kbd>Ctrl+Shift+L</kbd>, which leaves it, and <kbd>Ctrl+Shift+V</kbd>, which types the clipboard’s text as on a US keyboard. The on-screen keyboard has keys that are hard to press here, such as Ctrl+Alt+Del; Ctrl, Alt and Shift hold there for the next key, and tapped twice until they are tapped again.</p>
          <p>A guest that takes the pointer’s place needs nothing; for others a click on the screen gives the mouse to the guest, and <kbd>Esc</kbd> takes it back. With fingers: one moves the pointer, a tap clicks, a tap and then a moving finger drags, two scroll, and a tap of two is the right button.</p>
          <p>View opens the machine’s monitor, which has QEMU’s commands; <code>help</code> lists them. Tab completes, arrow keys go through what was typed before.</p>
          <p>Your browser and your system keep some keys for themselves, such as <kbd>Ctrl+W</kbd>, <kbd>Ctrl+T</kbd> and <kbd>Ctrl+N</kbd>; no page can take those.</p>
        </section>
        <section aria-labelledby="line">
          <h2 id="line">The machine line</h2>
          <p>What stands after the <code>#</code> in the address is the machine, in the words of QEMU’s command line. File names are relative to the page, or http addresses (of servers that allow it); files that you drop on the page are called <code>local/…</code>. What a disk image is, the page tells from its content; what machines write to disks is kept in this browser, and Home lists it under “Changed disks”. A CD or a floppy that is dropped on a running machine can be put into its drive.</p>
          <table>
            <tbody>{options.map(({ usage, words }) => (
              <tr key={usage}><th scope="row"><code>{usage}</code></th><td>{words}</td></tr>
            ))}</tbody>
          </table>
          <p>Any other option is refused by name. Each serial port has a tab in the machine’s room; what is said of a terminal and of files is for the runner outside the browser.</p>
        </section>
        <section aria-labelledby="browser">
          <h2 id="browser">This browser</h2>
          <table>
            <tbody>
              {list.map((ability) => (
                <tr key={ability.name}>
                  <th scope="row">{ability.name}</th>
                  <td>
                    <span className={ability.present ? styles.yes : ability.required ? styles.missing : styles.no}>
                      {ability.present ? 'yes' : ability.required ? 'missing' : 'no'}
                    </span>
                    <small>{ability.purpose}{ability.required ? '' : '; not required'}</small>
                  </td>
                </tr>
              ))}
              <tr><th scope="row">Processors</th><td>{navigator.hardwareConcurrency ?? 'not told'}</td></tr>
              <tr><th scope="row">Memory</th><td>
                {deviceMemory ? `${deviceMemory >= 8 ? 'at least ' : ''}${deviceMemory} GiB in this computer` : 'not told'}
                {heap ? <small>the page itself may use {bytes(heap)}; a machine’s memory is apart from that</small> : null}
              </td></tr>
            </tbody>
          </table>
          {isolationProblem && (
            <div className={styles.problem} role="note">
              <strong>Machines cannot run here.</strong>
              <p>{isolationProblem.why}.</p>
              <p>{isolationProblem.advice}</p>
            </div>
          )}
        </section>
        <section aria-labelledby="isolation">
          <h2 id="isolation">Cross-origin isolation</h2>
          <p>The machine runs in threads that share memory. A browser allows that to pages whose server sends <code>Cross-Origin-Opener-Policy: same-origin</code> and <code>Cross-Origin-Embedder-Policy: require-corp</code>, over https or on the computer itself. Where the server cannot, the page adds them by a service worker, which needs permission to store data: it does not work in some private windows.</p>
        </section>
        <section aria-labelledby="scripts">
          <h2 id="scripts">For scripts</h2>
          <p><code>tabvisor.consoleText(0)</code> is the text of the first serial console, <code>tabvisor.state()</code> the state: 1 loading, 2 running, 3 paused, 4 off, 5 failed.</p>
        </section>
      </main>
    </div>
  );
}
