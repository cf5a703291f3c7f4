// Shows the error page in place of a room whose drawing failed.

import { Component, type ReactNode } from 'react';
import { showCrash } from './crash.ts';

export class ErrorBoundary extends Component<{ children: ReactNode }, { failed: boolean }> {
  override state = { failed: false };

  static getDerivedStateFromError(): { failed: boolean } {
    return { failed: true };
  }

  override componentDidCatch(error: unknown): void {
    // After React has finished with the root's children.
    setTimeout(() => showCrash(error));
  }

  override render(): ReactNode {
    return this.state.failed ? null : this.props.children;
  }
}
