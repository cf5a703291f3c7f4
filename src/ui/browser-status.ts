// What this browser can do of what Tabvisor needs or profits from.

export interface Ability {
  name: string;
  /** Why it matters, one clause. */
  purpose: string;
  present: boolean;
  required: boolean;
}

// Each module below uses one instruction of its proposal, in a function of type [] -> []; a browser that does not know the
// proposal finds the module invalid. Layout: WebAssembly core specification, section 5.5 (binary format of modules).
const HEADER = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
const TYPE_AND_FUNCTION = [0x01, 0x04, 0x01, 0x60, 0x00, 0x00, 0x03, 0x02, 0x01, 0x00];

function module(memory: number[], body: number[]): Uint8Array {
  const code = [0x00, ...body, 0x0b];
  return new Uint8Array([...HEADER, ...TYPE_AND_FUNCTION, ...memory, 0x0a, code.length + 2, 0x01, code.length, ...code]);
}

export const PROBES = {
  /** i32.const 0; i8x16.splat; drop */
  simd: module([], [0x41, 0x00, 0xfd, 0x0f, 0x1a]),
  /** shared memory 1 1; i32.const 0; i32.atomic.load; drop */
  threads: module([0x05, 0x04, 0x01, 0x03, 0x01, 0x01], [0x41, 0x00, 0xfe, 0x10, 0x02, 0x00, 0x1a]),
  /** memory 1; memory.fill(0, 0, 0) */
  bulkMemory: module([0x05, 0x03, 0x01, 0x00, 0x01], [0x41, 0x00, 0x41, 0x00, 0x41, 0x00, 0xfc, 0x0b, 0x00]),
  /** return_call 0 */
  tailCalls: module([], [0x12, 0x00]),
};

function valid(probe: Uint8Array): boolean {
  return typeof WebAssembly === 'object' && WebAssembly.validate(probe as BufferSource);
}

export function abilities(): Ability[] {
  const shared = typeof SharedArrayBuffer === 'function';
  return [
    { name: 'Secure context', purpose: 'https, or this computer itself', present: globalThis.isSecureContext === true, required: true },
    { name: 'Cross-origin isolation', purpose: 'allows shared memory', present: globalThis.crossOriginIsolated === true, required: true },
    { name: 'SharedArrayBuffer', purpose: 'the memory that the machine and the page share', present: shared, required: true },
    { name: 'WebAssembly', purpose: 'the CPU engine', present: typeof WebAssembly === 'object', required: true },
    { name: 'WebAssembly threads', purpose: 'atomic instructions on shared memory', present: valid(PROBES.threads), required: true },
    { name: 'WebAssembly SIMD', purpose: 'the guest’s SSE instructions', present: valid(PROBES.simd), required: true },
    { name: 'WebAssembly bulk memory', purpose: 'block copies', present: valid(PROBES.bulkMemory), required: true },
    { name: 'OffscreenCanvas', purpose: 'the screen, drawn beside the page', present: typeof OffscreenCanvas === 'function' && 'transferControlToOffscreen' in HTMLCanvasElement.prototype, required: true },
    { name: 'WebAssembly tail calls', purpose: 'jumps between compiled guest code', present: valid(PROBES.tailCalls), required: false },
    { name: 'Atomics.waitAsync', purpose: 'console output without polling', present: 'waitAsync' in Atomics, required: false },
    { name: 'WebGL 2', purpose: 'a faster console', present: hasFastWebGl(), required: false },
    { name: 'Service worker', purpose: 'isolation on hosts that cannot send headers', present: 'serviceWorker' in navigator, required: false },
  ];
}

/** Names of the required abilities that this browser lacks. */
export function missingAbilities(): string[] {
  return abilities().filter((ability) => ability.required && !ability.present).map((ability) => ability.name);
}

let fastWebGl: boolean | undefined;

/** WebGL 2 by a real GPU: one drawn by the CPU takes time from the guest, and the DOM does as well. */
export function hasFastWebGl(): boolean {
  fastWebGl ??= probeWebGl();
  return fastWebGl;
}

function probeWebGl(): boolean {
  const context = document.createElement('canvas').getContext('webgl2', { failIfMajorPerformanceCaveat: true });
  if (!context) return false;
  // Chromium does not count its own software renderer as a caveat.
  const names = context.getExtension('WEBGL_debug_renderer_info');
  const renderer = String(context.getParameter(names ? names.UNMASKED_RENDERER_WEBGL : context.RENDERER));
  context.getExtension('WEBGL_lose_context')?.loseContext();
  return !/swiftshader|llvmpipe|softpipe|software|basic render/i.test(renderer);
}
