; Breakpoints of the debug registers: instructions, data of all lengths, ports, RF, general detect.
; Intel SDM volume 3, sections 17.2 and 17.3.
; QEMU's TCG reports one of several breakpoints of an access, does not know general detect, and takes a breakpoint that comes with a single
; step an instruction late.
; expect:
;   instruction: #DB +5
;   DR6=00000001
;   instruction, jumped to: #DB +3
;   DR6=00000008
;   instruction, with RF: none
;   DR6=00000000
;   instruction, twice, the first time with RF: #DB +1e
;   ecx=00000001 DR6=00000002
;   not enabled: none
;   DR6=00000000
;   write: #DB +6
;   DR6=00000001
;   write: a read: none
;   DR6=00000000
;   access: a read: #DB +2
;   DR6=00000004
;   access: read-modify-write: #DB +3
;   DR6=00000004
;   write: its last byte: #DB +4
;   DR6=00000004
;   write: beside it: none
;   DR6=00000000
;   write: eight bytes over one: #DB +4
;   DR6=00000004
;   write: eight bytes: #DB +4
;   DR6=00000008
;   write: two bytes: #DB +8
;   DR6=00000008
;   write: locked: #DB +4
;   DR6=00000008
;   write: 16 bytes: #DB +4
;   DR6=00000008
;   push: #DB +5
;   DR6=00000001
;   rep stosb: #DB +5
;   rcx=00000003 DR6=00000002
;   lodsb: #DB +5
;   DR6=00000002
;   two breakpoints: #DB +6
;   DR6=00000003
; qemu: DR6=00000001
;   with a single step: #DB +f
; qemu: with a single step: #DB elsewhere
;   DR6=00004001
;   port: #DB +2
;   DR6=00000004
;   another port: none
;   DR6=00000000
;   general detect: #DB +1
; qemu: general detect: none
;   DR7=00000400 DR6=00002000
; qemu: DR7=00002400 DR6=00000000
;   write in ring 3: #DB +b cs=002b
;   DR6=00000001
;   instruction in ring 3: #DB +0 cs=002b
;   DR6=00000001
%include "lib64.inc"

%define VAR SCRATCH + 0x100
; DR7: breakpoint n of a kind (0 instruction, 1 write, 2 port, 3 access) and a length (0: 1, 1: 2, 2: 8, 3: 4 bytes), enabled locally
%define ON(n, kind, length) ((1 << (2 * (n))) | ((kind) << (16 + 4 * (n))) | ((length) << (18 + 4 * (n))))

; arms: BREAK n, address, DR7
%macro BREAK 3
  mov rax, %2
  mov dr%1, rax
  mov rax, %3
  mov dr7, rax
%endmacro
; what DR6 says, and off with everything
%macro DR6 0
  mov rax, dr6
  mov rbx, rax
  xor eax, eax
  mov dr7, rax
  mov eax, 0xffff0ff0
  mov dr6, rax
  and ebx, 0xe00f
  SHOW "DR6", ebx
  NEWLINE
%endmacro

main:
  mov eax, 0xffff0ff0
  mov dr6, rax
  mov rdi, VAR
  ; instructions
  BREAK 0, .there, ON(0, 0, 0)
  TRY "instruction"
    mov eax, 1
.there:
    nop
  DONE
  DR6
  BREAK 3, .jumped, ON(3, 0, 0)
  TRY "instruction, jumped to"
    jmp .jumped
    nop
.jumped:
    mov eax, 2
  DONE
  DR6
  BREAK 1, .behind, ON(1, 0, 0)
  TRY "instruction, with RF"
    push qword DATA0
    push rsp
    add qword [rsp], 8
    pushfq
    or dword [rsp], 0x10000
    push qword CODE0
    push qword .behind
    iretq
.behind:
    mov eax, 3
  DONE
  DR6
  BREAK 1, .again, ON(1, 0, 0)
  TRY "instruction, twice, the first time with RF"
    mov ecx, 2
    push qword DATA0
    push rsp
    add qword [rsp], 8
    pushfq
    or dword [rsp], 0x10000
    push qword CODE0
    push qword .again
    iretq
.again:
    dec ecx
    jnz .again
  DONE
  SHOW "ecx", ecx
  DR6
  BREAK 1, .not, 0
  TRY "not enabled"
.not:
    mov eax, 3
  DONE
  DR6
  ; data
  BREAK 0, VAR, ON(0, 1, 3)
  TRY "write"
    mov dword [rdi], 5
    nop
  DONE
  DR6
  BREAK 0, VAR, ON(0, 1, 3)
  TRY "write: a read"
    mov eax, [rdi]
  DONE
  DR6
  BREAK 2, VAR, ON(2, 3, 3)
  TRY "access: a read"
    mov eax, [rdi]
    nop
  DONE
  DR6
  BREAK 2, VAR, ON(2, 3, 3)
  TRY "access: read-modify-write"
    add dword [rdi], 1
    nop
  DONE
  DR6
  BREAK 2, VAR, ON(2, 1, 3)
  TRY "write: its last byte"
    mov byte [rdi + 3], 1
    nop
  DONE
  DR6
  BREAK 2, VAR, ON(2, 1, 3)
  TRY "write: beside it"
    mov dword [rdi + 4], 1
    mov dword [rdi - 4], 1
  DONE
  DR6
  BREAK 2, VAR, ON(2, 1, 0)
  TRY "write: eight bytes over one"
    mov [rdi - 7], rax
    nop
  DONE
  DR6
  BREAK 3, VAR, ON(3, 1, 2)
  TRY "write: eight bytes"
    mov byte [rdi + 7], 1
    nop
  DONE
  DR6
  BREAK 3, VAR, ON(3, 1, 1)
  TRY "write: two bytes"
    mov byte [rdi + 2], 1
    mov byte [rdi + 1], 1
    nop
  DONE
  DR6
  BREAK 3, VAR, ON(3, 1, 2)
  TRY "write: locked"
    lock xadd [rdi], eax
    nop
  DONE
  DR6
  BREAK 3, VAR, ON(3, 1, 2)
  TRY "write: 16 bytes"
    movups [rdi - 8], xmm0
    nop
  DONE
  DR6
  mov rsi, rsp
  BREAK 0, VAR + 8, ON(0, 1, 2)
  TRY "push"
    lea rsp, [rdi + 16]
    push rax
    nop
  DONE
  mov rsp, rsi
  DR6
  BREAK 1, VAR + 4, ON(1, 1, 0)
  TRY "rep stosb"
    mov ecx, 8
    rep stosb
    nop
  DONE
  SHOW "rcx", ecx
  mov rdi, VAR
  DR6
  BREAK 1, VAR + 2, ON(1, 3, 0)
  TRY "lodsb"
    lea rsi, [rdi + 2]
    lodsb
    nop
  DONE
  DR6
  ; two at once, and a single step
  mov rax, VAR + 2
  mov dr1, rax
  BREAK 0, VAR, ON(0, 1, 3) | ON(1, 3, 0)
  TRY "two breakpoints"
    mov dword [rdi], 5
    nop
  DONE
  DR6
  BREAK 0, VAR, ON(0, 1, 3)
  TRY "with a single step"
    pushfq
    or dword [rsp], 0x100
    popfq
    mov dword [rdi], 5
    nop
  DONE
  DR6
  ; ports
  mov rax, cr4
  or eax, 8
  mov cr4, rax
  BREAK 2, 0x80, ON(2, 2, 0)
  TRY "port"
    out 0x80, al
    nop
  DONE
  DR6
  BREAK 2, 0x80, ON(2, 2, 0)
  TRY "another port"
    out 0xed, al
  DONE
  DR6
  ; general detect: any access to a debug register, which the exception switches off
  BREAK 2, 0x80, 0x2000
  TRY "general detect"
    nop
    mov rax, dr0
  DONE
  mov rax, dr7
  SHOW "DR7", eax
  DR6
  ; ring 3
  BREAK 0, VAR, ON(0, 1, 3)
  TRY3 "write in ring 3", .write3
  DR6
  BREAK 0, .write3, ON(0, 0, 0)
  TRY3 "instruction in ring 3", .write3
  DR6
  ret
.write3:
  mov dword [abs VAR], 5
  int 0x30
END_IMAGE
