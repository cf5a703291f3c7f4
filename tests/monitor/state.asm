; A guest that brings all that the monitor shows into a known state, whoever started it, and stays there: registers, page tables with
; pages of every kind, interrupt controllers. MODE: 32 (32-bit paging with 4 MiB pages), 36 (PAE), 64. At MARKER it says that it is done.

%include "elf.inc"

%define MARKER 0x7000
%define TOP TABLES
%define SECOND (TABLES + 0x1000)
%define THIRD (TABLES + 0x2000)
%define FOURTH (TABLES + 0x3000)
%define HIGH_SECOND (TABLES + 0x4000)
%define HIGH_THIRD (TABLES + 0x5000)

%macro OUTB 2
  mov al, %2
  out %1, al
%endmacro
; a register of the local APIC or the I/O APIC
%macro LAPIC 2
  mov dword [0xfee00000 + %1], %2
%endmacro
%macro IOAPIC 2
  mov dword [0xfec00000], %1
  mov dword [0xfec00010], %2
%endmacro

start:
  cli
  cld
  mov esp, STACK0
  ; the serial port is silent; the timer keeps on, and is masked
  mov dx, 0x3f9
  OUTB dx, 0
  mov dx, 0x4d0
  OUTB dx, 0
  inc dx
  OUTB dx, 0x0c
  OUTB 0x20, 0x11
  OUTB 0x21, 0x20
  OUTB 0x21, 4
  OUTB 0x21, 0x11
  OUTB 0x21, 0xeb
  OUTB 0x20, 0x0b
  OUTB 0x20, 0xc3
  OUTB 0xa0, 0x11
  OUTB 0xa1, 0x28
  OUTB 0xa1, 2
  OUTB 0xa1, 1
  OUTB 0xa1, 0x7f
  LAPIC 0x0f0, 0x1ef
  LAPIC 0x080, 0x20
  LAPIC 0x0d0, 0x05000000
  LAPIC 0x0e0, 0xffffffff
  LAPIC 0x320, 0x2003f
  LAPIC 0x330, 0x10000
  LAPIC 0x340, 0x10400
  LAPIC 0x350, 0x18700
  LAPIC 0x360, 0x12400
  LAPIC 0x370, 0x100fe
  LAPIC 0x3e0, 0xb
  LAPIC 0x380, 0
  ; interrupts to itself: two wait, below the task priority
  LAPIC 0x310, 0
  LAPIC 0x300, 0x44015
  LAPIC 0x310, 0x02000000
  LAPIC 0x300, 0x04819
  ; an error: no such register
  mov dword [0xfee003f0], 0
  LAPIC 0x280, 0
  IOAPIC 0x10, 0x10000
  IOAPIC 0x1a, 0x00939
  IOAPIC 0x1b, 0x03000000
  IOAPIC 0x22, 0x1a941
  IOAPIC 0x23, 0x01000000
  IOAPIC 0x26, 0x1e742
  IOAPIC 0x3e, 0x1ffff
  mov dword [0xfec00000], 0x23

  mov edi, TABLES
  mov ecx, 0x6000 / 4
  xor eax, eax
  rep stosd
%if MODE == 32
  mov dword [TOP], 0x000083             ; 0: 4 MiB, supervisor, writable
  mov dword [TOP + 4], SECOND + 7       ; 4 MiB: pages
  mov dword [TOP + 8], 0x8001e7         ; 8 MiB: 4 MiB, global, user, accessed, dirty
  mov dword [TOP + 12], SECOND + 1      ; the same pages, read only
  mov dword [TOP + 0xffc], 0x00c00085   ; the last: user, read only
  mov dword [SECOND], 0x400003
  mov dword [SECOND + 4], 0x401007
  mov dword [SECOND + 8], 0x402005
  mov dword [SECOND + 16], 0x40401f     ; PCD, PWT
  mov dword [SECOND + 20], 0x405183     ; PAT, G
  mov dword [SECOND + 0xffc], 0x7ff161
  mov eax, 0x690                        ; PSE, PGE, OSFXSR, OSXMMEXCPT
