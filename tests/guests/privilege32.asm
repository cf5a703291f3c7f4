; Changes of privilege in 32-bit protected mode: interrupt and trap gates, call gates with parameters, conforming code,
; IRET and RETF to outer rings, checks on the way. Intel SDM volume 3, sections 5.8 and 6.12.
; expect:
;   int 30h: #30 +2 cs=001b
;   frame=001dffec esp=001d0000 ss=00000023
;   interrupt gate: #30 +4 cs=001b
;   flags inside=00000002 flags after=00000202
;   trap gate: #30 +4 cs=001b
;   flags inside=00000202
;   gate to ring 1: #30 +4 cs=001b
;   cs inside=00000061 ss=00000069 esp=001bffec
;   gate to ring 3 from ring 0: #GP(0018) +0
;   gate to conforming code: #30 +4 cs=001b
;   cs inside=0000004b
;   call gate: #30 +13 cs=001b
;   cs=00000008 ss=00000010 esp=001dffe8 parameters=33334444 and=11112222 old esp=001cfff8 old ss=00000023
;   eax after=0000600d esp after=001d0000
;   call gate of ring 0: #GP(0040) +0 cs=001b
;   call gate not present: #NP(0050) +0 cs=001b
;   call gate to data: #GP(0010) +0 cs=001b
;   jmp by a call gate to ring 0: #GP(0008) +0 cs=001b
;   call gate in ring 0: none
;   esp=001effec
;   call gate to an outer ring: #GP(0018) +0
;   jmp to conforming code: #30 +b cs=004b
;   jmp to nonconforming code of ring 0: #GP(0008) +0 cs=001b
;   jmp to conforming code of ring 3 from ring 0: #GP(0070) +0
;   retf to ring 3: #30 elsewhere cs=001b
;   esp=001cfff0 gs=00000000
;   retf 8 to ring 3: #30 elsewhere cs=001b
;   esp=001cfff8
;   iret to ring 3, bad ss: #GP(0010) +10
;   iret to ring 3, null ss: #GP(0000) +10
;   iret to data: #GP(0010) +9
;   retf from ring 3 to ring 0: #GP(0008) +7 cs=001b
;   iret in ring 3 keeps IOPL and IF: #30 elsewhere cs=001b
;   flags=00000ed7
;   iret to ring 3 with IOPL 3: #30 elsewhere cs=001b
;   flags=00003043
;   TSS with a bad SS0: #30 elsewhere cs=0061
;   #TS error code=00000020
;   out, no bitmap: #GP(0000) +0 cs=001b
;   out 70h, allowed: #30 +4 cs=001b
;   out 71h, denied: #GP(0000) +0 cs=001b
;   out 70h, 16 bits, second port denied: #GP(0000) +0 cs=001b
;   out 90h, beyond the bitmap: #GP(0000) +0 cs=001b
%include "lib32.inc"

%define GATE FIRST_FREE             ; call gate, DPL 3, to ring 0, two parameters
%define GATE0 (FIRST_FREE + 8)      ; the same, DPL 0
%define CONFORMING (FIRST_FREE + 16) ; conforming code of ring 0
%define GATE_MISSING (FIRST_FREE + 24)
%define GATE_DATA (FIRST_FREE + 32) ; gate whose target is data
%define CODE1 (FIRST_FREE + 40)     ; code and data of ring 1
%define DATA1 (FIRST_FREE + 48)
%define CONFORMING3 (FIRST_FREE + 56) ; conforming code of ring 3
%define GATE16 (FIRST_FREE + 64)
%define GATE_RING3 (FIRST_FREE + 72)

; selector, target selector, target offset, access, parameters
%macro CALL_GATE 5
  mov eax, %3
  mov [gdt + %1], ax
  mov word [gdt + %1 + 2], %2
  mov byte [gdt + %1 + 4], %5
  mov byte [gdt + %1 + 5], %4
  shr eax, 16
  mov [gdt + %1 + 6], ax
%endmacro
%macro SEGMENT 3
  mov dword [gdt + %1], 0xffff
  mov dword [gdt + %1 + 4], 0x00cf0000 | ((%2) << 8)
%endmacro

main:
  CALL_GATE GATE, CODE0, .gate_target, 0xec, 2
  CALL_GATE GATE0, CODE0, .gate_target, 0x8c, 2
  CALL_GATE GATE_MISSING, CODE0, .gate_target, 0x6c, 0
  CALL_GATE GATE_DATA, DATA0, .gate_target, 0xec, 0
  CALL_GATE GATE_RING3, CODE3, .gate_target, 0xec, 0
  SEGMENT CONFORMING, 0x9e, 0
  SEGMENT CONFORMING3, 0xfe, 0
  SEGMENT CODE1, 0xba, 0
  SEGMENT DATA1, 0xb2, 0
  mov dword [tss + 12], 0x1c0000
  mov dword [tss + 16], DATA1 + 1

  TRY3 "int 30h", .int30
  SHOW "frame", [frame]
  SHOW "esp", [saved_esp]
  SHOW "ss", [saved_ss]
  NEWLINE
  ; interrupt gates clear IF, trap gates do not
  mov dword [.handler_flags], 0
  mov eax, .handler
  mov [idt + 0x40 * 8], ax
  shr eax, 16
  mov [idt + 0x40 * 8 + 6], ax
  TRY3 "interrupt gate", .int40
  SHOW "flags inside", [.handler_flags]
  SHOW "flags after", [saved_flags]
  NEWLINE
  mov byte [idt + 0x40 * 8 + 5], 0xef
  TRY3 "trap gate", .int40
  SHOW "flags inside", [.handler_flags]
  NEWLINE
  ; to ring 1
  mov word [idt + 0x40 * 8 + 2], CODE1 + 1
  TRY3 "gate to ring 1", .int40
  SHOW "cs inside", [.handler_cs]
  SHOW "ss", [.handler_ss]
  SHOW "esp", [.handler_esp]
  NEWLINE
  mov word [idt + 0x40 * 8 + 2], CODE3
  TRY "gate to ring 3 from ring 0", int 0x40
  mov word [idt + 0x40 * 8 + 2], CONFORMING
  TRY3 "gate to conforming code", .int40
  SHOW "cs inside", [.handler_cs]
  NEWLINE
  mov word [idt + 0x40 * 8 + 2], CODE0

  ; call gates
  TRY3 "call gate", .call_gate
  SHOW "cs", [.gate_cs]
  SHOW "ss", [.gate_ss]
  SHOW "esp", [.gate_esp]
  SHOW "parameters", [.gate_1]
  SHOW "and", [.gate_2]
  SHOW "old esp", [.gate_old_esp]
  SHOW "old ss", [.gate_old_ss]
  NEWLINE
  SHOW "eax after", [saved_eax]
  SHOW "esp after", [saved_esp]
  NEWLINE
  TRY3 "call gate of ring 0", .call_gate0
  TRY3 "call gate not present", .call_gate_missing
  TRY3 "call gate to data", .call_gate_data
  TRY3 "jmp by a call gate to ring 0", .jump_gate
  TRY "call gate in ring 0"
    push dword 1
    push dword 2
    call GATE:0
  DONE
  SHOW "esp", [.gate_esp]
  NEWLINE
  TRY "call gate to an outer ring", call GATE_RING3:0

  ; conforming code
  TRY3 "jmp to conforming code", .jump_conforming
  TRY3 "jmp to nonconforming code of ring 0", .jump_code0
  TRY "jmp to conforming code of ring 3 from ring 0", jmp CONFORMING3:.conforming
  ; RETF and IRET to outer rings
  TRY "retf to ring 3"
    mov ax, DATA1
    mov gs, ax
    mov fs, ax
    mov ax, DATA3
    mov es, ax
    push dword DATA3
    push dword STACK3 - 16
    push dword CODE3
    push dword .int30
    retf
  DONE
  SHOW "esp", [saved_esp]
  xor eax, eax
  mov ax, gs
  SHOW "gs", eax
  NEWLINE
  TRY "retf 8 to ring 3"
    push dword DATA3
    push dword STACK3 - 16
    push dword 0x1111
    push dword 0x2222
    push dword CODE3
    push dword .int30
    retf 8
  DONE
  SHOW "esp", [saved_esp]
  NEWLINE
  TRY "iret to ring 3, bad ss"
    push dword DATA0
    push dword STACK3
    push dword 2
    push dword CODE3
    push dword .int30
    iretd
  DONE
  TRY "iret to ring 3, null ss"
    push dword 0
    push dword STACK3
    push dword 2
    push dword CODE3
    push dword .int30
    iretd
  DONE
  TRY "iret to data"
    push dword 2
    push dword DATA0
    push dword .int30
    iretd
  DONE
  TRY3 "retf from ring 3 to ring 0", .retf0
  TRY3 "iret in ring 3 keeps IOPL and IF", .iret3
  SHOW "flags", [saved_flags]
  NEWLINE
  ; IOPL 3
  TRY "iret to ring 3 with IOPL 3"
    push dword DATA3
    push dword STACK3
    push dword 0x3002
    push dword CODE3
    push dword .iopl3
    iretd
  DONE
  SHOW "flags", [saved_flags]
  NEWLINE
  ; a bad stack segment in the TSS
  mov dword [tss + 8], DATA3
  mov dword [tss + 12], 0x1c0000
  ; its handler runs in ring 1, because one in ring 0 would need SS0 again
  mov eax, .ts_handler
  mov [idt + 10 * 8], ax
  mov word [idt + 10 * 8 + 2], CODE1 + 1
  shr eax, 16
  mov [idt + 10 * 8 + 6], ax
  TRY3 "TSS with a bad SS0", .int30
  SHOW "#TS error code", [.ts_error]
  NEWLINE
  mov dword [tss + 8], DATA0

  ; the I/O permission bitmap
  TRY3 "out, no bitmap", .out
  mov word [tss + 102], 104
  mov eax, tss
  mov word [gdt + TSS_SELECTOR], 104 + 0x12
  mov [gdt + TSS_SELECTOR + 2], ax
  mov byte [gdt + TSS_SELECTOR + 5], 0x89
  ; bitmap of ports 0-7fh behind the TSS: 80h is beyond its end, 70h is allowed, 71h is not
  lea edi, [tss + 104]
  mov ecx, 4
  xor eax, eax
