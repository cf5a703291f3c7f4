; Interrupts in 32-bit protected mode: 8259A and 8254, HLT, the shadows of STI, MOV SS and POP SS, single steps (RFLAGS.TF)
; over every kind of instruction. Intel SDM volume 3, sections 6.8 and 17.3.1.4.
; expect:
;   sti: #50 +4
;   eax=00000001 flags=00000202
;   sti; cli: none
;   sti, with IF set before: #50 +8
;   eax=00000000
;   popf sets IF: #50 +8
;   eax=00000000
;   iret sets IF: #50 +f
;   eax=00000000
;   sti; hlt: #50 +4
;   eax=00000000
;   first: #50 elsewhere
;   second, before the end of the first: none
;   second, after it: #50 elsewhere
;   masked: none
;   unmasked: #50 elsewhere
;   loop: #50 elsewhere
;   periodic: ten came
;   01 01 01 03 05 08 09 0a 0f 14 15 18 1a 1c 1d
;   TF in pushed flags=00000100 TF in the handler=00000000
;   DR6=ffff4ff0
%include "lib32.inc"

%define IRQ0 0x50

main:
  ; 8259s: vectors 50h and 58h, only the timer
  mov al, 0x11
  out 0x20, al
  out 0xa0, al
  mov al, IRQ0
  out 0x21, al
  mov al, IRQ0 + 8
  out 0xa1, al
  mov al, 4
  out 0x21, al
  mov al, 2
  out 0xa1, al
  mov al, 1
  out 0x21, al
  out 0xa1, al
  mov al, 0xfe
  out 0x21, al
  mov al, 0xff
  out 0xa1, al

  ; an interrupt that waits is taken after the instruction that follows STI
  call .one_shot
  TRY "sti"
    xor eax, eax
    sti
    inc eax
    inc eax
  DONE
  SHOW "eax", [saved_eax]
  SHOW "flags", [saved_flags]
  NEWLINE
  call .end_of_interrupt
  call .one_shot
  TRY "sti; cli"
    sti
    cli
    nop
  DONE
  TRY "sti, with IF set before"
    xor eax, eax
    push dword 0x202
    popfd
    sti
    inc eax
  DONE
  SHOW "eax", [saved_eax]
  NEWLINE
  call .end_of_interrupt
  call .one_shot
  TRY "popf sets IF"
    xor eax, eax
    push dword 0x202
    popfd
    inc eax
    inc eax
  DONE
  SHOW "eax", [saved_eax]
  NEWLINE
  call .end_of_interrupt
  call .one_shot
  TRY "iret sets IF"
    xor eax, eax
    push dword 0x202
    push dword CODE0
    push dword .after_iret
    iretd
.after_iret:
    inc eax
  DONE
  SHOW "eax", [saved_eax]
  NEWLINE
  call .end_of_interrupt
  ; HLT
  call .arm
  TRY "sti; hlt"
    xor eax, eax
    sti
    hlt
    inc eax
  DONE
  SHOW "eax", [saved_eax]
  NEWLINE
  call .end_of_interrupt
  ; in service: no second one before the end of interrupt
  call .one_shot
  TRY "first", call .wait
  call .one_shot
  TRY "second, before the end of the first", call .wait
  call .end_of_interrupt
  TRY "second, after it", call .wait
  call .end_of_interrupt
  ; masked
  mov al, 0xff
  out 0x21, al
  call .one_shot
  TRY "masked", call .wait
  mov al, 0xfe
  out 0x21, al
  TRY "unmasked", call .wait
  call .end_of_interrupt
  ; an endless loop is left
  call .arm
  TRY "loop", call .endless
  call .end_of_interrupt
  ; periodic, counted
  mov eax, .count
  mov [idt + IRQ0 * 8], ax
  shr eax, 16
  mov [idt + IRQ0 * 8 + 6], ax
  mov al, 0x34                     ; channel 0, mode 2
  out 0x43, al
  mov al, 0x52
  out 0x40, al
  mov al, 0x04                     ; 1106: 927 microseconds
  out 0x40, al
  mov dword [.ticks], 0
  sti
.ten:
  hlt
  cmp dword [.ticks], 10
  jb .ten
  cli
  PRINT "periodic: ten came"
  NEWLINE
  mov al, 0x30
  out 0x43, al
  mov al, 0xff
  out 0x21, al

  ; single steps: #DB after each instruction
  mov eax, .step
  mov [idt + 8], ax
  shr eax, 16
  mov [idt + 14], ax
  mov eax, .return
  mov [idt + 0x51 * 8], ax
  shr eax, 16
  mov [idt + 0x51 * 8 + 6], ax
  mov dword [.steps], .step_log
  mov esi, SCRATCH
  mov edi, SCRATCH + 0x100
  mov ecx, 3
  pushfd
  or dword [esp], 0x100
  popfd
.t0: nop                           ; the trap comes after the instruction after POPF
.t1: rep movsb
.t2: mov eax, ss
.t3: mov ss, eax
.t4: nop
.t5: pushfd
.t6: pop ebx
.t7: int 0x51                      ; handlers are entered with TF clear
.t8: jmp .t9
  nop
.t9: call .t10
.t10: pop eax
.t11: mov eax, dr6
.t12: xor edx, edx
.t13: push dword 2
.t14: popfd
.t15: nop
  mov edx, .step_log
.print:
  mov eax, [edx]
  sub eax, .t0
  cmp eax, 0x100
  ja .outside
  call hex8
  jmp .space
.outside:
  PRINT "elsewhere"
.space:
  PRINT " "
  add edx, 4
  cmp edx, [.steps]
  jb .print
  NEWLINE
  and ebx, 0x100
  SHOW "TF in pushed flags", ebx
  SHOW "TF in the handler", [.handler_flags]
  NEWLINE
  SHOW "DR6", [.dr6]
  NEWLINE
  ret

; the 8254's channel 0 in mode 0, a moment from now
.arm:
  mov al, 0x30
  out 0x43, al
  mov al, 200
  out 0x40, al
  mov al, 0
  out 0x40, al
  ret
; the same, and wait until the 8259 has the request
.one_shot:
  call .arm
.poll:
  mov al, 0x0a                     ; OCW3: read the request register
  out 0x20, al
  in al, 0x20
  test al, 1
  jz .poll
  ret
.end_of_interrupt:
  mov al, 0x20
  out 0x20, al
  ret
.wait:
  sti
  mov ecx, 1000
.spin:
  loop .spin
  cli
  ret
.endless:
  sti
.for_ever:
  jmp .for_ever
.count:
  push eax
  inc dword [.ticks]
  mov al, 0x20
  out 0x20, al
  pop eax
  iretd
.return:
  nop
  iretd
.step:
  push eax
  push ebx
  mov ebx, [.steps]
  mov eax, [esp + 8]
  mov [ebx], eax
  add dword [.steps], 4
  mov eax, dr6
  mov [.dr6], eax
  pushfd
  pop eax
  and eax, 0x100
  mov [.handler_flags], eax
  pop ebx
  pop eax
  iretd
align 4
.ticks dd 0
.steps dd 0
.handler_flags dd 0
.dr6 dd 0
.step_log times 64 dd 0
END_IMAGE
