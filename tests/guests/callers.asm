; A function that waits for a call to come back, when by then its page is mapped to other code, or control comes back at another
; privilege: what counts is what is mapped where control goes. Compiled callers must notice.
; Intel SDM volume 3, sections 4.10.4 (invalidation of translations) and 5.8; AMD64 APM volume 2, section 6.1 (SYSCALL).
; expect:
;   behind the call: none
;   behind the other call: #30 elsewhere
;   behind the call in ring 3: #30 +8 cs=002b
;   SSE behind the call in ring 3: #30 +a cs=002b
;   nothing changed: none
;   result=00000001
;   PTE and INVLPG: none
;   result=00000002
;   PTE and MOV CR3: none
;   result=00000002
;   global page, MOV CR3, INVLPG: none
;   result=00000002
;   global page, CR4.PGE toggled: none
;   result=00000002
;   ring 3, system call: #30 +b cs=002b
;   result=00000001
;   ring 3, system call with MOV CR3: #30 +b cs=002b
;   result=00000002
;   ring 3, SSE after a system call: #30 +d cs=002b
;   ring 3, SSE after a system call that sets CR0.TS: #NM +8 cs=002b
;   ring 3, page fault: #30 +b cs=002b
;   result=00000001
;   ring 3, page fault with MOV CR3: #30 +b cs=002b
;   result=00000002
;   ring 3, system call in which ring 0 calls and MOV CR3: #30 +b cs=002b
;   result=00000002 inner=00000005
;   RET to the return address in ring 3: #PF(0005) elsewhere cs=002b cr2=ffff800012346000
;   result=00000003
;   once more, nothing changed: none
;   result=00000001
%include "lib64.inc"

%define V 0xffff800012345000
%define FRAME(n) (SCRATCH + (n) * 0x1000)
%define LAZY 0xffff800012346000

; V is mapped to a frame, others see it only after an invalidation
%macro PAGE 1
  mov qword [abs PT2 + INDEX1 * 8], %1
%endmacro

; FRAME n: a caller that leaves a number in EBP, and ends with RET or INT 30h. Memory would miss the TLB, and compiled code be left by that
%macro CALLER 3-4 nop
  mov rsi, %%code
  mov edi, FRAME(%1)
  mov ecx, %%end - %%code
  rep movsb
  jmp %%end
%%code:
  call r14
  mov ebp, %2
  %4
  %3
%%end:
%endmacro

%macro RESULT 0
  SHOW "result", ebp
  NEWLINE
%endmacro

%macro RUN 3 ; name, callee, bits of the first PTE
  PAGE FRAME(0) + %3
  invlpg [r12]
  mov r14, %2
  TRY %1, call r12
  RESULT
%endmacro

%macro RUN3 2-3 2 ; name, callee, frame
  PAGE FRAME(%3) + 7
  invlpg [r12]
  mov r14, %2
  TRY3 %1, V
%endmacro

main:
  mov r12, V
  OWN_TABLES
  CALLER 0, 1, ret
  CALLER 1, 2, ret
  CALLER 2, 1, {int 0x30}
  CALLER 3, 2, {int 0x30}
  CALLER 4, 3, {int 0x30}, {mov rax, [r15]}
  CALLER 6, 4, {int 0x30}, {addps xmm0, xmm1}
  WRMSR 0xc0000081, 0x0018000800000000
  WRMSR 0xc0000084, 0
  mov rax, cr4
  or eax, 0x80
  mov cr4, rax

  ; what follows the calls is executed first, so that it is known when the callers are compiled
  PAGE FRAME(0) + 7
  lea r13, [r12 + 3]
  TRY "behind the call", call r13
  PAGE FRAME(4) + 7
  invlpg [r12]
  mov r15, LAZY                ; the supervisor's
  mov qword [abs PT2 + INDEX1 * 8 + 8], FRAME(5) + 3
  TRY "behind the other call", call r13
  PAGE FRAME(2) + 7
  invlpg [r12]
  TRY3 "behind the call in ring 3", V + 3
  PAGE FRAME(6) + 7
  invlpg [r12]
  TRY3 "SSE behind the call in ring 3", V + 3
  RUN "nothing changed", .nothing, 7
  RUN "PTE and INVLPG", .invlpg, 7
  RUN "PTE and MOV CR3", .cr3, 7
  RUN "global page, MOV CR3, INVLPG", .cr3_invlpg, 0x107
  RUN "global page, CR4.PGE toggled", .pge, 0x107

  WRMSR 0xc0000082, .back
  RUN3 "ring 3, system call", .do_syscall
  RESULT
  WRMSR 0xc0000082, .back_elsewhere
  RUN3 "ring 3, system call with MOV CR3", .do_syscall
  RESULT

  WRMSR 0xc0000082, .back
  RUN3 "ring 3, SSE after a system call", .do_syscall, 6
  WRMSR 0xc0000082, .back_ts
  RUN3 "ring 3, SSE after a system call that sets CR0.TS", .do_syscall, 6
  clts

  ; page faults come to a handler that mends them
  mov rax, .mend
  call .set_gate
  mov qword [abs PT2 + INDEX1 * 8 + 8], 0
  invlpg [r12 + 0x1000]
  RUN3 "ring 3, page fault", .touch
  RESULT
  mov rax, .mend_elsewhere
  call .set_gate
  mov qword [abs PT2 + INDEX1 * 8 + 8], 0
  invlpg [r12 + 0x1000]
  RUN3 "ring 3, page fault with MOV CR3", .touch
  RESULT

  WRMSR 0xc0000082, .back_deep
  RUN3 "ring 3, system call in which ring 0 calls and MOV CR3", .do_syscall
  SHOW "result", ebp
  SHOW "inner", [abs inner]
  NEWLINE

  ; ring 0 calls, and its return address is reached in ring 3, for which a page is not that ring 0 has just read
  mov rax, stubs + 14 * 16
  call .set_gate
  mov r15, LAZY
  mov qword [abs PT2 + INDEX1 * 8 + 8], FRAME(5) + 3
  invlpg [r15]
  mov rax, [r15]
  PAGE FRAME(4) + 7
  invlpg [r12]
  mov r14, .to_ring3
  TRY "RET to the return address in ring 3", call r12
  RESULT

  RUN "once more, nothing changed", .nothing, 7
  ret

.nothing:
  ret
.invlpg:
  PAGE FRAME(1) + 7
  invlpg [r12]
  ret
.cr3:
  PAGE FRAME(1) + 7
  mov rax, cr3
  mov cr3, rax
  ret
.cr3_invlpg:
  PAGE FRAME(1) + 0x107
  mov rax, cr3
  mov cr3, rax
  invlpg [r12]
  ret
.pge:
  PAGE FRAME(1) + 7
  mov rax, cr4
  xor eax, 0x80
  mov cr4, rax
  xor eax, 0x80
  mov cr4, rax
  ret

.do_syscall:
  syscall
  ret
.back:
  o64 sysret
.back_elsewhere:
  PAGE FRAME(3) + 7
  mov rax, cr3
  mov cr3, rax
  o64 sysret
.back_ts:
  mov rax, cr0
  or eax, 8
  mov cr0, rax
  o64 sysret
; on a stack of its own, ring 0 calls functions around the change
.back_deep:
  mov r15, rsp
  mov rsp, STACK_TSS - 0x2000
  mov dword [abs inner], 0
  call .outer
  mov rsp, r15
  o64 sysret
.outer:
  call .inner
  inc dword [abs inner]
  ret
.inner:
  add dword [abs inner], 4
  PAGE FRAME(3) + 7
  mov rax, cr3
  mov cr3, rax
  ret

.touch:
  mov rax, LAZY
  mov rax, [rax]
  ret
.mend_elsewhere:
  PAGE FRAME(3) + 7
.mend:
  push rax
  mov qword [abs PT2 + INDEX1 * 8 + 8], FRAME(5) + 7
  mov rax, cr3
  mov cr3, rax
  pop rax
  add rsp, 8
  iretq
.set_gate: ; rax: handler of #PF
  mov [abs idt + 14 * 16], ax
  shr rax, 16
  mov [abs idt + 14 * 16 + 6], ax
  shr rax, 16
  mov [abs idt + 14 * 16 + 8], eax
  ret

.to_ring3:
  pop rax
  mov [abs STACK3 - 8], rax
  push qword DATA3
  push qword STACK3 - 8
  push qword 2
  push qword CODE3
  push qword .nothing
  iretq

align 8
inner dd 0
END_IMAGE
