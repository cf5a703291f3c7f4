; Exceptions of 32-bit protected mode: error codes, saved EIP (as an offset from the first instruction tried) and CS.
; Intel SDM volume 3, chapter 6 "Interrupt and Exception Handling".
; QEMU's TCG checks no access rights of data segments and no null DS or ES, raises neither #AC nor #XM, has INT1 only
; with SVM intercepts, and lets LOCK stand before MOV.
; expect:
;   div by zero: #DE +0
;   idiv overflow: #DE +0
;   aam 0: #DE +0
;   int3: #BP +1
;   int 3: #BP +2
;   int1: #DB +1
; qemu: int1: #UD +0
;   into taken: #OF +1
;   into not taken: none
;   bound outside: #BR +0
;   bound inside: none
;   ud2: #UD +0
;   lock add to register: #UD +0
;   lock mov to memory: #UD +0
; qemu: lock mov to memory: none
;   lock cmp: #UD +0
;   lock add to memory: none
;   mov cs: #UD +0
;   lea register: #UD +0
;   les register: #UD +0
;   15 bytes: none
;   16 bytes: #GP(0000) +0
;   x87 with CR0.TS: #NM +0
;   SSE with CR0.TS: #NM +0
;   MMX with CR0.TS: #NM +0
;   fwait with CR0.TS, MP clear: none
;   fwait with CR0.TS, MP set: #NM +0
;   x87 with CR0.EM: #NM +0
;   SSE with CR0.EM: #UD +0
;   SSE without CR4.OSFXSR: #UD +0
;   x87 division by zero: #MF +2
;   SSE division by zero: #XM +0
; qemu: SSE division by zero: none
;   MXCSR=00001d84
; qemu: MXCSR=00001d84
;   the same without CR4.OSXMMEXCPT: #UD +0
; qemu: the same without CR4.OSXMMEXCPT: none
;   movaps unaligned: #GP(0000) +0
;   mov ds: LDT is too short: #GP(0044) +4
;   mov ds: beyond the GDT: #GP(1238) +4
;   mov ds: null: none
;   use of null ds: #GP(0000) +4
; qemu: use of null ds: none
;   use of null es: #GP(0000) +4
; qemu: use of null es: none
;   mov ss: null: #GP(0000) +2
;   mov ss: code: #GP(0008) +4
;   mov ss: RPL 3: #GP(0010) +4
;   mov ss: not present: #SS(0038) +4
;   mov ds: not present: #NP(0038) +4
;   mov ds: TSS: #GP(0028) +4
;   mov ds: execute-only code: #GP(0048) +4
;   write to read-only data: #GP(0000) +6
; qemu: write to read-only data: none
;   write through CS: #GP(0000) +0
; qemu: write through CS: none
;   lldt: data: #GP(0010) +4
;   ltr: busy: #GP(0028) +4
;   jump to data: #GP(0010) +0
;   jump to null: #GP(0000) +0
;   jump to code not present: #NP(0040) +0
;   jump to code of ring 3: #GP(0018) +0
;   call to data: #GP(0010) +0
;   int: gate not present: #NP(017a) +0
;   int: gate beyond the IDT: #GP(0202) +7
;   int: gate to data: #GP(0010) +0
;   int: not a gate: #GP(016a) +0
;   #GP whose handler is not present: #DF(0000) +0
;   #BP whose handler is not present: #NP(001a) +0
;   ring 3: cli: #GP(0000) +0 cs=001b
;   ring 3: hlt: #GP(0000) +0 cs=001b
;   ring 3: in: #GP(0000) +0 cs=001b
;   ring 3: mov cr0: #GP(0000) +0 cs=001b
;   ring 3: lgdt: #GP(0000) +0 cs=001b
;   ring 3: int 20h, gate of ring 0: #GP(0102) +0 cs=001b
;   ring 3: int 30h: #30 +2 cs=001b
;   ring 3: int3: #BP +1 cs=001b
;   ring 3: mov ds, DATA0: #GP(0010) +4 cs=001b
;   ring 3: rdmsr: #GP(0000) +0 cs=001b
;   saved ss=00000023 saved esp=001d0000 frame=001dffec
;   ring 3: unaligned with AC: #AC(0000) +9 cs=001b
; qemu: ring 3: unaligned with AC: #30 +10 cs=001b
;   ring 3: aligned with AC: #30 +1b cs=001b
;   ring 0: unaligned with AC: none
%include "lib32.inc"

%define NOT_PRESENT_DATA FIRST_FREE
%define NOT_PRESENT_CODE (FIRST_FREE + 8)
%define EXECUTE_ONLY (FIRST_FREE + 16)
%define READ_ONLY (FIRST_FREE + 24)

