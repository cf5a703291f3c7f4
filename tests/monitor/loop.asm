; A guest that stays in a loop with a branch, memory and a call, for the monitor to look at its compiled code.

%include "elf.inc"

start:
  cli
  cld
  mov esp, STACK0
loop_begin:
  mov eax, [SCRATCH]
  add eax, 1
  mov [SCRATCH], eax
  test al, 7
  jnz .skip
  call function
.skip:
  jmp loop_begin
loop_end:

function:
  lea edx, [edx+eax*2]
  xor ebx, edx
  ret
END_IMAGE
