/*
 * probe_slow, probe_return_slow - probes that want more than argument registers: what
 * memory holds, texts, other registers. They ask the kernel (machine::probes).
 *
 * Both are ways out of the hooks of mcount.S, and go on there. Meanwhile the ring is
 * taken away, so that a hooked function that the kernel runs here meets nothing, and
 * in particular not this probe again: that is the recursion guard. `probe_guarded` is
 * where it stands (qemu/test_image.py looks at the words before it).
 *
 *   In        as at the branches: r8 the probe's block, r8-r11 at -32(r1)..-8(r1); or
 *             at the return r10 the block, r12 the place on the stack of probes, r9
 *             and r10 at -8(r1) and -16(r1)
 *   Out       at the entry r8 as it was; at the return r12
 *   Clobbers  r0 r9-r12 cr0
 *   Keeps     all else; ctr and LR too
 *   Stack     a frame of {FRAME} bytes, of which the uppermost 64 hold what was below
 *             r1 before; and what the Rust function needs
 *   Context   any in which a hooked function may be called
 *   Spec      ELFv2 ABI, "The Stack Frame"
 */
        .section .text.probe, "ax", @progbits
        .balign 16
        .global probe_text_start
probe_text_start:
        .global probe_slow
        .type   probe_slow, @function
probe_slow:
        stdu    %r1, -{FRAME}(%r1)
        std     %r8, {FRAME_BLOCK}(%r1)
        ld      %r9, {FRAME}-8(%r1)
        ld      %r10, {FRAME}-16(%r1)
        ld      %r11, {FRAME}-24(%r1)
        ld      %r8, {FRAME}-32(%r1)
        mflr    %r0
        std     %r0, {FRAME_LR}(%r1)
        bl      probe_ask
        ld      %r0, {FRAME_LR}(%r1)
        mtlr    %r0
        ld      %r8, {FRAME_BLOCK}(%r1)
        addi    %r1, %r1, {FRAME}
        b       hook_many_next
        .size   probe_slow, . - probe_slow

        .global probe_return_slow
        .type   probe_return_slow, @function
probe_return_slow:
        stdu    %r1, -{FRAME}(%r1)
        std     %r10, {FRAME_BLOCK}(%r1)
        std     %r12, {FRAME_PLACE}(%r1)
        ld      %r9, {FRAME}-8(%r1)
        ld      %r10, {FRAME}-16(%r1)
        mflr    %r0                     /* another probe may be next: not who called */
        std     %r0, {FRAME_WAY}(%r1)
        ld      %r0, {PROBE_LR}-{PROBE_ENTRY}(%r12)
        std     %r0, {FRAME_LR}(%r1)
        bl      probe_ask
        ld      %r0, {FRAME_WAY}(%r1)
        mtlr    %r0
        ld      %r12, {FRAME_PLACE}(%r1)
        addi    %r1, %r1, {FRAME}
        b       probe_return_out
        .size   probe_return_slow, . - probe_return_slow

/*
 * probe_ask - hands the registers over, and the ring's first record.
 *
 * Below PACA.stack_low the kernel's code would overflow the stack: there the probe has
 * missed the call.
 *
 *   In        r1      the frame; FRAME_BLOCK and FRAME_LR are filled in
 *             others  as the function that is probed has them
 *   Out       all but r0 and r12 as before
 */
        .type   probe_ask, @function
probe_ask:
        .set    n, 2
        .rept   30
        std     n, {FRAME_GPR} + n * 8(%r1)
        .set    n, n + 1
        .endr
        ld      %r0, {FRAME_LR}(%r1)
        std     %r0, {FRAME_GPR}(%r1)
        addi    %r12, %r1, {FRAME}
        std     %r12, {FRAME_GPR} + 8(%r1)
        mflr    %r12
        std     %r12, {FRAME_BACK}(%r1)
        mfctr   %r3
        mfcr    %r4
        mfxer   %r5
        std     %r3, {FRAME_CTR}(%r1)
        std     %r4, {FRAME_CR}(%r1)
        std     %r5, {FRAME_XER}(%r1)
        ld      %r3, {FRAME_BLOCK}(%r1)
        ld      %r0, {STACK_LOW}(%r13)
        cmpld   %r1, %r0
        blt-    probe_no_room
        ld      %r5, {RING_BASE}(%r13)
        li      %r0, 0
        std     %r0, {RING_BASE}(%r13)
        .global probe_guarded
probe_guarded:
        addi    %r4, %r1, {FRAME_GPR}
        ld      %r2, {KERNEL_TOC}(%r13)
        bl      {fired}
        .global probe_asked
probe_asked:
        nop
        /* Another CPU may have stopped the recording, or begun it anew: it writes what
           is wanted before what is. */
probe_give_back:
        ld      %r4, {RING_WANTED}(%r13)
        std     %r4, {RING_BASE}(%r13)
        sync
        ld      %r5, {RING_WANTED}(%r13)
        cmpd    %r4, %r5
        bne-    probe_give_back
probe_go_on:
        ld      %r3, {FRAME_CTR}(%r1)
        ld      %r4, {FRAME_CR}(%r1)
        ld      %r5, {FRAME_XER}(%r1)
        mtctr   %r3
        mtcrf   0xff, %r4
        mtxer   %r5
        ld      %r12, {FRAME_BACK}(%r1)
        mtlr    %r12
        .set    n, 2
        .rept   10
        ld      n, {FRAME_GPR} + n * 8(%r1)
        .set    n, n + 1
        .endr
        blr
probe_no_room:
        ld      %r5, {BLOCK_MISSED}(%r3)
        addi    %r5, %r5, 1
        std     %r5, {BLOCK_MISSED}(%r3)
        b       probe_go_on
        .size   probe_ask, . - probe_ask
        .global probe_text_end
probe_text_end:
