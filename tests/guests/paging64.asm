; 4-level paging: rights at every level, NX, reserved bits, large pages, accessed and dirty bits, high addresses.
; Intel SDM volume 3, sections 4.5 to 4.8.
; QEMU's TCG leaves bit 0 of the error code clear with bit 3.
; expect:
;   no PML4 entry: #PF(0000) +0 cr2=ffff800012345000
;   no PDPT entry: #PF(0000) +0 cr2=ffff800012345000
;   no PD entry: #PF(0000) +0 cr2=ffff800012345000
;   no PT entry: #PF(0002) +0 cr2=ffff800012345000
;   read: none
;   PTE=0000000000300027 write: none
;   PTE=0000000000300067 PDE=0000000000212027 PDPTE=0000000000211027 PML4E=0000000000210027
;   call: none
;   call, NX in the PTE: #PF(0011) elsewhere cr2=ffff800012345000
;   read, NX in the PTE: none
;   call, NX in the PDE: #PF(0011) elsewhere cr2=ffff800012345000
;   call, NX in the PDPTE: #PF(0011) elsewhere cr2=ffff800012345000
;   call, NX in the PML4E: #PF(0011) elsewhere cr2=ffff800012345000
;   write, PML4E read-only: #PF(0003) +0 cr2=ffff800012345000
;   ring 3 reads, PML4E of the supervisor: #PF(0005) +0 cs=002b cr2=ffff800012345000
;   write, PDPTE read-only: #PF(0003) +0 cr2=ffff800012345000
;   ring 3 reads, PDPTE of the supervisor: #PF(0005) +0 cs=002b cr2=ffff800012345000
;   write, PDE read-only: #PF(0003) +0 cr2=ffff800012345000
;   ring 3 writes, PDE read-only: #PF(0007) +0 cs=002b cr2=ffff800012345020
;   ring 3 fetches, PDE of the supervisor: #PF(0015) +0 cs=002b cr2=ffff800012345000
;   write, PTE read-only: #PF(0003) +0 cr2=ffff800012345000
;   the same, CR0.WP clear: none
;   and set again: #PF(0003) +0 cr2=ffff800012345010
;   ring 3 reads: #30 +6 cs=002b
;   ring 3 writes: #30 +7 cs=002b
;   reserved bit 51 in the PTE: #PF(0009) +0 cr2=ffff800012345000
; qemu: reserved bit 51 in the PTE: #PF(0008) +0 cr2=ffff800012345000
;   bits 52 and 62 are ignored: none
;   PS in the PML4E: #PF(0009) +0 cr2=ffff800012345000
; qemu: PS in the PML4E: #PF(0008) +0 cr2=ffff800012345000
;   2 MiB page with reserved bit 13: #PF(000b) +0 cr2=ffff800012345000
; qemu: 2 MiB page with reserved bit 13: #PF(000a) +0 cr2=ffff800012345000
;   read-only 2 MiB page: #PF(0003) +0 cr2=ffff800012345000
;   read of it: none
;   PDE=00000000002000a5
;   bit 63 without EFER.NXE: #PF(0009) +0 cr2=ffff800012345000
; qemu: bit 63 without EFER.NXE: #PF(0008) +0 cr2=ffff800012345000
;   before=00000001 after=00000002
;   first=4455667788000000 second=0000000000112233 read=1122334455667788
;   write across to a missing page: #PF(0002) +0 cr2=ffff800012346000
;   first=4455667788000000
;   16 bytes across to a missing page: #PF(0002) +0 cr2=ffff800012346000
;   cmpxchg16b unaligned: #GP(0000) +0
;   fxsave unaligned: #GP(0000) +0
%include "lib64.inc"

%define V 0xffff800012345000
%define INDEX4 256
%define P SCRATCH

%macro ENTRY 3 ; table, index, value
  mov rax, %3
  mov [abs %1 + (%2) * 8], rax
  invlpg [r12]
%endmacro
%macro PAGE 1
  ENTRY PT2, INDEX1, %1
%endmacro

