; A boot sector that draws on a large linear framebuffer: 2560x1600 dots of 32 bits by Bochs' VBE registers (QEMU, docs/specs/standard-vga.rst).
; Prints on the first serial port: "full" before all of the screen is drawn again and again, "square" before only a square of 64 dots moves along
; rows 800 to 863.
        bits 16
        org 0x7c00
WIDTH   equ 2560
HEIGHT  equ 1600
ROW     equ WIDTH * 4
FRAMES  equ 60

%macro vbe 2                        ; register, value
        mov dx, 0x1ce
        mov ax, %1
        out dx, ax
        inc dx
        mov ax, %2
        out dx, ax
%endmacro

        cli
        xor ax, ax
        mov ds, ax
        mov ss, ax
        mov sp, 0x7c00
        vbe 4, 0
        vbe 1, WIDTH
        vbe 2, HEIGHT
        vbe 3, 32
        vbe 4, 0x41                 ; enabled, linear framebuffer
        mov dx, 0xcf8               ; BAR 0 of the card, slot 2
        mov eax, 0x80001010
        out dx, eax
        mov dx, 0xcfc
        in eax, dx
        and al, 0xf0
        mov ebp, eax
        lgdt [gdtr]
        mov eax, cr0
        or al, 1
        mov cr0, eax
        jmp 8:protected

        bits 32
protected:
        mov ax, 16
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov esi, full
        call print
        mov ebx, FRAMES
frame:  mov eax, ebx                ; the last one is 0x010101
        imul eax, 0x010101
        mov edi, ebp
        mov ecx, WIDTH * HEIGHT
        rep stosd
        dec ebx
        jnz frame

        mov esi, square
        call print
        xor ebx, ebx                ; column
move:   mov eax, 0x010101           ; back to the ground
        call draw
        add ebx, 8
        cmp ebx, WIDTH - 64
        jb .in
        xor ebx, ebx
.in:    mov eax, 0xff8000
        call draw
        mov ecx, 400000
.wait:  loop .wait
        jmp move

draw:   lea edi, [ebp + ebx * 4 + 800 * ROW]
        mov edx, 64
.row:   mov ecx, 64
        push edi
        rep stosd
        pop edi
        add edi, ROW
        dec edx
        jnz .row
        ret

print:  mov dx, 0x3f8
.next:  lodsb
        test al, al
        jz .end
        out dx, al
        jmp .next
.end:   ret

full:   db "full", 13, 10, 0
square: db "square", 13, 10, 0

        align 8
gdt:    dq 0
        dq 0x00cf9a000000ffff
        dq 0x00cf92000000ffff
gdtr:   dw 23
        dd gdt
        times 510 - ($ - $$) db 0
        dw 0xaa55
