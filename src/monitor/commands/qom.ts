// qom-get, qom-set: properties of objects. QEMU, qom/qom-hmp-cmds.c; the balloon's: hw/virtio/virtio-balloon.c, docs/interop/virtio-balloon-stats.rst.
// There are those of memory balloons, which show their statistics by nothing else.

import { type StatisticName, VirtioBalloon } from '../../virtio/balloon.ts';
import { VirtioPci } from '../../virtio/pci.ts';
import { command, MonitorError, type Session } from '../command.ts';
import { flag, text } from '../parameters.ts';

/** In the order in which QEMU shows them, which is that of a hash. */
const STATISTICS: readonly StatisticName[] = [
  'stat-htlb-pgalloc', 'stat-swap-out', 'stat-available-memory', 'stat-htlb-pgfail', 'stat-free-memory',
  'stat-minor-faults', 'stat-major-faults', 'stat-total-memory', 'stat-swap-in', 'stat-disk-caches',
];
const NS = 1_000_000_000n;
/** What the guest has not told. */
const UNKNOWN = 2n ** 64n - 1n;
/** Of -device with an id. */
const PERIPHERAL = '/machine/peripheral/';

interface Property {
  get(balloon: VirtioBalloon, session: Session): string;
  set?(balloon: VirtioBalloon, value: string): void;
}

const PROPERTIES: Readonly<Record<string, Property>> = {
  'guest-stats': {
    get(balloon, { target: { machine } }) {
      const { statisticsUpdated } = balloon;
      const updated = statisticsUpdated < 0 ? 0n : (machine.date() - BigInt(Math.floor(machine.clock.now() - statisticsUpdated))) / NS;
      const stats = STATISTICS.map((name) => `        "${name}": ${balloon.statistics.get(name) ?? UNKNOWN}`);
      return `{\n    "stats": {\n${stats.join(',\n')}\n    },\n    "last-update": ${updated}\n}`;
    },
  },
  'guest-stats-polling-interval': {
    get: (balloon) => String(balloon.statsInterval),
    set(balloon, value) {
      if (!/^[+-]?\d{1,18}$/.test(value)) throw new MonitorError('Error: Parameter \'guest-stats-polling-interval\' expects int64');
      const seconds = Number(value);
      if (seconds < 0) throw new MonitorError('Error: timer value must be greater than zero');
      if (seconds > 0xffff_ffff) throw new MonitorError('Error: timer value is too big');
      balloon.statsInterval = seconds;
    },
  },
};

const balloonsOf = ({ target: { machine } }: Session): { id: string; balloon: VirtioBalloon }[] =>
  machine.pc.pci.list().flatMap(({ device }) => (device instanceof VirtioPci && device.device instanceof VirtioBalloon ? [{ id: device.id, balloon: device.device }] : []));

/** An object by its path, or by the id alone where that is enough. */
function find(session: Session, path: string): VirtioBalloon {
  const id = path.replace(/\/+$/, '').replace(PERIPHERAL, '');
  const found = id === '' ? undefined : balloonsOf(session).find((one) => one.id === id);
  if (found) return found.balloon;
  const other = session.target.machine.pc.pci.list().find(({ device }) => id !== '' && device.id === id);
  throw new MonitorError(other ? `Error: properties of ${other.device.name} are not supported` : `Error: Device '${path}' not found`);
}

function property(name: string): Property {
  if (!Object.hasOwn(PROPERTIES, name)) throw new MonitorError(`Error: Property 'virtio-balloon-pci.${name}' not found`);
  return PROPERTIES[name];
}

const path = () => text('string', (session) => balloonsOf(session).flatMap(({ id }) => (id === '' ? [] : [PERIPHERAL + id])));
const name = () => text('string', () => Object.keys(PROPERTIES));

export const qomGet = command({
  names: ['qom-get'],
  parameters: { path: path(), property: name() },
  usage: 'path property',
  help: 'print QOM property',
  run(session, values) {
    const balloon = find(session, values.path);
    return property(values.property).get(balloon, session);
  },
});

export const qomSet = command({
  names: ['qom-set'],
  parameters: { json: flag('j'), path: path(), property: name(), value: text() },
  usage: '[-j] path property value',
  help: 'set QOM property.\n\t\t\t-j: the value is specified in json format.',
  run(session, values) {
    const balloon = find(session, values.path);
    const { set } = property(values.property);
    if (!set) throw new MonitorError(`Error: Property 'virtio-balloon-device.${values.property}' is not writable`);
    set(balloon, values.value);
    return '';
  },
});
