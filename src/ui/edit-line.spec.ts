import { expect, it } from 'vitest';
import { optionOf, withOption } from './edit-line.ts';

const M = ['-m'];
const KERNEL = ['-kernel'];

it('reads the value that counts, by any of its names', () => {
  expect(optionOf('-m 128 -kernel k -m 256'.split(' '), M)).toBe('256');
  expect(optionOf(['--machine', 'pc'], ['-machine', '-M'])).toBe('pc');
  expect(optionOf(['-M', 'pc'], ['-machine', '-M'])).toBe('pc');
  expect(optionOf(['-append', '-m'], M)).toBe('');
  expect(optionOf(['-m'], M)).toBe('');
});

it('writes it back where it was, and leaves the rest', () => {
  expect(withOption('-m 128 -nographic -kernel k'.split(' '), M, '64').join(' ')).toBe('-m 64 -nographic -kernel k');
  expect(withOption('-m 128 -kernel k -m 256'.split(' '), M, '64').join(' ')).toBe('-kernel k -m 64');
  expect(withOption('-m 128 -kernel k -m 256'.split(' '), M, '').join(' ')).toBe('-kernel k');
  expect(withOption(['-m', '128'], KERNEL, 'my kernel')).toEqual(['-m', '128', '-kernel', 'my kernel']);
  expect(withOption(['-append', '-m', '-kernel', 'k'], M, '')).toEqual(['-append', '-m', '-kernel', 'k']);
});
