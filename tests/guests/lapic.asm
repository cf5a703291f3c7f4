; The local APIC: registers after reset, software enable, spurious vector, the timer one-shot and periodic, masking, TPR and
; CR8, interrupts to itself, in-service and request bits, HLT. Intel SDM volume 3, chapter 11 (10 in older editions).
; QEMU's APIC reports no illegal vectors sent, and lets LVT masks be cleared while it is disabled.
; expect:
;   APIC base=fee00900 id=00000000
;   version=00050014
;   DFR=ffffffff timer=00010000
;   self interrupt: #51 elsewhere
;   in service=00020000 requested=00000000
;   same class while it is in service: none
;   requested=00010000 PPR=00000050
;   higher class: #61 elsewhere
;   the waiting one after two ends: #50 elsewhere
;   in service=00000000
;   CR8=00000006
;   TPR 60h: none
;   TPR=00000050
;   TPR 50h: same class: none
;   TPR 40h: #52 elsewhere
;   highest first: #73 elsewhere
;   then the other: #53 elsewhere
;   one-shot timer, HLT: #62 elsewhere
;   current count=00000000
;   no second one: none
;   masked timer: none
;   stopped=00000000
;   it counts down
;   periodic: five came
; qemu: periodic: five came
;   ESR after an illegal vector=00000020
; qemu: ESR after an illegal vector=00000000
;   timer when disabled=00010000 after unmasking=00010062
; qemu: timer when disabled=00010000 after unmasking=00000062
%include "lib64.inc"

%define APIC 0xfee00000
%define ID 0x20
%define VERSION 0x30
%define TPR 0x80
%define PPR 0xa0
%define EOI 0xb0
%define LDR 0xd0
%define DFR 0xe0
%define SVR 0xf0
%define ISR 0x100
%define IRR 0x200
%define ESR 0x280
%define ICR 0x300
%define ICR_HIGH 0x310
%define LVT_TIMER 0x320
%define LVT_LINT0 0x350
%define LVT_ERROR 0x370
%define INITIAL 0x380
%define CURRENT 0x390
%define DIVIDE 0x3e0

%macro SET 2
  mov dword [r12 + %1], %2
%endmacro
%macro GET 2
  mov eax, [r12 + %2]
  SHOW %1, eax
%endmacro

main:
  ; the fourth GiB's last 32 MiB, uncached
  mov qword [abs PDPT + 24], TABLES + 0x3007
  mov edi, TABLES + 0x3000
  mov ecx, 512
  mov rax, 0xc000009f
.map:
  mov [rdi], rax
  add rax, 0x200000
  add rdi, 8
  loop .map
  mov rax, cr3
  mov cr3, rax
  mov r12d, APIC
  mov ecx, 0x1b
  rdmsr
  SHOW "APIC base", eax
  GET "id", ID
  NEWLINE
  GET "version", VERSION
  mov eax, [r12 + VERSION]
  and eax, 0xff
  NEWLINE

  GET "DFR", DFR
  GET "timer", LVT_TIMER
  NEWLINE
  mov rax, 0
  mov cr8, rax
  SET SVR, 0x1ff
  SET LVT_TIMER, 0x10000
  ; an interrupt to itself
  SET ICR, 0x40051
  TRY "self interrupt", call .wait
  GET "in service", ISR + 0x20
  GET "requested", IRR + 0x20
  NEWLINE
  ; a lower one waits, a higher class is taken
  SET ICR, 0x40050
  TRY "same class while it is in service", call .wait
  GET "requested", IRR + 0x20
  GET "PPR", PPR
  NEWLINE
  SET ICR, 0x40061
  TRY "higher class", call .wait
  SET EOI, 0
  SET EOI, 0
  TRY "the waiting one after two ends", call .wait
  SET EOI, 0
  GET "in service", ISR + 0x20
  NEWLINE
  ; TPR and CR8
  SET TPR, 0x60
  mov rax, cr8
  SHOW "CR8", eax
  NEWLINE
  SET ICR, 0x40052
  TRY "TPR 60h", call .wait
  mov eax, 5
  mov cr8, rax
  GET "TPR", TPR
  NEWLINE
  TRY "TPR 50h: same class", call .wait
  mov eax, 4
  mov cr8, rax
  TRY "TPR 40h", call .wait
  SET EOI, 0
  xor eax, eax
  mov cr8, rax
  ; two requests: the higher vector first
  SET ICR, 0x40053
  SET ICR, 0x40073
  TRY "highest first", call .wait
  SET EOI, 0
  TRY "then the other", call .wait
  SET EOI, 0
  ; the timer, one-shot
  SET DIVIDE, 0xb                  ; by 1
  SET LVT_TIMER, 0x62
  SET INITIAL, 1000
  TRY "one-shot timer, HLT", call .halt
  SET EOI, 0
  GET "current count", CURRENT
  NEWLINE
  TRY "no second one", call .wait
  ; masked
  SET LVT_TIMER, 0x10062
  SET INITIAL, 1000
.run_out:
  cmp dword [r12 + CURRENT], 0
  jne .run_out
  TRY "masked timer", call .wait
  ; stopped by an initial count of 0
  SET LVT_TIMER, 0x62
  SET INITIAL, 100000000
  SET INITIAL, 0
  GET "stopped", CURRENT
  NEWLINE
  ; counts down
  SET LVT_TIMER, 0x10062
  SET INITIAL, 100000000
  mov ebx, [r12 + CURRENT]
  mov ecx, 10000
.spin:
  loop .spin
  mov edx, [r12 + CURRENT]
  cmp edx, ebx
  jae .not_down
  PRINT "it counts down"
.not_down:
  NEWLINE
  SET INITIAL, 0
  ; periodic
  mov rax, .count
  mov [abs idt + 0x63 * 16], ax
  shr rax, 16
  mov [abs idt + 0x63 * 16 + 6], ax
  SET LVT_TIMER, 0x20063
  SET DIVIDE, 0                    ; by 2
  SET INITIAL, 20000
  xor ebx, ebx
  sti
.five:
  hlt
  cmp ebx, 5
  jb .five
  cli
  SET INITIAL, 0
  SET LVT_TIMER, 0x10000
  PRINT "periodic: five came"
  NEWLINE
  ; drain what may still be requested
  sti
  nop
  nop
  cli
  ; an illegal vector
  SET ESR, 0
  SET ICR, 0x40005
  SET ESR, 0
  GET "ESR after an illegal vector", ESR
  NEWLINE
  ; software disable masks the LVT
  SET SVR, 0xff
  GET "timer when disabled", LVT_TIMER
  SET LVT_TIMER, 0x62
  GET "after unmasking", LVT_TIMER
  NEWLINE
  ret

.wait:
  sti
  mov ecx, 2000
.again:
  loop .again
  cli
  ret
.halt:
  sti
  hlt
  cli
  ret
.count:
  inc ebx
  SET EOI, 0
  iretq
END_IMAGE
