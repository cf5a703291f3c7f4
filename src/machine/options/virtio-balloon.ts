// -device virtio-balloon-pci. Names and defaults are QEMU's.

import type { Draft } from './draft.ts';
import { notYet, OptionError } from './error.ts';
import { number, onOff } from './values.ts';
import { VIRTIO_PROPERTIES, virtioProperties } from './virtio.ts';

export const BALLOON_PROPERTIES = {
  'deflate-on-oom': 'on|off: the guest takes memory back rather than run out of it (default off)',
  'free-page-reporting': 'on|off: the guest tells which pages are free (default off)',
  'free-page-hint': 'off',
  'page-poison': 'on|off: the guest tells what it fills free pages with (default on)',
  'guest-stats-polling-interval': 'seconds between requests for the guest\'s figures; 0: none (default)',
  ...VIRTIO_PROPERTIES,
};
/** Seconds. */
const MAX_INTERVAL = 0xffffffff;

export function applyBalloon(draft: Draft, fields: Map<string, string>, written: string): void {
  if (draft.hasBalloon) throw new OptionError(written, 'there is one virtio-balloon-pci already');
  draft.hasBalloon = true;
  const device = virtioProperties(draft, fields, written);
  const flag = (key: string, otherwise: string) => onOff(fields.get(key) ?? otherwise, written, key);
  if (flag('free-page-hint', 'off')) throw notYet(written, 'free-page-hint=on (it serves the migration of a running machine)', 'free-page-reporting=on tells of free pages.');
  const statsInterval = number(fields.get('guest-stats-polling-interval') ?? '0', written);
  if (statsInterval > MAX_INTERVAL) throw new OptionError(written, `the interval is ${MAX_INTERVAL} s at most`);
  const options = {
    deflateOnOom: flag('deflate-on-oom', 'off'), freePageReporting: flag('free-page-reporting', 'off'), pagePoison: flag('page-poison', 'on'), statsInterval,
  };
  draft.devices.push({
    device,
    resolve: () => ({ driver: 'virtio-balloon-pci', ...device, ...options }),
  });
}
