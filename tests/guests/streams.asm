; Loops over pages that lie in memory in another order: addresses that move by constants, up and down, across page borders in the midst of an
; access, from readable pages to those that must not be read or written; tables by an index of a byte; translations that change between
; rounds; and what is known of pages where paths join. Compiled loops keep the page of the last round, and must find each border.
; SDM volume 3, sections 4.6 and 4.10.
; expect:
;   filled: result=927749f1
;   up, each second one across a border: result=13b413ba
;   down: result=220f2096
;   steps of 1,004: result=9c679843
;   base and index: result=c8254c60
;   copied: result=b85c046e
;   added to: result=e8906ecd
;   read and written: result=2f28635f
;   two loops in one: result=f4f7d2ff
;   tables: result=2bedbb93
;   pages that change between rounds: result=3a544bf8
;   a call behind a loop: result=24b4b4b0
;   a loop that writes, one that reads, then a write: #PF(0003) elsewhere cr2=000000003fe01100
;   a call on one path: result=012718d2
;   many pages on one path: result=ba2449c2
;   a page known before a loop over many: result=c3b14b13
;   a page that is not to be written: #PF(0003) elsewhere cr2=ffff800012343000
;   and what was written before: result=193f739c
;   read, then written: #PF(0003) elsewhere cr2=ffff800012343000
;   a loop that reads it, then one that writes it: #PF(0003) elsewhere cr2=ffff800012343000
;   up, to a page that is not there: #PF(0000) elsewhere cr2=ffff800012345000
;   and what was read before: result=b55a1cc6
;   down, to a page that is not there: #PF(0000) elsewhere cr2=ffff800012345ffc
;   and what was read before: result=90b9078d
%include "lib64.inc"
%include "pages.inc"
; two more pages, at an address that an instruction can hold
%define W 0x3fe00000
%define PT3 (TABLES + 0x13000)

; rights of W's second page
%macro RIGHTS 1
  mov dword [abs PT3 + 8], P + 0x11000 + %1
  invlpg [abs W + 0x1000]
%endmacro

main:
  MAP_ALL

  mov edi, PT3
  mov ecx, 0x1000 / 8
  xor eax, eax
  rep stosq
  mov dword [abs PT3], P + 0x10000 + 7
  mov dword [abs PD + ((W >> 21) & 511) * 8], PT3 + 7
  RIGHTS 7
  mov rax, cr3
  mov cr3, rax

  call fill
  call check
  RESULT "filled"
  OFTEN up
  RESULT "up, each second one across a border"
  OFTEN down
  RESULT "down"
  OFTEN far_apart
  RESULT "steps of 1,004"
  OFTEN by_index
  RESULT "base and index"
  OFTEN copies
  call check
  RESULT "copied"
  OFTEN adds
  call check
  RESULT "added to"
  OFTEN reads_and_writes
  call check
  RESULT "read and written"
  OFTEN two_loops
  call check
  RESULT "two loops in one"
  OFTEN tables
  RESULT "tables"
  OFTEN swaps
  RESULT "pages that change between rounds"
  xor ebp, ebp
  OFTEN call_behind, 50000
  RESULT "a call behind a loop"
  OFTEN loop_between, 100000
  RIGHTS 5
  mov r15d, 1
  mov eax, [abs W + 0x1000]
  TRY "a loop that writes, one that reads, then a write", call loop_between
  call paths_with_calls
  RESULT "a call on one path"
  call paths_with_pages
  RESULT "many pages on one path"
  call pages_in_loop
  RESULT "a page known before a loop over many"

  MAP 3, 5
  TRY "a page that is not to be written", call adds
  call check
  RESULT "and what was written before"
  call up                      ; may be read, says the TLB
  TRY "read, then written", call reads_and_writes
  call up
  TRY "a loop that reads it, then one that writes it", call two_loops
  MAP 5, 0
  TRY "up, to a page that is not there", call up
  RESULT "and what was read before"
  TRY "down, to a page that is not there", call down
  RESULT "and what was read before"
  ret

  FILL

