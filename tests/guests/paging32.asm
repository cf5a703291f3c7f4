; 32-bit paging with 4 KiB and 4 MiB pages: error codes, CR2, accessed and dirty bits, CR0.WP, reserved bits, INVLPG,
; accesses across pages. Intel SDM volume 3, sections 4.3 and 4.6 to 4.8.
; QEMU's TCG leaves bit 0 of the error code clear with bit 3.
; expect:
;   read, not present: #PF(0000) +0 cr2=40000123
;   write, not present: #PF(0002) +0 cr2=40000124
;   read beyond the directory: #PF(0000) +0 cr2=80000000
;   fetch, not present: #PF(0000) elsewhere cr2=40000040
;   read of a read-only page: none
;   eax=11111111 PTE=00300021
;   write to it, WP clear: none
;   PTE=00300061
;   write to it, WP set: #PF(0003) +0 cr2=40000000
;   add to it: #PF(0003) +0 cr2=40000000
;   cmp with it: none
;   xchg with it: #PF(0003) +0 cr2=40000000
;   bt of it: none
;   bts of it: #PF(0003) +0 cr2=40000000
;   push to it: none
;   pop to it: #PF(0003) +1 cr2=40000000
;   cmpxchg with it, unequal: #PF(0003) +5 cr2=40000000
;   PTE=00300021
;   after a read PTE=00301023 after a write PTE=00301063
;   after a read and write PTE=00301063 PDE=00201027
;   4 MiB page after a read=004000a3 after a write=004000e3
;   4 MiB page with reserved bit 21: #PF(0009) +0 cr2=51000004
; qemu: 4 MiB page with reserved bit 21: #PF(0008) +0 cr2=51000004
;   write to a read-only 4 MiB page: #PF(0003) +0 cr2=51000008
;   write, directory entry read-only: #PF(0003) +0 cr2=40002000
;   ring 3 reads, directory entry of the supervisor: #PF(0005) +0 cs=001b cr2=40002000
;   ring 3 reads: #30 +7 cs=001b
;   ring 3 writes: #30 +7 cs=001b
;   ring 3 writes to a read-only page: #PF(0007) +0 cs=001b cr2=40002000
;   ring 3 reads a supervisor page: #PF(0005) +0 cs=001b cr2=40002000
;   ring 3 writes to a supervisor page: #PF(0007) +0 cs=001b cr2=40002000
;   ring 3 fetches from a supervisor page: #PF(0005) +0 cs=001b cr2=40002000
;   ring 3 reads, not present: #PF(0004) +0 cs=001b cr2=40002000
;   ring 3 fetches, not present: #PF(0004) +0 cs=001b cr2=40002000
;   ring 3 writes to a read-only page, WP clear: #PF(0007) +0 cs=001b cr2=40002000
;   read across, second page missing: #PF(0000) +0 cr2=40001000
;   write across, second page missing: #PF(0002) +0 cr2=40001000
;   memory=22222222
;   read across, first page missing: #PF(0000) +0 cr2=40000ffd
;   read across=66554433 after a write=aa332211 and=88ddccbb
;   code across=12345678
;   code across, second page missing: #PF(0000) elsewhere cr2=40001000
;   rep stosb to a missing page: #PF(0002) +0 cr2=40001000
;   edi=40001000 ecx=00000010
;   before=00000001 after INVLPG=00000002 after MOV CR3=00000001 global, after CR4.PGE=00000002
;   paging off=00000002
%include "lib32.inc"

%define PD TABLES
%define PT (TABLES + 0x1000)
%define V 0x40000000            ; mapped by PT
%define P SCRATCH
%define PRESENT 1
%define WRITABLE 2
%define USER 4
%define ACCESSED 0x20
%define DIRTY 0x40
%define GLOBAL 0x100

; sets the entry of page n of PT
%macro PAGE 2
  mov dword [PT + (%1) * 4], %2
  invlpg [V + (%1) * 0x1000]
%endmacro

main:
  mov edi, PD
  xor ecx, ecx
