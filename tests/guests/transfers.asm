; Loops over instructions that go to a handler and back (SYSCALL, SYSRET, INT n, IRET), in functions, so that compiled callers wait: for what
; comes back at their own privilege, and for nothing else. Interrupts that wait are taken where they may be.
; Intel SDM volume 3, sections 6.8.1 (masking), 6.12 (handlers), 11.6.1 (interrupt command register); AMD64 APM volume 2, section 6.1 (SYSCALL).
; expect:
;   system calls in a function: #30 +19 cs=002b
;   result=005ba108
;   software interrupts in a function: #30 +17 cs=002b
;   result=00003345
;   the return address in ring 0: #30 +20 cs=002b
;   result=0003efd0
;   ring 0's return address in ring 3: #PF(0005) +29 cs=002b cr2=ffff800012346000
;   result=0003eecf
;   the caller's page is another one: #30 +10 cs=002b
;   result=0003ebe8
;   an interrupt behind SYSRET: #30 +2b cs=002b
;   result=000007d0
;   an interrupt behind IRET: #30 +2b cs=002b
;   result=000007d0
;   an interrupt behind STI and IRET: #30 +2b cs=002b
;   result=000007d0
%include "lib64.inc"

%define V 0xffff800012345000
%define LAZY (V + 0x1000)
%define APIC (V + 0x2000)
%define ROUNDS 2000
; how many came; away from the code, which a write to its page would drop
%define interrupts SCRATCH + 0x8000
%define INTERRUPT 0x50
; to itself, edge, fixed
%define SELF (0x44000 + INTERRUPT)

; in a handler: makes an interrupt wait
%macro SEND 0
  mov rax, APIC
  mov dword [rax + 0x300], SELF
%endmacro

; copies a loop to a frame; R14 is what it calls, and it adds to EBP
%macro LOOP 2
  mov rsi, %%code
  mov edi, SCRATCH + (%1) * 0x1000
  mov ecx, %%end - %%code
  rep movsb
  jmp %%end
%%code:
  call r14
  add ebp, %2
  dec r13d
  jnz %%code
  int 0x30
%%end:
%endmacro

; in ring 3: as often as the function returned with the counter at the round's number
%macro COUNT 1
  mov r13d, ROUNDS
  mov r12d, 1
  xor ebp, ebp
%%round:
  call %1
  mov eax, [abs interrupts]
  cmp eax, r12d
  jne %%next
  inc ebp
%%next:
  inc r12d
  dec r13d
  jnz %%round
  int 0x30
%endmacro

%macro GATE 2 ; vector, handler; from ring 3
  mov rax, %2
  mov edi, idt + (%1) * 16
  mov [rdi], ax
  mov byte [rdi + 5], 0xee
  shr rax, 16
  mov [rdi + 6], ax
%endmacro

main:
  OWN_TABLES
  mov qword [abs PT2 + INDEX1 * 8], SCRATCH + 7
  mov qword [abs PT2 + INDEX1 * 8 + 8], SCRATCH + 0x2000 + 3     ; the supervisor's
  mov rax, 0xfee0001b
  mov [abs PT2 + INDEX1 * 8 + 16], rax
  LOOP 0, 1
  LOOP 1, 0x100
  WRMSR 0xc0000081, 0x0018000800000000
  WRMSR 0xc0000084, 0x200
  GATE 0x40, handler40
  GATE 0x41, handler41
  GATE 0x42, handler42
  GATE 0x43, handler43
  GATE 0x44, handler44
  GATE 0x45, handler45
  GATE INTERRUPT, interrupt
  mov rax, APIC
  mov dword [rax + 0xf0], 0x1ff

  WRMSR 0xc0000082, on_syscall
  TRY3 "system calls in a function", syscalls
  SHOW "result", ebp
  NEWLINE
  TRY3 "software interrupts in a function", ints
  SHOW "result", ebp
  NEWLINE
  mov r15, SCRATCH
  TRY3 "the return address in ring 0", reached_in_0
  SHOW "result", ebp
  NEWLINE
  mov r15, LAZY
  TRY3 "ring 0's return address in ring 3", reached_in_3
  SHOW "result", ebp
  NEWLINE
  mov r14, call43
  mov r13d, ROUNDS
  xor ebp, ebp
  TRY3 "the caller's page is another one", V
  SHOW "result", ebp
  NEWLINE
  WRMSR 0xc0000082, on_syscall_send
  mov dword [abs interrupts], 0
  TRY3 "an interrupt behind SYSRET", behind_sysret
  SHOW "result", ebp
  NEWLINE
  mov dword [abs interrupts], 0
  TRY3 "an interrupt behind IRET", behind_iret
  SHOW "result", ebp
  NEWLINE
  mov dword [abs interrupts], 0
  TRY3 "an interrupt behind STI and IRET", behind_sti
  SHOW "result", ebp
  NEWLINE
  ret

; three times the number and one, of 2000 to 1
syscalls:
  mov r13d, ROUNDS
  xor ebp, ebp
.round:
  mov edi, r13d
  call .call
  add ebp, eax
  dec r13d
  jnz .round
  int 0x30
.call:
  mov eax, edi
  syscall
  ret
on_syscall:
  SLICE r13b
  lea eax, [rax + rax * 2 + 1]
  o64 sysret

; CF comes through: 7 each, and 1 more for 999 to 1. With 2000, 1992 ... 8 the function returns to what follows the sum
ints:
  mov r13d, ROUNDS
  xor ebp, ebp
.round:
  call .call
  adc ebp, eax
  nop
  dec r13d
  jnz .round
  int 0x30
.call:
  test r13d, 7
  jnz .behind
  add qword [rsp], 2           ; to the NOP
.behind:
  cmp r13d, ROUNDS / 2
  int 0x40
  ret
handler40:
  SLICE r13b
  mov eax, 7
  add dword [abs interrupts], eax
  iretq

; Every other time ring 0 goes to where a caller in ring 3 waits, and reads there what ring 3 may not
reached_in_0:
  mov r13d, ROUNDS
  xor ebp, ebp
.round:
  call .call
.back:
  mov rax, [r15]
  mov ecx, cs
  test cl, 3
  jz .in_ring0
  inc ebp
  dec r13d
  jnz .round
  int 0x30
.call:
  int 0x41
  ret
.in_ring0:
  add ebp, 0x100
  mov r15d, SCRATCH
  iretq
handler41:
  SLICE r13b
  test r13b, 1
  jz .plain
  mov r15, LAZY
  push reached_in_0.back
  ret
.plain:
  iretq

; The reverse: ring 0 waits, and every other time ring 3 returns to its return address, and may not read what is read there the last time
reached_in_3:
  mov r13d, ROUNDS
  xor ebp, ebp
.round:
  call .call
  inc ebp
  dec r13d
  jnz .round
  int 0x30
.call:
  int 0x42
  ret
handler42:
  SLICE r13b
  mov r10, rsp
  call .called
.back:
  mov rax, [r15]
  mov ecx, cs
  test cl, 3
  jnz .in_ring3
  iretq
.in_ring3:
  add ebp, 0x100
  mov r15, LAZY
  ret
.called:
  test r13b, 1
  jnz .leave
  ret
.leave:
  cmp r13d, 1
  je .go
  mov r15d, SCRATCH
.go:
  mov rax, [r10 + 24]
  sub rax, 8
  mov qword [rax], .back
  push qword DATA3
  push rax
  push qword 2
  push qword CODE3
  push qword return
  iretq

; In the middle the page of the caller, which waits, becomes another
call43:
  int 0x43
return:
  ret
handler43:
  SLICE r13b
  cmp r13d, ROUNDS / 2
  jne .same
  mov qword [abs PT2 + INDEX1 * 8], SCRATCH + 0x1000 + 7
  mov rax, cr3
  mov cr3, rax
.same:
  iretq

behind_sysret:
  COUNT .call
.call:
  syscall
  ret
on_syscall_send:
  SEND
  or r11d, 0x200
  jmp .leave
.leave:
  o64 sysret

behind_iret:
  COUNT .call
.call:
  int 0x44
  ret
handler44:
  SEND
  or dword [rsp + 16], 0x200
  jmp .leave
.leave:
  iretq

behind_sti:
  COUNT .call
.call:
  int 0x45
  ret
handler45:
  SEND
  or dword [rsp + 16], 0x200
  jmp .leave
.leave:
  sti
  iretq

; 1 more where ring 3 was interrupted, and else what spoils the result
interrupt:
  test byte [rsp + 8], 3
  jz .wrong
  sub dword [abs interrupts], 0x1000
.wrong:
  add dword [abs interrupts], 0x1001
  mov rax, APIC
  mov dword [rax + 0xb0], 0
  iretq

END_IMAGE
