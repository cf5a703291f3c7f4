; A boot sector that sets every mode of the VGA BIOS in turn (INT 10h, AH=00h; VBE 4F02h), fills the memory of each with noise, writes its number by
; the BIOS, and waits for a key.
        bits 16
        org 0x7c00

%macro mode 3                       ; number, segment of the memory, kind
        dw %1, %2
        db %3
%endmacro
TEXT    equ 0                       ; 32 KiB
LINEAR  equ 1                       ; 64 KiB at A000h, 32 at B800h
PLANES  equ 2                       ; four times 64 KiB, one behind the other
BANKS   equ 3                       ; 64 KiB again and again
LAST_BANK equ 32

        cli
        xor ax, ax
        mov ds, ax
        mov ss, ax
        mov sp, 0x7c00
        sti
        cld
        mov si, modes
next:   mov ax, [si]
        cmp ax, -1
        je $
        mov bx, ax
        cmp ah, 0
        je .bios
        mov ax, 0x4f02
.bios:  push si
        int 0x10
        pop si
        mov es, [si + 2]
        mov dword [noise], 1
        mov dword [keep], 0xffff
        cmp byte [si + 4], PLANES
        je .planes
        ja .banks
        cmp byte [si + 4], TEXT
        jne .linear
; No attribute blinks or underlines, which QEMU's VGA does not.
        mov dword [keep], 0x02007fff
; Characters of 40 columns with eight dots, not nine: QEMU doubles eight.
        cmp word [si], 1
        ja .linear
        mov dx, 0x3c4
        mov ax, 0x0901
        out dx, ax
.linear:
        mov cx, 0x4000
        call fill
        jmp .write

.planes:
        mov bl, 1                   ; Map Mask
.plane: mov dx, 0x3c4
        mov ah, bl
        mov al, 2
        out dx, ax
        mov cx, 0x8000
        call fill
        shl bl, 1
        cmp bl, 16
        jb .plane
        mov ax, 0x0f02
        out dx, ax
        jmp .write

.banks: xor dx, dx
.bank:  mov ax, 0x4f05
        xor bx, bx
        push si
        push dx
        int 0x10
        pop dx
        pop si
        mov cx, 0x8000
        call fill
        inc dx
        cmp dx, LAST_BANK
        jb .bank

; " MODE xxxx" in the upper left, which scrolls nothing.
.write: mov di, text
.char:  mov al, [di]
        inc di
        test al, al
        jz .number
        call put
        jmp .char
.number:
        mov cx, 4
        mov bp, [si]
.digit: rol bp, 4
        mov ax, bp
        and al, 15
        cmp al, 10
        sbb al, 0x69
        das
        call put
        loop .digit
        xor ax, ax
        int 0x16
        add si, 5
        jmp next

; CX words of noise to ES:0.
fill:   xor di, di
.word:  imul eax, [noise], 1103515245
        add eax, 12345
        mov [noise], eax
        shr eax, 16
        and ax, [keep]
        or ax, [keep + 2]
        stosw
        loop .word
        ret

put:    push si
        push di
        push cx
        push bp
        mov ah, 0x0e
        mov bx, 0x0007
        int 0x10
        pop bp
        pop cx
        pop di
        pop si
        ret

text:   db ' MODE ', 0
; Not VBE's modes with planes: QEMU takes no Map Mask in them (hw/display/vga.c: sr_vbe), and its screen stays black.
modes:
        mode 0x00, 0xb800, TEXT
        mode 0x01, 0xb800, TEXT
        mode 0x02, 0xb800, TEXT
        mode 0x03, 0xb800, TEXT
        mode 0x04, 0xb800, LINEAR
        mode 0x05, 0xb800, LINEAR
        mode 0x06, 0xb800, LINEAR
        mode 0x0d, 0xa000, PLANES
        mode 0x0e, 0xa000, PLANES
        mode 0x0f, 0xa000, PLANES
        mode 0x10, 0xa000, PLANES
        mode 0x11, 0xa000, PLANES
        mode 0x12, 0xa000, PLANES
        mode 0x13, 0xa000, LINEAR
        mode 0x101, 0xa000, BANKS
        mode 0x111, 0xa000, BANKS
        mode 0x112, 0xa000, BANKS
        mode 0x10d, 0xa000, BANKS
        mode 0x07, 0xb000, TEXT     ; the last one: the BIOS leaves its ports as they are for the next one's
        dw -1
noise:  dd 0
keep:   dd 0                        ; noise that counts, and ones
        times 510 - ($ - $$) db 0
        dw 0xaa55
        times 1474560 - 512 db 0