; EBP: a sum of all words, read where they lie
check:
  xor ebp, ebp
  xor edx, edx
.page:
  mov edi, PAGES - 1
  sub edi, edx
  shl edi, 13
  add edi, P
  xor ecx, ecx
.word:
  mov eax, [rdi + rcx * 4]
  rol ebp, 5
  xor ebp, eax
  inc ecx
  cmp ecx, 1024
  jne .word
  inc edx
  cmp edx, PAGES
  jne .page
  ret

up:
  xor ebp, ebp
  mov rsi, V
  mov ecx, WORDS - 1
.next:
  mov rax, [rsi]
  rol ebp, 3
  xor ebp, eax
  shr rax, 32
  add ebp, eax
  add rsi, 4
  dec ecx
  jnz .next
  ret

down:
  xor ebp, ebp
  mov rsi, V + PAGES * 0x1000 - 8
  mov ecx, WORDS - 1
.next:
  mov rax, [rsi]
  rol ebp, 3
  xor ebp, eax
  shr rax, 32
  add ebp, eax
  sub rsi, 4
  dec ecx
  jnz .next
  ret

far_apart:
  xor ebp, ebp
  xor edx, edx
.row:
  mov rsi, V
  add rsi, rdx
  mov ecx, 32
.next:
  rol ebp, 1
  add ebp, [rsi]
  movzx eax, word [rsi + 2]
  add ebp, eax
  add rsi, 1004
  dec ecx
  jnz .next
  add edx, 4
  cmp edx, 64
  jne .row
  ret

by_index:
  xor ebp, ebp
  mov rbx, V + 2
  xor ecx, ecx
.next:
  rol ebp, 7
  xor ebp, [rbx + rcx * 2]
  xor ebp, [rbx + rcx * 2 + 4]
  inc rcx
  cmp ecx, PAGES * 2048 - 8
  jne .next
  ret

; from the first half to the second, bytes from the end
copies:
  mov rsi, V + PAGES * 0x800 - 1
  mov rdi, V + PAGES * 0x1000 - 1
  mov ecx, PAGES * 0x800
.next:
  mov al, [rsi]
  add al, 3
  mov [rdi], al
  dec rsi
  dec rdi
  dec ecx
  jnz .next
  ret

; to each eight bytes that begin at an odd place
adds:
  mov rdi, V + 1
  mov ecx, (WORDS - 2) / 2
.next:
  add qword [rdi], 0x1234567
  add rdi, 8
  dec ecx
  jnz .next
  ret

reads_and_writes:
  mov rdi, V + 0x2f00
  mov ecx, 0x100
.next:
  mov eax, [rdi]
  add eax, 1
  mov [rdi], eax
  add rdi, 4
  dec ecx
  jnz .next
  ret

two_loops:
  mov edx, 4
.round:
  mov rsi, V + 0x3000
  mov ecx, 16
.reads:
  add eax, [rsi]
  add rsi, 4
  dec ecx
  jnz .reads
  mov rdi, V + 0x3000
  mov ecx, 16
.writes:
  mov [rdi], eax
  add rdi, 4
  dec ecx
  jnz .writes
  dec edx
  jnz .round
  ret

; by bytes: a table within a page, one across a border, one that begins before it and is read behind it, and one at a fixed address
tables:
  xor ebp, ebp
  mov rbx, V + 0x1400
  mov r8, V + 0x1e00
  mov r9, V + 0x1fc0
  mov ecx, 4000
.next:
  movzx eax, cl
  rol ebp, 1
  xor ebp, [rbx + rax * 4]
  movzx edx, bpl
  add ebp, [r8 + rdx * 4]
  and edx, 0x3f
  add ebp, [r9 + rdx * 8 + 0x40]
  movzx eax, bpl
  xor ebp, [rax * 2 + P + 0x2000]
  mov [r8 + rax], cl
  dec ecx
  jnz .next
  ret

