// -device virtio-serial-pci, and the ports on its bus: -device virtconsole, -device virtserialport. As QEMU, which numbers them so.

import { MAX_PORTS } from '../../virtio/console.ts';
import { MAX_CHARDEVS } from '../protocol.ts';
import type { MachineConfig, SerialPortConfig } from './config.ts';
import type { Draft, SerialBus } from './draft.ts';
import { OptionError } from './error.ts';
import { number, onOff } from './values.ts';
import { VIRTIO_PROPERTIES, virtioProperties } from './virtio.ts';

export const SERIAL_PROPERTIES = {
  max_ports: `ports that there can be, 1 to ${MAX_PORTS} (default 31)`,
  'emergency-write': 'on|off: a register that a guest can write characters to at any time (default on)',
  ...VIRTIO_PROPERTIES,
};
export const PORT_PROPERTIES = {
  chardev: 'id of a -chardev',
  name: 'what the guest finds it by',
  nr: 'number of the port; default: the first that is free',
  bus: 'ID.0 of a virtio-serial-pci; default: the first with room',
};

export function applySerialBus(draft: Draft, fields: Map<string, string>, written: string): void {
  // QEMU's default: one for changes of the configuration, one for all queues.
  const device = { vectors: 2, ...virtioProperties(draft, fields, written) };
  const maxPorts = number(fields.get('max_ports') ?? '31', written);
  if (maxPorts < 1 || maxPorts > MAX_PORTS) throw new OptionError(written, `max_ports must be 1 to ${MAX_PORTS}`);
  const emergencyWrite = onOff(fields.get('emergency-write') ?? 'on', written, 'emergency-write');
  const bus: SerialBus = { maxPorts, ports: [], ...(device.id === undefined ? {} : { id: device.id }) };
  draft.serialBuses.push(bus);
  draft.devices.push({
    device,
    resolve: (config) => ({ driver: 'virtio-serial-pci', ...device, maxPorts, emergencyWrite, ports: bus.ports.map((port) => resolvePort(draft, config, port)) }),
  });
}

/** The -chardev may come later in the line. */
function resolvePort(draft: Draft, config: MachineConfig, { nr, console, name, chardev, written }: SerialBus['ports'][number]): SerialPortConfig {
  const port = { nr, console, ...(name === undefined ? {} : { name }) };
  if (chardev === undefined) return port;
  const to = draft.chardevs.get(chardev);
  if (!to) throw new OptionError(written, `there is no chardev "${chardev}"`, `Add -chardev vc,id=${chardev || 'ID'}.`);
  if (config.chardevs.some(({ id }) => id === chardev) || draft.debugconChardev?.id === chardev) throw new OptionError(written, `the chardev "${chardev}" has a device already`);
  if (config.chardevs.length === MAX_CHARDEVS) throw new OptionError(written, `there can be ${MAX_CHARDEVS} chardevs at most`);
  config.chardevs.push({ id: chardev, to });
  return { ...port, chardev: config.chardevs.length - 1 };
}

export function applyPort(console: boolean): (draft: Draft, fields: Map<string, string>, written: string) => void {
  return (draft, fields, written) => {
    const bus = findBus(draft, fields.get('bus'), written);
    const id = fields.get('id');
    const taken = [...draft.devices.map(({ device }) => device.id), ...draft.serialBuses.flatMap(({ ports }) => ports.map((port) => port.id))];
    if (id !== undefined && taken.includes(id)) throw new OptionError(written, `there is a device with id "${id}" already`);
    const name = fields.get('name');
    if (name !== undefined && bus.ports.some((port) => port.name === name)) throw new OptionError(written, `there is a port with the name "${name}" already`);
    const chardev = fields.get('chardev');
    bus.ports.push({
      nr: portNumber(bus, console, fields.get('nr'), written), console, written,
      ...(id === undefined ? {} : { id }), ...(name === undefined ? {} : { name }), ...(chardev === undefined ? {} : { chardev }),
    });
  };
}

function findBus({ serialBuses }: Draft, name: string | undefined, written: string): SerialBus {
  if (name !== undefined) {
    const bus = serialBuses.find(({ id }) => id !== undefined && `${id}.0` === name);
    if (!bus) throw new OptionError(written, `there is no bus "${name}"`, 'Add -device virtio-serial-pci,id=ID before it, and name its bus: bus=ID.0.');
    return bus;
  }
  // Port 0 is a console's, so that it counts although it may be free.
  const bus = serialBuses.find(({ ports, maxPorts }) => ports.length < maxPorts - (ports.some(({ nr }) => nr === 0) ? 0 : 1)) ?? serialBuses.at(0);
  if (!bus) throw new OptionError(written, 'there is no virtio-serial-bus for it', 'Add -device virtio-serial-pci before it.');
  return bus;
}

/** Port 0 is the one that a driver without multiport has: a console's, given to the first that asks for no other. */
function portNumber({ ports, maxPorts }: SerialBus, console: boolean, text: string | undefined, written: string): number {
  const taken = new Set(ports.map(({ nr }) => nr));
  if (text === undefined) {
    if (console && !taken.has(0)) return 0;
    for (let nr = 1; nr < maxPorts; nr++) if (!taken.has(nr)) return nr;
    throw new OptionError(written, 'the bus has no port left', 'Give its virtio-serial-pci more with max_ports=.');
  }
  const nr = number(text, written);
  if (nr >= maxPorts) throw new OptionError(written, `ports of its bus go from 0 to ${maxPorts - 1}`);
  if (nr === 0 && !console) throw new OptionError(written, 'port 0 is for a virtconsole', 'Leave nr= out, or give another.');
  if (taken.has(nr)) throw new OptionError(written, `port ${nr} is taken already`);
  return nr;
}
