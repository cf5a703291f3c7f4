; Segment limits, expand-down segments, access rights, 16- and 32-bit stack segments, limits of code.
; Intel SDM volume 3, sections 5.3 to 5.5.
; QEMU's TCG checks no limits and no access rights of data segments.
; expect:
;   dword at the limit's end: none
;   dword across the limit: #GP(0000) +0
; qemu: dword across the limit: none
;   byte at the limit: none
;   byte beyond: #GP(0000) +0
; qemu: byte beyond: none
;   word across the limit, write: #GP(0000) +0
; qemu: word across the limit, write: none
;   offset -1: #GP(0000) +0
; qemu: offset -1: none
;   dword at offset -2: #GP(0000) +0
; qemu: dword at offset -2: none
;   limit in pages: byte fffh: none
;   limit in pages: byte 1000h: #GP(0000) +0
; qemu: limit in pages: byte 1000h: none
;   expand-down: byte fffh: #GP(0000) +0
; qemu: expand-down: byte fffh: none
;   expand-down: byte 1000h: none
;   expand-down: 10000h: none
;   expand-down, 16 bits: ffffh: none
;   expand-down, 16 bits: word at ffffh: #GP(0000) +0
; qemu: expand-down, 16 bits: word at ffffh: none
;   expand-down, 16 bits: 10000h: #GP(0000) +0
; qemu: expand-down, 16 bits: 10000h: none
;   read-only: read: none
;   read-only: write: #GP(0000) +0
; qemu: read-only: write: none
;   read-only: or with 0: #GP(0000) +0
; qemu: read-only: or with 0: none
;   readable code: read: none
;   readable code: write: #GP(0000) +0
; qemu: readable code: write: none
;   execute-only code into es: #GP(0060) +4
;   read-only data into ss: #GP(0050) +4
;   rep stosb across the limit: #GP(0000) +0
; qemu: rep stosb across the limit: none
;   edi=00001000 ecx=00000010
; qemu: edi=00001010 ecx=00000000
;   push on a 16-bit stack, sp 0: #30 +12 cs=001b
;   esp=1234fffc at fffch=89abcdef
;   push word on a 16-bit stack, sp 1: #SS(0000) +b cs=001b
; qemu: push word on a 16-bit stack, sp 1: #30 +f cs=001b
;   esp=00000001
; qemu: esp=0000ffff
;   pop across the end of a 16-bit stack: #SS(0000) +b cs=001b
; qemu: pop across the end of a 16-bit stack: #30 +e cs=001b
;   ebp relative beyond ss's limit: #SS(0000) +b cs=001b
; qemu: ebp relative beyond ss's limit: #30 +10 cs=001b
;   ebp relative inside: #30 +10 cs=001b
;   the same beyond, with ds: #30 +11 cs=001b
;   push below an expand-down stack's end: #SS(0000) +b cs=001b
; qemu: push below an expand-down stack's end: #30 +e cs=001b
;   code runs over its limit: #GP(0000) elsewhere cs=0070
; qemu: code runs over its limit: #30 elsewhere cs=0070
;   eip=00001000 cs=00000070
; qemu: eip=00001002 cs=00000070
;   far jump beyond the limit: #GP(0000) +0
;   instruction across the limit: #GP(0000) elsewhere cs=0070
; qemu: instruction across the limit: #30 elsewhere cs=0070
;   eip=00000ffd
; qemu: eip=00001004
;   near jump beyond the limit: #GP(0000) elsewhere cs=0070
; qemu: near jump beyond the limit: #30 elsewhere cs=0070
;   eip=00000100
; qemu: eip=00002002
;   16-bit code: #30 elsewhere cs=0080
;   eax=12343fff eip=00000207
%include "lib32.inc"

