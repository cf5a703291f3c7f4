// What the screen says of itself: VESA E-EDID Standard, release A, revision 2 (EDID structure 1.4). The card has it in BAR 2, where
// drivers (Linux's bochs-drm) and the VGA BIOS (VBE/DDC) read it. The modes are those that QEMU's edid-generate.c lists.

export const EDID_SIZE = 128;

/** Of a monitor that prefers 1280x800 at 75 Hz. */
const [WIDTH, HEIGHT, REFRESH] = [1280, 800, 75];
/** At 100 dots an inch, mm. */
const [WIDTH_MM, HEIGHT_MM] = [WIDTH, HEIGHT].map((dots) => Math.floor((dots * 254) / 1000));
/** Aspect ratios of standard timings, section 3.9. */
const enum Ratio {
  R16_10 = 0,
  R4_3 = 1,
  R5_4 = 2,
  R16_9 = 3,
}
const STANDARD_TIMINGS: readonly [width: number, ratio: Ratio][] = [
  [2048, Ratio.R16_9], [1920, Ratio.R16_9], [1920, Ratio.R16_10], [1600, Ratio.R4_3], [1680, Ratio.R16_10], [1440, Ratio.R16_10], [1280, Ratio.R5_4], [1280, Ratio.R4_3],
];

/** Detailed timing descriptor, section 3.10.2. */
function detailedTiming(): number[] {
  const [hBlank, hFront, hSync] = [0.35, 0.25, 0.03].map((share) => Math.floor(WIDTH * share));
  const [vBlank, vFront, vSync] = [0.035, 0.005, 0.005].map((share) => Math.floor(HEIGHT * share));
  const clock = Math.floor(((WIDTH + hBlank) * (HEIGHT + vBlank) * REFRESH) / 10_000);
  const low = (value: number): number => value & 0xff;
  return [
    low(clock), clock >> 8, low(WIDTH), low(hBlank), ((WIDTH >> 8) << 4) | (hBlank >> 8), low(HEIGHT), low(vBlank), ((HEIGHT >> 8) << 4) | (vBlank >> 8),
    low(hFront), low(hSync), ((vFront & 15) << 4) | (vSync & 15), ((hFront >> 8) << 6) | ((hSync >> 8) << 4) | ((vFront >> 4) << 2) | (vSync >> 4),
    low(WIDTH_MM), low(HEIGHT_MM), ((WIDTH_MM >> 8) << 4) | (HEIGHT_MM >> 8), 0, 0, 0x18,
  ];
}

/** A display descriptor of text, section 3.10.3. */
const text = (tag: number, value: string): number[] => [0, 0, 0, tag, 0, ...[...`${value}\n`.padEnd(13)].map((character) => character.charCodeAt(0))];

export function makeEdid(): Uint8Array {
  const edid = new Uint8Array(EDID_SIZE);
  // "TBV", five bits a letter.
  const vendor = [...'TBV'].reduce((value, letter) => (value << 5) | (letter.charCodeAt(0) - 0x40), 0);
  edid.set([0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, vendor >> 8, vendor & 0xff, 0x34, 0x12, 0, 0, 0, 0, 1, 2024 - 1990, 1, 4]);
  // Digital, 8 bits a colour; size in cm; gamma 2.2; sRGB, the first timing is the preferred one; sRGB's chromaticities.
  edid.set([0xa5, Math.floor(WIDTH_MM / 10), Math.floor(HEIGHT_MM / 10), 120, 0x06, 0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54], 0x14);
  // Established timings: 640x480, 800x600, 1024x768 at 60 Hz.
  edid.set([0x21, 0x08, 0x00], 0x23);
  STANDARD_TIMINGS.forEach(([width, ratio], n) => edid.set([width / 8 - 31, ratio << 6], 0x26 + 2 * n));
  edid.set(detailedTiming(), 0x36);
  // Range limits: 50 to 125 Hz, 30 to 160 kHz, 2550 MHz.
  edid.set([0, 0, 0, 0xfd, 0, 50, 125, 30, 160, 255, 1, 0x0a, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20], 0x48);
  edid.set(text(0xfc, 'Tabvisor'), 0x5a);
  // A dummy descriptor.
  edid.set([0, 0, 0, 0x10], 0x6c);
  edid[127] = -edid.reduce((sum, byte) => sum + byte, 0) & 0xff;
  return edid;
}