.identity:
  mov eax, ecx
  shl eax, 22
  or eax, 0x87
  mov [edi + ecx * 4], eax
  inc ecx
  cmp ecx, 16
  jb .identity
  xor eax, eax
.rest:
  mov [edi + ecx * 4], eax
  inc ecx
  cmp ecx, 1024
  jb .rest
  mov edi, PT
  mov ecx, 1024
  rep stosd
  mov dword [PD + (V >> 22) * 4], PT + 7
  mov eax, cr4
  or eax, 0x90                 ; PSE, PGE
  mov cr4, eax
  mov eax, PD
  mov cr3, eax
  mov eax, cr0
  or eax, 0x80000000
  and eax, ~0x10000
  mov cr0, eax
  jmp .paged
.paged:
  mov dword [P], 0x11111111
  mov dword [P + 0xffc], 0x22222222
  mov dword [P + 0x1000], 0x33333333

  TRY "read, not present", mov eax, [V + 0x123]
  TRY "write, not present", mov [V + 0x124], eax
  TRY "read beyond the directory", mov eax, [0x80000000]
  TRY "fetch, not present", jmp V + 0x40
  PAGE 0, P + PRESENT
  TRY "read of a read-only page", mov eax, [V]
  SHOW "eax", eax
  SHOW "PTE", [PT]
  NEWLINE
  TRY "write to it, WP clear", mov [V], eax
  SHOW "PTE", [PT]
  NEWLINE
  mov eax, cr0
  or eax, 0x10000
  mov cr0, eax
  PAGE 0, P + PRESENT
  TRY "write to it, WP set", mov [V], eax
  TRY "add to it", add [V], eax
  TRY "cmp with it", cmp [V], eax
  TRY "xchg with it", xchg [V], eax
  TRY "bt of it", bt dword [V], 1
  TRY "bts of it", bts dword [V], 1
  TRY "push to it"
    mov ebx, esp
    push dword [V]
    pop eax
  DONE
  TRY "pop to it"
    push eax
    pop dword [V]
  DONE
  TRY "cmpxchg with it, unequal"
    mov eax, 5
    cmpxchg [V], ebx
  DONE
  SHOW "PTE", [PT]
  NEWLINE
  PAGE 1, P + 0x1000 + PRESENT + WRITABLE
  mov eax, [V + 0x1000]
  SHOW "after a read PTE", [PT + 4]
  mov [V + 0x1000], eax
  SHOW "after a write PTE", [PT + 4]
  NEWLINE
  PAGE 1, P + 0x1000 + PRESENT + WRITABLE
  add dword [V + 0x1000], 0
  SHOW "after a read and write PTE", [PT + 4]
  mov dword [PD + (V >> 22) * 4], PT + 7
  invlpg [V + 0x1000]
  mov eax, [V + 0x1000]
  SHOW "PDE", [PD + (V >> 22) * 4]
  NEWLINE

  ; 4 MiB pages
  mov dword [PD + 0x144 * 4], 0x83 + 0x400000
  mov eax, [0x51000000]
  SHOW "4 MiB page after a read", [PD + 0x144 * 4]
  mov [0x51000000], eax
  SHOW "after a write", [PD + 0x144 * 4]
  NEWLINE
  mov dword [PD + 0x144 * 4], 0x200083 + 0x400000
  invlpg [0x51000000]
  TRY "4 MiB page with reserved bit 21", mov eax, [0x51000004]
  mov dword [PD + 0x144 * 4], 0x81 + 0x400000
  invlpg [0x51000000]
  TRY "write to a read-only 4 MiB page", mov [0x51000008], eax

  ; rights of the directory entry
  PAGE 2, P + 0x2000 + PRESENT + WRITABLE + USER
  mov dword [PD + (V >> 22) * 4], PT + PRESENT + USER
  invlpg [V + 0x2000]
  TRY "write, directory entry read-only", mov [V + 0x2000], eax
  mov dword [PD + (V >> 22) * 4], PT + PRESENT + WRITABLE
  invlpg [V + 0x2000]
  TRY3 "ring 3 reads, directory entry of the supervisor", .user_read
  mov dword [PD + (V >> 22) * 4], PT + 7
  invlpg [V + 0x2000]
  TRY3 "ring 3 reads", .user_read
  TRY3 "ring 3 writes", .user_write
  PAGE 2, P + 0x2000 + PRESENT + USER
  TRY3 "ring 3 writes to a read-only page", .user_write
  PAGE 2, P + 0x2000 + PRESENT + WRITABLE
  TRY3 "ring 3 reads a supervisor page", .user_read
  TRY3 "ring 3 writes to a supervisor page", .user_write
  TRY3 "ring 3 fetches from a supervisor page", V + 0x2000
  PAGE 2, 0
  TRY3 "ring 3 reads, not present", .user_read
  TRY3 "ring 3 fetches, not present", V + 0x2000
  mov eax, cr0
  and eax, ~0x10000
  mov cr0, eax
  PAGE 2, P + 0x2000 + PRESENT + USER
  TRY3 "ring 3 writes to a read-only page, WP clear", .user_write

  ; across pages
  PAGE 0, P + PRESENT + WRITABLE
  PAGE 1, 0
  TRY "read across, second page missing", mov eax, [V + 0xffd]
  TRY "write across, second page missing", mov dword [V + 0xffd], 0x55555555
  SHOW "memory", [P + 0xffc]
  NEWLINE
  PAGE 0, 0
  PAGE 1, P + 0x1000 + PRESENT + WRITABLE
  TRY "read across, first page missing", mov eax, [V + 0xffd]
  ; the second page of V is not the physical neighbour of the first
  PAGE 0, P + 0x1000 + PRESENT + WRITABLE
  PAGE 1, P + PRESENT + WRITABLE
  mov dword [P + 0x1ffc], 0x44332211
  mov dword [P], 0x88776655
  mov eax, [V + 0xffe]
  SHOW "read across", eax
  mov dword [V + 0xfff], 0xddccbbaa
  SHOW "after a write", [P + 0x1ffc]
  SHOW "and", [P]
  NEWLINE
  ; code across them: mov eax, 12345678h; jmp back
  mov byte [V + 0xffe], 0xb8
  mov dword [V + 0xfff], 0x12345678
  mov byte [V + 0x1003], 0xc3
  call V + 0xffe
  SHOW "code across", eax
  NEWLINE
  PAGE 1, 0
  TRY "code across, second page missing", call V + 0xffe

  ; string instruction that stops at a page
  PAGE 0, P + PRESENT + WRITABLE
  PAGE 1, 0
  mov edi, V + 0xff0
  mov ecx, 32
  mov al, 0x77
  TRY "rep stosb to a missing page", rep stosb
  SHOW "edi", edi
  SHOW "ecx", ecx
  NEWLINE

  ; a changed entry counts after INVLPG, after a CR3 write, and a global one after a change of CR4.PGE
  mov dword [P], 1
  mov dword [P + 0x1000], 2
  PAGE 0, P + PRESENT + WRITABLE
  mov eax, [V]
  mov dword [PT], P + 0x1000 + PRESENT + WRITABLE
  invlpg [V]
  mov ebx, [V]
  mov dword [PT], P + PRESENT + WRITABLE
  mov ecx, cr3
  mov cr3, ecx
  mov ecx, [V]
  SHOW "before", eax
  SHOW "after INVLPG", ebx
  SHOW "after MOV CR3", ecx
  mov dword [PT], P + PRESENT + WRITABLE + GLOBAL
  invlpg [V]
  mov eax, [V]
  mov dword [PT], P + 0x1000 + PRESENT + WRITABLE + GLOBAL
  mov ecx, cr4
  and ecx, ~0x80
  mov cr4, ecx
  mov ebx, [V]
  SHOW "global, after CR4.PGE", ebx
  NEWLINE
  mov eax, cr0
  and eax, 0x7fffffff
  mov cr0, eax
  jmp .unpaged
.unpaged:
  mov eax, [P + 0x1000]
  SHOW "paging off", eax
  NEWLINE
  ret

.user_read:
  mov eax, [V + 0x2000]
  int 0x30
.user_write:
  mov [V + 0x2000], eax
  int 0x30
END_IMAGE
