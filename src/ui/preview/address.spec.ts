import { describe, expect, it } from 'vitest';
import { placeOf, type PreviewPort, typedTarget } from './address.ts';

const PREFIX = 'https://host.example/app/preview/ID/0';
const port: PreviewPort = { netdev: 'n', index: 0, hostPort: 8080, guestAddress: '10.0.2.15', guestPort: 80 };
const place = (url: string, from = '/docs/index.html'): unknown => placeOf(url, PREFIX + from, PREFIX, port);

describe('an address in a guest\'s page', () => {
  it('is the guest\'s, however it is written', () => {
    expect(place('b.html?c=1#d')).toEqual({ inside: '/docs/b.html?c=1' });
    expect(place('../x')).toEqual({ inside: '/x' });
    expect(place('/cgi-bin/y?z')).toEqual({ inside: '/cgi-bin/y?z' });
    expect(place('http://localhost:8080/a')).toEqual({ inside: '/a' });
    expect(place('http://10.0.2.15/a')).toEqual({ inside: '/a' });
    expect(place('?q')).toEqual({ inside: '/docs/index.html?q' });
  });
  it('is somebody else\'s', () => {
    expect(place('https://example.org/a')).toEqual({ outside: 'https://example.org/a' });
    expect(place('http://10.0.2.15:8080/')).toEqual({ outside: 'http://10.0.2.15:8080/' });
    expect(place('//other.example/a')).toEqual({ outside: 'https://other.example/a' });
    for (const url of ['javascript:alert(1)', 'data:text/html,x', 'mailto:a@b', 'http://[', 'blob:https://host.example/x']) expect(place(url)).toBeUndefined();
  });
  it('never leads out of its machine: what goes above its prefix is a path from the guest\'s root', () => {
    expect(place('../../../../../index.html', '/a')).toEqual({ inside: '/index.html' });
    expect(place('/app/preview/OTHER/0/')).toEqual({ inside: '/app/preview/OTHER/0/' });
  });
  it('may be typed', () => {
    expect(typedTarget('index.html')).toBe('/index.html');
    expect(typedTarget(' http://localhost:8080/a b ')).toBe('/a%20b');
    expect(typedTarget('')).toBe('/');
  });
});
