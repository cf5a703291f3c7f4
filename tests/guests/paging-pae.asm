; PAE paging: NX, reserved bits, the four page-directory-pointer entries, 2 MiB pages.
; Intel SDM volume 3, section 4.4.
; QEMU's TCG leaves bit 0 of the error code clear with bit 3, and reads directory pointers from memory at each walk, unchecked.
; expect:
;   read, not present: #PF(0000) +0 cr2=40000000
;   read, no directory: #PF(0000) +0 cr2=80000000
;   call: none
;   read with NX: none
;   call with NX: #PF(0011) elsewhere cr2=40000000
;   ring 3 fetches with NX: #PF(0015) +0 cs=001b cr2=40000000
;   fetch, not present: #PF(0010) elsewhere cr2=40001000
;   ring 3 fetches, not present: #PF(0014) +0 cs=001b cr2=40001000
;   PTE=00300027 high=80000000
;   reserved bit 51: #PF(0009) +0 cr2=40000000
; qemu: reserved bit 51: #PF(0008) +0 cr2=40000000
;   reserved bit 52: #PF(0009) +0 cr2=40000000
; qemu: reserved bit 52: #PF(0008) +0 cr2=40000000
;   write with reserved bit 52: #PF(000b) +0 cr2=40000000
; qemu: write with reserved bit 52: #PF(000a) +0 cr2=40000000
;   ring 3 with reserved bit 52: #PF(001d) +0 cs=001b cr2=40000000
; qemu: ring 3 with reserved bit 52: #PF(001c) +0 cs=001b cr2=40000000
;   2 MiB page with reserved bit 13: #PF(0009) +0 cr2=40200000
; qemu: 2 MiB page with reserved bit 13: #PF(0008) +0 cr2=40200000
;   2 MiB page with NX: #PF(0011) elsewhere cr2=40208000
;   read of it: none
;   PDE=000000a7
;   bit 63 without EFER.NXE: #PF(0009) +0 cr2=40000000
; qemu: bit 63 without EFER.NXE: #PF(0008) +0 cr2=40000000
;   fetch, not present, without EFER.NXE: #PF(0000) elsewhere cr2=40001000
;   pointer cleared in memory only: none
; qemu: pointer cleared in memory only: #PF(0000) +0 cr2=40000000
;   after MOV CR3: #PF(0000) +0 cr2=40000000
;   MOV CR3 with a reserved bit in a pointer: #GP(0000) +3
; qemu: MOV CR3 with a reserved bit in a pointer: none
;   MOV CR3: none
%include "lib32.inc"

%define PDPT TABLES
%define PD (TABLES + 0x1000)     ; of the first GiB
%define PD1 (TABLES + 0x2000)    ; of the second
%define PT (TABLES + 0x3000)
%define V 0x40000000
%define P SCRATCH

%macro PAGE 3 ; page, low, high
  mov dword [PT + (%1) * 8], %2
  mov dword [PT + (%1) * 8 + 4], %3
  invlpg [V + (%1) * 0x1000]
%endmacro

main:
  mov edi, TABLES
  mov ecx, 0x4000 / 4
  xor eax, eax
  rep stosd
  mov edi, PD
  mov eax, 0x87
.identity:
  mov [edi], eax
  add edi, 8
  add eax, 0x200000
  cmp edi, PD + 32 * 8
  jb .identity
  mov dword [PDPT], PD + 1
  mov dword [PDPT + 8], PD1 + 1
  mov dword [PD1], PT + 7
  mov eax, cr4
  or eax, 0x20
  mov cr4, eax
  mov eax, PDPT
  mov cr3, eax
  mov ecx, 0xc0000080
  rdmsr
  or eax, 0x800                ; NXE
  wrmsr
  mov eax, cr0
  or eax, 0x80010000
  mov cr0, eax
  jmp .paged
.paged:
  mov byte [P], 0xc3
  TRY "read, not present", mov eax, [V]
  TRY "read, no directory", mov eax, [0x80000000]
  PAGE 0, P + 7, 0
  TRY "call", call V
  PAGE 0, P + 7, 0x80000000
  TRY "read with NX", mov eax, [V]
  TRY "call with NX", call V
  TRY3 "ring 3 fetches with NX", V
  TRY "fetch, not present", jmp V + 0x1000
  TRY3 "ring 3 fetches, not present", V + 0x1000
  SHOW "PTE", [PT]
  SHOW "high", [PT + 4]
  NEWLINE
  PAGE 0, P + 7, 0x00080000
  TRY "reserved bit 51", mov eax, [V]
  PAGE 0, P + 7, 0x00100000
  TRY "reserved bit 52", mov eax, [V]
  TRY "write with reserved bit 52", mov [V], eax
  TRY3 "ring 3 with reserved bit 52", V
  mov dword [PD1 + 8], 0x87 + 0x2000
  TRY "2 MiB page with reserved bit 13", mov eax, [V + 0x200000]
  mov dword [PD1 + 8], 0x87
  mov dword [PD1 + 12], 0x80000000
  invlpg [V + 0x200000]
  TRY "2 MiB page with NX", call V + 0x200000 + 0x8000
  TRY "read of it", mov eax, [V + 0x200000 + 0x8000]
  SHOW "PDE", [PD1 + 8]
  NEWLINE
  mov dword [PD1 + 12], 0
  invlpg [V + 0x200000]
  mov ecx, 0xc0000080
  rdmsr
  and eax, ~0x800
  wrmsr
  mov eax, cr3
  mov cr3, eax
  PAGE 0, P + 7, 0x80000000
  TRY "bit 63 without EFER.NXE", mov eax, [V]
  PAGE 0, P + 7, 0
  TRY "fetch, not present, without EFER.NXE", jmp V + 0x1000
  ; directory pointers are read by MOV CR3, not by accesses
  PAGE 0, P + 7, 0
  mov eax, [V]
  mov dword [PDPT + 8], 0
  invlpg [V]
  TRY "pointer cleared in memory only", mov eax, [V]
  mov eax, cr3
  mov cr3, eax
  TRY "after MOV CR3", mov eax, [V]
  mov dword [PDPT + 8], PD1 + 3
  TRY "MOV CR3 with a reserved bit in a pointer"
    mov eax, cr3
    mov cr3, eax
  DONE
  mov dword [PDPT + 8], PD1 + 1
  TRY "MOV CR3"
    mov eax, cr3
    mov cr3, eax
  DONE
  ret
END_IMAGE
