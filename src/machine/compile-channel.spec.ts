import { expect, it } from 'vitest';
import { compileShare, hotThreshold } from './compile-channel.ts';
import { HOT_THRESHOLD, HOT_THRESHOLD_FEW } from './options/config.ts';

it.each([
  [1, 0.5, HOT_THRESHOLD_FEW],
  [2, 0.5, HOT_THRESHOLD_FEW],
  [4, 1.5, HOT_THRESHOLD_FEW],
  [5, Infinity, HOT_THRESHOLD],
])('on %i processors a page compiles with so many of them, and what so many jumps go to', (processors, share, threshold) => {
  expect(compileShare(processors)).toBe(share);
  expect(hotThreshold(compileShare(processors))).toBe(threshold);
});

it('compiles from the usual number of jumps on where it has no bound, or no worker', () => {
  expect(hotThreshold()).toBe(HOT_THRESHOLD);
});
