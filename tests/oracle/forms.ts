// Every instruction encoding that the oracle tries: what user mode can execute of the integer, x87, MMX and SSE to SSSE3
// instructions. Written from the Intel SDM volume 2, independently of src/x86, so that the two tables check each other.

/** RFLAGS bits. */
export const CF = 1;
export const PF = 4;
export const AF = 0x10;
export const ZF = 0x40;
export const SF = 0x80;
export const OF = 0x800;
export const ALL_FLAGS = 0x8d5;

export type Immediate = 'ib' | 'iw' | 'iz' | 'iv' | 'rel8' | 'relz' | 'far' | 'moffs';

/** How the generator prepares registers and memory so that the instruction does something worth seeing. */
export type Setup =
  | 'none'
  | 'shift1'
  | 'shiftCL'
  | 'shiftImm'
  | 'rotate1'
  | 'rotateCL'
  | 'rotateImm'
  | 'doubleShiftCL'
  | 'doubleShiftImm'
  | 'divide'
  | 'bitOffset'
  | 'compareExchange'
  | 'compareExchange8'
  | 'string'
  | 'xlat'
  | 'loop'
  | 'nearIndirect'
  | 'farIndirect'
  | 'farDirect'
  | 'ret'
  | 'farRet'
  | 'iret'
  | 'popf'
  | 'popSegment'
  | 'segmentFromOperand'
  | 'farLoad'
  | 'selector'
  | 'leave'
  | 'enter'
  | 'bound'
  | 'ldmxcsr'
  | 'maskmov'
  | 'interrupt'
  | 'aam';

export interface Form {
  readonly name: string;
  readonly opcode: readonly number[];
  /** Mandatory prefix, or 0. */
  readonly prefix: number;
  readonly modrm: boolean;
  /** ModRM.reg where it is part of the opcode. */
  readonly digit: number;
  readonly mod: 'any' | 'reg' | 'mem';
  readonly immediates: readonly Immediate[];
  /** b: byte operands. v: 16, 32 or 64. d64: 64 by default in 64-bit mode. f64: near branches. x: prefixes 66 F2 F3 are part of the opcode. */
  readonly size: 'b' | 'v' | 'd64' | 'f64' | 'x';
  readonly lock: boolean;
  readonly modes: 'all' | 'not64' | 'only64';
  readonly setup: Setup;
  /** Flags that the manual calls undefined, whatever the operands. */
  readonly undefinedFlags: number;
  /** F2 and F3 would make it another instruction. */
  readonly noRepeat: boolean;
  /** REX.W would make it another instruction, or one that the vendors treat differently. */
  readonly noRexW: boolean;
  /** A 16-byte memory operand must be aligned. */
  readonly aligned: boolean;
  readonly x87: boolean;
  readonly mmx: boolean;
  /** The result is an approximation: relative error up to 1.5 * 2^-12. */
  readonly approximate: boolean;
  /** ModRM.rm where it is part of the opcode (mod = reg). */
  readonly rm: number;
}

export const forms: Form[] = [];

const FLAG_NAMES: Record<string, number> = { C: CF, P: PF, A: AF, Z: ZF, S: SF, O: OF };

/**
 * @param pattern opcode bytes, a mandatory prefix as "66:", "/r", "/digit", immediates
 * @param words size letter and attributes; U=flags: undefined flags by initial letter
 */
