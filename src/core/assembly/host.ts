// What core.wasm asks of the engine: ports, MMIO, device-owned MSRs, CPUID, the time-stamp counter, decoded code.
// 64-bit values pass as two u32, or through Cpu.SCRATCH: a BigInt on each call would cost twice as much.

// @ts-ignore: decorator
@external("host", "io_read")
export declare function hostIoRead(cpu: u32, port: u32, size: u32): u32;
// @ts-ignore: decorator
@external("host", "io_write")
export declare function hostIoWrite(cpu: u32, port: u32, size: u32, value: u32): void;
// @ts-ignore: decorator
@external("host", "mmio_read")
export declare function hostMmioRead(cpu: u32, low: u32, high: u32, size: u32): u32;
// @ts-ignore: decorator
@external("host", "mmio_write")
export declare function hostMmioWrite(cpu: u32, low: u32, high: u32, size: u32, value: u32): void;
/** 1: the value is a u64 in Cpu.SCRATCH; 0: no such register. */
// @ts-ignore: decorator
@external("host", "rdmsr")
export declare function hostRdmsr(cpu: u32, index: u32): i32;
/** 1: done; 0: no such register, or a value it does not take. */
// @ts-ignore: decorator
@external("host", "wrmsr")
export declare function hostWrmsr(cpu: u32, index: u32, low: u32, high: u32): i32;
/** Leaves EAX, EBX, ECX, EDX as four u32 in Cpu.SCRATCH. */
// @ts-ignore: decorator
@external("host", "cpuid")
export declare function hostCpuid(cpu: u32, leaf: u32, subleaf: u32): void;
/** Leaves the time-stamp counter, without Cpu.TSC_OFFSET, as a u64 in Cpu.SCRATCH. */
// @ts-ignore: decorator
@external("host", "tsc")
export declare function hostTsc(cpu: u32): void;
/** A software interrupt is about to be delivered; called while Cpu.TRACE is set. */
// @ts-ignore: decorator
@external("host", "trace_software_interrupt")
export declare function hostTraceSoftwareInterrupt(cpu: u32, vector: u32): void;
/** Drop what is decoded of these parts, of 64 bytes each, of a physical page. */
// @ts-ignore: decorator
@external("host", "invalidate_code")
export declare function hostInvalidateCode(cpu: u32, physicalPage: u32, first: u32, last: u32): void;