%define SMALL FIRST_FREE                ; data, base SCRATCH, limit 0fffh
%define DOWN (FIRST_FREE + 8)           ; expand-down, 32 bits, from 1000h
%define DOWN16 (FIRST_FREE + 16)        ; expand-down, 16 bits, from 1000h to ffffh
%define READ_ONLY (FIRST_FREE + 24)
%define CODE_DATA (FIRST_FREE + 32)     ; readable code
%define EXECUTE (FIRST_FREE + 40)       ; execute-only code
%define STACK16 (FIRST_FREE + 48)       ; 16-bit stack, base SCRATCH, limit ffffh
%define SHORT_CODE (FIRST_FREE + 56)    ; code, base SCRATCH, limit 0fffh
%define STACK_DOWN (FIRST_FREE + 64)    ; expand-down stack, 32 bits
%define CODE16 (FIRST_FREE + 72)        ; 16-bit code, base SCRATCH
%define PAGES (FIRST_FREE + 80)         ; limit 0 in pages: 0fffh

%macro SEGMENT 5
  mov dword [gdt + %1], ((%2) << 16 & 0xffff0000) | ((%3) & 0xffff)
  mov dword [gdt + %1 + 4], ((%2) >> 16 & 0xff) | ((%4) << 8) | ((%3) & 0xf0000) | ((%5) << 20) | ((%2) & 0xff000000)
%endmacro
%macro LOAD 2
  mov ax, %2
  mov %1, ax
%endmacro

