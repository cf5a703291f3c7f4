; Writes to control registers that must not succeed, because the CPU would be lost.
; Intel SDM volume 2 "MOV—Move to/from Control Registers", volume 3 sections 2.5 and 4.1.2.
; not for qemu: its TCG carries them out
; expect:
;   CR0.PE clear with PG: #GP(0000) +15
;   CR0.NW without CD: #GP(0000) +15
;   CR0 bit 32: #GP(0000) +1a
;   CR0.PG clear in 64-bit mode: #GP(0000) +18
;   CR4.PAE clear in long mode: #GP(0000) +15
;   CR4 bit 31: #GP(0000) +15
;   CR4 bit 63: #GP(0000) +1a
;   CR4.PCIDE: #GP(0000) +15
;   CR3 bit 60: #GP(0000) +10
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
main:
  mov r15, cr4
  CR_CHANGE "CR0.PE clear with PG", cr0, 0, 1
  CR_CHANGE "CR0.NW without CD", cr0, 0x20000000, 0x40000000
  CR_CHANGE "CR0 bit 32", cr0, 1 << 32, 0
  CR_CHANGE "CR0.PG clear in 64-bit mode", cr0, 0, 0x80000000
  CR_CHANGE "CR4.PAE clear in long mode", cr4, 0, 0x20
  CR_CHANGE "CR4 bit 31", cr4, 1 << 31, 0
  CR_CHANGE "CR4 bit 63", cr4, 1 << 63, 0
  CR_CHANGE "CR4.PCIDE", cr4, 1 << 17, 0
  mov cr4, r15
  TRY "CR3 bit 60"
    mov rax, cr3
    mov rbx, 1 << 60
    or rax, rbx
    mov cr3, rax
  DONE
  ret
END_IMAGE