main:
  mov r12, V
  mov edi, PDPT2
  mov ecx, 0x3000 / 8
  xor eax, eax
  rep stosq
  mov byte [abs P], 0xc3
  TRY "no PML4 entry", mov rax, [r12]
  ENTRY PML4, INDEX4, PDPT2 + 7
  TRY "no PDPT entry", mov rax, [r12]
  ENTRY PDPT2, INDEX3, PD2 + 7
  TRY "no PD entry", mov rax, [r12]
  ENTRY PD2, INDEX2, PT2 + 7
  TRY "no PT entry", mov [r12], rax
  PAGE P + 7
  TRY "read", mov eax, [r12]
  SHOW64 "PTE", [abs PT2 + INDEX1 * 8]
  TRY "write", mov [r12 + 8], eax
  SHOW64 "PTE", [abs PT2 + INDEX1 * 8]
  SHOW64 "PDE", [abs PD2 + INDEX2 * 8]
  SHOW64 "PDPTE", [abs PDPT2 + INDEX3 * 8]
  SHOW64 "PML4E", [abs PML4 + INDEX4 * 8]
  NEWLINE
  TRY "call", call r12
  PAGE P + 7 + (1 << 63)
  TRY "call, NX in the PTE", call r12
  TRY "read, NX in the PTE", mov eax, [r12]
  PAGE P + 7
  ENTRY PD2, INDEX2, PT2 + 7 + (1 << 63)
  TRY "call, NX in the PDE", call r12
  ENTRY PD2, INDEX2, PT2 + 7
  ENTRY PDPT2, INDEX3, PD2 + 7 + (1 << 63)
  TRY "call, NX in the PDPTE", call r12
  ENTRY PDPT2, INDEX3, PD2 + 7
  ENTRY PML4, INDEX4, PDPT2 + 7 + (1 << 63)
  TRY "call, NX in the PML4E", call r12
  ; read-only and supervisor at each level
  ENTRY PML4, INDEX4, PDPT2 + 5
  TRY "write, PML4E read-only", mov [r12], rax
  ENTRY PML4, INDEX4, PDPT2 + 3
  TRY3 "ring 3 reads, PML4E of the supervisor", .read
  ENTRY PML4, INDEX4, PDPT2 + 7
  ENTRY PDPT2, INDEX3, PD2 + 5
  TRY "write, PDPTE read-only", mov [r12], rax
  ENTRY PDPT2, INDEX3, PD2 + 3
  TRY3 "ring 3 reads, PDPTE of the supervisor", .read
  ENTRY PDPT2, INDEX3, PD2 + 7
  ENTRY PD2, INDEX2, PT2 + 5
  TRY "write, PDE read-only", mov [r12], rax
  TRY3 "ring 3 writes, PDE read-only", .write
  ENTRY PD2, INDEX2, PT2 + 3
  TRY3 "ring 3 fetches, PDE of the supervisor", V
  ENTRY PD2, INDEX2, PT2 + 7
  PAGE P + 5
  TRY "write, PTE read-only", mov [r12], rax
  mov rax, cr0
  and eax, ~0x10000
  mov cr0, rax
  TRY "the same, CR0.WP clear", mov [r12 + 16], rax
  mov rax, cr0
  or eax, 0x10000
  mov cr0, rax
  TRY "and set again", mov [r12 + 16], rax
  PAGE P + 7
  TRY3 "ring 3 reads", .read
  TRY3 "ring 3 writes", .write
  ; reserved bits
  PAGE P + 7 + (1 << 51)
  TRY "reserved bit 51 in the PTE", mov rax, [r12]
  PAGE P + 7 + (1 << 52) + (1 << 62)
  TRY "bits 52 and 62 are ignored", mov rax, [r12]
  PAGE P + 7
  ENTRY PML4, INDEX4, PDPT2 + 7 + 0x80
  TRY "PS in the PML4E", mov rax, [r12]
  ENTRY PML4, INDEX4, PDPT2 + 7
  ENTRY PD2, INDEX2, 0x2000 + 0x87
  TRY "2 MiB page with reserved bit 13", mov [r12], rax
  ENTRY PD2, INDEX2, 0x200000 + 0x85
  TRY "read-only 2 MiB page", mov [r12], rax
  TRY "read of it", mov rax, [r12]
  SHOW64 "PDE", [abs PD2 + INDEX2 * 8]
  NEWLINE
  ENTRY PD2, INDEX2, PT2 + 7
  ; EFER.NXE clear: bit 63 is reserved
  mov ecx, 0xc0000080
  rdmsr
  and eax, ~0x800
  wrmsr
  PAGE P + 7 + (1 << 63)
  TRY "bit 63 without EFER.NXE", mov rax, [r12]
  mov ecx, 0xc0000080
  rdmsr
  or eax, 0x800
  wrmsr
  PAGE P + 7
  mov rax, cr3
  mov cr3, rax
  ; global pages outlive MOV CR3 only where software must not care; INVLPG always drops them
  mov dword [abs P + 0x800], 1
  mov dword [abs P + 0x1800], 2
  PAGE P + 0x107
  mov ebx, [r12 + 0x800]
  PAGE P + 0x1107
  mov ecx, [r12 + 0x800]
  SHOW "before", ebx
  SHOW "after", ecx
  NEWLINE
  ; the same linear page through two addresses, and a page-crossing access to unrelated frames
  ENTRY PT2, INDEX1 + 1, P + 7
  PAGE P + 0x1007
  mov rax, 0x1122334455667788
  mov [r12 + 0xffb], rax
  SHOW64 "first", [abs P + 0x1ff8]
  SHOW64 "second", [abs P]
  mov rax, [r12 + 0xffb]
  SHOW64 "read", rax
  NEWLINE
  mov byte [abs P], 0xc3
  ENTRY PT2, INDEX1 + 1, 0
  invlpg [r12 + 0x1000]
  TRY "write across to a missing page", mov [r12 + 0xffb], rcx
  SHOW64 "first", [abs P + 0x1ff8]
  NEWLINE
  TRY "16 bytes across to a missing page", movups [r12 + 0xff8], xmm0
  TRY "cmpxchg16b unaligned", cmpxchg16b [r12 + 8]
  TRY "fxsave unaligned", fxsave [r12 + 8]
  ret

.read:
  mov rax, [r12]
  int 0x30
.write:
  mov [r12 + 0x20], rax
  int 0x30
END_IMAGE