main:
  call descriptors
  ; x87 with its own exceptions, SSE on
  mov eax, cr0
  and eax, ~0xe
  or eax, 0x20
  mov cr0, eax
  mov eax, cr4
  or eax, 0x600
  mov cr4, eax
  xor edx, edx
  xor ecx, ecx
  TRY "div by zero", div ecx
  mov eax, 0x80000000
  mov edx, -1
  mov ecx, -1
  TRY "idiv overflow", idiv ecx
  TRY "aam 0", aam 0
  TRY "int3", int3
  TRY "int 3", int 3
  TRY "int1", db 0xf1
  mov al, 0x7f
  add al, 1
  TRY "into taken", into
  xor eax, eax
  TRY "into not taken", into
  mov eax, 11
  TRY "bound outside", bound eax, [bounds]
  mov eax, 10
  TRY "bound inside", bound eax, [bounds]
  TRY "ud2", ud2
  TRY "lock add to register", db 0xf0, 0x01, 0xc0
  TRY "lock mov to memory", db 0xf0, 0x89, 0x05, 0, 0, 0x30, 0
  TRY "lock cmp", db 0xf0, 0x39, 0x05, 0, 0, 0x30, 0
  TRY "lock add to memory", lock add [SCRATCH], eax
  TRY "mov cs", db 0x8e, 0xc8
  TRY "lea register", db 0x8d, 0xc0
  TRY "les register", db 0xc4, 0xc0
  TRY "15 bytes", db 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90
  TRY "16 bytes", db 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90

  ; #NM
  mov eax, cr0
  or eax, 8
  mov cr0, eax
  TRY "x87 with CR0.TS", fnop
  TRY "SSE with CR0.TS", movaps xmm0, xmm1
  TRY "MMX with CR0.TS", movq mm0, mm1
  TRY "fwait with CR0.TS, MP clear", fwait
  mov eax, cr0
  or eax, 2
  mov cr0, eax
  TRY "fwait with CR0.TS, MP set", fwait
  clts
  mov eax, cr0
  or eax, 4
  mov cr0, eax
  TRY "x87 with CR0.EM", fnop
  TRY "SSE with CR0.EM", movaps xmm0, xmm1
  mov eax, cr0
  and eax, ~6
  mov cr0, eax
  mov eax, cr4
  and eax, ~0x200
  mov cr4, eax
  TRY "SSE without CR4.OSFXSR", movaps xmm0, xmm1
  mov eax, cr4
  or eax, 0x200
  mov cr4, eax

  ; #MF: pending at the next waiting instruction
  fninit
  mov word [SCRATCH], 0x37b
  fldcw [SCRATCH]
  fld1
  fldz
  TRY "x87 division by zero"
    fdivp
    fnop
  DONE
  fnclex
  fninit
  ; #XM
  mov dword [SCRATCH], 0x1d80
  ldmxcsr [SCRATCH]
  movaps xmm0, [ones]
  TRY "SSE division by zero", divps xmm0, [zeros]
  stmxcsr [SCRATCH]
  SHOW "MXCSR", [SCRATCH]
  NEWLINE
  mov eax, cr4
  and eax, ~0x400
  mov cr4, eax
  TRY "the same without CR4.OSXMMEXCPT", divps xmm0, [zeros]
  mov eax, cr4
  or eax, 0x400
  mov cr4, eax
  TRY "movaps unaligned", movaps xmm0, [zeros + 4]

  ; selectors
  mov eax, 0xf8
  TRY "mov ds: LDT is too short"
    mov ax, 0x44
    mov ds, ax
  DONE
  TRY "mov ds: beyond the GDT"
    mov ax, 0x1238
    mov ds, ax
  DONE
  TRY "mov ds: null"
    xor eax, eax
    mov ds, ax
    mov ax, DATA0
    mov ds, ax
  DONE
  TRY "use of null ds"
    xor eax, eax
    mov ds, ax
    mov eax, [0]
  DONE
  TRY "use of null es"
    xor eax, eax
    mov es, ax
    mov [es:0], eax
  DONE
  TRY "mov ss: null"
    xor eax, eax
    mov ss, ax
  DONE
  TRY "mov ss: code"
    mov ax, CODE0
    mov ss, ax
  DONE
  TRY "mov ss: RPL 3"
    mov ax, DATA0 + 3
    mov ss, ax
  DONE
  TRY "mov ss: not present"
    mov ax, NOT_PRESENT_DATA
    mov ss, ax
  DONE
  TRY "mov ds: not present"
    mov ax, NOT_PRESENT_DATA
    mov ds, ax
  DONE
  TRY "mov ds: TSS"
    mov ax, TSS_SELECTOR
    mov ds, ax
  DONE
  TRY "mov ds: execute-only code"
    mov ax, EXECUTE_ONLY
    mov ds, ax
  DONE
  TRY "write to read-only data"
    mov ax, READ_ONLY
    mov es, ax
    mov [es:SCRATCH], eax
  DONE
  TRY "write through CS", mov [cs:SCRATCH], eax
  TRY "lldt: data"
    mov ax, DATA0
    lldt ax
  DONE
  TRY "ltr: busy"
    mov ax, TSS_SELECTOR
    ltr ax
  DONE
  TRY "jump to data", jmp DATA0:0
  TRY "jump to null", jmp 0:0
  TRY "jump to code not present", jmp NOT_PRESENT_CODE:0
  TRY "jump to code of ring 3", jmp CODE3:0
  TRY "call to data", call DATA0 + 1:0
  TRY "int: gate not present", int 0x2f
  TRY "int: gate beyond the IDT"
    lidt [short_idt]
    int 0x40
  DONE
  lidt [idtr]
  TRY "int: gate to data", int 0x2e
  TRY "int: not a gate", int 0x2d

  ; #DF: the handler of #GP is not present and no gate is there
  mov byte [idt + 13 * 8 + 5], 0x0e
  TRY "#GP whose handler is not present", jmp DATA0:0
  mov byte [idt + 13 * 8 + 5], 0x8e
  mov byte [idt + 3 * 8 + 5], 0x6e
  TRY "#BP whose handler is not present", int3
  mov byte [idt + 3 * 8 + 5], 0xee

  ; ring 3
  TRY3 "ring 3: cli", .cli
  TRY3 "ring 3: hlt", .hlt
  TRY3 "ring 3: in", .in
  TRY3 "ring 3: mov cr0", .cr0
  TRY3 "ring 3: lgdt", .lgdt
  TRY3 "ring 3: int 20h, gate of ring 0", .int20
  TRY3 "ring 3: int 30h", .int30
  TRY3 "ring 3: int3", .int3
  TRY3 "ring 3: mov ds, DATA0", .ds
  TRY3 "ring 3: rdmsr", .rdmsr
  SHOW "saved ss", [saved_ss]
  SHOW "saved esp", [saved_esp]
  SHOW "frame", [frame]
  NEWLINE
  ; #AC
  mov eax, cr0
  or eax, 0x40000
  mov cr0, eax
  TRY3 "ring 3: unaligned with AC", .ac
  TRY3 "ring 3: aligned with AC", .ac_aligned
  TRY "ring 0: unaligned with AC"
    pushfd
    or dword [esp], 0x40000
    popfd
    mov eax, [SCRATCH + 1]
  DONE
  push dword 2
  popfd
  ret

.cli: cli
.hlt: hlt
.in: in al, 0x80
.cr0: mov eax, cr0
.lgdt: lgdt [gdtr]
.int20: int 0x20
.int30: int 0x30
.int3: int3
.ds: mov ax, DATA0
  mov ds, ax
.rdmsr: rdmsr
.ac:
  pushfd
  or dword [esp], 0x40000
  popfd
  mov eax, [SCRATCH + 1]
  int 0x30
.ac_aligned:
  pushfd
  or dword [esp], 0x40000
  popfd
  mov eax, [SCRATCH + 4]
  mov al, [SCRATCH + 1]
  mov ax, [SCRATCH + 2]
  int 0x30

descriptors:
  mov dword [gdt + NOT_PRESENT_DATA], 0xffff
  mov dword [gdt + NOT_PRESENT_DATA + 4], 0x00cf1200
  mov dword [gdt + NOT_PRESENT_CODE], 0xffff
  mov dword [gdt + NOT_PRESENT_CODE + 4], 0x00cf1a00
  mov dword [gdt + EXECUTE_ONLY], 0xffff
  mov dword [gdt + EXECUTE_ONLY + 4], 0x00cf9800
  mov dword [gdt + READ_ONLY], 0xffff
  mov dword [gdt + READ_ONLY + 4], 0x00cf9000
  mov byte [idt + 0x2f * 8 + 5], 0x0e
  mov word [idt + 0x2e * 8 + 2], DATA0
  mov byte [idt + 0x2d * 8 + 5], 0x8c
  ret

bounds dd -10, 10
short_idt:
  dw 0x40 * 8 - 1
  dd idt
align 16
zeros dd 0, 0, 0, 0, 0
align 16
ones dd 1.0, 1.0, 1.0, 1.0

END_IMAGE