main:
  SEGMENT SMALL, SCRATCH, 0xfff, 0x93, 4
  SEGMENT DOWN, SCRATCH, 0xfff, 0x97, 4
  SEGMENT DOWN16, SCRATCH, 0xfff, 0x97, 0
  SEGMENT READ_ONLY, SCRATCH, 0xfff, 0x91, 4
  SEGMENT CODE_DATA, SCRATCH, 0xfff, 0x9b, 4
  SEGMENT EXECUTE, SCRATCH, 0xfff, 0x99, 4
  SEGMENT STACK16, SCRATCH, 0xffff, 0xf3, 0
  SEGMENT SHORT_CODE, SCRATCH, 0xfff, 0x9b, 4
  SEGMENT STACK_DOWN, SCRATCH, 0xfff, 0xf7, 4
  SEGMENT CODE16, SCRATCH, 0xffff, 0x9b, 0
  SEGMENT PAGES, SCRATCH, 0, 0x93, 12
  LOAD es, SMALL
  mov ebx, 0xffc
  TRY "dword at the limit's end", mov eax, [es:ebx]
  LOAD es, SMALL
  TRY "dword across the limit", mov eax, [es:ebx + 1]
  LOAD es, SMALL
  TRY "byte at the limit", mov al, [es:ebx + 3]
  LOAD es, SMALL
  TRY "byte beyond", mov al, [es:ebx + 4]
  LOAD es, SMALL
  TRY "word across the limit, write", mov [es:ebx + 3], ax
  LOAD es, SMALL
  TRY "offset -1", mov al, [es:-1]
  LOAD es, SMALL
  TRY "dword at offset -2", mov eax, [es:-2]
  LOAD es, PAGES
  TRY "limit in pages: byte fffh", mov al, [es:0xfff]
  LOAD es, PAGES
  TRY "limit in pages: byte 1000h", mov al, [es:0x1000]
  LOAD es, DOWN
  TRY "expand-down: byte fffh", mov al, [es:0xfff]
  LOAD es, DOWN
  TRY "expand-down: byte 1000h", mov al, [es:0x1000]
  LOAD es, DOWN
  TRY "expand-down: 10000h", mov al, [es:0x10000]
  LOAD es, DOWN16
  TRY "expand-down, 16 bits: ffffh", mov al, [es:0xffff]
  LOAD es, DOWN16
  TRY "expand-down, 16 bits: word at ffffh", mov ax, [es:0xffff]
  LOAD es, DOWN16
  TRY "expand-down, 16 bits: 10000h", mov al, [es:0x10000]
  LOAD es, READ_ONLY
  TRY "read-only: read", mov al, [es:0]
  LOAD es, READ_ONLY
  TRY "read-only: write", mov [es:0], al
  LOAD es, READ_ONLY
  TRY "read-only: or with 0", or byte [es:0], 0
  LOAD es, CODE_DATA
  TRY "readable code: read", mov al, [es:0]
  LOAD es, CODE_DATA
  TRY "readable code: write", mov [es:0], al
  TRY "execute-only code into es"
    LOAD es, EXECUTE
  DONE
  TRY "read-only data into ss"
    LOAD ss, READ_ONLY
  DONE
  ; strings
  LOAD es, SMALL
  mov edi, 0xff0
  mov ecx, 32
  TRY "rep stosb across the limit", rep stosb
  SHOW "edi", edi
  SHOW "ecx", ecx
  NEWLINE
  ; stacks, in ring 3, so that the handlers have one of their own
  mov dword [SCRATCH + 0xfffc], 0
  TRY3 "push on a 16-bit stack, sp 0", .push0
  SHOW "esp", [saved_esp]
  SHOW "at fffch", [SCRATCH + 0xfffc]
  NEWLINE
  TRY3 "push word on a 16-bit stack, sp 1", .push1
  SHOW "esp", [saved_esp]
  NEWLINE
  TRY3 "pop across the end of a 16-bit stack", .pop
  TRY3 "ebp relative beyond ss's limit", .ebp_outside
  TRY3 "ebp relative inside", .ebp_inside
  TRY3 "the same beyond, with ds", .ebp_ds
  TRY3 "push below an expand-down stack's end", .push_down
  ; code
  mov word [SCRATCH + 0xffe], 0x9090
  ; int 30h, not to be reached
  mov word [SCRATCH + 0x1000], 0x30cd
  mov word [SCRATCH + 0x1002], 0x30cd
  mov word [SCRATCH + 0x2000], 0x30cd
  TRY "code runs over its limit", jmp SHORT_CODE:0xffe
  SHOW "eip", [saved_eip]
  SHOW "cs", [saved_cs]
  NEWLINE
  TRY "far jump beyond the limit", jmp SHORT_CODE:0x1000
  mov byte [SCRATCH + 0xffd], 0xb8
  TRY "instruction across the limit", jmp SHORT_CODE:0xffd
  SHOW "eip", [saved_eip]
  NEWLINE
  ; near jump beyond: jmp eax
  mov word [SCRATCH + 0x100], 0xe0ff
  mov eax, 0x2000
  TRY "near jump beyond the limit", jmp SHORT_CODE:0x100
  SHOW "eip", [saved_eip]
  NEWLINE
  ; 16-bit code: ip wraps for a 16-bit displacement, operands are 16 bits
  ; mov ax, 4000h; dec eax by 66h; int 30h
  mov dword [SCRATCH + 0x200], 0x664000b8
  mov dword [SCRATCH + 0x204], 0x9030cd48
  mov eax, 0x12340000
  TRY "16-bit code", jmp CODE16:0x200
  SHOW "eax", [saved_eax]
  SHOW "eip", [saved_eip]
  NEWLINE
  LOAD es, DATA0
  ret

.push0:
  LOAD ss, STACK16 + 3
  mov esp, 0x12340000
  push dword 0x89abcdef
  int 0x30
.push1:
  LOAD ss, STACK16 + 3
  mov esp, 1
  push ax
  int 0x30
.pop:
  LOAD ss, STACK16 + 3
  mov esp, 0xfffe
  pop eax
  int 0x30
.ebp_outside:
  LOAD ss, STACK_DOWN + 3
  mov ebp, 0xffc
  mov eax, [ebp]
  int 0x30
.ebp_inside:
  LOAD ss, STACK_DOWN + 3
  mov ebp, 0x2000
  mov eax, [ebp]
  int 0x30
.ebp_ds:
  LOAD ss, STACK_DOWN + 3
  mov ebp, 0xffc
  mov eax, [ds:ebp]
  int 0x30
.push_down:
  LOAD ss, STACK_DOWN + 3
  mov esp, 0x1002
  push eax
  int 0x30
END_IMAGE
