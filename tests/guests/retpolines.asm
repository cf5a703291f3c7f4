; Calls that do not come back the way they went, or do not go where they used to: retpolines (a return as an indirect jump), jumps by PUSH and RET, callees that take their
; return address off the stack, coroutines with a stack each, and more nested calls than compiled code nests. Compiled callers wait for
; the return address; they must neither go on too soon nor wait for what does not come.
; Intel, "Retpoline: A Branch Target Injection Mitigation", section 3; SDM volume 1, section 6.4.
; expect:
;   through a retpoline: result=00000100
;   a retpoline in what a retpoline called: result=00000200
;   PUSH and RET as a jump: result=00000100
;   the return address taken off: result=000001c0
;   a jump, then the return address taken off: result=00000180
;   coroutines: result=000000c0
;   recursion through a retpoline: result=0000012c
;   to an address that is not mapped: #PF(0010) elsewhere cr2=ffff800012345000
;   once more: result=00000100
;   through a pointer: result=001e8480
;   to another function: result=001e8c50
;   and to the first again: result=001e9038
%include "lib64.inc"

%define ROUNDS 64

main:
  call retpolines
  RESULT "through a retpoline"

  xor ebp, ebp
  mov ecx, ROUNDS
.nested:
  ADDRESS rax, inner
  call thunk
  add ebp, 1
  dec ecx
  jnz .nested
  RESULT "a retpoline in what a retpoline called"

  xor ebp, ebp
  mov ecx, ROUNDS
.pushes:
  call jumps
  add ebp, 1
  dec ecx
  jnz .pushes
  RESULT "PUSH and RET as a jump"

  xor ebp, ebp
  mov ecx, ROUNDS
.leaves:
  call leaves
  add ebp, 0x1000              ; nobody returns here
.elsewhere:
  dec ecx
  jnz .leaves
  RESULT "the return address taken off"

  xor ebp, ebp
  mov ecx, ROUNDS
.leaves_later:
  call leaves_later
  add ebp, 0x1000
.elsewhere_later:
  add ebp, 1
  dec ecx
  jnz .leaves_later
  RESULT "a jump, then the return address taken off"

  xor ebp, ebp
  mov ecx, ROUNDS
  ADDRESS rax, other
  mov [abs other_stack_top - 8], rax
  mov qword [abs other_rsp], other_stack_top - 8
.switches:
  ADDRESS rdi, own_rsp
  ADDRESS rsi, other_rsp
  call switch
  add ebp, 1
  dec ecx
  jnz .switches
  RESULT "coroutines"

  xor ebp, ebp
  mov ecx, 300
  call deep
  RESULT "recursion through a retpoline"

  mov rax, 0xffff800012345000
  TRY "to an address that is not mapped", call thunk

  call retpolines
  RESULT "once more"

  xor ebp, ebp
  ADDRESS rbx, adds_one
  mov ecx, 2000000
  call through_pointer
  RESULT "through a pointer"
  ADDRESS rbx, adds_two
  mov ecx, 1000
  call through_pointer
  RESULT "to another function"
  ADDRESS rbx, adds_one
  mov ecx, 1000
  call through_pointer
  RESULT "and to the first again"
  ret

through_pointer:
  call rbx
  dec ecx
  jnz through_pointer
  ret
adds_one:
  add ebp, 1
  ret
adds_two:
  add ebp, 2
  ret

retpolines:
  xor ebp, ebp
  mov ecx, ROUNDS
.round:
  ADDRESS rax, adds
  call thunk
  add ebp, 1
  dec ecx
  jnz .round
  ret

; to RAX, by a return
thunk:
  call .go
.trap:
  pause
  lfence
  jmp .trap
.go:
  mov [rsp], rax
  ret

adds:
  add ebp, 3
  ret

inner:
  ADDRESS rax, adds
  call thunk
  add ebp, 4
  ret

jumps:
  ADDRESS rdx, adds
  push rdx
  ret

leaves:
  add ebp, 7
  add rsp, 8
  ADDRESS rdx, main.elsewhere
  push rdx
  ret

leaves_later:
  ADDRESS rdx, .off
  push rdx
  ret
.off:
  add ebp, 5
  add rsp, 8
  ADDRESS rdx, main.elsewhere_later
  jmp rdx

; RDI: where this stack's pointer is kept; RSI: where the other's is
switch:
  mov [rdi], rsp
  mov rsp, [rsi]
  ret

other:
  add ebp, 2
  ADDRESS rdi, other_rsp
  ADDRESS rsi, own_rsp
  call switch
  jmp other

deep:
  test ecx, ecx
  jz .end
  dec ecx
  ADDRESS rax, deep
  call thunk
  inc ebp
.end:
  ret

align 8
own_rsp dq 0
other_rsp dq 0
other_stack times 32 dq 0
other_stack_top:
END_IMAGE
