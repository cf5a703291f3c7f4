; Exceptions of 64-bit mode: canonical addresses, error codes, the frame, interrupt stack table, alignment of the stack.
; Intel SDM volume 3, sections 6.14 and 3.3.7.1.
; QEMU's TCG raises neither #AC nor #XM, reports branches to non-canonical addresses at their target, knows no #SS for
; explicit RBP, checks no FS base, takes code with L and D, and counts 16 for a vector in error codes.
; expect:
;   div by zero: #DE +0
;   ud2: #UD +0
;   push es: #UD +0
;   aam: #UD +0
;   into: #UD +0
;   far call direct: #UD +0
;   daa: #UD +0
;   pusha: #UD +0
;   82h: #UD +0
;   read at a non-canonical address: #GP(0000) +0
;   write at one: #GP(0000) +0
;   by rbp: #SS(0000) +0
; qemu: by rbp: #GP(0000) +0
;   by rbp as base: #SS(0000) +0
; qemu: by rbp as base: #GP(0000) +0
;   pop to one: #GP(0000) +0
;   push with such an rsp: #SS(0000) +a
; qemu: push with such an rsp: #GP(0000) +a
;   pop with such an rsp: #SS(0000) +a
; qemu: pop with such an rsp: #GP(0000) +a
;   jump to one: #GP(0000) +0
; qemu: jump to one: #GP(0000) elsewhere
;   call to one: #GP(0000) +0
; qemu: call to one: #GP(0000) elsewhere
;   ret to one: #GP(0000) +1
; qemu: ret to one: #GP(0000) elsewhere
;   iretq to one: #GP(0000) +b
; qemu: iretq to one: #GP(0000) elsewhere
;   high half, not present: #PF(0000) +0 cr2=ffffffff80000000
;   wrmsr of one to FS base: #GP(0000) +c
; qemu: wrmsr of one to FS base: none
;   jmp to code with L and D: #GP(0048) +7
; qemu: jmp to code with L and D: #30 elsewhere cs=0048
;   retf to code not present: #NP(0050) +7
;   mov ss, null in ring 0: none
;   mov ss, null in ring 3: #GP(0000) +2 cs=002b
;   mov ds, null and its use: none
;   unaligned stack: #BP +5
;   resume_rsp - frame=0000000000000030 ss=00000010
;   ud2 by IST 1: #UD +0
;   frame=00000000001defd8 rsp=00000000001efff8
;   ud2 by a non-canonical IST: #SS(0001) +0
; qemu: ud2 by a non-canonical IST: #SS(0000) +0
;   gate to a non-canonical address: #GP(0000) +0
; qemu: gate to a non-canonical address: #GP(0000) elsewhere
;   task gate: #GP(018a) +0
; qemu: task gate: #GP(0312) +0
;   gate to 32-bit code: #GP(0040) +0
;   ring 3: cli: #GP(0000) +0 cs=002b
;   ring 3: int 30h: #30 +2 cs=002b
;   frame=00000000001dffd8 ss=0000000000000023
;   ring 3: int 21h: #GP(010a) +0 cs=002b
; qemu: ring 3: int 21h: #GP(0212) +0 cs=002b
;   ring 3: hlt: #GP(0000) +0 cs=002b
;   ring 3: mov cr3: #GP(0000) +0 cs=002b
;   ring 3: swapgs: #GP(0000) +0 cs=002b
;   ring 3: sysret: #GP(0000) +0 cs=002b
;   ring 3: unaligned movaps: #GP(0000) +0 cs=002b
;   ring 3: unaligned with AC: #AC(0000) +9 cs=002b
; qemu: ring 3: unaligned with AC: #30 +12 cs=002b
;   SSE division by zero: #XM +0
; qemu: SSE division by zero: none
;   #PF whose handler is not present: #DF(0000) +0
%include "lib64.inc"

%define NOT_CANONICAL 0x0000800000000000

