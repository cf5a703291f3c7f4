; Self-modifying code: the next instruction, an instruction already executed, across pages, through another mapping,
; by string instructions, by the stack, and of the instruction that is executing. Intel SDM volume 3, section 8.1.3
; asks for a jump before modified code is executed; processors and QEMU do without. QEMU refetches a REP after each element.
; Two POPs, which the interpreter executes as one (hot-pairs.ts): the second one changed, in another 64 bytes than the first, which is 15 bytes long.
; expect:
;   next instruction=00002222 again=00002222
;   loop=00000a37
;   across=11223344 second page changed=77223344 first page changed=77223366
;   before=11223344 write across=11223342
;   rep stosb ahead=00000004
;   push ahead=00000004
;   over itself: ecx=00000000 memory=00c3aa90
; qemu: over itself: ecx=00000000 memory=00c39090
;   after lock add=00002222 after inc=00002200
;   two pops: ebx=00001111 ecx=00003333 edi=00000000
;   the second changed: ebx=00001111 ecx=00000000 edi=00003333
;   before=0badf00d through another mapping=12345678
;   the other way=9abcdef0
%include "lib32.inc"

%define CODE SCRATCH

; copies a routine to CODE + an offset
%macro COPY 3
  mov esi, %1
  mov edi, CODE + %3
  mov ecx, %2 - %1
  rep movsb
%endmacro

main:
  ; the next instruction
  COPY .next, .next_end, 0
  mov ebx, CODE + (.next_patch - .next)
  call .run
  SHOW "next instruction", eax
  call .run
  SHOW "again", eax
  NEWLINE
  ; a loop that changes its own immediate
  COPY .loop, .loop_end, 0x100
  mov ebx, CODE + 0x100 + (.loop_patch - .loop)
  mov ecx, 10
  xor eax, eax
  mov edx, CODE + 0x100
  call edx
  SHOW "loop", eax
  NEWLINE
  ; an instruction on two pages, changed on the second one
  COPY .cross, .cross_end, 0xffd
  mov edx, CODE + 0xffd
  call edx
  SHOW "across", eax
  mov byte [CODE + 0x1001], 0x77
  call edx
  SHOW "second page changed", eax
  mov byte [CODE + 0xffe], 0x66
  call edx
  SHOW "first page changed", eax
  NEWLINE
  ; a write across two pages of code
  COPY .cross, .cross_end, 0xff8
  COPY .cross, .cross_end, 0x1000
  mov edx, CODE + 0x1000
  call edx
  mov ebx, eax
  mov dword [CODE + 0xffe], 0x42b89090
  mov edx, CODE + 0x1000
  call edx
  SHOW "before", ebx
  SHOW "write across", eax
  NEWLINE
  ; string instructions over the code ahead
  COPY .string, .string_end, 0x200
  mov edi, CODE + 0x200 + (.string_patch - .string)
  mov ecx, 4
  mov edx, CODE + 0x200
  xor ebx, ebx
  mov al, 0x43                   ; inc ebx
  call edx
  SHOW "rep stosb ahead", ebx
  NEWLINE
  ; the stack in the code page: a push over the next instruction
  COPY .push, .push_end, 0x300
  mov edx, CODE + 0x300
  xor ebx, ebx
  mov esi, esp
  call edx
  SHOW "push ahead", ebx
  NEWLINE
  ; rep stosb over itself: the instruction that is executing goes on
  COPY .itself, .itself_end, 0x400
  mov edi, CODE + 0x400 - 2
  mov ecx, 3
  mov al, 0x90
  mov edx, CODE + 0x400
  call edx
  SHOW "over itself: ecx", ecx
  SHOW "memory", [CODE + 0x400]
  NEWLINE
  ; atomic and read-modify-write instructions
  COPY .next, .next_end, 0x500
  mov edx, CODE + 0x500
  mov ebx, CODE + 0x500 + (.next_patch - .next)
  call edx
  lock add dword [CODE + 0x500 + (.next_patch - .next) + 1], 0x100
  mov byte [CODE + 0x500], 0x90   ; no patch any more
  mov byte [CODE + 0x501], 0x90
  mov byte [CODE + 0x502], 0x90
  mov byte [CODE + 0x503], 0x90
  mov byte [CODE + 0x504], 0x90
  mov byte [CODE + 0x505], 0x90
  call edx
  SHOW "after lock add", eax
  xchg byte [CODE + 0x500 + (.next_patch - .next) + 1], cl
  inc byte [CODE + 0x500 + (.next_patch - .next) + 4]
  call edx
  xor al, al
  SHOW "after inc", eax
  NEWLINE
  ; the second of two that are executed as one
  COPY .pops, .pops_end, 0x740 - 15
  call .pop_both
  PRINT "two pops: "
  call .show_popped
  mov byte [CODE + 0x740], 0x5f     ; pop edi
  call .pop_both
  PRINT "the second changed: "
  call .show_popped
  ; through another mapping of the page
  mov dword [TABLES], 0x83
  mov dword [TABLES + 4], 0x83            ; 4 MiB: the first 4 MiB again
  mov eax, cr4
  or eax, 0x10
  mov cr4, eax
  mov eax, TABLES
  mov cr3, eax
  mov eax, cr0
  or eax, 0x80000000
  mov cr0, eax
  COPY .plain, .plain_end, 0x600
  mov edx, CODE + 0x600
  call edx
  mov ebx, eax
  mov dword [CODE + 0x400000 + 0x601], 0x12345678
  call edx
  SHOW "before", ebx
  SHOW "through another mapping", eax
  NEWLINE
  ; the same code seen at two addresses
  mov edx, CODE + 0x400000 + 0x600
  call edx
  mov dword [CODE + 0x601], 0x9abcdef0
  call edx
  SHOW "the other way", eax
  NEWLINE
  mov eax, cr0
  and eax, 0x7fffffff
  mov cr0, eax
  jmp .unpaged
.unpaged:
  ret

.run:
  mov edx, CODE
  jmp edx

.pop_both:
  xor ecx, ecx
  xor edi, edi
  mov esi, .popped
  push dword 0x3333
  push dword 0x1111
  mov edx, CODE + 0x740 - 15
  jmp edx
.popped:
  ret
.show_popped:
  SHOW "ebx", ebx
  SHOW "ecx", ecx
  SHOW "edi", edi
  NEWLINE
  ret

; ebx: address of .next_patch
.next:
  mov dword [ebx + 1], 0x2222
.next_patch:
  mov eax, 0x1111
  ret
.next_end:
.loop:
  inc dword [ebx + 1]
.loop_patch:
  add eax, 0x100
  dec ecx
  jnz .loop
  ret
.loop_end:
.cross:
  mov eax, 0x11223344
  ret
.cross_end:
.string:
  rep stosb
.string_patch:
  nop
  nop
  nop
  nop
  ret
.string_end:
.push:
  mov esp, CODE + 0x300 + (.push_patch - .push) + 4
  push dword 0x43434343
.push_patch:
  nop
  nop
  nop
  nop
  mov esp, esi
  sub esp, 4
  ret
.push_end:
.pops:
  times 14 db 0x3e               ; DS, which POP has no use for
  pop ebx
  pop ecx
  jmp esi
.pops_end:
.itself:
  rep stosb
  ret
.itself_end:
.plain:
  mov eax, 0x0badf00d
  ret
.plain_end:
END_IMAGE