swaps:
  xor ebp, ebp
  mov edx, 8
.round:
  mov rax, [abs PT2 + INDEX1 * 8]
  mov rcx, [abs PT2 + (INDEX1 + 1) * 8]
  mov [abs PT2 + INDEX1 * 8], rcx
  mov [abs PT2 + (INDEX1 + 1) * 8], rax
  mov rsi, V
  invlpg [rsi]
  invlpg [rsi + 0x1000]
  mov ecx, 600
.next:
  rol ebp, 1
  add ebp, [rsi + 0x800]
  add rsi, 4
  dec ecx
  jnz .next
  dec edx
  jnz .round
  ret

; the page is another one after the call
call_behind:
  mov ecx, 4
.next:
  add ebp, [abs W + 8]
  rol ebp, 1
  dec ecx
  jnz .next
  call exchange
  add ebp, [abs W + 16]
  ret

exchange:
  mov dword [abs P + 0x10010], 0x1234
  mov dword [abs P + 0x11010], 0x56780
  mov rax, [abs PT3]
  mov rcx, [abs PT3 + 8]
  mov [abs PT3], rcx
  mov [abs PT3 + 8], rax
  invlpg [abs W]
  invlpg [abs W + 0x1000]
  ret

; both loops may keep their page in the same place; the last write is too far from the first for one question, and near enough for one stream
loop_between:
  mov ecx, 3
.writes:
  mov [abs W + 0xa00], eax
  dec ecx
  jnz .writes
  test r15b, 1
  jz .same
  mov ecx, 3
.reads:
  add eax, [abs W + 0x1104]
  dec ecx
  jnz .reads
.same:
  mov [abs W + 0x1100], eax
  ret

; functions, so that what follows is where two paths join and no loop begins
paths_with_calls:
  xor ebp, ebp
  mov ecx, 300000
.round:
  call path_with_call
  dec ecx
  jnz .round
  ret

path_with_call:
  mov rbx, V
  mov eax, [rbx + 16]
  test cl, 1
  jz .same
  call elsewhere
.same:
  add eax, [rbx + 24]
  rol ebp, 1
  add ebp, eax
  ret

elsewhere:
  mov rbx, V + 0x4000
  ret

paths_with_pages:
  xor ebp, ebp
  mov ecx, 300000
  call to_pages
.round:
  call path_with_pages
  dec ecx
  jnz .round
  ret

; inline: a call would be another test
%macro add_pages 0
  add eax, [rsi]
  add eax, [rdi]
  add eax, [r8]
  add eax, [r9]
  add eax, [r10]
  add eax, [r11]
  add eax, [r12]
%endmacro

path_with_pages:
  mov rbx, V
  mov eax, [rbx + 16]
  test cl, 1
  jz .same
  add_pages
.same:
  add eax, [rbx + 24]
  rol ebp, 1
  add ebp, eax
  ret

; what is known of the first page must outlive all that is looked up in the loop
pages_in_loop:
  xor ebp, ebp
  call to_pages
  mov rdx, V + 0x1400
  mov r13, V + 0x2400
  mov r14, V + 0x3400
  mov rbx, V
  mov r15d, 10000
.call:
  call loop_over_pages
  dec r15d
  jnz .call
  ret

loop_over_pages:
  mov eax, [rbx + 16]
  mov ecx, 30
.round:
  add eax, [rbx + 24]
  add_pages
  add eax, [rdx]
  add eax, [r13]
  add eax, [r14]
  rol ebp, 1
  add ebp, eax
  dec ecx
  jnz .round
  ret

; pages for RSI, RDI, R8 to R12
to_pages:
  mov rsi, V + 0x1000
  mov rdi, V + 0x2000
  mov r8, V + 0x3000
  mov r9, V + 0x4000
  mov r10, V + 0x5000
  mov r11, V + 0x6000
  mov r12, V + 0x7000
  ret
END_IMAGE
