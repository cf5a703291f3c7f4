; As transfers.asm for 32-bit code: INT n and IRET, also to and from code segments whose base is not 0, SYSENTER and SYSEXIT.
; Intel SDM volume 2 (SYSENTER, SYSEXIT), volume 3, sections 6.8.1 (masking; STI) and 6.12 (handlers).
; expect:
;   software interrupts in a function: #30 +16 cs=001b
;   result=00003345
;   from a segment with a base: #30 +13 cs=003b
;   result=00003a98
;   the return address in another segment: result=0003efd0
;   sysenter in a function: #30 +15 cs=001b
;   result=005ba108
;   an interrupt behind STI and SYSEXIT: #30 +21 cs=001b
;   result=000007d0
%include "lib32.inc"

%define CODE3_BASED (FIRST_FREE + 3)
%define CODE_BASED (FIRST_FREE + 8)      ; ring 0, the same base
%define CODE_OTHER (FIRST_FREE + 16)     ; ring 0, 20h above it
%define BASE 0x1010
%define APIC 0xfee00000
%define ROUNDS 2000
%define INTERRUPT 0x50
; how many came; away from the code, which a write to its page would drop
%define interrupts SCRATCH + 0x8000

%macro GATE 2 ; vector, handler; from ring 3
  mov eax, %2
  mov edi, idt + (%1) * 8
  mov [edi], ax
  mov byte [edi + 5], 0xee
  shr eax, 16
  mov [edi + 6], ax
%endmacro

%macro RESULT 0
  SHOW "result", ebp
  NEWLINE
%endmacro

%macro WRMSR 2
  mov ecx, %1
  mov eax, %2
  xor edx, edx
  wrmsr
%endmacro

main:
  mov dword [gdt + FIRST_FREE], 0x1010ffff
  mov dword [gdt + FIRST_FREE + 4], 0x00cffa00
  mov dword [gdt + CODE_BASED], 0x1010ffff
  mov dword [gdt + CODE_BASED + 4], 0x00cf9a00
  mov dword [gdt + CODE_OTHER], 0x1030ffff
  mov dword [gdt + CODE_OTHER + 4], 0x00cf9a00
  GATE 0x40, handler40
  GATE INTERRUPT, interrupt
  GATE 0x42, handler42 - BASE - 0x20
  mov word [idt + 0x42 * 8 + 2], CODE_OTHER
  mov dword [APIC + 0xf0], 0x1ff
  WRMSR 0x174, CODE0
  WRMSR 0x175, STACK_TSS - 0x1000
  WRMSR 0x176, on_sysenter

  TRY3 "software interrupts in a function", ints
  RESULT

  mov dword [vector], -1
  mov dword [resume], .after
  mov dword [origin], based - BASE
  mov [resume_esp], esp
  push dword DATA3
  push dword STACK3
  push dword 2
  push dword CODE3_BASED
  push dword based - BASE
  mov ax, DATA3
  mov ds, ax
  mov es, ax
  iretd
.after:
  PRINT "from a segment with a base: "
  call report
  RESULT

  jmp CODE_BASED:in_based - BASE
.back:
  PRINT "the return address in another segment: "
  RESULT

  TRY3 "sysenter in a function", sysenters
  RESULT
  WRMSR 0x176, on_sysenter_send
  mov dword [interrupts], 0
  TRY3 "an interrupt behind STI and SYSEXIT", behind_sti
  RESULT
  ret

; CF comes through: 7 each, and 1 more for 999 to 1. With 2000, 1992 ... 8 the function returns to what follows the sum
ints:
  mov ebx, ROUNDS
  xor ebp, ebp
.round:
  call .call
  adc ebp, eax
  nop
  dec ebx
  jnz .round
  nop
  nop
  int 0x30
.call:
  test ebx, 7
  jnz .behind
  add dword [esp], 2           ; to the NOP
.behind:
  cmp ebx, ROUNDS / 2
  int 0x40
  ret
handler40:
  SLICE bl
  mov eax, 7
  add dword [interrupts], eax
  iretd

; 7 each, and half of a round's number's lowest bit
based:
  mov ebx, ROUNDS
  xor ebp, ebp
.round:
  call .call
  add ebp, eax
  dec ebx
  jnz .round
  int 0x30
.call:
  int 0x40
  test bl, 1
  jz .even
  inc ebp
.even:
  ret

; Every other time a handler in another segment returns to the offset at which a caller waits, and has other code there
in_based:
  mov ebx, ROUNDS
  xor ebp, ebp
.round:
  call .call
.return:
  inc ebp
  dec ebx
  jnz .round
  jmp CODE0:main.back
.call:
  int 0x42
  ret
  times 0x20 - ($ - .return) nop
  add ebp, 0x100
  jmp CODE_BASED:.return - BASE
handler42:
  SLICE bl
  test bl, 1
  jz .plain
  add esp, 12
  ret
.plain:
  iretd

; three times the number and one, of 2000 to 1
sysenters:
  mov ebx, ROUNDS
  xor ebp, ebp
.round:
  mov eax, ebx
  call call_sysenter
  add ebp, eax
  dec ebx
  jnz .round
  int 0x30
call_sysenter:
  mov edx, .back
  mov ecx, esp
  sysenter
.back:
  ret
on_sysenter:
  SLICE bl
  lea eax, [eax + eax * 2 + 1]
  sysexit

; as often as the function returned with the counter at the round's number
behind_sti:
  mov ebx, ROUNDS
  mov esi, 1
  xor ebp, ebp
.round:
  call call_sysenter
  mov eax, [interrupts]
  cmp eax, esi
  jne .next
  inc ebp
.next:
  inc esi
  dec ebx
  jnz .round
  int 0x30
on_sysenter_send:
  mov dword [APIC + 0x300], 0x44000 + INTERRUPT
  jmp .leave
.leave:
  sti
  sysexit

; 1 more where ring 3 was interrupted, and else what spoils the result
interrupt:
  test byte [esp + 4], 3
  jnz .right
  add dword [interrupts], 0x1000
.right:
  inc dword [interrupts]
  mov dword [APIC + 0xb0], 0
  iretd
END_IMAGE
