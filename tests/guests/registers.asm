; Control registers, EFER and other model-specific registers, debug registers: what may be written, what gives #GP(0).
; Intel SDM volume 3, sections 2.5, 4.1.2 and 17.2; volume 4.
; QEMU's TCG checks few of these.
; expect:
;   CR0: the same: none
;   CR0.ET cannot be cleared: none
;   CR0.ET=00000010
;   CR1: #UD +0
;   CR5: #UD +0
;   CR8: 5: none
;   CR8=00000005
;   CR8: 16: #GP(0000) +5
; qemu: CR8: 16: none
;   CR8: 0: none
;   lmsw cannot clear PE: none
;   CR0=00000001
;   EFER.LME clear with paging: #GP(0000) +11
; qemu: EFER.LME clear with paging: none
;   EFER bit 1: #GP(0000) +11
; qemu: EFER bit 1: none
;   EFER bit 63: #GP(0000) +16
; qemu: EFER bit 63: none
;   EFER.LMA is not written: none
;   EFER: none
;   EFER=00000d01
;   MSR 12345678h: #GP(0000) +5
; qemu: MSR 12345678h: none
;   write of MSR 12345678h: #GP(0000) +11
; qemu: write of MSR 12345678h: none
;   LSTAR not canonical: #GP(0000) +16
; qemu: LSTAR not canonical: none
;   KERNEL_GS_BASE not canonical: #GP(0000) +16
; qemu: KERNEL_GS_BASE not canonical: none
;   PAT with type 2: #GP(0000) +16
; qemu: PAT with type 2: none
;   PAT: none
;   PAT: none
;   PAT=00070406
;   MTRR default type 2: #GP(0000) +11
; qemu: MTRR default type 2: none
;   MTRR capabilities: none
;   write of them: #GP(0000) +11
; qemu: write of them: none
;   SYSENTER_EIP: none
;   SYSENTER_EIP: none
;   low=12345678 high=00005678
;   APIC base, reserved bits: #GP(0000) +16
; qemu: APIC base, reserved bits: none
;   APIC base: none
;   APIC base=fee00900
;   xgetbv without OSXSAVE: #UD +2
;   rdpmc of a counter that is not there: #GP(0000) +5
; qemu: rdpmc of a counter that is not there: #UD +5
;   rdtsc in ring 0 with CR4.TSD: none
;   rdtsc in ring 3 with CR4.TSD: #GP(0000) +0 cs=002b
;   rdtsc in ring 3: #30 +4 cs=002b
;   DR0: none
;   DR0=00001234
;   DR7, upper half: #GP(0000) +a
;   DR6, upper half: #GP(0000) +a
;   DR4 is DR6 without CR4.DE: none
;   mov dr7 in ring 3: #GP(0000) +0 cs=002b
%include "lib64.inc"

; writes a register with some bits of its value changed: CR_SET "name", cr, bits to set, bits to clear
%macro CR_CHANGE 4
  TRY %1
    mov rax, %2
    mov rbx, %3
    or rax, rbx
    mov rbx, ~(%4)
    and rax, rbx
    mov %2, rax
  DONE
%endmacro
%macro TRY_WRMSR 3
  TRY %1
    mov ecx, %2
    mov rax, %3
    mov rdx, rax
    shr rdx, 32
    wrmsr
  DONE
%endmacro
%macro TRY_RDMSR 2
  TRY %1
    mov ecx, %2
    rdmsr
  DONE
%endmacro

main:
  mov r14, cr0
  mov r15, cr4
  CR_CHANGE "CR0: the same", cr0, 0, 0
  CR_CHANGE "CR0.ET cannot be cleared", cr0, 0, 0x10
  mov rax, cr0
  and eax, 0x10
  SHOW "CR0.ET", eax
  NEWLINE
  TRY "CR1", db 0x0f, 0x20, 0xc8
  TRY "CR5", db 0x0f, 0x20, 0xe8
  TRY "CR8: 5"
    mov eax, 5
    mov cr8, rax
    mov rbx, cr8
  DONE
  SHOW "CR8", ebx
  NEWLINE
  TRY "CR8: 16"
    mov eax, 16
    mov cr8, rax
  DONE
  TRY "CR8: 0"
    xor eax, eax
    mov cr8, rax
  DONE
  TRY "lmsw cannot clear PE"
    xor eax, eax
    lmsw ax
  DONE
  mov rax, cr0
  and eax, 0xf
  SHOW "CR0", eax
  NEWLINE
  mov cr0, r14
  ; EFER
  TRY_WRMSR "EFER.LME clear with paging", 0xc0000080, 0x801
  TRY_WRMSR "EFER bit 1", 0xc0000080, 0xd03
  TRY_WRMSR "EFER bit 63", 0xc0000080, 0x8000000000000d01
  TRY_WRMSR "EFER.LMA is not written", 0xc0000080, 0x901
  TRY_RDMSR "EFER", 0xc0000080
  SHOW "EFER", eax
  NEWLINE
  ; others
  TRY_RDMSR "MSR 12345678h", 0x12345678
  TRY_WRMSR "write of MSR 12345678h", 0x12345678, 0
  TRY_WRMSR "LSTAR not canonical", 0xc0000082, 0x800000000000
  TRY_WRMSR "KERNEL_GS_BASE not canonical", 0xc0000102, 0x800000000000
  TRY_WRMSR "PAT with type 2", 0x277, 0x0007040600070402
  TRY_WRMSR "PAT", 0x277, 0x0007040600070406
  TRY_RDMSR "PAT", 0x277
  SHOW "PAT", eax
  NEWLINE
  TRY_WRMSR "MTRR default type 2", 0x2ff, 0xc02
  TRY_RDMSR "MTRR capabilities", 0xfe
  TRY_WRMSR "write of them", 0xfe, 0
  TRY_WRMSR "SYSENTER_EIP", 0x176, 0x1234567812345678 & 0x7fffffffffff
  TRY_RDMSR "SYSENTER_EIP", 0x176
  SHOW "low", eax
  SHOW "high", edx
  NEWLINE
  TRY_WRMSR "APIC base, reserved bits", 0x1b, 0xfee00900 | 1 << 50
  TRY_RDMSR "APIC base", 0x1b
  SHOW "APIC base", eax
  NEWLINE
  TRY "xgetbv without OSXSAVE"
    xor ecx, ecx
    db 0x0f, 0x01, 0xd0
  DONE
  TRY "rdpmc of a counter that is not there"
    mov ecx, 0x12345
    rdpmc
  DONE
  TRY "rdtsc in ring 0 with CR4.TSD"
    mov rax, cr4
    or eax, 4
    mov cr4, rax
    rdtsc
  DONE
  TRY3 "rdtsc in ring 3 with CR4.TSD", .rdtsc
  mov cr4, r15
  TRY3 "rdtsc in ring 3", .rdtsc
  ; debug registers
  TRY "DR0"
    mov eax, 0x1234
    mov dr0, rax
    xor eax, eax
    mov rbx, dr0
  DONE
  SHOW "DR0", ebx
  NEWLINE
  TRY "DR7, upper half"
    mov rax, 1 << 32
    mov dr7, rax
  DONE
  TRY "DR6, upper half"
    mov rax, 1 << 32
    mov dr6, rax
  DONE
  TRY "DR4 is DR6 without CR4.DE"
    db 0x0f, 0x21, 0xe3        ; mov rbx, dr4
  DONE
  TRY3 "mov dr7 in ring 3", .dr7
  ret
.rdtsc:
  rdtsc
  int 0x30
.dr7:
  mov rax, dr7
END_IMAGE
