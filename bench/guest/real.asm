; The loops of loop.asm for real mode: 16 bits, segments of 64 KiB. Output as there: "round N", then a dot after each N instructions.
;
;   nasm -f bin -I bench/guest/ -DLOOP=alu|memory|string|calls|far -o real.elf real.asm
;
; A multiboot kernel (multiboot.inc), entered in 32-bit protected mode; its code is copied below 1 MiB and goes on there.
;
;   alu     ten register instructions, one of them a branch
;   memory  loads and stores through DS
;   string  LODSB and STOSB without REP, between two segments
;   calls   a near call, a frame on the stack, a return
;   far     the same across segments: CALL and RET with CS, and a load of ES

%ifndef LOOP
  %define LOOP alu
%endif

%define alu 1
%define memory 2
%define calls 3
%define far 4
%define string 5

%define CODE 0x1000                 ; segments
%define DATA 0x2000
%define STACK 0x3000
%define COM1 0x3f8
%define THRE 0x20

%include "multiboot.inc"

start:
  cli
  cld
  mov esi, real
  mov edi, CODE << 4
  mov ecx, image_end - real
  rep movsb
  lgdt [gdtr]
  jmp 8:0                           ; 16-bit protected mode
  align 8
gdt:
  dq 0
  dw 0xffff, (CODE << 4) & 0xffff              ; code of 64 KiB at the segment's place
  db CODE >> 12, 0x9a, 0, 0
  dw 0xffff, 0, 0x9200, 0           ; data of 64 KiB
gdtr:
  dw gdtr - gdt - 1
  dd gdt

align 16
real:
bits 16
%define AT(label) (label - real)
  mov ax, 16
  mov ds, ax
  mov es, ax
  mov ss, ax
  mov eax, cr0
  and al, 0xfe
  mov cr0, eax
  jmp CODE:AT(.segments)
.segments:
  mov ax, STACK
  mov ss, ax
  mov sp, 0x8000
  mov ax, CODE
  mov ds, ax
  mov si, AT(text)
.say:
  lodsb
  test al, al
  jz .data
  call put
  jmp .say
.data:
  mov ax, DATA
  mov ds, ax
rounds:
  call body
  mov al, '.'
  call put
  jmp rounds

; Write AL to COM1.
put:
  push ax
  mov dx, COM1 + 5
.wait:
  in al, dx
  test al, THRE
  jz .wait
  pop ax
  mov dx, COM1
  out dx, al
  ret

%if LOOP == alu
  %assign OUTER 50
  %assign INNER 40000
  %assign INSTRUCTIONS OUTER * (INNER * 10 + 5)
body:
  mov ax, OUTER
.again:
  push ax
  mov cx, INNER
.next:
  add ax, bx
  xor bx, ax
  rol ax, 7
  lea dx, [bx + si + 1]
  sub si, dx
  and dx, 0xff
  or di, dx
  cmp si, di
  dec cx
  jnz .next
  pop ax
  dec ax
  jnz .again
  ret

%elif LOOP == memory
  %assign OUTER 200
  %assign INNER 8192
  %assign INSTRUCTIONS OUTER * (INNER * 7 + 3)
body:
  mov dx, OUTER
.again:
  mov si, INNER * 2
.next:
  mov ax, [si - 2]
  add ax, bx
  mov [si + INNER * 2], ax
  add [si - 2], dx
  xor bx, ax
  sub si, 2
  jnz .next
  dec dx
  jnz .again
  ret

%elif LOOP == string
  %assign OUTER 100
  %assign INNER 16384
  %assign INSTRUCTIONS OUTER * (INNER * 5 + 7)
body:
  mov ax, STACK
  mov es, ax
  mov dx, OUTER
.again:
  xor si, si
  mov di, 0x8000
  mov cx, INNER
.next:
  lodsb
  xor al, dl
  stosb
  dec cx
  jnz .next
  dec dx
  jnz .again
  ret

%else
  ; A call has two words of arguments; a far one, of the same place by another segment, loads ES with the caller's segment besides.
  %if LOOP == far
    %assign OUTER 10
    %assign INNER 40000
    %assign INSTRUCTIONS OUTER * (INNER * 15 + 5)
    %define CALL call (CODE + 1):(AT(function) - 16)
    %define ARGUMENTS bp + 6
  %else
    %assign OUTER 20
    %assign INNER 40000
    %assign INSTRUCTIONS OUTER * (INNER * 14 + 5)
    %define CALL call function
    %define ARGUMENTS bp + 4
  %endif
body:
  mov ax, OUTER
.again:
  push ax
  mov cx, INNER
.next:
  push cx
  push bx
  CALL
  add sp, 4
  dec cx
  jnz .next
  pop ax
  dec ax
  jnz .again
  ret
function:
  push bp
  mov bp, sp
  mov ax, [ARGUMENTS]
  push si
  %if LOOP == far
  mov es, [bp + 4]
  add ax, [es:0]
  %else
  add ax, [ARGUMENTS + 2]
  %endif
  mov bx, ax
  pop si
  leave
  %if LOOP == far
  retf
  %else
  ret
  %endif
%endif

%defstr COUNT_TEXT INSTRUCTIONS
text: db "round ", COUNT_TEXT, 13, 10, 0

align 16
image_end:
