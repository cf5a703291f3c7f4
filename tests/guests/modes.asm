; Changes of mode: protected mode to real mode and back, big real mode ("unreal"), 16-bit protected mode, long mode from
; protected mode and back, compatibility mode, A20. Intel SDM volume 3, sections 9.8 and 9.9.
; QEMU's TCG checks no segment limits and no CR4.PAE when paging goes on.
; expect:
;   segment arithmetic=00001234 interrupts=00006060 invalid=00000002
;   flags=00000046 general protection=00000001 unreal=5a5a1234
; qemu: flags=00000046 general protection=00000000 unreal=5a5a1234
;   exception after coming back: #UD +0
;   CR0.PG with EFER.LME and without CR4.PAE: #GP(0000) +1e
; qemu: CR0.PG with EFER.LME and without CR4.PAE: none
;   EFER in compatibility mode=00000500
;   inc=00000000 long mode=12345678 and=9abcdef0 rip=00000000
;   EFER after paging is off=00000100 and LME=00000000
;   exception at the end: #UD +0
;   A20 off=22222222 on=11111111
%include "lib32.inc"

%define CODE16 FIRST_FREE
%define DATA16 (FIRST_FREE + 8)
%define CODE64 (FIRST_FREE + 16)
%define REAL 0x8000                 ; where the real-mode code runs

main:
  mov dword [gdt + CODE16], 0x0000ffff
  mov dword [gdt + CODE16 + 4], 0x00009a00
  mov dword [gdt + DATA16], 0x0000ffff
  mov dword [gdt + DATA16 + 4], 0x00009200
  mov dword [gdt + CODE64], 0x0000ffff
  mov dword [gdt + CODE64 + 4], 0x00af9a00
  mov esi, real_code
  mov edi, REAL
  mov ecx, real_end - real_code
  rep movsb
  ; a vector for INT 60h in the real-mode table
  mov word [0x60 * 4], real_int - real_code
  mov word [0x60 * 4 + 2], REAL >> 4
  mov word [6 * 4], real_ud - real_code
  mov word [6 * 4 + 2], REAL >> 4
  mov [saved_stack], esp
  mov dword [0x100000 + 0xf0000], 0x5a5a1234 ; for the read beyond 64 KiB
  jmp CODE16:REAL

bits 16
real_code:
  ; 16-bit protected mode: segments of 64 KiB, then real mode with them
  mov ax, DATA16
  mov ds, ax
  mov es, ax
  mov ss, ax
  lidt [cs:REAL + (real_idtr - real_code)]
  mov eax, cr0
  and al, 0xfe
  mov cr0, eax
  jmp (REAL >> 4):(.real - real_code)
.real:
  mov ax, REAL >> 4
  mov ds, ax
  xor ax, ax
  mov es, ax
  mov ss, ax
  mov sp, 0x7000
  ; segment arithmetic
  mov bx, 0x1234
  mov [real_result - real_code], bx
  mov cx, [es:REAL + (real_result - real_code)]
  mov [es:0x500], cx
  ; an interrupt by the real-mode table
  mov word [es:0x504], 0
  int 0x60
  ; #UD in real mode
  mov word [es:0x508], 0
  ud2
after_ud:
  ; LAR, LLDT and SLDT are unknown here; checked by the same vector
  sldt ax
after_sldt:
  ; wrap at 1 MiB: A20 is on, so ffff:0010 is 100000h
  mov ax, 0xffff
  mov fs, ax
  mov eax, [fs:0x10]
  mov [es:0x50c], eax
  ; PUSHF, POPF, IRET with 16 and 32 bits
  pushf
  pop ax
  mov [es:0x510], ax
  ; limit: a word at ffffh
  mov word [es:13 * 4], real_gp - real_code
  mov word [es:13 * 4 + 2], REAL >> 4
  mov word [es:0x514], 0
  mov ax, [es:0xffff]
after_gp:
  ; unreal mode: a 4 GiB data segment loaded in protected mode keeps its limit
  lgdt [real_gdtr - real_code]
  mov eax, cr0
  or al, 1
  mov cr0, eax
  mov bx, 0x10
  mov ds, bx
  and al, 0xfe
  mov cr0, eax
  xor bx, bx
  mov ds, bx
  mov eax, [dword 0x1f0000]
  mov [0x518], eax
  ; back to protected mode
  mov eax, cr0
  or al, 1
  mov cr0, eax
  jmp dword CODE0:back
