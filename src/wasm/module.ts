// A small WebAssembly module assembler: sections, functions, imports, one table.
// Follows the WebAssembly core specification 2.0, chapter 5 "Binary Format", with the threads proposal's shared memory.

export type ValType = 'i32' | 'i64' | 'f32' | 'f64' | 'v128';

const TYPE_CODE: Record<ValType, number> = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b };

export const typeCode = (type: ValType): number => TYPE_CODE[type];

/** Names in UTF-8. */
const NAMES = new Map<string, Uint8Array>();
const NAMES_MAX = 4096;

/** A growing byte buffer with the integer encodings of the binary format. */
export class Writer {
  private buffer = new Uint8Array(256);
  length = 0;

  private grow(n: number): void {
    const next = new Uint8Array(Math.max(this.buffer.length * 2, this.length + n));
    next.set(this.buffer.subarray(0, this.length));
    this.buffer = next;
  }

  byte(value: number): void {
    if (this.length === this.buffer.length) this.grow(1);
    this.buffer[this.length++] = value;
  }

  /** Change a byte that was written. */
  patch(at: number, value: number): void {
    this.buffer[at] = value;
  }

  /** Signed LEB128 in two bytes of -8192 to 8191, and another in its place. */
  short(value: number): void {
    this.byte((value & 0x7f) | 0x80);
    this.byte((value >> 7) & 0x7f);
  }
  patchShort(at: number, value: number): void {
    this.patch(at, (value & 0x7f) | 0x80);
    this.patch(at + 1, (value >> 7) & 0x7f);
  }

  bytes(values: ArrayLike<number>): void {
    if (this.length + values.length > this.buffer.length) this.grow(values.length);
    this.buffer.set(values, this.length);
    this.length += values.length;
  }

  /** Unsigned LEB128 of a u32. */
  u32(value: number): void {
    let rest = value >>> 0;
    while (rest >= 0x80) {
      this.byte((rest & 0x7f) | 0x80);
      rest >>>= 7;
    }
    this.byte(rest);
  }

  /** Signed LEB128 of an i32. */
  s32(value: number): void {
    let rest = value | 0;
    for (;;) {
      const low = rest & 0x7f;
      rest >>= 7;
      if ((rest === 0 && !(low & 0x40)) || (rest === -1 && low & 0x40)) return this.byte(low);
      this.byte(low | 0x80);
    }
  }

  /** Signed LEB128 of an i64. */
  s64(value: bigint): void {
    let rest = BigInt.asIntN(64, value);
    for (;;) {
      const low = Number(rest & 0x7fn);
      rest >>= 7n;
      if ((rest === 0n && !(low & 0x40)) || (rest === -1n && low & 0x40)) return this.byte(low);
      this.byte(low | 0x80);
    }
  }

  /** The same of an integer that a number holds exactly. */
  safe(value: number): void {
    let rest = value;
    for (;;) {
      const next = Math.floor(rest / 128);
      const low = rest - next * 128;
      if ((next === 0 && !(low & 0x40)) || (next === -1 && low & 0x40)) return this.byte(low);
      this.byte(low | 0x80);
      rest = next;
    }
  }

  f64(value: number): void {
    this.bytes(new Uint8Array(new Float64Array([value]).buffer));
  }

  f32(value: number): void {
    this.bytes(new Uint8Array(new Float32Array([value]).buffer));
  }

  name(text: string): void {
    let utf8 = NAMES.get(text);
    if (!utf8) {
      // Names of imports come again with each module.
      if (NAMES.size >= NAMES_MAX) NAMES.clear();
      NAMES.set(text, (utf8 = new TextEncoder().encode(text)));
    }
    this.u32(utf8.length);
    this.bytes(utf8);
  }

  view(): Uint8Array {
    return this.buffer.subarray(0, this.length);
  }
}

/** A function's type, and its place in the module's function index space. */
export interface FunctionRef {
  readonly name: string;
  readonly params: readonly ValType[];
  readonly result: ValType | null;
  readonly index: number;
  readonly typeIndex: number;
}

/** Whether a conditional branch's condition mostly holds or seldom does. */
export interface BranchHint {
  /** Where in the function's body, behind the declaration of its locals, the opcode of the `if` or `br_if` stands. */
  readonly at: number;
  readonly holds: boolean;
}

interface DefinedFunction {
  ref: FunctionRef;
  /** Types of the locals after the parameters. */
  locals: ValType[];
  body: Uint8Array | null;
  hints: readonly BranchHint[];
}

/** A function's locals, as its code begins with. */
function declaration(locals: readonly ValType[]): Uint8Array {
  const w = new Writer();
  const runs: [ValType, number][] = [];
  for (const type of locals) {
    const last = runs[runs.length - 1];
    if (last && last[0] === type) last[1]++;
    else runs.push([type, 1]);
  }
  w.u32(runs.length);
  for (const [type, count] of runs) {
    w.u32(count);
    w.byte(typeCode(type));
  }
  return w.view();
}

/** Assembles one module. All imports must be declared before the first function. */
export class ModuleBuilder {
  private readonly types: string[] = [];
  private readonly typeBodies: { params: readonly ValType[]; result: ValType | null }[] = [];
  private readonly imports: { module: string; ref: FunctionRef }[] = [];
  private readonly functions: DefinedFunction[] = [];
  private readonly exports: { name: string; ref: FunctionRef }[] = [];
  private table: FunctionRef[] = [];
  private readonly importedTables: { module: string; name: string }[] = [];

  /** @param memory the shared memory's limits, in pages of 64 KiB; imported as "env"."memory" */
  constructor(private readonly memory: { initial: number; maximum: number }) {}

