// The network: far ends of cables, and cards on the board. QEMU: -netdev -nic -net (docs/network.md). Cards of -device: nic.ts.

import type { NetdevConfig } from './config.ts';
import type { Draft, Options } from './draft.ts';
import { OptionError, unknownKey } from './error.ts';
import { addNic, connect, NIC_MODELS, type NicModel } from './nic.ts';
import { HUB_PROPERTIES, parseHub, parseRelay, parseUser, RELAY_PROPERTIES, USER_PROPERTIES } from './net-backends.ts';
import { keyValuePairs, keyValues, number, own } from './values.ts';

/** A type of -netdev. To add one: a line in NETDEV_TYPES, a member of NetdevConfig (config.ts), and where it is made (../network.ts). */
interface NetdevType {
  help: string;
  /** Properties beside id=, each with what it takes. */
  properties: Readonly<Record<string, string>>;
  /**
   * @param fields the properties, of those given twice the last
   * @param pairs all of them
   * @param draft of the whole line
   */
  parse(fields: ReadonlyMap<string, string>, written: string, pairs: readonly [key: string, value: string][], draft: Draft): DistributiveOmit<NetdevConfig, 'id'>;
}
type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

const NETDEV_TYPES: Readonly<Record<string, NetdevType>> = {
  user: { help: 'a network of the user\'s own, with a way out through the host', properties: USER_PROPERTIES, parse: parseUser },
  hub: { help: 'an Ethernet segment of the machines of one browser', properties: HUB_PROPERTIES, parse: parseHub },
  relay: { help: 'a relay server, by WebSocket', properties: RELAY_PROPERTIES, parse: parseRelay },
  hubport: { help: 'a port of a hub that joins cards of this machine', properties: { hubid: 'number of the hub', netdev: 'id of another -netdev, to be plugged in there' }, parse: parseHubport },
};

/** Names that -nic and -net nic take beside those of -device. */
const MODEL_ALIASES: Readonly<Record<string, NicModel>> = { virtio: 'virtio-net-pci' };
/** As on QEMU's pc. */
const DEFAULT_MODEL = 'e1000';
/** Name of the far end that every machine has by default. */
const DEFAULT_ID = 'user0';
/** The hub that the old spelling -net joins everything with. */
const OLD_HUB = 0;

export const NET_OPTIONS: Options = {
  netdev: { argument: 'TYPE,id=ID[,PROPERTY=VALUE…]', help: 'the far end of a network cable, for a -device with netdev=ID; -netdev help lists the types', apply: applyNetdev },
  nic: { argument: 'none|TYPE[,model=MODEL][,mac=MAC][,PROPERTY=VALUE…]', help: 'a network card and its -netdev in one; -nic model=help lists the cards', apply: applyNicOption },
  net: { argument: 'none|nic[,model=MODEL][,macaddr=MAC][,name=ID][,addr=SLOT][,vectors=N]|TYPE[,…]', help: 'the old spelling: cards and far ends, all on one hub', apply: applyNet },
};

/** Settle what depends on the whole line. Cards of the board come before the devices of -device. */
export function finishNet(draft: Draft): void {
  // As QEMU: a card of the default model on a user-mode network, unless the line says anything of networks. As with the screen, a machine
  // that loads a kernel directly has none (docs/decisions/19-default-network-card.md).
  if (!draft.netGiven && !draft.noDefaults && draft.config.kernel === undefined) applyNicOption(draft, `user,id=${DEFAULT_ID}`, 'the default network card');
  draft.boardNics.forEach(({ model, fields, written }, index) => addNic(draft, model, fields, written, index));
  draft.config.netdevs = draft.netdevs.map((netdev) => netdev.resolve(draft));
}

function listTypes(draft: Draft): void {
  draft.config.information ??= `Available netdev backend types:\n${Object.entries(NETDEV_TYPES).map(([name, { help }]) => `  ${name.padEnd(12)} ${help}\n`).join('')}`;
}

function listModels(draft: Draft): void {
  draft.config.information ??= `Available NIC models:\n${NIC_MODELS.map((name) => `${name}\n`).join('')}`;
}

function applyNetdev(draft: Draft, value: string, written: string): void {
  draft.netGiven = true;
  const pairs = keyValuePairs(value, 'type', written);
  if (isHelp(value)) return listTypes(draft);
  const id = new Map(pairs).get('id');
  if (!id) throw new OptionError(written, 'id=ID is missing', 'A -device names it with netdev=ID.');
  addNetdev(draft, id, pairs.filter(([key]) => key !== 'id'), written);
}