%elif MODE == 36
  mov dword [TOP], SECOND + 1
  mov dword [TOP + 24], HIGH_SECOND + 1
  mov dword [SECOND], 0x000083          ; 0: 2 MiB
  mov dword [SECOND + 8], 0x2000e3
  mov dword [SECOND + 16], THIRD + 7
  mov dword [SECOND + 24], 0x6001e7
  mov dword [SECOND + 28], 0x80000000   ; not executable
  mov dword [THIRD], 0x400003
  mov dword [THIRD + 8], 0x401007
  mov dword [THIRD + 12], 0x80000000
  mov dword [THIRD + 16], 0x402005
  mov dword [THIRD + 0xff8], 0x5ff19f
  mov dword [HIGH_SECOND + 0xff8], 0xe00085
  mov eax, 0x6b0                        ; PSE, PAE, PGE, OSFXSR, OSXMMEXCPT
%else
  mov dword [TOP], SECOND + 7
  mov dword [TOP + 0xff8], HIGH_SECOND + 3
  mov dword [TOP + 0x800], SECOND + 5   ; the same again at half of the address space: canonical
  mov dword [SECOND], THIRD + 7
  mov dword [THIRD], 0x000083
  mov dword [THIRD + 8], 0x2000e3
  mov dword [THIRD + 16], FOURTH + 7
  mov dword [THIRD + 24], 0x6001e7
  mov dword [THIRD + 28], 0x80000000
  mov dword [FOURTH], 0x400003
  mov dword [FOURTH + 8], 0x401007
  mov dword [FOURTH + 12], 0x80000000
  mov dword [FOURTH + 16], 0x402005
  mov dword [FOURTH + 0xff8], 0x5ff19f
  mov dword [HIGH_SECOND + 0xff0], HIGH_THIRD + 3
  mov dword [HIGH_THIRD], 0x0001e3
  mov dword [HIGH_THIRD + 8], 0x2001e3
  mov eax, 0x6b0
%endif
  mov cr4, eax
  mov eax, TOP
  mov cr3, eax
  xor eax, eax
  mov cr2, eax
%if MODE != 32
  mov ecx, 0xc0000080
  rdmsr
%if MODE == 36
  or eax, 0x800                         ; NXE
%else
  or eax, 0x901                         ; SCE, LME, NXE
%endif
  wrmsr
%endif
  mov eax, 0x80010033                   ; PG, WP, NE, ET, MP, PE
  mov cr0, eax
  lgdt [gdtr]
  lidt [idtr]
  jmp 8:.flat
%if MODE == 64
bits 64
%endif
.flat:
  mov ax, 16
  mov ds, ax
  mov ss, ax
  mov fs, ax
  mov ax, 24
  mov es, ax
  xor eax, eax
  mov gs, ax
  fninit
  fldpi
  fld1
  mov eax, 0x1f80
  mov [MARKER + 8], eax
  ldmxcsr [MARKER + 8]
  mov eax, 0x11223344
  movd xmm0, eax
  pshufd xmm7, xmm0, 0
  xor eax, eax
%if MODE == 64
  mov dr0, rax
  mov dr6, rax
%else
  mov dr0, eax
  mov dr6, eax
%endif
  mov dword [MARKER + 4], 0x04030201
  mov dword [MARKER], 0x600dcafe
  mov eax, 0x80000001
  mov ebx, 0x22222222
  mov ecx, 0x33333333
  mov edx, 0x44444444
  mov esi, 0x55555555
  mov edi, 0x66666666
  mov ebp, 0x77777777
%if MODE == 64
  mov r8, 0x8888888888888888
  mov r9, -9
  mov r10d, 10
  mov r11d, 11
  mov r12d, 12
  mov r13d, 13
  mov r14d, 14
  mov r15, 0xffffffff80000000
%endif
  add eax, eax
  jmp $
bits 32

align 8
gdt:
  dq 0
%if MODE == 64
  DESCRIPTOR 0, 0xfffff, 0x9b, 0xa
%else
  DESCRIPTOR 0, 0xfffff, 0x9b, 0xc
%endif
  DESCRIPTOR 0, 0xfffff, 0x93, 0xc
  DESCRIPTOR 0x12340, 0x7ff, 0xf3, 0x4
gdtr:
  dw gdtr - gdt - 1
  dd gdt
  dd 0
idtr:
  dw 0x1ff
  dd 0x5000
  dd 0
END_IMAGE
