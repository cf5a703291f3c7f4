// Entry point of the screen's worker: draws a machine's screen on the canvas that the page has handed over, so that the page's own thread has
// nothing to do with the millions of dots of a large one.

import { expose } from 'comlink';
import { type ScreenApi, ScreenView } from '../src/ui/machine/screen-view.ts';

let view: ScreenView | undefined;

const api: ScreenApi = {
  begin(canvas, onSize) {
    view = new ScreenView(canvas, onSize);
  },
  show(memory) {
    view!.show(memory);
  },
  still(isStill) {
    view!.isStill = isStill;
  },
  png: () => view!.png(),
  thumbnail: (width) => view!.thumbnail(width),
};

expose(api);
