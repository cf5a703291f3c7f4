// Reads a module's functions apart (WebAssembly core specification, 5.5 "Modules"), as far as those here have sections.

export interface WasmType {
  params: string[];
  results: string[];
}

export interface WasmFunction {
  type: WasmType;
  /** Types of the locals behind the parameters. */
  locals: string[];
  /** With the END behind the last instruction. */
  body: Uint8Array;
}

export interface WasmModule {
  /** Imported functions, which come before the others. */
  imports: WasmType[];
  functions: WasmFunction[];
}

const TYPES: Record<number, string> = { 0x7f: 'i32', 0x7e: 'i64', 0x7d: 'f32', 0x7c: 'f64', 0x7b: 'v128' };

export function readModule(bytes: Uint8Array): WasmModule {
  let at = 8;
  const u32 = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++];
      value |= (byte & 0x7f) << shift;
      if (!(byte & 0x80)) return value >>> 0;
    }
  };
  const list = <T>(item: () => T): T[] => Array.from({ length: u32() }, item);
  const type = (): string => TYPES[bytes[at++]];
  const limits = (): void => {
    const flags = u32();
    u32();
    if (flags & 1) u32();
  };
  const skipName = (): void => {
    const length = u32();
    at += length;
  };
  let types: WasmType[] = [];
  const imports: WasmType[] = [];
  let declared: number[] = [];
  let functions: WasmFunction[] = [];
  while (at < bytes.length) {
    const id = bytes[at++];
    const size = u32();
    const end = at + size;
    if (id === 1) types = list(() => (at++, { params: list(type), results: list(type) }));
    if (id === 2) {
      list(() => {
        skipName();
        skipName();
        const kind = bytes[at++];
        if (kind === 0) imports.push(types[u32()]);
        else if (kind === 3) at += 2;
        else {
          if (kind === 1) at++;
          limits();
        }
      });
    }
    if (id === 3) declared = list(u32);
    if (id === 10) {
      let n = 0;
      functions = list(() => {
        const length = u32();
        const last = at + length;
        const locals = list(() => {
          const count = u32();
          return new Array<string>(count).fill(type());
        }).flat();
        const body = bytes.subarray(at, last);
        at = last;
        return { type: types[declared[n++]], locals, body };
      });
    }
    at = end;
  }
  return { imports, functions };
}