function op(name: string, pattern: string, words: string): void {
  let prefix = 0;
  let digit = -1;
  let rm = -1;
  let modrm = false;
  const opcode: number[] = [];
  const immediates: Immediate[] = [];
  for (const token of pattern.split(' ')) {
    if (/^(66|f2|f3):$/.test(token)) prefix = parseInt(token, 16);
    else if (/^[0-9a-f]{2}$/.test(token)) opcode.push(parseInt(token, 16));
    else if (token === '/r') modrm = true;
    else if (/^\/[0-7]$/.test(token)) {
      modrm = true;
      digit = +token[1];
    } else if (/^\/[0-7]:[0-7]$/.test(token)) {
      modrm = true;
      digit = +token[1];
      rm = +token[3];
    } else immediates.push(token as Immediate);
  }
  const set = new Set(words.split(' '));
  let undefinedFlags = 0;
  let setup: Setup = 'none';
  for (const w of set) {
    if (w.startsWith('U=')) for (const c of w.slice(2)) undefinedFlags |= FLAG_NAMES[c];
    if (w.startsWith('!')) setup = w.slice(1) as Setup;
  }
  const size = (['b', 'v', 'd64', 'f64', 'x'] as const).find((s) => set.has(s));
  if (!size) throw new Error(`${name}: no size in "${words}"`);
  forms.push({
    name,
    opcode,
    prefix,
    modrm,
    digit,
    rm,
    mod: rm >= 0 || set.has('reg') ? 'reg' : set.has('mem') ? 'mem' : 'any',
    immediates,
    size,
    lock: set.has('lock'),
    modes: set.has('not64') ? 'not64' : set.has('only64') ? 'only64' : 'all',
    setup,
    undefinedFlags,
    noRepeat: size === 'x' || set.has('norep'),
    noRexW: set.has('noW'),
    aligned: set.has('a16'),
    x87: set.has('x87'),
    mmx: set.has('mmx'),
    approximate: set.has('approx'),
  });
}

/** The byte form at `opcode` and the 16/32/64-bit form at the next one. */
function pair(name: string, opcode: number, rest: string, words: string, mapped = false): void {
  const hex = (n: number) => (mapped ? '0f ' : '') + n.toString(16).padStart(2, '0');
  op(name, `${hex(opcode)} ${rest}`, `b ${words}`);
  op(name, `${hex(opcode + 1)} ${rest}`, `v ${words}`);
}

