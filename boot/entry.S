/*
 * _start - the first byte of the image; Open Firmware, skiboot or a loader jumps here.
 *
 *   In        r3 r4   archive of modules and its bytes (GRUB, boot/client.S), or
 *                     nothing of use; a device tree in r3 if r5 is 0
 *             r5      Open Firmware's client interface entry, or 0
 *   Out       never returns: goes on in kernel_main(r3, r4, r5, time base)
 *   Clobbers  everything
 *   Stack     sets r1 to the top of the boot stack
 *   Context   real mode, interrupts off; either endianness, 32- or 64-bit mode
 *   Spec      IEEE 1275 PowerPC binding, "Client program execution environment";
 *             LoPAPR appendix B; ePAPR 1.1, 5.4 (a tree in r3)
 *
 * Nothing here believes the link address: firmware puts the image where it
 * likes, at a multiple of 256. `bcl 20,31,.+4` finds the address; the relocations are all RELATIVE,
 * nearly all of them packed (RELR).
 */
        .section .text.entry, "ax", @progbits
        .balign 256
        .global _start
        .type   _start, @function
_start:
        /* Big-endian CPUs see `b .+8` in the first word, little-endian ones
           `tdi 0,r0,0x48`, a trap that is never taken. */
        .long   0x08000048
        b       entry_le
        turn_little_endian
entry_le:
        /* 64-bit mode, before any address is computed. */
        li      %r16, 1
        sldi    %r16, %r16, 63
        mfmsr   %r17
        or      %r17, %r17, %r16
        mtmsrd  %r17
        isync

        mftb    %r27                    /* when the kernel's life began */
        mr      %r24, %r3
        clrldi. %r26, %r5, 32           /* 32-bit firmware leaves rubbish above */
        beq     entry_of_tree
        clrldi  %r24, %r3, 32
entry_of_tree:
        clrldi  %r25, %r4, 32

entry_find:
        bcl     20, 31, entry_here
entry_here:
        mflr    %r14

        /*
         * The image has to begin with a page. skiboot starts a file where it has read it,
         * so behind its headers: then everything moves up to the next page, the end
         * first, and goes on there. What moves it lies in the first 256 bytes, below
         * that page.
         */
        addi    %r4, %r14, _start - entry_here
        neg     %r5, %r4
        clrldi. %r5, %r5, 52            /* r5 = how far up */
        beq     entry_placed
        addis   %r6, %r14, (_ool_start - entry_here)@ha
        addi    %r6, %r6, (_ool_start - entry_here)@l
entry_move:
        ldu     %r0, -8(%r6)
        stdx    %r0, %r6, %r5
        cmpld   %r6, %r4
        bgt     entry_move
        add     %r4, %r4, %r5
        addi    %r4, %r4, entry_find - _start
        mtctr   %r4
        sync
        icbi    0, %r4                  /* caches of instructions follow stores from POWER5 on */
        isync
        bctr
entry_placed:
        addis   %r2, %r14, (.TOC. - entry_here)@ha
        addi    %r2, %r2, (.TOC. - entry_here)@l
        addis   %r15, %r14, (_start - entry_here)@ha
        addi    %r15, %r15, (_start - entry_here)@l
        lis     %r16, {LINK_BASE_HIGH}
        sub     %r15, %r15, %r16        /* r15 = where we run - where we were linked */

        /* Zero .bss: not every loader does. */
        addis   %r4, %r14, (_bss_start - entry_here)@ha
        addi    %r4, %r4, (_bss_start - entry_here)@l
        addis   %r5, %r14, (_bss_end - entry_here)@ha
        addi    %r5, %r5, (_bss_end - entry_here)@l
        li      %r0, 0
        b       entry_bss_test
entry_bss:
        std     %r0, 0(%r4)
        addi    %r4, %r4, 8
entry_bss_test:
        cmpld   %r4, %r5
        blt     entry_bss

        /* Apply our own relocations: 24 bytes of offset, info, addend each. */
        addis   %r4, %r14, (_rela_start - entry_here)@ha
        addi    %r4, %r4, (_rela_start - entry_here)@l
        addis   %r5, %r14, (_rela_end - entry_here)@ha
        addi    %r5, %r5, (_rela_end - entry_here)@l
        b       entry_rela_test
entry_rela:
        ld      %r6, 8(%r4)
        cmpldi  %r6, {R_PPC64_RELATIVE}
        bne     entry_stop              /* the image is not what the linker script promises */
        ld      %r6, 0(%r4)
        ld      %r7, 16(%r4)
        add     %r7, %r7, %r15
        stdx    %r7, %r6, %r15
        addi    %r4, %r4, 24
entry_rela_test:
        cmpld   %r4, %r5
        blt     entry_rela

        /*
         * The packed ones: an even doubleword is the address of a pointer that
         * moves; the 63 bits above the lowest of an odd one say which of the next
         * 63 doublewords do.
         */
        addis   %r4, %r14, (_relr_start - entry_here)@ha
        addi    %r4, %r4, (_relr_start - entry_here)@l
        addis   %r5, %r14, (_relr_end - entry_here)@ha
        addi    %r5, %r5, (_relr_end - entry_here)@l
        b       entry_relr_test
entry_relr:
        ld      %r6, 0(%r4)
        addi    %r4, %r4, 8
        andi.   %r0, %r6, 1
        bne     entry_relr_bits
        ldux    %r8, %r6, %r15          /* r6 = where the pointer is now */
        add     %r8, %r8, %r15
        std     %r8, 0(%r6)
        addi    %r7, %r6, 8             /* r7 = the next doubleword */
        b       entry_relr_test
entry_relr_bits:
        mr      %r9, %r7
        addi    %r7, %r7, 63 * 8
entry_relr_bit:
        srdi.   %r6, %r6, 1
        beq     entry_relr_test
        andi.   %r0, %r6, 1
        beq     entry_relr_next
        ld      %r8, 0(%r9)
        add     %r8, %r8, %r15
        std     %r8, 0(%r9)
entry_relr_next:
        addi    %r9, %r9, 8
        b       entry_relr_bit
entry_relr_test:
        cmpld   %r4, %r5
        blt     entry_relr

        /* The stack, and an end to its back chain. */
        addis   %r1, %r14, ({boot_stack} + {BOOT_STACK_TOP} - entry_here)@ha
        addi    %r1, %r1, ({boot_stack} + {BOOT_STACK_TOP} - entry_here)@l
        li      %r0, 0
        stdu    %r0, -64(%r1)
        std     %r0, 16(%r1)
        mtlr    %r0
        li      %r13, 0
        mr      %r3, %r24
        mr      %r4, %r25
        mr      %r5, %r26
        mr      %r6, %r27
        bl      {kernel_main}
entry_stop:
        b       entry_stop
        .size   _start, . - _start
