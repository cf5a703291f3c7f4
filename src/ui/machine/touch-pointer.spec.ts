import { beforeEach, expect, it } from 'vitest';
import { TouchPointer } from './touch-pointer.ts';

let log: string[];
let absolute: boolean;
let touch: TouchPointer;
beforeEach(() => {
  log = [];
  absolute = false;
  touch = new TouchPointer({
    get isAbsolute() { return absolute; },
    moveTo: (x, y) => log.push(`to ${x},${y}`),
    moveBy: (x, y) => log.push(`by ${x},${y}`),
    button: (button, down) => log.push(`${button} ${down ? 'down' : 'up'}`),
    wheel: (steps) => log.push(`wheel ${steps}`),
  });
});

it('a finger moves the pointer, and does not click', () => {
  touch.down(1, 100, 100, 0);
  touch.move(1, 120, 100);
  touch.move(1, 130, 95);
  touch.up(1, 100);
  expect(log).toEqual(['by 20,0', 'by 10,-5']);
  log.length = 0;
  absolute = true;
  touch.down(1, 100, 100, 1000);
  touch.move(1, 120, 100);
  touch.up(1, 1100);
  expect(log).toEqual(['to 120,100']);
});

it('a tap clicks where it is, two fingers with the right button', () => {
  absolute = true;
  touch.down(1, 50, 60, 0);
  touch.move(1, 53, 60);
  touch.up(1, 100);
  expect(log).toEqual(['to 50,60', 'left down', 'left up']);
  log.length = 0;
  touch.down(1, 50, 60, 1000);
  touch.down(2, 90, 60, 1020);
  touch.up(1, 1100);
  touch.up(2, 1110);
  expect(log).toEqual(['to 90,60', 'right down', 'right up']);
});

it('a tap and then a moving finger drags; two taps are two clicks', () => {
  touch.down(1, 50, 50, 0);
  touch.up(1, 80);
  touch.down(1, 50, 50, 200);
  touch.move(1, 90, 50);
  touch.up(1, 900);
  expect(log).toEqual(['left down', 'left up', 'left down', 'by 40,0', 'left up']);
  log.length = 0;
  touch.down(1, 50, 50, 2000);
  touch.up(1, 2080);
  touch.down(1, 50, 50, 2200);
  touch.up(1, 2280);
  expect(log).toEqual(['left down', 'left up', 'left down', 'left up']);
});

it('two fingers scroll, and do not move the pointer', () => {
  touch.down(1, 50, 100, 0);
  touch.down(2, 90, 100, 10);
  for (let y = 100; y >= 30; y -= 10) {
    touch.move(1, 50, y);
    touch.move(2, 90, y);
  }
  touch.up(1, 500);
  touch.up(2, 510);
  expect(log.length).toBeGreaterThan(0);
  expect(log.every((entry) => entry === 'wheel 1')).toBe(true);
});

it('nothing stays pressed when the system takes the finger', () => {
  touch.down(1, 0, 0, 0);
  touch.up(1, 50);
  touch.down(1, 0, 0, 100);
  touch.cancel();
  expect(log.at(-1)).toBe('left up');
});
