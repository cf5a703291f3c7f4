; Exceptions and interrupts for the log of -d: an invalid instruction, INT 30h, and one interrupt of the timer (IRQ 0 as vector 20h).
; expect:
;   #06 at +0
;   #30 at +4
;   #20 at +26
%include "image32.inc"

main:
  lgdt [.gdtr]
  jmp 8:.flat
.flat:
  mov ax, 16
  mov ds, ax
  mov es, ax
  mov ss, ax
; inside a handler: the place it returns to
%macro SHOW_PLACE 0
  mov eax, [esp]
  sub eax, .first
  call signed_offset
%endmacro
%macro GATE 2
  mov eax, %2
  mov [.idt + %1 * 8], ax
  mov word [.idt + %1 * 8 + 2], 8
  mov word [.idt + %1 * 8 + 4], 0x8e00
  shr eax, 16
  mov [.idt + %1 * 8 + 6], ax
%endmacro
  GATE 6, .ud
  GATE 0x20, .timer
  GATE 0x30, .int
  lidt [.idtr]
.first:
  ud2
  int 0x30
  ; 8259: vectors 20h and 28h, only IRQ 0 open
  mov al, 0x11
  out 0x20, al
  mov al, 0x20
  out 0x21, al
  mov al, 4
  out 0x21, al
  mov al, 1
  out 0x21, al
  mov al, 0xfe
  out 0x21, al
  ; 8254: counter 0, mode 0, one interrupt after 1000 ticks
  mov al, 0x30
  out 0x43, al
  mov al, 1000 & 0xff
  out 0x40, al
  mov al, 1000 >> 8
  out 0x40, al
  sti
  hlt
.woken:
  cli
  EXIT 0
.ud:
  PRINT "#06 at "
  SHOW_PLACE
  NEWLINE
  add dword [esp], 2
  iretd
.int:
  PRINT "#30 at "
  SHOW_PLACE
  NEWLINE
  iretd
.timer:
  PRINT "#20 at "
  SHOW_PLACE
  NEWLINE
  iretd
align 8
.gdt:
  dq 0
  DESCRIPTOR 0, 0xfffff, 0x9b, 0xc
  DESCRIPTOR 0, 0xfffff, 0x93, 0xc
.gdtr:
  dw 23
  dd .gdt
.idtr:
  dw 0x31 * 8 - 1
  dd .idt
align 8
.idt:
  times 0x31 * 8 db 0
END_IMAGE
