; Loops whose accesses go anywhere: by a computed index over pages that lie in memory in another order, of every size and across borders, to a
; stack that crosses a border, by pointers that are read, and by a stream of bytes that says what to do next. Compiled loops keep the page
; that each access was on last, and must find each border, each change of the translations, and each page that must not be written.
; SDM volume 3, sections 4.6 and 4.10.
; expect:
;   read: result=abdabaad
;   written: result=0b453081
;   added to: result=ee480307
;   sixteen bytes each: result=23acc298
;   a stack over a border: result=f1bab51c
;   a frame that is read mostly: result=dc6c2828
;   a list: result=370a5b20
;   a program of bytes: result=671af99f
;   two pages changed places: result=06e031aa
;   a page that is not to be written: #PF(0003) elsewhere cr2=ffff800012343690
;   and what was written before: result=94f55d47
;   read, then added to: #PF(0003) elsewhere cr2=ffff8000123430e6
;   and what was added before: result=543f8d82
;   a frame that is not to be written: #PF(0003) elsewhere cr2=ffff800012343300
;   a page that is not there: #PF(0000) elsewhere cr2=ffff800012345fe3
;   and what was read before: result=aac7f7c9
;   behind a loop, a page that is not to be written any more: #PF(0003) elsewhere cr2=ffff800012343300
%include "lib64.inc"
%include "pages.inc"

; EAX: the next place, from 0 to 0x7ff7, and R9D another number
%macro PLACE 0
  imul r9d, r9d, 0x19660d
  add r9d, 0x3c6ef35f
  mov eax, r9d
  shr eax, 17
  and eax, 0x7ff7
%endmacro

%macro MAYBE 1
  test cl, %1
  jnz %%skip
  inc r11d
%%skip:
%endmacro

; so many blocks that a loop has sites
%macro BLOCKS 0
  MAYBE 1
  MAYBE 2
  MAYBE 4
  MAYBE 8
  MAYBE 16
  MAYBE 32
%endmacro

main:
  MAP_ALL
  mov rax, cr3
  mov cr3, rax
  mov rbx, V

  call fill
  OFTEN reads
  RESULT "read"
  OFTEN writes
  call check
  RESULT "written"
  OFTEN adds
  call check
  RESULT "added to"
  OFTEN vectors
  call check
  RESULT "sixteen bytes each"
  OFTEN stack
  call check
  RESULT "a stack over a border"
  OFTEN by_rbp
  RESULT "a frame that is read mostly"
  OFTEN list
  RESULT "a list"
  OFTEN program
  RESULT "a program of bytes"

  ; two pages change places, and are what they were for a loop that was compiled
  mov rax, [abs PT2 + INDEX1 * 8]
  mov rcx, [abs PT2 + (INDEX1 + 1) * 8]
  mov [abs PT2 + INDEX1 * 8], rcx
  mov [abs PT2 + (INDEX1 + 1) * 8], rax
  invlpg [rbx]
  invlpg [rbx + 0x1000]
  call reads
  RESULT "two pages changed places"

  MAP 3, 5
  TRY "a page that is not to be written", call writes
  call check
  RESULT "and what was written before"
  call reads                   ; may be read, says the TLB
  TRY "read, then added to", call adds
  call check
  RESULT "and what was added before"
  TRY "a frame that is not to be written", call by_rbp
  MAP 5, 0
  TRY "a page that is not there", call reads
  RESULT "and what was read before"

  MAP 3, 7
  mov r13, -1
  mov r12d, 2000
.behind:
  SLICE r12b
  call behind
  dec r12d
  jnz .behind
  mov r13, ~2
  TRY "behind a loop, a page that is not to be written any more", call behind
  ret

  FILL

; EBP: a sum of all words, read where they lie
check:
  xor ebp, ebp
  xor ecx, ecx
.word:
  mov eax, [P + rcx * 4]
  rol ebp, 5
  xor ebp, eax
  inc ecx
  cmp ecx, 1024 * 2 * PAGES
  jne .word
  ret

reads:
  xor ebp, ebp
  mov r9d, 7
  mov ecx, 3000
.next:
  BLOCKS
  PLACE
  rol ebp, 3
  xor ebp, [rbx + rax]
  PLACE
  movzx edx, byte [rbx + rax]
  add ebp, edx
  PLACE
  add bp, [rbx + rax]
  PLACE
  mov rdx, [rbx + rax]
  xor ebp, edx
  shr rdx, 32
  add ebp, edx
  PLACE
  and eax, 0x8007
  xor ebp, [rbx + rax + 0xff9] ; mostly on the first page, or across its end
  dec ecx
  jnz .next
  ret

writes:
  mov r9d, 8
  mov ecx, 2000
.next:
  BLOCKS
  PLACE
  mov [rbx + rax], r9d
  PLACE
  mov [rbx + rax], r9b
  PLACE
  mov [rbx + rax], r9
  dec ecx
  jnz .next
  ret

adds:
  mov r9d, 9
  mov ecx, 2000
.next:
  BLOCKS
  PLACE
  add [rbx + rax], r9d
  PLACE
  xor [rbx + rax], r9w
  PLACE
  inc qword [rbx + rax]
  dec ecx
  jnz .next
  ret

vectors:
  mov r9d, 10
  mov ecx, 1000
.next:
  BLOCKS
  PLACE
  and eax, 0x7fef
  movups xmm0, [rbx + rax]
  PLACE
  and eax, 0x7fe0
  movups [rbx + rax], xmm0
  movsd xmm1, [rbx + rax]
  PLACE
  movsd [rbx + rax], xmm1
  dec ecx
  jnz .next
  ret

stack:
  mov r8, rsp
  mov ecx, 200
.round:
  mov rsp, V + 0x3040
  mov edx, 16
.push:
  BLOCKS
  push rcx
  push rdx
  dec edx
  jnz .push
  mov edx, 16
.pop:
  BLOCKS
  pop rax
  pop r10
  add [rsp - 0x18], eax
  dec edx
  jnz .pop
  dec ecx
  jnz .round
  mov rsp, r8
  ret

; most rounds read by RBP, few write
by_rbp:
  mov rbp, V + 0x3000
  mov ecx, 400
  xor r10d, r10d
.next:
  BLOCKS
  mov eax, [rbp + rcx * 4]
  rol r10d, 1
  xor r10d, eax
  test cl, 63
  jnz .read
  mov [rbp + rcx * 2], r10d
.read:
  dec ecx
  jnz .next
  mov ebp, r10d
  ret

; behind a loop that writes, something is called that may change the page's rights (R13), and then it is written again
behind:
  mov rbp, V + 0x3000
  mov ecx, 6
  lea r14, [rel rights]
.next:
  BLOCKS
  mov [rbp + rcx * 4], ecx
  dec ecx
  jnz .next
  call r14
  mov [rbp + 0x300], ecx
  ret

rights:
  and [abs PT2 + (INDEX1 + 3) * 8], r13
  cmp r13, -1
  je .same
  invlpg [rbp]
.same:
  ret

; offsets of the next, made of what lies there
list:
  xor ebp, ebp
  xor eax, eax
  mov ecx, 3000
.next:
  BLOCKS
  mov eax, [rbx + rax]
  rol ebp, 1
  add ebp, eax
  add eax, ecx
  and eax, 0x7ff4
  dec ecx
  jnz .next
  ret

; the upper bits of a byte choose one of eleven, so that the loop has more blocks than one with streams
program:
  xor ebp, ebp
  xor esi, esi
  mov ecx, 3000
.next:
  movzx eax, byte [rbx + rsi]
  mov edx, eax
  shr eax, 4
  rol ebp, 1
  cmp eax, 1
  jb .a
  je .b
  cmp eax, 3
  jb .c
  je .d
  cmp eax, 5
  jb .e
  je .f
  cmp eax, 7
  jb .g
  je .h
  cmp eax, 9
  jb .i
  je .j
  xor ebp, [rbx + rdx * 8 + 0x1ffe]
  add esi, 3
  jmp .done
.a:
  add ebp, [rbx + 0xffe]
  add esi, 1
  jmp .done
.b:
  xor ebp, [rbx + rdx * 2 + 0xfc0]
  add esi, 5
  jmp .done
.c:
  add bp, [rbx + rdx + 0xfe0]
  add esi, 7
  jmp .done
.d:
  xor ebp, [rbx + rsi + 0x40]
  add esi, 2
  jmp .done
.e:
  lea esi, [esi + edx + 1]
  jmp .done
.f:
  add ebp, [rbx + rsi * 2]
  add esi, 9
  jmp .done
.g:
  sub esi, edx
  jmp .done
.h:
  xor ebp, [rbx + 0x2ffd]
  add esi, 11
  jmp .done
.i:
  imul ebp, ebp, 13
  add esi, 13
  jmp .done
.j:
  not ebp
  add esi, 17
.done:
  and esi, 0x3ffb
  dec ecx
  jnz .next
  ret
END_IMAGE