  typeIndex(params: readonly ValType[], result: ValType | null): number {
    const key = `${params.join(',')}>${result ?? ''}`;
    const known = this.types.indexOf(key);
    if (known >= 0) return known;
    this.types.push(key);
    this.typeBodies.push({ params, result });
    return this.types.length - 1;
  }

  import(module: string, name: string, params: readonly ValType[], result: ValType | null): FunctionRef {
    if (this.functions.length) throw new Error(`import ${name} after the first function`);
    const ref = { name, params, result, index: this.imports.length, typeIndex: this.typeIndex(params, result) };
    this.imports.push({ module, ref });
    return ref;
  }

  /** Declare a function; its body follows by define(). */
  declare(name: string, params: readonly ValType[], result: ValType | null): FunctionRef {
    const ref = { name, params, result, index: this.imports.length + this.functions.length, typeIndex: this.typeIndex(params, result) };
    this.functions.push({ ref, locals: [], body: null, hints: [] });
    return ref;
  }

  /** Name of a function by its index. */
  nameOf(index: number): string | undefined {
    return (this.imports[index]?.ref ?? this.functions[index - this.imports.length]?.ref)?.name;
  }

  /** @param hints in ascending order */
  define(ref: FunctionRef, locals: ValType[], body: Uint8Array, hints: readonly BranchHint[] = []): void {
    const entry = this.functions[ref.index - this.imports.length];
    entry.locals = locals;
    entry.body = body.slice();
    entry.hints = hints;
  }

  /** @param name its own unless given */
  export(ref: FunctionRef, name = ref.name): void {
    this.exports.push({ name, ref });
  }

  /** Import a table of functions; gives its index. */
  importTable(module: string, name: string): number {
    this.importedTables.push({ module, name });
    return this.importedTables.length - 1;
  }

  /** The module's own table of functions, behind those imported; gives its index. */
  setTable(entries: FunctionRef[]): number {
    this.table = entries;
    return this.importedTables.length;
  }

  finish(): Uint8Array {
    const out = new Writer();
    out.bytes([0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]);
    const section = (id: number, fill: (w: Writer) => void): void => {
      const w = new Writer();
      fill(w);
      out.byte(id);
      out.u32(w.length);
      out.bytes(w.view());
    };
    section(1, (w) => {
      w.u32(this.typeBodies.length);
      for (const { params, result } of this.typeBodies) {
        w.byte(0x60);
        w.u32(params.length);
        for (const p of params) w.byte(typeCode(p));
        w.u32(result ? 1 : 0);
        if (result) w.byte(typeCode(result));
      }
    });
    section(2, (w) => {
      w.u32(this.imports.length + this.importedTables.length + 1);
      for (const { module, ref } of this.imports) {
        w.name(module);
        w.name(ref.name);
        w.byte(0x00);
        w.u32(ref.typeIndex);
      }
      for (const { module, name } of this.importedTables) {
        w.name(module);
        w.name(name);
        w.bytes([0x01, 0x70, 0x00]);
        w.u32(0);
      }
      w.name('env');
      w.name('memory');
      w.byte(0x02);
      w.byte(0x03); // shared, with a maximum
      w.u32(this.memory.initial);
      w.u32(this.memory.maximum);
    });
    section(3, (w) => {
      w.u32(this.functions.length);
      for (const f of this.functions) w.u32(f.ref.typeIndex);
    });
    if (this.table.length) {
      section(4, (w) => {
        w.u32(1);
        w.byte(0x70);
        w.byte(0x00);
        w.u32(this.table.length);
      });
    }
    section(7, (w) => {
      w.u32(this.exports.length);
      for (const { name, ref } of this.exports) {
        w.name(name);
        w.byte(0x00);
        w.u32(ref.index);
      }
    });
    if (this.table.length) {
      section(9, (w) => {
        w.u32(1);
        // An active segment of functions for a table by its index.
        w.u32(2);
        w.u32(this.importedTables.length);
        w.bytes([0x41, 0x00, 0x0b]);
        w.byte(0x00);
        w.u32(this.table.length);
        for (const ref of this.table) w.u32(ref.index);
      });
    }
    const declarations = this.functions.map(({ locals }) => declaration(locals));
    const hinted = this.functions.filter(({ hints }) => hints.length > 0);
    // WebAssembly's branch hinting proposal, "Branch Hints Section": places are counted from the declaration of the locals on.
    if (hinted.length > 0) {
      section(0, (w) => {
        w.name('metadata.code.branch_hint');
        w.u32(hinted.length);
        for (const { ref, hints } of hinted) {
          w.u32(ref.index);
          w.u32(hints.length);
          for (const { at, holds } of hints) {
            w.u32(declarations[ref.index - this.imports.length].length + at);
            w.bytes([0x01, holds ? 0x01 : 0x00]);
          }
        }
      });
    }
    section(10, (w) => {
      w.u32(this.functions.length);
      this.functions.forEach(({ ref, body }, n) => {
        if (!body) throw new Error(`function ${ref.name} was declared and never defined`);
        w.u32(declarations[n].length + body.length + 1);
        w.bytes(declarations[n]);
        w.bytes(body);
        w.byte(0x0b);
      });
    });
    // Function names, so that profiles and stack traces can be read.
    section(0, (w) => {
      w.name('name');
      const names = new Writer();
      names.u32(this.imports.length + this.functions.length);
      for (const ref of [...this.imports.map((i) => i.ref), ...this.functions.map((f) => f.ref)]) {
        names.u32(ref.index);
        names.name(ref.name);
      }
      w.byte(1);
      w.u32(names.length);
      w.bytes(names.view());
    });
    return out.view();
  }
}