/** @param pairs type and properties, without id */
function addNetdev(draft: Draft, id: string, pairs: readonly [string, string][], written: string): void {
  const fields = new Map(pairs);
  const name = fields.get('type') ?? '';
  const type = own(NETDEV_TYPES, name);
  if (!type) throw new OptionError(written, `the netdev type "${name}" is not supported`, '-netdev help lists the types.');
  if (draft.netdevs.some((other) => other.id === id)) throw new OptionError(written, `there is a netdev with id "${id}" already`);
  for (const key of fields.keys()) if (key !== 'type' && own(type.properties, key) === undefined) throw unknownKey(written, key);
  draft.netdevs.push({ id, written, resolve: (whole) => ({ id, ...type.parse(fields, written, pairs, whole) }) });
}

function parseHubport(fields: ReadonlyMap<string, string>, written: string, _pairs: readonly unknown[], draft: Draft): DistributiveOmit<Extract<NetdevConfig, { type: 'hubport' }>, 'id'> {
  const hubid = fields.get('hubid');
  if (hubid === undefined) throw new OptionError(written, 'hubid=N is missing');
  const id = fields.get('netdev');
  if (id === undefined) return { type: 'hubport', hubid: number(hubid, written) };
  const netdev = draft.netdevs.findIndex((candidate) => candidate.id === id);
  if (netdev < 0) throw new OptionError(written, `there is no netdev with id "${id}"`, `Add -netdev TYPE,id=${id}.`);
  if (/^-?-netdev hubport/.test(draft.netdevs[netdev].written)) throw new OptionError(written, 'a hub cannot be plugged into a hub');
  connect(draft, id, written);
  return { type: 'hubport', hubid: number(hubid, written), netdev };
}

const isHelp = (text: string | undefined): boolean => text === 'help' || text === '?';

/** A model's device by QEMU's name of the model. */
function modelOf(name: string, written: string): NicModel {
  const model = own(MODEL_ALIASES, name) ?? NIC_MODELS.find((candidate) => candidate === name);
  if (!model) throw new OptionError(written, `the network card "${name}" is not supported`, '-nic model=help lists the cards.');
  return model;
}

/** What remains of a board's card when the far end has been told apart, in the names of -device. */
function cardFields(netdev: string | undefined, more: Readonly<Record<string, string | undefined>>): Map<string, string> {
  const fields = new Map<string, string>();
  for (const [key, value] of Object.entries({ netdev, ...more })) if (value !== undefined) fields.set(key, value);
  return fields;
}

function applyNicOption(draft: Draft, value: string, written: string): void {
  draft.netGiven = true;
  const pairs = keyValuePairs(value, 'type', written);
  const fields = new Map(pairs);
  if (isHelp(fields.get('model'))) return listModels(draft);
  if (isHelp(fields.get('type'))) return listTypes(draft);
  if (fields.get('type') === 'none') {
    if (fields.size > 1) throw new OptionError(written, 'none takes no properties');
    return;
  }
  const model = modelOf(fields.get('model') ?? DEFAULT_MODEL, written);
  const id = fields.get('id') ?? `nic${draft.boardNics.length}`;
  addNetdev(draft, id, pairs.filter(([key]) => !['model', 'mac', 'macaddr', 'id'].includes(key)), written);
  draft.boardNics.push({ model, written, fields: cardFields(id, { mac: fields.get('mac') ?? fields.get('macaddr') }) });
}

function applyNet(draft: Draft, value: string, written: string): void {
  draft.netGiven = true;
  const pairs = keyValuePairs(value, 'type', written);
  const fields = keyValues(value, 'type', written);
  const type = fields.get('type');
  if (isHelp(type)) return listTypes(draft);
  if (type === 'none') {
    if (fields.size > 1) throw new OptionError(written, 'none takes no properties');
    return;
  }
  if (type !== 'nic') {
    const id = fields.get('name') ?? `${type}.${draft.netdevs.length}`;
    addNetdev(draft, id, pairs.filter(([key]) => key !== 'name'), written);
    addHubPort(draft, written, id);
    return;
  }
  if (isHelp(fields.get('model'))) return listModels(draft);
  for (const key of fields.keys()) if (!['type', 'model', 'macaddr', 'name', 'addr', 'vectors', 'netdev'].includes(key)) throw unknownKey(written, key);
  const model = modelOf(fields.get('model') ?? DEFAULT_MODEL, written);
  const vectors = fields.get('vectors');
  if (vectors !== undefined && model !== 'virtio-net-pci') throw new OptionError(written, `${model} has no MSI-X vectors`);
  const netdev = fields.get('netdev') ?? addHubPort(draft, written);
  draft.boardNics.push({ model, written, fields: cardFields(netdev, { mac: fields.get('macaddr'), id: fields.get('name'), addr: fields.get('addr'), vectors }) });
}

/** A port of the hub that -net joins everything with. @returns its id */
function addHubPort(draft: Draft, written: string, netdev?: string): string {
  const id = `hub${OLD_HUB}port${draft.hubPorts++}`;
  addNetdev(draft, id, [['type', 'hubport'], ['hubid', String(OLD_HUB)], ...(netdev === undefined ? [] : [['netdev', netdev] as [string, string]])], written);
  return id;
}