.clear:
  mov [edi], eax
  add edi, 4
  dec ecx
  jnz .clear
  mov byte [tss + 104 + 0x71 / 8], 2
  mov byte [tss + 104 + 0x10], 0xff
  mov ax, TSS_SELECTOR
  ltr ax
  TRY3 "out 70h, allowed", .out70
  TRY3 "out 71h, denied", .out71
  TRY3 "out 70h, 16 bits, second port denied", .outw70
  TRY3 "out 90h, beyond the bitmap", .out90
  ret

.int30: int 0x30
.int40: int 0x40
  int 0x30
.handler:
  pushfd
  pop dword [.handler_flags]
  mov [.handler_cs], cs
  mov [.handler_ss], ss
  mov [.handler_esp], esp
  iretd
.call_gate:
  push dword 0x11112222
  push dword 0x33334444
  call GATE + 3:0xdeadbeef
  int 0x30
.call_gate0: call GATE0 + 3:0
.call_gate_missing: call GATE_MISSING + 3:0
.call_gate_data: call GATE_DATA + 3:0
.jump_gate: jmp GATE + 3:0
.gate_target:
  mov [.gate_cs], cs
  mov [.gate_ss], ss
  mov [.gate_esp], esp
  mov eax, [esp + 8]
  mov [.gate_1], eax
  mov eax, [esp + 12]
  mov [.gate_2], eax
  mov eax, [esp + 16]
  mov [.gate_old_esp], eax
  mov eax, [esp + 20]
  mov [.gate_old_ss], eax
  mov eax, 0x600d
  retf 8
.jump_conforming: jmp CONFORMING:.conforming
.conforming:
  mov eax, cs
  int 0x30
.jump_code0: jmp CODE0:.conforming
.retf0:
  push dword CODE0
  push dword .int30
  retf
.iret3:
  push dword 0x3ed7
  push dword CODE3
  push dword .int30
  iretd
.iopl3:
  sti
  pushfd
  or dword [esp], 0x41
  and dword [esp], ~0x3000
  popfd
  cli
  in al, 0x80
  int 0x30
.out: out 0x80, al
.out70: out 0x70, al
  int 0x30
.out71: out 0x71, al
.outw70: out 0x70, ax
.out90: out 0x90, al

.ts_handler:
  mov ax, DATA1 + 1
  mov ds, ax
  mov dword [tss + 8], DATA0
  pop dword [.ts_error]
  int 0x30
.ts_error dd 0
.handler_flags dd 0
.handler_cs dd 0
.handler_ss dd 0
.handler_esp dd 0
.gate_cs dd 0
.gate_ss dd 0
.gate_esp dd 0
.gate_1 dd 0
.gate_2 dd 0
.gate_old_esp dd 0
.gate_old_ss dd 0
END_IMAGE