function integer(): void {
  ['add', 'or', 'adc', 'sbb', 'and', 'sub', 'xor', 'cmp'].forEach((name, n) => {
    const u = name === 'and' || name === 'or' || name === 'xor' ? ' U=A' : '';
    const lock = name === 'cmp' ? '' : ' lock';
    pair(name, n * 8, '/r', lock.trim() + u);
    pair(name, n * 8 + 2, '/r', u.trim());
    op(name, `${(n * 8 + 4).toString(16).padStart(2, '0')} ib`, `b${u}`);
    op(name, `${(n * 8 + 5).toString(16).padStart(2, '0')} iz`, `v${u}`);
    op(name, `80 /${n} ib`, `b${lock}${u}`);
    op(name, `81 /${n} iz`, `v${lock}${u}`);
    op(name, `82 /${n} ib`, `b not64${lock}${u}`);
    op(name, `83 /${n} ib`, `v${lock}${u}`);
  });
  for (let n = 0; n < 8; n++) {
    op('inc', `${(0x40 + n).toString(16)}`, 'v not64');
    op('dec', `${(0x48 + n).toString(16)}`, 'v not64');
    op('push', `${(0x50 + n).toString(16)}`, 'd64');
    op('pop', `${(0x58 + n).toString(16)}`, 'd64');
    if (n > 0) op('xchg', `${(0x90 + n).toString(16)}`, 'v');
    op('mov', `${(0xb0 + n).toString(16)} ib`, 'b');
    op('mov', `${(0xb8 + n).toString(16)} iv`, 'v');
    op('bswap', `0f ${(0xc8 + n).toString(16)}`, 'v no66');
  }
  op('pusha', '60', 'v not64');
  op('popa', '61', 'v not64');
  op('bound', '62 /r', 'v not64 mem !bound');
  op('arpl', '63 /r', 'b not64 !selector');
  op('movsxd', '63 /r', 'v only64');
  op('push', '68 iz', 'd64');
  op('imul', '69 /r iz', 'v U=PAZS');
  op('push', '6a ib', 'd64');
  op('imul', '6b /r ib', 'v U=PAZS');
  for (let n = 0; n < 16; n++) {
    const h = n.toString(16);
    op(`j${h}`, `7${h} rel8`, 'f64');
    op(`j${h}`, `0f 8${h} relz`, 'f64');
    op(`set${h}`, `0f 9${h} /r`, 'b');
    op(`cmov${h}`, `0f 4${h} /r`, 'v');
  }
  pair('test', 0x84, '/r', 'U=A');
  pair('xchg', 0x86, '/r', 'lock');
  pair('mov', 0x88, '/r', '');
  pair('mov', 0x8a, '/r', '');
  op('mov', '8c /r', 'v');
  op('lea', '8d /r', 'v mem');
  op('lea', '8d /r', 'v reg');
  op('mov', '8e /r', 'v !segmentFromOperand');
  op('pop', '8f /0', 'd64');
  op('nop', '90', 'v norep');
  op('pause', 'f3: 90', 'x');
  op('cbw', '98', 'v');
  op('cwd', '99', 'v');
  op('callf', '9a far', 'v not64 !farDirect');
  op('fwait', '9b', 'v');
  op('pushf', '9c', 'd64');
  op('popf', '9d', 'd64 !popf');
  op('sahf', '9e', 'b');
  op('lahf', '9f', 'b');
  op('mov', 'a0 moffs', 'b');
  op('mov', 'a1 moffs', 'v');
  op('mov', 'a2 moffs', 'b');
  op('mov', 'a3 moffs', 'v');
  for (const [name, opcode] of [['movs', 0xa4], ['cmps', 0xa6], ['stos', 0xaa], ['lods', 0xac], ['scas', 0xae]] as const) {
    const h = (n: number) => n.toString(16);
    for (const rep of ['', 'f3: ', 'f2: ']) {
      op(name, `${rep}${h(opcode)}`, 'b !string norep');
      op(name, `${rep}${h(opcode + 1)}`, 'v !string norep');
    }
  }
  op('test', 'a8 ib', 'b U=A');
  op('test', 'a9 iz', 'v U=A');
  ['rol', 'ror', 'rcl', 'rcr', 'shl', 'shr', 'sal', 'sar'].forEach((name, n) => {
    const kind = n < 4 ? 'rotate' : 'shift';
    pair(name, 0xc0, `/${n} ib`, `!${kind}Imm`);
    pair(name, 0xd0, `/${n}`, `!${kind}1`);
    pair(name, 0xd2, `/${n}`, `!${kind}CL`);
  });
  op('ret', 'c2 iw', 'f64 !ret');
  op('ret', 'c3', 'f64 !ret');
  op('les', 'c4 /r', 'v not64 mem !farLoad');
  op('lds', 'c5 /r', 'v not64 mem !farLoad');
  op('lss', '0f b2 /r', 'v mem noW !farLoad');
  op('lfs', '0f b4 /r', 'v mem noW !farLoad');
  op('lgs', '0f b5 /r', 'v mem noW !farLoad');
  pair('mov', 0xc6, '/0 iz', '');
  op('enter', 'c8 iw ib', 'd64 !enter');
  op('leave', 'c9', 'd64 !leave');
  op('retf', 'ca iw', 'v !farRet');
  op('retf', 'cb', 'v !farRet');
  op('int3', 'cc', 'b');
  op('int', 'cd ib', 'b !interrupt');
  op('into', 'ce', 'b not64');
  op('iret', 'cf', 'v !iret');
  op('aam', 'd4 ib', 'b not64 U=CAO !aam');
  op('aad', 'd5 ib', 'b not64 U=CAO');
  op('salc', 'd6', 'b not64');
  op('xlat', 'd7', 'b !xlat');
  // F3 before LOOP changes its condition on AMD processors.
  op('loopne', 'e0 rel8', 'f64 norep !loop');
  op('loope', 'e1 rel8', 'f64 norep !loop');
  op('loop', 'e2 rel8', 'f64 norep !loop');
  op('jcxz', 'e3 rel8', 'f64 norep !loop');
  // Privileged or port instructions: #GP(0) at CPL 3 with IOPL 0.
  op('in', 'e4 ib', 'b');
  op('in', 'e5 ib', 'v');
  op('out', 'e6 ib', 'b');
  op('out', 'e7 ib', 'v');
  op('in', 'ec', 'b');
  op('in', 'ed', 'v');
  op('out', 'ee', 'b');
  op('out', 'ef', 'v');
  op('hlt', 'f4', 'b');
  op('cli', 'fa', 'b');
  op('sti', 'fb', 'b');
  op('clts', '0f 06', 'b');
  op('wbinvd', '0f 09', 'b norep');
  op('invd', '0f 08', 'b');
  op('rdmsr', '0f 32', 'b');
  op('wrmsr', '0f 30', 'b');
  op('mov cr', '0f 20 /0', 'b reg');
  op('mov cr', '0f 22 /0', 'b reg');
  op('mov dr', '0f 21 /7', 'b reg');
  op('lgdt', '0f 01 /2', 'b mem');
  op('lidt', '0f 01 /3', 'b mem');
  op('lmsw', '0f 01 /6', 'b');
  op('invlpg', '0f 01 /7', 'b mem');
  op('lldt', '0f 00 /2', 'b');
  op('ltr', '0f 00 /3', 'b');
  op('call', 'e8 relz', 'f64');
  op('jmp', 'e9 relz', 'f64');
  op('jmpf', 'ea far', 'v not64 !farDirect');
  op('jmp', 'eb rel8', 'f64');
  op('cmc', 'f5', 'b');
  op('test', 'f6 /0 ib', 'b U=A');
  op('test', 'f7 /0 iz', 'v U=A');
  op('test', 'f6 /1 ib', 'b U=A');
  op('test', 'f7 /1 iz', 'v U=A');
  pair('not', 0xf6, '/2', 'lock');
  pair('neg', 0xf6, '/3', 'lock');
  pair('mul', 0xf6, '/4', 'U=PAZS');
  pair('imul', 0xf6, '/5', 'U=PAZS');
  pair('div', 0xf6, '/6', 'U=CPAZSO !divide');
  pair('idiv', 0xf6, '/7', 'U=CPAZSO !divide');
  op('clc', 'f8', 'b');
  op('stc', 'f9', 'b');
  op('cld', 'fc', 'b');
  op('std', 'fd', 'b');
  pair('inc', 0xfe, '/0', 'lock');
  pair('dec', 0xfe, '/1', 'lock');
  op('call', 'ff /2', 'f64 !nearIndirect');
  op('callf', 'ff /3', 'v mem noW !farIndirect');
  op('jmp', 'ff /4', 'f64 !nearIndirect');
  op('jmpf', 'ff /5', 'v mem noW !farIndirect');
  op('push', 'ff /6', 'd64');
  op('daa', '27', 'b not64 U=O');
  op('das', '2f', 'b not64 U=O');
  op('aaa', '37', 'b not64 U=PZSO');
  op('aas', '3f', 'b not64 U=PZSO');
  for (const [h, name] of [['06', 'push es'], ['0e', 'push cs'], ['16', 'push ss'], ['1e', 'push ds']]) op(name, h, 'd64 not64');
  for (const [h, name] of [['07', 'pop es'], ['17', 'pop ss'], ['1f', 'pop ds']]) op(name, h, 'd64 not64 !popSegment');
  op('push fs', '0f a0', 'd64');
  op('pop fs', '0f a1', 'd64 !popSegment');
  op('push gs', '0f a8', 'd64');
  op('pop gs', '0f a9', 'd64 !popSegment');

  op('lar', '0f 02 /r', 'v noW !selector');
  op('lsl', '0f 03 /r', 'v noW !selector');
  op('verr', '0f 00 /4', 'b !selector');
  op('verw', '0f 00 /5', 'b !selector');
  op('prefetchw', '0f 0d /1', 'b mem');
  op('prefetch', '0f 18 /0', 'b mem');
  op('prefetch', '0f 18 /3', 'b mem');
  op('nop', '0f 1f /0', 'v');
  op('ud2', '0f 0b', 'b');
  for (const [name, reg, digit] of [['bt', 'a3', 4], ['bts', 'ab', 5], ['btr', 'b3', 6], ['btc', 'bb', 7]] as const) {
    const lock = name === 'bt' ? '' : ' lock';
    op(name, `0f ${reg} /r`, `v U=PAZSO !bitOffset${lock}`);
    op(name, `0f ba /${digit} ib`, `v U=PAZSO${lock}`);
  }
  op('shld', '0f a4 /r ib', 'v !doubleShiftImm');
  op('shld', '0f a5 /r', 'v !doubleShiftCL');
  op('shrd', '0f ac /r ib', 'v !doubleShiftImm');
  op('shrd', '0f ad /r', 'v !doubleShiftCL');
  op('imul', '0f af /r', 'v U=PAZS');
  pair('cmpxchg', 0xb0, '/r', 'lock !compareExchange', true);
  op('movzx', '0f b6 /r', 'v');
  op('movzx', '0f b7 /r', 'v');
  op('movsx', '0f be /r', 'v');
  op('movsx', '0f bf /r', 'v');
  op('popcnt', 'f3: 0f b8 /r', 'v norep');
  op('bsf', '0f bc /r', 'v norep U=CPASO');
  op('bsr', '0f bd /r', 'v norep U=CPASO');
  pair('xadd', 0xc0, '/r', 'lock', true);
  op('movnti', '0f c3 /r', 'v mem no66 norep');
  op('cmpxchg8b', '0f c7 /1', 'v mem lock norep !compareExchange8');
  op('cmpxchg8b', '0f c7 /1', 'v reg norep');
}

