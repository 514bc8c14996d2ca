/*
 * memcpy memmove memset memcmp bcmp: the compiler and every module call these.
 *
 *   In, Out   as in C
 *   Clobbers  r0 r4-r11 ctr cr0 cr1 cr5-cr7 (a subset each)
 *   Keeps     r1 r2 r12-r31 lr; no stack, no TOC, so any caller may come here
 *   Context   any; unaligned ld and std, which cacheable memory allows
 *
 * Blocks of 128 and of 32 bytes, then doublewords, then bytes: a half to a seventh of the
 * instructions of the compiler's own versions. Long runs of zeros are made a
 * cache line at a time.
 */
        .section .text.mem, "ax", @progbits
        .balign 128
        .global mem_text_start
mem_text_start:
        .global memcpy
        .type   memcpy, @function
memcpy:
        /* Both point 8 below what is next: then a load and a store move them. */
        addi    %r7, %r3, -8
        addi    %r4, %r4, -8
        srdi.   %r8, %r5, 7
        beq     mem_blocks
        mtctr   %r8
mem_line:
        .irp    at, 8, 40, 72
        ld      %r0, \at(%r4)
        ld      %r9, \at+8(%r4)
        ld      %r10, \at+16(%r4)
        ld      %r11, \at+24(%r4)
        std     %r0, \at(%r7)
        std     %r9, \at+8(%r7)
        std     %r10, \at+16(%r7)
        std     %r11, \at+24(%r7)
        .endr
        ld      %r0, 104(%r4)
        ld      %r9, 112(%r4)
        ld      %r10, 120(%r4)
        ldu     %r11, 128(%r4)
        std     %r0, 104(%r7)
        std     %r9, 112(%r7)
        std     %r10, 120(%r7)
        stdu    %r11, 128(%r7)
        bdnz    mem_line
mem_blocks:
        rldicl. %r8, %r5, 59, 62        /* blocks of 32 left: 0..3 */
        beq     mem_tail
        mtctr   %r8
mem_block:
        ld      %r0, 8(%r4)
        ld      %r9, 16(%r4)
        ld      %r10, 24(%r4)
        ldu     %r11, 32(%r4)
        std     %r0, 8(%r7)
        std     %r9, 16(%r7)
        std     %r10, 24(%r7)
        stdu    %r11, 32(%r7)
        bdnz    mem_block
mem_tail:
        rldicl. %r8, %r5, 61, 62        /* doublewords left: 0..3 */
        beq     mem_bytes
        mtctr   %r8
mem_double:
        ldu     %r0, 8(%r4)
        stdu    %r0, 8(%r7)
        bdnz    mem_double
mem_bytes:
        andi.   %r8, %r5, 7
        beqlr
        mtctr   %r8
        addi    %r4, %r4, 7
        addi    %r7, %r7, 7
mem_byte:
        lbzu    %r0, 1(%r4)
        stbu    %r0, 1(%r7)
        bdnz    mem_byte
        blr
        .size   memcpy, . - memcpy

        .balign 16
        .global memmove
        .type   memmove, @function
memmove:
        sub     %r8, %r3, %r4
        cmpld   %r8, %r5
        bge     memcpy                  /* the target does not start inside the source */
        add     %r4, %r4, %r5
        add     %r7, %r3, %r5
        andi.   %r8, %r5, 7
        beq     move_doubles
        mtctr   %r8
move_byte:
        lbzu    %r0, -1(%r4)
        stbu    %r0, -1(%r7)
        bdnz    move_byte
move_doubles:
        srdi.   %r8, %r5, 3
        beqlr
        mtctr   %r8
move_double:
        ldu     %r0, -8(%r4)
        stdu    %r0, -8(%r7)
        bdnz    move_double
        blr
        .size   memmove, . - memmove

        .balign 16
        .global memset
        .type   memset, @function
memset:
        mr      %r7, %r3
        cmpldi  %r5, 4 * {LINE}
        blt     set_any                 /* too short to be worth the trouble */
        andi.   %r0, %r4, 0xff
        bne     set_any
        andi.   %r0, %r7, 7
        bne     set_any
        /* Zeros: doublewords up to a cache line, then whole lines at once. */
        li      %r4, 0
        neg     %r8, %r7
        andi.   %r8, %r8, {LINE} - 1
        beq     set_lines
        sub     %r5, %r5, %r8
        srdi    %r8, %r8, 3
        mtctr   %r8
set_up:
        std     %r4, 0(%r7)
        addi    %r7, %r7, 8
        bdnz    set_up
