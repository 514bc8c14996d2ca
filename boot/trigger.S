/*
 * trigger_hook - what the sites of a module run through while one of them has a
 * trigger (FUNC:traceoff and its like): asks the kernel, then goes on in _mcount.
 *
 * A module's profiling stubs take their target from a data word, so that to send
 * all of its hooked calls this way is one store; other modules pay nothing.
 *
 *   In        r0      return address into the function's caller
 *             LR      where to go on (site + 4, or behind the bl of a stub)
 *             r13     PACA
 *   Out       as _mcount's; or, if the call is not to be recorded, goes on at LR
 *             with LR = r0
 *   Clobbers  r12 ctr cr0
 *   Keeps     all else; r3-r11 hold arguments and the static chain, r2 is anybody's
 *   Stack     a frame of 160 bytes, and what the Rust function needs. The function
 *             that is entered has stored nothing below r1 yet
 *   Context   module code: no lock of the kernel's is held. Meanwhile the ring is taken
 *             away: what the kernel runs here is not recorded, and that is the
 *             recursion guard (trigger_guarded)
 *   Spec      ELFv2 ABI, "The Stack Frame"
 *
 * The Rust function takes the address to go on at, the return address and r1, and
 * answers 0 if the call is not to be recorded. Meanwhile only the frame here knows of
 * the function that is entered, and of its caller (machine::trigger::goes_on).
 */
        .section .text.trigger, "ax", @progbits
        .balign 16
        .global trigger_text_start
trigger_text_start:
        .global trigger_hook
        .type   trigger_hook, @function
trigger_hook:
        mflr    %r12
        stdu    %r1, -160(%r1)
        std     %r0, {TRIGGER_PARENT}(%r1)
        std     %r2, 40(%r1)
        std     %r3, 48(%r1)
        std     %r4, 56(%r1)
        std     %r5, 64(%r1)
        std     %r6, 72(%r1)
        std     %r7, 80(%r1)
        std     %r8, 88(%r1)
        std     %r9, 96(%r1)
        std     %r10, 104(%r1)
        std     %r11, 112(%r1)
        std     %r12, {TRIGGER_LR}(%r1)
        mfcr    %r3
        mfxer   %r4
        std     %r3, 128(%r1)
        std     %r4, 136(%r1)
        ld      %r3, {TRIGGER_STACK}(%r13)
        cmpld   %r1, %r3
        blt-    trigger_no_room
        li      %r3, 0
        std     %r3, {TRIGGER_RING}(%r13)
        .global trigger_guarded
trigger_guarded:
        ld      %r2, {TRIGGER_TOC}(%r13)
        mr      %r3, %r12
        mr      %r4, %r0
        addi    %r5, %r1, 160
        bl      {entered}
        .global trigger_asked
trigger_asked:
        nop
        std     %r3, 144(%r1)
trigger_give_back:                      /* as probe_ask does */
        ld      %r3, {TRIGGER_WANTED}(%r13)
        std     %r3, {TRIGGER_RING}(%r13)
        sync
        ld      %r4, {TRIGGER_WANTED}(%r13)
        cmpd    %r3, %r4
        bne-    trigger_give_back
trigger_go_on:
        ld      %r3, 128(%r1)
        ld      %r4, 136(%r1)
        mtcrf   0xff, %r3
        mtxer   %r4
        ld      %r12, {TRIGGER_LR}(%r1)
        mtlr    %r12
        ld      %r0, {TRIGGER_PARENT}(%r1)
        ld      %r2, 40(%r1)
        ld      %r3, 48(%r1)
        ld      %r4, 56(%r1)
        ld      %r5, 64(%r1)
        ld      %r6, 72(%r1)
        ld      %r7, 80(%r1)
        ld      %r8, 88(%r1)
        ld      %r9, 96(%r1)
        ld      %r10, 104(%r1)
        ld      %r11, 112(%r1)
        ld      %r12, 144(%r1)
        addi    %r1, %r1, 160
        cmpdi   %r12, 0
        bne     _mcount
        mflr    %r12
        mtctr   %r12
        mtlr    %r0
        bctr
trigger_no_room:
        li      %r3, 0
        std     %r3, 144(%r1)
        b       trigger_go_on
        .size   trigger_hook, . - trigger_hook
        .global trigger_text_end
trigger_text_end:
