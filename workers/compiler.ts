// Entry point of the compiler's worker in the browser.

import { serveCompiler } from '../src/machine/compile-channel.ts';

serveCompiler({
  post: (message) => postMessage(message),
  onMessage: (handler) => addEventListener('message', ({ data }) => handler(data)),
});