function x87(): void {
  for (let n = 0; n < 8; n++) {
    op(`d8/${n}`, `d8 /${n}`, 'b x87');
    if (n !== 1 && n !== 6 && n !== 4) op(`d9/${n}`, `d9 /${n}`, 'b mem x87');
    op(`da/${n}`, `da /${n}`, 'b mem x87');
    if (n !== 4 && n !== 6) op(`db/${n}`, `db /${n}`, 'b mem x87');
    op(`dc/${n}`, `dc /${n}`, 'b mem x87');
    if (n !== 2 && n !== 3) op(`dc/${n}`, `dc /${n}`, 'b reg x87');
    if (n !== 4 && n !== 5 && n !== 6) op(`dd/${n}`, `dd /${n}`, 'b mem x87');
    op(`de/${n}`, `de /${n}`, 'b mem x87');
    if (n !== 2 && n !== 3) op(`de/${n}`, `de /${n}`, 'b reg x87');
    op(`df/${n}`, `df /${n}`, 'b mem x87');
    if (n < 4) op(`fcmov`, `da /${n}`, 'b reg x87');
    if (n < 4) op(`fcmovn`, `db /${n}`, 'b reg x87');
  }
  op('fld', 'd9 /0', 'b reg x87');
  op('fxch', 'd9 /1', 'b reg x87');
  op('fnop', 'd9 /2:0', 'b x87');
  op('fchs', 'd9 /4:0', 'b x87');
  op('fabs', 'd9 /4:1', 'b x87');
  op('ftst', 'd9 /4:4', 'b x87');
  op('fxam', 'd9 /4:5', 'b x87');
  for (let n = 0; n < 7; n++) op('fldconst', `d9 /5:${n}`, 'b x87');
  op('fxtract', 'd9 /6:4', 'b x87');
  op('fprem1', 'd9 /6:5', 'b x87');
  op('fdecstp', 'd9 /6:6', 'b x87');
  op('fincstp', 'd9 /6:7', 'b x87');
  op('fprem', 'd9 /7:0', 'b x87');
  op('fsqrt', 'd9 /7:2', 'b x87');
  op('frndint', 'd9 /7:4', 'b x87');
  op('fscale', 'd9 /7:5', 'b x87');
  op('fucompp', 'da /5:1', 'b x87');
  op('fclex', 'db /4:2', 'b x87');
  op('finit', 'db /4:3', 'b x87');
  op('fucomi', 'db /5', 'b reg x87');
  op('fcomi', 'db /6', 'b reg x87');
  op('ffree', 'dd /0', 'b reg x87');
  op('fst', 'dd /2', 'b reg x87');
  op('fstp', 'dd /3', 'b reg x87');
  op('fucom', 'dd /4', 'b reg x87');
  op('fucomp', 'dd /5', 'b reg x87');
  op('fstsw', 'dd /7', 'b mem x87');
  op('fcompp', 'de /3:1', 'b x87');
  op('fstsw ax', 'df /4:0', 'b x87');
  op('fucomip', 'df /5', 'b reg x87');
  op('fcomip', 'df /6', 'b reg x87');
}

