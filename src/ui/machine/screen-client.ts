// The page's side of the worker that draws the screen.

import { proxy, type Remote, transfer, wrap } from 'comlink';
import { ScreenReader, screenText, textScreen } from '../../machine/screen-block.ts';
import ScreenWorker from '../../../workers/screen.ts?worker';
import type { ScreenApi, ScreenSize } from './screen-view.ts';

export class ScreenClient {
  private readonly worker = new ScreenWorker({ name: 'screen' });
  private readonly api: Remote<ScreenApi> = wrap<ScreenApi>(this.worker);
  private readonly still = matchMedia('(prefers-reduced-motion: reduce)');
  private readonly onStill = (): void => { void this.api.still(this.still.matches); };
  private reader: ScreenReader | undefined;

  /** Hands the canvas over. Whoever draws on it later needs another element. */
  constructor(canvas: HTMLCanvasElement, onSize: (size: ScreenSize) => void) {
    const offscreen = canvas.transferControlToOffscreen();
    void this.api.begin(transfer(offscreen, [offscreen]), proxy(onSize));
    this.onStill();
    this.still.addEventListener('change', this.onStill);
  }

  /** @param memory of the machine whose screen it is now; without one the last picture stays */
  show(memory: SharedArrayBuffer | undefined): void {
    this.reader = memory && new ScreenReader(memory);
    void this.api.show(memory);
  }

  /** The text on the screen; empty in graphics modes. */
  text(): string {
    const view = this.reader?.read();
    const screen = view && textScreen(view);
    return screen ? screenText(screen) : '';
  }

  png(): Promise<Blob | null> {
    return this.api.png();
  }

  thumbnail(width: number): Promise<Blob | null> {
    return this.api.thumbnail(width);
  }

  end(): void {
    this.still.removeEventListener('change', this.onStill);
    this.worker.terminate();
  }
}
