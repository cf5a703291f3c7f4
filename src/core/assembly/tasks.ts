// The place of hardware task switches: Intel SDM volume 3, section 7.3. They are not there yet: whoever meets a
// task gate, jumps to a TSS or executes IRET with NT set gets #TS with the selector, as for a TSS that cannot be used.
// 64-bit kernels have no task gates; 32-bit Linux uses one for double faults only.

import { Cpu, Vector } from '../layout';
import { raiseSelector } from './state';

/** Switch to the task of a TSS selector. Always false: #TS(selector) is pending. */
export function switchTask(cpu: u32, selector: u32): bool {
  raiseSelector(cpu, Vector.TS, selector);
  return false;
}

/** IRET with RFLAGS.NT: back to the task that the TSS's link field names. Always false: #TS(TR) is pending. */
export function returnTask(cpu: u32): bool {
  raiseSelector(cpu, Vector.TS, load<u32>(cpu, Cpu.TR));
  return false;
}
