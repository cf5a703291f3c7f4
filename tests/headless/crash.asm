; A triple fault: an invalid instruction without an interrupt table. Registers hold values to be found in the report.
; expect:
;   about to crash
%include "image32.inc"

main:
  PRINT "about to crash"
  NEWLINE
  lidt [.empty]
  mov eax, 0x11223344
  mov ebx, 0x55667788
  mov esi, 0x99aabbcc
  mov edi, 0xddeeff00
  ud2
.empty:
  dw 0
  dd 0
END_IMAGE
