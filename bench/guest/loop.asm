; A guest that runs one loop for ever and writes a dot to COM1 after each round, so that whoever reads the serial port can tell the
; speed from the dots' times. First it writes "round N": N is the number of guest instructions from one dot to the next.
;
;   nasm -f bin -I bench/guest/ -DBITS=32|64 -DLOOP=alu|memory|calls|large -o loop.elf loop.asm
;
; A multiboot kernel (multiboot.inc), entered in 32-bit protected mode with flat segments and paging off. BITS=64 goes on to long mode.
;
;   alu     ten register instructions, one of them a branch
;   memory  a load and a store an iteration, over 2 x 16 KiB
;   calls   a call, a frame on the stack, a return
;   large   6,000 different instructions in a row: nothing stays in the branch predictor's and the caches' first levels

%ifndef BITS
  %define BITS 32
%endif
%ifndef LOOP
  %define LOOP alu
%endif

%define alu 1
%define memory 2
%define calls 3
%define large 4

%if BITS == 64
  %define A rax
  %define B rbx
  %define C rcx
  %define D rdx
  %define S rsi
  %define T rdi
  %define BP_ rbp
  %define SP_ rsp
  %define WORD 8
  %define DATA qword
%else
  %define A eax
  %define B ebx
  %define C ecx
  %define D edx
  %define S esi
  %define T edi
  %define BP_ ebp
  %define SP_ esp
  %define WORD 4
  %define DATA dword
%endif

%define STACK 0x1f0000
%define TABLES 0x200000
%define SOURCE 0x300000
%define TARGET 0x308000
%define COM1 0x3f8
%define THRE 0x20

%include "multiboot.inc"

start:
  cli
  cld
  mov esp, STACK
%if BITS == 64
  ; 2 MiB mapped one to one is all that is used, by one large page each below 8 MiB.
  mov edi, TABLES
  mov ecx, 0x3000 / 4
  xor eax, eax
  rep stosd
  mov dword [TABLES], TABLES + 0x1000 + 3
  mov dword [TABLES + 0x1000], TABLES + 0x2000 + 3
  mov dword [TABLES + 0x2000], 0x000083
  mov dword [TABLES + 0x2008], 0x200083
  mov dword [TABLES + 0x2010], 0x400083
  mov dword [TABLES + 0x2018], 0x600083
  mov eax, cr4
  or eax, 0x20                 ; PAE
  mov cr4, eax
  mov eax, TABLES
  mov cr3, eax
  mov ecx, 0xc0000080
  rdmsr
  or eax, 0x100                ; EFER.LME
  wrmsr
  mov eax, cr0
  or eax, 0x80000001           ; PG, PE
  mov cr0, eax
  lgdt [gdtr]
  jmp 8:long_mode
  align 8
gdt:
  dq 0
  dq 0x00209a0000000000        ; 64-bit code
  dq 0x00cf92000000ffff        ; data
gdtr:
  dw gdtr - gdt - 1
  dd gdt
bits 64
long_mode:
  mov ax, 16
  mov ds, ax
  mov es, ax
  mov ss, ax
%endif
bits BITS
  mov S, text
.say:
  lodsb
  test al, al
  jz rounds
  call put
  jmp .say

rounds:
  call body
  mov al, '.'
  call put
  jmp rounds

; Write AL to COM1.
put:
  push A
  mov edx, COM1 + 5
.wait:
  in al, dx
  test al, THRE
  jz .wait
  pop A
  mov edx, COM1
  out dx, al
  ret

%if LOOP == alu
  %assign ITERATIONS 2000000
  %assign INSTRUCTIONS ITERATIONS * 10
body:
  mov ecx, ITERATIONS
  mov eax, 1
  mov ebx, 2
.next:
  add A, B
  xor B, A
  rol A, 7
  lea D, [A + B * 4 + 1]
  sub S, D
  and D, 0xff
  or T, D
  cmp S, T
  dec ecx
  jnz .next
  ret

%elif LOOP == memory
  %assign OUTER 500
  %assign INNER 0x4000 / WORD
  %assign INSTRUCTIONS OUTER * (INNER * 7 + 3)
body:
  mov edx, OUTER
.again:
  mov ecx, INNER
.next:
  mov A, [SOURCE + C * WORD - WORD]
  add A, B
  mov [TARGET + C * WORD - WORD], A
  add [SOURCE + C * WORD - WORD], D
  xor B, A
  dec ecx
  jnz .next
  dec edx
  jnz .again
  ret

%elif LOOP == calls
  %assign ITERATIONS 1000000
  %assign INSTRUCTIONS ITERATIONS * 14
body:
  mov ecx, ITERATIONS
.next:
  push C
  push B
  call function
  add SP_, 2 * WORD
  dec ecx
  jnz .next
  ret
function:
  push BP_
  mov BP_, SP_
  mov A, [BP_ + 2 * WORD]
  push S
  add A, [BP_ + 3 * WORD]
  mov B, A
  pop S
  leave
  ret

%elif LOOP == large
  ; The forms are chosen by a generator with a fixed seed, so that every build is the same. A conditional branch goes to the
  ; instruction after it: taken or not, the count is the same.
  %assign ITERATIONS 2000
  %assign LENGTH 6000
  %assign INSTRUCTIONS ITERATIONS * (LENGTH + 3)
  %assign seed 12345
  %macro DRAW 1
    %assign seed (seed * 1103515245 + 12345) & 0x7fffffff
    %assign drawn (seed >> 12) % %1
  %endmacro
  %macro REGISTER 1
    DRAW 6
    %if drawn == 0
      %xdefine %1 A
    %elif drawn == 1
      %xdefine %1 B
    %elif drawn == 2
      %xdefine %1 D
    %elif drawn == 3
      %xdefine %1 S
    %elif drawn == 4
      %xdefine %1 T
    %else
      %xdefine %1 BP_
    %endif
  %endmacro
  %macro ONE 0
    REGISTER R1
    REGISTER R2
    DRAW 0x1000
    %assign place SOURCE + drawn * WORD
    DRAW 16
    %assign form drawn
    %if form == 0
      add R1, R2
    %elif form == 1
      sub R1, R2
    %elif form == 2
      xor R1, R2
    %elif form == 3
      mov R1, R2
    %elif form == 4
      mov R1, [place]
    %elif form == 5
      mov [place], R1
    %elif form == 6
      add R1, [place]
    %elif form == 7
      lea R1, [R1 + R2 * 2 + 12]
    %elif form == 8
      shl R1, 3
    %elif form == 9
      and R1, 0x7fff
    %elif form == 10
      movzx R1, word [place]
    %elif form == 11
      cmp R1, R2
    %elif form == 12
      inc R1
    %elif form == 13
      test R1, R2
    %elif form == 14
      jz %%on
    %else
      jc %%on
    %endif
  %%on:
  %endmacro
body:
  mov ecx, ITERATIONS
.next:
  %rep LENGTH
    ONE
  %endrep
  dec ecx
  jz .done
  jmp .next
.done:
  ret
%endif

%defstr COUNT_TEXT INSTRUCTIONS
text: db "round ", COUNT_TEXT, 13, 10, 0

align 16
image_end:
