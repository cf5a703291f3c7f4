// A serial line that leads nowhere (-serial null): everything is sent, nothing comes.

import type { CharBackend } from '../../devices/interfaces.ts';

export class NullBackend implements CharBackend {
  write(): boolean {
    return true;
  }

  read(): number {
    return -1;
  }
}
