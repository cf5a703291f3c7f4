; SYSCALL and SYSRET, SWAPGS, compatibility mode, far transfers between 64- and 32-bit code.
; AMD64 Architecture Programmer's Manual volume 2,
; section 6.1, volume 3 (SYSCALL, SYSRET, SYSENTER, SWAPGS): the CPU offered calls itself an AMD.
; QEMU's TCG loses the arithmetic flags in SYSCALL and has SYSENTER in compatibility mode.
; expect:
;   syscall and sysret: #30 +d cs=002b
;   rcx - start=000000000000000b r11=0000000000000046 flags=0000000000000006 cs=00000008 ss=00000010
; qemu: rcx - start=000000000000000b r11=0000000000000046 flags=0000000000000002 cs=00000008 ss=00000010
;   flags after=0000000000000046 ss=0000000000000023
;   sysret to 32-bit code: #30 +d cs=001b
;   ss=0000000000000023
;   sysret to a non-canonical address: #GP(0000) elsewhere cs=002b
;   syscall in ring 3 without EFER.SCE: #UD +0 cs=002b
;   after swapgs: gs base=00002222 kernel gs base=00001111
;   sysenter: #UD +0 cs=002b
;   sysenter in compatibility mode: #UD +0 cs=001b
; qemu: sysenter in compatibility mode: #30 -2d
;   sysexit: #UD +0
;   syscall in compatibility mode: #30 -33
;   cs=00000008 ss=00000010 rcx=0000000000000000
;   32-bit code in ring 3: #30 +8 cs=001b
;   rax=0000000012345678 rsp=00000000001d0000
;   fault in it: #PF(0004) +6 cs=001b cr2=0000000080000000
;   push in it: #30 +e cs=001b
;   rsp=00000000001cfffc pushed=5566778811223344
;   far jump to 64-bit code: #30 +23 cs=002b
;   rbx=1122334455667788
;   rex is inc: #30 +5 cs=001b
;   eax=ffffffff
;   far call to 32-bit code: none
;   eax=00007654
;   call gate from 64-bit code: #30 +9 cs=002b
;   rsp inside=00000000001dffe0 ss inside=00000000
;   call gate to 32-bit code: #GP(0040) +0 cs=002b
;   call gate with a type in its upper half: #GP(0048) +0 cs=002b
%include "lib64.inc"

%define STAR 0xc0000081
%define LSTAR 0xc0000082
%define CSTAR 0xc0000083
%define SFMASK 0xc0000084

main:
  WRMSR STAR, 0x0018000800000000     ; SYSRET: 18h + 3, SYSCALL: 8
  WRMSR LSTAR, .syscall_target
  WRMSR CSTAR, .compat_target
  WRMSR SFMASK, 0x241
  TRY3 "syscall and sysret", .do_syscall
  mov rax, [abs .in_rcx]
  sub rax, .do_syscall
  SHOW64 "rcx - start", rax
  SHOW64 "r11", [abs .in_r11]
  SHOW64 "flags", [abs .in_flags]
  SHOW "cs", [abs .in_cs]
  SHOW "ss", [abs .in_ss]
  NEWLINE
  SHOW64 "flags after", [saved_flags]
  SHOW64 "ss", [saved_ss]
  NEWLINE
  ; SYSRET to compatibility mode
  mov byte [abs .compat_return], 1
  TRY3 "sysret to 32-bit code", .do_syscall
  SHOW64 "ss", [saved_ss]
  NEWLINE
  mov byte [abs .compat_return], 0
  TRY "sysret to a non-canonical address"
    mov rcx, 0x0000800000000000
    mov r11, 2
    db 0x48
    sysret
  DONE
  WRMSR 0xc0000080, 0xd00
  TRY3 "syscall in ring 3 without EFER.SCE", .no_sce
  WRMSR 0xc0000080, 0xd01
  ; SWAPGS
  WRMSR 0xc0000101, 0x1111
  WRMSR 0xc0000102, 0x2222
  swapgs
  mov ecx, 0xc0000101
  rdmsr
  mov ebx, eax
  mov ecx, 0xc0000102
  rdmsr
  swapgs
  SHOW "after swapgs: gs base", ebx
  SHOW "kernel gs base", eax
  NEWLINE
  ; AMD processors have no SYSENTER in long mode
  WRMSR 0x174, 0x08
  WRMSR 0x175, 0x1c0000
  WRMSR 0x176, .int30
  TRY3 "sysenter", .do_sysenter
  TRY3 "sysenter in compatibility mode", .do_sysenter32, CODE3_32
  TRY "sysexit", sysexit
  TRY3 "syscall in compatibility mode", .compat_syscall, CODE3_32
  SHOW "cs", [abs .in_cs]
  SHOW "ss", [abs .in_ss]
  SHOW64 "rcx", [abs .in_rcx]
  NEWLINE
  ; compatibility mode
  TRY3 "32-bit code in ring 3", .compat, CODE3_32
  SHOW64 "rax", [saved_rax]
  SHOW64 "rsp", [saved_rsp]
  NEWLINE
  TRY3 "fault in it", .compat_fault, CODE3_32
  TRY3 "push in it", .compat_push, CODE3_32
  SHOW64 "rsp", [saved_rsp]
  SHOW64 "pushed", [abs STACK3 - 8]
  NEWLINE
  TRY3 "far jump to 64-bit code", .compat_to_64, CODE3_32
  SHOW64 "rbx", rbx
  NEWLINE
  TRY3 "rex is inc", .compat_inc, CODE3_32
  SHOW "eax", [saved_rax]
  NEWLINE
  ; far calls from 64-bit code to 32-bit code and back, in ring 0
  TRY "far call to 32-bit code", call far dword [abs .pointer]
  SHOW "eax", [abs .compat_value]
  NEWLINE
  ; call gate: 64-bit, two descriptors
  mov rax, .gate_target
  mov [abs gdt + FIRST_FREE], ax
  mov word [abs gdt + FIRST_FREE + 2], CODE0
  mov word [abs gdt + FIRST_FREE + 4], 0xec00
  shr rax, 16
  mov [abs gdt + FIRST_FREE + 6], ax
  mov qword [abs gdt + FIRST_FREE + 8], 0
  TRY3 "call gate from 64-bit code", .call_gate
  SHOW64 "rsp inside", [abs .in_rsp]
  SHOW "ss inside", [abs .in_ss]
  NEWLINE
  mov word [abs gdt + FIRST_FREE + 2], CODE0_32
  TRY3 "call gate to 32-bit code", .call_gate
  mov word [abs gdt + FIRST_FREE + 2], CODE0
  mov dword [abs gdt + FIRST_FREE + 12], 0x0100
  TRY3 "call gate with a type in its upper half", .call_gate
  ret

.do_syscall:
  mov rbx, 0x246
  push rbx
  popfq
  xor ebx, ebx
  syscall
  int 0x30
.no_sce:
  syscall
  int 0x30
.syscall_target:
  mov [abs .in_rcx], rcx
  mov [abs .in_r11], r11
  mov rsi, rsp
  mov rsp, 0x1b0000
  pushfq
  pop qword [abs .in_flags]
  mov rsp, rsi
  mov [abs .in_cs], cs
  mov [abs .in_ss], ss
  cmp byte [abs .compat_return], 0
  je .long_return
  sysret
.long_return:
  db 0x48
  sysret
.compat_target:
  sub rcx, .after_compat_syscall
  mov [abs .in_rcx], rcx
  mov [abs .in_cs], cs
  mov [abs .in_ss], ss
  int 0x30
.do_sysenter: sysenter
.int30: int 0x30
.call_gate:
  db 0xff, 0x1c, 0x25            ; call far [.gate_pointer]
  dd .gate_pointer
  int 0x30
.gate_target:
  mov [abs .in_rsp], rsp
  mov [abs .in_ss], ss
  db 0x48
  retf
align 8
.gate_pointer:
  dd 0
  dw FIRST_FREE + 3
.pointer:
  dd .compat_routine
  dw CODE0_32
bits 32
.do_sysenter32: sysenter
.compat_syscall:
  syscall
.after_compat_syscall:
.compat:
  mov eax, 0x12345678
  nop
  int 0x30
.compat_fault:
  mov ax, DATA3
  mov ds, ax
  mov eax, [0x80000000]
.compat_push:
  mov eax, 0x11223344
  push 0x55667788
  push eax
  pop eax
  int 0x30
.compat_to_64:
  jmp CODE3:.in_64
.compat_inc:
  xor eax, eax
  db 0x48                        ; dec eax
  int 0x30
.compat_routine:
  mov dword [.compat_value], 0x7654
  retf
bits 64
.in_64:
  mov rbx, 0x1122334455667788
  int 0x30
align 8
.in_rcx dq 0
.in_r11 dq 0
.in_flags dq 0
.in_rsp dq 0
.in_cs dd 0
.in_ss dd 0
.compat_value dd 0
.compat_return db 0
END_IMAGE
