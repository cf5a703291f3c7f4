// What the code of a region is made for, beside its instructions.

import { Mode } from '../../core/layout.ts';
import type { Precision } from '../../x86/builder.ts';

/** What a region's code is made for; part of the code page's key. */
export interface RegionMode {
  /** Cpu.MODE */
  readonly mode: number;
  readonly user: boolean;
  /** All exceptions of the x87 are masked. The region is left where they are not. */
  readonly isX87Masked: boolean;
  /** Bits of significand that the x87's short way (x87-short.ts) rounds to, by what FCW was when the code became hot; 0: it is not gone. */
  readonly x87Precision: Precision | 0;
  /** Real mode. The region is left where it is not. */
  readonly isReal: boolean;
  /** Address of the vCPU area. */
  readonly cpu: number;
}

/** 16-bit code in real mode: regions load segment registers, CS among them. */
export const isReal = ({ isReal, mode }: RegionMode): boolean => isReal && (mode & Mode.CODE_MASK) === Mode.CODE16;
