; What a Multiboot loader hands over: magic number, command line, modules ("Multiboot Specification version 0.6.96", section 3.3).
; Ends through isa-debug-exit with the two hexadecimal digits after "exit=" in the command line.
; Run in a folder with the modules, as QEMU and as Tabvisor:
;   -kernel multiboot.elf -append "one two exit=2a" -initrd "first.txt with arguments,second.txt"
; expect:
;   magic=2badb002 
;   multiboot.elf one two exit=2a
;   first.txt with arguments: 0000000c bytes, sum 000004ba, page offset 00000000
;   second.txt: 00001001 bytes, sum 00069069, page offset 00000000
%include "image32.inc"

main:
  mov [.info], ebx
  SHOW "magic", eax
  NEWLINE
  mov ebx, [.info]
  mov esi, [ebx + 16]
  mov [.command_line], esi
  call print
  NEWLINE
  mov ebx, [.info]
  mov ecx, [ebx + 20]
  mov edi, [ebx + 24]
.module:
  test ecx, ecx
  jz .modules_shown
  push ecx
  mov esi, [edi + 8]
  call print
  PRINT ": "
  mov eax, [edi + 4]
  sub eax, [edi]
  HEX32 eax
  PRINT " bytes, sum "
  mov esi, [edi]
  xor ebx, ebx
.sum:
  cmp esi, [edi + 4]
  jae .summed
  movzx eax, byte [esi]
  add ebx, eax
  inc esi
  jmp .sum
.summed:
  HEX32 ebx
  PRINT ", page offset "
  mov eax, [edi]
  and eax, 0xfff
  HEX32 eax
  NEWLINE
  pop ecx
  add edi, 16
  dec ecx
  jmp .module
.modules_shown:
  ; With "map" first in the command line: memory as the loader found it
  mov esi, [.command_line]
.first_word:
  lodsb
  test al, al
  jz .no_map
  cmp al, ' '
  jne .first_word
  mov eax, [esi]
  and eax, 0xffffff
  cmp eax, "map"
  jne .no_map
  mov ebx, [.info]
  HEX32 [ebx + 4]
  NEWLINE
  HEX32 [ebx + 8]
  NEWLINE
  mov edi, [ebx + 48]
  mov ecx, edi
  add ecx, [ebx + 44]
.range:
  cmp edi, ecx
  jae .no_map
  HEX32 [edi + 8]
  HEX32 [edi + 4]
  PRINT " "
  HEX32 [edi + 16]
  HEX32 [edi + 12]
  PRINT " "
  HEX32 [edi + 20]
  NEWLINE
  add edi, [edi]
  add edi, 4
  jmp .range
.no_map:
  mov esi, [.command_line]
.search:
  cmp byte [esi], 0
  je .none
  cmp dword [esi], "exit"
  je .found
  inc esi
  jmp .search
.found:
  movzx eax, byte [esi + 5]
  call .digit
  shl eax, 4
  mov ebx, eax
  movzx eax, byte [esi + 6]
  call .digit
  or eax, ebx
  EXIT ax
.none:
  PRINT "no exit= in the command line"
  NEWLINE
  EXIT 0
.digit: ; eax: a hexadecimal digit's character to its value
  sub eax, '0'
  cmp eax, 9
  jbe .is_value
  sub eax, 'a' - '0' - 10
.is_value:
  ret
.info dd 0
.command_line dd 0
END_IMAGE
