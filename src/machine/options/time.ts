// The clocks. QEMU: -rtc -icount.

import type { RtcConfig } from './config.ts';
import type { Draft, Options } from './draft.ts';
import { notYet, OptionError, unknownKey } from './error.ts';
import { keyValues, onOff } from './values.ts';

export const TIME_OPTIONS: Options = {
  rtc: { argument: 'base=utc|localtime|DATE', help: 'date at which the guest\'s clock starts', apply: applyRtc },
  icount: { argument: 'shift=N[,sleep=on|off]', help: 'virtual time: an instruction takes 2^N ns (0 to 10), so that a run repeats exactly', apply: applyIcount },
};

function applyRtc(draft: Draft, value: string, written: string): void {
  for (const [key, text] of keyValues(value, 'base', written)) {
    if (key === 'base') draft.config.rtc = rtcBase(text, written);
    else if (key === 'clock') {
      if (text !== 'vm') throw notYet(written, `clock=${text}`, 'The date runs on the machine\'s own clock: clock=vm.');
    } else if (key === 'driftfix') {
      if (text !== 'none') throw notYet(written, `driftfix=${text}`);
    } else {
      throw unknownKey(written, key);
    }
  }
}

function rtcBase(text: string, written: string): RtcConfig {
  if (text === 'utc' || text === 'localtime') return { base: text };
  const match = /^(\d{4})-(\d\d?)-(\d\d?)(?:T(\d\d?):(\d\d?):(\d\d?))?$/.exec(text);
  const fields = match?.slice(1).map((field) => Number(field ?? 0));
  const epochMs = fields ? Date.UTC(fields[0], fields[1] - 1, fields[2], fields[3], fields[4], fields[5]) : NaN;
  const date = new Date(epochMs);
  // Date.UTC takes February 30 for March 1 or 2; so compare.
  const isDate = fields && [date.getUTCFullYear(), date.getUTCMonth() + 1, date.getUTCDate(), date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()]
    .every((part, index) => part === fields[index]);
  if (!isDate) throw new OptionError(written, `"${text}" is not a date`, 'Write base=utc, base=localtime, base=2006-06-17 or base=2006-06-17T16:01:21.');
  return { base: 'date', epochMs };
}

function applyIcount(draft: Draft, value: string, written: string): void {
  const fields = keyValues(value, 'shift', written);
  const shift = fields.get('shift') ?? '';
  let sleep = true;
  for (const [key, text] of fields) {
    if (key === 'shift') continue;
    if (key === 'sleep') sleep = onOff(text, written, key);
    else if (key === 'align') {
      if (onOff(text, written, key)) throw notYet(written, 'align=on');
    } else if (key === 'rr' || key === 'rrfile' || key === 'rrsnapshot') throw notYet(written, `${key}= (record and replay)`);
    else throw unknownKey(written, key);
  }
  if (shift === 'auto') throw notYet(written, 'shift=auto', 'Give a number: -icount shift=0.');
  if (!/^(\d|10)$/.test(shift)) throw new OptionError(written, `shift must be a number from 0 to 10`, 'For example -icount shift=0: an instruction takes 1 ns.');
  draft.config.clock = { kind: 'virtual', shift: Number(shift), sleep };
}