main:
  mov dword [gdt + FIRST_FREE], 0xffff
  mov dword [gdt + FIRST_FREE + 4], 0x00cf9a00 | (0x60 << 16) ; L and D both set
  mov dword [gdt + FIRST_FREE + 8], 0xffff
  mov dword [gdt + FIRST_FREE + 12], 0x00af1a00
  xor edx, edx
  xor ecx, ecx
  TRY "div by zero", div rcx
  TRY "ud2", ud2
  TRY "push es", db 0x06
  TRY "aam", db 0xd4, 10
  TRY "into", db 0xce

  TRY "far call direct", db 0x9a, 0, 0, 0, 0, 0, 0
  TRY "daa", db 0x27
  TRY "pusha", db 0x60
  TRY "82h", db 0x82, 0xc0, 1
  mov rbx, NOT_CANONICAL
  TRY "read at a non-canonical address", mov rax, [rbx]
  TRY "write at one", mov [rbx], rax
  TRY "by rbp", mov rax, [rbp + rbx]
  mov rbp, rbx
  TRY "by rbp as base", mov rax, [rbp]
  TRY "pop to one", pop qword [rbx]
  ; handlers of #SS need a stack of their own
  mov byte [idt + 12 * 16 + 4], 2
  mov byte [idt + 13 * 16 + 4], 2
  TRY "push with such an rsp"
    mov rsi, rsp
    lea rsp, [rbx + 0x100]
    push rax
  DONE
  TRY "pop with such an rsp"
    mov rsi, rsp
    lea rsp, [rbx + 0x100]
    pop rax
  DONE
  TRY "jump to one", jmp rbx
  TRY "call to one", call rbx
  TRY "ret to one"
    push rbx
    ret
  DONE
  TRY "iretq to one"
    mov rax, rsp
    push qword DATA0
    push rax
    push qword 2
    push qword CODE0
    push rbx
    iretq
  DONE
  TRY "high half, not present", mov rax, [0xffffffff80000000]
  TRY "wrmsr of one to FS base"
    mov ecx, 0xc0000100
    mov edx, 0x8000
    xor eax, eax
    wrmsr
  DONE
  mov word [SCRATCH], 0x30cd      ; int 30h
  TRY "jmp to code with L and D"
    push qword FIRST_FREE
    push qword SCRATCH
    db 0x48
    retf
  DONE
  TRY "retf to code not present"
    push qword FIRST_FREE + 8
    push qword SCRATCH
    db 0x48
    retf
  DONE
  TRY "mov ss, null in ring 0"
    xor eax, eax
    mov ss, ax
  DONE
  mov ax, DATA0
  mov ss, ax
  TRY3 "mov ss, null in ring 3", .null_ss
  TRY "mov ds, null and its use"
    xor eax, eax
    mov ds, ax
    mov rax, [SCRATCH]
  DONE
  TRY "unaligned stack"
    sub rsp, 5
    int3
  DONE
  mov rax, [resume_rsp]
  sub rax, [frame]
  SHOW64 "resume_rsp - frame", rax
  mov rax, [saved_ss]
  SHOW "ss", eax
  NEWLINE
  ; interrupt stack table
  mov byte [idt + 6 * 16 + 4], 1
  TRY "ud2 by IST 1", ud2
  SHOW64 "frame", [frame]
  SHOW64 "rsp", [saved_rsp]
  NEWLINE
  mov byte [idt + 6 * 16 + 4], 0
  mov rax, NOT_CANONICAL + 0x1000
  mov [tss + 36], rax
  mov byte [idt + 6 * 16 + 4], 1
  TRY "ud2 by a non-canonical IST", ud2
  mov byte [idt + 6 * 16 + 4], 0
  ; a gate whose offset is not canonical, one of a wrong type, one whose segment is not 64-bit
  mov dword [idt + 0x30 * 16 + 8], 0x8000
  TRY "gate to a non-canonical address", int 0x30
  mov dword [idt + 0x30 * 16 + 8], 0
  mov byte [idt + 0x31 * 16 + 5], 0x85
  TRY "task gate", int 0x31
  mov word [idt + 0x32 * 16 + 2], CODE0_32
  TRY "gate to 32-bit code", int 0x32

  ; ring 3
  TRY3 "ring 3: cli", .cli
  TRY3 "ring 3: int 30h", .int30
  SHOW64 "frame", [frame]
  SHOW64 "ss", [saved_ss]
  NEWLINE
  TRY3 "ring 3: int 21h", .int21
  TRY3 "ring 3: hlt", .hlt
  TRY3 "ring 3: mov cr3", .cr3
  TRY3 "ring 3: swapgs", .swapgs
  TRY3 "ring 3: sysret", .sysret
  TRY3 "ring 3: unaligned movaps", .movaps
  mov rax, cr0
  or eax, 0x40000
  mov cr0, rax
  TRY3 "ring 3: unaligned with AC", .ac
  mov dword [SCRATCH], 0x1d80
  ldmxcsr [SCRATCH]
  movaps xmm0, [.ones]
  TRY "SSE division by zero", divps xmm0, [.zeros]
  ; double fault: the page fault's handler is not there
  mov byte [idt + 14 * 16 + 5], 0x0e
  TRY "#PF whose handler is not present", mov rax, [0xffffffff80000000]
  mov byte [idt + 14 * 16 + 5], 0x8e
  ret

.null_ss:
  xor eax, eax
  mov ss, ax
.cli: cli
.int30: int 0x30
.int21: int 0x21
.hlt: hlt
.cr3: mov rax, cr3
.swapgs: swapgs
.sysret: db 0x48
  sysret
.movaps: movaps xmm0, [abs SCRATCH + 8]
.ac:
  pushfq
  or dword [rsp], 0x40000
  popfq
  mov eax, [abs SCRATCH + 2]
  int 0x30
align 16
.zeros: dd 0, 0, 0, 0
.ones: dd 1.0, 1.0, 1.0, 1.0
END_IMAGE
