/*
 * secondary_start - where RTAS starts every CPU but the first.
 *
 *   In        r3      this CPU's PACA, filled in
 *   Out       never returns: goes on in machine::smp::secondary_main
 *   Clobbers  everything
 *   Stack     sets r1 to the top of the stack that the PACA names
 *   Context   real mode, interrupts off, 64-bit, big-endian whatever the others are
 *   Spec      LoPAPR, "start-cpu"
 */
        .section .text.secondary_start, "ax", @progbits
        .balign 256
        .global secondary_start
        .type   secondary_start, @function
secondary_start:
        .long   0x08000048              /* as in boot/entry.S: either endianness */
        b       secondary_le
        turn_little_endian
secondary_le:
        mr      %r13, %r3
        mtspr   {SPRG0}, %r13
        ld      %r2, {KERNEL_TOC}(%r13)
        ld      %r1, {STACK_HIGH}(%r13)
        li      %r0, 0
        stdu    %r0, -64(%r1)
        std     %r0, 16(%r1)
        mtlr    %r0
        bl      {secondary_main}
secondary_stop:
        b       secondary_stop
        .size   secondary_start, . - secondary_start