set_lines:
        srdi    %r8, %r5, {LINE_SHIFT}
        mtctr   %r8
set_line:
        dcbz    0, %r7
        addi    %r7, %r7, {LINE}
        bdnz    set_line
        andi.   %r5, %r5, {LINE} - 1
set_any:
        rldimi  %r4, %r4, 8, 48
        rldimi  %r4, %r4, 16, 32
        rldimi  %r4, %r4, 32, 0
        srdi.   %r8, %r5, 5
        beq     set_tail
        mtctr   %r8
set_block:
        std     %r4, 0(%r7)
        std     %r4, 8(%r7)
        std     %r4, 16(%r7)
        std     %r4, 24(%r7)
        addi    %r7, %r7, 32
        bdnz    set_block
set_tail:
        rldicl. %r8, %r5, 61, 62
        beq     set_bytes
        mtctr   %r8
set_double:
        std     %r4, 0(%r7)
        addi    %r7, %r7, 8
        bdnz    set_double
set_bytes:
        andi.   %r8, %r5, 7
        beqlr
        mtctr   %r8
set_byte:
        stb     %r4, 0(%r7)
        addi    %r7, %r7, 1
        bdnz    set_byte
        blr
        .size   memset, . - memset

        .balign 16
        .global memcmp
        .global bcmp
        .type   memcmp, @function
        .type   bcmp, @function
memcmp:
bcmp:
        srdi.   %r8, %r5, 3
        beq     cmp_bytes
        mtctr   %r8
cmp_double:
        ldbrx   %r9, 0, %r3             /* first byte on top: order as memory has it */
        ldbrx   %r10, 0, %r4
        addi    %r3, %r3, 8
        cmpld   %r9, %r10
        addi    %r4, %r4, 8
        bne     cmp_differ
        bdnz    cmp_double
cmp_bytes:
        andi.   %r8, %r5, 7
        beq     cmp_equal
        mtctr   %r8
cmp_byte:
        lbz     %r9, 0(%r3)
        lbz     %r10, 0(%r4)
        addi    %r3, %r3, 1
        cmpld   %r9, %r10
        addi    %r4, %r4, 1
        bne     cmp_differ
        bdnz    cmp_byte
cmp_equal:
        li      %r3, 0
        blr
cmp_differ:
        li      %r3, 1
        bgtlr
        li      %r3, -1
        blr
        .size   memcmp, . - memcmp
        .size   bcmp, . - bcmp

        .global mem_text_end
mem_text_end:

/*
 * safe_copy, safe_store - copy bytes from, or to, an address that may not be there.
 *
 *   In        r3      to
 *             r4      from
 *             r5      bytes
 *   Out       r3      bytes copied: fewer than r5 if one faulted
 *   Clobbers  r0 r6 r7 ctr cr0
 *   Keeps     all else
 *   Context   any; a data storage interrupt at the load (safe_copy) or the store
 *             (safe_store) of a byte goes on at safe_copy_fault (machine::trap), at the
 *             load of a doubleword with bytes, at safe_copy_rest
 */
        .balign 16
        .global safe_copy
        .type   safe_copy, @function
safe_copy:
        li      %r6, 0
        srdi.   %r7, %r5, 3
        beq     safe_copy_rest
        mtctr   %r7
        .global safe_copy_wide
safe_copy_wide:
        ldx     %r0, %r4, %r6
        stdx    %r0, %r3, %r6
        addi    %r6, %r6, 8
        bdnz    safe_copy_wide
        .global safe_copy_rest
safe_copy_rest:
        subf.   %r7, %r6, %r5
        beq     safe_copy_fault
        mtctr   %r7
        .global safe_copy_load
safe_copy_load:
        lbzx    %r0, %r4, %r6
        stbx    %r0, %r3, %r6
        addi    %r6, %r6, 1
        bdnz    safe_copy_load
        .global safe_copy_fault
safe_copy_fault:
        mr      %r3, %r6
        blr
        .size   safe_copy, . - safe_copy

        .balign 16
        .global safe_store
        .type   safe_store, @function
safe_store:
        li      %r6, 0
        cmpldi  %r5, 0
        beq     safe_copy_fault
        mtctr   %r5
safe_store_load:
        lbzx    %r0, %r4, %r6
        .global safe_store_store
safe_store_store:
        stbx    %r0, %r3, %r6
        addi    %r6, %r6, 1
        bdnz    safe_store_load
        b       safe_copy_fault
        .size   safe_store, . - safe_store
