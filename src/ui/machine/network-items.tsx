// What stands under Network in the bar: where each cable leads, and how it is.

import type { NetworkView } from '../../machine/network-io.ts';
import type { PreviewPort } from '../preview/address.ts';
import { Item } from './bar.tsx';
import styles from './network-items.module.css';

const KINDS: Record<NetworkView['type'], string> = { user: 'User-mode network', hub: 'Hub', relay: 'Relay' };

export function NetworkItems({ network, forwards, preview, onPreview }: { network: readonly NetworkView[]; forwards: readonly PreviewPort[]; preview: boolean; onPreview(): void }) {
  return (
    <>
      <ul className={styles.list} aria-label="Network cables">
        {network.map((view) => (
          <li key={view.id} className={styles.cable} data-netdev={view.id} data-up={view.up}>
            <strong>{KINDS[view.type]} <code>{view.to}</code></strong>
            <span className={view.up ? styles.up : styles.down}>{view.type === 'hub' && view.peers.length === 0 ? 'connected, no other machine is there' : view.state}</span>
            {view.peers.length > 0 && (
              <ul aria-label={`Machines on ${view.to}`}>
                {view.peers.map(({ title, mac }, n) => <li key={n}>{title} <small>{mac || 'silent so far'}</small></li>)}
              </ul>
            )}
            {forwards.filter(({ netdev }) => netdev === view.id).map(({ index, hostPort, guestPort }) => <small key={index}>port {hostPort} → the guest’s port {guestPort}</small>)}
          </li>
        ))}
      </ul>
      {forwards.length > 0 && <Item icon="globe" label="Preview of the guest’s server" note={preview ? 'shown' : 'hidden'} pressed={preview} onClick={onPreview} />}
    </>
  );
}

/** What is wrong, in a word or two; '' if nothing is. */
export function networkTrouble(network: readonly NetworkView[]): string {
  const down = network.filter(({ up }) => !up);
  if (down.length === 0) return '';
  return down.some(({ state }) => /^(?:refused|failed)/.test(state)) ? 'no connection' : 'connecting';
}
