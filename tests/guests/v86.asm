; Virtual-8086 mode: entry by IRET, faults and interrupts back to protected mode, IOPL, software interrupts,
; the frame with its segment registers. Intel SDM volume 3, chapter 21 (20 in older editions).
; QEMU's TCG checks no segment limits and does not set RF in the frame of a fault.
; expect:
;   hlt: #GP(0000) +0 cs=2000
;   esp=00008000 ss=00002000 es=00003000 ds=00002000 fs=00005000 gs=00004000 flags=00030002
; qemu: esp=00008000 ss=00002000 es=00003000 ds=00002000 fs=00005000 gs=00004000 flags=00020002
;   ds in the handler=00000000
;   int 30h, IOPL 0: #GP(0000) +0 cs=2000
;   int 30h, IOPL 3: #30 +2 cs=2000
;   int 20h, gate of ring 0, IOPL 3: #GP(0102) +0 cs=2000
;   int3, IOPL 0: #BP +1 cs=2000
;   into, IOPL 0: #OF +1 cs=2000
;   cli, IOPL 0: #GP(0000) +0 cs=2000
;   cli, IOPL 3: #30 +3 cs=2000
;   flags=00023002
;   pushf, IOPL 0: #GP(0000) +0 cs=2000
;   pushf, popf, IOPL 3: #30 +c cs=2000
;   flags=00023043
;   iret, IOPL 0: #GP(0000) +15 cs=2000
;   iret, IOPL 3: #30 +18 cs=2000
;   flags=00023ed7
;   in, no permission: #GP(0000) +0 cs=2000
;   mov ds and memory: #30 +16 cs=2000
;   eax=0000f00d at 43214h=cafef00d
;   offset beyond the limit: #GP(0000) +0 cs=2000
; qemu: offset beyond the limit: #30 +2 cs=2001
;   stack beyond the limit: #SS(0000) +3 cs=2000
; qemu: stack beyond the limit: #30 -5 cs=2001
;   far jump: #30 -9 cs=2001
;   cs=00002001
;   mov cr0: #GP(0000) +0 cs=2000
;   lgdt: #GP(0000) +0 cs=2000
;   lar: #UD +0 cs=2000
;   sldt: #UD +0 cs=2000
;   arpl: #UD +0 cs=2000
;   lock without memory: #UD +0 cs=2000
;   div by zero: #DE +2 cs=2000
;   gate to conforming code: #GP(0038) +0 cs=2000
%include "lib32.inc"

%define V86 0x20000            ; where the 8086 code runs: segment 2000h

; TRYV "name", label in the 8086 code, EFLAGS
%macro TRYV 3
  mov dword [vector], -1
  mov dword [resume], %%after
  mov dword [origin], (%2) - v86_code
  mov [resume_esp], esp
  push dword 0x4000            ; GS FS DS ES
  push dword 0x5000
  push dword 0x2000
  push dword 0x3000
  push dword 0x2000            ; SS ESP
  push dword 0x8000
  push dword (%3) | 0x20002
  push dword 0x2000            ; CS EIP
  push dword (%2) - v86_code
  iretd
%%after:
  PRINT %1, ": "
  call report
%endmacro

main:
  mov esi, v86_code
  mov edi, V86
  mov ecx, v86_end - v86_code
  rep movsb
  ; real-mode vectors for software interrupts are not used: all go to the IDT
  TRYV "hlt", v86_code.hlt, 0
  mov ebx, [frame]
  SHOW "esp", [saved_esp]
  SHOW "ss", [saved_ss]
  SHOW "es", [ebx + 20]
  SHOW "ds", [ebx + 24]
  SHOW "fs", [ebx + 28]
  SHOW "gs", [ebx + 32]
  SHOW "flags", [saved_flags]
  NEWLINE
  ; inside the handler the data segments are null
  SHOW "ds in the handler", [saved_ds]
  NEWLINE
  TRYV "int 30h, IOPL 0", v86_code.int30, 0
  TRYV "int 30h, IOPL 3", v86_code.int30, 0x3000
  TRYV "int 20h, gate of ring 0, IOPL 3", v86_code.int20, 0x3000
  TRYV "int3, IOPL 0", v86_code.int3, 0
  TRYV "into, IOPL 0", v86_code.into, 0x800
  TRYV "cli, IOPL 0", v86_code.cli, 0
  TRYV "cli, IOPL 3", v86_code.cli, 0x3200
  SHOW "flags", [saved_flags]
  NEWLINE
  TRYV "pushf, IOPL 0", v86_code.pushf, 0
  TRYV "pushf, popf, IOPL 3", v86_code.pushf, 0x3200
  SHOW "flags", [saved_flags]
  NEWLINE
  TRYV "iret, IOPL 0", v86_code.iret, 0
  TRYV "iret, IOPL 3", v86_code.iret, 0x3000
  SHOW "flags", [saved_flags]
  NEWLINE
  TRYV "in, no permission", v86_code.in, 0x3000
  TRYV "mov ds and memory", v86_code.segments, 0x3000
  SHOW "eax", [saved_eax]
  SHOW "at 43214h", [0x43214]
  NEWLINE
  TRYV "offset beyond the limit", v86_code.limit, 0x3000
  TRYV "stack beyond the limit", v86_code.stack, 0x3000
  TRYV "far jump", v86_code.far, 0x3000
  SHOW "cs", [saved_cs]
  NEWLINE
  TRYV "mov cr0", v86_code.cr0, 0x3000
  TRYV "lgdt", v86_code.lgdt, 0x3000
  TRYV "lar", v86_code.lar, 0x3000
  TRYV "sldt", v86_code.sldt, 0x3000
  TRYV "arpl", v86_code.arpl, 0x3000
  TRYV "lock without memory", v86_code.lock, 0x3000
  TRYV "div by zero", v86_code.div, 0x3000
  ; the handler must be in ring 0
  mov dword [gdt + FIRST_FREE], 0xffff
  mov dword [gdt + FIRST_FREE + 4], 0x00cf9e00
  mov word [idt + 0x31 * 8 + 2], FIRST_FREE
  TRYV "gate to conforming code", v86_code.int31, 0x3000
  ret

bits 16
v86_code:
.hlt: hlt
.int30: int 0x30
.int31: int 0x31
.int20: int 0x20
.int3: int3
.into: into
.cli: cli
  int 0x30
.pushf: pushf
  pop ax
  or ax, 0x0041
  and ax, 0xfdff
  push ax
  popf
  int 0x30
.iret:
  mov word [0x7000], .iret_target - v86_code
  mov word [0x7002], 0x2000
  mov word [0x7004], 0x0ed7
  mov sp, 0x7000
  iret
.iret_target: int 0x30
.in: in al, 0x80
.segments:
  xor eax, eax
  mov ax, 0x4321
  mov ds, ax
  mov dword [4], 0xcafef00d
  mov ax, [4]
  int 0x30
.limit: mov eax, [dword 0x10000]
.stack:
  mov sp, 1
  push ax
.far: jmp 0x2001:(.far_target - v86_code - 0x10)
.far_target: int 0x30
.cr0: mov eax, cr0
.lgdt: lgdt [0]
.lar: lar ax, bx
.sldt: sldt ax
.arpl: arpl ax, bx
.lock: db 0xf0, 0x01, 0xc0
.div: xor cx, cx
  div cx
v86_end:
bits 32
END_IMAGE