real_int:
  mov word [es:0x504], 0x6060
  iret
real_ud:
  inc word [es:0x508]
  push bp
  mov bp, sp
  add word [bp + 2], 2
  cmp word [bp + 2], after_ud - real_code
  je .done
  ; sldt ax has three bytes
  add word [bp + 2], 1
.done:
  pop bp
  iret
real_gp:
  inc word [es:0x514]
  push bp
  mov bp, sp
  mov word [bp + 2], after_gp - real_code
  pop bp
  iret
align 4
real_result dw 0
real_idtr:
  dw 0x3ff
  dd 0
real_gdtr:
  dw gdt_end - gdt - 1
  dd gdt
real_end:

bits 32
back:
  mov ax, DATA0
  mov ds, ax
  mov es, ax
  mov fs, ax
  mov ss, ax
  mov esp, [saved_stack]
  lidt [idtr]
  SHOW "segment arithmetic", [0x500]
  SHOW "interrupts", [0x504]
  SHOW "invalid", [0x508]
  NEWLINE
  mov eax, [elf_header]
  cmp eax, [0x50c]
  je .a20
  PRINT "A20 is off "
.a20:
  SHOW "flags", [0x510]
  SHOW "general protection", [0x514]
  SHOW "unreal", [0x518]
  NEWLINE
  TRY "exception after coming back", ud2

  ; long mode: identity by 2 MiB pages
  mov edi, TABLES
  mov ecx, 0x3000 / 4
  xor eax, eax
  rep stosd
  mov dword [TABLES], TABLES + 0x1007
  mov dword [TABLES + 0x1000], TABLES + 0x2007
  mov dword [TABLES + 0x2000], 0x87
  mov dword [TABLES + 0x2008], 0x200087
  TRY "CR0.PG with EFER.LME and without CR4.PAE"
    mov ecx, 0xc0000080
    rdmsr
    or eax, 0x100
    wrmsr
    mov eax, TABLES
    mov cr3, eax
    mov eax, cr0
    or eax, 0x80000000
    mov cr0, eax
  DONE
  mov eax, cr4
  or eax, 0x20
  mov cr4, eax
  mov eax, cr0
  or eax, 0x80000000
  mov cr0, eax
  jmp .compatible
.compatible:
  ; compatibility mode: still 32-bit code
  mov ecx, 0xc0000080
  rdmsr
  SHOW "EFER in compatibility mode", eax
  NEWLINE
  mov eax, -1
  inc eax
  SHOW "inc", eax
  jmp CODE64:.long
bits 64
.long:
  mov rax, 0x123456789abcdef0
  mov r8, rax
  shr rax, 32
  mov [abs 0x520], eax
  mov [abs 0x524], r8d
  lea rbx, [rel .long]
  sub rbx, .long
  mov [abs 0x528], ebx
  ; and back: far return to 32-bit code
  push qword CODE0
  push qword .again
  db 0x48
  retf
bits 32
.again:
  SHOW "long mode", [0x520]
  SHOW "and", [0x524]
  SHOW "rip", [0x528]
  NEWLINE
  mov eax, cr0
  and eax, 0x7fffffff
  mov cr0, eax
  mov ecx, 0xc0000080
  rdmsr
  SHOW "EFER after paging is off", eax
  and eax, ~0x100
  wrmsr
  mov eax, cr4
  and eax, ~0x20
  mov cr4, eax
  rdmsr
  SHOW "and LME", eax
  NEWLINE
  TRY "exception at the end", ud2
  ; A20 gate by port 92h
  mov dword [0x500000], 0x11111111
  mov dword [0x400000], 0x22222222
  ; while A20 is off, code and data of odd megabytes are elsewhere: what does it runs at 6 MiB
  mov esi, .a20_code
  mov edi, 0x600000
  mov ecx, .a20_end - .a20_code
  rep movsb
  mov eax, 0x600000
  call eax
  SHOW "A20 off", ebx
  SHOW "on", ecx
  NEWLINE
  ret
.a20_code:
  in al, 0x92
  and al, 0xfc
  out 0x92, al
  mov ebx, [0x500000]
  in al, 0x92
  or al, 2
  and al, 0xfe
  out 0x92, al
  mov ecx, [0x500000]
  ret
.a20_end:
saved_stack dd 0
END_IMAGE
