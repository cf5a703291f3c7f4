; A guest that hangs with interrupts off.
; expect:
;   spinning
%include "image32.inc"

main:
  PRINT "spinning"
  NEWLINE
.again:
  jmp .again
END_IMAGE
