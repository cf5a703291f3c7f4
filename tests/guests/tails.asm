; Functions that end in a jump to another one, which returns to their caller: by a register, as Linux's thunks for indirect calls do where the
; processor needs no retpolines, by a relative jump, on one of two ways only, after a push and a pop. Compiled callers wait for their return
; address; a target that takes it off the stack must not be waited for.
; SDM volume 1, section 6.4; volume 2, JMP.
; expect:
;   by a register: result=00000100
;   by a relative jump: result=00000140
;   on one of two ways: result=00000120
;   with a push and a pop: result=00000140
;   to one that does the same: result=00000180
;   to three in turn: result=00000180
;   the return address taken off: result=000001c0
;   taken off before the jump: result=00000180
;   recursion: result=0000012c
;   to an address that is not mapped: #PF(0010) elsewhere cr2=ffff800012345000
;   behind a call: result=00000180
;   by a register, once more: result=00000100
%include "lib64.inc"

%define ROUNDS 64

; 64 calls of one function
%macro CALLS 2
  xor ebp, ebp
  mov ecx, ROUNDS
%%round:
  call %2
  add ebp, 1
  dec ecx
  jnz %%round
  RESULT %1
%endmacro

main:
  ADDRESS rax, adds
  CALLS "by a register", thunk
  CALLS "by a relative jump", goes_on
  CALLS "on one of two ways", goes_on_if_odd
  CALLS "with a push and a pop", pushes
  CALLS "to one that does the same", goes_on_twice

  xor ebp, ebp
  mov ecx, 48
.three:
  ADDRESS rax, adds
  call thunk
  ADDRESS rax, goes_on
  call thunk
  ADDRESS rax, nothing
  call thunk
  add ebp, 1
  sub ecx, 1
  jnz .three
  RESULT "to three in turn"

  xor ebp, ebp
  mov ecx, ROUNDS
.leaves:
  ADDRESS rax, leaves
  call thunk
  add ebp, 0x1000              ; nobody returns here
.elsewhere:
  dec ecx
  jnz .leaves
  RESULT "the return address taken off"

  xor ebp, ebp
  mov ecx, ROUNDS
.drops:
  call drops
  add ebp, 0x1000
.elsewhere_too:
  add ebp, 1
  dec ecx
  jnz .drops
  RESULT "taken off before the jump"

  xor ebp, ebp
  mov ecx, 300
  call deep
  RESULT "recursion"

  mov rax, 0xffff800012345000
  TRY "to an address that is not mapped", call thunk

  ADDRESS rax, adds
  CALLS "behind a call", calls_first
  CALLS "by a register, once more", thunk
  ret

adds:
  add ebp, 3
nothing:
  ret

thunk:
  jmp rax

goes_on:
  add ebp, 1
  jmp adds

goes_on_if_odd:
  add ebp, 2
  test ecx, 1
  jnz adds
  ret

pushes:
  push rcx
  add ebp, 1
  pop rcx
  jmp adds

goes_on_twice:
  add ebp, 1
  jmp goes_on

leaves:
  add ebp, 7
  add rsp, 8
  ADDRESS rdx, main.elsewhere
  push rdx
  ret

drops:
  add ebp, 5
  add rsp, 8
  ADDRESS rdx, main.elsewhere_too
  jmp rdx

deep:
  test ecx, ecx
  jz nothing
  dec ecx
  ADDRESS rax, deep
  call thunk
  inc ebp
  ret

calls_first:
  push rax
  call goes_on_if_odd
  pop rax
  jmp goes_on_if_even

goes_on_if_even:
  test ecx, 1
  jz adds
  ret
END_IMAGE
