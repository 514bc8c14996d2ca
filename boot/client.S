/*
 * _client - an Open Firmware client that carries the kernel: ELF32, big-endian.
 *
 * PowerVM starts no other kind of program, and SLOF starts this one from every
 * medium. tools/client-image.sh wraps it round the very bytes that `-kernel` loads.
 *
 *   In        r3 r4   initrd and its bytes (GRUB), or nothing of use
 *             r5      Open Firmware's client interface entry
 *   Out       never returns: jumps to the kernel's first byte (boot/entry.S) with
 *             r3 r4   the archive and its bytes, if it carries one; else as they came
 *             r5      as it came
 *             or, if the kernel's bytes are not what was wrapped, says so and exits
 *   Clobbers  r0 r8-r17 ctr lr cr0
 *   Stack     the firmware's; nothing is stored there
 *   Context   big-endian, 32-bit, real mode, interrupts off
 *   Spec      IEEE 1275 PowerPC binding, "Client program format", "CHRP ELF note";
 *             LoPAPR B.2 (IBM,RPA-Client-Config)
 *
 *   64 MiB     this code
 *   + 64 KiB   the kernel; its .bss is what the segment has in memory and not in
 *              the file, unless an archive follows
 *   then       the archive, if there is one, at a multiple of 64 KiB
 *
 * One segment, so that every firmware copies it as one block. The kernel's words
 * are summed up first: firmware jumps into a file that was cut as into any other.
 */
        .section .client, "awx", @progbits
        .global _client
        .type   _client, @function
_client:
        bcl     20, 31, client_here
client_here:
        mflr    %r14                    /* r14 = where we run; nothing believes the link address */

        /* Sum of the kernel's words: turn left by one bit, add. */
        addis   %r8, %r14, (client_kernel - client_here)@ha
        addi    %r8, %r8, (client_kernel - client_here)@l
        mr      %r15, %r8               /* r15 = kernel */
        addi    %r8, %r8, -4
        lis     %r9, (client_kernel_end - client_kernel)@h
        ori     %r9, %r9, (client_kernel_end - client_kernel)@l
        srwi    %r9, %r9, 2
        mtctr   %r9
        li      %r10, 0
client_sum:
        lwzu    %r11, 4(%r8)
        rotlwi  %r10, %r10, 1
        add     %r10, %r10, %r11
        bdnz    client_sum
        lis     %r11, KERNEL_SUM@h
        ori     %r11, %r11, KERNEL_SUM@l
        cmplw   %r10, %r11
        bne     client_damaged

        .ifdef HAVE_ARCHIVE
        lis     %r4, (client_archive_end - client_archive)@h
        ori     %r4, %r4, (client_archive_end - client_archive)@l
        addis   %r3, %r14, (client_archive - client_here)@ha
        addi    %r3, %r3, (client_archive - client_here)@l
        .endif
        mtctr   %r15
        bctr

client_damaged:
        mr      %r15, %r5               /* r15 = the client interface */
        addi    %r16, %r14, client_cells - client_here

        /* finddevice("/chosen") */
        addi    %r0, %r14, client_finddevice - client_here
        stw     %r0, 0(%r16)
        li      %r0, 1
        stw     %r0, 4(%r16)
        stw     %r0, 8(%r16)
        addi    %r0, %r14, client_chosen - client_here
        stw     %r0, 12(%r16)
        bl      client_call
        lwz     %r17, 16(%r16)

        /* getprop(chosen, "stdout", cells + 48, 4) */
        addi    %r0, %r14, client_getprop - client_here
        stw     %r0, 0(%r16)
        li      %r0, 4
        stw     %r0, 4(%r16)
        stw     %r0, 24(%r16)
        stw     %r17, 12(%r16)
        addi    %r0, %r14, client_stdout - client_here
        stw     %r0, 16(%r16)
        addi    %r0, %r16, 48
        stw     %r0, 20(%r16)
        bl      client_call
        lwz     %r17, 48(%r16)

        /* write(stdout, text, length) */
        addi    %r0, %r14, client_write - client_here
        stw     %r0, 0(%r16)
        li      %r0, 3
        stw     %r0, 4(%r16)
        stw     %r17, 12(%r16)
        addi    %r0, %r14, client_text - client_here
        stw     %r0, 16(%r16)
        li      %r0, client_text_end - client_text
        stw     %r0, 20(%r16)
        bl      client_call

        /* exit() */
        addi    %r0, %r14, client_exit - client_here
        stw     %r0, 0(%r16)
        li      %r0, 0
        stw     %r0, 4(%r16)
        stw     %r0, 8(%r16)
        bl      client_call
client_stop:
        b       client_stop

/* One call with the cells at r16; the firmware itself returns to who called this. */
client_call:
        mr      %r3, %r16
        mtctr   %r15
        bctr                            /* lr is the caller's */
        .size   _client, . - _client

client_finddevice: .asciz "finddevice"
client_getprop: .asciz "getprop"
client_write:   .asciz "write"
client_exit:    .asciz "exit"
client_chosen:  .asciz "/chosen"
client_stdout:  .asciz "stdout"
client_text:
        .ascii  "\r\ntocsin: failed: boot: the kernel's file is damaged or was cut short: write it again\r\n"
client_text_end:
        .balign 4
client_cells:   .space 64

        .section .kernel, "awx", @progbits
        .global client_kernel, client_kernel_end
client_kernel:
        .incbin "kernel"
        .balign 4
client_kernel_end:

        .ifdef HAVE_ARCHIVE
        .space  KERNEL_BSS
        .section .archive, "a", @progbits
client_archive:
        .incbin "archive"
client_archive_end:
        .else
        .section .bss, "aw", @nobits
        .space  KERNEL_BSS
        .endif

/*
 * What PowerVM wants to know before it loads: run in real mode, with Open Firmware
 * itself at 32 MiB, between the raw file (from 16 KiB on) and the image (at 64 MiB).
 */
        .section .note.PowerPC, "a", @note
        .balign 4
        .long   client_chrp_desc - client_chrp_name
        .long   client_chrp_end - client_chrp_desc
        .long   0x1275
client_chrp_name: .asciz "PowerPC"
        .balign 4
client_chrp_desc:
        .long   -1                      /* real-mode */
        .long   REAL_BASE
        .long   -1                      /* real-size */
        .long   -1                      /* virt-base */
        .long   -1                      /* virt-size */
        .long   0x4000                  /* load-base */
client_chrp_end:

        .section .note.RPA, "a", @note
        .balign 4
        .long   client_rpa_name_end - client_rpa_name
        .long   client_rpa_end - client_rpa_desc
        .long   0x12759999
client_rpa_name: .asciz "IBM,RPA-Client-Config"
client_rpa_name_end:
        .balign 4
client_rpa_desc:
        .long   0                       /* no affinity wanted */
        .long   MIN_RMO_MIB             /* least real mode memory */
        .long   0                       /* ... and as a share of all */
        .long   40                      /* largest hash table, log2 of bytes */
        .long   1                       /* shared processors are understood */
        .long   -1                      /* load-base: any */
        .long   0
        .long   1                       /* ignore these: support is asked for at run time (mmu::negotiate) */
client_rpa_end:
