; SYSENTER and SYSEXIT in protected mode, SYSCALL and SYSRET there (AMD), and where they are refused.
; Intel SDM volume 2 (SYSENTER, SYSEXIT), AMD64 Architecture Programmer's Manual volume 3 (SYSCALL, SYSRET).
; expect:
;   sysenter with SYSENTER_CS 0: #GP(0000) +10 cs=001b
;   sysenter and sysexit: #30 +14 cs=001b
;   cs=00000008 ss=00000010 esp=001c0000 flags=00000043
;   ss after=00000023 esp=001cffe0 flags=00000043
;   sysexit in ring 3: #GP(0000) +0 cs=001b
;   sysexit with SYSENTER_CS 0: #GP(0000) +0
;   syscall without EFER.SCE: #UD +0 cs=001b
;   syscall and sysret: #30 +4 cs=001b
;   cs=00000008 ss=00000010 flags=00000002
;   ecx=00000002 ss after=00000023 flags=00000202
;   sysret in ring 3: #GP(0000) +0 cs=001b
%include "lib32.inc"

%macro WRMSR 3 ; register, high, low
  mov ecx, %1
  mov eax, %3
  mov edx, %2
  wrmsr
%endmacro

main:
  TRY3 "sysenter with SYSENTER_CS 0", .sysenter
  WRMSR 0x174, 0, CODE0
  WRMSR 0x175, 0, 0x1c0000
  WRMSR 0x176, 0, .entered
  TRY3 "sysenter and sysexit", .sysenter
  SHOW "cs", [.cs]
  SHOW "ss", [.ss]
  SHOW "esp", [.esp]
  SHOW "flags", [.flags]
  NEWLINE
  SHOW "ss after", [saved_ss]
  SHOW "esp", [saved_esp]
  SHOW "flags", [saved_flags]
  NEWLINE
  TRY3 "sysexit in ring 3", .sysexit
  WRMSR 0x174, 0, 0
  TRY "sysexit with SYSENTER_CS 0", sysexit
  ; SYSCALL
  TRY3 "syscall without EFER.SCE", .syscall
  mov ecx, 0xc0000080
  rdmsr
  or eax, 1
  wrmsr
  ; STAR: target EIP, CS and SS of SYSCALL from 8, of SYSRET from 18h
  WRMSR 0xc0000081, 0x001b0008, .called
  TRY3 "syscall and sysret", .syscall
  SHOW "cs", [.cs]
  SHOW "ss", [.ss]
  SHOW "flags", [.flags]
  NEWLINE
  mov eax, [.ecx]
  sub eax, .syscall
  SHOW "ecx", eax
  SHOW "ss after", [saved_ss]
  SHOW "flags", [saved_flags]
  NEWLINE
  TRY3 "sysret in ring 3", .sysret
  ret

.sysenter:
  mov edx, .back
  mov ecx, STACK3 - 32
  pushfd
  or dword [esp], 0x41
  popfd
  sysenter
.back:
  int 0x30
.entered:
  mov [.esp], esp
  mov [.cs], cs
  mov [.ss], ss
  pushfd
  pop dword [.flags]
  sysexit
.sysexit: sysexit
.sysret: sysret
.syscall:
  syscall
  int 0x30
.called:
  mov [.ecx], ecx
  mov [.cs], cs
  mov [.ss], ss
  mov esp, 0x1b0000
  pushfd
  pop dword [.flags]
  mov esp, STACK3
  sysret
align 4
.cs dd 0
.ss dd 0
.esp dd 0
.flags dd 0
.ecx dd 0
END_IMAGE
