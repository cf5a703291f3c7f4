; Code on two pages, of which one is exchanged for another: by the page tables, so that no byte of code is written. Control comes to the other
; page between two instructions, within one, or by a jump. An instruction on two pages is decoded again when its second half is another, and
; code made from the first decoding comes back into use with the first page: what is then written to it must be seen there as well.
; SDM volume 3, sections 4.10 and 8.1.3.
; expect:
;   between two instructions: first=002625a0 other=00989680 first=002625a0
;   within an instruction: first=3341b320 other=6661b320 first=3341b320
;   its first half written: first=3ffc3320 other=731c3320
;   by a jump: first=005b8d80 other=0090f560
%include "lib64.inc"

%define P SCRATCH
; the first page of code, and two that stand for the second
%define FIRST P
%define SECOND (P + 0x1000)
%define OTHER (P + 0x2000)
; where they are executed, at an address that an instruction can hold
%define W 0x3fe00000
%define PT3 (TABLES + 0x13000)
%define ROUNDS 500000

; copies a routine so that it begins at an address
%macro PUT 2 ; routine, address
  mov esi, %1
  mov edi, %2
  mov ecx, %1_end - %1
  rep movsb
%endmacro

%macro SECOND_IS 1
  mov dword [abs PT3 + 8], %1 + 7
  invlpg [abs W + 0x1000]
%endmacro

%macro FIRST_IS 1
  mov dword [abs PT3], %1 + 7
  invlpg [abs W]
%endmacro

; often enough to be compiled whatever it takes
%macro RUN 2 ; name, address
  mov ecx, ROUNDS
  xor eax, eax
  mov edx, %2
  call rdx
  SHOW %1, eax
%endmacro

main:
  mov edi, PT3
  mov ecx, 0x1000 / 8
  xor eax, eax
  rep stosq
  mov dword [abs PT3], FIRST + 7
  mov dword [abs PT3 + 8], SECOND + 7
  mov dword [abs PD + ((W >> 21) & 511) * 8], PT3 + 7
  mov rax, cr3
  mov cr3, rax

  PRINT "between two instructions: ", ""
  PUT between, FIRST + 0x1000 - (between_border - between)
  PUT between_border, SECOND
  PUT between_border, OTHER
  mov byte [abs OTHER + (between_border.number - between_border) - 1], 20
%define AT W + 0x1000 - (between_border - between)
  RUN "first", AT
  SECOND_IS OTHER
  RUN "other", AT
  SECOND_IS SECOND
  RUN "first", AT
  NEWLINE

  ; of chunk 63 of the page only that instruction
  PRINT "within an instruction: ", ""
  PUT within, FIRST + 0xf00
  PUT within_border, SECOND - 3
  PUT within_border, OTHER - 3
  ; whose first three bytes lie here
  mov ax, [abs within_border]
  mov [abs FIRST + 0xffd], ax
  mov al, [abs within_border + 2]
  mov [abs FIRST + 0xfff], al
  mov byte [abs OTHER], 0x77
  RUN "first", W + 0xf00
  SECOND_IS OTHER
  RUN "other", W + 0xf00
  SECOND_IS SECOND
  RUN "first", W + 0xf00
  NEWLINE
  PRINT "its first half written: ", ""
  mov byte [abs FIRST + 0xfff], 0x34
  RUN "first", W + 0xf00
  SECOND_IS OTHER
  RUN "other", W + 0xf00
  NEWLINE

  PRINT "by a jump: ", ""
  PUT jump_from, SECOND
  PUT jump_to, FIRST
  PUT jump_to, OTHER
  mov byte [abs OTHER + 2], 19
  FIRST_IS FIRST
  SECOND_IS SECOND
  RUN "first", W + 0x1000
  FIRST_IS OTHER
  RUN "other", W + 0x1000
  NEWLINE
  ret

between:
  nop
.again:
  lea eax, [rax + 0]
between_border:
  add eax, byte 5
.number:
  dec ecx
  db 0x0f, 0x85                    ; jnz .again
  dd between.again - (between_border.number + 8)
  ret
between_border_end:
between_end:

; executed at W + f00h, and its second part at W + ffdh
within:
  lea eax, [rax + rax + 0]
  shr eax, 1
  jmp near within + 0xfd
within_end:
within_border:
  add eax, 0x00660011
.behind:
  dec ecx
  db 0x0f, 0x85                    ; jnz within, from W + 1002h + 8
  dd 0xf00 - (0xffd + (.behind - within_border) + 8)
  ret
within_border_end:

; executed at W + 1000h
jump_from:
  jmp near jump_from - 0x1000
.back:
  dec ecx
  jnz jump_from
  ret
jump_from_end:
; executed at W
jump_to:
  add eax, byte 12
  db 0xe9                          ; jmp jump_from.back
  dd 0x1000 + (jump_from.back - jump_from) - 8
jump_to_end:
END_IMAGE
