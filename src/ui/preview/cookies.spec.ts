import { expect, it } from 'vitest';
import { CookieJar } from './cookies.ts';

it('cookies of a guest come back to the paths they are for, until they end', () => {
  let now = 0;
  const jar = new CookieJar(() => now);
  jar.set('session=abc=; Path=/; HttpOnly', '/login/now');
  jar.set('deep=1', '/a/b/c');
  jar.set('short=1; Max-Age=10', '/');
  jar.set('=nothing', '/');
  expect(jar.header('/a/b')).toBe('deep=1; session=abc=; short=1');
  expect(jar.header('/a/bc')).toBe('session=abc=; short=1');
  now = 11_000;
  jar.set('session=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/', '/');
  expect(jar.header('/')).toBe('');
  for (let n = 0; n < 1000; n++) jar.set(`c${n}=1; Path=/`, '/');
  expect(jar.header('/').split('; ')).toHaveLength(60);
});