/** MMX forms: the name and second opcode byte; those in `both` exist with 66 on XMM registers as well. */
function vectors(): void {
  const both: [string, number][] = [
    ['punpcklbw', 0x60], ['punpcklwd', 0x61], ['punpckldq', 0x62], ['packsswb', 0x63], ['pcmpgtb', 0x64], ['pcmpgtw', 0x65],
    ['pcmpgtd', 0x66], ['packuswb', 0x67], ['punpckhbw', 0x68], ['punpckhwd', 0x69], ['punpckhdq', 0x6a], ['packssdw', 0x6b],
    ['pcmpeqb', 0x74], ['pcmpeqw', 0x75], ['pcmpeqd', 0x76], ['psrlw', 0xd1], ['psrld', 0xd2], ['psrlq', 0xd3], ['paddq', 0xd4],
    ['pmullw', 0xd5], ['psubusb', 0xd8], ['psubusw', 0xd9], ['pminub', 0xda], ['pand', 0xdb], ['paddusb', 0xdc], ['paddusw', 0xdd],
    ['pmaxub', 0xde], ['pandn', 0xdf], ['pavgb', 0xe0], ['psraw', 0xe1], ['psrad', 0xe2], ['pavgw', 0xe3], ['pmulhuw', 0xe4],
    ['pmulhw', 0xe5], ['psubsb', 0xe8], ['psubsw', 0xe9], ['pminsw', 0xea], ['por', 0xeb], ['paddsb', 0xec], ['paddsw', 0xed],
    ['pmaxsw', 0xee], ['pxor', 0xef], ['psllw', 0xf1], ['pslld', 0xf2], ['psllq', 0xf3], ['pmuludq', 0xf4], ['pmaddwd', 0xf5],
    ['psadbw', 0xf6], ['psubb', 0xf8], ['psubw', 0xf9], ['psubd', 0xfa], ['psubq', 0xfb], ['paddb', 0xfc], ['paddw', 0xfd], ['paddd', 0xfe],
  ];
  const h = (n: number) => n.toString(16).padStart(2, '0');
  for (const [name, n] of both) {
    op(name, `0f ${h(n)} /r`, 'x mmx');
    op(name, `66: 0f ${h(n)} /r`, 'x a16');
  }
  const ssse3: [string, number][] = [
    ['pshufb', 0], ['phaddw', 1], ['phaddd', 2], ['phaddsw', 3], ['pmaddubsw', 4], ['phsubw', 5], ['phsubd', 6], ['phsubsw', 7],
    ['psignb', 8], ['psignw', 9], ['psignd', 10], ['pmulhrsw', 11], ['pabsb', 0x1c], ['pabsw', 0x1d], ['pabsd', 0x1e],
  ];
  for (const [name, n] of ssse3) {
    op(name, `0f 38 ${h(n)} /r`, 'x mmx');
    op(name, `66: 0f 38 ${h(n)} /r`, 'x a16');
  }
  op('palignr', '0f 3a 0f /r ib', 'x mmx');
  op('palignr', '66: 0f 3a 0f /r ib', 'x a16');
  op('movd', '0f 6e /r', 'x mmx');
  op('movd', '66: 0f 6e /r', 'x');
  op('movd', '0f 7e /r', 'x mmx');
  op('movd', '66: 0f 7e /r', 'x');
  op('movq', '0f 6f /r', 'x mmx');
  op('movdqa', '66: 0f 6f /r', 'x a16');
  op('movdqu', 'f3: 0f 6f /r', 'x');
  op('movq', '0f 7f /r', 'x mmx');
  op('movdqa', '66: 0f 7f /r', 'x a16');
  op('movdqu', 'f3: 0f 7f /r', 'x');
  op('movq', 'f3: 0f 7e /r', 'x');
  op('movq', '66: 0f d6 /r', 'x');
  op('movq2dq', 'f3: 0f d6 /r', 'x reg mmx');
  op('movdq2q', 'f2: 0f d6 /r', 'x reg mmx');
  op('pshufw', '0f 70 /r ib', 'x mmx');
  op('pshufd', '66: 0f 70 /r ib', 'x a16');
  op('pshufhw', 'f3: 0f 70 /r ib', 'x a16');
  op('pshuflw', 'f2: 0f 70 /r ib', 'x a16');
  for (const [opcode, digits] of [['71', [2, 4, 6]], ['72', [2, 4, 6]], ['73', [2, 6]]] as const) {
    for (const d of digits) {
      op(`pshift ${opcode}/${d}`, `0f ${opcode} /${d} ib`, 'x reg mmx');
      op(`pshift ${opcode}/${d}`, `66: 0f ${opcode} /${d} ib`, 'x reg');
    }
  }
  op('psrldq', '66: 0f 73 /3 ib', 'x reg');
  op('pslldq', '66: 0f 73 /7 ib', 'x reg');
  op('emms', '0f 77', 'x mmx');
  op('pinsrw', '0f c4 /r ib', 'x mmx');
  op('pinsrw', '66: 0f c4 /r ib', 'x');
  op('pextrw', '0f c5 /r ib', 'x reg mmx');
  op('pextrw', '66: 0f c5 /r ib', 'x reg');
  op('pmovmskb', '0f d7 /r', 'x reg mmx');
  op('pmovmskb', '66: 0f d7 /r', 'x reg');
  op('movntq', '0f e7 /r', 'x mem mmx');
  op('movntdq', '66: 0f e7 /r', 'x mem a16');
  op('maskmovq', '0f f7 /r', 'x reg mmx !maskmov');
  op('maskmovdqu', '66: 0f f7 /r', 'x reg !maskmov');
  op('punpcklqdq', '66: 0f 6c /r', 'x a16');
  op('punpckhqdq', '66: 0f 6d /r', 'x a16');
  op('lddqu', 'f2: 0f f0 /r', 'x mem');

  // Moves of floating-point vectors.
  op('movups', '0f 10 /r', 'x');
  op('movups', '0f 11 /r', 'x');
  op('movupd', '66: 0f 10 /r', 'x');
  op('movupd', '66: 0f 11 /r', 'x');
  op('movss', 'f3: 0f 10 /r', 'x');
  op('movss', 'f3: 0f 11 /r', 'x');
  op('movsd', 'f2: 0f 10 /r', 'x');
  op('movsd', 'f2: 0f 11 /r', 'x');
  op('movlps', '0f 12 /r', 'x');
  op('movlps', '0f 13 /r', 'x mem');
  op('movhps', '0f 16 /r', 'x');
  op('movhps', '0f 17 /r', 'x mem');
  op('movlpd', '66: 0f 12 /r', 'x mem');
  op('movlpd', '66: 0f 13 /r', 'x mem');
  op('movhpd', '66: 0f 16 /r', 'x mem');
  op('movhpd', '66: 0f 17 /r', 'x mem');
  op('movsldup', 'f3: 0f 12 /r', 'x a16');
  op('movshdup', 'f3: 0f 16 /r', 'x a16');
  op('movddup', 'f2: 0f 12 /r', 'x');
  for (const [p, s] of [['', 'ps'], ['66: ', 'pd']]) {
    op(`unpckl${s}`, `${p}0f 14 /r`, 'x a16');
    op(`unpckh${s}`, `${p}0f 15 /r`, 'x a16');
    op(`mova${s}`, `${p}0f 28 /r`, 'x a16');
    op(`mova${s}`, `${p}0f 29 /r`, 'x a16');
    op(`movnt${s}`, `${p}0f 2b /r`, 'x mem a16');
    op(`movmsk${s}`, `${p}0f 50 /r`, 'x reg');
    op(`and${s}`, `${p}0f 54 /r`, 'x a16');
    op(`andn${s}`, `${p}0f 55 /r`, 'x a16');
    op(`or${s}`, `${p}0f 56 /r`, 'x a16');
    op(`xor${s}`, `${p}0f 57 /r`, 'x a16');
    op(`shuf${s}`, `${p}0f c6 /r ib`, 'x a16');
    op(`ucomi${s}`, `${p}0f 2e /r`, 'x');
    op(`comi${s}`, `${p}0f 2f /r`, 'x');
  }
  for (const [p, s, a] of [['', 'ps', ' a16'], ['66: ', 'pd', ' a16'], ['f3: ', 'ss', ''], ['f2: ', 'sd', '']]) {
    for (const [name, n] of [['sqrt', 0x51], ['add', 0x58], ['mul', 0x59], ['sub', 0x5c], ['min', 0x5d], ['div', 0x5e], ['max', 0x5f]] as const) {
      op(name + s, `${p}0f ${h(n)} /r`, `x${a}`);
    }
    op(`cmp${s}`, `${p}0f c2 /r ib`, `x cmp${a}`);
  }
  for (const [p, s, a] of [['', 'ps', ' a16'], ['f3: ', 'ss', '']]) {
    op(`rsqrt${s}`, `${p}0f 52 /r`, `x approx${a}`);
    op(`rcp${s}`, `${p}0f 53 /r`, `x approx${a}`);
  }
  for (const [p, s] of [['66: ', 'pd'], ['f2: ', 'ps']]) {
    op(`hadd${s}`, `${p}0f 7c /r`, 'x a16');
    op(`hsub${s}`, `${p}0f 7d /r`, 'x a16');
    op(`addsub${s}`, `${p}0f d0 /r`, 'x a16');
  }
  // Conversions.
  op('cvtpi2ps', '0f 2a /r', 'x mmx');
  op('cvtpi2pd', '66: 0f 2a /r', 'x mmx');
  op('cvtsi2ss', 'f3: 0f 2a /r', 'x');
  op('cvtsi2sd', 'f2: 0f 2a /r', 'x');
  op('cvttps2pi', '0f 2c /r', 'x mmx');
  op('cvttpd2pi', '66: 0f 2c /r', 'x mmx a16');
  op('cvttss2si', 'f3: 0f 2c /r', 'x');
  op('cvttsd2si', 'f2: 0f 2c /r', 'x');
  op('cvtps2pi', '0f 2d /r', 'x mmx');
  op('cvtpd2pi', '66: 0f 2d /r', 'x mmx a16');
  op('cvtss2si', 'f3: 0f 2d /r', 'x');
  op('cvtsd2si', 'f2: 0f 2d /r', 'x');
  op('cvtps2pd', '0f 5a /r', 'x');
  op('cvtpd2ps', '66: 0f 5a /r', 'x a16');
  op('cvtss2sd', 'f3: 0f 5a /r', 'x');
  op('cvtsd2ss', 'f2: 0f 5a /r', 'x');
  op('cvtdq2ps', '0f 5b /r', 'x a16');
  op('cvtps2dq', '66: 0f 5b /r', 'x a16');
  op('cvttps2dq', 'f3: 0f 5b /r', 'x a16');
  op('cvttpd2dq', '66: 0f e6 /r', 'x a16');
  op('cvtdq2pd', 'f3: 0f e6 /r', 'x');
  op('cvtpd2dq', 'f2: 0f e6 /r', 'x a16');
  op('ldmxcsr', '0f ae /2', 'x mem !ldmxcsr');
  op('stmxcsr', '0f ae /3', 'x mem');
  op('lfence', '0f ae /5', 'x reg');
  op('mfence', '0f ae /6', 'x reg');
  op('sfence', '0f ae /7', 'x reg');
  op('clflush', '0f ae /7', 'x mem');
}

integer();
x87();
vectors();
