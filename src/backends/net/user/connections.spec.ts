// `info usernet`, against what QEMU 7.2 printed in the same situation.

import { expect, it } from 'vitest';
import { STREAM_CREDIT } from './host.ts';
import { ACK, SYN } from './tcp-segment.ts';
import { bytes, TestGuest, TestStream } from './testing.ts';

const HEAD = '  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\n';
const FORWARDS: [string, string][] = [['hostfwd', 'tcp:127.0.0.1:15180-:80'], ['hostfwd', 'udp:127.0.0.1:15180-10.0.2.15:53'], ['hostfwd', 'tcp:127.0.0.1:15181-10.0.2.16:22'], ['hostfwd', 'tcp::15182-:8080']];
/** Descriptors are numbers there, and ours are in another thread. */
const recorded = (text: string): string => text.replace(/^(.{20}).../gm, '$1  -').replace(HEAD.replace(' FD', '  -'), HEAD);

it('says of forwarded ports, and of somebody who has come through one, what QEMU says', () => {
  const guest = new TestGuest(FORWARDS);
  // The network learns where the guest is.
  guest.arp('10.0.2.2');
  const stream = new TestStream('', 0, undefined as never);
  stream.room = STREAM_CREDIT;
  guest.host.onAccept({ guestAddress: '10.0.2.15', guestPort: 80, address: 'host', port: 54906, stream });
  expect(guest.network.connections()).toBe(recorded(`${HEAD}\
  TCP[SYN_SENT]      10       127.0.0.1 15180       10.0.2.15    80     0     0
  TCP[HOST_FORWARD]   9       127.0.0.1 15180       10.0.2.15    80     0     0
  TCP[HOST_FORWARD]   3       127.0.0.1 15181       10.0.2.16    22     0     0
  TCP[HOST_FORWARD]   7               * 15182       10.0.2.15  8080     0     0
  UDP[HOST_FORWARD]   8       127.0.0.1 15180       10.0.2.15    53     0     0
`));
  const [syn] = guest.takeTcp();
  guest.sendTcp('10.0.2.2', { sourcePort: 80, destinationPort: syn.sourcePort, seq: 100, ack: syn.seq + 1, flags: SYN | ACK });
  expect(guest.network.connections()).toContain('\n  TCP[ESTABLISHED]    -       127.0.0.1 15180       10.0.2.15    80     0     0\n  TCP[HOST_FORWARD]');
});

it('lists what the guest has opened, the newest first, with what waits', () => {
  const guest = new TestGuest();
  for (const sourcePort of [40001, 40002]) guest.sendTcp('192.0.2.7', { sourcePort, destinationPort: 443, seq: 1000, flags: SYN });
  const [stream, other] = guest.host.streams;
  stream.room = STREAM_CREDIT - 34;
  other.room = STREAM_CREDIT;
  stream.events.opened();
  const [answer] = guest.takeTcp();
  guest.sendTcp('192.0.2.7', { sourcePort: 40001, destinationPort: 443, seq: 1001, ack: answer.seq + 1, flags: ACK });
  stream.events.data(bytes('twelve bytes'));
  guest.sendUdp('192.0.2.9', 123, bytes('time?'), 40003);
  guest.sendUdp('10.0.2.2', 9, bytes('gone'), 40003);
  guest.settle(15e9);
  const text = guest.network.connections();
  expect(text.split('\n')).toEqual([
    HEAD.trimEnd(),
    '  TCP[SYN_RCVD]       -       10.0.2.15 40002       192.0.2.7   443     0     0',
    '  TCP[ESTABLISHED]    -       10.0.2.15 40001       192.0.2.7   443    34    12',
    '  UDP[225 sec]        -       10.0.2.15 40003        10.0.2.2     9     0     0',
    '',
  ]);
});
