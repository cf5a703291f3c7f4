// tabvisor-relay: the relay as a program.

import { attachPasst, attachTap, listenForStreams } from './attachments.ts';
import { attachNat } from './nat.ts';
import { SocketBudget } from '../src/backends/net/sockets-node.ts';
import { helpText, parseCommandLine, UsageError } from './options.ts';
import { DEFAULTS, Relay } from './server.ts';

const say = (text: string): void => console.error(`tabvisor-relay: ${text}`);

async function main(args: readonly string[]): Promise<number | undefined> {
  let line: ReturnType<typeof parseCommandLine>;
  try {
    line = parseCommandLine(args);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    say(`${error.message}\ntabvisor-relay --help lists the options.`);
    return 1;
  }
  if (line.help) {
    process.stdout.write(helpText());
    return 0;
  }
  const budget = new SocketBudget(line.maxSockets);
  const relay = new Relay({
    ...line.relay,
    log: say,
    furnish(room, segment, metrics) {
      budget.changed = (used) => metrics.add('sockets', used - metrics.get('sockets'));
      budget.refused = () => metrics.add('sockets_refused_total');
      if (line.nat) return [attachNat(segment, { allow: line.allow, allowHost: line.allowHost, budget, refused: () => metrics.add('destinations_refused_total') })];
      if (!line.passt) return [];
      // It starts while the first client is there already; what that one sends before is lost, as on a switch that starts.
      let isOver = false;
      let end: (() => void) | undefined;
      attachPasst(segment, (why) => say(`room "${room}" has no way out any more: ${why}`)).then(
        (attached) => {
          if (isOver) attached();
          else end = attached;
        },
        (error: Error) => say(`room "${room}" has no way out: ${error.message}`),
      );
      return [() => {
        isOver = true;
        end?.();
      }];
    },
  });
  const ends: (() => void)[] = [];
  try {
    const port = await relay.listen();
    for (const { room, where } of line.streams) ends.push(await listenForStreams(relay.segment(room), where));
    for (const { room, name } of line.taps) ends.push(await attachTap(relay.segment(room), name));
    const host = line.relay.host ?? DEFAULTS.host;
    say(`listening at ws://${host.includes(':') ? `[${host}]` : host}:${port}/`);
  } catch (error) {
    say((error as Error).message);
    for (const end of ends) end();
    await relay.close();
    return 1;
  }
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
  say('ending');
  await relay.close();
  for (const end of ends) end();
  return 0;
}

main(process.argv.slice(2)).then((status) => process.exit(status), (error) => {
  console.error(error);
  process.exit(1);
});
